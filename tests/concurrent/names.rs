//! Trees that come, go and change their names beside a transaction.

use crate::{BOTH, conflicts, on_each_store, put};
use pentimento::{Isolation, Result};

#[test]
fn trees_come_go_and_change_their_names_beside() {
    on_each_store(|db| {
        for isolation in BOTH {
            let is_serializable = isolation == Isolation::Serializable;
            put(db, "t", b"k", b"");
            let begin = || db.begin_concurrent(isolation).unwrap();
            let restructure = |change: fn(&mut pentimento::WriteTransaction) -> Result<()>| {
                let mut txn = db.begin_write().unwrap();
                change(&mut txn).unwrap();
                txn.commit().unwrap();
            };
            // Two make the same tree: all entries come together.
            let (mut one, mut two) = (begin(), begin());
            one.tree("made").unwrap().insert(b"1", b"").unwrap();
            two.tree("made").unwrap().insert(b"2", b"").unwrap();
            assert!(two.has_tree("made").unwrap(), "its own, so others do not matter");
            let mut lists = begin();
            lists.tree("listed").unwrap();
            assert_eq!(lists.trees().unwrap(), ["listed", "t"]);
            assert!(!conflicts(one) && !conflicts(two));
            assert_eq!(conflicts(lists), is_serializable, "it looked at all names");
            assert_eq!(db.snapshot().unwrap().tree("made").unwrap().len().unwrap(), 2);
            // Dropping and renaming are met by whoever wrote to the tree, or read it.
            let changes: [fn(&mut pentimento::WriteTransaction) -> Result<()>; 3] = [
                |txn| txn.drop_tree("t").map(drop),
                |txn| txn.rename_tree("t", "u"),
                |txn| txn.drop_tree("t").and_then(|_| txn.rename_tree("made", "t")),
            ];
            for change in changes {
                restructure(|txn| txn.drop_tree("u").map(drop));
                put(db, "t", b"k", b"");
                put(db, "made", b"k", b"");
                let (mut writes, mut reads, mut names, mut elsewhere) = (begin(), begin(), begin(), begin());
                writes.tree("t").unwrap().insert(b"x", b"").unwrap();
                reads.tree("t").unwrap().get(b"absent").unwrap();
                names.has_tree("t").unwrap();
                for txn in [&mut reads, &mut names, &mut elsewhere] {
                    txn.tree("elsewhere").unwrap().append(b"log", b"x").unwrap();
                }
                restructure(change);
                assert!(conflicts(writes));
                assert_eq!((conflicts(reads), conflicts(names)), (is_serializable, is_serializable));
                assert!(!conflicts(elsewhere));
            }
            restructure(|txn| txn.trees()?.iter().try_for_each(|name| txn.drop_tree(name).map(drop)));
        }
    });
}

#[test]
fn a_tree_that_comes_is_noticed_by_whoever_looked_for_it() {
    on_each_store(|db| {
        for (look, all) in [("has_tree", false), ("trees", true)] {
            let mut txn = db.begin_concurrent(Isolation::Serializable).unwrap();
            let mut other = db.begin_concurrent(Isolation::Serializable).unwrap();
            for txn in [&txn, &other] {
                if all { drop(txn.trees().unwrap()) } else { assert!(!txn.has_tree(look).unwrap()) }
            }
            txn.tree("mine").unwrap().insert(b"k", look).unwrap();
            other.tree("others").unwrap().insert(b"k", look).unwrap();
            put(db, look, b"k", b"");
            assert!(conflicts(txn) && conflicts(other));
        }
    });
}

#[test]
fn a_tree_that_goes_is_noticed_by_whoever_was_told_that_it_is_there() {
    on_each_store(|db| {
        for is_told in [false, true] {
            put(db, "t", b"k", b"");
            let mut txn = db.begin_concurrent(Isolation::Serializable).unwrap();
            // Opening it tells nothing.
            txn.tree("t").unwrap();
            assert!(!is_told || txn.has_tree("t").unwrap());
            txn.tree("log").unwrap().insert(b"k", b"t is there").unwrap();
            let mut other = db.begin_write().unwrap();
            assert!(other.drop_tree("t").unwrap());
            other.commit().unwrap();
            assert_eq!(conflicts(txn), is_told);
        }
    });
}
