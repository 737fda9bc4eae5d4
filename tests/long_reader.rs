//! A reader that stays costs what it can still see, and no more: law 2, from the outside.
//!
//! Strategy: load 20,000 entries, hold a snapshot, overwrite everything twenty times in transactions of one per cent each, durable or relaxed,
//! with small limits on memory; then the same with eight snapshots taken along the way. `cargo test --test long_reader -- --nocapture` shows the sizes.
//!
//! Invariants: one snapshot costs at most one more copy of what it sees, in the file and in versions; eight at most (pins + 1) copies; memory stays
//! under its limits, what only snapshots keep is accounted for; a snapshot tells its moment to the end; when it is gone the file shrinks back; a
//! version that nobody can see is given back though an older reader stays.

mod common;

use common::{Random, assert_clean, cases, file_len, pattern};
use pentimento::{Database, Durability, Snapshot};
use std::path::{Path, PathBuf};

const ENTRIES: u64 = 20_000;
const VALUE_BYTES: usize = 150;
const ROUNDS: u64 = 20;
const PER_TRANSACTION: u64 = ENTRIES / 100;
/// How often everything is overwritten at most until the file is small again.
const PASSES: u32 = 3;
/// Limits on memory, far below the size of the store.
const SOFT: usize = 512 << 10;
const HARD: usize = 1 << 20;
const SPILL: usize = 4 << 20;

fn key(number: u64) -> Vec<u8> {
    format!("an entry's key, {number:08}").into_bytes()
}

fn value(round: u64, number: u64) -> Vec<u8> {
    pattern(round << 32 | number, VALUE_BYTES)
}

/// Which entries a transaction overwrites.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// Neighbours: it changes few pages.
    ByKey,
    /// From everywhere: each transaction changes a third of all pages.
    Random,
}

struct Bench {
    _dir: tempfile::TempDir,
    path: PathBuf,
    db: Database,
    loaded_bytes: u64,
    /// The newest versions of everything after loading: what one snapshot can see.
    live_versions: u64,
    /// Bytes in frames that the limits count, at their greatest.
    counted_max: u64,
    frames_max: u64,
    versions_max: u64,
}

impl Bench {
    fn load(what: &str) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long.pent");
        let db = Database::builder().memory_limits(SOFT, HARD).spill_limit(SPILL).open(&path).unwrap();
        // In one transaction and in order: the file is as small as it will ever be, which makes the test hard to pass.
        let numbers: Vec<u64> = (0..ENTRIES).collect();
        write(&db, &numbers, 0, Durability::Sync);
        db.checkpoint().unwrap();
        db.maintain().unwrap();
        let loaded_bytes = file_len(&path);
        let live_versions = db.check().storage.pages.len() as u64;
        let bench =
            Bench { _dir: dir, path, db, loaded_bytes, live_versions, counted_max: 0, frames_max: 0, versions_max: 0 };
        bench.show(&format!("{what}: loaded"));
        bench
    }

    /// Overwrites everything once.
    fn overwrite(&mut self, round: u64, durability: Durability, order: Order) {
        let mut numbers: Vec<u64> = (0..ENTRIES).collect();
        if order == Order::Random {
            shuffle(&mut numbers, round);
        }
        for piece in numbers.chunks(PER_TRANSACTION as usize) {
            write(&self.db, piece, round, durability);
            let stats = self.db.stats();
            self.counted_max = self.counted_max.max(stats.frame_bytes_counted);
            self.frames_max = self.frames_max.max(stats.frame_bytes);
        }
        self.db.maintain().unwrap();
        self.versions_max = self.versions_max.max(self.db.stats().versions_retained);
    }

    fn show(&self, what: &str) {
        let (stats, file) = (self.db.stats(), file_len(&self.path));
        println!(
            "{what}: file {file} bytes = {:.2} x loaded, used {}, retained {} versions / {} bytes, frames {} (counted {}; at most {}, counted {})",
            file as f64 / self.loaded_bytes as f64,
            stats.slots_used * pentimento::SLOT_BYTES as u64,
            stats.versions_retained,
            stats.bytes_retained,
            stats.frame_bytes,
            stats.frame_bytes_counted,
            self.frames_max,
            self.counted_max,
        );
    }

    fn ratio(&self) -> f64 {
        file_len(&self.path) as f64 / self.loaded_bytes as f64
    }

    /// What the limits count never exceeds the second limit by more than the transaction that is under way.
    fn assert_memory_is_bounded(&self) {
        let bound = (HARD + SPILL) as u64;
        assert!(self.counted_max <= bound, "{} bytes of frames counted, {bound} allowed", self.counted_max);
    }

    /// Without readers the file has nearly the size of what is in it.
    fn assert_shrinks_back(&mut self, what: &str) {
        self.db.maintain().unwrap();
        // Each checkpoint lets go of what only the one before it needed.
        for _ in 0..2 {
            write(&self.db, &[0], ROUNDS, Durability::None);
            self.db.checkpoint().unwrap();
            self.db.maintain().unwrap();
        }
        self.show(&format!("{what}: snapshots gone"));
        let stats = self.db.stats();
        assert_eq!(stats.bytes_retained, 0, "nobody needs what is old");
        let used = stats.slots_used * pentimento::SLOT_BYTES as u64;
        assert!(used <= self.loaded_bytes, "{used} bytes are used, {} were after loading", self.loaded_bytes);
        // Versions stay where they are until they are changed; when they are, they move towards the start of the file.
        // Durable commits, so that no more is under way at the end than one of them: a free tail below a MiB is not cut. When checkpoints come is the
        // scheduler's choice, and whatever one of them wrote while the start of the file was still needed stays at its end until it is changed again:
        // one pass is enough on an idle machine, a second moves that too. What leaks or does not move at all is there after any number of them.
        let mut passes = 0;
        while self.ratio() >= 1.3 || passes == 0 {
            assert!(passes < PASSES, "after {passes} passes the file has {:.2} times its loaded size", self.ratio());
            passes += 1;
            self.overwrite(ROUNDS, Durability::Sync, Order::ByKey);
            self.db.checkpoint().unwrap();
            self.db.maintain().unwrap();
            self.show(&format!("{what}: snapshots gone, overwritten {passes} times more"));
            let used = self.db.stats().slots_used * pentimento::SLOT_BYTES as u64;
            assert!(used <= self.loaded_bytes * 13 / 10, "{used} bytes are used after a checkpoint, nobody reads");
        }
        assert_clean(&self.db);
    }
}

