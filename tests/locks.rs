//! Who may open a file beside whom.
//!
//! Invariants: one that writes and nobody else, or many that only read; in one process as between two; until the last that reads from the mapping has
//! gone, be it a snapshot, an iterator or a value, and the write transaction has ended. What is refused says which file.

mod common;

use common::assert_clean;
use pentimento::{Builder, Database, Error};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names the file to the other process.
const PATH_VARIABLE: &str = "PENTIMENTO_TEST_LOCKED_PATH";

fn read_only() -> Builder {
    Database::builder().read_only(true)
}

#[track_caller]
fn assert_locked(builder: Builder, path: &Path) {
    match builder.open(path) {
        Err(error @ Error::Locked { .. }) => {
            assert!(error.is_retryable());
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            assert!(matches!(error, Error::Locked { path: named } if named == path));
        }
        other => panic!("{other:?}"),
    }
}

/// One test at a time: a process that is just being started holds what was open in this one, locks too, until it runs its own program.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn store() -> (tempfile::TempDir, PathBuf, Database) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("locked.pent");
    let db = Database::open(&path).unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.tree("t").unwrap().insert(b"k", b"v").unwrap();
    txn.commit().unwrap();
    (dir, path, db)
}

#[test]
fn one_writes_alone_and_many_read() {
    let _alone = alone();
    let (_dir, path, db) = store();
    assert_locked(Builder::default(), &path);
    assert_locked(read_only(), &path);
    let clone = db.clone();
    db.close().unwrap();
    assert_locked(read_only(), &path);
    clone.close().unwrap();

    let (one, other) = (read_only().open(&path).unwrap(), read_only().open(&path).unwrap());
    assert_locked(Builder::default(), &path);
    for db in [&one, &other] {
        assert_eq!(db.snapshot().unwrap().tree("t").unwrap().get(b"k").unwrap(), Some(b"v".as_slice()));
        for begun in [db.begin_write(), db.try_begin_write()] {
            assert!(matches!(begun, Err(Error::ReadOnly)));
        }
        assert!(matches!(db.checkpoint(), Err(Error::ReadOnly)));
        db.maintain().unwrap();
        assert_clean(db);
    }
    one.close().unwrap();
    assert_locked(Builder::default(), &path);
    drop(other);
    assert_clean(&Database::open(&path).unwrap());
}

#[test]
fn reading_only_leaves_the_file_as_it_is() {
    let _alone = alone();
    let (_dir, path, db) = store();
    // A copy of a store that was never closed, so that there would be something to tidy up.
    let unclean = path.with_extension("copy");
    std::fs::copy(&path, &unclean).unwrap();
    db.close().unwrap();
    for path in [&path, &unclean] {
        let before = std::fs::read(path).unwrap();
        let db = read_only().open(path).unwrap();
        assert_clean(&db);
        db.maintain().unwrap();
        db.close().unwrap();
        assert!(std::fs::read(path).unwrap() == before, "{} was written", path.display());
    }
    let missing = path.with_extension("missing");
    match read_only().open(&missing) {
        Err(Error::Io { path, source, .. }) => {
            assert_eq!((path, source.kind()), (missing.clone(), std::io::ErrorKind::NotFound));
        }
        other => panic!("{other:?}"),
    }
    assert!(!missing.exists());
}

#[test]
fn whatever_still_reads_keeps_the_file_locked() {
    let _alone = alone();
    let (_dir, path, db) = store();
    let snapshot = db.snapshot().unwrap();
    db.close().unwrap();
    assert_locked(Builder::default(), &path);
    assert_eq!(snapshot.tree("t").unwrap().get(b"k").unwrap(), Some(b"v".as_slice()));
    let value = snapshot.tree("t").unwrap().get_bytes(b"k").unwrap().unwrap();
    let mut range = snapshot.tree("t").unwrap().range_owned(..);
    drop(snapshot);
    assert_locked(Builder::default(), &path);
    assert_eq!(value, b"v".as_slice());
    drop(value);
    assert_locked(Builder::default(), &path);
    assert_eq!(range.next().unwrap().unwrap().0, b"k");
    drop(range);
    assert_clean(&Database::open(&path).unwrap());
}

#[test]
fn a_write_transaction_keeps_the_file_open_and_locked() {
    let _alone = alone();
    let (_dir, path, db) = store();
    let mut txn = db.begin_write().unwrap();
    db.close().unwrap();
    assert_locked(Builder::default(), &path);
    txn.tree("t").unwrap().insert(b"after closing", b"v").unwrap();
    txn.commit().unwrap();
    let db = Database::open(&path).unwrap();
    assert_eq!(db.snapshot().unwrap().tree("t").unwrap().len().unwrap(), 2);
    assert_clean(&db);
}

#[test]
fn another_process_finds_it_locked() {
    let _alone = alone();
    let (_dir, path, db) = store();
    let ask = |name: &str| {
        let program = std::env::current_exe().unwrap();
        let output =
            Command::new(program).args(["--ignored", "--exact", name]).env(PATH_VARIABLE, &path).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
    };
    ask("another_process_is_refused");
    let snapshot = db.snapshot().unwrap();
    db.close().unwrap();
    ask("another_process_is_refused");
    drop(snapshot);
    ask("another_process_writes");
    let db = Database::open(&path).unwrap();
    assert_eq!(db.snapshot().unwrap().trees().unwrap(), ["t", "the other's"]);
    assert_clean(&db);
}

fn path_from_parent() -> PathBuf {
    std::env::var_os(PATH_VARIABLE).expect("the parent names the file").into()
}

#[test]
#[ignore = "the other process of another_process_finds_it_locked"]
fn another_process_is_refused() {
    assert_locked(Builder::default(), &path_from_parent());
    assert_locked(read_only(), &path_from_parent());
}

#[test]
#[ignore = "the other process of another_process_finds_it_locked"]
fn another_process_writes() {
    let db = Database::open(path_from_parent()).unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.tree("the other's").unwrap();
    txn.commit().unwrap();
    db.close().unwrap();
}
