//! What finding the changes costs: pages, not seconds.

use crate::common::{Random, pattern};
use pentimento::{Database, Durability};

const ENTRIES: u64 = 100_000;
const CHANGES: u64 = 100;

/// A store of many entries, all of it in the file.
fn store(dir: &tempfile::TempDir, entries: u64) -> Database {
    let db = Database::open(dir.path().join("costs.pent")).unwrap();
    let mut txn = db.begin_write().unwrap();
    let entries = (0..entries).map(|number| (number.to_be_bytes(), pattern(number, 80)));
    txn.tree("t").unwrap().bulk_load(entries).unwrap();
    txn.commit().unwrap();
    db
}

/// Each changed entry costs at most its leaf at both snapshots and a stretch of the page table, and nothing else grows with the store but the list of trees.
#[test]
fn pages_touched_follow_the_difference() {
    let dir = tempfile::tempdir().unwrap();
    let db = store(&dir, ENTRIES);
    let before = db.snapshot().unwrap();
    let mut random = Random(1);
    let mut touched = Vec::new();
    for round in 1..=3 {
        let mut txn = db.begin_write().unwrap();
        txn.set_durability(Durability::None).unwrap();
        for _ in 0..CHANGES {
            txn.tree("t").unwrap().insert(random.below(ENTRIES).to_be_bytes(), pattern(round, 80)).unwrap();
        }
        txn.commit().unwrap();
        let mut changes = db.snapshot().unwrap().changes_since(&before).unwrap();
        let found = changes.by_ref().map(Result::unwrap).count() as u64;
        assert!(found > round * CHANGES * 9 / 10 && found <= round * CHANGES, "{found} changes were found");
        touched.push(changes.pages_touched());
        assert!(changes.pages_touched() <= 3 * found + 10, "{} pages for {found} changes", changes.pages_touched());
    }
    assert!(touched.is_sorted(), "{touched:?}");
    let unchanged = db.snapshot().unwrap().changes_since(&db.snapshot().unwrap()).unwrap();
    assert!(unchanged.pages_touched() <= 4, "{} pages for no change", unchanged.pages_touched());
}

/// Large values beside the entries that changed are not read.
#[test]
fn large_values_are_not_compared_in_vain() {
    let db = Database::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    for number in 0..200u32 {
        txn.tree("t").unwrap().insert(number.to_be_bytes(), pattern(1, 20_000)).unwrap();
    }
    txn.commit().unwrap();
    let before = db.snapshot().unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.tree("t").unwrap().insert(17u32.to_be_bytes(), pattern(2, 20_000)).unwrap();
    txn.commit().unwrap();
    let mut changes = db.snapshot().unwrap().changes_since(&before).unwrap();
    assert_eq!(changes.by_ref().count(), 1);
    // The leaf and the value at both snapshots (the value once to see whose it is, once to compare), a stretch of the table, the catalog.
    assert!(changes.pages_touched() <= 12, "{} pages", changes.pages_touched());
}
