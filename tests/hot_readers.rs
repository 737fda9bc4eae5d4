//! Hot readers show the newest published moment, each of them whole; what they and others hold back is told, and nobody is ended.

mod common;
#[path = "common/crash.rs"]
mod crash;

use common::{assert_clean, cases};
use pentimento::{Database, Durability, Error, HotReader, OldReader, Timestamp};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

fn set(db: &Database, value: u64) -> Timestamp {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(Durability::None).unwrap();
    let mut tree = txn.tree("t").unwrap();
    for key in 0..8u8 {
        tree.insert([key], value.to_be_bytes()).unwrap();
    }
    txn.commit().unwrap()
}

fn seen(reader: &mut HotReader) -> u64 {
    let tree = reader.tree("t").unwrap();
    let values: Vec<u64> =
        (0..8u8).map(|key| u64::from_be_bytes(tree.get([key]).unwrap().unwrap().try_into().unwrap())).collect();
    assert!(values.iter().all(|value| *value == values[0]), "a moment is whole: {values:?}");
    values[0]
}

#[test]
fn the_newest_is_seen_and_the_old_let_go() {
    let db = Database::in_memory().unwrap();
    let mut reader = db.hot_reader().labelled("hot");
    assert!(reader.is_quiescent() && db.readers().is_empty(), "it holds nothing before the first look");
    assert!(matches!(reader.tree("t"), Err(Error::NoSuchTree { .. })));
    for value in 0..100 {
        let at = set(&db, value);
        assert_eq!(reader.current().unwrap().timestamp(), at);
        assert_eq!(seen(&mut reader), value);
        // Moments that were let go may stand there until what they held has been given back.
        let mut readers = db.readers();
        readers.retain(|held| !held.readers.is_empty());
        assert_eq!((readers.len(), readers[0].at), (1, at), "of several moments only the newest is held");
        assert_eq!(readers[0].readers[0].label.as_deref(), Some("hot"));
    }
    let kept = reader.current().unwrap().clone();
    set(&db, 100);
    assert_eq!(seen(&mut reader), 100);
    assert_eq!(kept.tree("t").unwrap().get([0]).unwrap().unwrap(), 99u64.to_be_bytes(), "a clone stays where it is");
    drop(kept);
    let nobody_reads = || db.readers().iter().all(|held| held.readers.is_empty());
    reader.quiescent();
    assert!(nobody_reads());
    assert_eq!(seen(&mut reader), 100);
    drop(reader);
    assert!(nobody_reads());
    db.maintain().unwrap();
    assert_eq!(db.stats().versions_retained, 0);
    assert_clean(&db);
}

#[test]
fn a_tree_that_was_dropped_or_renamed_is_not_found_in_a_cache() {
    let db = Database::in_memory().unwrap();
    set(&db, 1);
    let mut reader = db.hot_reader();
    assert_eq!(seen(&mut reader), 1);
    let mut txn = db.begin_write().unwrap();
    txn.rename_tree("t", "u").unwrap();
    txn.tree("t").unwrap().insert(b"other", b"").unwrap();
    txn.commit().unwrap();
    assert_eq!(reader.tree("t").unwrap().len().unwrap(), 1);
    assert_eq!(reader.tree("u").unwrap().len().unwrap(), 8);
    let mut txn = db.begin_write().unwrap();
    txn.drop_tree("u").unwrap();
    txn.commit().unwrap();
    assert!(matches!(reader.tree("u"), Err(Error::NoSuchTree { .. })));
}

#[test]
fn nothing_is_seen_before_it_is_published() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("hot.pent")).unwrap();
    let stop = AtomicBool::new(false);
    let looks: u64 = thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (mut reader, stop, db) = (db.hot_reader(), &stop, &db);
                scope.spawn(move || {
                    let (mut last, mut looks) = (Timestamp::ZERO, 0);
                    while !stop.load(Ordering::Relaxed) {
                        let before = db.timestamp();
                        let at = reader.current().unwrap().timestamp();
                        assert!(before <= at && at <= db.timestamp() && last <= at, "time does not go back");
                        if at > Timestamp::ZERO && reader.current().unwrap().has_tree("t").unwrap() {
                            seen(&mut reader);
                        }
                        (last, looks) = (at, looks + 1);
                    }
                    looks
                })
            })
            .collect();
        let end = Instant::now() + Duration::from_millis(700 * cases(1));
        let mut value = 0;
        while Instant::now() < end {
            value += 1;
            let at = set(&db, value);
            if value % 16 == 0 {
                db.flush().unwrap();
                assert!(db.timestamp() >= at);
            }
        }
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert!(looks > 100, "they got on: {looks}");
    db.maintain().unwrap();
    assert!(db.readers().iter().all(|held| held.readers.is_empty()), "all let go");
    assert_clean(&db);
}

