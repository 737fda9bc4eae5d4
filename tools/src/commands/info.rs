//! `pent info`: what a store is, at a glance.

use super::{StoreArg, help, problem_lines, problems, survey, verdict};
use crate::format::{bytes, count};
use crate::inspect::{
    Forest, Head, Journal, Kind, Problem, Role, SegmentState, SlotMap, SlotUse, StoreFile, Survey, Tail, hex_id,
};
use crate::output::{Look, Mood};
use crate::{Context, Result};
use comfy_table::Cell;
use pentimento_storage::inspect::{Entry, Meta, NamedCheckpoint};
use pentimento_storage::{PageId, SLOT_BYTES};
use serde::Serialize;

const AFTER_HELP: &str = help!(
    "\
What it tells:
  metas     the two places that say which checkpoint is the newest, which of
            them wins, and why
  slots     what the file is used for, in units of 2048 bytes; unreferenced
            slots are free, unless a program has the store open: then readers
            may still need what is in them
  snapshots the named ones, each with its commit and the time it was made (UTC)
  trees     entries, levels, pages, and how full the leaves are
  journal   commits that are not in a checkpoint yet, and a torn tail

Examples:
  pent info app.pent                          everything at a glance
  pent info app.pent --json | jq .trees       one part, for a program"
);

/// Tell what a store is: metas, checkpoint, trees, slots, journal.
///
/// The store is not opened, only read: it may be damaged, or in use by another process.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,
}

/// What `pent info` tells.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The store, as it was named.
    pub store: String,
    /// The length of the file.
    pub file_bytes: u64,
    /// The two metas, A and B.
    pub metas: Vec<MetaReport>,
    /// Which of them wins: `A`, `B`, or nothing if neither is whole.
    pub winner: Option<&'static str>,
    /// Why.
    pub why: String,
    /// Whether the store was closed cleanly and not opened since.
    pub closed_cleanly: bool,
    /// What tells this store from others.
    pub id: Option<String>,
    /// The size that pages aim at.
    pub page_size: u32,
    /// The newest commit in the checkpoint.
    pub checkpoint: u64,
    /// Slots by use.
    pub slots: SlotsReport,
    /// Pages by kind.
    pub pages: PagesReport,
    /// The named snapshots, oldest first.
    pub snapshots: Vec<SnapshotLine>,
    /// The trees.
    pub trees: Vec<TreeLine>,
    /// The journal.
    pub journal: JournalReport,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// One meta.
#[derive(Clone, Debug, Serialize)]
pub struct MetaReport {
    /// `A` or `B`.
    pub name: &'static str,
    /// Its slot in the file.
    pub slot: u64,
    /// What is wrong with it, if it is not whole; then there are no figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// Grows with each meta that is written.
    pub sequence: Option<u64>,
    /// The newest commit of its checkpoint.
    pub timestamp: Option<u64>,
    /// Page numbers in its table.
    pub pages: Option<u32>,
    /// The slot of the table's root.
    pub table_root: Option<u64>,
    /// Levels of the table.
    pub table_levels: Option<u32>,
    /// Whether it was written by a clean close.
    pub twin: Option<bool>,
}

/// Slots by use.
#[derive(Clone, Debug, Serialize)]
pub struct SlotsReport {
    /// All slots of the file.
    pub total: u64,
    /// Of the metas.
    pub meta: u64,
    /// Of the page table.
    pub table: u64,
    /// Of the versions that the checkpoint has.
    pub current: u64,
    /// Of what only named snapshots need, and of their list.
    pub named: u64,
    /// Of nothing that the checkpoint, or a named snapshot, knows.
    pub unreferenced: u64,
}

/// Pages by kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PagesReport {
    /// Page numbers in the table.
    pub numbers: u64,
    /// Leaves.
    pub leaves: u64,
    /// Branches.
    pub branches: u64,
    /// Large values.
    pub large_values: u64,
    /// Deltas of leaves.
    pub deltas: u64,
    /// Registers, which have no bytes of their own.
    pub registers: u64,
    /// Numbers that are free.
    pub free_numbers: u64,
    /// Odd numbers that no page has: they are kept for deltas.
    pub kept_numbers: u64,
    /// Pages that cannot be read, or are nothing that the format knows.
    pub damaged: u64,
}

