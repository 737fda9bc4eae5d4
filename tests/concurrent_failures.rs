//! What a disk that fails or is full does to concurrent transactions: an error that says so, nothing half done, nobody left behind in the accounts.
//!
//! Strategy: the faults of `tests/poison.rs` while concurrent transactions are open, validated, committing, or tried again by `transact`.

mod common;
#[path = "common/crash.rs"]
mod crash;
#[path = "common/frail.rs"]
mod frail;
#[path = "common/obstructed_logs.rs"]
mod obstructed_logs;

use common::assert_clean;
use crash::keys;
use frail::FrailMedium;
use obstructed_logs::{Fault, FrailLogs, GateLogs};
use pentimento::{ConcurrentTransaction, Database, Durability, Error, Isolation};
use std::time::Duration;

const BOTH: [Isolation; 2] = [Isolation::Snapshot, Isolation::Serializable];

struct Disk {
    medium: FrailMedium,
    logs: FrailLogs,
    _dir: tempfile::TempDir,
}

impl Disk {
    fn new() -> (Disk, Database) {
        let dir = tempfile::tempdir().unwrap();
        let medium = FrailMedium::with_limit(32 << 20);
        let logs = FrailLogs::beside(&dir.path().join("store.pent"));
        let disk = Disk { medium, logs, _dir: dir };
        let db = disk.open(true);
        crash::put(&db, 0, b"acknowledged", Durability::Sync);
        (disk, db)
    }

    fn open(&self, create: bool) -> Database {
        let builder = Database::builder().page_size(4096).journal_segment(16 << 10);
        builder.open_on(Box::new(self.medium.clone()), Some(Box::new(self.logs.clone())), create).unwrap()
    }

    /// Opens again on a disk that is well.
    fn reopen(&self, db: Database) -> Database {
        self.logs.set_fault(Fault::None);
        self.medium.fail_syncs(false);
        self.medium.fail_writes(false);
        self.medium.set_limit(32 << 20);
        let _ = db.close();
        self.open(false)
    }
}

fn writes(db: &Database, isolation: Isolation, key: u32) -> ConcurrentTransaction {
    let mut txn = db.begin_concurrent(isolation).unwrap();
    txn.tree("t").unwrap().insert(key.to_be_bytes(), b"value").unwrap();
    txn
}

#[test]
fn after_a_failed_sync_the_outcome_is_unknown_and_all_others_are_told() {
    for isolation in BOTH {
        let (disk, db) = Disk::new();
        let (one, two, reader) =
            (writes(&db, isolation, 1), writes(&db, isolation, 2), db.begin_concurrent(isolation).unwrap());
        disk.logs.set_fault(Fault::Syncs);
        match one.commit() {
            Err(error @ Error::OutcomeUnknown { .. }) => {
                assert!(!error.is_retryable(), "a second try could do it twice")
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(two.commit(), Err(Error::Poisoned(_))));
        assert!(reader.commit().is_ok(), "what it read was durable");
        assert!(matches!(db.begin_concurrent(isolation), Err(Error::Poisoned(_))));
        let mut runs = 0;
        let refused = db.transact(isolation, |_| {
            runs += 1;
            Ok(())
        });
        assert!(matches!(refused, Err(Error::Poisoned(_))) && runs == 0);
        assert_eq!(keys(&db), [0], "what is in doubt is not seen");
        let stats = db.concurrency_stats();
        assert_eq!((stats.running, stats.footprint_bytes, stats.commits), (0, 0, 0));
        let db = disk.reopen(db);
        let found = keys(&db);
        assert!(found == [0] || found == [0, 1], "all or nothing: {found:?}");
        writes(&db, isolation, 3).commit().unwrap();
        assert_clean(&db);
    }
}

/// A transaction sees commits that are just becoming durable; its own commit, even without changes, waits until they are.
#[test]
fn what_was_read_is_durable_when_the_commit_returns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.pent");
    let logs = GateLogs::beside(&path);
    let db = Database::builder()
        .open_on(Box::new(FrailMedium::with_limit(32 << 20)), Some(Box::new(logs.clone())), true)
        .unwrap();
    crash::put(&db, 0, b"durable", Durability::Sync);
    logs.close_gate();
    std::thread::scope(|scope| {
        let strict = scope.spawn(|| crash::put(&db, 1, b"becoming durable", Durability::Sync));
        logs.wait_for_arrival();
        assert_eq!(keys(&db), [0], "no snapshot shows it yet");
        let mut reader = db.begin_concurrent(Isolation::Serializable).unwrap();
        assert!(reader.tree("t").unwrap().contains_key(1u32.to_be_bytes()).unwrap());
        // Not a conflict with what it saw, though that was not published when it began.
        let mut writer = writes(&db, Isolation::Serializable, 2);
        assert_eq!(writer.base(), reader.base());
        assert_eq!(writer.tree("t").unwrap().len().unwrap(), 3);
        let (read, written) = (scope.spawn(|| reader.commit()), scope.spawn(|| writer.commit()));
        std::thread::sleep(Duration::from_millis(200));
        assert!(!strict.is_finished() && !read.is_finished() && !written.is_finished(), "they wait for the sync");
        logs.open_gate();
        let at = strict.join().unwrap();
        assert_eq!((read.join().unwrap().unwrap(), written.join().unwrap().unwrap()), (at, at.next()));
    });
    assert_eq!(keys(&db), [0, 1, 2]);
    assert_clean(&db);
}

#[test]
fn a_full_disk_is_told_and_changes_nothing() {
    for isolation in BOTH {
        let (disk, db) = Disk::new();
        let mut txn = db.begin_concurrent(isolation).unwrap();
        // Too large for the journal, and for the file.
        txn.tree("large").unwrap().insert(b"k", vec![7; 8 << 20]).unwrap();
        disk.medium.set_limit(1 << 20);
        let full = txn.commit().unwrap_err();
        assert!(matches!(full, Error::DiskFull { .. }) && full.is_retryable(), "{full}");
        let mut runs = 0;
        let refused = db.transact(isolation, |txn| {
            runs += 1;
            txn.tree("large")?.insert(b"k", vec![7; 8 << 20])
        });
        assert!(matches!(refused, Err(Error::DiskFull { .. })) && runs == 1, "only conflicts are tried again");
        assert_eq!(db.concurrency_stats().running, 0);
        // Small ones go on.
        writes(&db, isolation, 1).commit().unwrap();
        assert_eq!(keys(&db), [0, 1]);
        assert!(!db.snapshot().unwrap().has_tree("large").unwrap());
        disk.medium.set_limit(64 << 20);
        let mut txn = db.begin_concurrent(isolation).unwrap();
        txn.tree("large").unwrap().insert(b"k", vec![7; 8 << 20]).unwrap();
        txn.commit().unwrap();
        assert_clean(&db);
    }
}

#[test]
fn a_store_for_reading_takes_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read.pent");
    Database::open(&path).unwrap().close().unwrap();
    let db = Database::builder().read_only(true).open(&path).unwrap();
    assert!(matches!(db.begin_concurrent(Isolation::Snapshot), Err(Error::ReadOnly)));
    assert!(matches!(db.transact(Isolation::Snapshot, |_| Ok(())), Err(Error::ReadOnly)));
}
