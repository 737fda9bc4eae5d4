//! What is remembered of writes and reads takes bounded memory, and is coarser beyond.

use crate::common::assert_clean;
use crate::{conflicts, put};
use pentimento::{Database, Error, Isolation};

#[test]
fn a_large_commit_conflicts_by_tree_if_its_keys_are_too_many_to_remember() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Database::builder().journal_segment(16 << 10);
    let few = builder.clone().conflict_memory(4096);
    for (db, is_conflict) in [
        (Database::open(dir.path().join("listed.pent")).unwrap(), false),
        // More than a quarter of a segment: not journaled.
        (builder.open(dir.path().join("unjournaled.pent")).unwrap(), true),
        (few.in_memory().unwrap(), true),
        (Database::in_memory().unwrap(), false),
    ] {
        let mut txn = db.begin_concurrent(Isolation::Snapshot).unwrap();
        txn.tree("large").unwrap().insert(b"mine", b"").unwrap();
        let mut other = db.begin_concurrent(Isolation::Snapshot).unwrap();
        other.tree("small").unwrap().insert(b"mine", b"").unwrap();
        let mut exclusive = db.begin_write().unwrap();
        let mut tree = exclusive.tree("large").unwrap();
        tree.bulk_load((0..2000u32).map(|key| (key.to_be_bytes(), [1; 100]))).unwrap();
        exclusive.commit().unwrap();
        match txn.commit() {
            Ok(_) => assert!(!is_conflict),
            Err(Error::Conflict { tree, key: None, .. }) => assert!(is_conflict && tree == "large"),
            Err(error) => panic!("{error}"),
        }
        assert!(!conflicts(other), "another tree is another matter");
        assert_clean(&db);
    }
}

#[test]
fn what_is_remembered_is_bounded_and_coarser_beyond() {
    let dir = tempfile::tempdir().unwrap();
    const LIMIT: usize = 16 << 10;
    let builder = Database::builder().conflict_memory(LIMIT);
    for db in [builder.in_memory().unwrap(), builder.open(dir.path().join("bounded.pent")).unwrap()] {
        let mut old = db.begin_concurrent(Isolation::Snapshot).unwrap();
        old.tree("t").unwrap().insert(b"mine alone", b"").unwrap();
        let mut elsewhere = db.begin_concurrent(Isolation::Snapshot).unwrap();
        elsewhere.tree("u").unwrap().insert(b"mine alone", b"").unwrap();
        for number in 0..500u32 {
            let mut txn = db.begin_concurrent(Isolation::Snapshot).unwrap();
            txn.set_durability(pentimento::Durability::None).unwrap();
            txn.tree("t").unwrap().insert(number.to_be_bytes(), b"").unwrap();
            txn.commit().unwrap();
            assert!(db.concurrency_stats().footprint_bytes <= LIMIT as u64);
        }
        assert!(db.concurrency_stats().folded > 100);
        assert!(matches!(old.commit(), Err(Error::Conflict { key: None, .. })), "coarser");
        elsewhere.commit().unwrap();
        assert_eq!(db.concurrency_stats().footprint_bytes, 0);
    }
}

/// A transaction that looks for more keys than it may list: what lies between them may be a conflict that is none, what lies elsewhere is not,
/// and what it read is never missed.
#[test]
fn what_is_read_is_bounded_and_coarser_beyond() {
    let db = Database::builder().conflict_memory(64 << 10).in_memory().unwrap();
    put(&db, "other", b"k", b"");
    let key = |number: u32| (number * 2).to_be_bytes();
    let reader = |count: u32| {
        let mut txn = db.begin_concurrent(Isolation::Serializable).unwrap();
        let tree = txn.tree("t").unwrap();
        (0..count).for_each(|number| assert_eq!(tree.get(key(number)).unwrap(), None));
        txn.tree("mine").unwrap().insert(b"k", b"").unwrap();
        txn
    };
    // What others write meanwhile, how many keys are read, and what comes of it.
    for (written, reads, is_conflict) in [
        (key(17), 20, true),
        (key(17), 10_000, true),
        (key(9_999), 10_000, true),
        (1u32.to_be_bytes(), 20, false),
        // Between two keys that were read, so it is taken for read.
        (1u32.to_be_bytes(), 10_000, true),
        (100_000u32.to_be_bytes(), 10_000, false),
    ] {
        let before = db.concurrency_stats().coarse_reads;
        let txn = reader(reads);
        put(&db, "t", &written, b"");
        assert_eq!(conflicts(txn), is_conflict, "{reads} reads, {written:?} written");
        assert_eq!(db.concurrency_stats().coarse_reads - before, u64::from(reads > 20));
        let mut txn = db.begin_write().unwrap();
        txn.tree("t").unwrap().clear().unwrap();
        txn.commit().unwrap();
    }
    assert_clean(&db);
}
