//! The ends of what is allowed, on both sides: what fits works, what does not is refused by name and harms nothing.
//!
//! Invariants: a refusal leaves the transaction usable and the store as it was; the largest value is one slice, not copied; nothing is lost or left over.
//! What happens to room is in `room.rs`.

mod common;

use common::{assert_clean, pattern};
use pentimento::{Database, Durability, Error, MAX_KEY_LEN, MAX_NAME_LEN, MAX_VALUE_LEN, WriteTransaction};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const PAGE_SIZES: [usize; 5] = [4096, 8192, 16384, 32768, 65536];

/// A store in a file of its own, which goes with the directory.
fn store(page_size: usize) -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::builder().page_size(page_size).open(dir.path().join("limits.pent")).unwrap();
    (dir, db)
}

fn reopen(dir: &tempfile::TempDir, db: Database) -> Database {
    db.close().unwrap();
    Database::open(dir.path().join("limits.pent")).unwrap()
}

#[test]
fn the_longest_key_works_and_one_byte_more_is_refused() {
    assert_eq!(MAX_KEY_LEN, 16_384, "documented");
    for page_size in PAGE_SIZES {
        let (dir, db) = store(page_size);
        let longest = pattern(1, MAX_KEY_LEN);
        let too_long = pattern(1, MAX_KEY_LEN + 1);
        let mut txn = db.begin_write().unwrap();
        let mut tree = txn.tree("t").unwrap();
        tree.insert(&longest, b"at the limit").unwrap();
        for refused in [
            tree.insert(&too_long, b"v").unwrap_err(),
            tree.replace(&too_long, b"v").unwrap_err(),
            tree.insert_reserve(&too_long, 10).map(drop).unwrap_err(),
        ] {
            assert!(!refused.is_retryable());
            assert!(matches!(refused, Error::KeyTooLong { len: 16_385, max: MAX_KEY_LEN }), "{refused:?}");
        }
        // A key that cannot be there is not there; asking is no error.
        assert_eq!(tree.get(&too_long).unwrap(), None);
        assert!(!tree.remove(&too_long).unwrap());
        assert_eq!(tree.range(too_long.as_slice()..).unwrap().count(), 0);
        assert_eq!(tree.len(), 1);
        tree.insert(b"after", b"the refusal").unwrap();
        txn.commit().unwrap();
        let db = reopen(&dir, db);
        let snapshot = db.snapshot().unwrap();
        let tree = snapshot.tree("t").unwrap();
        assert_eq!(tree.get(&longest).unwrap(), Some(b"at the limit".as_slice()));
        assert_eq!(tree.get(b"after").unwrap(), Some(b"the refusal".as_slice()));
        assert_eq!(tree.len().unwrap(), 2);
        assert_clean(&db);
    }
}

#[test]
fn a_load_with_a_key_too_long_cannot_be_committed_but_rolled_back() {
    let (_dir, db) = store(4096);
    let mut txn = db.begin_write().unwrap();
    txn.tree("t").unwrap().insert(b"before", b"v").unwrap();
    txn.commit().unwrap();
    let before = db.timestamp();
    // The key too long comes first, in the middle of few entries, or after many.
    for (len, at) in [(MAX_KEY_LEN + 1, 0), (MAX_KEY_LEN + 1, 1), (MAX_KEY_LEN + 1, 500), (70_000, 0), (70_000, 2)] {
        for tree in ["t", "a new one"] {
            let load = (0..=at + 2).map(|number| {
                let len = if number == at { len } else { 4 };
                let mut key = (number as u32).to_be_bytes().to_vec();
                key.resize(len, b'x');
                (key, b"loaded")
            });
            let mut txn = db.begin_write().unwrap();
            txn.tree("t").unwrap().insert(b"before", b"changed").unwrap();
            let savepoint = txn.savepoint().unwrap();
            let refused = txn.tree(tree).unwrap().bulk_load(load.clone());
            assert!(
                matches!(refused, Err(Error::KeyTooLong { len: l, max: MAX_KEY_LEN }) if l == len),
                "a key of {len} bytes at {at} into {tree:?}: {refused:?}"
            );
            assert!(matches!(txn.savepoint(), Err(Error::Incomplete)));
            txn.rollback_to(savepoint).unwrap();
            assert_eq!(txn.tree("t").unwrap().len(), 1);
            txn.tree(tree).unwrap().bulk_load(load).unwrap_err();
            assert!(matches!(txn.commit(), Err(Error::Incomplete)));
            assert_eq!(db.timestamp(), before, "nothing was committed");
        }
    }
    let snapshot = db.snapshot().unwrap();
    assert_eq!(snapshot.tree("t").unwrap().get(b"before").unwrap(), Some(b"v".as_slice()));
    assert_clean(&db);
}

