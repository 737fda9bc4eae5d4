//! `pent journal`: the records of the journal, one by one.

use super::{StoreArg, help, problem_lines, verdict};
use crate::format::{bytes, count};
use crate::inspect::{Blob, Journal, JournalFile, Problem, RecordFacts, RecordState, SegmentState, StoreFile, Tail};
use crate::output::{Look, Mood};
use crate::{Context, Result};
use comfy_table::Cell;
use pentimento_txn::inspect::{Operation, operations};
use serde::Serialize;
use std::ops::Bound;

const AFTER_HELP: &str = help!(
    "\
The journal lies in files beside the store, STORE-journal-N. It holds commits
that are durable, but not in the data file yet; a clean close removes it.

States of a record:
  covered    the checkpoint has it; its place will be reused
  pending    opening the store would do it again
  given up   it stands behind a record that is missing; it was never
             acknowledged as durable

Examples:
  pent journal app.pent                  each record: commit, changes, bytes, state
  pent journal app.pent --operations     and what each commit did
  pent journal app.pent --pending        only what the checkpoint does not have"
);

/// List the records of the journal: commit, changes, bytes, state.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Show what each commit did, too
    #[arg(long)]
    operations: bool,

    /// Only records that opening would do again
    #[arg(long)]
    pending: bool,
}

/// What `pent journal` tells.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The newest commit in the data file.
    pub checkpoint: u64,
    /// The newest commit that opening would bring back.
    pub newest: u64,
    /// The files, in the order in which they were begun.
    pub files: Vec<FileReport>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// One file of the journal.
#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    /// Its name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// What it is.
    pub state: SegmentState,
    /// Grows with each segment that is begun.
    pub sequence: Option<u64>,
    /// The first commit that it was begun for.
    pub first: Option<u64>,
    /// How many whole records it has.
    pub records_total: u64,
    /// Those that were asked for.
    pub records: Vec<RecordReport>,
    /// Where its records end.
    pub end: u64,
    /// What stands there.
    pub tail: Tail,
}

/// One record.
#[derive(Clone, Debug, Serialize)]
pub struct RecordReport {
    /// What is known of it.
    #[serde(flatten)]
    pub facts: RecordFacts,
    /// What its commit did, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<OperationReport>>,
}

/// One operation.
#[derive(Clone, Debug, Serialize)]
pub struct OperationReport {
    /// What was done.
    pub operation: &'static str,
    /// The tree that it was done to, or its name before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
    /// The tree's name after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The key, or where a range begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Blob>,
    /// Where a range ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Blob>,
    /// The value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Blob>,
}

/// Runs `pent journal`, and prints its report.
///
/// # Errors
/// When a file cannot be read, and if something is damaged, after the report.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let report = run(args, &args.store.open()?, context)?;
    context.print(&report, text)?;
    verdict(&report.problems)
}

/// The records of the journal.
///
/// # Errors
/// When a file cannot be read.
pub fn run(args: &Args, file: &StoreFile, context: &Context) -> Result<Report> {
    // Whoever names a file that is no store hears of that, not of an empty journal.
    crate::inspect::Head::read(file)?;
    let journal = Journal::read(file)?;
    Ok(Report {
        checkpoint: journal.checkpoint.0,
        newest: journal.newest.0,
        files: journal.files.iter().map(|file| file_report(file, args, context)).collect(),
        problems: journal.problems.clone(),
    })
}

fn file_report(file: &JournalFile, args: &Args, context: &Context) -> FileReport {
    let wanted = file.records.iter().filter(|fact| !args.pending || fact.state == RecordState::Pending);
    let records = wanted.map(|fact| RecordReport {
        facts: *fact,
        operations: args.operations.then(|| operation_reports(file.body(fact).unwrap_or_default(), context)),
    });
    FileReport {
        file: file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        bytes: file.len,
        state: file.state,
        sequence: file.segment.map(|segment| segment.sequence),
        first: file.segment.map(|segment| segment.first.0),
        records_total: file.records.len() as u64,
        records: records.collect(),
        end: file.end,
        tail: file.tail,
    }
}

