//! The journal over real files: what is in it comes back, whatever is damaged.
//!
//! A crash is a copy of the files while the store is open. Invariants: the state after reopening is that of a prefix of the commits, and
//! it contains every commit that was acknowledged as durable (or an error says where the journal is damaged); the checker has no finding; a second opening finds the
//! same.

use pentimento::{Database, Durability, Error, Timestamp};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn journals(store: &Path) -> Vec<PathBuf> {
    let folder = fs::read_dir(store.parent().unwrap()).unwrap();
    let mut found: Vec<PathBuf> =
        folder.map(|entry| entry.unwrap().path()).filter(|path| path.to_string_lossy().contains("-journal-")).collect();
    found.sort();
    found
}

/// Copies a store and its journal, as a crash of the process would leave them.
fn crash(store: &Path, to: &Path) -> PathBuf {
    fs::create_dir_all(to).unwrap();
    let copy = to.join(store.file_name().unwrap());
    fs::copy(store, &copy).unwrap();
    for journal in journals(store) {
        fs::copy(&journal, to.join(journal.file_name().unwrap())).unwrap();
    }
    copy
}

fn put(db: &Database, key: u32, value: &[u8], durability: Durability) -> Timestamp {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(durability).unwrap();
    txn.tree("t").unwrap().insert(key.to_be_bytes(), value).unwrap();
    txn.commit().unwrap()
}

fn contents(db: &Database) -> Vec<(u32, Vec<u8>)> {
    let snapshot = db.snapshot().unwrap();
    let Ok(tree) = snapshot.tree("t") else { return Vec::new() };
    let entries = tree.iter().unwrap().map(|entry| entry.unwrap());
    entries.map(|(key, value)| (u32::from_be_bytes(key[..].try_into().unwrap()), value.to_vec())).collect()
}

fn assert_clean(db: &Database) {
    let report = db.check();
    assert!(report.is_clean(), "{:#?}", report.findings);
}

#[test]
fn what_was_acknowledged_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = Database::open(&path).unwrap();
    let checkpoints = db.stats().checkpoints;
    for key in 0..50 {
        put(&db, key, b"durable", Durability::Sync);
    }
    assert_eq!(db.stats().checkpoints, checkpoints, "a small commit makes no checkpoint");
    assert_eq!(db.journal_stats().records, 50);
    let copy = crash(&path, &dir.path().join("crashed"));

    let crashed = Database::open(&copy).unwrap();
    assert_eq!(contents(&crashed), (0..50).map(|key| (key, b"durable".to_vec())).collect::<Vec<_>>());
    assert_eq!(crashed.timestamp(), db.timestamp(), "commits keep their timestamps");
    assert_clean(&crashed);
    put(&crashed, 50, b"later", Durability::Sync);
    let again = crash(&copy, &dir.path().join("again"));
    drop(crashed);
    assert!(journals(&copy).is_empty(), "a clean close leaves one file");
    for path in [&copy, &again] {
        let db = Database::open(path).unwrap();
        assert_eq!(contents(&db).len(), 51);
        assert_clean(&db);
    }
}

#[test]
fn every_operation_is_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = Database::open(&path).unwrap();
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("a").unwrap();
    tree.bulk_load((0..300u32).map(|key| (key.to_be_bytes(), [7; 100]))).unwrap();
    tree.insert_reserve(b"reserved", 3000).unwrap().fill(9);
    assert!(tree.remove(5u32.to_be_bytes()).unwrap());
    assert!(tree.take(6u32.to_be_bytes()).unwrap().is_some());
    tree.pop_first().unwrap();
    tree.insert_reserve(b"reserved too", 10).unwrap().fill(8);
    tree.replace(8u32.to_be_bytes(), b"replaced").unwrap();
    assert_eq!(tree.remove_range(100u32.to_be_bytes()..=200u32.to_be_bytes()).unwrap(), 101);
    txn.tree("b").unwrap().insert(b"", b"").unwrap();
    let savepoint = txn.savepoint().unwrap();
    txn.tree("b").unwrap().insert(b"undone", b"").unwrap();
    txn.tree("undone").unwrap().insert_reserve(b"undone", 7).unwrap();
    txn.rollback_to(savepoint).unwrap();
    txn.tree("b").unwrap().pop_last().unwrap();
    txn.tree("c").unwrap().insert(b"gone", b"").unwrap();
    txn.rename_tree("a", "d").unwrap();
    txn.drop_tree("c").unwrap();
    txn.tree("e").unwrap().insert(b"cleared", b"").unwrap();
    txn.tree("e").unwrap().clear().unwrap();
    txn.tree("d").unwrap().insert_reserve(b"last", 5).unwrap().fill(1);
    txn.commit().unwrap();
    let crashed = Database::open(crash(&path, &dir.path().join("crashed"))).unwrap();
    assert_clean(&crashed);
    let dump = |db: &Database| {
        let snapshot = db.snapshot().unwrap();
        let trees = snapshot.trees().unwrap();
        trees
            .into_iter()
            .map(|name| {
                let tree = snapshot.tree(&name).unwrap();
                let entries: Vec<_> =
                    tree.iter().unwrap().map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec())).unwrap()).collect();
                assert_eq!(tree.len().unwrap(), entries.len() as u64);
                (name, entries)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(dump(&crashed), dump(&db));
    assert_eq!(dump(&db).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b", "d", "e"]);
}