#[test]
fn a_load_whose_iterator_panics_cannot_be_committed_but_rolled_back() {
    let (_dir, db) = store(4096);
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("t").unwrap();
    (0..6000u32).for_each(|number| tree.insert((number * 1000).to_be_bytes(), [1; 60]).unwrap());
    txn.commit().unwrap();
    let before = db.timestamp();
    let load = |txn: &mut WriteTransaction| {
        let entries = (1..2000u32).map(|number| match number {
            1500 => std::panic::resume_unwind(Box::new("the caller's own")),
            _ => (number.to_be_bytes(), [2; 60]),
        });
        catch_unwind(AssertUnwindSafe(|| txn.tree("t").unwrap().bulk_load(entries).map(drop))).unwrap_err()
    };
    let mut txn = db.begin_write().unwrap();
    let savepoint = txn.savepoint().unwrap();
    load(&mut txn);
    assert!(matches!(txn.savepoint(), Err(Error::Incomplete)));
    txn.rollback_to(savepoint).unwrap();
    assert_eq!(txn.tree("t").unwrap().len(), 6000);
    load(&mut txn);
    assert!(matches!(txn.commit(), Err(Error::Incomplete)));
    assert_eq!(db.timestamp(), before, "nothing was committed");
    let snapshot = db.snapshot().unwrap();
    assert_eq!(snapshot.tree("t").unwrap().iter().unwrap().count(), 6000);
    assert_clean(&db);
}

#[test]
fn many_of_the_longest_keys_share_small_pages() {
    for page_size in PAGE_SIZES {
        let (dir, db) = store(page_size);
        // They differ in their last bytes alone, in their first, or somewhere else.
        let key = |number: usize| {
            let mut key = vec![b'k'; MAX_KEY_LEN - number % 3];
            let at = [0, key.len() - 1, 5000][number % 3];
            key[at] = number as u8;
            key
        };
        let mut txn = db.begin_write().unwrap();
        let mut tree = txn.tree("t").unwrap();
        (0..90).for_each(|number| tree.insert(key(number), [number as u8]).unwrap());
        txn.commit().unwrap();
        assert_clean(&db);
        let mut txn = db.begin_write().unwrap();
        let mut tree = txn.tree("t").unwrap();
        (0..90).step_by(2).for_each(|number| assert!(tree.remove(key(number)).unwrap()));
        txn.commit().unwrap();
        let db = reopen(&dir, db);
        let snapshot = db.snapshot().unwrap();
        let tree = snapshot.tree("t").unwrap();
        for number in 0..90 {
            let expected = (number % 2 == 1).then_some([number as u8]);
            assert_eq!(tree.get(key(number)).unwrap(), expected.as_ref().map(|value| value.as_slice()));
        }
        assert_clean(&db);
    }
}

fn one_slice(len: usize) {
    let (dir, db) = store(8192);
    let value = pattern(len as u64, len);
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("t").unwrap();
    tree.insert_reserve(b"reserved", len).unwrap().copy_from_slice(&value);
    assert!(tree.get(b"reserved").unwrap() == Some(value.as_slice()));
    txn.commit().unwrap();
    let mut db = db;
    for is_reopened in [false, true] {
        if is_reopened {
            db = reopen(&dir, db);
        }
        let snapshot = db.snapshot().unwrap();
        let tree = snapshot.tree("t").unwrap();
        let borrowed = tree.get(b"reserved").unwrap().unwrap();
        assert!(borrowed == value.as_slice());
        assert_eq!(tree.get_bytes(b"reserved").unwrap().unwrap().as_ptr(), borrowed.as_ptr(), "neither is a copy");
        drop(snapshot);
        let mut txn = db.begin_write().unwrap();
        txn.tree("t").unwrap().insert(b"small", b"neighbour").unwrap();
        txn.commit().unwrap();
        assert_clean(&db);
    }
    // And it can be replaced, and goes when it is removed.
    let mut txn = db.begin_write().unwrap();
    assert!(txn.tree("t").unwrap().take(b"reserved").unwrap() == Some(value));
    txn.commit().unwrap();
    db.checkpoint().unwrap();
    db.maintain().unwrap();
    assert!(db.stats().slots_used * pentimento::SLOT_BYTES as u64 <= 64 << 10, "{:?}", db.stats());
    assert_clean(&db);
}

