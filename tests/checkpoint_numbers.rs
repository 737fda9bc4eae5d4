//! Page numbers that are given back and used again, between one checkpoint and the next.
//!
//! Strategy: a tree that the durable checkpoint knows is dropped; a later transaction takes its page numbers, gives them back before it commits, and is so large that it
//! makes its own checkpoint. Then checkpoints that have no other reason to look at that part of the page table, while the slots are used by others.
//!
//! Invariants: the checkpoint of a large transaction says of each number what is true then, whoever had it before; a crash or a close at any later moment leaves a store that opens.

mod common;
#[path = "common/crash.rs"]
mod crash;

use common::{assert_clean, read_all};
use crash::crash;
use pentimento::{Database, WriteTransaction};
use std::path::PathBuf;

const SEGMENT_BYTES: u64 = 64 << 10;

struct Store {
    dir: tempfile::TempDir,
    path: PathBuf,
    db: Database,
    crashes: u32,
}

impl Store {
    fn new() -> Store {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.pent");
        let db = Database::builder().journal_segment(SEGMENT_BYTES).open(&path).unwrap();
        let store = Store { dir, path, db, crashes: 0 };
        store.commit(|txn| txn.tree("dropped").unwrap().insert(b"key", b"value").unwrap());
        // Many pages, so that the last of them stand in another page of the page table than the first.
        store.commit(|txn| {
            let mut far = txn.tree("far").unwrap();
            (0..400u32).for_each(|key| far.insert(key.to_be_bytes(), [1; 1900]).unwrap());
        });
        store.commit(|txn| assert!(txn.tree("large").unwrap().is_empty()));
        store.db.checkpoint().unwrap();
        store
    }

    fn commit(&self, change: impl FnOnce(&mut WriteTransaction)) {
        let mut txn = self.db.begin_write().unwrap();
        change(&mut txn);
        txn.commit().unwrap();
    }

    /// Commits without a record in the journal, by a checkpoint.
    fn commit_large(&self, change: impl FnOnce(&mut WriteTransaction)) {
        let checkpoints = self.db.stats().checkpoints;
        self.commit(|txn| {
            change(txn);
            txn.tree("large").unwrap().insert(b"key", [1; SEGMENT_BYTES as usize / 2]).unwrap();
        });
        assert!(self.db.stats().checkpoints > checkpoints, "it was not journaled");
    }

    fn assert_opens_after_a_crash(&mut self) {
        assert_clean(&self.db);
        self.crashes += 1;
        let copy = crash(&self.path, &self.dir.path().join(self.crashes.to_string()));
        let crashed = Database::open(copy).unwrap_or_else(|error| panic!("crash {}: {error}", self.crashes));
        let all = |db: &Database| read_all(&db.snapshot().unwrap()).unwrap();
        assert!(all(&crashed) == all(&self.db), "crash {}: other contents", self.crashes);
        assert_clean(&crashed);
    }

    /// Slots that were given back are used by others, and the pages of the page table that nobody touched are kept.
    fn assert_stays_whole(mut self) {
        self.assert_opens_after_a_crash();
        for round in 0..4u32 {
            self.commit(|txn| {
                txn.tree("far").unwrap().insert((390 + round).to_be_bytes(), [round as u8; 1900]).unwrap()
            });
            self.db.checkpoint().unwrap();
            self.assert_opens_after_a_crash();
        }
        let Store { dir: _dir, path, db, .. } = self;
        let all = read_all(&db.snapshot().unwrap()).unwrap();
        db.close().unwrap();
        let db = Database::open(&path).unwrap();
        assert!(read_all(&db.snapshot().unwrap()).unwrap() == all, "other contents after a close");
        assert_clean(&db);
    }
}

#[test]
fn dropped_used_again_and_dropped_again() {
    let store = Store::new();
    store.commit(|txn| assert!(txn.drop_tree("dropped").unwrap()));
    let numbers = store.db.stats().pages;
    store.commit_large(|txn| {
        txn.tree("again").unwrap().insert(b"key", b"value").unwrap();
        // A savepoint knows of the pages, so they cannot just be forgotten.
        txn.savepoint().unwrap();
        assert!(txn.drop_tree("again").unwrap());
    });
    assert!(store.db.stats().pages <= numbers + 1, "only the large value needs a new number");
    store.assert_stays_whole();
}

#[test]
fn dropped_and_used_again() {
    let store = Store::new();
    store.commit(|txn| assert!(txn.drop_tree("dropped").unwrap()));
    store.commit_large(|txn| txn.tree("again").unwrap().insert(b"key", b"value").unwrap());
    store.assert_stays_whole();
}

#[test]
fn made_and_dropped_under_a_new_number() {
    let store = Store::new();
    store.commit_large(|txn| {
        txn.tree("short-lived").unwrap().insert(b"key", b"value").unwrap();
        txn.savepoint().unwrap();
        assert!(txn.drop_tree("short-lived").unwrap());
    });
    store.assert_stays_whole();
}

#[test]
fn dropped_by_the_large_transaction_itself() {
    let store = Store::new();
    store.commit_large(|txn| assert!(txn.drop_tree("dropped").unwrap()));
    store.assert_stays_whole();
}
