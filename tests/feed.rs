//! Watching a store: what subscribers are told, and that nobody waits for them.
//!
//! Strategy: subscribers keep a copy of what they watch by applying what they are told; random histories of every operation, from this thread and from others, with subscribers who
//! look often, seldom, or not before the end; and each promise by itself: order, publication, the end, and what a subscriber costs.
//!
//! Invariants: a copy that has been told everything is the store's state at that moment, whatever was told at once or one by one; batches follow each other; an exact batch is one commit.

#[path = "model/apply.rs"]
mod apply;
mod common;
#[allow(dead_code, reason = "each test file uses its own part")]
#[path = "changes/expected.rs"]
mod expected;
#[path = "common/obstructed_logs.rs"]
mod obstructed_logs;
#[allow(dead_code, reason = "each test file uses its own part")]
#[path = "model/steps.rs"]
mod steps;

use common::{Entries, State, assert_clean, cases, pattern};
use expected::{Expected, told};
use obstructed_logs::GateLogs;
use pentimento::{Batch, Database, Durability, Error, MemoryMedium, Subscriber, Timestamp, Watch};
use quickcheck::QuickCheck;
use std::sync::Arc;
use std::time::{Duration, Instant};
use steps::{Case, Step};

const SOON: Duration = Duration::from_millis(20);

/// What a subscriber knows, from what it was told.
struct Copy {
    subscriber: Subscriber,
    state: State,
    at: Timestamp,
    batches: u64,
    inexact: u64,
}

impl Copy {
    fn new(db: &Database, watch: Watch, state: State) -> Copy {
        let subscriber = db.watch(watch).unwrap();
        Copy { at: subscriber.delivered(), subscriber, state, batches: 0, inexact: 0 }
    }

    fn take(&mut self, batch: Batch) {
        assert!(
            batch.from >= self.at && batch.to > batch.from,
            "{:?} to {:?} after {:?}",
            batch.from,
            batch.to,
            self.at
        );
        assert_eq!(batch.exact, batch.to == batch.from.next());
        assert_eq!(self.subscriber.delivered(), batch.to);
        self.at = batch.to;
        self.batches += 1;
        self.inexact += u64::from(!batch.exact);
        let mut count = 0;
        for change in batch.changes {
            count += 1;
            match told(change.unwrap()) {
                Expected::Created(name) => assert!(self.state.insert(name, Arc::default()).is_none()),
                Expected::Dropped(name) => {
                    assert_eq!(
                        self.state.remove(&name).map(|tree| tree.len()),
                        Some(0),
                        "its entries were told before"
                    );
                }
                Expected::Entry(name, key, old, new) => {
                    let entries = Arc::make_mut(self.state.get_mut(&name).expect("the tree was told before"));
                    let before = match new {
                        Some(new) => entries.insert(key, new),
                        None => entries.remove(&key),
                    };
                    assert!(before == old, "the value before is the one that was told last");
                }
            }
        }
        assert!(count > 0, "no batch is empty");
    }

    /// Takes what there is now.
    fn catch_up(&mut self) {
        while let Some(batch) = self.subscriber.try_recv().unwrap() {
            self.take(batch);
        }
    }
}

fn put(db: &Database, tree: &str, key: u32, value: &[u8]) -> Timestamp {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(Durability::None).unwrap();
    txn.tree(tree).unwrap().insert(key.to_be_bytes(), value).unwrap();
    txn.commit().unwrap()
}

fn read(db: &Database) -> State {
    let all = common::read_all(&db.snapshot().unwrap()).unwrap();
    all.into_iter().map(|(name, entries)| (name, Arc::new(entries))).collect()
}

#[test]
fn what_was_told_is_what_is_there() {
    fn property(case: Case) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let db = case.setup.open(&dir.path().join("feed.pent"));
        let mut now = State::new();
        // One looks after each step, one now and then, one at the end; and some come later.
        let mut copies: Vec<Copy> = (0..3).map(|_| Copy::new(&db, Watch::all(), State::new())).collect();
        for (number, step) in case.steps.iter().enumerate() {
            match step {
                Step::Transaction { ops, commit, .. } => {
                    let mut txn = db.begin_write().unwrap();
                    let mut state = now.clone();
                    apply::all(&mut txn, ops, &mut state);
                    if *commit {
                        txn.commit().unwrap();
                        now = state;
                    }
                }
                Step::Snapshot | Step::Keep(..) if copies.len() < 6 => {
                    copies.push(Copy::new(&db, Watch::all(), now.clone()))
                }
                Step::DropSnapshot(which) | Step::DropKept(which) if copies.len() > 3 => {
                    copies.remove(3 + usize::from(*which) % (copies.len() - 3));
                }
                Step::Maintain => drop(db.maintain().unwrap()),
                Step::Checkpoint => drop(db.checkpoint().unwrap()),
                Step::Flush => drop(db.compact().unwrap()),
                _ => {}
            }
            for (every, copy) in [1, 7].into_iter().zip(&mut copies) {
                if number.is_multiple_of(every) {
                    copy.catch_up();
                    assert!(copy.state == now, "after step {number}");
                    assert_eq!(copy.subscriber.behind(), 0);
                }
            }
        }
        for copy in &mut copies {
            copy.catch_up();
            assert!(copy.state == now, "what was told is what is there");
        }
        assert_eq!(copies[0].inexact, 0, "who keeps up is told each commit");
        drop(copies);
        assert_clean(&db);
        true
    }
    QuickCheck::new().tests(cases(12)).quickcheck(property as fn(Case) -> bool);
}

