//! Room on the disk that holds nothing is given back: by a checkpoint that somebody asks for, and by a store at rest. Nothing that anybody can see goes with it.

mod common;

use common::{Random, State, assert_clean, assert_sees, pattern};
use pentimento::{Builder, Database, Durability};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const ENTRIES: u64 = 20_000;

/// The blocks of the store's file, and of its journal, in bytes.
fn blocks(path: &Path) -> (u64, u64) {
    let (mut data, mut journal) = (0, 0);
    for entry in path.parent().unwrap().read_dir().unwrap() {
        let entry = entry.unwrap();
        let is_journal = entry.file_name().to_string_lossy().contains("-journal-");
        // A file of the journal may go while we look.
        let blocks = entry.metadata().map_or(0, |metadata| metadata.blocks() * 512);
        *(if is_journal { &mut journal } else { &mut data }) += blocks;
    }
    (data, journal)
}

/// Puts other values under some keys, spread over all leaves.
fn overwrite(db: &Database, state: &mut State, random: &mut Random, count: u64) {
    let entries = Arc::make_mut(state.entry("entries".to_owned()).or_default());
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("entries").unwrap();
    for _ in 0..count {
        let number = random.below(ENTRIES);
        let value = pattern(random.next(), 200);
        tree.insert(number.to_be_bytes(), &value).unwrap();
        entries.insert(number.to_be_bytes().to_vec(), value);
    }
    txn.commit().unwrap();
}

fn load(path: &Path, builder: &Builder) -> (Database, State) {
    let db = builder.clone().durability(Durability::None).open(path).unwrap();
    let mut state = State::new();
    let entries = Arc::make_mut(state.entry("entries".to_owned()).or_default());
    entries.extend((0..ENTRIES).map(|number| (number.to_be_bytes().to_vec(), pattern(number, 200))));
    let mut txn = db.begin_write().unwrap();
    txn.tree("entries").unwrap().bulk_load(entries.iter()).unwrap();
    txn.commit().unwrap();
    (db, state)
}

#[test]
fn a_checkpoint_that_is_asked_for_leaves_little_beside_what_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    // Long enough that no checkpoint is made that was not asked for.
    let (db, mut state) = load(&path, &Database::builder().journal_segment(16 << 20));
    let mut random = Random(1);
    let mut views = Vec::new();
    for _ in 0..4 {
        views.push((db.snapshot().unwrap(), state.clone()));
        // What the checkpoint in between writes is of use to hardly anybody at the end: it lies in many short free stretches.
        for step in 0..12 {
            if step == 4 {
                db.checkpoint().unwrap();
            }
            overwrite(&db, &mut state, &mut random, 1000);
        }
    }
    db.checkpoint().unwrap();
    let stats = db.stats();
    let (used, free) = (stats.slots_used * 2048, stats.slots_free * 2048);
    let (data, journal) = blocks(&path);
    println!("{used} bytes used, {free} free; the blocks: {data} of the data file, {journal} of the journal");
    assert!(free > stats.file_bytes / 8, "there is something to give back: {free} bytes");
    assert!(data < used + free / 2, "{used} bytes are used, {free} free, but the blocks hold {data}");
    assert!(journal <= 512 << 10, "{journal} bytes of the journal were left");
    for (view, state) in &views {
        assert_sees(view, state);
    }
    // What was punched out is used again.
    overwrite(&db, &mut state, &mut random, 10_000);
    db.checkpoint().unwrap();
    for (view, state) in &views {
        assert_sees(view, state);
    }
    drop(views);
    assert_clean(&db);
    assert_sees(&db.snapshot().unwrap(), &state);
    db.close().unwrap();
    let db = Database::open(&path).unwrap();
    assert_clean(&db);
    assert_sees(&db.snapshot().unwrap(), &state);
}

/// Room is made for many records when a long one comes. If no others follow it is given back, however little the journal holds.
#[test]
fn room_for_records_that_did_not_come_is_given_back() {
    for durability in [Durability::None, Durability::Sync] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.pent");
        let db = Database::builder().durability(durability).open(&path).unwrap();
        let state = State::from([("entries".to_owned(), Arc::new([(b"long".to_vec(), pattern(1, 250_000))].into()))]);
        let mut txn = db.begin_write().unwrap();
        txn.tree("entries").unwrap().insert("long", pattern(1, 250_000)).unwrap();
        txn.commit().unwrap();
        assert!(blocks(&path).1 >= 2 << 20, "room was made");
        db.checkpoint().unwrap();
        assert!(blocks(&path).1 <= 1 << 20, "{} bytes of the journal were left", blocks(&path).1);
        assert_sees(&db.snapshot().unwrap(), &state);
    }
}

#[test]
fn a_store_at_rest_gives_back_what_it_kept_for_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let builder = Database::builder().journal_segment(2 << 20).checkpoint_interval(Duration::from_millis(100));
    let (db, mut state) = load(&path, &builder);
    let mut random = Random(2);
    for _ in 0..20 {
        overwrite(&db, &mut state, &mut random, 1000);
    }
    db.checkpoint().unwrap();
    // Every other stretch of a thousand goes. What is between lies where it is.
    let mut txn = db.begin_write().unwrap();
    for first in (0..ENTRIES).step_by(2000) {
        let (from, to) = (first.to_be_bytes(), (first + 1000).to_be_bytes());
        txn.tree("entries").unwrap().remove_range(from.as_slice()..to.as_slice()).unwrap();
    }
    txn.commit().unwrap();
    Arc::make_mut(state.get_mut("entries").unwrap())
        .retain(|key, _| u64::from_be_bytes(key.as_slice().try_into().unwrap()) % 2000 >= 1000);
    let started = Instant::now();
    let at_rest = || {
        let (stats, (data, journal)) = (db.stats(), blocks(&path));
        (
            journal <= 512 << 10 && stats.slots_free > 512 && data < stats.slots_used * 2048 + stats.slots_free * 1024,
            stats,
            data,
            journal,
        )
    };
    while !at_rest().0 {
        assert!(started.elapsed() < Duration::from_secs(60), "it keeps {:?}", at_rest());
        thread::sleep(Duration::from_millis(50));
    }
    // It can be used as before.
    overwrite(&db, &mut state, &mut random, 5000);
    assert_clean(&db);
    assert_sees(&db.snapshot().unwrap(), &state);
}
