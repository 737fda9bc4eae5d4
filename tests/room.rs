//! Room comes back: from transactions that were given up, from what was deleted, from trees that were dropped.
//!
//! Invariants: a transaction larger than its memory commits as any other; one that is given up leaves no slot behind; deleting nearly everything
//! gives back nearly everything; a dropped tree is given back by the commits that follow, or at once when asked for, also after opening again.

mod common;

use common::{Random, assert_clean, cases, file_len, pattern};
use pentimento::{Database, Durability, SLOT_BYTES};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const SPILL: usize = 256 << 10;

fn key(number: u64) -> Vec<u8> {
    format!("key number {number:07}").into_bytes()
}

fn store() -> (tempfile::TempDir, PathBuf, Database) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("room.pent");
    let builder = Database::builder().page_size(4096).memory_limits(1 << 20, 4 << 20).spill_limit(SPILL);
    let db = builder.open(&path).unwrap();
    (dir, path, db)
}

fn fill(db: &Database, tree: &str, numbers: std::ops::Range<u64>, round: u64) {
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree(tree).unwrap();
    numbers.for_each(|number| tree.insert(key(number), pattern(round ^ number, 100)).unwrap());
    txn.commit().unwrap();
}

/// The slots that pages take once all that nobody needs is given back: the durable checkpoint is moved on, so that it needs nothing old. The
/// page table counts apart: it has room for as many pages as there ever were.
fn slots_at_rest(db: &Database) -> u64 {
    for turn in 0..2u8 {
        let mut txn = db.begin_write().unwrap();
        txn.tree("turn").unwrap().insert(b"turn", [turn]).unwrap();
        txn.commit().unwrap();
        db.checkpoint().unwrap();
        db.maintain().unwrap();
    }
    assert_clean(db);
    let stats = db.stats();
    stats.slots_used - stats.slots_table
}

fn bytes_used(db: &Database) -> u64 {
    db.stats().slots_used * SLOT_BYTES as u64
}

/// Page numbers in use; those of dropped trees are until they are given back.
fn pages_in_use(db: &Database) -> u64 {
    let stats = db.stats();
    stats.pages - stats.pages_free
}

#[test]
fn a_transaction_larger_than_its_memory_commits() {
    let (_dir, path, db) = store();
    for round in 0..3 {
        fill(&db, "t", 0..20_000, round);
        assert!(db.stats().versions_spilled > 100, "it did spill: {:?}", db.stats().versions_spilled);
        let snapshot = db.snapshot().unwrap();
        let tree = snapshot.tree("t").unwrap();
        assert_eq!(tree.len().unwrap(), 20_000);
        let mut random = Random(round);
        for _ in 0..2000 {
            let number = random.below(20_000);
            assert_eq!(tree.get(key(number)).unwrap(), Some(pattern(round ^ number, 100).as_slice()));
        }
        assert_clean(&db);
    }
    db.close().unwrap();
    let db = Database::open(&path).unwrap();
    let snapshot = db.snapshot().unwrap();
    let tree = snapshot.tree("t").unwrap();
    for (number, entry) in tree.iter().unwrap().enumerate() {
        let (found, value) = entry.unwrap();
        assert!(found == key(number as u64) && value == pattern(2 ^ number as u64, 100));
    }
    assert_clean(&db);
}

#[test]
fn a_large_transaction_that_is_given_up_leaves_nothing() {
    let (_dir, path, db) = store();
    fill(&db, "t", 0..2000, 0);
    let used = slots_at_rest(&db);
    let (slots, pages) = (db.stats().slots_used, pages_in_use(&db));
    let len = file_len(&path);
    let spilled = db.stats().versions_spilled;
    for round in 1..4 {
        let mut txn = db.begin_write().unwrap();
        let mut tree = txn.tree("t").unwrap();
        (0..20_000).for_each(|number| tree.insert(key(number), pattern(round ^ number, 100)).unwrap());
        assert!(file_len(&path) > 2 * len, "it spilled to the file");
        if round == 2 {
            txn.rollback();
        } else {
            drop(txn);
        }
        assert_clean(&db);
        assert_eq!(db.stats().slots_used, slots, "given back at once");
        assert_eq!(pages_in_use(&db), pages, "page numbers are free again");
    }
    assert!(db.stats().versions_spilled > spilled + 300);
    assert_eq!(slots_at_rest(&db), used);
    assert!(file_len(&path) <= len + (1 << 20), "{} bytes, {len} before", file_len(&path));
    assert_eq!(pages_in_use(&db), pages);
    let snapshot = db.snapshot().unwrap();
    let tree = snapshot.tree("t").unwrap();
    (0..2000).for_each(|number| assert!(tree.get(key(number)).unwrap() == Some(&pattern(number, 100)[..])));
    assert_eq!(tree.len().unwrap(), 2000);
}

