//! Changes that do not look at what they change.

use crate::common::cases;
use crate::{BOTH, conflicts, entry, on_each_store, put};
use pentimento::{Error, Isolation};
use std::sync::Barrier;
use std::thread;

#[test]
fn blind_changes_meet_only_what_is_not_blind() {
    on_each_store(|db| {
        for isolation in BOTH {
            put(db, "t", b"n", &5i64.to_le_bytes());
            let adds = |delta| {
                let mut txn = db.begin_concurrent(isolation).unwrap();
                txn.tree("t").unwrap().add(b"n", delta).unwrap();
                txn.tree("t").unwrap().append(b"log", format!("{delta};")).unwrap();
                txn
            };
            put(db, "t", b"log", b"");
            let (one, two, mut looks) = (adds(1), adds(2), adds(4));
            assert_eq!(looks.tree("t").unwrap().counter(b"n").unwrap(), 9);
            let (mut sets, mut reads) =
                (db.begin_concurrent(isolation).unwrap(), db.begin_concurrent(isolation).unwrap());
            sets.tree("t").unwrap().insert(b"n", 0i64.to_le_bytes()).unwrap();
            reads.tree("t").unwrap().get(b"n").unwrap();
            reads.tree("t").unwrap().insert(b"other", b"").unwrap();
            assert!(!conflicts(one) && !conflicts(two));
            assert_eq!(entry(db, "t", b"n").unwrap(), 8i64.to_le_bytes());
            assert_eq!(entry(db, "t", b"log").unwrap(), b"1;2;");
            assert!(conflicts(looks), "what was looked at is not blind");
            assert!(conflicts(sets), "to set it would undo what was added");
            assert_eq!(conflicts(reads), isolation == Isolation::Serializable);
            let adds = adds(8);
            put(db, "t", b"n", b"");
            assert!(conflicts(adds), "it was set meanwhile");
            let mut wrong = db.begin_concurrent(isolation).unwrap();
            wrong.tree("t").unwrap().add(b"log", 1).unwrap();
            let before = db.timestamp();
            assert!(matches!(wrong.commit(), Err(Error::NotACounter { len: 4, .. })));
            assert_eq!(db.timestamp(), before);
        }
    });
}

#[test]
fn a_look_before_a_blind_change_is_validated_if_serializable() {
    on_each_store(|db| {
        for isolation in BOTH {
            put(db, "t", b"balance", &10i64.to_le_bytes());
            let withdraw = || {
                let mut txn = db.begin_concurrent(isolation).unwrap();
                let mut tree = txn.tree("t").unwrap();
                assert_eq!(tree.counter(b"balance").unwrap(), 10);
                tree.add(b"balance", -10).unwrap();
                txn
            };
            let (one, two) = (withdraw(), withdraw());
            one.commit().unwrap();
            // As the docs of `add` say.
            assert_eq!(conflicts(two), isolation == Isolation::Serializable);
        }
    });
}

#[test]
fn concurrent_counters_add_up_whatever_way_they_are_counted() {
    const THREADS: u64 = 8;
    on_each_store(|db| {
        let rounds = 40 * cases(1);
        let start = Barrier::new(THREADS as usize);
        let retries: u64 = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|number| {
                    let (db, start) = (db.clone(), &start);
                    scope.spawn(move || {
                        start.wait();
                        let mut retries = 0;
                        for _ in 0..rounds {
                            if number == 0 {
                                // The exclusive writer mixes freely.
                                let mut txn = db.begin_write().unwrap();
                                let mut tree = txn.tree("t").unwrap();
                                let old =
                                    tree.get(b"n").unwrap().map_or(0, |n| i64::from_le_bytes(n.try_into().unwrap()));
                                tree.insert(b"n", (old + 1).to_le_bytes()).unwrap();
                                txn.commit().unwrap();
                                continue;
                            }
                            let isolation = BOTH[(number % 2) as usize];
                            let done = db.transact(isolation, |txn| txn.tree("t")?.fetch_add(b"n", 1)).unwrap();
                            db.transact(isolation, |txn| txn.tree("t")?.add(b"blind", 1)).unwrap();
                            retries += u64::from(done.retries);
                        }
                        retries
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let counter = |key: &[u8]| i64::from_le_bytes(entry(db, "t", key).unwrap().try_into().unwrap()) as u64;
        assert_eq!((counter(b"n"), counter(b"blind")), (THREADS * rounds, (THREADS - 1) * rounds));
        let stats = db.concurrency_stats();
        assert_eq!(stats.commits, 2 * (THREADS - 1) * rounds);
        assert!(stats.retries >= retries && stats.conflicts == stats.retries, "{stats:?}");
    });
}