#[test]
fn a_large_value_is_one_slice() {
    // Around the lengths at which a run of slots is counted otherwise, and where a value leaves its leaf.
    for len in [2000, 2048, 8192, 65_535, 65_536, (64 << 20) - 2048, 64 << 20, (64 << 20) + 70_000] {
        one_slice(len);
    }
}

/// Needs 3 GiB of memory and 2 GiB of disk, and a while.
#[test]
fn the_largest_value_is_one_slice() {
    assert_eq!(MAX_VALUE_LEN, 1 << 30, "documented");
    if std::env::var_os("PENTIMENTO_HUGE").is_some() {
        one_slice(MAX_VALUE_LEN);
    }
    let (_dir, db) = store(4096);
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("t").unwrap();
    let refused = tree.insert_reserve(b"k", MAX_VALUE_LEN + 1).map(drop).unwrap_err();
    assert!(matches!(refused, Error::ValueTooLong { len, max: MAX_VALUE_LEN } if len == MAX_VALUE_LEN + 1));
    assert!(matches!(tree.insert_reserve(b"k", usize::MAX), Err(Error::ValueTooLong { .. })));
    assert!(tree.is_empty());
    tree.insert(b"k", b"fits").unwrap();
    txn.commit().unwrap();
    assert_eq!(db.snapshot().unwrap().tree("t").unwrap().len().unwrap(), 1);
    assert_clean(&db);
}

#[test]
fn nothing_is_a_key_and_a_value() {
    let (dir, db) = store(4096);
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("t").unwrap();
    assert_eq!(tree.get(b"").unwrap(), None);
    tree.insert(b"", b"").unwrap();
    tree.insert(b"\0", b"").unwrap();
    assert_eq!(tree.insert_reserve(b"\0\0", 0).unwrap(), b"");
    txn.commit().unwrap();
    let db = reopen(&dir, db);
    let snapshot = db.snapshot().unwrap();
    let tree = snapshot.tree("t").unwrap();
    assert_eq!(tree.get(b"").unwrap(), Some(b"".as_slice()), "an empty value is not the same as none");
    let keys: Vec<_> = tree.iter().unwrap().map(|entry| entry.unwrap().0.into_vec()).collect();
    assert_eq!(keys, [b"".to_vec(), b"\0".to_vec(), b"\0\0".to_vec()]);
    assert_eq!(tree.first().unwrap().unwrap().0, b"");
    assert_eq!(tree.prefix(b"").unwrap().count(), 3);
    assert_eq!(tree.get_bytes(b"").unwrap().unwrap().len(), 0);
    assert_clean(&db);
}

/// Those that wait (from the ninth on) and those that do not: nothing, the longest key, and keys that no entry can have.
#[test]
fn any_key_can_be_deleted() {
    let (dir, db) = store(4096);
    let keys: Vec<Vec<u8>> = (0..40usize).map(|number| vec![b'k'; number * number * 17]).collect();
    assert!(keys.iter().any(|key| key.len() > MAX_KEY_LEN));
    for together in [false, true] {
        let mut txn = db.begin_write().unwrap();
        let mut tree = txn.tree("t").unwrap();
        for key in keys.iter().filter(|key| key.len() <= MAX_KEY_LEN) {
            tree.insert(key, "value").unwrap();
        }
        tree.insert("stays", "value").unwrap();
        for key in &keys {
            tree.delete(key).unwrap();
            assert!(together || !tree.contains_key(key).unwrap());
        }
        assert_eq!(tree.len(), 1);
        txn.commit().unwrap();
    }
    let db = reopen(&dir, db);
    let snapshot = db.snapshot().unwrap();
    assert_eq!(snapshot.tree("t").unwrap().len().unwrap(), 1);
    assert_eq!(snapshot.tree("t").unwrap().get("stays").unwrap(), Some(b"value".as_slice()));
}

