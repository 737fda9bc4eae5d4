//! What a search and an insert in one node cost, by the length of the keys: `cargo bench -p pentimento-btree`.
//!
//! Nodes are no part of the public face, so each tree here is a single leaf, as full as it gets without splitting, in a plain pager in memory. Keys are random, but for a
//! series whose keys share all but their last 8 bytes, as keys made of a name and a number do.

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use pentimento_btree::memory::MemoryPages;
use pentimento_btree::{Tree, TreeMut, create};
use pentimento_storage::PageId;
use std::hint::black_box;

const CAPACITY: usize = 8192;
const VALUE: [u8; 16] = [7; 16];
/// What an entry takes besides its key's and value's bytes, at most.
const OVERHEAD: usize = 16;

/// Numbers that look random and are the same in each run: xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn key(&mut self, len: usize, shared: usize) -> Vec<u8> {
        (0..len).map(|at| if at < shared { b'k' } else { self.next() as u8 }).collect()
    }
}

/// A leaf three quarters full, its keys, and keys that are not in it.
struct Leaf {
    pages: MemoryPages,
    root: PageId,
    keys: Vec<Vec<u8>>,
    others: Vec<Vec<u8>>,
}

impl Leaf {
    fn new(len: usize, shared: usize) -> Leaf {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let mut pages = MemoryPages::new(CAPACITY);
        let root = create(&mut pages).expect("a page");
        let count = CAPACITY * 3 / 4 / (len + VALUE.len() + OVERHEAD);
        let keys: Vec<_> = (0..count).map(|_| random.key(len, shared)).collect();
        let others = (0..64).map(|_| random.key(len, shared)).collect();
        let mut tree = TreeMut::new(&mut pages, root);
        for key in &keys {
            tree.insert(key, &VALUE).expect("an insert");
        }
        assert_eq!(pages.live(), 1, "the tree must be one leaf");
        Leaf { pages, root, keys, others }
    }
}

/// Lengths of keys, and how much of them is shared.
const SERIES: [(&str, usize, usize); 6] = [
    ("8 bytes", 8, 0),
    ("24 bytes", 24, 0),
    ("64 bytes", 64, 0),
    ("256 bytes", 256, 0),
    ("24 bytes, 16 shared", 24, 16),
    ("64 bytes, 56 shared", 64, 56),
];

fn search(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("node search");
    for (name, len, shared) in SERIES {
        let leaf = Leaf::new(len, shared);
        let tree = Tree::new(&leaf.pages, leaf.root);
        let mut at = 0;
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                at = (at + 1) % leaf.keys.len();
                let value = tree.get(black_box(&leaf.keys[at])).expect("a look");
                assert!(value.is_some());
                value
            });
        });
    }
}

fn insert(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("node insert");
    for (name, len, shared) in SERIES {
        let leaf = Leaf::new(len, shared);
        let mut at = 0;
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            // A copy of the leaf for each insert, made outside the measurement.
            bencher.iter_batched_ref(
                || leaf.pages.clone(),
                |pages| {
                    at = (at + 1) % leaf.others.len();
                    let is_new = TreeMut::new(pages, leaf.root).insert(&leaf.others[at], &VALUE).expect("an insert");
                    assert!(is_new);
                },
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, search, insert);
criterion_main!(benches);
