//! The journal over real files: what is in it comes back, whatever is damaged.
//!
//! A crash is a copy of the files while the store is open. Invariants: the state after reopening is that of a prefix of the commits, and
//! it contains every commit that was acknowledged as durable (or an error says where the journal is damaged); the checker has no finding; a second opening finds the
//! same.

mod common;
#[path = "common/crash.rs"]
mod crash;

use common::{assert_clean, read_all};
use crash::{contents, crash, journals, keys, put};
use pentimento::{Database, Durability, Error, WriteTransaction};
use std::fs;
use std::time::{Duration, Instant};

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
    let dump = |db: &Database| read_all(&db.snapshot().unwrap()).unwrap();
    assert_eq!(dump(&crashed), dump(&db));
    assert_eq!(dump(&db).keys().collect::<Vec<_>>(), ["b", "d", "e"]);
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

/// Its bytes are read when the next operation begins, whatever that one does to names and trees.
#[test]
fn a_value_built_in_place_is_journaled_under_its_own_tree() {
    type Operation = fn(&mut WriteTransaction);
    let followed_by: [(&str, Operation); 7] = [
        ("a new tree", |txn| assert!(txn.tree("new").unwrap().is_empty())),
        ("another tree", |txn| txn.tree("other").unwrap().insert(b"next", b"").unwrap()),
        ("a rename", |txn| txn.rename_tree("t", "renamed").unwrap()),
        ("a rename of another", |txn| txn.rename_tree("other", "renamed").unwrap()),
        ("the end of another", |txn| assert!(txn.drop_tree("other").unwrap())),
        ("a savepoint", |txn| {
            let savepoint = txn.savepoint().unwrap();
            txn.tree("t").unwrap().remove(b"key").unwrap();
            txn.rollback_to(savepoint).unwrap();
        }),
        ("nothing", |_| ()),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (what, then) in followed_by {
        let path = dir.path().join(what).join("store.pent");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let db = Database::open(&path).unwrap();
        let mut txn = db.begin_write().unwrap();
        txn.tree("other").unwrap().insert(b"key", b"of another").unwrap();
        txn.tree("t").unwrap().insert_reserve(b"key", 5).unwrap().copy_from_slice(b"built");
        then(&mut txn);
        txn.commit().unwrap();
        let live = read_all(&db.snapshot().unwrap()).unwrap();
        let is_there =
            live.values().any(|entries| entries.get(b"key".as_slice()).is_some_and(|value| value == b"built"));
        assert!(is_there, "{what}: {live:?}");
        let crashed = Database::open(crash(&path, &dir.path().join(what).join("crashed"))).unwrap();
        assert_eq!(read_all(&crashed.snapshot().unwrap()).unwrap(), live, "followed by {what}");
        assert_clean(&crashed);
    }
}

/// A header is one sector, so one that is damaged had been whole, with acknowledged commits behind it.
#[test]
fn a_damaged_header_is_an_error_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = Database::open(&path).unwrap();
    for key in 0..5 {
        put(&db, key, b"acknowledged", Durability::Sync);
    }
    let copy = crash(&path, &dir.path().join("crashed"));
    let journal = journals(&copy).remove(0);
    let (store_bytes, whole) = (fs::read(&copy).unwrap(), fs::read(&journal).unwrap());
    for at in (0..512).step_by(5) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&journal, &damaged).unwrap();
        match Database::open(&copy) {
            Err(Error::Damaged { structure: "journal", what, .. }) => {
                assert!(what.contains("-journal-1: the header at byte 0"), "{what}");
            }
            other => panic!("byte {at} of the header flipped: {other:?}"),
        }
        assert_eq!(fs::read(&journal).unwrap(), damaged, "the journal stays as it was found");
    }
    // The metas are rewritten by every opening; what they refer to must be the same.
    assert_eq!(fs::read(&copy).unwrap()[8192..], store_bytes[8192..], "the store stays as it was found");
    fs::write(&journal, &whole).unwrap();
    assert_eq!(keys(&Database::open(&copy).unwrap()), [0, 1, 2, 3, 4], "once mended, all is there");
}

/// A file that was made, but whose first sector never reached the disk, holds nothing that was acknowledged.
#[test]
fn a_segment_without_a_header_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = Database::open(&path).unwrap();
    put(&db, 1, b"acknowledged", Durability::Sync);
    let copy = crash(&path, &dir.path().join("crashed"));
    let begun = journals(&copy)[0].with_file_name("store.pent-journal-2");
    for len in [0, 100, 512, 4096] {
        let copy = crash(&copy, &dir.path().join(format!("{len} zeros")));
        fs::write(copy.with_file_name(begun.file_name().unwrap()), vec![0; len]).unwrap();
        assert_eq!(keys(&Database::open(&copy).unwrap()), [1], "{len} zeros");
    }
}

/// It may be all that is left of a store that was moved away.
#[test]
fn a_new_store_leaves_a_journal_alone_that_lies_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = Database::open(&path).unwrap();
    put(&db, 1, b"acknowledged", Durability::Sync);
    let copy = crash(&path, &dir.path().join("crashed"));
    let moved = dir.path().join("moved.pent");
    fs::rename(&copy, &moved).unwrap();
    let journal = journals(&copy).remove(0);
    let bytes = fs::read(&journal).unwrap();
    assert!(matches!(Database::open(&copy), Err(Error::ForeignJournal { path }) if path == journal));
    assert_eq!(fs::read(&journal).unwrap(), bytes);
    fs::rename(&moved, &copy).unwrap();
    assert_eq!(keys(&Database::open(&copy).unwrap()), [1]);
}

/// At every eighth byte of a torn record there could be another; if each had to be checksummed, opening would take as long as the square of its length.
#[test]
fn what_looks_like_records_in_a_torn_value_does_not_hold_up_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = Database::builder().journal_segment(128 << 20).open(&path).unwrap();
    // Of two such words in turn, every second position reads as a length, a timestamp, and an earlier one that is durable. Records look at aligned words,
    // and where a value begins is nobody's promise: so it is tried at each alignment. Behind them there is room for what the lengths say.
    let words = [16_000_000u64, 8_000_000].map(u64::to_le_bytes).concat().repeat(64 << 10);
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("t").unwrap();
    for shift in 0..8u32 {
        tree.insert(shift.to_be_bytes(), [&[0; 8][..shift as usize], &words].concat()).unwrap();
    }
    tree.insert(8u32.to_be_bytes(), vec![0; 16 << 20]).unwrap();
    txn.commit().unwrap();
    assert_eq!(db.journal_stats().records, 1);
    let copy = crash(&path, &dir.path().join("crashed"));
    let journal = journals(&copy).remove(0);
    let mut torn = fs::read(&journal).unwrap();
    torn[512 + 4] ^= 1;
    fs::write(&journal, torn).unwrap();
    let started = Instant::now();
    assert_eq!(keys(&Database::open(&copy).unwrap()), [], "nothing says that it had been durable");
    assert!(started.elapsed() < Duration::from_secs(4), "opening took {:?}", started.elapsed());
}
