//! Where the time of a writer goes: `cargo bench --bench writes [-- batches unsynced removal deletion]`.
//!
//! A store of 1,000,000 entries with random keys of 24 bytes and values of 150 (`PENTIMENTO_ENTRIES`): loaded in one transaction, then in each of three
//! rounds (`PENTIMENTO_ROUNDS`) 100 durable batches of 1,000 new entries and 50,000 commits of one without sync, at last a quarter of all removed and half deleted. For
//! each the wall time, and the time that the writing thread itself had the processor: on a busy machine the second tells more. It is the work of
//! `pentimento-compare --only load.random,commit,remove` without its peers, for `perf record` to be put before.

#[path = "profile/commits.rs"]
mod commits;
mod profile;

use commits::{batches, unsynced};
use pentimento::Database;
use profile::{Key, load, setting, store_of, timed, wants};

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

fn main() {
    let wants = wants();
    let (_dir, db, keys) = store_of(1_000_000);
    let entries = keys.len() as u64;
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
