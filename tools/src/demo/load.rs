//! Fills the store with what a walk finds.

use super::progress::Progress;
use super::record::Record;
use super::report::LoadReport;
use super::totals::Changes;
use super::walk::{Found, Walk};
use crate::{Interrupt, Result};
use pentimento::{Database, Durability};
use std::path::Path;
use std::time::{Duration, Instant};

/// The tree of the files.
pub(crate) const TREE: &str = "files";
/// How many files one transaction stores.
const BATCH: usize = 1_000;
/// Disks that are cold or far away must not make the demo endless: what has been read by then will do.
const PATIENCE: Duration = Duration::from_secs(40);

/// Why the walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    EnoughFiles,
    EnoughTime,
}

/// What was stored, and the keys of it.
pub(crate) struct Loaded {
    pub report: LoadReport,
    pub keys: Vec<Box<[u8]>>,
}

/// Stores at most `limit` files of a folder, and makes them durable.
pub(crate) fn load(
    db: &Database,
    folder: &Path,
    limit: u64,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Result<Loaded> {
    let began = Instant::now();
    let mut walk = Walk::new(folder);
    let mut storing = Duration::ZERO;
    let mut batch: Vec<Found> = Vec::with_capacity(BATCH);
    let mut keys = Vec::new();
    let mut bytes = 0_u64;
    let end = loop {
        interrupt.check()?;
        let end = if keys.len() as u64 + batch.len() as u64 >= limit {
            Some(End::EnoughFiles)
        } else if began.elapsed() > PATIENCE {
            Some(End::EnoughTime)
        } else {
            match walk.next() {
                Some(found) => {
                    bytes = bytes.saturating_add(found.record.size);
                    batch.push(found);
                    None
                }
                None => Some(End::Complete),
            }
        };
        if batch.len() == BATCH || end.is_some() {
            let from = Instant::now();
            store(db, &batch)?;
            storing += from.elapsed();
            keys.extend(batch.drain(..).map(|found| found.path));
            progress.loaded(keys.len() as u64);
        }
        if let Some(end) = end {
            break end;
        }
    };
    let from = Instant::now();
    db.flush()?;
    storing += from.elapsed();

    let files = keys.len() as u64;
    let store_seconds = storing.as_secs_f64();
    let report = LoadReport {
        files,
        bytes,
        skipped: walk.skipped(),
        complete: end == End::Complete,
        note: match end {
            End::Complete => None,
            End::EnoughFiles => Some(format!("there may be more files: the limit of {limit} was reached")),
            End::EnoughTime => Some(format!("there are more files: {} s of reading were enough", PATIENCE.as_secs())),
        },
        seconds: began.elapsed().as_secs_f64(),
        store_seconds,
        files_per_second: files as f64 / began.elapsed().as_secs_f64(),
        store_files_per_second: files as f64 / store_seconds,
    };
    Ok(Loaded { report, keys })
}

fn store(db: &Database, batch: &[Found]) -> Result<()> {
    let mut txn = db.begin_write()?;
    // One flush at the end makes all of it durable.
    txn.set_durability(Durability::None)?;
    let mut changes = Changes::default();
    let mut files = txn.tree(TREE)?;
    for Found { path, record } in batch {
        // Not blind: were a path to come twice, it would count once.
        match files.replace(path, record.encode())?.as_deref().and_then(Record::decode) {
            Some(old) => changes.resized(path, old.size, record.size),
            None => changes.added(path, record.size),
        }
    }
    changes.store(&mut txn)?;
    txn.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::analysis::analyse;
    use std::fs;

    fn folder(files: usize) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for index in 0..files {
            fs::write(dir.path().join(format!("{index}.t{}", index % 3)), vec![1; index]).unwrap();
        }
        dir
    }

    #[test]
    fn everything_in_the_folder_is_stored_once_with_totals_that_agree() {
        let dir = folder(BATCH + 7);
        let db = Database::in_memory().unwrap();
        let loaded = load(&db, dir.path(), u64::MAX, &Interrupt::default(), &Progress::hidden()).unwrap();
        let files = BATCH as u64 + 7;
        assert_eq!((loaded.report.files, loaded.keys.len() as u64), (files, files));
        assert_eq!(loaded.report.bytes, files * (files - 1) / 2);
        assert!(loaded.report.complete);
        let answer = analyse(&db.snapshot().unwrap(), &Interrupt::default()).unwrap();
        assert_eq!((answer.entries, answer.bytes, answer.disagreement()), (files, loaded.report.bytes, None));
        assert_eq!(db.snapshot().unwrap().tree(TREE).unwrap().len().unwrap(), files);
    }

    #[test]
    fn the_limit_holds_and_is_told() {
        let dir = folder(20);
        let db = Database::in_memory().unwrap();
        let loaded = load(&db, dir.path(), 5, &Interrupt::default(), &Progress::hidden()).unwrap();
        assert_eq!((loaded.report.files, loaded.report.complete), (5, false));
        assert!(loaded.report.note.is_some());
    }

    #[test]
    fn an_interrupt_ends_it() {
        let dir = folder(3);
        let db = Database::in_memory().unwrap();
        let interrupt = Interrupt::default();
        interrupt.ask();
        assert!(load(&db, dir.path(), 5, &interrupt, &Progress::hidden()).is_err());
    }
}
