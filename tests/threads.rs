//! Many threads on one store: readers beside writers, and each other's turn.
//!
//! Strategy: writers move money between accounts and keep books of different lengths, durable, relaxed, or given up half-way, in turns; meanwhile readers add up,
//! and another thread makes checkpoints and maintenance, all with little memory. Snapshots, owned iterators and values wander between threads.
//! Thousands of snapshots live at once.
//!
//! Invariants: every snapshot sees a state between two commits (the sum is the same in all of them, every length is the number of entries), timestamps
//! never go back, whatever is read twice from one snapshot is the same; waiting ends when it was asked to end; nothing is retained when all have gone.

mod common;

use common::{Random, assert_clean, cases, pattern};
use pentimento::{Database, Durability, Error, Snapshot, Timestamp};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const ACCOUNTS: u64 = 300;
const EACH: u64 = 1000;

fn read_number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("a balance has eight bytes and more"))
}

/// A balance, with a filling that makes accounts spread over pages.
fn account(balance: u64) -> Vec<u8> {
    let mut bytes = balance.to_le_bytes().to_vec();
    bytes.resize(100 + (balance % 50) as usize, balance as u8);
    bytes
}

fn open_accounts(db: &Database) {
    let mut txn = db.begin_write().unwrap();
    let mut accounts = txn.tree("accounts").unwrap();
    for number in 0..ACCOUNTS {
        accounts.insert(number.to_be_bytes(), account(EACH)).unwrap();
    }
    txn.tree("books").unwrap();
    txn.commit().unwrap();
}

/// One transaction of a writer: some transfers, some entries in the books and out of them.
fn transact(db: &Database, random: &mut Random) {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(match random.below(12) {
        0 => Durability::Sync,
        1..3 => Durability::Interval(Duration::from_millis(2)),
        _ => Durability::None,
    })
    .unwrap();
    let mut accounts = txn.tree("accounts").unwrap();
    for _ in 0..1 + random.below(20) {
        let (from, to) = (random.below(ACCOUNTS).to_be_bytes(), random.below(ACCOUNTS).to_be_bytes());
        let balance = read_number(accounts.get(from).unwrap().unwrap());
        let amount = random.below(balance + 1);
        accounts.insert(from, account(balance - amount)).unwrap();
        let balance = read_number(accounts.get(to).unwrap().unwrap());
        accounts.insert(to, account(balance + amount)).unwrap();
    }
    let mut books = txn.tree("books").unwrap();
    let page = random.below(2000);
    match random.below(3) {
        0 => drop(books.remove_range(page.to_be_bytes()..(page + 100).to_be_bytes()).unwrap()),
        _ => (0..20).for_each(|line| books.insert((page + line).to_be_bytes(), pattern(page, 60)).unwrap()),
    }
    match random.below(5) {
        0 => txn.rollback(),
        _ => drop(txn.commit().unwrap()),
    }
}

/// The state is one between two commits; tells a digest of it.
fn audit(snapshot: &Snapshot) -> u64 {
    let accounts = snapshot.tree("accounts").unwrap();
    let (mut sum, mut count, mut digest) = (0, 0, 0u64);
    for entry in accounts.iter().unwrap() {
        let (_, value) = entry.unwrap();
        let balance = read_number(value);
        assert!(value == account(balance), "a value is whole");
        sum += balance;
        count += 1;
        digest = digest.rotate_left(5) ^ balance;
    }
    assert_eq!((count, sum), (ACCOUNTS, ACCOUNTS * EACH), "at {}", snapshot.timestamp());
    assert_eq!(accounts.len().unwrap(), count);
    let books = snapshot.tree("books").unwrap();
    assert_eq!(books.len().unwrap(), books.iter().unwrap().rev().map(Result::unwrap).count() as u64);
    digest ^ books.len().unwrap()
}

fn read_until(db: &Database, done: &AtomicBool, seed: u64) -> u64 {
    let mut random = Random(seed);
    let mut held: Vec<(Snapshot, u64)> = Vec::new();
    let (mut last, mut audits) = (Timestamp::ZERO, 0);
    while !done.load(Ordering::Relaxed) {
        let snapshot = db.snapshot().unwrap();
        assert!(snapshot.timestamp() >= last, "time does not go back");
        last = snapshot.timestamp();
        let digest = audit(&snapshot);
        audits += 1;
        if held.len() == 10 {
            let (old, told) = held.swap_remove(random.below(10) as usize);
            assert_eq!(audit(&old), told, "a snapshot tells the same twice");
        }
        held.push((snapshot, digest));
    }
    held.iter().for_each(|(old, told)| assert_eq!(audit(old), *told));
    audits
}