/// One named snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotLine {
    /// Its name.
    pub name: String,
    /// The newest commit that it sees.
    pub timestamp: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// One tree.
#[derive(Clone, Debug, Serialize)]
pub struct TreeLine {
    /// Its name, in parentheses if it is one of the store's own.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its root.
    pub root: u32,
    /// Entries that were found.
    pub entries: u64,
    /// Levels.
    pub depth: usize,
    /// Pages, large values and deltas included.
    pub pages: u64,
    /// Used bytes of its pages.
    pub used_bytes: u64,
    /// How full its leaves are on average, from 0 to 1.
    pub leaf_fill: f64,
}

/// The journal in short.
#[derive(Clone, Debug, Serialize)]
pub struct JournalReport {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whole records in all of them.
    pub records: u64,
    /// Commits that opening would do again.
    pub pending: u64,
    /// The newest of them, or the checkpoint.
    pub newest: u64,
    /// Whether the journal ends in a record that is not whole.
    pub torn: bool,
    /// In short.
    pub summary: String,
}

/// Runs `pent info`, and prints its report.
///
/// # Errors
/// When the file is no store or cannot be read, and if something is damaged, after the report.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let report = run(&args.store.open()?, context)?;
    context.print(&report, text)?;
    verdict(&report.problems)
}

/// What a store is.
///
/// # Errors
/// When the file is no store or cannot be read.
pub fn run(file: &StoreFile, context: &Context) -> Result<Report> {
    let journal = Journal::read(file)?;
    let (survey, forest) = survey(file, false, context)?;
    let slots = SlotMap::of(&survey.checkpoint);
    let head = &survey.checkpoint.head;
    let mut problems = problems(&survey, &forest);
    problems.extend(slots.problems.iter().chain(&journal.problems).cloned());
    Ok(Report {
        store: file.name().to_owned(),
        file_bytes: head.file_bytes,
        metas: (0..2).map(|slot| meta_report(head, slot)).collect(),
        winner: head.chosen.as_ref().map(|meta| NAMES[meta.slot]),
        why: head.why.clone(),
        closed_cleanly: head.is_closed(),
        id: head.chosen.as_ref().map(|meta| hex_id(&meta.store_id)),
        page_size: survey.checkpoint.page_size(),
        checkpoint: survey.checkpoint.timestamp().0,
        slots: SlotsReport {
            total: head.file_bytes / SLOT_BYTES as u64,
            meta: slots.count(|usage| usage == SlotUse::Meta),
            table: slots.count(|usage| usage == SlotUse::Table),
            current: slots.count(|usage| matches!(usage, SlotUse::Current(_))),
            named: slots.count(|usage| matches!(usage, SlotUse::Named(_) | SlotUse::NamedTable | SlotUse::NamedList)),
            unreferenced: slots.count(|usage| usage == SlotUse::Unreferenced),
        },
        pages: pages_report(&survey),
        snapshots: snapshot_lines(&survey),
        trees: tree_lines(&forest, survey.checkpoint.page_size()),
        journal: journal_report(&journal),
        problems,
    })
}

fn snapshot_lines(survey: &Survey) -> Vec<SnapshotLine> {
    let line = |named: &NamedCheckpoint| SnapshotLine {
        name: named.name.clone(),
        timestamp: named.timestamp.0,
        created_ms: named.created_ms,
    };
    survey.checkpoint.named.snapshots.iter().map(line).collect()
}

const NAMES: [&str; 2] = ["A", "B"];

