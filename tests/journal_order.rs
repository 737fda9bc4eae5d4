//! The journal beside commits that it does not hold, checkpoints that take its files away, and what earlier recoveries gave up.
//!
//! Strategy: small commits, which are journaled, and large ones, which are made durable by their own checkpoints, in every order and from several threads; then a crash, which is a
//! copy of the files while the store is open. A recovery that has to give up records is made by damaging one that was never synced.
//!
//! Invariants: what was acknowledged as durable, or read by a durable commit, is there after the crash, under its timestamp; what a recovery gave up never comes back; no writer meets a
//! journal without the room that was made for it.

mod common;
#[path = "common/crash.rs"]
mod crash;
mod gate;
#[path = "common/obstructed_logs.rs"]
mod obstructed_logs;

use common::{assert_clean, read_all};
use crash::{contents, crash, journals, keys, put};
use gate::GateMedium;
use obstructed_logs::GateLogs;
use pentimento::{Builder, Database, Durability, FileLogs};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SEGMENT_BYTES: u64 = 16 << 10;
/// Where the header of a segment has the timestamp of its first record; and where its records begin.
const FIRST_AT: usize = 48;
const RECORDS_AT: usize = 512;

fn builder() -> Builder {
    Database::builder().page_size(4096).journal_segment(SEGMENT_BYTES)
}

/// A store in memory, with its journal in files.
fn open_beside(medium: &GateMedium, path: &Path, create: bool) -> Database {
    let logs = FileLogs::beside(path, false);
    builder().open_on(Box::new(medium.clone()), Some(Box::new(logs)), create).unwrap()
}

/// More than a quarter of a segment, so not journaled.
fn put_large(db: &Database, number: u32) {
    let mut txn = db.begin_write().unwrap();
    txn.tree("large").unwrap().insert(number.to_be_bytes(), [number as u8; SEGMENT_BYTES as usize / 2]).unwrap();
    txn.commit().unwrap();
}

fn assert_survives_a_crash(db: &Database, store: &Path, to: &Path, when: &str) {
    let crashed = builder().open(crash(store, to)).unwrap_or_else(|error| panic!("{when}: {error}"));
    assert_eq!(crashed.timestamp(), db.timestamp(), "{when}");
    let all = |db: &Database| read_all(&db.snapshot().unwrap()).unwrap();
    assert!(all(&crashed) == all(db), "{when}: other contents");
    assert_clean(&crashed);
}

/// Each word is an order of commits: `s` is small, `l` is large, `c` a checkpoint. A crash after every one of them.
#[test]
fn large_commits_leave_no_gap_before_small_ones() {
    let dir = tempfile::tempdir().unwrap();
    for order in ["sls", "lsls", "sslls", "slsclsls", "lcsls", "sclss"] {
        let folder = dir.path().join(order);
        fs::create_dir(&folder).unwrap();
        let path = folder.join("store.pent");
        let db = builder().open(&path).unwrap();
        for (number, what) in order.char_indices() {
            match what {
                's' => {
                    put(&db, number as u32, b"small", Durability::Sync);
                }
                'l' => put_large(&db, number as u32),
                _ => assert_eq!(db.checkpoint().unwrap(), db.timestamp()),
            }
            assert_survives_a_crash(&db, &path, &folder.join(number.to_string()), &order[..=number]);
        }
    }
}

/// Whoever has the turn next appends while the large commit is still putting the journal in order.
#[test]
fn a_writer_that_waits_behind_a_large_commit_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..25 {
        let folder = dir.path().join(round.to_string());
        fs::create_dir(&folder).unwrap();
        let path = folder.join("store.pent");
        let db = builder().open(&path).unwrap();
        put(&db, 1, b"before", Durability::Sync);
        let mut txn = db.begin_write().unwrap();
        txn.tree("large").unwrap().insert(b"", [1; SEGMENT_BYTES as usize / 2]).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| put(&db, 2, b"behind", Durability::Sync));
            thread::sleep(Duration::from_millis(1));
            txn.commit().unwrap();
            waiting.join().unwrap();
        });
        assert_survives_a_crash(&db, &path, &folder.join("crashed"), "behind a large commit");
    }
}

#[test]
fn small_and_large_commits_of_several_writers_all_survive() {
    const EACH: u32 = 40;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = builder().open(&path).unwrap();
    thread::scope(|scope| {
        let db = &db;
        for writer in 0..3 {
            scope.spawn(move || {
                for number in 0..EACH {
                    put(db, writer * 1000 + number, b"small", Durability::Sync);
                }
            });
        }
        scope.spawn(move || (0..EACH / 2).for_each(|number| put_large(db, number)));
    });
    assert_eq!(keys(&db).len(), 3 * EACH as usize);
    assert_survives_a_crash(&db, &path, &dir.path().join("crashed"), "all have ended");
}

