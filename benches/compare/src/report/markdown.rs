//! The page `docs/benchmarks.md`: its text from `page.md`, its figures from the run.

use super::machine::{Machine, versions};
use super::table::{columns, verdict};
use crate::context::Plan;
use crate::engine::Kind;
use crate::results::Row;
use std::fmt::Write as _;

const PAGE: &str = include_str!("page.md");

/// What two threads that write all the time share.
const TWO_CORES: &str = "two threads, the checkpoint and what is written for the journal share two cores";
/// Why a commit takes as long as it does.
const ONE_SYNC: &str =
    "each is one sync of the disk: who meets a slow one is another in each run, and at each number of entries";

/// Why a peer is ahead, where it is known. Shown only if it is, each alone: none refers to another.
const REASONS: &[(&str, &str)] = &[
    ("load.sorted", "LMDB is told to append, so it searches for nothing, and it computes no checksums"),
    (
        "commit.batch",
        "each of a thousand scattered keys finds its leaf and copies the leaf's delta, so it waits for memory (by profile, a quarter), where fjall appends a line to a log and a list and sorts later",
    ),
    (
        "commit.unsynced",
        "waiting for the page table and for the leaf's delta is a third of an insert, where fjall appends to a log and a list",
    ),
    ("remove.size", "leaves that inserts in no order have filled keep a quarter free; fjall and SQLite pack"),
    (
        "remove.apparent",
        "versions at the end of the file keep its length; the blocks of free stretches are given back when the store is closed, the length is not",
    ),
    (
        "long.before",
        "SQLite writes pages in place after its log; here the present and the last checkpoint are both kept",
    ),
    ("long.ratio", "while somebody reads, SQLite's log is not moved into its file, and that work is not done either"),
    ("long.file", "SQLite keeps what the reader needs in its log: see the figure with all logs"),
    (
        "held.disk",
        "a hot tenth that is spread over all leaves has all leaves written, and views keep pages, not entries",
    ),
    ("held.file", "SQLite keeps what the readers need in its log"),
    ("memory.update", "each update reads its leaf first, from the disk; an LSM tree only appends"),
    (
        "sum.direct",
        "keys of eight bytes share a prefix in their leaf, and are put together from two pieces for each row, though nobody looks at them",
    ),
    ("remove.after", "nothing is compacted unless that is asked for: see the size after compaction"),
    ("ycsb.a.p999", TWO_CORES),
    ("ycsb.f.p999", TWO_CORES),
    ("growth.commit.6", ONE_SYNC),
    ("growth.commit.7", ONE_SYNC),
];

/// The whole page. Plots are shown if the folder that they were drawn into is given, relative to the page.
#[must_use]
pub fn render(plan: &Plan, rows: &[Row], command: &str, plots: Option<&str>) -> String {
    let machine = Machine::this(plan.memory);
    let gib = machine.memory as f64 / f64::from(1 << 30);
    let versions: Vec<_> = versions().iter().map(|(name, version)| format!("{name} {version}")).collect();
    let plots = plots.map_or(String::new(), |dir| {
        super::svg::names(rows)
            .iter()
            .fold(String::new(), |text, (name, title)| text + &format!("![{title}]({dir}/{name})\n\n"))
    });
    let rounds = if plan.rounds == 1 { "one turn".to_owned() } else { format!("{} turns", plan.rounds) };
    let parts = [
        ("{{command}}", command.to_owned()),
        ("{{processor}}", machine.processor),
        ("{{cores}}", machine.cores.to_string()),
        ("{{memory}}", format!("{gib:.1} GiB")),
        ("{{system}}", machine.system),
        ("{{versions}}", versions.join(", ")),
        ("{{entries}}", plan.entries.to_string()),
        ("{{small}}", plan.small_entries.to_string()),
        ("{{rounds}}", rounds),
        ("{{verdict}}", verdict(rows)),
        ("{{goals}}", goals(rows)),
        ("{{figures}}", figures(rows)),
        ("{{ahead}}", ahead(rows)),
        ("{{plots}}", plots.trim_end().to_owned()),
    ];
    parts.iter().fold(PAGE.to_owned(), |page, (name, text)| page.replace(name, text))
}

fn goals(rows: &[Row]) -> String {
    let mut text = "| work | this engine | reached | goal | |\n|---|---:|---:|---:|---|\n".to_owned();
    for row in rows {
        let (Some(verdict), Some(ours)) = (&row.verdict, row.median(Kind::Pentimento)) else { continue };
        let mark = if verdict.passed { "reached" } else { "**short**" };
        let ours = row.metric.unit.show(ours);
        let _ = writeln!(
            text,
            "| {} | {ours} | {:.2} | {:.2} {} | {mark} |",
            row.metric.title, verdict.reached, verdict.goal, verdict.against
        );
    }
    text.trim_end().to_owned()
}

fn figures(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut done: Vec<&str> = Vec::new();
    for row in rows {
        let workload = row.metric.workload();
        if !done.contains(&workload) {
            done.push(workload);
            let group: Vec<Row> = rows.iter().filter(|row| row.metric.workload() == workload).cloned().collect();
            let _ = write!(text, "### {workload}\n\n{}\n", table(&group));
        }
    }
    text.trim_end().to_owned()
}

fn table(rows: &[Row]) -> String {
    let kinds = columns(rows);
    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
    let mut text =
        format!("| work | {} | of the best peer |\n|---|{}---:|\n", names.join(" | "), "---:|".repeat(names.len()));
    for row in rows {
        let _ = write!(text, "| {} |", row.metric.title);
        for kind in &kinds {
            let show = |value| row.metric.unit.show(value);
            let cell = row.engines.iter().find(|(other, _)| other == kind).map_or(String::new(), |(_, summary)| {
                if summary.min == summary.max {
                    return show(summary.median);
                }
                format!("{} <sub>{} to {}</sub>", show(summary.median), show(summary.min), show(summary.max))
            });
            let _ = write!(text, " {cell} |");
        }
        let best = row.best_peer.map_or(String::new(), |(kind, cost)| format!("{cost:.2} of {}", kind.name()));
        let _ = writeln!(text, " {best} |");
    }
    text
}

fn ahead(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        if let Some((peer, cost)) = row.best_peer.filter(|(_, cost)| *cost > 1.0) {
            let reason = REASONS.iter().find(|(id, _)| *id == row.metric.id);
            let reason = reason.map_or(String::new(), |(_, reason)| format!(": {reason}"));
            let _ = writeln!(text, "- {}: {} is ahead, {cost:.2} to 1{reason}.", row.metric.title, peer.name());
        }
    }
    if text.is_empty() { "Nowhere in this run.".to_owned() } else { text.trim_end().to_owned() }
}
