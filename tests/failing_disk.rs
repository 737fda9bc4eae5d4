//! A disk that is full, or fails, costs no data and stops no reader.
//!
//! Strategy: stores in a medium that refuses to grow, to write, or to sync, on demand; what then happens is compared with what was acknowledged.
//!
//! Invariants: a full disk is an error that says so, never a wait without end; with room again the same calls succeed and nothing is missing. After a
//! failed sync nobody writes, everybody reads, and opening again finds all that was acknowledged, and of what was not, all or nothing.

mod common;
#[path = "common/frail.rs"]
mod frail;
#[path = "common/obstructed_logs.rs"]
mod obstructed_logs;

use common::{assert_clean, pattern};
use frail::FrailMedium;
use obstructed_logs::FrailLogs;
use pentimento::{Builder, Database, Durability, Error, Snapshot, Timestamp};
use std::time::{Duration, Instant};

const BATCH: u64 = 40;
const LIMIT: u64 = 512 << 10;

fn builder() -> Builder {
    Database::builder().page_size(4096).memory_limits(128 << 10, 256 << 10).spill_limit(128 << 10)
}

fn create(medium: &FrailMedium) -> Database {
    builder().open_medium(Box::new(medium.clone()), true).unwrap()
}

fn reopen(medium: &FrailMedium) -> Database {
    builder().open_medium(Box::new(medium.clone()), false).unwrap()
}

/// Adds one batch of entries.
fn add(db: &Database, batch: u64, durability: Durability) -> Result<Timestamp, Error> {
    let mut txn = db.begin_write()?;
    txn.set_durability(durability)?;
    let mut tree = txn.tree("batches")?;
    for number in batch * BATCH..(batch + 1) * BATCH {
        tree.insert(number.to_be_bytes(), pattern(number, 100))?;
    }
    txn.commit()
}

/// How many batches there are, each whole, none missing.
fn batches(snapshot: &Snapshot) -> u64 {
    let tree = match snapshot.tree("batches") {
        Ok(tree) => tree,
        Err(Error::NoSuchTree { .. }) => return 0,
        Err(error) => panic!("{error}"),
    };
    let mut count = 0u64;
    for entry in tree.iter().unwrap() {
        let (key, value) = entry.unwrap();
        assert!(key == count.to_be_bytes() && value == pattern(count, 100), "entry {count}");
        count += 1;
    }
    assert_eq!(tree.len().unwrap(), count);
    assert!(count.is_multiple_of(BATCH), "a commit is seen in part: {count} entries");
    count / BATCH
}

/// Whether an error says that the disk is full, at once or as the reason why a commit may not last.
fn is_full(error: &Error) -> bool {
    match error {
        Error::DiskFull { path, .. } => {
            assert!(error.is_retryable() && error.to_string().contains(path.to_str().unwrap()));
            true
        }
        Error::OutcomeUnknown { source, .. } => is_full(source),
        _ => false,
    }
}

/// Adds batches until that fails; tells how many were acknowledged, and the error.
fn fill(db: &Database, durability: Durability) -> (u64, Error) {
    let end = Instant::now() + Duration::from_secs(60);
    for batch in 0.. {
        assert!(Instant::now() < end, "it never fails");
        if let Err(error) = add(db, batch, durability) {
            return (batch, error);
        }
    }
    unreachable!("counting does not end")
}

fn full_and_with_room_again(durability: Durability) {
    let medium = FrailMedium::with_limit(LIMIT);
    let db = create(&medium);
    let early = {
        add(&db, 0, durability).unwrap();
        db.flush().unwrap();
        db.snapshot().unwrap()
    };
    let (acknowledged, error) = fill(&db, durability);
    assert!(is_full(&error), "{error:?}");
    assert!(acknowledged > 20, "{acknowledged} batches fit");
    let seen = batches(&db.snapshot().unwrap());
    // The one that failed may have been made in memory; then it is seen when it has become durable.
    assert_eq!(seen, acknowledged, "{durability:?}");
    assert_eq!(batches(&early), 1);
    assert_clean(&db);
    let still = db.checkpoint();
    assert!(still.as_ref().is_err_and(is_full) || still.is_ok(), "{still:?}");
    assert_clean(&db);

    medium.set_limit(32 << 20);
    db.checkpoint().unwrap();
    let kept = batches(&db.snapshot().unwrap());
    assert!(kept == acknowledged || kept == acknowledged + 1, "{kept} of {acknowledged} batches");
    for batch in kept..kept + 20 {
        add(&db, batch, durability).unwrap();
    }
    assert_eq!(batches(&early), 1);
    assert_clean(&db);
    drop(early);
    db.close().unwrap();
    let db = reopen(&medium);
    assert_eq!(batches(&db.snapshot().unwrap()), kept + 20);
    assert_clean(&db);
}

#[test]
fn a_full_disk_is_an_error_of_durable_commits() {
    full_and_with_room_again(Durability::Sync);
}

#[test]
fn a_full_disk_is_an_error_of_whoever_begins_when_memory_is_full() {
    full_and_with_room_again(Durability::None);
}

#[test]
fn a_store_that_is_closed_on_a_full_disk_keeps_what_was_durable() {
    let medium = FrailMedium::with_limit(LIMIT);
    let db = create(&medium);
    let (acknowledged, _) = fill(&db, Durability::Sync);
    let closed = db.close();
    assert!(closed.as_ref().is_err_and(is_full) || closed.is_ok(), "{closed:?}");
    let db = reopen(&medium);
    let kept = batches(&db.snapshot().unwrap());
    assert!(kept == acknowledged || kept == acknowledged + 1, "{kept} of {acknowledged} batches");
    assert_clean(&db);
}

