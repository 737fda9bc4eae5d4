//! A file that shrinks: what compacting leaves is as good as a fresh copy, whatever goes on meanwhile, and it never takes more room than it says.

mod beside;
#[path = "../common/mod.rs"]
mod common;
mod fresh;
mod stopped;

use common::{Random, State, assert_clean, assert_sees, file_len, pattern};
use pentimento::{Compaction, Database, Durability};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file may become longer by so much while it is compacted, as the docs say, and by the table pages of one checkpoint.
const MAX_GROWTH: u64 = 9 << 20;

struct Home {
    dir: tempfile::TempDir,
    path: PathBuf,
}

impl Home {
    fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.pent");
        Home { dir, path }
    }

    fn open(&self) -> Database {
        Database::builder().durability(Durability::None).open(&self.path).unwrap()
    }

    /// The length of a copy in full pages, in the order of its keys.
    fn fresh_copy(&self, state: &State) -> u64 {
        let path = self.dir.path().join("fresh.pent");
        let db = Database::builder().durability(Durability::None).open(&path).unwrap();
        for (name, entries) in state {
            let mut txn = db.begin_write().unwrap();
            txn.tree(name).unwrap().bulk_load(entries.iter()).unwrap();
            txn.commit().unwrap();
        }
        db.close().unwrap();
        let len = file_len(&path);
        std::fs::remove_file(path).unwrap();
        len
    }
}

/// A store with entries in several trees, put in in random order by many commits, some of their values large: one in `large_in`, if that is not zero.
fn filled(seed: u64, entries: u64, large_in: u64) -> (Home, Database, State) {
    let home = Home::new();
    let (db, mut state) = (home.open(), State::new());
    let mut random = Random(seed);
    let mut left = entries;
    while left > 0 {
        let mut txn = db.begin_write().unwrap();
        for _ in 0..left.min(2000) {
            let name = ["orders", "people", "places"][random.below(3) as usize];
            let key = format!("{:016x}", random.next()).into_bytes();
            let len = if large_in > 0 && random.below(large_in) == 0 {
                3000 + random.below(60_000)
            } else {
                80 + random.below(80)
            };
            let value = pattern(random.next(), len as usize);
            txn.tree(name).unwrap().insert(&key, &value).unwrap();
            Arc::make_mut(state.entry(name.to_owned()).or_default()).insert(key, value);
        }
        txn.commit().unwrap();
        left -= left.min(2000);
    }
    db.checkpoint().unwrap();
    (home, db, state)
}

/// Removes the entries that `goes` says, by their number in the order of the keys of their tree.
fn thin_out(db: &Database, state: &mut State, mut goes: impl FnMut(usize, usize) -> bool) {
    for (name, entries) in state.iter_mut() {
        let count = entries.len();
        let gone: Vec<Vec<u8>> =
            entries.keys().enumerate().filter(|(at, _)| goes(*at, count)).map(|(_, key)| key.clone()).collect();
        for keys in gone.chunks(2000) {
            let mut txn = db.begin_write().unwrap();
            for key in keys {
                assert!(txn.tree(name).unwrap().remove(key).unwrap());
                Arc::make_mut(entries).remove(key);
            }
            txn.commit().unwrap();
        }
    }
    db.checkpoint().unwrap();
}

/// Says of nine in ten that they go, at random.
fn nine_in_ten(seed: u64) -> impl FnMut(usize, usize) -> bool {
    let mut random = Random(seed);
    move |_, _| random.below(10) != 0
}

/// Compacts, and looks at the length of the file after every step.
fn compact_watched(db: &Database, path: &Path) -> Compaction {
    let before = file_len(path);
    let mut compactor = db.compactor().unwrap();
    for step in 0.. {
        let is_done = compactor.step(300_000).unwrap().is_done;
        let now = file_len(path);
        assert!(now <= before + MAX_GROWTH, "the file grew from {before} to {now} at step {step}");
        if is_done {
            break;
        }
        assert!(step < 100_000, "{:?}", compactor.progress());
    }
    compactor.progress().clone()
}

/// The store is in order, and has exactly this.
#[track_caller]
fn assert_has(db: &Database, state: &State) {
    assert_sees(&db.snapshot().unwrap(), state);
    assert_clean(db);
}

#[track_caller]
fn assert_compact(home: &Home, state: &State, len: u64) {
    let fresh = home.fresh_copy(state);
    println!("{len} bytes, a fresh copy has {fresh}: {:.3}", len as f64 / fresh as f64);
    assert!(len as f64 <= 1.15 * fresh as f64, "{len} bytes, a fresh copy has {fresh}");
}
