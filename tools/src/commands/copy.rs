//! `pent copy`: a compact copy of a store.

use super::{StoreArg, help};
use crate::format::{bytes, count};
use crate::inspect::{Session, StoreFile, ViewError, with_session};
use crate::{Context, Error, Result};
use pentimento::{Database, Durability};
use serde::Serialize;
use std::ops::Bound;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = help!(
    "\
The copy has the entries of one moment, those that only the journal has too,
in full pages in the order of their keys, and no free space. The store that is
copied may be in use.

Examples:
  pent copy app.pent compact.pent      a copy of everything
  pent copy app.pent part.pent --tree orders --tree customers"
);

/// Copy a store into a new one, compactly.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// The file of the new store, which must not exist yet
    #[arg(value_name = "NEW")]
    new: PathBuf,

    /// Only this tree; can be given several times
    #[arg(long, value_name = "NAME")]
    tree: Vec<String>,
}

/// What `pent copy` did.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The newest commit that was copied.
    pub timestamp: u64,
    /// Trees.
    pub trees: u64,
    /// Their entries.
    pub entries: u64,
    /// The length of the file that was copied.
    pub bytes_before: u64,
    /// The length of the copy.
    pub bytes_after: u64,
}

/// Runs `pent copy`, and says what it did.
///
/// # Errors
/// When the store cannot be read or is damaged, or the copy cannot be written; then nothing is left of it.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let file = args.store.open()?;
    let report = copy(&file, &args.new, &args.tree, context)?;
    context.print(&report, |report, _| {
        let (before, after) = (bytes(report.bytes_before), bytes(report.bytes_after));
        let (entries, trees) = (count(report.entries), count(report.trees));
        format!("{entries} entries in {trees} trees, as of commit {}: {before} became {after}\n", report.timestamp)
    })
}

/// Copies trees, all if none is named, into a new store.
///
/// # Errors
/// When the store cannot be read or is damaged, or the copy cannot be written; then nothing is left of it.
pub fn copy(file: &StoreFile, new: &Path, trees: &[String], context: &Context) -> Result<Report> {
    refuse_existing(new)?;
    let done = with_session(file, true, |session| {
        let db = Database::builder().durability(Durability::None).page_size(page_size(session)).open(new);
        let db = db.map_err(Error::from)?;
        let names = if trees.is_empty() { session.trees()? } else { trees.to_vec() };
        let mut entries = 0;
        for name in &names {
            entries += copy_tree(session, &db, name, context)?;
        }
        let bytes_before = session.view().checkpoint().head.file_bytes;
        let timestamp = session.timestamp().0;
        db.close().map_err(Error::from)?;
        Ok(Report { timestamp, trees: names.len() as u64, entries, bytes_before, bytes_after: 0 })
    });
    match done {
        Ok(mut report) => {
            report.bytes_after = StoreFile::open(new)?.len()?;
            Ok(report)
        }
        Err(error) => {
            // We made it, and it is of no use.
            let _ = std::fs::remove_file(new);
            Err(error)
        }
    }
}

/// A new store begins where there is no file.
pub(crate) fn refuse_existing(new: &Path) -> Result<()> {
    match new.symlink_metadata() {
        Ok(_) => Err(Error::Usage(format!("{} exists already; choose another path", new.display()))),
        Err(_) => Ok(()),
    }
}

fn page_size(session: &Session<'_>) -> usize {
    session.view().checkpoint().page_size() as usize
}

fn copy_tree(session: &mut Session<'_>, db: &Database, name: &str, context: &Context) -> Result<u64, ViewError> {
    let mut entries = session.entries(name, (Bound::<&[u8]>::Unbounded, Bound::Unbounded), false)?;
    let mut txn = db.begin_write().map_err(Error::from)?;
    let mut failure = None;
    let mut copied = 0;
    let walk = std::iter::from_fn(|| {
        let next = context.interrupt.check().map_err(ViewError::from).and_then(|()| entries.next(session));
        match next {
            Ok(next) => {
                copied += u64::from(next.is_some());
                next
            }
            Err(error) => {
                failure = Some(error);
                None
            }
        }
    });
    txn.tree(name).and_then(|mut tree| tree.bulk_load(walk)).map_err(Error::from)?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    txn.commit().map_err(Error::from)?;
    Ok(copied)
}