/// The journal has its room already: what the data file has no room for is kept there.
#[test]
fn closing_on_a_full_disk_loses_nothing_that_the_journal_can_keep() {
    for durability in [Durability::Interval(Duration::from_secs(60)), Durability::None] {
        let dir = tempfile::tempdir().unwrap();
        let logs = FrailLogs::beside(&dir.path().join("store.pent"));
        let medium = FrailMedium::with_limit(u64::MAX);
        let open = |create| Database::builder().open_on(Box::new(medium.clone()), Some(Box::new(logs.clone())), create);
        let db = open(true).unwrap();
        add(&db, 0, Durability::Sync).unwrap();
        medium.set_limit(0);
        // More than the file has room for as it is.
        for batch in 1..100 {
            add(&db, batch, durability).unwrap();
        }
        let closed = db.close();
        assert!(closed.as_ref().is_err_and(is_full), "{durability:?}: {closed:?}");
        medium.set_limit(u64::MAX);
        let db = open(false).unwrap();
        assert_eq!(batches(&db.snapshot().unwrap()), 100, "{durability:?}");
        assert_clean(&db);
    }
}

#[test]
fn a_transaction_that_cannot_spill_can_only_be_dropped() {
    let medium = FrailMedium::with_limit(LIMIT);
    let db = create(&medium);
    add(&db, 0, Durability::Sync).unwrap();
    let used = db.stats().slots_used;
    for _ in 0..3 {
        let mut txn = db.begin_write().unwrap();
        let savepoint = txn.savepoint().unwrap();
        let mut tree = txn.tree("large").unwrap();
        let failed = (0u64..50_000).find_map(|number| tree.insert(number.to_be_bytes(), pattern(number, 100)).err());
        assert!(failed.as_ref().is_some_and(is_full), "{failed:?}");
        assert!(matches!(txn.savepoint(), Err(Error::Incomplete)));
        // What a savepoint goes back to is whole, and can be committed where there is room for it.
        txn.rollback_to(savepoint).unwrap();
        assert_eq!(txn.trees().unwrap(), ["batches"]);
        let mut tree = txn.tree("large").unwrap();
        (0u64..50_000).find_map(|number| tree.insert(number.to_be_bytes(), pattern(number, 100)).err()).unwrap();
        assert!(matches!(txn.commit(), Err(Error::Incomplete)));
        assert_clean(&db);
        assert_eq!(db.stats().slots_used, used, "all is given back");
    }
    add(&db, 1, Durability::Sync).unwrap();
    assert_eq!(batches(&db.snapshot().unwrap()), 2);
    assert_clean(&db);
}

#[test]
fn after_a_failed_sync_nobody_writes_and_everybody_reads() {
    for durability in [Durability::Sync, Durability::None] {
        let medium = FrailMedium::with_limit(32 << 20);
        let db = create(&medium);
        for batch in 0..5 {
            add(&db, batch, Durability::Sync).unwrap();
        }
        let early = db.snapshot().unwrap();
        medium.fail_syncs(true);
        let failed = match add(&db, 5, durability) {
            Err(error) => error,
            Ok(_) => db.flush().unwrap_err(),
        };
        assert!(!is_full(&failed) && !failed.is_retryable(), "{failed:?}");
        match (&failed, durability) {
            (Error::OutcomeUnknown { source, .. }, Durability::Sync) => {
                assert!(source.to_string().contains("a planted failure of a sync"), "{source}");
            }
            (error, Durability::None) => assert!(error.to_string().contains("frail.pent"), "{error}"),
            other => panic!("{other:?}"),
        }
        // The disk may be well again; nobody knows what is on it.
        medium.fail_syncs(false);
        assert!(matches!(db.begin_write(), Err(Error::Poisoned(why)) if why.contains("planted")));
        assert!(matches!(db.checkpoint(), Err(Error::Poisoned(_))));
        db.maintain().unwrap();
        let seen = batches(&db.snapshot().unwrap());
        assert_eq!(seen, if durability == Durability::Sync { 5 } else { 6 }, "a strict commit that failed is not seen");
        assert_eq!(batches(&early), 5);
        drop(early);
        let _ = db.close();
        let db = reopen(&medium);
        let kept = batches(&db.snapshot().unwrap());
        assert!(kept == 5 || kept == 6, "{kept} batches");
        add(&db, kept, Durability::Sync).unwrap();
        assert_clean(&db);
    }
}

#[test]
fn a_failed_write_is_told_and_what_was_durable_stays() {
    let medium = FrailMedium::with_limit(32 << 20);
    let db = create(&medium);
    for batch in 0..5 {
        add(&db, batch, Durability::Sync).unwrap();
    }
    medium.fail_writes(true);
    let failed = add(&db, 5, Durability::Sync).unwrap_err();
    assert!(matches!(failed, Error::OutcomeUnknown { .. } | Error::Io { .. }), "{failed:?}");
    assert!(format!("{failed}").contains("a planted failure of a write"), "{failed}");
    assert_eq!(batches(&db.snapshot().unwrap()), 5);
    assert_clean(&db);
    medium.fail_writes(false);
    let _ = db.close();
    let db = reopen(&medium);
    let kept = batches(&db.snapshot().unwrap());
    assert!(kept == 5 || kept == 6, "{kept} batches");
    assert_clean(&db);
}