fn audited_while_written(db: &Database) {
    open_accounts(db);
    let done = AtomicBool::new(false);
    let transactions = AtomicU64::new(0);
    let end = Instant::now() + Duration::from_secs(4 * cases(1));
    let audits: u64 = thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|seed| {
                let done = &done;
                scope.spawn(move || read_until(db, done, seed))
            })
            .collect();
        let writers: Vec<_> = (0..3)
            .map(|seed| {
                let transactions = &transactions;
                scope.spawn(move || {
                    let mut random = Random(100 + seed);
                    while Instant::now() < end {
                        transact(db, &mut random);
                        transactions.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let keeper = scope.spawn(|| {
            let mut random = Random(200);
            while !done.load(Ordering::Relaxed) {
                match random.below(8) {
                    0 => db.flush().unwrap(),
                    1 => drop(db.maintain().unwrap()),
                    2 => assert_clean(db),
                    3 => assert!(db.readers().len() < 100 && db.stats().published <= db.stats().installed),
                    _ => drop(db.checkpoint().unwrap()),
                }
                thread::sleep(Duration::from_millis(random.below(15)));
            }
        });
        // Whoever fails must not keep the others running for ever.
        let writers = writers.into_iter().map(|writer| writer.join()).collect::<Vec<_>>();
        done.store(true, Ordering::Relaxed);
        keeper.join().unwrap();
        writers.into_iter().for_each(Result::unwrap);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert!(audits >= 10 && transactions.into_inner() >= 10, "both got on: {audits} audits");
    audit(&db.snapshot().unwrap());
    db.checkpoint().unwrap();
    db.maintain().unwrap();
    assert_eq!(db.stats().versions_retained, 0);
    assert_clean(db);
}

#[test]
fn every_snapshot_is_between_two_commits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("accounts.pent");
    let builder = Database::builder().page_size(4096).memory_limits(64 << 10, 192 << 10).spill_limit(1 << 20);
    let db = builder.open(&path).unwrap();
    audited_while_written(&db);
    let before = audit(&db.snapshot().unwrap());
    db.close().unwrap();
    let db = builder.open(&path).unwrap();
    assert_eq!(audit(&db.snapshot().unwrap()), before);
    assert_clean(&db);
}

#[test]
fn every_snapshot_is_between_two_commits_in_memory() {
    audited_while_written(&Database::builder().page_size(4096).in_memory().unwrap());
}

#[test]
fn snapshots_iterators_and_values_wander_between_threads() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::builder().memory_limits(64 << 10, 256 << 10).open(dir.path().join("wander.pent")).unwrap();
    open_accounts(&db);
    thread::scope(|scope| {
        let (send_snapshots, snapshots) = mpsc::channel::<(Snapshot, u64)>();
        let (send_ranges, ranges) = mpsc::channel();
        let (send_values, values) = mpsc::channel();
        scope.spawn(move || {
            for (snapshot, told) in snapshots {
                assert_eq!(audit(&snapshot), told);
                let accounts = snapshot.tree("accounts").unwrap();
                let mut range = accounts.range_owned(..);
                // Begun here, from both ends, and finished over there.
                let first = range.next().unwrap().unwrap().1;
                let last = range.next_back().unwrap().unwrap().1;
                send_values.send((accounts.get_bytes(7u64.to_be_bytes()).unwrap().unwrap(), snapshot.clone())).unwrap();
                send_ranges.send((range, read_number(&first) + read_number(&last))).unwrap();
            }
        });
        let adds_up = scope.spawn(move || {
            ranges.into_iter().for_each(|(range, sum)| {
                let rest = range.map(|entry| read_number(&entry.unwrap().1)).sum::<u64>();
                assert_eq!(sum + rest, ACCOUNTS * EACH);
            });
        });
        let compares = scope.spawn(move || {
            // Values that outlive every snapshot that they came from.
            let kept: Vec<_> = values.into_iter().map(|(value, snapshot)| (value.to_vec(), value, snapshot)).collect();
            let kept: Vec<_> = kept.into_iter().map(|(copy, value, _)| (copy, value)).collect();
            assert!(kept.iter().all(|(copy, value)| copy == value));
            kept.len()
        });
        let mut random = Random(5);
        for _ in 0..100 {
            transact(&db, &mut random);
            let snapshot = db.snapshot().unwrap();
            let told = audit(&snapshot);
            send_snapshots.send((snapshot, told)).unwrap();
        }
        drop(send_snapshots);
        adds_up.join().unwrap();
        assert_eq!(compares.join().unwrap(), 100);
    });
    db.checkpoint().unwrap();
    db.maintain().unwrap();
    assert_eq!(db.stats().versions_retained, 0, "what wandered has gone");
    assert_clean(&db);
}

#[test]
fn waiting_for_the_turn_ends_when_it_was_asked_to() {
    let db = Database::in_memory().unwrap();
    let txn = db.begin_write().unwrap();
    let refused = db.try_begin_write().unwrap_err();
    assert!(matches!(refused, Error::Busy) && refused.is_retryable());
    let limit = Duration::from_millis(80);
    let began = Instant::now();
    assert!(matches!(db.begin_write_within(limit), Err(Error::Busy)));
    assert!(began.elapsed() >= limit, "it gave up after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(20));
    // Readers do not wait.
    assert_eq!(db.snapshot().unwrap().trees().unwrap(), [""; 0]);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut txn = db.begin_write_within(Duration::from_secs(60)).unwrap();
            txn.tree("waited").unwrap();
            txn.commit().unwrap()
        });
        thread::sleep(limit);
        assert!(!waiter.is_finished(), "the turn is taken");
        txn.rollback();
        assert_eq!(waiter.join().unwrap(), db.timestamp());
    });
    db.try_begin_write().unwrap();
    assert_eq!(db.snapshot().unwrap().trees().unwrap(), ["waited"]);
    assert_clean(&db);
}

