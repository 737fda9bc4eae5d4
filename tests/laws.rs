//! Each law of the design has a test here, and each test is shown to notice a bug: the engine is told to break the law
//! in one way, and then the test must fail.
//!
//! | law | promise | planted bugs |
//! |---|---|---|
//! | 1 | a version never changes | `ReuseRetainedSlots` |
//! | 2 | a version is retained exactly while a pin needs it | `KeepWhateverIsOlder`, `ForgetReaders` |
//! | 3 | every slot is accounted for once | `LeakSlots` |
//! | 4 | the durable checkpoint is a pin | `ForgetCheckpoint` |
//! | 5 | a snapshot sees all of every commit up to its pin, and nothing after | `PublishBeforeInstall` |
//! | 6 | nobody sees a commit that was promised durable before it is | `PublishBeforeDurable`, `JournalSpeaksForAll` |
//! | 7 | a reader waits for nobody | `ReadersTakeTheTurn` |
//! | 8 | bytes from disk are checked before they are believed | `SkipVerification` |

mod gate;
#[path = "common/planted.rs"]
mod planted;

use gate::GateMedium;
use pentimento::{Bug, Database, Durability, FileLogs, MemoryMedium, Snapshot, Timestamp};
use planted::holds_and_bites;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const ENTRIES: u32 = 400;

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn value(number: u32, round: u32) -> Vec<u8> {
    format!("{number} in round {round} ").repeat(8).into_bytes()
}

fn open(medium: &GateMedium, bug: Option<Bug>) -> Database {
    Database::builder().page_size(4096).plant(bug).open_medium(Box::new(medium.clone()), true).expect("a new store")
}

/// Overwrites everything in a few commits.
fn overwrite(db: &Database, round: u32, durability: Durability) {
    for chunk in 0..4 {
        let mut txn = db.begin_write().expect("the turn");
        txn.set_durability(durability).expect("a durability");
        let mut tree = txn.tree("entries").expect("the tree");
        for number in (chunk..ENTRIES).step_by(4) {
            tree.insert(key(number), value(number, round)).expect("an insert");
        }
        txn.commit().expect("a commit");
    }
}

/// Whether a snapshot shows exactly a round.
fn shows(snapshot: &Snapshot, round: u32) -> Result<(), String> {
    let tree = snapshot.tree("entries").map_err(|error| error.to_string())?;
    let mut number = 0;
    for entry in tree.iter().map_err(|error| error.to_string())? {
        let (key_found, value_found) = entry.map_err(|error| error.to_string())?;
        if *key_found != key(number) || value_found != value(number, round) {
            return Err(format!("entry {number} is {} and not of round {round}", value_found.escape_ascii()));
        }
        number += 1;
    }
    if number == ENTRIES { Ok(()) } else { Err(format!("{number} entries")) }
}

fn check(db: &Database) -> Result<(), String> {
    let report = db.check();
    report
        .findings
        .first()
        .map_or(Ok(()), |finding| Err(format!("{} findings, first: {finding}", report.findings.len())))
}

fn law_1(bug: Option<Bug>) -> Result<(), String> {
    let db = open(&GateMedium::default(), bug);
    overwrite(&db, 0, Durability::Sync);
    let snapshot = db.snapshot().expect("a snapshot");
    for round in 1..8 {
        overwrite(&db, round, Durability::Sync);
        shows(&snapshot, 0)?;
    }
    check(&db)
}

#[test]
fn law_1_a_version_never_changes() {
    holds_and_bites(law_1, &[Bug::ReuseRetainedSlots]);
}

fn law_2(bug: Option<Bug>) -> Result<(), String> {
    let medium = GateMedium::default();
    let db = open(&medium, bug);
    overwrite(&db, 0, Durability::Sync);
    let (loaded, pages) = (db.stats().slots_used, db.check().storage.pages.len() as u64);
    let snapshot = db.snapshot().expect("a snapshot");
    for round in 1..20 {
        overwrite(&db, round, Durability::Sync);
    }
    shows(&snapshot, 0)?;
    db.maintain().expect("maintenance");
    let stats = db.stats();
    if stats.versions_retained > pages {
        return Err(format!("{} versions of {pages} pages are retained for one snapshot", stats.versions_retained));
    }
    // The present, the snapshot, and some table pages.
    if stats.slots_used > loaded * 5 / 2 {
        return Err(format!("{} slots are used, {loaded} were loaded", stats.slots_used));
    }
    check(&db)?;
    drop(snapshot);
    db.maintain().expect("maintenance");
    match db.stats().versions_retained {
        0 => check(&db),
        retained => Err(format!("{retained} versions are retained for nobody")),
    }
}

