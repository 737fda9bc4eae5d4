//! After a failure of the disk nobody is told that a commit is durable, nobody waits for ever, and nobody is left in doubt without being told so.
//!
//! Strategy: a journal and a data file that fail on demand, at each step of a commit; then everything that a user may call is called, and the store is opened again.
//!
//! Invariants: an error before a commit is installed leaves the store as it was; one after that is [`Error::OutcomeUnknown`] with the commit's timestamp, and the store takes no
//! more writes: not those of a transaction that began before the failure either. Whatever waits for durability ends. After opening again all that was
//! acknowledged is there, and of what was not, all or nothing.

mod common;
#[path = "common/crash.rs"]
mod crash;
#[path = "common/frail.rs"]
mod frail;
#[path = "common/obstructed_logs.rs"]
mod obstructed_logs;

use common::assert_clean;
use crash::{crash, keys, put};
use frail::FrailMedium;
use obstructed_logs::{Fault, FrailLogs};
use pentimento::{Builder, Database, Durability, Error, Timestamp, WriteTransaction};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Longer than anything takes that ends.
const FOR_EVER: Duration = Duration::from_secs(20);

/// A store that has acknowledged key 0.
struct Store {
    medium: FrailMedium,
    logs: Option<FrailLogs>,
    db: Database,
    dir: tempfile::TempDir,
}

fn open(medium: &FrailMedium, logs: Option<&FrailLogs>, create: bool) -> Database {
    open_with(&Database::builder(), medium, logs, create)
}

fn open_with(builder: &Builder, medium: &FrailMedium, logs: Option<&FrailLogs>, create: bool) -> Database {
    let builder = builder.clone().page_size(4096).journal_segment(16 << 10);
    let logs = logs.map(|logs| Box::new(logs.clone()) as Box<_>);
    builder.open_on(Box::new(medium.clone()), logs, create).unwrap()
}

impl Store {
    fn new(is_journaled: bool) -> Store {
        let dir = tempfile::tempdir().unwrap();
        let medium = FrailMedium::with_limit(32 << 20);
        let logs = is_journaled.then(|| FrailLogs::beside(&dir.path().join("store.pent")));
        let db = open(&medium, logs.as_ref(), true);
        put(&db, 0, b"acknowledged", Durability::Sync);
        Store { medium, logs, db, dir }
    }

    /// A transaction that adds an entry of so many bytes.
    fn begin(&self, key: u32, bytes: usize, durability: Durability) -> WriteTransaction {
        let mut txn = self.db.begin_write().unwrap();
        txn.set_durability(durability).unwrap();
        txn.tree("t").unwrap().insert(key.to_be_bytes(), vec![1; bytes]).unwrap();
        txn
    }

    /// Nobody writes, whoever waits is told, and everybody reads.
    fn assert_poisoned(&self) {
        let db = self.db.clone();
        let (done, result) = mpsc::channel();
        thread::spawn(move || {
            let _ = done.send((db.flush(), db.checkpoint()));
        });
        let (flushed, checkpointed) = result.recv_timeout(FOR_EVER).expect("flush and checkpoint end");
        let stats = self.db.stats();
        let is_all_durable = stats.durable == stats.installed;
        assert!(
            if is_all_durable { flushed.is_ok() } else { matches!(flushed, Err(Error::Poisoned(_))) },
            "{flushed:?}"
        );
        assert!(matches!(checkpointed, Err(Error::Poisoned(_))), "{checkpointed:?}");
        assert!(matches!(self.db.begin_write(), Err(Error::Poisoned(why)) if why.contains("planted")));
        assert_eq!(keys(&self.db), [0], "what is in doubt is not seen");
    }

    /// Opens the store again on a disk that is well, and tells its keys.
    fn keys_after_reopening(self) -> Vec<u32> {
        let Store { medium, logs, db, dir: _dir } = self;
        medium.fail_metas(false);
        medium.fail_syncs(false);
        medium.fail_writes(false);
        logs.iter().for_each(|logs| logs.set_fault(Fault::None));
        // Nothing more becomes durable by closing.
        let _ = db.close();
        let db = open(&medium, logs.as_ref(), false);
        assert_clean(&db);
        put(&db, 9, b"writable again", Durability::Sync);
        let mut keys = keys(&db);
        assert_eq!(keys.pop(), Some(9));
        keys
    }
}