/// A transaction sees commits that are still becoming durable. Ending it with nothing changed vouches for them as any commit does.
#[test]
fn a_commit_of_nothing_waits_for_what_it_has_read() {
    let dir = tempfile::tempdir().unwrap();
    let logs = GateLogs::beside(&dir.path().join("store.pent"));
    let db = builder().open_on(Box::<GateMedium>::default(), Some(Box::new(logs.clone())), true).unwrap();
    put(&db, 0, b"before", Durability::Sync);
    logs.close_gate();
    thread::scope(|scope| {
        let writer = scope.spawn(|| put(&db, 1, b"becoming durable", Durability::Sync));
        logs.wait_for_arrival();
        let reader = scope.spawn(|| {
            let mut txn = db.begin_write().unwrap();
            let seen = txn.tree("t").unwrap().contains_key(1u32.to_be_bytes()).unwrap();
            let at = txn.commit().unwrap();
            (seen, at, db.timestamp())
        });
        thread::sleep(Duration::from_millis(100));
        let too_early = reader.is_finished() || writer.is_finished();
        // Who asks for less has it at once.
        let mut txn = db.begin_write().unwrap();
        txn.set_durability(Durability::None).unwrap();
        let relaxed = txn.commit().map(|at| at > db.timestamp());
        logs.open_gate();
        assert!(!too_early, "nothing was durable yet");
        assert!(relaxed.unwrap(), "it did not wait");
        let at = writer.join().unwrap();
        let (seen, vouched, published) = reader.join().unwrap();
        assert!(seen);
        assert_eq!((vouched, published), (at, at));
    });
}

/// A checkpoint that becomes durable between making room and appending must not take the segment away.
#[test]
fn checkpoints_do_not_take_away_the_room_that_was_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    // A disk without delay, so that there are as many checkpoints as commits.
    let medium = GateMedium::default();
    let db = open_beside(&medium, &path, true);
    let (stop, end) = (AtomicBool::new(false), Instant::now() + Duration::from_millis(1500));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    db.checkpoint().unwrap();
                }
            });
        }
        let db = &db;
        let write = move |key: u32| {
            let mut rounds = 0u32;
            while Instant::now() < end {
                rounds += 1;
                put(db, key, &[rounds as u8; 2500], Durability::None);
            }
            rounds
        };
        let writers = [1, 2].map(|key| scope.spawn(move || write(key)));
        let rounds = writers.map(|writer| writer.join());
        stop.store(true, Ordering::Relaxed);
        let expected = rounds.map(|rounds| vec![rounds.expect("no writer panics") as u8; 2500]);
        assert!(contents(db).into_iter().map(|(_, value)| value).eq(expected), "the last values");
    });
    db.flush().unwrap();
    let again = crash(&path, &dir.path().join("crashed"));
    let crashed = open_beside(&GateMedium::from_bytes(&medium.to_bytes()), &again, false);
    assert!(contents(&crashed) == contents(&db) && crashed.timestamp() == db.timestamp());
    assert_clean(&crashed);
}

/// Timestamps that a recovery gave up are used again. Neither at once nor after a second crash may a record of the first life be taken for one of the second.
#[test]
fn what_a_recovery_gave_up_never_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let first_life = GateMedium::default();
    let db = open_beside(&first_life, &path, true);
    // No checkpoint ends, so the records stay in the journal; none is known to be durable.
    first_life.close_gate();
    let mut key = 0;
    while db.journal_stats().segments < 3 {
        put(&db, key, &[1; 3000], Durability::None);
        key += 1;
    }
    let copy = crash(&path, &dir.path().join("first crash"));
    let image = first_life.to_bytes();
    first_life.open_gate();

    // Of the first segment the second record did not reach the disk.
    let stale = journals(&copy);
    let mut bytes = fs::read(&stale[0]).unwrap();
    let body = u32::from_le_bytes(bytes[RECORDS_AT..RECORDS_AT + 4].try_into().unwrap()) as usize;
    bytes[RECORDS_AT + (32 + body).next_multiple_of(8) + 100] ^= 1;
    fs::write(&stale[0], bytes).unwrap();
    let second = fs::read(&stale[1]).unwrap();
    let second_first = u64::from_le_bytes(second[FIRST_AT..FIRST_AT + 8].try_into().unwrap());

    let second_life = GateMedium::from_bytes(&image);
    let db = open_beside(&second_life, &copy, false);
    assert_eq!(keys(&db), [0]);
    assert!(journals(&copy).is_empty(), "what was given up is gone before the first commit");
    // As many commits that the next one has a timestamp that the second segment of the first life holds too.
    while db.timestamp().0 < second_first {
        put(&db, 1000 + db.timestamp().0 as u32, b"new", Durability::Sync);
    }
    db.checkpoint().unwrap();
    put(&db, 2000, b"acknowledged", Durability::Sync);
    let expected = contents(&db);

    let again = crash(&copy, &dir.path().join("second crash"));
    let db = open_beside(&GateMedium::from_bytes(&second_life.to_bytes()), &again, false);
    assert_eq!(contents(&db), expected);
    assert_clean(&db);
}