fn shuffle(numbers: &mut [u64], seed: u64) {
    let mut random = Random(seed);
    for end in (1..numbers.len()).rev() {
        numbers.swap(end, random.below(end as u64 + 1) as usize);
    }
}

fn write(db: &Database, numbers: &[u64], round: u64, durability: Durability) {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(durability).unwrap();
    let mut tree = txn.tree("entries").unwrap();
    for &number in numbers {
        tree.insert(key(number), value(round, number)).unwrap();
    }
    txn.commit().unwrap();
}

/// The snapshot tells exactly what was there when the round had ended.
#[track_caller]
fn assert_tells(snapshot: &Snapshot, round: u64) {
    let tree = snapshot.tree("entries").unwrap();
    assert_eq!(tree.len().unwrap(), ENTRIES);
    let mut entries = tree.iter().unwrap();
    for number in 0..ENTRIES {
        let (found, bytes) = entries.next().unwrap().unwrap();
        assert!(found == key(number) && bytes == value(round, number), "entry {number} at the end of round {round}");
    }
    assert!(entries.next().is_none());
}

fn one_snapshot(what: &str, durability: Durability, order: Order) {
    let mut bench = Bench::load(what);
    let snapshot = bench.db.snapshot().unwrap().labelled("the long reader");
    for round in 1..=ROUNDS {
        bench.overwrite(round, durability, order);
        if [1, 2, 5, 10, 20].contains(&round) {
            bench.show(&format!("{what}: overwritten {round} times"));
        }
        assert!(bench.ratio() < 2.5, "after round {round} the file has {:.2} times its loaded size", bench.ratio());
    }
    bench.assert_memory_is_bounded();
    // One copy for the snapshot, and at most one for the checkpoint: what it sees and has been superseded since.
    let bound = 2 * bench.live_versions + 8;
    assert!(bench.versions_max <= bound, "{} versions retained, {bound} allowed", bench.versions_max);
    bench.db.checkpoint().unwrap();
    bench.db.maintain().unwrap();
    let retained = bench.db.stats().versions_retained;
    println!("{what}: {retained} versions retained for the snapshot, which sees {}", bench.live_versions);
    assert!(retained <= bench.live_versions + 8, "more than one snapshot's worth: {retained} versions");
    assert_tells(&snapshot, 0);
    assert_tells(&bench.db.snapshot().unwrap(), ROUNDS);
    let held = bench.db.readers();
    let label = held.iter().flat_map(|held| &held.readers).find_map(|reader| reader.label.as_deref());
    assert_eq!(label, Some("the long reader"), "the statistics tell who holds what");
    assert_clean(&bench.db);
    drop(snapshot);
    bench.assert_shrinks_back(what);
    assert_tells_after_reopening(bench.db, &bench.path);
}

