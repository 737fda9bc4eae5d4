//! Concurrent transactions and hot readers, in a store in memory.

use crate::explore::{explore, notices};
use pentimento_schedules_storage::Bug;
use pentimento_schedules_sync::thread;
use pentimento_schedules_txn::{ConcurrentTree, Database, Error, Isolation, Result};

fn create(bug: Option<Bug>) -> Database {
    let db = Database::builder().page_size(4096).plant(bug).in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    for key in ["one", "two"] {
        txn.tree("t").unwrap().insert(key, 1_i64.to_le_bytes()).unwrap();
    }
    txn.commit().unwrap();
    db
}

fn number(value: Option<&[u8]>) -> i64 {
    value.map_or(0, |value| i64::from_le_bytes(value.try_into().expect("eight bytes")))
}

fn read(tree: &ConcurrentTree<'_>, key: &str) -> Result<i64> {
    Ok(number(tree.get(key)?))
}

/// Two each give up their own one if the other has one, and all count: at least one keeps its own, and no count is lost.
fn concurrent_transactions(bug: Option<Bug>) {
    let db = create(bug);
    let give_up = |own: &'static str, other: &'static str| {
        let db = db.clone();
        thread::spawn(move || {
            let done = db.transact(Isolation::Serializable, |txn| {
                let mut tree = txn.tree("t")?;
                if read(&tree, other)? > 0 {
                    tree.insert(own, 0_i64.to_le_bytes())?;
                }
                let count = read(&tree, "count")? + 1;
                tree.insert(own.to_owned() + " was here", count.to_le_bytes())
            });
            done.unwrap();
        })
    };
    let count = |isolation| {
        let db = db.clone();
        thread::spawn(move || {
            db.transact(isolation, |txn| {
                let mut tree = txn.tree("t")?;
                let next = read(&tree, "count")? + 1;
                tree.insert("count", next.to_le_bytes())
            })
            .unwrap();
        })
    };
    let threads =
        [give_up("one", "two"), give_up("two", "one"), count(Isolation::Snapshot), count(Isolation::Serializable)];
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("t").unwrap();
    let next = number(tree.get("count").unwrap()) + 1;
    tree.insert("count", next.to_le_bytes()).unwrap();
    txn.commit().unwrap();
    for thread in threads {
        thread.join().unwrap();
    }
    let snapshot = db.snapshot().unwrap();
    let tree = snapshot.tree("t").unwrap();
    let value = |key: &str| number(tree.get(key).unwrap());
    assert_eq!(value("one") + value("two"), 1, "exactly one gave up");
    assert_eq!(value("count"), 3, "three counted");
    let stats = db.concurrency_stats();
    assert_eq!((stats.running, stats.footprints, stats.footprint_bytes), (0, 0, 0), "nobody is remembered for nobody");
}

/// Hot readers beside a writer: each look is one moment, and none goes back.
fn hot_readers(bug: Option<Bug>) {
    let db = create(bug);
    let readers = [false, true].map(|rests| {
        let db = db.clone();
        thread::spawn(move || {
            let (mut reader, mut before) = (db.hot_reader(), 0);
            for _ in 0..3 {
                let newest = db.timestamp();
                let snapshot = reader.current().unwrap();
                assert!(snapshot.timestamp() >= newest, "what was published is seen");
                let tree = reader.tree("t").unwrap();
                let (one, two) = (number(tree.get("one").unwrap()), number(tree.get("two").unwrap()));
                assert_eq!(one, two, "one moment");
                assert!(one >= before, "it does not go back");
                before = one;
                if rests {
                    reader.quiescent();
                }
            }
        })
    });
    for value in 2..4_i64 {
        let mut txn = db.begin_write().unwrap();
        for key in ["one", "two"] {
            txn.tree("t").unwrap().insert(key, value.to_le_bytes()).unwrap();
        }
        txn.commit().unwrap();
        db.maintain().unwrap();
    }
    for reader in readers {
        reader.join().unwrap();
    }
    db.maintain().unwrap();
    assert_eq!(db.stats().versions_retained, 0, "nobody holds anything back");
    assert!(db.check().is_clean());
}

/// A transaction that meets another's commit is told so, or does not meet it: nothing in between.
fn conflicts(bug: Option<Bug>) {
    let db = create(bug);
    let other = {
        let db = db.clone();
        thread::spawn(move || {
            let mut txn = db.begin_concurrent(Isolation::Snapshot).unwrap();
            let base = txn.base();
            txn.tree("t").unwrap().insert("one", 5_i64.to_le_bytes()).unwrap();
            (base, txn.commit())
        })
    };
    let mut txn = db.begin_concurrent(Isolation::Serializable).unwrap();
    let base = txn.base();
    let mut tree = txn.tree("t").unwrap();
    let seen = read(&tree, "one").unwrap();
    tree.insert("two", (seen + 1).to_le_bytes()).unwrap();
    let own = txn.commit();
    let (_, others) = other.join().unwrap();
    let others = others.expect("nobody writes what it writes");
    match own {
        Ok(at) if seen == 5 => assert!(others <= base && base < at),
        Ok(at) => assert!(at < others, "it did not see what came before it"),
        Err(Error::Conflict { tree, key, at }) => {
            assert_eq!((tree.as_str(), key.as_deref(), at), ("t", Some(b"one".as_slice()), others));
            assert!(base < others);
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn concurrent_transactions_lose_nothing() {
    explore("concurrent transactions", concurrent_transactions);
}

#[test]
fn conflicts_are_told() {
    explore("conflicts", conflicts);
}

#[test]
fn hot_readers_see_moments() {
    explore("hot readers", hot_readers);
}

#[test]
fn transactions_notice_what_is_broken_on_purpose() {
    notices("concurrent transactions", concurrent_transactions, &[Bug::SkipValidation, Bug::SkipReadValidation]);
    notices("conflicts", conflicts, &[Bug::SkipReadValidation]);
    notices("hot readers", hot_readers, &[Bug::ForgetReaders, Bug::PublishBeforeInstall]);
}