fn assert_unknown(result: Result<Timestamp, Error>, at: Timestamp) {
    match result {
        Err(error @ Error::OutcomeUnknown { at: of, .. }) => {
            assert_eq!(of, at);
            assert!(error.to_string().contains("planted"), "{error}");
            assert!(!error.is_retryable());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_large_commit_whose_meta_fails_is_in_doubt_and_holds_nobody_up() {
    let store = Store::new(true);
    let txn = store.begin(1, 40 << 10, Durability::Sync);
    let at = txn.base().next();
    store.medium.fail_metas(true);
    assert_unknown(txn.commit(), at);
    store.assert_poisoned();
    let keys = store.keys_after_reopening();
    assert!(keys == [0] || keys == [0, 1], "{keys:?}");
}

#[test]
fn a_large_commit_whose_pages_are_not_synced_did_not_happen() {
    let store = Store::new(true);
    let txn = store.begin(1, 40 << 10, Durability::None);
    store.medium.fail_syncs(true);
    let failed = txn.commit().unwrap_err();
    assert!(matches!(&failed, Error::Io { operation: "sync", .. }), "{failed:?}");
    store.assert_poisoned();
    assert_eq!(store.keys_after_reopening(), [0]);
}

#[test]
fn a_durable_commit_that_the_journal_cannot_keep_is_in_doubt() {
    for fault in [Fault::Syncs, Fault::Writes] {
        let store = Store::new(true);
        let txn = store.begin(1, 100, Durability::Sync);
        let at = txn.base().next();
        store.logs.as_ref().unwrap().set_fault(fault);
        assert_unknown(txn.commit(), at);
        store.assert_poisoned();
        let keys = store.keys_after_reopening();
        assert!(keys == [0] || keys == [0, 1], "{fault:?}: {keys:?}");
    }
}

#[test]
fn a_journal_without_room_refuses_a_commit_and_takes_it_later() {
    let store = Store::new(true);
    // After a checkpoint that covers this the next record begins a segment.
    put(&store.db, 0, &[1; 3500], Durability::Sync);
    store.db.checkpoint().unwrap();
    let logs = store.logs.clone().unwrap();
    let before = store.db.stats().installed;
    logs.set_fault(Fault::Full);
    let mut refused = 0;
    for _ in 0..3 {
        match store.begin(1, 3500, Durability::Sync).commit() {
            Err(Error::DiskFull { .. }) => refused += 1,
            other => panic!("{other:?}"),
        }
        assert_eq!(store.db.stats().installed, before, "nothing happened");
    }
    assert_eq!(refused, 3);
    logs.set_fault(Fault::None);
    store.begin(1, 3500, Durability::Sync).commit().unwrap();
    assert_clean(&store.db);
    assert_eq!(store.keys_after_reopening(), [0, 1]);
}

/// The header of a segment arrived although its write failed; what is acknowledged after that goes elsewhere, and is found all the same.
#[test]
fn a_segment_that_was_begun_in_vain_hides_nothing() {
    for with_checkpoint in [true, false] {
        let store = Store::new(true);
        let logs = store.logs.clone().unwrap();
        // A checkpoint that covers this makes the next record begin a segment, even if it fails.
        put(&store.db, 0, &[1; 3500], Durability::Sync);
        store.medium.fail_writes(true);
        store.db.checkpoint().unwrap_err();
        store.medium.fail_writes(false);
        logs.set_fault(Fault::Headers);
        let refused = store.begin(1, 10, Durability::Sync).commit();
        assert!(matches!(&refused, Err(Error::Io { operation, .. }) if operation.contains("segment")), "{refused:?}");
        logs.set_fault(Fault::None);
        if with_checkpoint {
            store.db.checkpoint().unwrap();
        }
        for key in 10..20 {
            put(&store.db, key, b"acknowledged", Durability::Sync);
        }
        let path = store.dir.path().join("store.pent");
        let copy = crash(&path, &store.dir.path().join("crashed"));
        let db = open(&store.medium.crashed(), Some(&FrailLogs::beside(&copy)), false);
        let expected: Vec<u32> = std::iter::once(0).chain(10..20).collect();
        assert_eq!(keys(&db), expected, "with a checkpoint: {with_checkpoint}");
        assert_clean(&db);
    }
}

/// The same, while checkpoints are tried again and again, and fail.
#[test]
fn a_segment_that_was_begun_in_vain_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let medium = FrailMedium::with_limit(32 << 20);
    let logs = FrailLogs::beside(&path);
    let often = Database::builder().checkpoint_interval(Duration::from_millis(5));
    let db = open_with(&often, &medium, Some(&logs), true);
    medium.fail_writes(true);
    put(&db, 0, b"acknowledged", Durability::Sync);
    // The next record begins a segment: this one has more room than what is left should have.
    db.checkpoint().unwrap_err();
    logs.set_fault(Fault::Headers);
    let mut txn = db.begin_write().unwrap();
    txn.tree("t").unwrap().insert(1_u32.to_be_bytes(), "refused").unwrap();
    let refused = txn.commit();
    assert!(matches!(&refused, Err(Error::Io { operation, .. }) if operation.contains("segment")), "{refused:?}");
    logs.set_fault(Fault::None);
    thread::sleep(Duration::from_millis(100));
    for key in 10..20 {
        put(&db, key, b"acknowledged", Durability::Sync);
    }
    let copy = crash(&path, &dir.path().join("crashed"));
    let db = open(&medium.crashed(), Some(&FrailLogs::beside(&copy)), false);
    assert_eq!(keys(&db), std::iter::once(0).chain(10..20).collect::<Vec<u32>>());
    assert_clean(&db);
}

/// The turn was taken while all was well.
#[test]
fn a_transaction_that_began_before_the_failure_cannot_commit_after_it() {
    for is_journaled in [true, false] {
        for durability in [Durability::Sync, Durability::Interval(Duration::from_millis(1)), Durability::None] {
            let store = Store::new(is_journaled);
            // Something for the checkpoint to do, if the last commit has made one.
            store.begin(0, 10, Durability::None).commit().unwrap();
            let before = store.db.stats().installed;
            let txn = store.begin(1, 100, durability);
            store.medium.fail_syncs(true);
            let checkpoint = store.db.checkpoint();
            assert!(checkpoint.is_err(), "journaled: {is_journaled}, {checkpoint:?}");
            let result = txn.commit();
            assert!(
                matches!(&result, Err(Error::Poisoned(_))),
                "journaled: {is_journaled}, {durability:?}: {result:?}"
            );
            assert_eq!(store.db.stats().installed, before, "nothing was installed");
            store.assert_poisoned();
            assert_eq!(store.keys_after_reopening(), [0]);
        }
    }
}
