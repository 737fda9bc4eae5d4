//! Where the time of a writer goes: `cargo bench --bench writes [-- batches unsynced removal deletion]`.
//!
//! A store of 1,000,000 entries with random keys of 24 bytes and values of 150 (`PENTIMENTO_ENTRIES`): loaded in one transaction, then in each of three
//! rounds (`PENTIMENTO_ROUNDS`) 100 durable batches of 1,000 new entries and 50,000 commits of one without sync, at last a quarter of all removed and half deleted. For
//! each the wall time, and the time that the writing thread itself had the processor: on a busy machine the second tells more. It is the work of
//! `pentimento-compare --only load.random,commit,remove` without its peers, for `perf record` to be put before.

use pentimento::{Database, Durability};
use std::time::Instant;

type Key = [u8; 24];

const VALUE: [u8; 150] = [7; 150];

/// The same key for the same number, and no order among them.
fn key(number: u64) -> Key {
    let mut key = [0; 24];
    let mut state = number;
    for word in key.chunks_exact_mut(8) {
        // SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word.copy_from_slice(&(mixed ^ (mixed >> 31)).to_be_bytes());
    }
    key
}

/// How long this thread has had the processor, in seconds; where the system does not tell, nothing.
fn own_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).map_or(f64::NAN, |ns| ns / 1e9)
}

fn timed(what: &str, per: usize, work: impl FnOnce()) {
    let (own, wall) = (own_seconds(), Instant::now());
    work();
    let (wall, own) = (wall.elapsed().as_secs_f64(), own_seconds() - own);
    let each = 1e6 / per as f64;
    println!(
        "{what:<28} {:>8.1} ms, {:>8.2} us each; own thread {:>8.1} ms, {:>8.2} us each",
        wall * 1e3,
        wall * each,
        own * 1e3,
        own * each
    );
}

// Functions of their own, so that a profile tells them apart.

#[inline(never)]
fn load(db: &Database, keys: &[Key]) {
    let mut txn = db.begin_write().expect("the turn");
    let mut tree = txn.tree("entries").expect("the tree");
    keys.iter().for_each(|key| tree.insert(key, VALUE).expect("an insert"));
    txn.commit().expect("a commit");
}

#[inline(never)]
fn batches(db: &Database, first: u64) {
    for batch in 0..100 {
        let mut txn = db.begin_write().expect("the turn");
        let mut tree = txn.tree("entries").expect("the tree");
        let numbers = first + batch * 1_000..first + (batch + 1) * 1_000;
        numbers.for_each(|number| tree.insert(key(number), VALUE).expect("an insert"));
        txn.commit().expect("a commit");
    }
}

#[inline(never)]
fn unsynced(db: &Database, first: u64) {
    for number in first..first + 50_000 {
        let mut txn = db.begin_write().expect("the turn");
        txn.set_durability(Durability::None).expect("a durability");
        txn.tree("entries").expect("the tree").insert(key(number), VALUE).expect("an insert");
        txn.commit().expect("a commit");
    }
}

#[inline(never)]
fn removal(db: &Database, keys: &[Key]) {
    let mut txn = db.begin_write().expect("the turn");
    let mut tree = txn.tree("entries").expect("the tree");
    keys.iter().step_by(4).for_each(|key| assert!(tree.remove(key).expect("a removal")));
    txn.commit().expect("a commit");
}

#[inline(never)]
fn deletion(db: &Database, keys: &[Key]) {
    let mut txn = db.begin_write().expect("the turn");
    let mut tree = txn.tree("entries").expect("the tree");
    keys.iter().skip(1).step_by(2).for_each(|key| tree.delete(key).expect("a delete"));
    txn.commit().expect("a commit");
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |what: &str| wanted.is_empty() || wanted.iter().any(|name| name == what);
    let entries = setting("PENTIMENTO_ENTRIES", 1_000_000);
    let dir = tempfile::tempdir_in(".").expect("a folder beside the project, on a real file system");
    let db = Database::open(dir.path().join("store.pent")).expect("a store");

    let keys: Vec<Key> = (0..entries).map(key).collect();
    timed("load", keys.len(), || load(&db, &keys));
    let mut next = entries;
    for _ in 0..setting("PENTIMENTO_ROUNDS", 3) {
        if wants("batches") {
            timed("100 durable batches of 1,000", 100, || batches(&db, next));
            next += 100_000;
        }
        if wants("unsynced") {
            timed("50,000 without sync", 50_000, || unsynced(&db, next));
            next += 50_000;
        }
    }
    if wants("removal") {
        timed("a quarter removed", keys.len() / 4, || removal(&db, &keys));
    }
    if wants("deletion") {
        timed("half deleted", keys.len() / 2, || deletion(&db, &keys));
    }
}
