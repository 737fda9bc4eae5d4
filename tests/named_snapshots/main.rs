//! Named snapshots against whole copies of the map, through restarts and crashes.
//!
//! Invariants: each name shows exactly the copy that was made with it, whatever came after; names are there or not, never half; the checker has no finding; what only a
//! name needs goes with it, and nothing else does. The planted bugs must each be noticed. Losses of power at any moment are tried in `tests/crash`.

mod bites;
#[path = "../common/mod.rs"]
mod common;
mod costs;
mod damage;
#[path = "../gate/mod.rs"]
mod gate;
mod many;
#[path = "../common/planted.rs"]
mod planted;
mod restoring;
mod rules;

use pentimento::{Builder, Database, Durability, Snapshot};
use std::collections::BTreeMap;

type Map = BTreeMap<u32, u32>;

fn builder() -> Builder {
    Database::builder().page_size(4096).durability(Durability::None)
}

fn value(number: u32) -> Vec<u8> {
    format!("value {number} ").repeat(4).into_bytes()
}

fn put(db: &Database, map: &mut Map, changes: impl IntoIterator<Item = (u32, Option<u32>)>) {
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("map").unwrap();
    for (key, number) in changes {
        match number {
            Some(number) => {
                tree.insert(key.to_be_bytes(), value(number)).unwrap();
                map.insert(key, number);
            }
            None => {
                tree.remove(key.to_be_bytes()).unwrap();
                map.remove(&key);
            }
        }
    }
    txn.commit().unwrap();
}

#[track_caller]
fn assert_shows(snapshot: &Snapshot, map: &Map) {
    let tree = snapshot.tree("map").unwrap();
    assert_eq!(tree.len().unwrap(), map.len() as u64);
    let mut expected = map.iter();
    for entry in tree.iter().unwrap() {
        let ((key, found), (expected_key, number)) = (entry.unwrap(), expected.next().unwrap());
        assert_eq!((&*key, found), (&expected_key.to_be_bytes()[..], &value(*number)[..]));
    }
    assert!(expected.next().is_none());
}

/// Fills a store, names it, and changes everything, `rounds` times.
fn rounds(db: &Database, rounds: u32) -> Vec<Map> {
    let mut maps = Vec::new();
    let mut map = Map::new();
    for round in 0..rounds {
        put(db, &mut map, (0..300).map(|key| (key, Some(key + 1000 * round))));
        db.snapshot_named(&format!("round {round}")).unwrap();
        maps.push(map.clone());
    }
    maps
}
