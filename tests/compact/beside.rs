//! What goes on beside a compaction: writers and readers, and snapshots that hold what would move.

use crate::common::{Random, assert_clean, assert_sees, file_len, pattern};
use crate::{assert_compact, assert_has, filled, nine_in_ten, thin_out};
use pentimento::Durability;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn beside_writers_and_readers() {
    let (home, db, mut state) = filled(16, 80_000, 400);
    thin_out(&db, &mut state, nine_in_ten(3));
    let before = file_len(&home.path);
    let stop = AtomicBool::new(false);
    let (commits, reads) = (AtomicU64::new(0), AtomicU64::new(0));
    let expected = Arc::new(state.clone());
    let mine = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // A tree of its own, so that the others stay as they are.
            let mut random = Random(4);
            let mut mine = BTreeMap::new();
            while !stop.load(Ordering::Relaxed) || commits.load(Ordering::Relaxed) < 100 {
                let mut txn = db.begin_write().unwrap();
                for _ in 0..5 {
                    let key = random.below(3000).to_be_bytes().to_vec();
                    let value = pattern(random.next(), 300);
                    txn.tree("busy").unwrap().insert(&key, &value).unwrap();
                    mine.insert(key, value);
                }
                txn.set_durability(if random.below(8) == 0 { Durability::Sync } else { Durability::None }).unwrap();
                txn.commit().unwrap();
                commits.fetch_add(1, Ordering::Relaxed);
            }
            mine
        });
        for seed in 0..2 {
            let (db, expected, stop, reads) = (&db, &expected, &stop, &reads);
            scope.spawn(move || {
                let mut random = Random(100 + seed);
                while !stop.load(Ordering::Relaxed) {
                    let snapshot = db.snapshot().unwrap();
                    for _ in 0..50 {
                        for (name, entries) in expected.iter() {
                            let probe = format!("{:016x}", random.next()).into_bytes();
                            let Some((key, value)) = entries.range(probe..).next() else { continue };
                            let tree = snapshot.tree(name).unwrap();
                            assert!(tree.get(key).unwrap() == Some(value.as_slice()), "of {key:?}");
                            reads.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        let done = db.compact().unwrap();
        println!("{before}: {done:?}");
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(commits.load(Ordering::Relaxed) >= 100 && reads.load(Ordering::Relaxed) > 0);
    state.insert("busy".to_owned(), Arc::new(mine));
    assert_has(&db, &state);
    assert!(file_len(&home.path) < before / 2, "{before} bytes became {}", file_len(&home.path));
    let done = db.compact().unwrap();
    assert_sees(&db.snapshot().unwrap(), &state);
    assert_compact(&home, &state, done.bytes_now);
}

#[test]
fn what_a_snapshot_holds_is_told_and_won_when_it_goes() {
    let (home, db, mut state) = filled(18, 60_000, 0);
    let before = state.clone();
    let report = db.snapshot().unwrap().labelled("nightly report");
    thin_out(&db, &mut state, nine_in_ten(6));
    let full = file_len(&home.path);
    let done = db.compact().unwrap();
    println!("{full}: {done:?}");
    assert!(done.is_done);
    assert_eq!(done.held.len(), 1, "{:?}", done.held);
    assert_eq!(done.held[0].label.as_deref(), Some("nightly report"));
    assert_eq!(done.held[0].at, report.timestamp());
    // It sees all that there was before the removals.
    assert!(done.held[0].bytes > full / 2, "{:?} of {full}", done.held);
    assert_sees(&report, &before);
    assert_has(&db, &state);
    drop(report);
    let done = db.compact().unwrap();
    assert!(done.held.is_empty());
    assert_clean(&db);
    assert_compact(&home, &state, done.bytes_now);
}

#[test]
fn what_is_compacted_has_not_changed() {
    // Pages have another birth, entries have not: a difference across a compaction tells what writers did, and no more.
    let (_home, db, mut state) = filled(21, 60_000, 100);
    thin_out(&db, &mut state, nine_in_ten(9));
    // Who comes while it merges is not waited for, and has not been there for so long that what he sees would be left alone.
    let mut compactor = db.compactor().unwrap().patience(Duration::from_secs(3600));
    while compactor.step(20_000).unwrap().bytes_merged == 0 {}
    let (older, before) = (db.snapshot().unwrap(), compactor.progress().bytes_merged);
    while compactor.step(20_000).unwrap().bytes_merged < before + 200_000 {}
    let merged = compactor.progress().bytes_merged - before;
    drop(compactor);
    let newer = db.snapshot().unwrap();
    assert!(newer.timestamp() > older.timestamp());
    assert_eq!(newer.changes_since(&older).unwrap().count(), 0, "{merged} bytes were merged");
    let mut txn = db.begin_write().unwrap();
    txn.tree("orders").unwrap().insert(b"a new one", b"of its own").unwrap();
    txn.commit().unwrap();
    assert_eq!(db.snapshot().unwrap().changes_since(&older).unwrap().count(), 1);
    assert_sees(&older, &state);
    drop((older, newer));
    db.compact().unwrap();
    assert_clean(&db);
}
