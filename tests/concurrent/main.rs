//! Concurrent transactions: what they read over their own changes, what is a conflict and what is none, what they leave behind.
//!
//! Strategy: random transactions against a `BTreeMap`; then each rule by an example, on a store in memory and on one with a journal, which learn what others wrote
//! in different ways.

#[path = "../common/mod.rs"]
mod common;

mod blind;
mod bounds;
mod fairness;
mod model;
mod names;
mod validation;

use common::assert_clean;
use pentimento::{ConcurrentTransaction, Database, Error, Isolation};

const BOTH: [Isolation; 2] = [Isolation::Snapshot, Isolation::Serializable];

/// Runs a test on a store in memory, one with a journal, and one with a journal whose records are so short that larger transactions are not journaled.
fn on_each_store(test: impl Fn(&Database)) {
    let dir = tempfile::tempdir().unwrap();
    let small = Database::builder().journal_segment(16 << 10).open(dir.path().join("small.pent")).unwrap();
    for db in [Database::in_memory().unwrap(), Database::open(dir.path().join("store.pent")).unwrap(), small] {
        test(&db);
        assert_eq!(db.concurrency_stats().running, 0, "nobody is left");
        assert_eq!(db.concurrency_stats().footprint_bytes, 0, "nothing is remembered for nobody");
        assert_clean(&db);
    }
}

fn put(db: &Database, tree: &str, key: &[u8], value: &[u8]) {
    let mut txn = db.begin_write().unwrap();
    txn.tree(tree).unwrap().insert(key, value).unwrap();
    txn.commit().unwrap();
}

fn entry(db: &Database, tree: &str, key: &[u8]) -> Option<Vec<u8>> {
    db.snapshot().unwrap().tree(tree).unwrap().get(key).unwrap().map(<[u8]>::to_vec)
}

/// Commits and tells whether it met a conflict.
#[track_caller]
fn conflicts(txn: ConcurrentTransaction) -> bool {
    match txn.commit() {
        Ok(_) => false,
        Err(error @ Error::Conflict { .. }) => {
            assert!(error.is_retryable());
            true
        }
        Err(error) => panic!("{error}"),
    }
}