fn operation_reports(body: &[u8], context: &Context) -> Vec<OperationReport> {
    let mut tree = None;
    let mut reports = Vec::new();
    for operation in operations(body) {
        let report =
            |operation| OperationReport { operation, tree: tree.clone(), to: None, key: None, end: None, value: None };
        let show = |bytes: &[u8]| Some(context.show(bytes));
        let bound = |bound: Bound<&[u8]>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => show(key),
            Bound::Unbounded => None,
        };
        reports.push(match operation {
            Ok(Operation::Tree(name)) => {
                tree = Some(name.to_owned());
                continue;
            }
            Ok(Operation::Insert(key, value)) => {
                OperationReport { key: show(key), value: show(value), ..report("insert") }
            }
            Ok(Operation::Remove(key)) => OperationReport { key: show(key), ..report("remove") },
            Ok(Operation::RemoveRange(start, end)) => {
                OperationReport { key: bound(start), end: bound(end), ..report("remove range") }
            }
            Ok(Operation::Clear) => report("clear"),
            Ok(Operation::DropTree(name)) => OperationReport { tree: Some(name.to_owned()), ..report("drop tree") },
            Ok(Operation::RenameTree(from, to)) => {
                OperationReport { tree: Some(from.to_owned()), to: Some(to.to_owned()), ..report("rename tree") }
            }
            Ok(Operation::Origin(note)) => OperationReport { value: show(note), ..report("origin") },
            Ok(_) => report("unknown"),
            Err(_) => report("damaged"),
        });
    }
    reports
}

fn text(report: &Report, look: Look) -> String {
    let mut out = format!("The data file has all commits up to {}.\n", report.checkpoint);
    out += &match (report.files.len(), report.newest) {
        (0, _) => "There is no journal: the store was closed cleanly, or is new.\n".to_owned(),
        (_, newest) if newest == report.checkpoint => "The journal has nothing to add.\n".to_owned(),
        (_, newest) => format!("The journal adds those up to {newest}.\n"),
    };
    for file in &report.files {
        let what = match (file.state, file.sequence, file.first) {
            (SegmentState::Segment, Some(sequence), Some(first)) => format!("segment {sequence}, from commit {first}"),
            (SegmentState::Blank, ..) => "not begun".to_owned(),
            (SegmentState::Foreign, ..) => "of another store".to_owned(),
            _ => "damaged".to_owned(),
        };
        out += &format!("\n{}\n", look.title(&format!("{} ({}): {what}", file.file, bytes(file.bytes))));
        let mut table = look.table();
        table.set_header(look.headings(&["commit", "byte", "bytes", "set", "removed", "other", "durable", "state"]));
        for RecordReport { facts, operations } in &file.records {
            let (state, mood) = match facts.state {
                RecordState::Covered => ("covered", Mood::Plain),
                RecordState::Pending => ("pending", Mood::Good),
                RecordState::GivenUp => ("given up", Mood::Bad),
            };
            table.add_row(vec![
                Cell::new(facts.timestamp),
                look.figure(count(facts.offset), Mood::Plain),
                look.figure(count(facts.bytes), Mood::Plain),
                look.figure(count(facts.inserts), Mood::Plain),
                look.figure(count(facts.removes), Mood::Plain),
                look.figure(count(facts.others), Mood::Plain),
                look.figure(count(facts.durable), Mood::Plain),
                look.figure(state, mood),
            ]);
            if let Some(operations) = operations {
                // A table for each record, with what it did below.
                out += &table.trim_fmt();
                out.push('\n');
                for operation in operations {
                    out += &format!("   {}\n", operation_line(operation));
                }
                table = look.table();
            }
        }
        if table.row_count() > 0 {
            out += &table.trim_fmt();
            out.push('\n');
        }
        out += &format!("{} records, up to byte {}", count(file.records_total), count(file.end));
        out += match file.tail {
            Tail::Clean => "\n",
            Tail::Old => "; behind them, what an earlier life of the file left\n",
            Tail::Torn => "; behind them, a record that is not whole (a torn tail)\n",
        };
    }
    out + &problem_lines(&report.problems, look)
}

fn operation_line(operation: &OperationReport) -> String {
    let mut line = operation.operation.to_owned();
    if let Some(tree) = &operation.tree {
        line += &format!(" {tree:?}");
    }
    if let Some(to) = &operation.to {
        line += &format!(" to {to:?}");
    }
    if let Some(key) = &operation.key {
        line += &format!(" {key:.40}");
    }
    if let Some(end) = &operation.end {
        line += &format!(" .. {end:.40}");
    }
    if let Some(value) = &operation.value {
        line += &format!(" = {value:.40}");
    }
    line
}
