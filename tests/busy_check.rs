//! The checker finds nothing in a healthy store, however busy it is.
//!
//! Strategy: several writers without waiting for durability, so that versions supersede each other while checkpoints settle; the checker again and again beside
//! them. Invariant: no finding, and the checker does come to its turn.

mod common;

use common::{Random, assert_clean};
use pentimento::{Database, Durability};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn the_checker_finds_nothing_beside_commits_and_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::builder().journal_segment(256 << 10).open(dir.path().join("store.pent")).unwrap();
    let (db, stop) = (&db, &AtomicBool::new(false));
    thread::scope(|scope| {
        for writer in 0..3 {
            scope.spawn(move || {
                let mut random = Random(writer);
                while !stop.load(Ordering::Relaxed) {
                    let mut txn = db.begin_write().unwrap();
                    txn.set_durability(Durability::None).unwrap();
                    let mut tree = txn.tree("t").unwrap();
                    (0..50).for_each(|_| tree.insert(random.below(20_000).to_be_bytes(), [0; 100]).unwrap());
                    txn.commit().unwrap();
                }
            });
        }
        let (started, mut rounds) = (Instant::now(), 0);
        while started.elapsed() < Duration::from_secs(2) {
            let report = db.check();
            rounds += 1;
            if !report.is_clean() {
                stop.store(true, Ordering::Relaxed);
                panic!("round {rounds}: {:#?}", report.findings);
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(rounds > 3, "only {rounds} checks in {:?}", started.elapsed());
    });
    assert!(db.stats().checkpoints > 1, "checkpoints were made meanwhile");
    assert_clean(db);
}
