//! Durable commits that share a sync: journal, leader, publication, with the background threads that a store has.

use crate::explore::{explore, notices};
use crate::logs::Shelf;
use pentimento_schedules_storage::{Bug, MemoryMedium};
use pentimento_schedules_sync::thread;
use pentimento_schedules_txn::{Database, Durability, Snapshot};
use std::time::Duration;

const MEDIUM_BYTES: usize = 1 << 20;
/// Longer than any run: checkpoints are made when the store is opened and closed.
const NEVER: Duration = Duration::from_secs(1 << 30);

fn create(shelf: &Shelf, bug: Option<Bug>) -> Database {
    let builder = Database::builder().page_size(4096).journal_segment(16 << 10).checkpoint_interval(NEVER).plant(bug);
    let medium = Box::new(MemoryMedium::with_capacity(MEDIUM_BYTES));
    builder.open_on(medium, Some(Box::new(shelf.clone())), true).unwrap()
}

/// Writes the commit's own timestamp.
fn commit(db: &Database, key: &str, durability: Durability) -> u64 {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(durability).unwrap();
    let at = txn.base().0 + 1;
    txn.tree("t").unwrap().insert(key, at.to_le_bytes()).unwrap();
    assert_eq!(txn.commit().unwrap().0, at);
    at
}

fn stamp(snapshot: &Snapshot, key: &str) -> u64 {
    let value = snapshot.tree("t").unwrap().get(key).unwrap().map(|value| value.try_into().expect("eight bytes"));
    value.map_or(0, u64::from_le_bytes)
}

/// Two who commit durably, one who does not wait, and a reader, who never sees a durable commit that a crash could take back.
fn commits_that_share_syncs(bug: Option<Bug>) {
    let shelf = Shelf::default();
    let db = create(&shelf, bug);
    commit(&db, "first", Durability::Sync);
    let durable = ["one", "two"].map(|key| {
        let (db, shelf) = (db.clone(), shelf.clone());
        thread::spawn(move || {
            let at = commit(&db, key, Durability::Sync);
            assert!(shelf.durable() >= at, "{at} was acknowledged before it was durable");
            assert!(stamp(&db.snapshot().unwrap(), key) >= at, "who was told of it sees it");
        })
    });
    let reader = {
        let (db, shelf) = (db.clone(), shelf.clone());
        thread::spawn(move || {
            let mut before = 0;
            for _ in 0..3 {
                let snapshot = db.snapshot().unwrap();
                for key in ["one", "two"] {
                    let seen = stamp(&snapshot, key);
                    assert!(seen <= shelf.durable(), "{seen} was shown before it was durable");
                    assert!(seen <= snapshot.timestamp().0, "nothing of a later commit is shown");
                }
                assert!(snapshot.timestamp().0 >= before, "what is published does not go back");
                before = snapshot.timestamp().0;
            }
        })
    };
    commit(&db, "relaxed", Durability::None);
    for thread in durable {
        thread.join().unwrap();
    }
    reader.join().unwrap();
    db.flush().unwrap();
    assert!(shelf.durable() >= db.timestamp().0, "a flush makes everything durable");
    db.close().unwrap();
}

#[test]
fn commits_share_syncs_and_are_durable_when_they_say_so() {
    explore("commits that share syncs", commits_that_share_syncs);
}

#[test]
fn groups_notice_what_is_broken_on_purpose() {
    notices("commits that share syncs", commits_that_share_syncs, &[Bug::SkipJournalSync, Bug::PublishBeforeDurable]);
}
