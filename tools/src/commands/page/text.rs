//! The report as text.

use super::dump::dump_text;
use super::{Beside, Report, Source};
use crate::commands::problem_lines;
use crate::format::count;
use crate::inspect::{EntryLine, Kind, quote};
use crate::output::{Look, Mood};
use comfy_table::Cell;

/// All of it.
pub(super) fn text(report: &Report, look: Look) -> String {
    let name = match (report.page, report.slot) {
        (Some(page), _) => format!("Page {page}"),
        (None, Some(slot)) => format!("Slot {slot}"),
        _ => "Nothing".to_owned(),
    };
    let mut out = look.title(&format!("{name}: {}", report.decoded.kind)) + "\n";
    if let Some(tree) = &report.tree {
        out += &format!("of tree {tree:?}\n");
    }
    if let Some(Beside { page, kind, entries }) = &report.beside {
        let what = if *kind == Kind::Delta { "its delta is" } else { "it is the delta of" };
        out += &format!("{what} page {page}; entries of both together: {}\n", count(*entries as u64));
    }
    if let (Some(slot), true) = (report.slot, report.page.is_some()) {
        out += &format!("in slots {slot}+{}\n", report.slots);
    }
    out += &match (report.source, &report.entry) {
        (Source::Checkpoint | Source::Table, Some(entry)) => {
            format!("page table (as of commit {}): {entry}\n", report.checkpoint)
        }
        (Source::Named, _) => format!("kept for the named snapshots {}\n", quote(&report.snapshots)),
        (Source::Unreferenced, _) => {
            "no checkpoint refers to it: free, or kept for a reader; no checksum proves it\n".to_owned()
        }
        _ => String::new(),
    };
    if !report.decoded.fields.is_empty() {
        let mut table = look.table();
        let mut headings = look.headings(&["offset", "bytes", "field", "value"]);
        headings[2] = look.heading("field");
        headings[3] = look.heading("value");
        table.set_header(headings);
        for field in &report.decoded.fields {
            let offset =
                look.figure(field.offset.to_string(), Mood::Plain).set_alignment(comfy_table::CellAlignment::Left);
            table.add_row(vec![
                offset,
                look.figure(field.bytes.to_string(), Mood::Plain),
                Cell::new(field.name),
                Cell::new(&field.value),
            ]);
        }
        out += &format!("\n{}\n", table.trim_fmt());
    }
    if let Some(prefix) = &report.decoded.prefix {
        out += &format!("\nall keys begin with {prefix:.80}\n");
    }
    if !report.decoded.entries.is_empty() {
        out += &format!("\n{}\n", entries_text(report, look));
    }
    if let Some(dump) = &report.dump {
        out += &format!("\n{}", dump_text(dump, look));
    }
    if report.cut_bytes > 0 {
        out += &format!("\n{} more bytes are not shown\n", count(report.cut_bytes));
    }
    out + &problem_lines(&report.problems, look)
}

fn entries_text(report: &Report, look: Look) -> String {
    let mut table = look.table();
    let entries = &report.decoded.entries;
    let with = |has: fn(&EntryLine) -> bool| entries.iter().any(has);
    let columns: Vec<(&str, bool)> = vec![
        ("entry", true),
        ("offset", true),
        ("page", with(|entry| entry.page.is_some())),
        ("key", with(|entry| entry.key.is_some())),
        ("value", with(|entry| entry.value.is_some())),
        ("", with(|entry| entry.note.is_some())),
    ];
    let width = look.width() / 2 - 12;
    table.set_header(
        columns.iter().filter(|(_, is_shown)| *is_shown).map(|(name, _)| look.heading(name)).collect::<Vec<_>>(),
    );
    for entry in entries {
        let or_none = |field: Option<String>| field.unwrap_or_else(|| "-".to_owned());
        let cells = [
            entry.index.to_string(),
            or_none(entry.offset.map(|offset| offset.to_string())),
            or_none(entry.page.map(|page| page.to_string())),
            or_none(entry.key.as_ref().map(|key| format!("{key:.width$}"))),
            or_none(entry.value.as_ref().map(|value| format!("{value:.width$}"))),
            entry.note.clone().unwrap_or_default(),
        ];
        table.add_row(
            cells
                .into_iter()
                .zip(&columns)
                .filter(|(_, (_, is_shown))| *is_shown)
                .map(|(cell, _)| Cell::new(cell))
                .collect::<Vec<_>>(),
        );
    }
    table.trim_fmt()
}