fn meta_report(head: &Head, slot: usize) -> MetaReport {
    let found = head.slots[slot].as_ref();
    let of = |field: fn(&Meta) -> u64| found.ok().map(field);
    MetaReport {
        name: NAMES[slot],
        slot: slot as u64 * 2,
        damage: found.err().cloned(),
        sequence: of(|meta| meta.sequence),
        timestamp: of(|meta| meta.timestamp.0),
        pages: found.ok().map(|meta| meta.pages),
        table_root: of(|meta| meta.root.run.start),
        table_levels: found.ok().map(|meta| meta.levels),
        twin: found.ok().map(|meta| meta.twin),
    }
}

fn pages_report(survey: &Survey) -> PagesReport {
    let mut report = PagesReport { numbers: survey.checkpoint.entries.len() as u64, ..PagesReport::default() };
    for (id, entry) in survey.checkpoint.entries.iter().enumerate() {
        *match (entry, survey.page(PageId(id as u32)).map(|facts| facts.kind)) {
            (Some(Entry::Register { .. }), _) => &mut report.registers,
            (Some(Entry::Dead { .. } | Entry::NeverUsed), _) if id % 2 == 1 => &mut report.kept_numbers,
            (Some(Entry::Dead { .. } | Entry::NeverUsed), _) => &mut report.free_numbers,
            (_, Some(Kind::Leaf)) => &mut report.leaves,
            (_, Some(Kind::Branch)) => &mut report.branches,
            (_, Some(Kind::Large)) => &mut report.large_values,
            (_, Some(Kind::Delta)) => &mut report.deltas,
            _ => &mut report.damaged,
        } += 1;
    }
    report
}

pub(crate) fn tree_lines(forest: &Forest, page_size: u32) -> Vec<TreeLine> {
    let line = |tree: &crate::inspect::TreeFacts| TreeLine {
        name: tree.name.clone(),
        role: tree.role,
        root: tree.root.0,
        entries: tree.entries,
        depth: tree.depth(),
        pages: tree.pages(),
        used_bytes: tree.used_bytes(),
        leaf_fill: tree.leaf_fill(page_size),
    };
    forest.trees.iter().map(line).collect()
}

fn journal_report(journal: &Journal) -> JournalReport {
    let segments = journal.files.iter().filter(|file| file.state == SegmentState::Segment);
    let records = segments.map(|file| file.records.len() as u64).sum();
    let torn = journal.files.iter().any(|file| file.tail == Tail::Torn);
    let pending = journal.pending();
    let summary = if journal.files.is_empty() {
        "none: everything is in the checkpoint".to_owned()
    } else if pending == 0 {
        "nothing in it that the checkpoint does not have".to_owned()
    } else {
        format!("commits {} to {} would be done again", journal.checkpoint.0 + 1, journal.newest)
    };
    JournalReport {
        files: journal.files.len() as u64,
        bytes: journal.files.iter().map(|file| file.len).sum(),
        records,
        pending,
        newest: journal.newest.0,
        torn,
        summary,
    }
}

