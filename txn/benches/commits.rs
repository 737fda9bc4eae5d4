//! Snapshots and single commits, and the journal's share of a commit: `cargo bench -p pentimento-txn`.
//!
//! The journal is no part of the public face. Appending a record to it is measured as a commit without sync on a store in a file, beside the same commit on a store
//! in memory, which has no journal: the difference is the append, with making room and noting the commit. Values of some lengths show what a byte costs.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use pentimento_txn::{Database, Durability};
use std::hint::black_box;

const TREE: &str = "entries";
const KEYS: u64 = 10_000;

fn key(number: u64) -> [u8; 8] {
    (number.wrapping_mul(7919) % KEYS).to_be_bytes()
}

fn load(db: &Database, value: &[u8]) {
    let mut txn = db.begin_write().expect("the turn");
    txn.tree(TREE).expect("the tree").bulk_load((0..KEYS).map(|key| (key.to_be_bytes(), value))).expect("a load");
    txn.commit().expect("a commit");
}

fn commit(db: &Database, key: [u8; 8], value: &[u8]) {
    let mut txn = db.begin_write().expect("the turn");
    txn.set_durability(Durability::None).expect("a durability");
    txn.tree(TREE).expect("the tree").insert(key, value).expect("an insert");
    txn.commit().expect("a commit");
}

fn snapshot(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot");
    let db = Database::in_memory().expect("a store");
    load(&db, &[7; 100]);
    group.bench_function("taken and dropped", |bencher| {
        bencher.iter(|| black_box(db.snapshot().expect("a snapshot")).timestamp());
    });
    group.bench_function("with its tree opened", |bencher| {
        bencher.iter(|| {
            let snapshot = db.snapshot().expect("a snapshot");
            snapshot.tree(TREE).expect("the tree").len().expect("a length")
        });
    });
}

fn journal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit without sync");
    let dir = tempfile::tempdir().expect("a folder");
    for len in [16, 150, 1024] {
        let value = vec![7; len];
        let in_file = Database::open(dir.path().join(format!("{len}.pent"))).expect("a store");
        let in_memory = Database::in_memory().expect("a store");
        for (medium, db) in [("memory, no journal", &in_memory), ("file, with journal", &in_file)] {
            load(db, &value);
            let mut number = 0;
            group.bench_function(BenchmarkId::new(medium, format!("{len} bytes")), |bencher| {
                bencher.iter(|| {
                    number += 1;
                    commit(db, key(number), &value);
                });
            });
        }
        assert!(in_file.journal_stats().records > 0, "the store in a file must have a journal");
        assert_eq!(in_memory.journal_stats().records, 0, "the store in memory must have none");
    }
}

criterion_group!(benches, snapshot, journal);
criterion_main!(benches);