fn assert_tells_after_reopening(db: Database, path: &Path) {
    db.close().unwrap();
    let db = Database::open(path).unwrap();
    let snapshot = db.snapshot().unwrap();
    assert_eq!(snapshot.tree("entries").unwrap().get(key(7)).unwrap(), Some(value(ROUNDS, 7).as_slice()));
    assert_tells(&snapshot, ROUNDS);
    assert_clean(&db);
}

#[test]
fn one_snapshot_beside_durable_commits() {
    one_snapshot("durable, by key", Durability::Sync, Order::ByKey);
}

#[test]
fn one_snapshot_beside_durable_commits_all_over_the_store() {
    one_snapshot("durable, random", Durability::Sync, Order::Random);
}

#[test]
fn one_snapshot_beside_relaxed_commits() {
    one_snapshot("relaxed, by key", Durability::None, Order::ByKey);
}

#[test]
fn one_snapshot_beside_relaxed_commits_all_over_the_store() {
    one_snapshot("relaxed, random", Durability::None, Order::Random);
}

#[test]
fn eight_snapshots_spread_over_time() {
    let mut bench = Bench::load("eight");
    let mut snapshots = Vec::new();
    for round in 1..=ROUNDS {
        if round % 2 == 0 && snapshots.len() < 8 {
            snapshots.push((bench.db.snapshot().unwrap(), round - 1));
        }
        bench.overwrite(round, Durability::None, Order::Random);
        // The checkpoint's pin counts, the one that is being made too.
        let pins = snapshots.len() as f64 + 2.0;
        assert!(bench.ratio() < pins + 1.0, "{:.2} times the loaded size with {pins} pins", bench.ratio());
        assert!(bench.db.stats().versions_retained as f64 <= (pins + 1.0) * bench.live_versions as f64);
    }
    bench.db.checkpoint().unwrap();
    bench.db.maintain().unwrap();
    bench.show("eight: overwritten 20 times");
    let retained = bench.db.stats().versions_retained;
    assert!(retained <= 8 * (bench.live_versions + 8), "{retained} versions retained for eight snapshots");
    assert!(bench.ratio() < 10.0, "{:.2} times the loaded size with eight snapshots and a checkpoint", bench.ratio());
    bench.assert_memory_is_bounded();
    for (snapshot, round) in &snapshots {
        assert_tells(snapshot, *round);
    }
    assert_clean(&bench.db);
    // Dropped from the middle outwards: what the others see stays.
    while !snapshots.is_empty() {
        snapshots.remove(snapshots.len() / 2);
        bench.db.maintain().unwrap();
        let bound = (snapshots.len() as u64 + 2) * bench.live_versions + 8;
        assert!(bench.db.stats().versions_retained <= bound, "{} snapshots are left", snapshots.len());
        if let Some((snapshot, round)) = snapshots.first() {
            assert_tells(snapshot, *round);
        }
    }
    bench.assert_shrinks_back("eight");
}

/// The heart of law 2: what was born after the old reader's pin and superseded before the next is nobody's, however old the reader.
#[test]
fn versions_between_two_pins_are_given_back() {
    for db in [Database::in_memory().unwrap(), Bench::load("between").db] {
        write(&db, &[1], 0, Durability::None);
        let old = db.snapshot().unwrap();
        for round in 1..=100 * cases(1) {
            write(&db, &[1], round, Durability::None);
        }
        let newer = db.snapshot().unwrap();
        write(&db, &[1], 7, Durability::None);
        db.checkpoint().unwrap();
        db.maintain().unwrap();
        let stats = db.stats();
        // One leaf for each of the two; the length of the tree did not change.
        assert!(stats.versions_retained <= 2, "{} versions retained for two snapshots", stats.versions_retained);
        assert!(stats.versions_reclaimed >= 98, "{} versions given back", stats.versions_reclaimed);
        let get = |snapshot: &Snapshot| snapshot.tree("entries").unwrap().get(key(1)).unwrap().map(<[u8]>::to_vec);
        assert_eq!(get(&old), Some(value(0, 1)));
        assert_eq!(get(&newer), Some(value(100 * cases(1), 1)));
        assert_clean(&db);
    }
}
