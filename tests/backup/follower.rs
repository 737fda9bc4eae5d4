//! A copy that serves reads while it receives.

use pentimento::{Database, Durability};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

const KEYS: u64 = 3000;

/// Every entry has the same stamp at the source, so a reader that sees two has seen half a stream.
fn stamp(db: &Database, stamp: u64) {
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("stamps").unwrap();
    for key in 0..KEYS {
        tree.insert(key.to_be_bytes(), stamp.to_be_bytes()).unwrap();
    }
    txn.commit().unwrap();
}

#[test]
fn readers_see_the_state_before_or_the_state_after() {
    let source = Database::builder().durability(Durability::None).in_memory().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let copy = Database::open(dir.path().join("copy.pent")).unwrap();
    let (done, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    stamp(&source, 0);
    let mut stream = Vec::new();
    let mut base = source.snapshot().unwrap();
    source.backup_of(&base).write_to(&mut stream).unwrap();
    copy.receive(stream.as_slice()).unwrap();
    let old = copy.snapshot().unwrap();

    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let snapshot = copy.snapshot().unwrap();
                    let tree = snapshot.tree("stamps").unwrap();
                    let stamps: Vec<u64> = tree
                        .iter()
                        .unwrap()
                        .map(|entry| u64::from_be_bytes(entry.unwrap().1.try_into().unwrap()))
                        .collect();
                    assert_eq!(stamps.len() as u64, KEYS);
                    assert!(stamps.iter().all(|stamp| *stamp == stamps[0]) && stamps[0] >= last);
                    last = stamps[0];
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 1..=10 {
            stamp(&source, round);
            stream.clear();
            let snapshot = source.snapshot().unwrap();
            source.backup_of(&snapshot).since(&base).write_to(&mut stream).unwrap();
            base = snapshot;
            let before = looks.load(Ordering::Relaxed);
            copy.receive(stream.as_slice()).unwrap();
            while looks.load(Ordering::Relaxed) < before + 2 {
                thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let first = old.tree("stamps").unwrap().first().unwrap().unwrap();
    assert_eq!(first.1, 0_u64.to_be_bytes(), "a snapshot keeps its moment");
    crate::common::assert_clean(&copy);
}
