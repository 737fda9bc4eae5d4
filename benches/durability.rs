//! What durability costs, in one run on one disk: `cargo bench --bench durability`.
//!
//! Raw: a 256-byte write and `fdatasync` into a file whose blocks are allocated. Beside it: single durable commits of one key by 1, 4 and 16
//! threads. Rounds take turns, medians are shown; the ratios are what to quote. Files go to the folder for temporary files (`TMPDIR`).

use pentimento::Database;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(400);

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Raw writes per second.
fn raw(file: &File) -> f64 {
    let (started, mut count) = (Instant::now(), 0u64);
    while started.elapsed() < ROUND {
        file.write_all_at(&[count as u8; 256], 512 + count % 100_000 * 256).expect("a write");
        file.sync_data().expect("a sync");
        count += 1;
    }
    count as f64 / started.elapsed().as_secs_f64()
}

/// Commits per second by `threads` threads together.
fn commits(db: &Database, threads: u64) -> f64 {
    let started = Instant::now();
    let counts: Vec<u64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let mut count = 0u64;
                    while started.elapsed() < ROUND {
                        let mut txn = db.begin_write().expect("the turn");
                        let key = (thread * 1_000_003 + count * 7919) % 100_000;
                        let mut tree = txn.tree("entries").expect("the tree");
                        tree.insert(key.to_be_bytes(), [count as u8; 100]).expect("an insert");
                        txn.commit().expect("a commit");
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker")).collect()
    });
    counts.iter().sum::<u64>() as f64 / started.elapsed().as_secs_f64()
}

fn raw_file(dir: &Path) -> File {
    let file =
        File::options().read(true).write(true).create(true).truncate(true).open(dir.join("raw")).expect("a file");
    file.write_all_at(&vec![0; 32 << 20], 0).expect("room on the disk");
    file.sync_all().expect("a sync");
    file
}

fn main() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = Database::open(dir.path().join("store.pent")).expect("a store");
    let mut txn = db.begin_write().expect("the turn");
    let entries = (0..100_000u64).map(|key| (key.to_be_bytes(), [0; 100]));
    txn.tree("entries").expect("the tree").bulk_load(entries).expect("a load");
    txn.commit().expect("a commit");
    let file = raw_file(dir.path());

    let mut samples = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        samples[0].push(raw(&file));
        for (slot, threads) in [(1, 1), (2, 4), (3, 16)] {
            samples[slot].push(commits(&db, threads));
        }
    }
    // Ratios are taken within a round, as the machine drifts between rounds.
    let ratio = |over: usize, under: usize| {
        median(samples[over].iter().zip(&samples[under]).map(|(over, under)| over / under).collect())
    };
    println!("{:<34} {:>10} {:>12}", "", "per second", "us each");
    let names =
        ["raw write of 256 bytes + fdatasync", "commits, 1 thread", "commits, 4 threads", "commits, 16 threads"];
    for (name, samples) in names.iter().zip(&samples) {
        let rate = median(samples.clone());
        println!("{name:<34} {rate:>10.0} {:>12.1}", 1e6 / rate);
    }
    println!("one thread's commit costs {:.2} times the raw write (goal: at most 1.25)", ratio(0, 1));
    println!("4 threads make {:.1} times the commits of one", ratio(2, 1));
    println!("16 threads make {:.1} times the commits of one (goal: at least 6)", ratio(3, 1));
    let stats = db.journal_stats();
    println!("{:.1} commits shared a sync on average", stats.records as f64 / stats.syncs.max(1) as f64);
}