#[test]
fn names_of_trees_have_limits() {
    let (dir, db) = store(4096);
    let mut txn = db.begin_write().unwrap();
    let (longest, too_long) = ("ä".repeat(MAX_NAME_LEN / 2), "x".repeat(MAX_NAME_LEN + 1));
    txn.tree("t").unwrap();
    for (name, len) in [("", 0), (too_long.as_str(), MAX_NAME_LEN + 1)] {
        let is_named = |error: Error| matches!(error, Error::InvalidTreeName { len: l, max: MAX_NAME_LEN } if l == len);
        assert!(is_named(txn.tree(name).map(drop).unwrap_err()));
        assert!(is_named(txn.rename_tree("t", name).unwrap_err()));
        assert!(!txn.has_tree(name).unwrap());
        assert!(!txn.drop_tree(name).unwrap());
        assert!(matches!(txn.existing_tree(name), Err(Error::NoSuchTree { name: named }) if named == name));
    }
    txn.tree(&longest).unwrap().insert(b"k", b"v").unwrap();
    txn.commit().unwrap();
    let db = reopen(&dir, db);
    let snapshot = db.snapshot().unwrap();
    assert_eq!(snapshot.trees().unwrap(), ["t", longest.as_str()]);
    assert_eq!(snapshot.tree(&longest).unwrap().len().unwrap(), 1);
    assert!(matches!(snapshot.tree(&too_long), Err(Error::NoSuchTree { .. })));
    assert_clean(&db);
}

#[test]
fn thousands_of_trees() {
    let (dir, db) = store(4096);
    let name = |number: u32| format!("tree number {number}");
    let mut txn = db.begin_write().unwrap();
    for number in 0..3000 {
        txn.tree(&name(number)).unwrap().insert(b"number", number.to_le_bytes()).unwrap();
    }
    txn.commit().unwrap();
    let db = reopen(&dir, db);
    let mut txn = db.begin_write().unwrap();
    for number in (0..3000).filter(|number| number % 10 != 0) {
        assert!(txn.drop_tree(&name(number)).unwrap());
    }
    txn.commit().unwrap();
    let snapshot = db.snapshot().unwrap();
    assert_eq!(snapshot.trees().unwrap().len(), 300);
    for number in (0..3000).step_by(10) {
        let tree = snapshot.tree(&name(number)).unwrap();
        assert_eq!(tree.get(b"number").unwrap(), Some(number.to_le_bytes().as_slice()));
    }
    assert_clean(&db);
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("options.pent");
    let is_named = |opened: Result<Database, Error>, word: &str| match opened {
        Err(Error::InvalidOption { option, .. }) => assert!(option.contains(word), "{option}"),
        other => panic!("{word}: {other:?}"),
    };
    for bytes in [0, 1, 2048, 4095, 5000, 8193, 131_072, usize::MAX] {
        is_named(Database::builder().page_size(bytes).in_memory(), "page size");
        is_named(Database::builder().page_size(bytes).open(&path), "page size");
    }
    is_named(Database::builder().memory_limits(2 << 20, 1 << 20).open(&path), "limit");
    is_named(Database::builder().durability(Durability::Interval(Duration::ZERO)).open(&path), "durability");
    is_named(Database::builder().durability(Durability::Interval(Duration::ZERO)).in_memory(), "durability");

    // None of the refusals has spoilt the file for those who ask for what is possible.
    let db = Database::builder().page_size(65536).open(&path).unwrap();
    let mut txn = db.begin_write().unwrap();
    let refused = txn.set_durability(Durability::Interval(Duration::ZERO)).unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "durability", .. }));
    txn.tree("t").unwrap();
    txn.commit().unwrap();
    assert_clean(&db);
}
