//! A file that shrinks: what compacting leaves is as good as a fresh copy, whatever goes on meanwhile, and it never takes more room than it says.

mod common;

use common::{Random, State, assert_clean, assert_sees, file_len, pattern};
use pentimento::{Compaction, Database, Durability, Error};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

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
fn beside_writers_and_readers() {
    let (home, db, mut state) = filled(16, 80_000, 400);
    thin_out(&db, &mut state, nine_in_ten(3));
    let before = file_len(&home.path);
    let stop = AtomicBool::new(false);
    let (commits, reads) = (AtomicU64::new(0), AtomicU64::new(0));
    let expected = Arc::new(state.clone());
    let mine = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // A tree of its own, so that the others stay as they are.
            let mut random = Random(4);
            let mut mine = BTreeMap::new();
            while !stop.load(Ordering::Relaxed) || commits.load(Ordering::Relaxed) < 100 {
                let mut txn = db.begin_write().unwrap();
                for _ in 0..5 {
                    let key = random.below(3000).to_be_bytes().to_vec();
                    let value = pattern(random.next(), 300);
                    txn.tree("busy").unwrap().insert(&key, &value).unwrap();
                    mine.insert(key, value);
                }
                txn.set_durability(if random.below(8) == 0 { Durability::Sync } else { Durability::None }).unwrap();
                txn.commit().unwrap();
                commits.fetch_add(1, Ordering::Relaxed);
            }
            mine
        });
        for seed in 0..2 {
            let (db, expected, stop, reads) = (&db, &expected, &stop, &reads);
            scope.spawn(move || {
                let mut random = Random(100 + seed);
                while !stop.load(Ordering::Relaxed) {
                    let snapshot = db.snapshot().unwrap();
                    for _ in 0..50 {
                        for (name, entries) in expected.iter() {
                            let probe = format!("{:016x}", random.next()).into_bytes();
                            let Some((key, value)) = entries.range(probe..).next() else { continue };
                            let tree = snapshot.tree(name).unwrap();
                            assert!(tree.get(key).unwrap() == Some(value.as_slice()), "of {key:?}");
                            reads.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        let done = db.compact().unwrap();
        println!("{before}: {done:?}");
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(commits.load(Ordering::Relaxed) >= 100 && reads.load(Ordering::Relaxed) > 0);
    state.insert("busy".to_owned(), Arc::new(mine));
    assert_has(&db, &state);
    assert!(file_len(&home.path) < before / 2, "{before} bytes became {}", file_len(&home.path));
    let done = db.compact().unwrap();
    assert_sees(&db.snapshot().unwrap(), &state);
    assert_compact(&home, &state, done.bytes_now);
}

#[test]
fn stopped_and_begun_again() {
    let (home, db, mut state) = filled(17, 60_000, 300);
    thin_out(&db, &mut state, nine_in_ten(5));
    let mut db = Some(db);
    for round in 0.. {
        let open = db.take().unwrap();
        let mut compactor = open.compactor().unwrap();
        assert!(matches!(open.compact(), Err(Error::Busy)), "one at a time");
        let mut is_done = false;
        for _ in 0..round + 1 {
            is_done = compactor.step(100_000).unwrap().is_done;
        }
        drop(compactor);
        assert_has(&open, &state);
        if round % 3 == 1 {
            open.close().unwrap();
            db = Some(home.open());
        } else {
            db = Some(open);
        }
        if is_done {
            break;
        }
        assert!(round < 200, "it comes to an end although it is begun anew again and again");
    }
    assert_compact(&home, &state, file_len(&home.path));
}

#[test]
fn what_a_snapshot_holds_is_told_and_won_when_it_goes() {
    let (home, db, mut state) = filled(18, 60_000, 0);
    let before = state.clone();
    let report = db.snapshot().unwrap().labelled("nightly report");
    thin_out(&db, &mut state, nine_in_ten(6));
    let full = file_len(&home.path);
    let done = db.compact().unwrap();
    println!("{full}: {done:?}");
    assert!(done.is_done);
    assert_eq!(done.held.len(), 1, "{:?}", done.held);
    assert_eq!(done.held[0].label.as_deref(), Some("nightly report"));
    assert_eq!(done.held[0].at, report.timestamp());
    // It sees all that there was before the removals.
    assert!(done.held[0].bytes > full / 2, "{:?} of {full}", done.held);
    assert_sees(&report, &before);
    assert_has(&db, &state);
    drop(report);
    let done = db.compact().unwrap();
    assert!(done.held.is_empty());
    assert_clean(&db);
    assert_compact(&home, &state, done.bytes_now);
}

#[test]
fn what_is_compacted_has_not_changed() {
    // Pages have another birth, entries have not: a difference across a compaction tells what writers did, and no more.
    let (_home, db, mut state) = filled(21, 60_000, 100);
    thin_out(&db, &mut state, nine_in_ten(9));
    // Who comes while it merges is not waited for, and has not been there for so long that what he sees would be left alone.
    let mut compactor = db.compactor().unwrap().patience(Duration::from_secs(3600));
    while compactor.step(20_000).unwrap().bytes_merged == 0 {}
    let (older, before) = (db.snapshot().unwrap(), compactor.progress().bytes_merged);
    while compactor.step(20_000).unwrap().bytes_merged < before + 200_000 {}
    let merged = compactor.progress().bytes_merged - before;
    drop(compactor);
    let newer = db.snapshot().unwrap();
    assert!(newer.timestamp() > older.timestamp());
    assert_eq!(newer.changes_since(&older).unwrap().count(), 0, "{merged} bytes were merged");
    let mut txn = db.begin_write().unwrap();
    txn.tree("orders").unwrap().insert(b"a new one", b"of its own").unwrap();
    txn.commit().unwrap();
    assert_eq!(db.snapshot().unwrap().changes_since(&older).unwrap().count(), 1);
    assert_sees(&older, &state);
    drop((older, newer));
    db.compact().unwrap();
    assert_clean(&db);
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

#[test]
fn in_the_background_within_a_budget() {
    let (home, db, mut state) = filled(19, 40_000, 0);
    thin_out(&db, &mut state, nine_in_ten(7));
    let started = std::time::Instant::now();
    let budget = 512 << 10;
    let compaction = db.compact_in_background(budget).unwrap();
    assert!(matches!(db.compactor(), Err(Error::Busy)));
    thread::sleep(Duration::from_millis(300));
    let stopped = compaction.stop().unwrap();
    let most = started.elapsed().as_secs_f64() * budget as f64 + (1 << 20) as f64;
    let written = stopped.bytes_moved + stopped.bytes_merged;
    assert!(written > 0 && written as f64 <= most, "{written} bytes, where {most} were allowed");
    assert!(!stopped.is_done);
    let done = db.compact_in_background(1 << 30).unwrap().wait().unwrap();
    assert!(done.is_done);
    assert_sees(&db.snapshot().unwrap(), &state);
    assert_compact(&home, &state, file_len(&home.path));
    drop(db.compact_in_background(1).unwrap());
    assert!(matches!(db.compact_in_background(0), Err(Error::InvalidOption { .. })));
    db.close().unwrap();
}

#[test]
fn where_there_is_nothing_to_do() {
    let db = Database::in_memory().unwrap();
    let done = db.compact().unwrap();
    assert!(done.is_done && done.bytes_now == 0 && done.commits == 0);
    let home = Home::new();
    let db = home.open();
    assert_eq!(db.compact().unwrap().commits, 0, "a new store");
    db.close().unwrap();
    let db = Database::builder().read_only(true).open(&home.path).unwrap();
    assert!(matches!(db.compact(), Err(Error::ReadOnly)));
}

#[test]
fn what_was_moved_survives_a_kill() {
    // The process ends without closing: journal and checkpoint must agree on what was moved and what was not.
    let (home, db, mut state) = filled(20, 30_000, 200);
    thin_out(&db, &mut state, nine_in_ten(8));
    let mut compactor = db.compactor().unwrap();
    for round in 0..12 {
        let is_done = compactor.step(200_000).unwrap().is_done;
        let mut txn = db.begin_write().unwrap();
        let (key, value) = (vec![round], pattern(u64::from(round), 500));
        txn.tree("orders").unwrap().insert(&key, &value).unwrap();
        txn.set_durability(Durability::Sync).unwrap();
        txn.commit().unwrap();
        Arc::make_mut(state.get_mut("orders").unwrap()).insert(key, value);
        let left = Home::new();
        for entry in home.path.parent().unwrap().read_dir().unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), left.path.with_file_name(entry.file_name())).unwrap();
        }
        let recovered = left.open();
        assert_has(&recovered, &state);
        if is_done {
            break;
        }
    }
}
