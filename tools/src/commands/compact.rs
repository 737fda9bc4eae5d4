//! `pent compact`: makes the file of a store as short as it can be.

use super::help;
use crate::format::{bytes, count};
use crate::inspect::StoreFile;
use crate::{Context, Error, Result};
use pentimento::Database;
use serde::Serialize;
use std::path::PathBuf;

/// How much is done between two looks at the progress, in bytes.
const STEP: u64 = 2 << 20;

const AFTER_HELP: &str = help!(
    "\
It opens the store, as a program would: so it is refused while a program has it
open, and a store that was not closed cleanly is recovered first. Thin pages are
merged, what lies high in the file is copied to free places below, and the free
tail is cut off. It is done in small commits: interrupted at any moment, by a loss
of power too, the store is whole, and what was won stays won. It takes little
room of its own, 8 MiB and the page table's at most; `pent copy` needs as much
again as the store has, but leaves the old one as it is.

A program can do the same to the store that it has open, while it goes on reading
and writing: `Database::compact` and `Database::compact_in_background`.

Examples:
  pent compact app.pent            make it as short as it can be
  pent compact app.pent --json     and tell the figures to a program
  pent info app.pent               how much of the file is free?"
);

/// Make the file of a store as short as it can be.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    /// The file of the store; nobody else may have it open
    #[arg(value_name = "STORE")]
    store: PathBuf,
}

/// What `pent compact` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The length of the file before, in bytes.
    pub bytes_before: u64,
    /// The length of the file now, in bytes.
    pub bytes_after: u64,
    /// What was copied to lower places, in bytes of the file.
    pub bytes_moved: u64,
    /// Tree nodes that were written anew as fewer ones: the bytes that these take.
    pub bytes_merged: u64,
    /// How many tree nodes there are less by that.
    pub nodes_saved: u64,
    /// Commits that it took.
    pub commits: u64,
}

/// Runs `pent compact`, and says what it did.
///
/// # Errors
/// When the store cannot be opened, is damaged or fails, or the user asks to stop; the store is whole then, and what was won stays won.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    // To open a store for writing makes one where there is none.
    let file = StoreFile::open(&args.store)?;
    let bytes_before = file.len()?;
    if bytes_before == 0 {
        return Err(Error::Unreadable(format!("{} is empty, not a store", file.name())));
    }
    drop(file);
    let db = Database::open(&args.store)?;
    let done = compact(&db, context);
    // Whatever happened: what was won is cut off.
    db.close()?;
    let mut report = done?;
    report.bytes_before = bytes_before;
    report.bytes_after = StoreFile::open(&args.store)?.len()?;
    context.print(&report, |report, _| {
        let (before, after) = (bytes(report.bytes_before), bytes(report.bytes_after));
        let (merged, moved) = (bytes(report.bytes_merged), bytes(report.bytes_moved));
        let saved = count(report.nodes_saved);
        format!("{before} became {after}: {saved} pages less by merging into {merged}, {moved} moved\n")
    })
}

/// Compacts an open store, and shows how far it is.
///
/// # Errors
/// When the store is damaged or fails, or the user asks to stop.
pub fn compact(db: &Database, context: &Context) -> Result<Report> {
    let mut compactor = db.compactor()?;
    let meter = context.meter("compacting");
    loop {
        if context.interrupt.check().is_err() {
            let now = compactor.progress();
            let won = bytes(now.bytes_before.saturating_sub(now.bytes_now));
            return Err(Error::Interrupted(format!("{won} were won so far, and the store is whole")));
        }
        let before = compactor.progress().bytes_moved + compactor.progress().bytes_merged;
        let now = compactor.step(STEP)?;
        let done = now.bytes_moved + now.bytes_merged;
        // At best everything that is left is written once.
        meter.seen(done - before, done.max(now.bytes_aimed));
        if now.is_done {
            return Ok(Report {
                bytes_before: now.bytes_before,
                bytes_after: now.bytes_now,
                bytes_moved: now.bytes_moved,
                bytes_merged: now.bytes_merged,
                nodes_saved: now.nodes_saved,
                commits: now.commits,
            });
        }
    }
}
