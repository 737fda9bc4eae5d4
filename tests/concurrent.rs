//! Concurrent transactions: what they read over their own changes, what is a conflict and what is none, what they leave behind.
//!
//! Strategy: random transactions against a `BTreeMap`; then each rule by an example, on a store in memory and on one with a journal, which learn what others wrote
//! in different ways.

mod common;

use common::{Entries, Random, assert_clean, assert_walk, cases, pattern};
use pentimento::{ConcurrentTransaction, Database, Error, Isolation, Result, RetryPolicy};
use std::ops::Bound;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

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

fn random_key(random: &mut Random) -> Vec<u8> {
    let len = random.below(3) as usize;
    (0..len).map(|_| random.below(6) as u8).collect()
}

fn random_bound(random: &mut Random) -> Bound<Vec<u8>> {
    match random.below(3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(random_key(random)),
        _ => Bound::Excluded(random_key(random)),
    }
}

fn within<'m>(model: &'m Entries, bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> Vec<(&'m [u8], &'m [u8])> {
    let starts = |key: &Vec<u8>| match &bounds.0 {
        Bound::Unbounded => true,
        Bound::Included(start) => key >= start,
        Bound::Excluded(start) => key > start,
    };
    let ends = |key: &Vec<u8>| match &bounds.1 {
        Bound::Unbounded => true,
        Bound::Included(end) => key <= end,
        Bound::Excluded(end) => key < end,
    };
    model.iter().filter(|(key, _)| starts(key) && ends(key)).map(|(k, v)| (k.as_slice(), v.as_slice())).collect()
}

/// One change or look, in the transaction and in the model.
fn step(txn: &mut ConcurrentTransaction, model: &mut Entries, random: &mut Random) -> Result<()> {
    let mut tree = txn.tree("t")?;
    let key = random_key(random);
    match random.below(14) {
        0..=2 => {
            let value = pattern(random.next(), random.below(20) as usize);
            tree.insert(&key, &value)?;
            model.insert(key, value);
        }
        3 => assert_eq!(tree.replace(&key, b"replaced")?, model.insert(key, b"replaced".to_vec())),
        4 => assert_eq!(tree.remove(&key)?, model.remove(&key).is_some()),
        5 => assert_eq!(tree.take(&key)?, model.remove(&key)),
        6 => {
            tree.append(&key, b"+")?;
            model.entry(key).or_default().push(b'+');
        }
        7 => assert_eq!(tree.get(&key)?, model.get(&key).map(Vec::as_slice)),
        8 => assert_eq!(tree.len()?, model.len() as u64),
        9 => assert_eq!(tree.is_empty()?, model.is_empty()),
        10 => {
            let bounds = (random_bound(random), random_bound(random));
            assert_walk(tree.range(bounds.clone())?, within(model, &bounds), random.next());
        }
        11 => {
            let bounds = (random_bound(random), random_bound(random));
            let gone: Vec<Vec<u8>> = within(model, &bounds).into_iter().map(|(key, _)| key.to_vec()).collect();
            assert_eq!(tree.remove_range(bounds)?, gone.len() as u64);
            gone.iter().for_each(|key| drop(model.remove(key)));
        }
        12 => {
            let (first, last) = (model.pop_first(), model.pop_last());
            assert_eq!((tree.pop_first()?, tree.pop_last()?), (first, last));
        }
        _ => {
            let old = model.get(&key).cloned();
            assert!(!tree.compare_and_swap(&key, Some(b"never there"), None)?);
            assert!(tree.compare_and_swap(&key, old.as_deref(), Some(b"swapped"))?);
            model.insert(key, b"swapped".to_vec());
        }
    }
    Ok(())
}

#[test]
fn a_transaction_sees_what_a_map_would_and_commits_it() {
    on_each_store(|db| {
        put(db, "t", b"begin", b"here");
        let mut committed = Entries::from([(b"begin".to_vec(), b"here".to_vec())]);
        let mut random = Random(11);
        for _ in 0..150 * cases(1) {
            let isolation = BOTH[random.below(2) as usize];
            let mut txn = db.begin_concurrent(isolation).unwrap();
            let mut model = committed.clone();
            for _ in 0..random.below(40) {
                step(&mut txn, &mut model, &mut random).unwrap();
            }
            if random.below(4) > 0 {
                txn.commit().unwrap();
                committed = model;
            }
            let snapshot = db.snapshot().unwrap();
            let tree = snapshot.tree("t").unwrap();
            assert_eq!(tree.len().unwrap(), committed.len() as u64);
            assert_walk(tree.iter().unwrap(), within(&committed, &(Bound::Unbounded, Bound::Unbounded)), 0);
        }
    });
}

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