#[test]
fn going_back_to_a_savepoint_gives_back_what_spilled() {
    let (_dir, _path, db) = store();
    fill(&db, "t", 0..3000, 0);
    let used = slots_at_rest(&db);
    let mut txn = db.begin_write().unwrap();
    txn.tree("t").unwrap().insert(key(5), b"before the savepoint").unwrap();
    let savepoint = txn.savepoint().unwrap();
    for round in 1..4 {
        let mut tree = txn.tree("t").unwrap();
        (0..10_000).for_each(|number| tree.insert(key(number), pattern(round ^ number, 100)).unwrap());
        txn.rollback_to(savepoint).unwrap();
        assert_eq!(txn.tree("t").unwrap().len(), 3000);
    }
    assert!(db.stats().versions_spilled > 100);
    txn.commit().unwrap();
    let snapshot = db.snapshot().unwrap();
    let tree = snapshot.tree("t").unwrap();
    assert_eq!(tree.get(key(5)).unwrap(), Some(b"before the savepoint".as_slice()));
    assert_eq!(tree.get(key(6)).unwrap(), Some(pattern(6, 100).as_slice()));
    assert_eq!(tree.len().unwrap(), 3000);
    drop(snapshot);
    assert!(slots_at_rest(&db) <= used + 2);
}

/// Spilled versions that follow each other while a checkpoint looks for the first of them: each has its own checksum.
#[test]
fn spilled_versions_supersede_each_other_beside_checkpoints() {
    const ENTRIES: u64 = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spilled.pent");
    let db = Database::builder().page_size(4096).spill_limit(16 << 10).open(&path).unwrap();
    let rounds = 120 * cases(1);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let checkpoints = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                db.checkpoint().unwrap();
            }
        });
        for round in 0..rounds {
            // Everything, then again and again the last pages, which the checkpoint comes to last.
            for start in [0].into_iter().chain([ENTRIES - 500; 20]) {
                let mut txn = db.begin_write().unwrap();
                txn.set_durability(Durability::None).unwrap();
                let mut tree = txn.tree("t").unwrap();
                (start..ENTRIES).for_each(|number| tree.insert(key(number), pattern(round ^ number, 100)).unwrap());
                txn.commit().unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
        checkpoints.join().unwrap();
    });
    assert!(db.stats().versions_spilled > 1000);
    assert_clean(&db);
    db.close().unwrap();
    let db = Database::open(&path).unwrap();
    assert_clean(&db);
    let snapshot = db.snapshot().unwrap();
    let tree = snapshot.tree("t").unwrap();
    for (number, entry) in tree.iter().unwrap().enumerate() {
        assert!(entry.unwrap().1 == pattern((rounds - 1) ^ number as u64, 100), "entry {number}");
    }
}

#[test]
fn deleting_nearly_everything_gives_back_nearly_everything() {
    const ENTRIES: u64 = 30_000;
    for by_range in [false, true] {
        let (_dir, path, db) = store();
        let empty = slots_at_rest(&db);
        fill(&db, "t", 0..ENTRIES, 0);
        let full = slots_at_rest(&db);
        let mut txn = db.begin_write().unwrap();
        let mut tree = txn.tree("t").unwrap();
        if by_range {
            assert_eq!(tree.remove_range(key(100)..key(ENTRIES - 200)).unwrap(), ENTRIES - 300);
        } else {
            let mut numbers: Vec<u64> = (0..ENTRIES).filter(|number| number % 100 != 0).collect();
            let mut random = Random(3);
            (1..numbers.len()).for_each(|end| numbers.swap(end, random.below(end as u64 + 1) as usize));
            numbers.iter().for_each(|number| assert!(tree.remove(key(*number)).unwrap()));
        }
        assert_eq!(tree.len(), 300);
        txn.commit().unwrap();
        let left = slots_at_rest(&db);
        let share = (left - empty) as f64 / (full - empty) as f64;
        println!("one per cent left, by_range {by_range}: {empty} slots empty, {full} full, {left} left: {share:.3}");
        assert!(share < 0.03, "one per cent of the entries still takes {share:.3} of the room");
        let report = db.check();
        let (_, census) = report.trees.iter().find(|(name, _)| name == "t").expect("the tree is there");
        assert_eq!(census.entries, 300);
        assert!(census.pages.len() as u64 <= 300 * 130 / 4096 * 3, "{} pages", census.pages.len());
        // Nothing is left of the rest once the last go too.
        let mut txn = db.begin_write().unwrap();
        while txn.tree("t").unwrap().pop_last().unwrap().is_some() {}
        txn.commit().unwrap();
        assert!(slots_at_rest(&db) <= empty + 4, "{} slots, {empty} before", slots_at_rest(&db));
        println!("nothing left: a file of {} bytes, of which {} are used", file_len(&path), bytes_used(&db));
        // Most of them hold the page table, which has an entry for every number that ever was.
        assert!(bytes_used(&db) < 128 << 10);
    }
}

