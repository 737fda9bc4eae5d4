//! The report for people. Decides nothing: every figure comes from the report as it is.

use super::report::{RATIO_GOAL, Report};
use crate::format::{bytes, count, rate, seconds};
use crate::output::{Look, Mood};
use comfy_table::{Cell, Table};
use std::fmt::Write;

/// The whole report as text.
pub(crate) fn render(report: &Report, look: Look) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let mut line = |text: &str| writeln!(out, "{text}").expect("room in memory");
    for note in &report.notes {
        line(&format!("Note: {note}"));
    }
    line(&stored(report, look).trim_fmt());
    line("");
    line(&format!(
        "One writer: {} random files and their totals in each commit, durability {}.\n\
         One reader beside it: totals, largest files and duplicates from all entries,\n\
         over and over; in a new snapshot for each pass (without), or in one for all\n\
         passes of a round (with long snapshot). {} rounds of each kind take turns,\n\
         with a checkpoint every half second. Rates are medians of the rounds; ratios,\n\
         of neighbouring rounds: they tell what holding the long snapshot costs.\n",
        report.compared.files_per_commit, report.durability, report.compared.rounds_each
    ));
    line(&compared(report, look).trim_fmt());
    line("");
    line(&file(report, look).trim_fmt());
    line("");
    line(&proofs(report, look).trim_fmt());
    line("");
    if let Some(path) = &report.store {
        line(&format!("The store is kept in {path}."));
    }
    line(&format!("{} in all.", seconds(report.seconds)));
    out
}

fn stored(report: &Report, look: Look) -> Table {
    let (load, contents) = (&report.load, &report.contents);
    let mut table = look.table();
    let mut row = |name: &str, figure: String, remark: String| {
        table.add_row(vec![Cell::new(name), look.figure(figure, Mood::Plain), Cell::new(remark)]);
    };
    row("files stored", count(load.files), format!("from {}", report.folder));
    row("their bytes", bytes(load.bytes), format!("{} extensions", count(contents.extensions)));
    row("load time", seconds(load.seconds), format!("{} files/s, reading them included", rate(load.files_per_second)));
    row("the store's part", seconds(load.store_seconds), format!("{} files/s", rate(load.store_files_per_second)));
    if load.skipped > 0 {
        row("not readable", count(load.skipped), "left out".to_owned());
    }
    if let Some(largest) = contents.largest.first() {
        row("largest file", bytes(largest.bytes), largest.path.clone());
    }
    row("duplicates", count(contents.duplicate_files), format!("in {} groups", count(contents.duplicate_groups)));
    table.set_header(vec![look.heading("Stored"), Cell::new(""), Cell::new("")]);
    table
}

fn compared(report: &Report, look: Look) -> Table {
    let (without, with) = (&report.compared.without, &report.compared.with);
    let mut table = look.table();
    let plain = |text: String| look.figure(text, Mood::Plain);
    let right = |text: &str| look.heading(text).set_alignment(comfy_table::CellAlignment::Right);
    table.set_header(vec![look.heading("Compared"), right("without"), right("with long snapshot"), right("ratio")]);
    let mood = if report.compared.ratio >= RATIO_GOAL { Mood::Good } else { Mood::Bad };
    table.add_row(vec![
        Cell::new("commits per second"),
        plain(rate(without.commits_per_second)),
        plain(rate(with.commits_per_second)),
        look.figure(format!("{:.2} (goal {:.2})", report.compared.ratio, report.compared.ratio_goal), mood),
    ]);
    table.add_row(vec![
        Cell::new("commits per second of processor time"),
        plain(rate(without.commits_per_processor_second)),
        plain(rate(with.commits_per_processor_second)),
        plain(format!("{:.2}", report.compared.processor_ratio)),
    ]);
    table.add_row(vec![
        Cell::new("entries scanned per second"),
        plain(rate(without.entries_scanned_per_second)),
        plain(rate(with.entries_scanned_per_second)),
        plain(format!("{:.2}", with.entries_scanned_per_second / without.entries_scanned_per_second)),
    ]);
    let mut row = |name: &str, without: String, with: String| {
        table.add_row(vec![Cell::new(name), plain(without), plain(with)]);
    };
    row("commits", count(without.commits), count(with.commits));
    row("passes over all entries", count(without.passes), count(with.passes));
    let slow = |ms: f64| seconds(ms / 1e3);
    row("slowest commit", slow(without.slowest_commit_ms), slow(with.slowest_commit_ms));
    row("old versions retained, at most", count(without.versions_retained_max), count(with.versions_retained_max));
    row("old versions reclaimed", count(without.versions_reclaimed), count(with.versions_reclaimed));
    row("memory in frames, at most", bytes(without.frame_bytes_max), bytes(with.frame_bytes_max));
    row("file in use, at most", bytes(without.used_bytes_max), bytes(with.used_bytes_max));
    row("look-ups in the history", count(without.history_lookups), count(with.history_lookups));
    row("checkpoints", count(without.checkpoints), count(with.checkpoints));
    table
}

fn file(report: &Report, look: Look) -> Table {
    let file = &report.file;
    let mut table = look.table();
    table.set_header(vec![look.heading("Kept"), Cell::new(""), Cell::new("")]);
    let mut row = |name: &str, figure: String, remark: String| {
        table.add_row(vec![Cell::new(name), look.figure(figure, Mood::Plain), Cell::new(remark)]);
    };
    let in_use = |used: u64| format!("{} of it in use", bytes(used));
    row("file before a long snapshot", bytes(file.loaded_bytes), in_use(file.loaded_used_bytes));
    row("file with one, at most", bytes(file.largest_bytes), format!("{} written in all", bytes(file.written_bytes)));
    row("file after dropping it", bytes(file.after_bytes), in_use(file.after_used_bytes));
    row("file after closing", bytes(file.closed_bytes), String::new());
    row("old versions after dropping it", count(file.after_versions_retained), String::new());
    if let Some(held) = &report.held {
        let age = seconds(held.age_ms as f64 / 1e3);
        let remark = format!("by {:?}, {age} old", held.label);
        row("held by the oldest pin, at most", bytes(held.bytes), remark);
        row("versions charged to it", count(held.versions), format!("{} commits behind", count(held.commits_behind)));
    }
    table
}

fn proofs(report: &Report, look: Look) -> Table {
    let mut table = look.table();
    table.set_header(vec![look.heading("Proved"), Cell::new(""), Cell::new("")]);
    for proof in &report.proofs {
        let (verdict, mood) = if proof.held { ("holds", Mood::Good) } else { ("FAILED", Mood::Bad) };
        table.add_row(vec![Cell::new(proof.claim), look.figure(verdict, mood), Cell::new(&proof.detail)]);
    }
    table
}