#[test]
fn relaxed_commits_come_back_up_to_some_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = Database::open(&path).unwrap();
    put(&db, 0, b"durable", Durability::Sync);
    put(&db, 1, b"relaxed", Durability::None);
    put(&db, 2, b"soon", Durability::Interval(Duration::from_millis(20)));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(contents(&Database::open(crash(&path, &dir.path().join("interval"))).unwrap()).len(), 3);
    put(&db, 3, b"relaxed", Durability::None);
    let crashed = contents(&Database::open(crash(&path, &dir.path().join("relaxed"))).unwrap());
    assert!(crashed.len() >= 3);
    db.flush().unwrap();
    assert_eq!(contents(&Database::open(crash(&path, &dir.path().join("flushed"))).unwrap()).len(), 4);
}

#[test]
fn segments_are_recycled_and_never_taken_for_new() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = Database::builder().page_size(4096).journal_segment(16 << 10).open(&path).unwrap();
    let mut expected = std::collections::BTreeMap::new();
    for round in 0..600u32 {
        let value = vec![round as u8; (round % 700) as usize];
        put(&db, round % 40, &value, if round % 7 == 0 { Durability::Sync } else { Durability::None });
        expected.insert(round % 40, value);
        if round % 97 == 0 {
            db.checkpoint().unwrap();
        }
        if round % 53 == 0 {
            // Too large for a record: durable by its own checkpoint.
            let mut txn = db.begin_write().unwrap();
            txn.tree("large").unwrap().insert(b"value", vec![round as u8; 9000]).unwrap();
            txn.commit().unwrap();
            let crashed = Database::open(crash(&path, &dir.path().join(format!("large {round}")))).unwrap();
            assert_eq!(crashed.timestamp(), db.timestamp());
        }
        if round % 31 == 0 {
            db.flush().unwrap();
            let copy = crash(&path, &dir.path().join(round.to_string()));
            let crashed = Database::open(&copy).unwrap();
            assert_eq!(contents(&crashed), expected.clone().into_iter().collect::<Vec<_>>(), "round {round}");
            assert_clean(&crashed);
        }
    }
    assert!(journals(&path).len() <= 6, "{:?}", journals(&path));
    assert!(db.journal_stats().bytes > 100_000, "the journal was reused many times");
}

/// Every byte of a small journal flipped, and every length cut: a prefix of the commits, or an error.
#[test]
fn a_damaged_journal_gives_a_prefix_or_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = Database::builder().page_size(4096).journal_segment(16 << 10).open(&path).unwrap();
    for key in 0..12 {
        put(&db, key, b"a value", Durability::Sync);
    }
    let copy = crash(&path, &dir.path().join("crashed"));
    let journal = journals(&copy).remove(0);
    let (store_bytes, bytes) = (fs::read(&copy).unwrap(), fs::read(&journal).unwrap());
    let used = 512 + db.journal_stats().bytes as usize;
    let (mut errors, mut prefixes) = (0, 0);
    let mut attempt = |damaged: &[u8]| {
        fs::write(&copy, &store_bytes).unwrap();
        for stale in journals(&copy) {
            fs::remove_file(stale).unwrap();
        }
        fs::write(&journal, damaged).unwrap();
        match Database::open(&copy) {
            Ok(db) => {
                let found = contents(&db);
                assert!(found.iter().enumerate().all(|(at, (key, value))| *key == at as u32 && value == b"a value"));
                prefixes += 1;
            }
            Err(Error::Damaged { structure: "journal", what, .. }) => {
                assert!(what.contains("byte") && what.contains("-journal-"), "{what}");
                errors += 1;
            }
            Err(Error::ForeignJournal { .. }) => errors += 1,
            Err(error) => panic!("{error}"),
        }
    };
    for at in 0..used {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x21;
        attempt(&damaged);
    }
    for len in 0..used {
        attempt(&bytes[..len]);
    }
    println!("{prefixes} prefixes, {errors} errors");
    assert!(errors > 300, "damage before a record that knows better is told: {errors}");
}

#[test]
fn a_journal_of_another_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("one.pent");
    let other_path = dir.path().join("other").join("one.pent");
    fs::create_dir(dir.path().join("other")).unwrap();
    let (db, other) = (Database::open(&path).unwrap(), Database::open(&other_path).unwrap());
    put(&db, 1, b"one", Durability::Sync);
    put(&other, 1, b"other", Durability::Sync);
    let copy = crash(&path, &dir.path().join("crashed"));
    fs::copy(&journals(&other_path)[0], &journals(&copy)[0]).unwrap();
    assert!(matches!(Database::open(&copy), Err(Error::ForeignJournal { path }) if path == journals(&copy)[0]));
}

#[test]
fn reading_only_does_not_recover() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = Database::open(&path).unwrap();
    put(&db, 1, b"one", Durability::Sync);
    let copy = crash(&path, &dir.path().join("crashed"));
    let read_only = Database::builder().read_only(true);
    assert!(matches!(read_only.open(&copy), Err(Error::NeedsRecovery { path }) if path == copy));
    drop(Database::open(&copy).unwrap());
    assert_eq!(contents(&read_only.open(&copy).unwrap()).len(), 1);
}

#[test]
fn concurrent_commits_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = Database::open(&path).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8u32 {
            let db = &db;
            scope.spawn(move || {
                for number in 0..50 {
                    let at = put(db, thread * 1000 + number, b"value", Durability::Sync);
                    let snapshot = db.snapshot().unwrap();
                    assert!(snapshot.timestamp() >= at, "an acknowledged commit is visible");
                }
            });
        }
    });
    let stats = db.journal_stats();
    println!("{stats:?}");
    assert!(stats.records == 400 && stats.syncs <= 400, "{stats:?}");
    let crashed = Database::open(crash(&path, &dir.path().join("crashed"))).unwrap();
    assert_eq!(contents(&crashed).len(), 400);
    assert_clean(&crashed);
}
