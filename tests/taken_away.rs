//! Files that somebody takes away while the store is open: commits are refused with a clear error, nobody is told that something is durable
//! which is not, and readers go on.

use pentimento::{Database, Error};
use std::path::Path;
use std::time::Duration;

fn put(db: &Database, key: u32) -> Result<(), Error> {
    let mut txn = db.begin_write()?;
    txn.tree("t")?.insert(key.to_be_bytes(), b"value")?;
    txn.commit().map(drop)
}

/// Opens a store with a commit, takes something away, and tells how the next commit fails.
fn failure(take_away: impl FnOnce(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = Database::open(&path).unwrap();
    put(&db, 1).unwrap();
    let snapshot = db.snapshot().unwrap();
    take_away(&path);
    // The files are looked at ten times a second.
    std::thread::sleep(Duration::from_millis(150));
    let error = put(&db, 2).unwrap_err();
    assert!(matches!(&error, Error::OutcomeUnknown { .. }), "{error}");
    assert!(matches!(put(&db, 3), Err(Error::Poisoned(_))), "writers are refused from then on");
    assert!(matches!(db.begin_write(), Err(Error::Poisoned(_))));
    assert_eq!(snapshot.tree("t").unwrap().get(1u32.to_be_bytes()).unwrap(), Some(b"value".as_slice()));
    assert_eq!(db.snapshot().unwrap().tree("t").unwrap().len().unwrap(), 1, "what was not durable is not seen");
    drop(snapshot);
    assert!(db.close().is_err(), "closing tells that something is lost");
    error.to_string()
}

#[test]
fn a_removed_store_is_noticed() {
    let error = failure(|path| std::fs::remove_file(path).unwrap());
    assert!(error.contains("store.pent") && error.contains("removed or moved by somebody else"), "{error}");
}

#[test]
fn a_removed_journal_is_noticed() {
    let error = failure(|path| std::fs::remove_file(path.with_file_name("store.pent-journal-1")).unwrap());
    assert!(error.contains("journal") && error.contains("removed by somebody else"), "{error}");
}

#[test]
fn a_truncated_store_is_noticed() {
    let error = failure(|path| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        // What lies behind the metas is still in memory here: nothing that was cut off is read.
        file.set_len(file.metadata().unwrap().len() - 2048).unwrap();
    });
    assert!(error.contains("store.pent") && error.contains("truncated by somebody else"), "{error}");
}
