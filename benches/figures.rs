//! What it costs an open store to show its readers and figures to tools: `cargo bench --bench figures`.
//!
//! Two stores, one that publishes and one that does not, make the same commits by turns, each for longer than the second after which figures are
//! published again, so every turn has its part of the cost. Commits ask for no durability: those that wait for a disk would hide
//! it. Rows: nobody reads; a thousand labelled snapshots of different commits are held, all of which are published. Medians of rounds, and the ratio within
//! each round. Stores go to the folder for temporary files (`TMPDIR`).

use pentimento::{Database, Durability, Snapshot};
use std::path::Path;
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;
const TURN: Duration = Duration::from_millis(2500);
const READERS: u64 = 1000;

fn open(path: &Path, publish: bool) -> Database {
    let builder = Database::builder().durability(Durability::None).publish_figures(publish);
    let db = builder.open(path).expect("a store");
    let mut txn = db.begin_write().expect("the turn");
    let entries = (0..100_000u64).map(|key| (key.to_be_bytes(), [0; 100]));
    txn.tree("entries").expect("the tree").bulk_load(entries).expect("a load");
    txn.commit().expect("a commit");
    db
}

fn commit(db: &Database, number: u64) {
    let mut txn = db.begin_write().expect("the turn");
    let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 100_000;
    txn.tree("entries").expect("the tree").insert(key.to_be_bytes(), [number as u8; 100]).expect("an insert");
    txn.commit().expect("a commit");
}

/// Commits per second.
fn turn(db: &Database) -> f64 {
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < TURN {
        (count..count + 16).for_each(|number| commit(db, number));
        count += 16;
    }
    count as f64 / began.elapsed().as_secs_f64()
}

fn snapshots(db: &Database, count: u64) -> Vec<Snapshot> {
    let take = |number: u64| {
        commit(db, number);
        db.snapshot().expect("a snapshot").labelled(&format!("reader {number}"))
    };
    (0..count).map(take).collect()
}

fn median(samples: impl Iterator<Item = f64>) -> f64 {
    let mut samples: Vec<f64> = samples.collect();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn main() {
    println!("{:<28} {:>16} {:>16} {:>22}", "commits per second", "published", "not published", "ratio (least, most)");
    for readers in [0, READERS] {
        let dir = tempfile::tempdir().expect("a folder");
        let stores = [true, false].map(|publish| open(&dir.path().join(format!("{publish}.pent")), publish));
        let held = stores.each_ref().map(|db| snapshots(db, readers));
        // Once before it counts; whoever went second begins the next round.
        let mut rounds: Vec<[f64; 2]> = Vec::new();
        for round in 0..=ROUNDS {
            let mut rates = [0.0; 2];
            for number in [round % 2, 1 - round % 2] {
                rates[number] = turn(&stores[number]);
            }
            rounds.push(rates);
        }
        rounds.remove(0);
        drop(held);
        let ratios = || rounds.iter().map(|[on, off]| on / off);
        println!(
            "{:<28} {:>16.0} {:>16.0} {:>8.3} ({:.3}, {:.3})",
            format!("{readers} labelled readers"),
            median(rounds.iter().map(|rates| rates[0])),
            median(rounds.iter().map(|rates| rates[1])),
            median(ratios()),
            ratios().fold(f64::INFINITY, f64::min),
            ratios().fold(0.0, f64::max),
        );
    }
}