fn text(report: &Report, look: Look) -> String {
    let mut facts = look.facts("Store");
    facts.row("file", bytes(report.file_bytes), &report.store);
    facts.row("checkpoint", count(report.checkpoint), "the newest commit in the file itself");
    facts.row("page size", count(u64::from(report.page_size)), "");
    facts.row(
        "closed cleanly",
        look.yes(report.closed_cleanly),
        if report.closed_cleanly { "" } else { "in use, or interrupted" },
    );
    facts.row("id", "", report.id.as_deref().unwrap_or("unknown"));

    let mut metas = look.table();
    metas.set_header(look.headings(&["Metas", "sequence", "commit", "pages", "table root", "levels", "twin", ""]));
    let or_none = |field: Option<u64>| field.map_or_else(|| "-".to_owned(), count);
    for meta in &report.metas {
        let is_winner = report.winner == Some(meta.name);
        let (remark, mood) = match &meta.damage {
            Some(damage) => (damage.clone(), Mood::Bad),
            None if is_winner => (format!("wins: {}", report.why), Mood::Good),
            None => (String::new(), Mood::Plain),
        };
        metas.add_row(vec![
            Cell::new(format!("{} (slot {})", meta.name, meta.slot)),
            look.figure(or_none(meta.sequence), Mood::Plain),
            look.figure(or_none(meta.timestamp), Mood::Plain),
            look.figure(or_none(meta.pages.map(u64::from)), Mood::Plain),
            look.figure(or_none(meta.table_root), Mood::Plain),
            look.figure(or_none(meta.table_levels.map(u64::from)), Mood::Plain),
            look.figure(meta.twin.map_or("-", |twin| if twin { "yes" } else { "no" }), Mood::Plain),
            look.remark(remark, mood),
        ]);
    }

    let slots = &report.slots;
    let mut used = look.facts("Slots");
    let share = |part: u64| {
        format!("{} ({:.1} %)", bytes(part * SLOT_BYTES as u64), part as f64 * 100.0 / slots.total.max(1) as f64)
    };
    used.row("all", count(slots.total), &share(slots.total));
    used.row("metas", count(slots.meta), &share(slots.meta));
    used.row("page table", count(slots.table), &share(slots.table));
    used.row("current versions", count(slots.current), &share(slots.current));
    if slots.named > 0 {
        used.row("named snapshots", count(slots.named), &share(slots.named));
    }
    used.row("unreferenced", count(slots.unreferenced), &share(slots.unreferenced));

    let pages = &report.pages;
    let mut kinds = look.facts("Pages");
    kinds.row("leaves", count(pages.leaves), "");
    kinds.row("branches", count(pages.branches), "");
    kinds.row("large values", count(pages.large_values), "");
    kinds.row("deltas", count(pages.deltas), "of leaves that have changed since they were written");
    kinds.row("registers", count(pages.registers), "");
    kinds.row("free numbers", count(pages.free_numbers), "");
    kinds.row("kept numbers", count(pages.kept_numbers), "for deltas: the odd ones that no page has");
    if pages.damaged > 0 {
        kinds.row("damaged", count(pages.damaged), "");
    }

    let journal = &report.journal;
    let mut log = look.facts("Journal");
    log.row("files", count(journal.files), &bytes(journal.bytes));
    log.row("records", count(journal.records), if journal.torn { "and one at the end that is not whole" } else { "" });
    log.row("to be done again", count(journal.pending), &journal.summary);

    let mut parts = vec![facts.finish(), metas.trim_fmt(), used.finish(), kinds.finish()];
    parts.push(trees_text(&report.trees, look));
    if !report.snapshots.is_empty() {
        parts.push(snapshots_text(&report.snapshots, look));
    }
    parts.push(log.finish());
    parts.join("\n\n") + "\n" + &problem_lines(&report.problems, look)
}

fn snapshots_text(snapshots: &[SnapshotLine], look: Look) -> String {
    let mut table = look.table();
    table.set_header(look.headings(&["Snapshots", "commit", "made (UTC)"]));
    for snapshot in snapshots {
        table.add_row(vec![
            Cell::new(crate::format::text(snapshot.name.as_bytes())),
            look.figure(count(snapshot.timestamp), Mood::Plain),
            look.figure(crate::format::utc(snapshot.created_ms), Mood::Plain),
        ]);
    }
    table.trim_fmt()
}

pub(crate) fn trees_text(trees: &[TreeLine], look: Look) -> String {
    let mut table = look.table();
    table.set_header(look.headings(&["Trees", "entries", "levels", "pages", "used", "leaf fill", "root"]));
    for tree in trees {
        table.add_row(vec![
            Cell::new(crate::format::text(tree.name.as_bytes())),
            look.figure(count(tree.entries), Mood::Plain),
            look.figure(count(tree.depth as u64), Mood::Plain),
            look.figure(count(tree.pages), Mood::Plain),
            look.figure(bytes(tree.used_bytes), Mood::Plain),
            look.figure(format!("{:.0} %", tree.leaf_fill * 100.0), Mood::Plain),
            look.figure(format!("page {}", tree.root), Mood::Plain),
        ]);
    }
    table.trim_fmt()
}
