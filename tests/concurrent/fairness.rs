//! Nobody fails for ever.

use crate::common::{assert_clean, cases};
use crate::{entry, on_each_store, put};
use pentimento::{ConcurrentTransaction, Database, Error, Isolation, Result, RetryPolicy};
use std::thread;
use std::time::Duration;

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
