//! What finding changes costs: `cargo bench --bench changes`.
//!
//! 100 changes in 10^6 entries: pages touched and time, and the same by comparing both snapshots entry by entry. Then the same for more changes, and for
//! a store of 10^5. The changes are at random places; times are the median of 9. `PENTIMENTO_ENTRIES` sets the size of the larger store.
//!
//! Then what watching costs the writer: commits of one change each, relaxed, for half a second, with nobody watching, with a subscriber who never looks, and with one who reads everything.

mod shared;

use pentimento::{Database, Durability, Snapshot, Watch};
use shared::store;
use std::time::{Duration, Instant};

const ROUNDS: usize = 9;

fn change(db: &Database, entries: u64, count: u64, seed: u64) {
    let mut txn = db.begin_write().expect("the turn");
    let mut tree = txn.tree("entries").expect("the tree");
    for number in 0..count {
        let key = (seed * count + number).wrapping_mul(0x9E37_79B9_7F4A_7C15) % entries;
        tree.insert(key.to_be_bytes(), [seed as u8 ^ 0xAA; 90]).expect("an insert");
    }
    txn.commit().expect("a commit");
}

/// Merges all entries of both, and counts what differs.
fn compare_everything(older: &Snapshot, newer: &Snapshot) -> usize {
    let walk = |snapshot: &Snapshot| snapshot.tree("entries").expect("the tree").range_owned(..);
    let (mut old, mut new) = (walk(older).map(|e| e.expect("an entry")), walk(newer).map(|e| e.expect("an entry")));
    let (mut one, mut other, mut differing) = (old.next(), new.next(), 0);
    while let (Some(left), Some(right)) = (&one, &other) {
        let order = left.0.cmp(&right.0);
        differing += usize::from(order.is_ne() || left.1 != right.1);
        if order.is_le() {
            one = old.next();
        }
        if order.is_ge() {
            other = new.next();
        }
    }
    differing + usize::from(one.is_some()) + old.count() + usize::from(other.is_some()) + new.count()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// Commits for half a second, and tells how many a second. `turn` makes the values others than those of the turn before.
fn commits(db: &Database, entries: u64, turn: u8) -> f64 {
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < Duration::from_millis(500) {
        let mut txn = db.begin_write().expect("the turn");
        txn.set_durability(Durability::None).expect("a durability");
        let key = u64::wrapping_mul(count, 0x9E37_79B9_7F4A_7C15) % entries;
        txn.tree("entries").expect("the tree").insert(key.to_be_bytes(), [count as u8 ^ turn; 90]).expect("an insert");
        txn.commit().expect("a commit");
        count += 1;
    }
    count as f64 / started.elapsed().as_secs_f64()
}

fn watching(db: &Database, entries: u64) {
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    let (mut delivered, mut batches, mut exact) = (0, 0, 0);
    for turn in (1..).step_by(3).take(5) {
        rates[0].push(commits(db, entries, turn));
        let asleep = db.watch(Watch::all()).expect("a subscriber");
        rates[1].push(commits(db, entries, turn + 1));
        drop(asleep);
        let mut reader = db.watch(Watch::all()).expect("a subscriber");
        let from = reader.delivered();
        let last = std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let (mut count, mut whole) = (0, 0);
                while let Some(batch) = reader.recv_timeout(Duration::from_millis(100)).expect("a batch") {
                    (count, whole) = (count + 1, whole + u64::from(batch.exact));
                    batch.changes.for_each(|change| drop(change.expect("a change")));
                }
                (count, whole, reader.delivered())
            });
            rates[2].push(commits(db, entries, turn + 2));
            reading.join().expect("the reader")
        });
        (batches, exact, delivered) = (batches + last.0, exact + last.1, delivered + (last.2.0 - from.0));
    }
    let [nobody, asleep, reading] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    println!("\n| watching | commits a second | of those without |\n|---|--:|--:|");
    println!("| nobody | {nobody:.0} | |");
    println!("| one who never looks | {asleep:.0} | {:.2} |", asleep / nobody);
    println!("| one who reads everything | {reading:.0} | {:.2} |", reading / nobody);
    assert!(batches > 0, "the reader was told something");
    println!("\nThe reader was told {delivered} commits in {batches} batches, {exact} of them of one commit.");
}

fn main() {
    let large = std::env::var("PENTIMENTO_ENTRIES").ok().and_then(|entries| entries.parse().ok()).unwrap_or(1_000_000);
    let dir = tempfile::tempdir().expect("a folder");
    println!("| entries | changes | pages touched | changes_since | everything compared | ratio |");
    println!("|--:|--:|--:|--:|--:|--:|");
    let mut largest = None;
    for (entries, counts) in [(large / 10, &[100][..]), (large, &[1, 100, 10_000])] {
        let db = store(&dir, entries);
        for &count in counts {
            let (mut times, mut pages, mut found) = (Vec::new(), 0, 0);
            let (mut older, mut newer) = (db.snapshot().expect("a snapshot"), db.snapshot().expect("a snapshot"));
            for round in 0..ROUNDS {
                older = db.snapshot().expect("a snapshot");
                change(&db, entries, count, round as u64 + count);
                newer = db.snapshot().expect("a snapshot");
                let started = Instant::now();
                let mut changes = newer.changes_since(&older).expect("the changes");
                found = changes.by_ref().inspect(|change| assert!(change.is_ok())).count();
                times.push(started.elapsed());
                pages = changes.pages_touched();
            }
            let everything = (0..3).map(|_| {
                let started = Instant::now();
                assert_eq!(compare_everything(&older, &newer), found, "both ways find the same");
                started.elapsed()
            });
            let (everything, ours) = (median(everything.collect()), median(times));
            let ratio = everything / ours;
            println!("| {entries} | {found} | {pages} | {ours:.3} ms | {everything:.0} ms | {ratio:.0} |");
        }
        largest = Some(db);
    }
    largest.iter().for_each(|db| watching(db, large));
}
