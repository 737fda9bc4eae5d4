//! Changes that wait for a checkpoint take no more memory than was allowed.
//!
//! Invariants: when a transaction begins they take no more than the hard limit, however many writers waited in line; the transaction adds what it may hold
//! before it spills. Whoever does not want to wait for memory is told that the store is busy.

mod common;
#[path = "common/crash.rs"]
mod crash;
mod gate;

use common::assert_clean;
use crash::put;
use gate::GateMedium;
use pentimento::{Builder, Database, Durability, Error};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SOFT: usize = 256 << 10;
const HARD: usize = 512 << 10;
const SPILL: usize = 512 << 10;

fn builder() -> Builder {
    Database::builder().page_size(4096).memory_limits(SOFT, HARD).spill_limit(SPILL)
}

#[test]
fn writers_in_line_do_not_fill_memory_together() {
    const WRITERS: u32 = 16;
    const ROUNDS: u32 = 6;
    const VALUES: u32 = 100;
    let dir = tempfile::tempdir().unwrap();
    let db = builder().open(dir.path().join("memory.pent")).unwrap();
    let most = AtomicU64::new(0);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (db, most) = (&db, &most);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let mut txn = db.begin_write().unwrap();
                    txn.set_durability(Durability::None).unwrap();
                    let mut tree = txn.tree(&format!("of writer {writer}")).unwrap();
                    for number in 0..VALUES {
                        tree.insert((round * VALUES + number).to_be_bytes(), [writer as u8; 3500]).unwrap();
                    }
                    txn.commit().unwrap();
                    most.fetch_max(db.stats().frame_bytes_counted, Ordering::Relaxed);
                }
            });
        }
    });
    let most = most.into_inner();
    assert!(most > SOFT as u64, "there was something to bound: {most} bytes");
    assert!(most <= (HARD + SPILL) as u64, "{most} bytes wait for a checkpoint");
    let snapshot = db.snapshot().unwrap();
    for name in snapshot.trees().unwrap() {
        assert_eq!(snapshot.tree(&name).unwrap().len().unwrap(), u64::from(ROUNDS * VALUES), "{name}");
    }
    assert_eq!(snapshot.trees().unwrap().len(), WRITERS as usize);
    assert_clean(&db);
}

#[test]
fn full_memory_is_busy_for_whoever_does_not_wait() {
    let medium = GateMedium::default();
    let db = builder().open_on(Box::new(medium.clone()), None, true).unwrap();
    put(&db, 0, b"before", Durability::Sync);
    // No checkpoint ends, so nothing is let go.
    medium.close_gate();
    let end = Instant::now() + Duration::from_secs(20);
    let mut key = 0;
    let refused = loop {
        match db.try_begin_write() {
            Ok(_) if Instant::now() > end => break None,
            Ok(mut txn) => {
                key += 1;
                txn.set_durability(Durability::None).unwrap();
                txn.tree("t").unwrap().insert((key as u32).to_be_bytes(), [1; 3500]).unwrap();
                txn.commit().unwrap();
            }
            Err(error) => break Some(error),
        }
    };
    let waiting = db.stats().frame_bytes_counted;
    medium.open_gate();
    assert!(matches!(&refused, Some(error @ Error::Busy) if error.is_retryable()), "{refused:?}");
    assert!(waiting > SOFT as u64, "{waiting} bytes");
    put(&db, 0, b"there is room again", Durability::Sync);
    assert_eq!(crash::keys(&db).len(), key + 1);
    assert_clean(&db);
}