#[test]
fn the_turn_comes_in_the_order_of_asking() {
    let db = Database::in_memory().unwrap();
    let txn = db.begin_write().unwrap();
    thread::scope(|scope| {
        let db = &db;
        for number in 0..6u8 {
            scope.spawn(move || {
                let mut txn = db.begin_write().unwrap();
                let mut order = txn.tree("order").unwrap();
                let len = order.len() as u8;
                order.insert([len], [number]).unwrap();
                txn.commit().unwrap();
            });
            // Long enough that it has asked before the next one does.
            thread::sleep(Duration::from_millis(100));
        }
        drop(txn);
    });
    let snapshot = db.snapshot().unwrap();
    let order: Vec<u8> = snapshot.tree("order").unwrap().iter().unwrap().map(|entry| entry.unwrap().1[0]).collect();
    assert_eq!(order, [0, 1, 2, 3, 4, 5]);
    assert_clean(&db);
}

#[test]
fn thousands_of_snapshots_live_beside_a_writer() {
    const SNAPSHOTS: u64 = 5000;
    let dir = tempfile::tempdir().unwrap();
    let builder = Database::builder().page_size(4096).memory_limits(4 << 20, 16 << 20);
    for db in [builder.in_memory().unwrap(), builder.open(dir.path().join("thousands.pent")).unwrap()] {
        let mut snapshots: Vec<(Snapshot, u64)> = Vec::new();
        for number in 0..SNAPSHOTS {
            let mut txn = db.begin_write().unwrap();
            txn.set_durability(Durability::None).unwrap();
            let mut tree = txn.tree("numbers").unwrap();
            tree.insert((number % 700).to_be_bytes(), pattern(number, 40)).unwrap();
            txn.commit().unwrap();
            snapshots.push((db.snapshot().unwrap(), number));
        }
        assert_eq!(db.readers().iter().map(|held| held.readers.len() as u64).sum::<u64>(), SNAPSHOTS);
        assert_clean(&db);
        let tells = |(snapshot, number): &(Snapshot, u64)| {
            let tree = snapshot.tree("numbers").unwrap();
            assert_eq!(tree.len().unwrap(), (number + 1).min(700));
            for back in [0, 1, 350, 699] {
                let Some(number) = number.checked_sub(back) else { continue };
                assert_eq!(tree.get((number % 700).to_be_bytes()).unwrap(), Some(pattern(number, 40).as_slice()));
            }
        };
        snapshots.iter().for_each(tells);
        // In any order, while the writer goes on.
        let mut random = Random(9);
        while !snapshots.is_empty() {
            for _ in 0..500.min(snapshots.len()) {
                snapshots.swap_remove(random.below(snapshots.len() as u64) as usize);
            }
            let mut txn = db.begin_write().unwrap();
            txn.set_durability(Durability::None).unwrap();
            txn.tree("numbers").unwrap().insert(0u64.to_be_bytes(), pattern(random.next(), 40)).unwrap();
            txn.commit().unwrap();
            snapshots.iter().for_each(tells);
            assert_clean(&db);
        }
        db.checkpoint().unwrap();
        db.maintain().unwrap();
        assert_eq!(db.stats().versions_retained, 0);
        assert_clean(&db);
    }
}

#[test]
fn a_transaction_outlives_the_handle_that_began_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outlives.pent");
    let db = Database::open(&path).unwrap();
    let mut txn = db.begin_write().unwrap();
    drop(db);
    txn.tree("t").unwrap().insert(b"k", b"v").unwrap();
    txn.commit().unwrap();
    let db = Database::open(&path).unwrap();
    assert_eq!(db.snapshot().unwrap().tree("t").unwrap().get(b"k").unwrap(), Some(b"v".as_slice()));
    assert_clean(&db);
}
