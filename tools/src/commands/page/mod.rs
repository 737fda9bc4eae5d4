//! `pent page`: one page, or whatever is in one slot, to the last byte.

mod dump;
mod find;
mod text;

use super::{StoreArg, help, verdict};
use crate::inspect::{Checkpoint, Decoded, Kind, Problem, StoreFile};
use crate::{Context, Result};
pub use dump::DumpLine;
use find::Shown;
use pentimento_storage::Timestamp;
use serde::Serialize;
use std::str::FromStr;

const AFTER_HELP: &str = help!(
    "\
Regions of the dump: the version header, then the header of the node, the prefix
that its keys share, heads (the first 4 bytes of each key), children, slots
(where each cell begins), spare room in these arrays, the cells with the entry
that each belongs to, and gaps that no entry uses.

A leaf that has a delta is shown as it was when it was written; its delta, on
the page after it, has heads and slots for all of its entries as they are now,
and the cells that are newer than the leaf.

Examples:
  pent page app.pent 12                 page 12: fields and entries
  pent page app.pent 12 --hex           and its bytes, with their meaning
  pent page app.pent slot:4             whatever lies in slot 4
  pent page app.pent slot:0             a meta
  pent page app.pent 12 --at 1000       as it was at commit 1000, if the file
                                        still has it"
);

/// Show a page field by field, with its entries, and its bytes with --hex.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// The number of the page, or slot:N
    #[arg(value_name = "ID|slot:N")]
    target: Target,

    /// The page as it was at this commit, if the file still has it
    #[arg(long, value_name = "TIMESTAMP")]
    at: Option<u64>,

    /// Show the bytes, with their meaning
    #[arg(long)]
    hex: bool,
}

/// What is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A page.
    Page(u32),
    /// Whatever is in a slot.
    Slot(u64),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let wrong = |_| format!("{text:?} is neither the number of a page nor slot:N");
        match text.strip_prefix("slot:") {
            Some(slot) => slot.parse().map(Target::Slot).map_err(wrong),
            None => text.parse().map(Target::Page).map_err(wrong),
        }
    }
}

/// Where what is shown comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The newest checkpoint: the page table has its checksum.
    Checkpoint,
    /// What only named snapshots need: their page tables have its checksum.
    Named,
    /// Slots that neither the newest checkpoint nor a named snapshot refers to: no checksum proves it.
    Unreferenced,
    /// The page table itself.
    Table,
    /// The list of named snapshots.
    NamedList,
    /// A meta slot.
    Meta,
}

/// What `pent page` tells.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The newest commit of the checkpoint.
    pub checkpoint: u64,
    /// The page, if it is one.
    pub page: Option<u32>,
    /// The tree of the page, by its header.
    pub tree: Option<String>,
    /// Where it comes from.
    pub source: Source,
    /// The named snapshots that need it, if only such do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// Its first slot; nothing for a register.
    pub slot: Option<u64>,
    /// How many slots.
    pub slots: u64,
    /// What the page table says of it.
    pub entry: Option<String>,
    /// The delta of a leaf that has one, or the leaf of a delta.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beside: Option<Beside>,
    /// Its fields, entries and regions.
    pub decoded: Decoded,
    /// Its bytes, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dump: Option<Vec<DumpLine>>,
    /// What is not shown, because it is too long.
    pub cut_bytes: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// The page beside one, the two being a leaf and its delta.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Beside {
    /// Its number.
    pub page: u32,
    /// Which of the two it is.
    pub kind: Kind,
    /// How many entries they have together.
    pub entries: usize,
}

/// Runs `pent page`, and prints its report.
///
/// # Errors
/// When the file is no store or cannot be read, there is no such page, and if it is damaged, after the report.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let report = run(&args.store.open()?, args.target, args.at.map(Timestamp), args.hex, context)?;
    context.print(&report, text::text)?;
    verdict(&report.problems)
}

/// A page, or whatever is in a slot.
///
/// # Errors
/// When the file is no store or cannot be read, or there is no such page or slot.
pub fn run(file: &StoreFile, target: Target, at: Option<Timestamp>, hex: bool, context: &Context) -> Result<Report> {
    let mut before = None;
    // A page that was overwritten meanwhile is looked up again; one that the newer checkpoint has in the same place is damaged.
    loop {
        let checkpoint = Checkpoint::read(file)?;
        let found = Shown::find(file, &checkpoint, target, at)?;
        let Some((job, _)) = &found.failure else { return found.report(file, &checkpoint, hex, context) };
        if before == Some(*job) || Checkpoint::read(file)?.head.sequence() == checkpoint.head.sequence() {
            return found.report(file, &checkpoint, hex, context);
        }
        before = Some(*job);
    }
}