#[test]
fn the_last_try_holds_the_turn_and_cannot_fail() {
    on_each_store(|db| {
        put(db, "t", b"k", b"");
        let policy = RetryPolicy::new(Isolation::Serializable).tries(3).backoff(Duration::ZERO, Duration::ZERO);
        let spoil = |txn: &mut ConcurrentTransaction, runs: &mut u32| -> Result<()> {
            *runs += 1;
            let base = txn.base();
            let mut tree = txn.tree("t")?;
            let seen = tree.get(b"k")?.map(<[u8]>::to_vec);
            tree.insert(b"k", format!("{base}"))?;
            // Somebody else is always quicker, unless nobody else can be.
            match db.try_begin_write() {
                Ok(mut txn) => {
                    txn.tree("t")?.insert(b"k", seen.unwrap_or_default())?;
                    txn.commit().map(drop)
                }
                Err(Error::Busy) => Ok(()),
                Err(error) => Err(error),
            }
        };
        let mut runs = 0;
        let done = policy.run(db, |txn| spoil(txn, &mut runs)).unwrap();
        assert_eq!((runs, done.retries, done.held_turn), (4, 3, true));
        assert_eq!(entry(db, "t", b"k").unwrap(), format!("{}", done.at.0 - 1).as_bytes());
        let mut runs = 0;
        let failed = policy.last_try_holds_turn(false).run(db, |txn| spoil(txn, &mut runs)).unwrap_err();
        assert!(matches!(failed, Error::Conflict { .. }) && runs == 3);
        assert_eq!(db.concurrency_stats().turns_held, 1);
    });
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

/// The slow one thinks for longer than the quick ones need for many commits, all on one key: only the last try, which holds the turn, lets it through. The exclusive writer
/// waits in the same line.
#[test]
fn nobody_starves_on_one_hot_key() {
    const THINKING: Duration = Duration::from_millis(4);
    let db = Database::in_memory().unwrap();
    let run = Duration::from_millis(1500 * cases(1));
    let began = std::time::Instant::now();
    let count = |txn: &mut ConcurrentTransaction, thinking: Duration| {
        let mut tree = txn.tree("t")?;
        let old = tree.counter(b"n")?;
        thread::sleep(thinking);
        tree.insert(b"n", (old + 1).to_le_bytes())
    };
    let (quick, slow, exclusive, longest) = thread::scope(|scope| {
        let (db, count) = (&db, &count);
        let quick: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    let mut commits = 0u64;
                    while began.elapsed() < run {
                        db.transact(Isolation::Serializable, |txn| count(txn, Duration::ZERO)).unwrap();
                        commits += 1;
                    }
                    commits
                })
            })
            .collect();
        let slow = scope.spawn(move || {
            let (mut commits, mut held, mut longest) = (0u64, 0u64, Duration::ZERO);
            while began.elapsed() < run {
                let started = std::time::Instant::now();
                let done = db.transact(Isolation::Serializable, |txn| count(txn, THINKING)).unwrap();
                longest = longest.max(started.elapsed());
                commits += 1;
                held += u64::from(done.held_turn);
            }
            (commits, held, longest)
        });
        let exclusive = scope.spawn(move || {
            let mut commits = 0u64;
            while began.elapsed() < run {
                let mut txn = db.begin_write().unwrap();
                let mut tree = txn.tree("t").unwrap();
                let old = tree.get(b"n").unwrap().map_or(0, |n| i64::from_le_bytes(n.try_into().unwrap()));
                tree.insert(b"n", (old + 1).to_le_bytes()).unwrap();
                txn.commit().unwrap();
                commits += 1;
            }
            commits
        });
        let (commits, held, longest) = slow.join().unwrap();
        let quick: Vec<u64> = quick.into_iter().map(|thread| thread.join().unwrap()).collect();
        (quick, (commits, held), exclusive.join().unwrap(), longest)
    });
    println!(
        "quick: {quick:?}, slow: {} ({} with the turn held), exclusive: {exclusive}, longest {longest:?}",
        slow.0, slow.1
    );
    let all = quick.iter().sum::<u64>() + slow.0 + exclusive;
    assert_eq!(i64::from_le_bytes(entry(&db, "t", b"n").unwrap().try_into().unwrap()) as u64, all, "none is lost");
    // On a busy machine too: nine runs of the slow one, the waits between them and the line for the turn.
    assert!(slow.0 >= 3 && exclusive >= 10 && quick.iter().all(|commits| *commits >= 10));
    assert_clean(&db);
}
