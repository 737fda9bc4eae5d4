//! What compacting costs, and what it costs others meanwhile: `cargo bench --bench compact`.
//!
//! A store of 10^6 entries loses nine in ten of them, or every other, and is compacted: the time, and the bytes written for it. Then the same beside a
//! writer (a transaction for each of its changes, without sync) and beside a reader (a snapshot for every hundred gets): their rates while it runs over those before.
//! `PENTIMENTO_ENTRIES` sets the size. Each line is the median of three stores.

use pentimento::{Compaction, Database, Durability};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;
const MIB: f64 = 1048576.0;

/// A store whose entries were put in in the order of their keys, of which one in `stays` is left.
fn thinned(entries: u64, stays: u64) -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().expect("a folder");
    let db = Database::builder().durability(Durability::None).open(dir.path().join("store.pent")).expect("a store");
    let mut txn = db.begin_write().expect("the turn");
    let load = (0..entries).map(|number| (number.to_be_bytes(), [number as u8; 100]));
    txn.tree("entries").expect("the tree").bulk_load(load).expect("a load");
    txn.commit().expect("a commit");
    let mut next = 0;
    while next < entries {
        let mut txn = db.begin_write().expect("the turn");
        let mut tree = txn.tree("entries").expect("the tree");
        for number in next..entries.min(next + 50_000) {
            // Scattered, whatever the order of the keys.
            if number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32 >= (1 << 32) / stays {
                tree.remove(number.to_be_bytes()).expect("a removal");
            }
        }
        txn.commit().expect("a commit");
        next += 50_000;
    }
    db.checkpoint().expect("a checkpoint");
    (dir, db)
}

/// Compacts, and tells how long it took.
fn compact(db: &Database) -> (Compaction, f64) {
    let started = Instant::now();
    let done = db.compact().expect("a compaction");
    (done, started.elapsed().as_secs_f64())
}

/// How often a second `work` is done before a compaction, and while it runs.
fn beside(db: &Database, work: impl Fn(&Database, u64) -> u64 + Sync) -> (f64, f64, Compaction, f64) {
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0;
            while !stop.load(Ordering::Relaxed) {
                done.fetch_add(work(db, turn), Ordering::Relaxed);
                turn += 1;
            }
        });
        std::thread::sleep(Duration::from_millis(300));
        let (started, before) = (Instant::now(), done.load(Ordering::Relaxed));
        std::thread::sleep(Duration::from_millis(1500));
        let without = (done.load(Ordering::Relaxed) - before) as f64 / started.elapsed().as_secs_f64();
        let before = done.load(Ordering::Relaxed);
        let (compaction, seconds) = compact(db);
        let with = (done.load(Ordering::Relaxed) - before) as f64 / seconds;
        stop.store(true, Ordering::Relaxed);
        (without, with, compaction, seconds)
    })
}

fn median(mut rows: Vec<Vec<f64>>, by: usize) -> Vec<f64> {
    rows.sort_by(|one, other| one[by].total_cmp(&other[by]));
    rows.swap_remove(ROUNDS / 2)
}

fn main() {
    let entries =
        std::env::var("PENTIMENTO_ENTRIES").ok().and_then(|entries| entries.parse().ok()).unwrap_or(1_000_000);
    println!("{entries} entries of 8 + 100 bytes\n");
    println!(
        "| left | file before, MiB | after | merged, MiB | moved, MiB | seconds | written, MiB/s | given back, MiB/s |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|");
    for stays in [10, 2] {
        let row = median(
            (0..ROUNDS)
                .map(|_| {
                    let (_dir, db) = thinned(entries, stays);
                    let (done, seconds) = compact(&db);
                    let [before, after, merged, moved] =
                        [done.bytes_before, done.bytes_now, done.bytes_merged, done.bytes_moved]
                            .map(|b| b as f64 / MIB);
                    vec![before, after, merged, moved, seconds, (merged + moved) / seconds, (before - after) / seconds]
                })
                .collect(),
            4,
        );
        let row: Vec<String> = row.iter().map(|figure| format!("{figure:.1}")).collect();
        println!("| 1 in {stays} | {} |", row.join(" | "));
    }
    println!("\n| beside a compaction of 1 in 2 | before, per second | while it runs | ratio | its seconds |");
    println!("|---|--:|--:|--:|--:|");
    let writer = |db: &Database, turn: u64| -> u64 {
        let mut txn = db.begin_write().expect("the turn");
        let key = turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) % entries;
        txn.tree("entries").expect("the tree").insert(key.to_be_bytes(), [turn as u8; 100]).expect("an insert");
        txn.commit().expect("a commit");
        1
    };
    let reader = |db: &Database, turn: u64| -> u64 {
        let snapshot = db.snapshot().expect("a snapshot");
        let tree = snapshot.tree("entries").expect("the tree");
        for get in 0..100u64 {
            let key = (turn * 100 + get).wrapping_mul(0x9E37_79B9_7F4A_7C15) % entries;
            std::hint::black_box(tree.get(key.to_be_bytes()).expect("a get"));
        }
        100
    };
    type Work<'w> = &'w (dyn Fn(&Database, u64) -> u64 + Sync);
    for (name, work) in [("commits of one change", &writer as Work<'_>), ("gets", &reader)] {
        let row = median(
            (0..ROUNDS)
                .map(|_| {
                    let (_dir, db) = thinned(entries, 2);
                    let (without, with, _, seconds) = beside(&db, work);
                    vec![without, with, with / without, seconds]
                })
                .collect(),
            2,
        );
        println!("| {name} | {:.0} | {:.0} | {:.2} | {:.2} |", row[0], row[1], row[2], row[3]);
    }
}
