//! How long opening takes: `cargo bench --bench recovery`.
//!
//! After a crash with a full journal of 64 MiB (goal: at most 2 s), and after a clean close of a store of 1 GiB (goal: at most 50 ms). A crash is a
//! copy of the files while the store is open. `PENTIMENTO_GIB` sets the size of the large store.

use pentimento::{Database, Durability};
use std::path::Path;
use std::time::{Duration, Instant};

fn crash(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
        }
    }
}

fn after_a_crash(dir: &Path) {
    let live = dir.join("live");
    std::fs::create_dir(&live).expect("a folder");
    // A longer segment, so that no checkpoint is due before 64 MiB are written.
    let db = Database::builder()
        .journal_segment(80 << 20)
        .checkpoint_interval(Duration::from_secs(3600))
        .memory_limits(1 << 30, 2 << 30)
        .open(live.join("store.pent"))
        .expect("a store");
    let mut number = 0u64;
    while db.journal_stats().bytes < 64 << 20 {
        let mut txn = db.begin_write().expect("the turn");
        txn.set_durability(Durability::None).expect("a durability");
        let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 500_000;
        let mut tree = txn.tree("entries").expect("the tree");
        tree.insert(key.to_be_bytes(), [number as u8; 150]).expect("an insert");
        txn.commit().expect("a commit");
        number += 1;
    }
    db.flush().expect("a sync");
    let crashed = dir.join("crashed");
    crash(&live, &crashed);
    let started = Instant::now();
    let again = Database::open(crashed.join("store.pent")).expect("recovery");
    let took = started.elapsed().as_secs_f64();
    assert_eq!(again.timestamp(), db.timestamp());
    println!("recovery of a full journal of 64 MiB ({number} commits): {took:.2} s (goal: at most 2 s)");
}

fn after_a_clean_close(dir: &Path) {
    let gib: f64 = std::env::var("PENTIMENTO_GIB").ok().and_then(|gib| gib.parse().ok()).unwrap_or(1.0);
    let path = dir.join("large.pent");
    let db = Database::open(&path).expect("a store");
    let mut key = 0u64;
    while (db.stats().file_bytes as f64) < gib * f64::from(1 << 30) {
        let mut txn = db.begin_write().expect("the turn");
        let entries = (key..key + 200_000).map(|key| (key.to_be_bytes(), [key as u8; 200]));
        txn.tree("entries").expect("the tree").bulk_load(entries).expect("a load");
        key += 200_000;
        txn.commit().expect("a commit");
    }
    db.close().expect("a clean close");
    let mut times: Vec<Duration> = (0..9)
        .map(|_| {
            let started = Instant::now();
            let db = Database::open(&path).expect("a store");
            let took = started.elapsed();
            drop(db);
            took
        })
        .collect();
    times.sort();
    let size = std::fs::metadata(&path).expect("a file").len() as f64 / f64::from(1 << 30);
    let ms = times[4].as_secs_f64() * 1e3;
    println!("opening a clean store of {size:.2} GiB ({key} entries): {ms:.1} ms, median of 9 (goal: at most 50 ms)");
}

fn main() {
    let dir = tempfile::tempdir().expect("a folder");
    after_a_crash(dir.path());
    after_a_clean_close(dir.path());
}
