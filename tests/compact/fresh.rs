//! A store that has lost many of its entries is as short afterwards as a fresh copy.

use crate::common::{State, file_len, pattern};
use crate::{Home, assert_compact, assert_has, compact_watched, filled, nine_in_ten, thin_out};
use pentimento::{Database, Durability};
use std::sync::Arc;

/// Deletes in one way, compacts, and compares with a fresh copy.
fn shrinks(seed: u64, entries: u64, large_in: u64, goes: impl FnMut(usize, usize) -> bool) {
    let (home, db, mut state) = filled(seed, entries, large_in);
    thin_out(&db, &mut state, goes);
    let before = file_len(&home.path);
    let done = compact_watched(&db, &home.path);
    assert_has(&db, &state);
    println!("{before} bytes became {}: {done:?}", done.bytes_now);
    assert_eq!((done.bytes_before, done.bytes_now), (before, file_len(&home.path)));
    assert!(done.is_done && done.held.is_empty());
    assert_compact(&home, &state, done.bytes_now);

    // Once is enough, after opening again, too.
    let written = db.stats().bytes_written;
    let again = db.compact().unwrap();
    assert_eq!((again.bytes_moved, again.bytes_merged, again.commits), (0, 0, 0), "{again:?}");
    assert_eq!(db.stats().bytes_written, written, "nothing to do is nothing written");
    db.close().unwrap();
    let db = home.open();
    assert_has(&db, &state);
    assert_compact(&home, &state, file_len(&home.path));
}

#[test]
fn after_deleting_nine_in_ten_at_random() {
    shrinks(11, 120_000, 0, nine_in_ten(1));
}

#[test]
fn after_deleting_a_range() {
    shrinks(12, 60_000, 0, |at, count| at > count / 20 && at < count * 19 / 20);
}

#[test]
fn after_deleting_every_other_entry() {
    shrinks(13, 60_000, 0, |at, _| at % 2 == 0);
}

#[test]
fn after_deleting_large_values() {
    shrinks(14, 20_000, 12, nine_in_ten(2));
}

#[test]
fn after_dropping_trees() {
    let (home, db, mut state) = filled(15, 60_000, 0);
    let mut txn = db.begin_write().unwrap();
    txn.drop_tree("orders").unwrap();
    txn.drop_tree("people").unwrap();
    txn.commit().unwrap();
    state.retain(|name, _| name == "places");
    let done = db.compact().unwrap();
    assert_has(&db, &state);
    assert_compact(&home, &state, done.bytes_now);
}

#[test]
fn a_store_without_free_places_does_not_grow_beyond_the_limit() {
    // Halves of leaves, none of them free, so that merged ones find no place but at the end.
    let home = Home::new();
    let db = Database::builder().durability(Durability::None).page_size(8192).open(&home.path).unwrap();
    let mut state = State::new();
    let entries = Arc::make_mut(state.entry("halves".to_owned()).or_default());
    for number in 0..30_000u64 {
        entries.insert((number * 7919).to_be_bytes().to_vec(), pattern(number, 1000));
    }
    let mut txn = db.begin_write().unwrap();
    txn.tree("halves").unwrap().bulk_load(entries.iter()).unwrap();
    txn.commit().unwrap();
    db.checkpoint().unwrap();
    thin_out(&db, &mut state, |at, _| at % 7 < 4);
    // What was freed is taken again.
    let filler = Arc::make_mut(state.entry("filler".to_owned()).or_default());
    let mut number = 0;
    while db.stats().slots_free > 300 {
        let mut txn = db.begin_write().unwrap();
        let mut tree = txn.tree("filler").unwrap();
        for _ in 0..64 {
            let (key, value) = (u64::to_be_bytes(number).to_vec(), pattern(number, 1980));
            tree.insert(&key, &value).unwrap();
            filler.insert(key, value);
            number += 1;
        }
        txn.commit().unwrap();
        db.checkpoint().unwrap();
        assert!(number < 100_000);
    }
    let done = compact_watched(&db, &home.path);
    println!("{done:?}");
    assert_has(&db, &state);
    assert_compact(&home, &state, done.bytes_now);
}

#[test]
fn a_large_value_gets_a_place_that_is_made_for_it() {
    // Large values of which every other goes, and small ones in between, so that each hole is a little too small for the next large one.
    let home = Home::new();
    let (db, mut state) = (home.open(), State::new());
    let entries = Arc::make_mut(state.entry("mixed".to_owned()).or_default());
    for number in 0..48u64 {
        let mut txn = db.begin_write().unwrap();
        let mut tree = txn.tree("mixed").unwrap();
        for (key, len) in
            [(format!("small {number:04}"), 1900), (format!("value {number:04}"), 600_000 + 4096 * number)]
        {
            let value = pattern(number, len as usize);
            tree.insert(&key, &value).unwrap();
            entries.insert(key.into_bytes(), value);
        }
        txn.commit().unwrap();
        db.checkpoint().unwrap();
    }
    let mut txn = db.begin_write().unwrap();
    for number in (0..48u64).filter(|number| number % 2 == 0) {
        let key = format!("value {number:04}");
        txn.tree("mixed").unwrap().remove(&key).unwrap();
        entries.remove(key.as_bytes());
    }
    txn.commit().unwrap();
    db.checkpoint().unwrap();
    let done = compact_watched(&db, &home.path);
    println!("{done:?}");
    assert_has(&db, &state);
    assert_compact(&home, &state, done.bytes_now);
}
