//! Readers and a writer beside checkpoints, on memory in the place of a file.

use crate::explore::{explore, notices};
use crate::pages::{assert_clean, assert_reads, create_pages, options, overwrite};
use pentimento_schedules_storage::{Bug, MemoryMedium, Patience, Store};
use pentimento_schedules_sync::{Arc, thread};

/// Room for a few versions of a few pages.
const MEDIUM_BYTES: usize = 512 << 10;

fn create(bug: Option<Bug>) -> Arc<Store> {
    Store::create(Box::new(MemoryMedium::with_capacity(MEDIUM_BYTES)), options(bug), [7; 16]).unwrap()
}

/// A writer, two checkpoints one after the other, and a reader: places change from frame to slots under everybody's feet.
fn checkpoints_beside_everybody(bug: Option<Bug>) {
    let store = create(bug);
    let pages = create_pages(&store, 2);
    let checkpointer = {
        let store = store.clone();
        thread::spawn(move || {
            for _ in 0..2 {
                store.checkpoint().unwrap();
            }
        })
    };
    let reader = {
        let (store, pages) = (store.clone(), pages.clone());
        thread::spawn(move || {
            for _ in 0..2 {
                let pin = store.pin();
                assert_reads(&pin, &pages);
            }
        })
    };
    for _ in 0..2 {
        overwrite(&store, &pages, false);
        store.reclaim(8);
    }
    reader.join().unwrap();
    checkpointer.join().unwrap();
    store.checkpoint().unwrap();
    store.maintain();
    assert_eq!(store.stats().versions_retained, 0, "everything but the newest checkpoint is given back");
    assert_clean(&store);
}

/// Strict commits, which only a checkpoint makes durable: nobody sees one before, and what follows it waits.
fn strict_commits(bug: Option<Bug>) {
    let store = create(bug);
    let pages = create_pages(&store, 1);
    let reader = {
        let (store, pages) = (store.clone(), pages.clone());
        thread::spawn(move || {
            for _ in 0..3 {
                let pin = store.pin();
                // 3 is strict: it, and the relaxed 4 behind it, are seen only when 3 is durable.
                assert!(pin.at().0 < 3 || store.durable().0 >= 3, "{:?} was shown before it was durable", pin.at());
                assert_reads(&pin, &pages);
            }
        })
    };
    overwrite(&store, &pages, false);
    overwrite(&store, &pages, true);
    let checkpointer = {
        let store = store.clone();
        thread::spawn(move || store.checkpoint().unwrap())
    };
    overwrite(&store, &pages, false);
    checkpointer.join().unwrap();
    assert_eq!(store.published().0, 4, "whoever publishes carries on through what follows");
    reader.join().unwrap();
    assert_clean(&store);
}

/// A commit that becomes durable by a checkpoint of its own, beside another checkpoint and a reader.
fn large_commits(bug: Option<Bug>) {
    let store = create(bug);
    let pages = create_pages(&store, 2);
    let checkpointer = {
        let store = store.clone();
        thread::spawn(move || store.checkpoint().unwrap())
    };
    let reader = {
        let (store, pages) = (store.clone(), pages.clone());
        thread::spawn(move || {
            for _ in 0..2 {
                let pin = store.pin();
                assert!(pin.at().0 < 2 || store.durable().0 >= 2, "shown before it was durable");
                assert_reads(&pin, &pages);
            }
        })
    };
    let mut set = store.begin(Patience::Forever).unwrap().unwrap();
    for &page in &pages {
        set.page_mut(page, 8).unwrap().body[..8].copy_from_slice(&2_u64.to_le_bytes());
    }
    assert_eq!(set.install_durably().unwrap().0, 2);
    assert_eq!((store.published().0, store.durable().0), (2, 2));
    overwrite(&store, &pages, false);
    reader.join().unwrap();
    checkpointer.join().unwrap();
    store.checkpoint().unwrap();
    store.maintain();
    assert_clean(&store);
}

#[test]
fn checkpoints_take_nothing_away_from_anybody() {
    explore("checkpoints beside everybody", checkpoints_beside_everybody);
}

#[test]
fn nobody_sees_a_strict_commit_before_it_is_durable() {
    explore("strict commits", strict_commits);
}

#[test]
fn large_commits_are_seen_when_they_are_durable() {
    explore("large commits", large_commits);
}

#[test]
fn checkpoints_notice_what_is_broken_on_purpose() {
    // Not `ForgetReaders`: it frees frames under their readers, and what reads freed memory may end the process instead of the test. The pages' scenarios
    // and `tests/laws.rs` hold it.
    let everybody = [Bug::PublishBeforeInstall, Bug::ReuseRetainedSlots, Bug::LeakSlots];
    notices("checkpoints beside everybody", checkpoints_beside_everybody, &everybody);
    notices("strict commits", strict_commits, &[Bug::PublishBeforeDurable]);
    notices("large commits", large_commits, &[Bug::PublishBeforeInstall]);
}
