//! `Durability::Interval` bounds what a crash can take: the journal is synced in time, whatever else is going on.

mod gate;

use gate::GateMedium;
use pentimento::{Database, Durability, FileLogs};
use std::time::{Duration, Instant};

fn put(db: &Database, key: u32) {
    let mut txn = db.begin_write().unwrap();
    txn.tree("t").unwrap().insert(key.to_be_bytes(), b"value").unwrap();
    txn.commit().unwrap();
}

/// How long it takes until the journal has been synced once more.
fn wait_for_sync(db: &Database, before: u64) -> Duration {
    let started = Instant::now();
    while db.journal_stats().syncs == before {
        assert!(started.elapsed() < Duration::from_secs(10), "the journal is never synced");
        std::thread::sleep(Duration::from_millis(1));
    }
    started.elapsed()
}

#[test]
fn the_journal_is_synced_in_time_while_a_checkpoint_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let (medium, logs) = (GateMedium::default(), FileLogs::beside(&dir.path().join("store"), false));
    let db = Database::builder()
        .durability(Durability::Interval(Duration::from_millis(30)))
        .checkpoint_interval(Duration::from_millis(1))
        .open_on(Box::new(medium.clone()), Some(Box::new(logs)), true)
        .unwrap();
    // The background checkpoint is due at once, and hangs in its first sync.
    medium.close_gate();
    put(&db, 1);
    medium.wait_for_arrival();
    let before = db.journal_stats().syncs;
    put(&db, 2);
    let took = wait_for_sync(&db, before);
    let stats = db.stats();
    assert!(stats.checkpoint_running.is_some(), "the checkpoint hangs still");
    assert!(took < Duration::from_secs(2), "the sync waited for the checkpoint: {took:?}");
    let before = db.journal_stats().syncs;
    put(&db, 3);
    wait_for_sync(&db, before);
    medium.open_gate();
    db.close().unwrap();
}