#[test]
fn prefixes_ranges_and_trees_choose() {
    let db = Database::in_memory().unwrap();
    let mut by_tree = db.watch(Watch::tree("a")).unwrap();
    let mut by_prefix = db.watch(Watch::tree("a").prefix([0, 0, 1])).unwrap();
    let mut by_range = db.watch(Watch::all().range(7u32.to_be_bytes()..=8u32.to_be_bytes())).unwrap();
    for key in [1, 7, 8, 9, 256, 300, 600] {
        put(&db, "a", key, b"value");
        put(&db, "b", key, b"value");
    }
    let keys = |subscriber: &mut Subscriber| {
        let mut keys = Vec::new();
        while let Some(batch) = subscriber.try_recv().unwrap() {
            for change in batch.changes.map(Result::unwrap).filter(|change| !change.key.is_empty()) {
                let key = change.key.as_slice().try_into().unwrap();
                keys.push((change.tree.to_string(), u32::from_be_bytes(key)));
            }
        }
        keys
    };
    let of = |tree: &str, keys: &[u32]| keys.iter().map(|key| (tree.to_owned(), *key)).collect::<Vec<_>>();
    assert_eq!(keys(&mut by_tree), of("a", &[1, 7, 8, 9, 256, 300, 600]));
    assert_eq!(keys(&mut by_prefix), of("a", &[256, 300]));
    assert_eq!(keys(&mut by_range), [of("a", &[7]), of("b", &[7]), of("a", &[8]), of("b", &[8])].concat());
    assert_eq!(by_prefix.delivered(), db.timestamp(), "what is of no interest is behind it, too");
}

/// A subscriber who sleeps through many commits gets them summed up, and holds back no more than a snapshot and the newest commits.
#[test]
fn a_slow_subscriber_catches_up() {
    let db = Database::in_memory().unwrap();
    put(&db, "t", 0, b"first");
    let mut copy = Copy::new(&db, Watch::all(), read(&db));
    for number in 0..20_000u32 {
        put(&db, "t", number % 500, &number.to_le_bytes());
    }
    assert_eq!(copy.subscriber.behind(), 20_000);
    db.maintain().unwrap();
    let retained = db.stats().versions_retained;
    assert!(retained < 10_000, "{retained} versions are kept for it");
    copy.catch_up();
    assert_eq!((copy.batches, copy.inexact), (1, 1), "what is gone from the log is told at once");
    let expected: Entries =
        (0..500u32).map(|key| (key.to_be_bytes().to_vec(), (19_500 + key).to_le_bytes().to_vec())).collect();
    assert!(*copy.state["t"] == expected);
    put(&db, "t", 3, b"again");
    copy.catch_up();
    assert_eq!((copy.batches, copy.inexact), (2, 1), "then it keeps up again");
    drop(copy);
    db.maintain().unwrap();
    assert_eq!(db.stats().versions_retained, 0, "nothing is kept for those who are gone");
    assert_clean(&db);
}

/// Many subscribers, each in its own thread, beside several writers: all are told the same end.
#[test]
fn many_subscribers_beside_writers() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("feed.pent")).unwrap();
    let threads: Vec<_> = (0..6)
        .map(|number| {
            let mut copy = Copy::new(&db, Watch::tree("t"), State::new());
            std::thread::spawn(move || {
                while let Some(batch) = copy.subscriber.recv().unwrap() {
                    copy.take(batch);
                    if number % 2 == 1 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                assert!(copy.subscriber.is_over() && copy.subscriber.recv().unwrap().is_none());
                (copy.state, copy.at)
            })
        })
        .collect();
    std::thread::scope(|scope| {
        for writer in 0..3u32 {
            let db = &db;
            scope.spawn(move || {
                for number in 0..150u32 {
                    let mut txn = db.begin_write().unwrap();
                    txn.set_durability(if number % 3 == 0 { Durability::Sync } else { Durability::None }).unwrap();
                    let mut tree = txn.tree("t").unwrap();
                    tree.insert((writer * 1000 + number % 90).to_be_bytes(), pattern(number.into(), 200)).unwrap();
                    if number % 50 == 49 {
                        tree.remove_range((writer * 1000 + 10).to_be_bytes()..(writer * 1000 + 30).to_be_bytes())
                            .unwrap();
                    }
                    txn.commit().unwrap();
                }
            });
        }
    });
    let entries = common::read_all(&db.snapshot().unwrap()).unwrap();
    let last = db.timestamp();
    // The end comes after everything that was committed.
    db.close().unwrap();
    for thread in threads {
        let (state, at) = thread.join().unwrap();
        assert!(*state["t"] == entries["t"] && at == last);
    }
}

