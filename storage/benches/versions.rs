//! The parts of reading and reclaiming: `cargo bench -p pentimento-storage`.
//!
//! *Resolve*: a random page of 10,000 at a pin whose versions are the newest; and at one where each page has 1, 4 or 16 newer versions, all of them pinned. *Pin*: a registration as a reader, taken and
//! dropped, alone and beside others. *Checksum*: the function that is computed over each version written, and over each that is met for the first time after opening; by length.
//! *Reclaim*: giving back 1,000 versions that one pin held, from its drop on.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pentimento_storage::{Options, PageId, Patience, Pin, Store};
use std::hint::black_box;
use std::sync::Arc;

const BODY: usize = 4096;

fn store() -> Arc<Store> {
    Store::in_memory(Options::default()).expect("a store")
}

/// Makes `count` pages in one commit.
fn create(store: &Arc<Store>, count: usize) -> Vec<PageId> {
    let mut txn = store.begin(Patience::Forever).expect("a store").expect("the turn");
    let ids: Vec<_> = (0..count).map(|_| txn.allocate(PageId::NONE, BODY).expect("a page")).collect();
    for id in &ids {
        *txn.page_mut(*id, BODY).expect("a page").len = BODY;
    }
    let _ = txn.install(false);
    ids
}

/// Changes all of the pages in one commit.
fn overwrite(store: &Arc<Store>, ids: &[PageId]) {
    let mut txn = store.begin(Patience::Forever).expect("a store").expect("the turn");
    for id in ids {
        txn.page_mut(*id, BODY).expect("a page").body[0] += 1;
    }
    let _ = txn.install(false);
}

/// The pages in an order that no prefetcher guesses.
fn scattered(ids: &[PageId]) -> Vec<PageId> {
    (0..ids.len()).map(|at| ids[at.wrapping_mul(7919) % ids.len()]).collect()
}

fn resolve(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resolve");
    for newer in [0, 1, 4, 16] {
        let store = store();
        let ids = create(&store, 10_000);
        let old = store.pin();
        let pins: Vec<Pin> = (0..newer)
            .map(|_| {
                overwrite(&store, &ids);
                store.pin()
            })
            .collect();
        let order = scattered(&ids);
        let mut at = 0;
        let name = if newer == 0 { "the newest version".to_owned() } else { format!("{newer} newer versions") };
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                at = (at + 1) % order.len();
                let body = old.page(order[at]).expect("a page");
                assert_eq!(body[0], 0, "the pin sees its own version");
            });
        });
        drop(pins);
    }
}

fn pin(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pin, taken and dropped");
    let store = store();
    create(&store, 1);
    for others in [0, 1, 100] {
        let held: Vec<Pin> = (0..others).map(|_| store.pin()).collect();
        group.bench_function(BenchmarkId::from_parameter(format!("beside {others} others")), |bencher| {
            bencher.iter(|| black_box(store.pin()).at());
        });
        drop(held);
    }
}

fn checksum(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checksum");
    for len in [256, 2048, 8192] {
        let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{len} bytes")), |bencher| {
            bencher.iter(|| crc32fast::hash(black_box(&bytes)));
        });
    }
}

fn reclaim(criterion: &mut Criterion) {
    const VERSIONS: usize = 1_000;
    let mut group = criterion.benchmark_group("reclaim");
    group.throughput(Throughput::Elements(VERSIONS as u64));
    for others in [0, 100] {
        group.bench_function(BenchmarkId::from_parameter(format!("1,000 versions, {others} other pins")), |bencher| {
            let store = store();
            let ids = create(&store, VERSIONS);
            bencher.iter_batched(
                || {
                    let pin = store.pin();
                    overwrite(&store, &ids);
                    // Younger ones, which need none of it.
                    (pin, (0..others).map(|_| store.pin()).collect::<Vec<_>>())
                },
                |(pin, others)| {
                    drop(pin);
                    let progress = store.maintain();
                    assert!(progress.freed >= VERSIONS as u64 && progress.waiting == 0, "{progress:?}");
                    others
                },
                BatchSize::PerIteration,
            );
        });
    }
}

criterion_group!(benches, resolve, pin, checksum, reclaim);
criterion_main!(benches);