#[test]
fn a_dropped_tree_is_given_back_by_later_commits() {
    let (_dir, _path, db) = store();
    fill(&db, "kept", 0..100, 0);
    let empty = slots_at_rest(&db);
    let few = pages_in_use(&db);
    fill(&db, "large", 0..40_000, 0);
    let many = pages_in_use(&db);
    assert!(many > few + 800, "{many} pages");
    let snapshot = db.snapshot().unwrap();
    let mut txn = db.begin_write().unwrap();
    assert!(txn.drop_tree("large").unwrap());
    txn.commit().unwrap();
    assert!(pages_in_use(&db) > few + 300, "the drop itself does not give back all");
    assert_clean(&db);
    let mut commits = 0;
    while pages_in_use(&db) > few {
        fill(&db, "kept", commits % 100..commits % 100 + 1, commits + 1);
        commits += 1;
        assert!(commits < 1000, "{} pages are still in use", pages_in_use(&db));
    }
    println!("{} pages were given back by {commits} commits", many - few);
    assert!(commits > 1, "a few at a time");
    // The name can be used again, and whoever saw the tree still does.
    fill(&db, "large", 0..10, 9);
    let tree = snapshot.tree("large").unwrap();
    assert_eq!(tree.iter().unwrap().map(Result::unwrap).count(), 40_000);
    assert_clean(&db);
    drop(snapshot);
    assert!(slots_at_rest(&db) <= empty + 8, "{} slots, {empty} before", slots_at_rest(&db));
}

#[test]
fn maintenance_gives_back_dropped_trees_at_once() {
    let (_dir, path, db) = store();
    let empty = slots_at_rest(&db);
    let few = pages_in_use(&db);
    fill(&db, "three", 0..15_000, 0);
    let with_three = pages_in_use(&db);
    for name in ["one", "two"] {
        fill(&db, name, 0..25_000, 0);
    }
    // Two transactions, and one that is given up: that tree stays.
    for name in ["one", "two"] {
        let mut txn = db.begin_write().unwrap();
        assert!(txn.drop_tree(name).unwrap());
        txn.commit().unwrap();
    }
    let mut txn = db.begin_write().unwrap();
    assert!(txn.drop_tree("three").unwrap());
    txn.rollback();
    // What waits to be given back still waits after opening again.
    db.close().unwrap();
    let db = Database::open(&path).unwrap();
    assert_clean(&db);
    assert!(pages_in_use(&db) > with_three + 100, "{} pages, {with_three} wanted", pages_in_use(&db));
    let progress = db.maintain().unwrap();
    assert_eq!(progress.waiting, 0);
    assert_eq!(pages_in_use(&db), with_three);
    assert_eq!(db.snapshot().unwrap().tree("three").unwrap().iter().unwrap().map(Result::unwrap).count(), 15_000);
    assert_clean(&db);
    let mut txn = db.begin_write().unwrap();
    assert!(txn.drop_tree("three").unwrap());
    txn.commit().unwrap();
    db.maintain().unwrap();
    assert_eq!(pages_in_use(&db), few);
    assert!(slots_at_rest(&db) <= empty + 4, "{} slots, {empty} before", slots_at_rest(&db));
    println!("trees dropped: a file of {} bytes, of which {} are used", file_len(&path), bytes_used(&db));
    // Most of them hold the page table, which has an entry for every number that ever was.
    assert!(bytes_used(&db) < 128 << 10);
}