#[test]
fn old_readers_are_told_of_once_and_asked_but_not_ended() {
    const AGE: Duration = Duration::from_millis(250);
    let dir = tempfile::tempdir().unwrap();
    type Told = Vec<(Option<String>, Timestamp)>;
    let told: Arc<Mutex<Told>> = Arc::default();
    let for_hook = told.clone();
    let builder = Database::builder().on_old_reader(AGE, move |held| {
        let mut told = for_hook.lock().unwrap();
        told.extend(held.readers.iter().map(|reader| (reader.label.as_deref().map(str::to_owned), held.at)));
        match held.readers[0].label.as_deref() {
            Some("polite") => OldReader::AskToStop,
            _ => OldReader::Keep,
        }
    });
    let db = builder.open(dir.path().join("old.pent")).unwrap();
    set(&db, 1);
    let polite = db.snapshot().unwrap().labelled("polite");
    set(&db, 2);
    let stubborn = db.snapshot().unwrap().labelled("stubborn");
    let mut hot = db.hot_reader().labelled("hot");
    let end = Instant::now() + Duration::from_secs(20);
    let (mut value, mut looked, mut longest) = (2, Instant::now(), Duration::ZERO);
    while told.lock().unwrap().len() < 2 && Instant::now() < end {
        // Whoever moves on is never old, unless the machine holds it up.
        longest = longest.max(looked.elapsed());
        looked = Instant::now();
        value += 1;
        set(&db, value);
        seen(&mut hot);
        thread::sleep(Duration::from_millis(5));
    }
    assert!(
        polite.is_asked_to_stop() || {
            thread::sleep(Duration::from_millis(500));
            polite.is_asked_to_stop()
        }
    );
    assert!(!stubborn.is_asked_to_stop() && polite.clone().is_asked_to_stop());
    assert_eq!(polite.tree("t").unwrap().get([0]).unwrap().unwrap(), 1u64.to_be_bytes(), "it goes on reading");
    let expected =
        [(Some("polite".to_owned()), polite.timestamp()), (Some("stubborn".to_owned()), stubborn.timestamp())];
    hot.quiescent();
    thread::sleep(Duration::from_millis(600));
    let mut told = told.lock().unwrap();
    assert!(longest > AGE / 2 || told.iter().all(|(label, _)| label.as_deref() != Some("hot")));
    told.retain(|(label, _)| label.as_deref() != Some("hot"));
    assert_eq!(*told, expected, "each once");
    assert!(db.readers().iter().flat_map(|held| &held.readers).any(|reader| reader.is_asked_to_stop));
    drop(polite);
    let next = db.snapshot().unwrap();
    assert!(!next.is_asked_to_stop(), "who comes after was not meant");
}

/// Without a call of `maintain`: such stores have nothing else to do in the background.
#[test]
fn old_readers_of_a_store_that_writes_nothing_are_told_of_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read.pent");
    set(&Database::open(&path).unwrap(), 1);
    let builder = Database::builder().on_old_reader(Duration::from_millis(20), |_| OldReader::AskToStop);
    for (what, db) in [
        ("in memory", builder.clone().in_memory().unwrap()),
        ("read only", builder.read_only(true).open(&path).unwrap()),
    ] {
        let snapshot = db.snapshot().unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while !snapshot.is_asked_to_stop() {
            assert!(Instant::now() < end, "{what}: nobody looked");
            thread::sleep(Duration::from_millis(10));
        }
        // The thread goes with the store.
        db.close().unwrap();
    }
}

#[test]
fn a_callback_that_panics_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let builder =
        Database::builder().on_old_reader(Duration::from_millis(1), |_| panic!("of the callback, on purpose"));
    let db = builder.open(dir.path().join("panics.pent")).unwrap();
    set(&db, 1);
    let _old = db.snapshot().unwrap();
    thread::sleep(Duration::from_millis(500));
    set(&db, 2);
    db.checkpoint().unwrap();
    db.maintain().unwrap();
    assert_clean(&db);
    db.close().unwrap();
}

/// Ten threads, each with a clone of its own; then everything is made durable in one go.
#[test]
fn ten_clones_write_and_one_flush_keeps_it_all() {
    const THREADS: u64 = 10;
    const EACH: u64 = 200;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clones.pent");
    let db = Database::builder().durability(Durability::None).open(&path).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let db = db.clone();
            scope.spawn(move || {
                for number in 0..EACH {
                    let done = db.transact(Default::default(), |txn| {
                        let mut tree = txn.tree("upserts")?;
                        tree.insert((thread * EACH + number).to_be_bytes(), number.to_be_bytes())?;
                        // One key that all of them upsert.
                        tree.add("sum", number as i64)
                    });
                    done.unwrap();
                }
            });
        }
    });
    db.flush().unwrap();
    // What a crash now would leave.
    let image = crash::crash(&path, &dir.path().join("image"));
    let check = |db: &Database| {
        let snapshot = db.snapshot().unwrap();
        let tree = snapshot.tree("upserts").unwrap();
        assert_eq!(tree.len().unwrap(), THREADS * EACH + 1);
        let sum = i64::from_le_bytes(tree.get("sum").unwrap().unwrap().try_into().unwrap());
        assert_eq!(sum as u64, THREADS * EACH * (EACH - 1) / 2);
        assert_clean(db);
    };
    check(&db);
    check(&Database::open(&image).unwrap());
    db.close().unwrap();
    check(&Database::open(&path).unwrap());
}