#[test]
fn law_2_a_version_is_retained_exactly_while_a_pin_needs_it() {
    holds_and_bites(law_2, &[Bug::KeepWhateverIsOlder, Bug::ForgetReaders]);
}

fn law_3(bug: Option<Bug>) -> Result<(), String> {
    let db = open(&GateMedium::default(), bug);
    for round in 0..4 {
        overwrite(&db, round, Durability::Sync);
        check(&db)?;
    }
    Ok(())
}

#[test]
fn law_3_every_slot_is_accounted_for_once() {
    holds_and_bites(law_3, &[Bug::LeakSlots]);
}

fn law_4(bug: Option<Bug>) -> Result<(), String> {
    let medium = GateMedium::default();
    let db = open(&medium, bug);
    overwrite(&db, 0, Durability::Sync);
    overwrite(&db, 1, Durability::None);
    db.maintain().expect("maintenance");
    // A crash in the middle of the next checkpoint: all its pages are written, its meta is not.
    medium.close_gate();
    let checkpoint = thread::spawn({
        let db = db.clone();
        move || db.checkpoint()
    });
    medium.wait_for_arrival();
    let image = medium.to_bytes();
    medium.open_gate();
    checkpoint.join().expect("the checkpoint's thread").expect("the checkpoint");
    let crashed = Database::builder()
        .open_medium(Box::new(MemoryMedium::from_bytes(&image, 64 << 20)), false)
        .map_err(|error| error.to_string())?;
    shows(&crashed.snapshot().expect("a snapshot"), 0)?;
    check(&crashed)
}

#[test]
fn law_4_the_durable_checkpoint_is_a_pin() {
    holds_and_bites(law_4, &[Bug::ForgetCheckpoint]);
}

fn law_5(bug: Option<Bug>) -> Result<(), String> {
    let db = open(&GateMedium::default(), bug);
    overwrite(&db, 0, Durability::None);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1.. {
                // One commit, so a snapshot sees all of a round or nothing of it.
                let mut txn = db.begin_write().expect("the turn");
                txn.set_durability(Durability::None).expect("a durability");
                let mut tree = txn.tree("entries").expect("the tree");
                for number in 0..ENTRIES {
                    tree.insert(key(number), value(number, round)).expect("an insert");
                }
                txn.commit().expect("a commit");
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let deadline = Instant::now() + Duration::from_millis(500);
        let mut result = Ok(());
        while result.is_ok() && Instant::now() < deadline {
            let snapshot = db.snapshot().expect("a snapshot");
            result = round_of(&snapshot).and_then(|round| shows(&snapshot, round));
        }
        stop.store(true, Ordering::Relaxed);
        result
    })
}

fn round_of(snapshot: &Snapshot) -> Result<u32, String> {
    let tree = snapshot.tree("entries").map_err(|error| error.to_string())?;
    let first = tree.get(key(0)).map_err(|error| error.to_string())?.ok_or("no entry")?;
    let words = String::from_utf8_lossy(first);
    words.split(' ').nth(3).and_then(|round| round.parse().ok()).ok_or_else(|| format!("{words:?} names no round"))
}

#[test]
fn law_5_a_snapshot_sees_whole_commits() {
    holds_and_bites(law_5, &[Bug::PublishBeforeInstall]);
}

/// A commit by another thread, which is to wait for the gate.
fn committing(db: &Database, value: Vec<u8>) -> JoinHandle<pentimento::Result<Timestamp>> {
    let db = db.clone();
    thread::spawn(move || {
        let mut txn = db.begin_write().expect("the turn");
        txn.tree("entries").expect("the tree").insert(key(0), value).expect("an insert");
        txn.commit()
    })
}

