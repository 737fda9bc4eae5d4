//! What a long reader costs a writer: `cargo bench --bench readers [-- without with]`.
//!
//! A store of 200,000 entries with random keys of 24 bytes and values of 150 (`PENTIMENTO_ENTRIES`), loaded in one transaction and overwritten four times. Then, in each of three rounds
//! (`PENTIMENTO_ROUNDS`), all entries are overwritten eight times without a reader, and eight times beside one that sees what was before; in random order, in transactions of 1,000 that nobody waits for. For each the wall time,
//! and the time that the writing thread itself had the processor. It is the work of `pentimento-compare --only long` without its peers, for `perf record` to be put before.

mod profile;

use pentimento::{Database, Durability};
use profile::{Key, load, setting, store_of, timed, wants};

const BATCH: usize = 1_000;
const TIMES: u64 = 8;

/// Overwrites everything so many times, each time in another order.
fn overwrite(db: &Database, keys: &[Key], generations: std::ops::Range<u64>) {
    let len = keys.len() as u64;
    for generation in generations {
        // A step that has no divisor in common with the length visits all.
        let step = (len * 618 / 1000 + generation * 7..).find(|step| gcd(*step, len) == 1).expect("there are primes");
        let order: Vec<usize> = (0..len).map(|number| (number * step % len) as usize).collect();
        for batch in order.chunks(BATCH) {
            let mut txn = db.begin_write().expect("the turn");
            txn.set_durability(Durability::None).expect("a durability");
            let mut tree = txn.tree("entries").expect("the tree");
            batch.iter().for_each(|number| tree.insert(keys[*number], [generation as u8; 150]).expect("an insert"));
            txn.commit().expect("a commit");
        }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

// Functions of their own, so that a profile tells them apart.

#[inline(never)]
fn without(db: &Database, keys: &[Key], generations: std::ops::Range<u64>) {
    overwrite(db, keys, generations);
}

#[inline(never)]
fn with(db: &Database, keys: &[Key], generations: std::ops::Range<u64>) {
    let snapshot = db.snapshot().expect("a snapshot");
    overwrite(db, keys, generations);
    drop(snapshot);
}

fn main() {
    let wants = wants();
    let (_dir, db, keys) = store_of(200_000);
    load(&db, &keys);
    overwrite(&db, &keys, 1..5);
    for round in 0..setting("PENTIMENTO_ROUNDS", 3) {
        let first = 5 + 2 * round * TIMES;
        if wants("without") {
            timed("overwrites without a reader", keys.len() * TIMES as usize, || {
                without(&db, &keys, first..first + TIMES)
            });
        }
        if wants("with") {
            let first = first + TIMES;
            timed("overwrites beside a reader", keys.len() * TIMES as usize, || with(&db, &keys, first..first + TIMES));
        }
    }
}
