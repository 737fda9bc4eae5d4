//! A clean close gives back what is free in the middle of the file, and not a byte of anything else.

mod common;

use common::{State, assert_clean, assert_sees, file_len, pattern};
use pentimento::{Database, Durability};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

/// Removes entries so that free stretches of many lengths lie between pages that stay: each page beside one is read again afterwards.
#[test]
fn free_stretches_lose_their_blocks_and_their_neighbours_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let open = || Database::builder().durability(Durability::None).open(&path).unwrap();
    let (db, mut state) = (open(), State::new());
    let entries = Arc::make_mut(state.entry("entries".to_owned()).or_default());
    for number in 0..6000u64 {
        // Some values are large: their pages have any number of slots.
        let len = if number % 9 == 0 { 2500 + number as usize % 9000 } else { 700 };
        entries.insert(number.to_be_bytes().to_vec(), pattern(number, len));
    }
    let mut txn = db.begin_write().unwrap();
    txn.tree("entries").unwrap().bulk_load(entries.iter()).unwrap();
    txn.commit().unwrap();
    db.close().unwrap();

    let db = open();
    let mut txn = db.begin_write().unwrap();
    // Stretches that become longer and longer, with as much between them.
    let (mut from, mut len) = (5u64, 20);
    while from + len < 5990 {
        let range = (from.to_be_bytes().to_vec(), (from + len).to_be_bytes().to_vec());
        txn.tree("entries").unwrap().remove_range(range.0.as_slice()..range.1.as_slice()).unwrap();
        entries.retain(|key, _| *key < range.0 || *key >= range.1);
        (from, len) = (from + 2 * len, len + 7);
    }
    txn.commit().unwrap();
    db.checkpoint().unwrap();
    db.maintain().unwrap();
    let free = db.stats().slots_free * 2048;
    db.close().unwrap();

    let metadata = path.metadata().unwrap();
    let (len, blocks) = (file_len(&path), metadata.blocks() * 512);
    assert!(free > 1 << 20 && len > 4 << 20, "there is something to give back: {free} of {len} bytes");
    println!("{len} bytes, {free} of them were free, the blocks hold {blocks}");
    assert!(blocks < len - free / 4, "{len} bytes, {free} of them were free, the blocks hold {blocks}");
    let db = open();
    assert_clean(&db);
    assert_sees(&db.snapshot().unwrap(), &state);
}