fn law_6(bug: Option<Bug>) -> Result<(), String> {
    let medium = GateMedium::default();
    let db = open(&medium, bug);
    overwrite(&db, 0, Durability::Sync);
    medium.close_gate();
    let commit = committing(&db, b"promised".to_vec());
    medium.wait_for_arrival();
    let seen = db
        .snapshot()
        .expect("a snapshot")
        .tree("entries")
        .expect("the tree")
        .get(key(0))
        .map(|value| value == Some(b"promised"));
    let returned = commit.is_finished();
    medium.open_gate();
    commit.join().expect("the writer's thread").expect("the commit");
    if returned || seen.map_err(|error| error.to_string())? {
        return Err("a commit was seen, or acknowledged, before it was durable".to_owned());
    }
    let after = db.snapshot().expect("a snapshot");
    let value = after.tree("entries").expect("the tree").get(key(0)).expect("a value");
    if value == Some(b"promised") { Ok(()) } else { Err("an acknowledged commit is not visible".to_owned()) }
}

/// A commit too large for the journal, whose checkpoint hangs before its meta is durable: no sync of the journal speaks for it.
fn law_6_beside_a_journal(bug: Option<Bug>) -> Result<(), String> {
    let dir = tempfile::tempdir().expect("a folder");
    let (medium, logs) = (GateMedium::default(), FileLogs::beside(&dir.path().join("store"), false));
    let builder = Database::builder().page_size(4096).journal_segment(16 << 10).plant(bug);
    let db = builder.open_on(Box::new(medium.clone()), Some(Box::new(logs)), true).expect("a new store");
    overwrite(&db, 0, Durability::Sync);
    medium.close_gate();
    let commit = committing(&db, vec![1; 10_000]);
    medium.wait_for_arrival();
    medium.let_one_pass();
    let flush = thread::spawn({
        let db = db.clone();
        move || db.flush()
    });
    thread::sleep(Duration::from_millis(100));
    let snapshot = db.snapshot().expect("a snapshot");
    let seen = snapshot.tree("entries").expect("the tree").get(key(0)).expect("a value") != Some(&value(0, 0));
    let returned = flush.is_finished() || commit.is_finished();
    medium.open_gate();
    flush.join().expect("the flushing thread").expect("a flush");
    commit.join().expect("the writer's thread").expect("the commit");
    if seen || returned { Err("a commit was seen, or acknowledged, before it was durable".to_owned()) } else { Ok(()) }
}

#[test]
fn law_6_nobody_sees_a_commit_that_a_crash_could_take_back() {
    holds_and_bites(law_6, &[Bug::PublishBeforeDurable]);
    holds_and_bites(law_6_beside_a_journal, &[Bug::JournalSpeaksForAll]);
}

fn law_7(bug: Option<Bug>) -> Result<(), String> {
    let medium = GateMedium::default();
    let db = open(&medium, bug);
    overwrite(&db, 0, Durability::None);
    // A checkpoint that hangs in its first sync, and a writer that keeps its turn.
    medium.close_gate();
    let checkpoint = thread::spawn({
        let db = db.clone();
        move || db.checkpoint()
    });
    medium.wait_for_arrival();
    let txn = db.begin_write().expect("the turn");
    let started = Instant::now();
    let result = (0..100).try_for_each(|_| {
        let snapshot = db.snapshot().expect("a snapshot");
        shows(&snapshot, 0)?;
        let took = started.elapsed();
        if took > Duration::from_secs(4) { Err(format!("readers waited {took:?}")) } else { Ok(()) }
    });
    txn.rollback();
    medium.open_gate();
    checkpoint.join().expect("the checkpoint's thread").expect("the checkpoint");
    result
}

#[test]
fn law_7_a_reader_waits_for_nobody() {
    holds_and_bites(law_7, &[Bug::ReadersTakeTheTurn]);
}

fn law_8(bug: Option<Bug>) -> Result<(), String> {
    let medium = GateMedium::default();
    let db = open(&medium, None);
    overwrite(&db, 0, Durability::Sync);
    db.close().expect("a clean close");
    let whole = medium.to_bytes();
    for at in (0..whole.len()).step_by(101) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        let opened = Database::builder()
            .plant(bug)
            .read_only(true)
            .open_medium(Box::new(MemoryMedium::from_bytes(&bytes, 0)), false);
        let Ok(db) = opened else { continue };
        match shows(&db.snapshot().expect("a snapshot"), 0) {
            Err(wrong) if wrong.contains("not of round") || wrong.ends_with(" entries") => {
                return Err(format!("byte {at} flipped: {wrong}"));
            }
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn law_8_bytes_from_disk_are_checked_before_they_are_believed() {
    holds_and_bites(law_8, &[Bug::SkipVerification]);
}
