//! What named snapshots cost: `cargo bench --bench snapshots`.
//!
//! Stores of 10^4 and of 10^7 entries (`PENTIMENTO_ENTRIES` sets the larger). A snapshot is named where nothing has changed since the last checkpoint, and after a commit of one
//! change; opened, dropped; and 1 % of the entries are changed at random places before keys at random places are read in it and in a snapshot of today, by turns.
//! Times are medians of 15.

mod shared;

use pentimento::{Database, Snapshot};
use shared::store;
use std::time::{Duration, Instant};

const ROUNDS: u64 = 15;
const GETS: u64 = 20_000;

fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let word = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word ^ (word >> 27)
}

fn change(db: &Database, entries: u64, count: u64, state: &mut u64) {
    let mut txn = db.begin_write().expect("the turn");
    let mut tree = txn.tree("entries").expect("the tree");
    for _ in 0..count {
        tree.insert((random(state) % entries).to_be_bytes(), [0xAA; 100]).expect("an insert");
    }
    txn.commit().expect("a commit");
}

fn timed<T>(times: &mut Vec<Duration>, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = work();
    times.push(started.elapsed());
    done
}

fn gets(snapshot: &Snapshot, entries: u64, state: &mut u64) {
    let tree = snapshot.tree("entries").expect("the tree");
    for _ in 0..GETS {
        assert!(tree.get((random(state) % entries).to_be_bytes()).expect("a look").is_some());
    }
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn main() {
    let large = std::env::var("PENTIMENTO_ENTRIES").ok().and_then(|entries| entries.parse().ok()).unwrap_or(10_000_000);
    let dir = tempfile::tempdir().expect("a folder");
    println!(
        "| entries | file, MiB | named, nothing changed, us | named after one change, us | opened, us | dropped, us | get in it, ns | get today, ns | ratio |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for entries in [10_000, large] {
        let db = store(&dir, entries);
        let (mut state, mut named, mut renamed, mut opened, mut dropped) = (1, vec![], vec![], vec![], vec![]);
        for round in 0..ROUNDS {
            change(&db, entries, 1, &mut state);
            timed(&mut named, || db.snapshot_named(&format!("changed-{round}")).expect("a name"));
            timed(&mut renamed, || db.snapshot_named(&format!("same-{round}")).expect("a name"));
            timed(&mut opened, || db.open_snapshot(&format!("changed-{round}")).expect("a snapshot"));
        }
        for round in 0..ROUNDS {
            timed(&mut dropped, || db.drop_snapshot(&format!("changed-{round}")).expect("a drop"));
        }
        change(&db, entries, entries / 100, &mut state);
        db.checkpoint().expect("a checkpoint");
        let (then, now) = (db.open_snapshot("same-0").expect("a snapshot"), db.snapshot().expect("a snapshot"));
        let (mut old, mut new) = (vec![], vec![]);
        for _ in 0..=ROUNDS {
            timed(&mut old, || gets(&then, entries, &mut state));
            timed(&mut new, || gets(&now, entries, &mut state));
        }
        // The first of each met pages for the first time.
        let get = |times: &mut Vec<Duration>| median(&mut times[1..]) * 1e3 / GETS as f64;
        let (old, new) = (get(&mut old), get(&mut new));
        let mib = std::fs::metadata(dir.path().join(format!("{entries}.pent"))).expect("the file").len() >> 20;
        println!(
            "| {entries} | {mib} | {:.0} | {:.0} | {:.1} | {:.0} | {old:.0} | {new:.0} | {:.2} |",
            median(&mut renamed),
            median(&mut named),
            median(&mut opened),
            median(&mut dropped),
            old / new
        );
        drop((then, now));
        db.close().expect("a clean close");
    }
}
