//! What is a conflict, and with whom.

use crate::{BOTH, conflicts, entry, on_each_store, put};
use pentimento::{ConcurrentTransaction, Error, Isolation, Result};

#[test]
fn the_first_to_commit_wins_and_the_other_leaves_no_trace() {
    on_each_store(|db| {
        for isolation in BOTH {
            put(db, "t", b"k", b"old");
            let mut one = db.begin_concurrent(isolation).unwrap();
            let mut two = db.begin_concurrent(isolation).unwrap();
            assert_eq!((db.concurrency_stats().running, one.base()), (2, two.base()));
            one.tree("t").unwrap().insert(b"k", b"one").unwrap();
            two.tree("t").unwrap().insert(b"k", b"two").unwrap();
            two.tree("made").unwrap().insert(b"k", b"two").unwrap();
            let at = one.commit().unwrap();
            match two.commit() {
                Err(Error::Conflict { tree, key, at: theirs }) => {
                    assert_eq!((tree.as_str(), key.as_deref(), theirs), ("t", Some(b"k".as_slice()), at));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(entry(db, "t", b"k").unwrap(), b"one");
            assert!(!db.snapshot().unwrap().has_tree("made").unwrap());
            assert_eq!(db.timestamp(), at, "a conflict is no commit");
        }
    });
}

#[test]
fn exclusive_writers_are_seen_too_whatever_they_did() {
    type Change = fn(&mut pentimento::TreeMut<'_>) -> Result<()>;
    let changes: [(&str, Change, bool); 6] = [
        ("insert", |tree| tree.insert(b"m", b""), true),
        ("remove", |tree| tree.remove(b"m").map(drop), true),
        ("elsewhere", |tree| tree.insert(b"n", b""), false),
        ("range", |tree| tree.remove_range(b"a".as_slice()..b"n").map(drop), true),
        ("range elsewhere", |tree| tree.remove_range(b"n".as_slice()..).map(drop), false),
        ("in place", |tree| tree.insert_reserve(b"m", 3).map(|room| room.fill(7)), true),
    ];
    on_each_store(|db| {
        // From here on a store in memory gathers keys as well.
        drop(db.begin_concurrent(Isolation::Snapshot).unwrap());
        for (what, change, is_conflict) in changes {
            for isolation in BOTH {
                put(db, "t", b"m", b"middle");
                put(db, "t", b"z", b"last");
                let mut txn = db.begin_concurrent(isolation).unwrap();
                txn.tree("t").unwrap().insert(b"m", b"mine").unwrap();
                let mut exclusive = db.begin_write().unwrap();
                change(&mut exclusive.tree("t").unwrap()).unwrap();
                exclusive.commit().unwrap();
                assert_eq!(conflicts(txn), is_conflict, "{what} under {isolation:?}");
            }
        }
    });
}

#[test]
fn reads_are_validated_if_serializable() {
    type Look = fn(&mut ConcurrentTransaction) -> Result<()>;
    fn tree<'t>(txn: &'t mut ConcurrentTransaction) -> Result<pentimento::ConcurrentTree<'t>> {
        txn.tree("t")
    }
    // The others insert "m", which was missing among "a", "k" and "z".
    let looks: [(&str, Look, bool); 14] = [
        ("another key", |txn| tree(txn)?.get(b"a").map(drop), false),
        ("a key not found", |txn| tree(txn)?.get(b"m").map(drop), true),
        ("contains", |txn| tree(txn)?.contains_key(b"m").map(drop), true),
        ("removal of nothing", |txn| tree(txn)?.remove(b"m").map(drop), true),
        ("the number", |txn| tree(txn)?.len().map(drop), true),
        ("emptiness", |txn| tree(txn)?.is_empty().map(drop), false),
        ("the first", |txn| tree(txn)?.first().map(drop), false),
        ("the last", |txn| tree(txn)?.last().map(drop), false),
        (
            "a range around",
            |txn| {
                tree(txn)?.range(b"l".as_slice()..b"n")?.for_each(drop);
                Ok(())
            },
            true,
        ),
        (
            "a range before",
            |txn| {
                tree(txn)?.range(..b"m".as_slice())?.for_each(drop);
                Ok(())
            },
            false,
        ),
        ("a range not walked", |txn| tree(txn)?.iter().map(drop), false),
        (
            "two of a range",
            |txn| {
                tree(txn)?.iter()?.take(2).for_each(drop);
                Ok(())
            },
            false,
        ),
        (
            "three of a range",
            |txn| {
                tree(txn)?.iter()?.take(3).for_each(drop);
                Ok(())
            },
            true,
        ),
        (
            "two from the back",
            |txn| {
                tree(txn)?.iter()?.rev().take(2).for_each(drop);
                Ok(())
            },
            true,
        ),
    ];
    on_each_store(|db| {
        for (what, look, is_conflict) in looks {
            for isolation in BOTH {
                let mut txn = db.begin_write().unwrap();
                let mut tree = txn.tree("t").unwrap();
                tree.clear().unwrap();
                ["a", "k", "z"].iter().for_each(|key| tree.insert(key, b"").unwrap());
                txn.commit().unwrap();
                let mut txn = db.begin_concurrent(isolation).unwrap();
                look(&mut txn).unwrap();
                txn.tree("elsewhere").unwrap().insert(b"k", what).unwrap();
                let mut read_only = db.begin_concurrent(isolation).unwrap();
                look(&mut read_only).unwrap();
                let mut other = db.begin_concurrent(isolation).unwrap();
                other.tree("t").unwrap().insert(b"m", b"").unwrap();
                other.commit().unwrap();
                assert_eq!(
                    conflicts(txn),
                    is_conflict && isolation == Isolation::Serializable,
                    "{what} under {isolation:?}"
                );
                assert!(!conflicts(read_only), "who changes nothing never fails");
            }
        }
    });
}