/// What a crash could take back is not told.
#[test]
fn only_published_commits_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("feed.pent");
    let logs = GateLogs::beside(&path);
    let db = Database::builder();
    let db = db.open_on(Box::new(MemoryMedium::with_capacity(64 << 20)), Some(Box::new(logs.clone())), true).unwrap();
    let mut subscriber = db.watch(Watch::all()).unwrap();
    logs.close_gate();
    let strict = std::thread::spawn({
        let db = db.clone();
        move || {
            let mut txn = db.begin_write().unwrap();
            txn.tree("t").unwrap().insert("key", "value").unwrap();
            txn.commit().unwrap()
        }
    });
    logs.wait_for_arrival();
    assert!(subscriber.recv_timeout(SOON).unwrap().is_none(), "the commit waits for its sync");
    assert!(!subscriber.is_over());
    logs.open_gate();
    let batch = subscriber.recv().unwrap().unwrap();
    assert_eq!((batch.to, batch.exact), (strict.join().unwrap(), true));
}

#[test]
fn it_begins_where_it_is_told_to() {
    let db = Database::in_memory().unwrap();
    put(&db, "t", 1, b"one");
    let before = db.snapshot().unwrap();
    put(&db, "t", 2, b"two");
    put(&db, "t", 3, b"three");
    let mut subscriber = db.watch(Watch::tree("t").after(&before)).unwrap();
    let batch = subscriber.recv().unwrap().unwrap();
    assert_eq!((batch.from, batch.to, batch.exact), (before.timestamp(), db.timestamp(), false));
    assert_eq!(batch.changes.count(), 2);
    let stranger = Database::in_memory().unwrap().snapshot().unwrap();
    assert!(matches!(db.watch(Watch::all().after(&stranger)), Err(Error::OtherStore)));
}

/// After a restart, and a crash, everything since the bookmark is told, whatever was noted as done before it.
#[test]
fn bookmarks_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("feed.pent");
    let (mut state, mut done, mut bookmarks) = (State::new(), None, 0);
    for life in 0..6u32 {
        let db = Database::open(&path).unwrap();
        let watch = done.map_or(Watch::all(), |at| Watch::all().since(at));
        let mut copy = Copy::new(&db, watch, state.clone());
        for round in 0..20 {
            for number in 0..3 {
                put(&db, "t", (life * 7 + round * 3 + number) % 50, &(life * 1000 + round).to_le_bytes());
            }
            if round % 4 == life % 4 {
                let at = copy.subscriber.bookmark(&db, "copy").unwrap();
                bookmarks += 1;
                while copy.subscriber.delivered() < at {
                    let batch = copy.subscriber.recv().unwrap().unwrap();
                    assert!(batch.to <= at, "no batch crosses a bookmark");
                    copy.take(batch);
                }
                // What a consumer notes together with its own state.
                (state, done) = (copy.state.clone(), Some(at));
            } else if round % 4 == 3 {
                copy.catch_up();
            }
        }
        let names: Vec<_> = db.named_snapshots().unwrap().into_iter().map(|named| named.name).collect();
        assert!(names.len() <= 2 && names.iter().all(|name| name.starts_with("copy/")), "{names:?}");
        copy.catch_up();
        assert!(copy.state == read(&db));
        drop(copy);
        assert_clean(&db);
        db.close().unwrap();
    }
    assert!(bookmarks > 20);
    let db = Database::open(&path).unwrap();
    let mut copy = Copy::new(&db, Watch::all().since(done.unwrap()), state);
    copy.catch_up();
    assert!(copy.state == read(&db));
    assert!(matches!(db.watch(Watch::all().since(Timestamp(1))), Err(Error::NoSnapshotAt { at: Timestamp(1) })));
    let other = Database::in_memory().unwrap();
    assert!(matches!(copy.subscriber.bookmark(&other, "copy"), Err(Error::OtherStore)));
}

#[test]
fn waiting_ends() {
    let db = Database::in_memory().unwrap();
    let mut subscriber = db.watch(Watch::all()).unwrap();
    let started = Instant::now();
    assert!(subscriber.recv_timeout(SOON).unwrap().is_none());
    assert!(started.elapsed() >= SOON && !subscriber.is_over());
    assert!(subscriber.try_recv().unwrap().is_none());
    let waiting = std::thread::spawn(move || subscriber.next().is_none());
    std::thread::sleep(SOON);
    drop(db);
    assert!(waiting.join().unwrap(), "closing wakes it up");
}
