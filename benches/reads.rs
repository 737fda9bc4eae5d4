//! Where the time of a reader goes: `cargo bench --bench reads [-- view open ten forward]`.
//!
//! A store of 1,000,000 entries with random keys of 24 bytes and values of 150 (`PENTIMENTO_ENTRIES`), loaded in one transaction and changed by 100 batches of 1,000 new entries and
//! 50,000 commits of one. Then, in each of three rounds (`PENTIMENTO_ROUNDS`): random gets in one view, views opened, read once and closed, ranges of ten, and a scan. For each the wall
//! time, and the time that the reading thread itself had the processor. It is the work of `pentimento-compare --only load.random,commit,get,scan` without its peers, for `perf record` to be put before.

#[path = "profile/commits.rs"]
mod commits;
mod profile;

use commits::{batches, unsynced};
use pentimento::{Database, Tree};
use profile::{Key, key, load, setting, store_of, timed, wants};

/// What is read of a value.
fn ends(value: &[u8]) -> u64 {
    value.first().zip(value.last()).map_or(0, |(first, last)| u64::from(*first) + u64::from(*last))
}

// Functions of their own, so that a profile tells them apart.

#[inline(never)]
fn view(tree: &Tree<'_>, keys: &[Key]) -> u64 {
    keys.iter().map(|key| tree.get(key).expect("a page").map_or(0, ends)).sum()
}

#[inline(never)]
fn open(db: &Database, keys: &[Key]) -> u64 {
    let get = |key| {
        let snapshot = db.snapshot().expect("a snapshot");
        snapshot.tree("entries").expect("the tree").get(key).expect("a page").map_or(0, ends)
    };
    keys.iter().map(get).sum()
}

#[inline(never)]
fn ten(tree: &Tree<'_>, keys: &[Key]) -> u64 {
    let range = |key: &Key| {
        let entries = tree.range(key.as_slice()..).expect("a page").take(10);
        entries.map(|entry| ends(entry.expect("a page").1)).sum::<u64>()
    };
    keys.iter().map(range).sum()
}

#[inline(never)]
fn forward(tree: &Tree<'_>) -> u64 {
    tree.iter().expect("a page").map(|entry| ends(entry.expect("a page").1)).sum()
}

fn main() {
    let wants = wants();
    let (_dir, db, keys) = store_of(1_000_000);
    let entries = keys.len() as u64;
    load(&db, &keys);
    batches(&db, entries);
    unsynced(&db, entries + 100_000);

    let snapshot = db.snapshot().expect("a snapshot");
    let tree = snapshot.tree("entries").expect("the tree");
    let len = tree.len().expect("a length");
    // In another order than that of the load, copied together.
    let probes: Vec<Key> = (0..entries).map(|number| key(number.wrapping_mul(0x9E37_79B1) % entries)).collect();
    std::hint::black_box((view(&tree, &probes), forward(&tree)));
    for _ in 0..setting("PENTIMENTO_ROUNDS", 3) {
        let mut sum = 0;
        if wants("view") {
            timed("random get, one view", probes.len(), || sum += view(&tree, &probes));
        }
        if wants("open") {
            timed("view + get + close", probes.len(), || sum += open(&db, &probes));
        }
        if wants("ten") {
            timed("range of ten", probes.len() / 2, || sum += ten(&tree, &probes[..probes.len() / 2]));
        }
        if wants("forward") {
            timed("scan, an entry", len as usize, || sum += forward(&tree));
        }
        std::hint::black_box(sum);
    }
}
