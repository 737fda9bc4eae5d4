//! `pent check`: all the laws, over file and journal.

use super::{StoreArg, help, problem_lines, problems, survey, verdict};
use crate::format::{bytes, count};
use crate::inspect::{Journal, Problem, SlotMap, SlotUse, StoreFile, Tail};
use crate::output::Look;
use crate::{Context, Result};
use serde::Serialize;
use std::path::PathBuf;

const AFTER_HELP: &str = help!(
    "\
What is proved, of the newest checkpoint and the journal behind it:
  metas     both are whole, and the winner is known to be the newest
  table     each of its pages has the right checksum and is where it belongs
  slots     each belongs to one thing at most
  pages     each has the checksum, the number and the birth that the table says
  nodes     keys ascend, cells do not overlap, no byte is miscounted
  trees     levels and separators fit, each page is in exactly one tree,
            counts are right, large values have their lengths
  named     the list of named snapshots, the page table of each, and every
            version that only they need
  journal   records follow each other, and none that was durable is missing

Everything is reported, not only the first. On a store that is in use the
check is of the newest checkpoint; versions in memory are the business of
`Database::check`.

Examples:
  pent check app.pent                               is it whole?
  pent check app.pent --json | jq .problems         what is wrong, for a program
  pent check bad.pent --repair-to good.pent         save what can be read"
);

/// Check everything, report all that is wrong, and save what can be saved.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Put every entry that can be read into a new store, and tell what was lost and from where
    #[arg(long, value_name = "NEW")]
    repair_to: Option<PathBuf>,
}

/// What `pent check` tells.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The store, as it was named.
    pub store: String,
    /// The newest commit in the data file.
    pub checkpoint: u64,
    /// The newest commit that opening would bring back.
    pub newest: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Pages that were read and are whole.
    pub pages: u64,
    /// Pages of the table.
    pub table_pages: u64,
    /// Slots of what was checked.
    pub slots_checked: u64,
    /// Named snapshots.
    pub named_snapshots: u64,
    /// Versions that only named snapshots need.
    pub named_versions: u64,
    /// Pages of the table that only named snapshots need.
    pub named_table_pages: u64,
    /// Trees.
    pub trees: u64,
    /// Entries in the trees.
    pub entries: u64,
    /// Whole records in the journal.
    pub records: u64,
    /// Whether the journal ends in a record that is not whole: no damage, for it was never acknowledged.
    pub torn_tail: bool,
    /// How often a newer checkpoint came meanwhile.
    pub moved: u32,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Runs `pent check`, and prints its report.
///
/// # Errors
/// When the file is no store or cannot be read, and if something is wrong, after the report.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let file = args.store.open()?;
    if let Some(new) = &args.repair_to {
        return super::repair::main(&file, new, context);
    }
    let report = run(&file, context)?;
    context.print(&report, text)?;
    verdict(&report.problems)
}

/// Checks everything.
///
/// # Errors
/// When the file is no store or cannot be read.
pub fn run(file: &StoreFile, context: &Context) -> Result<Report> {
    let journal = Journal::read(file)?;
    let (survey, forest) = survey(file, false, context)?;
    let slots = SlotMap::of(&survey.checkpoint);
    let named = &survey.checkpoint.named;
    let mut problems = problems(&survey, &forest);
    problems.extend(named.check(&survey.checkpoint, file, &context.interrupt)?);
    problems.extend(slots.problems.iter().chain(&journal.problems).cloned());
    Ok(Report {
        store: file.name().to_owned(),
        checkpoint: survey.checkpoint.timestamp().0,
        newest: journal.newest.0.max(survey.checkpoint.timestamp().0),
        file_bytes: survey.checkpoint.head.file_bytes,
        pages: survey.count(),
        table_pages: survey.checkpoint.table_pages.len() as u64,
        slots_checked: slots.count(|usage| usage != SlotUse::Unreferenced),
        named_snapshots: named.snapshots.len() as u64,
        named_versions: named.versions.len() as u64,
        named_table_pages: named.tables.len() as u64,
        trees: forest.trees.len() as u64,
        entries: forest.trees.iter().map(|tree| tree.entries).sum(),
        records: journal.files.iter().map(|file| file.records.len() as u64).sum(),
        torn_tail: journal.problems.is_empty() && journal.files.iter().any(|file| file.tail == Tail::Torn),
        moved: survey.moved,
        problems,
    })
}

fn text(report: &Report, look: Look) -> String {
    let mut facts = look.facts("Checked");
    facts.row("file", bytes(report.file_bytes), &report.store);
    let checked = format!("{} of slots", bytes(report.slots_checked * pentimento_storage::SLOT_BYTES as u64));
    facts.row("checkpoint", count(report.checkpoint), &checked);
    facts.row("table pages", count(report.table_pages), "");
    facts.row("pages", count(report.pages), "");
    facts.row("trees", count(report.trees), "the store's own included");
    facts.row("entries", count(report.entries), "");
    if report.named_snapshots > 0 {
        let alone = format!(
            "{} versions and {} table pages that only they need",
            count(report.named_versions),
            count(report.named_table_pages)
        );
        facts.row("named snapshots", count(report.named_snapshots), &alone);
    }
    let tail = if report.torn_tail { "and one at the end that is not whole, which was never acknowledged" } else { "" };
    facts.row("journal records", count(report.records), tail);
    let verdict = match report.problems.len() {
        0 => "Nothing is wrong.".to_owned(),
        1 => look.bad("A problem was found."),
        found => look.bad(&format!("{} problems were found.", count(found as u64))),
    };
    facts.finish() + "\n\n" + &verdict + "\n" + &problem_lines(&report.problems, look)
}
