//! How much a tree takes, and how much a change touches.

mod common;

use common::{Random, Store};
use pentimento_btree::{PageSummary, ReadPages, ValueLocation, summarize_page};

const CAPACITY: usize = 8160;

fn key(n: usize) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(format!("{n:016}").as_bytes());
    key
}

/// A number whose order has nothing to do with that of `n`.
fn scattered(n: usize) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&Random(n as u64).next().to_be_bytes());
    key
}

fn leaf_fill(store: &Store) -> f64 {
    let census = store.check(CAPACITY);
    census.leaf_bytes as f64 / (census.leaves * CAPACITY) as f64
}

#[test]
fn ascending_inserts_fill_leaves() {
    let mut store = Store::new(CAPACITY);
    for n in 0..20_000 {
        store.tree_mut().insert(&key(n), &[1; 150]).unwrap();
    }
    assert!(leaf_fill(&store) > 0.95, "{}", leaf_fill(&store));
}

#[test]
fn descending_inserts_fill_leaves() {
    let mut store = Store::new(CAPACITY);
    for n in (0..20_000).rev() {
        store.tree_mut().insert(&key(n), &[1; 150]).unwrap();
    }
    assert!(leaf_fill(&store) > 0.9, "{}", leaf_fill(&store));
}

#[test]
fn random_inserts_leave_two_thirds() {
    let mut store = Store::new(CAPACITY);
    for n in 0..20_000 {
        store.tree_mut().insert(&scattered(n), &[1; 150]).unwrap();
    }
    assert!(leaf_fill(&store) > 0.63, "{}", leaf_fill(&store));
}

#[test]
fn bulk_loads_fill_leaves_wherever_there_is_a_gap() {
    let mut store = Store::new(CAPACITY);
    let entries = |range: std::ops::Range<usize>| range.map(|n| (key(n), [1; 150]));
    assert_eq!(store.tree_mut().bulk_load(entries(0..10_000)).unwrap(), 10_000);
    assert!(leaf_fill(&store) > 0.98);
    assert_eq!(store.tree_mut().bulk_load(entries(20_000..30_000)).unwrap(), 10_000);
    assert!(leaf_fill(&store) > 0.98);
    assert_eq!(store.tree_mut().bulk_load(entries(10_000..20_000)).unwrap(), 10_000);
    assert!(leaf_fill(&store) > 0.98);
    let again = store.tree_mut().bulk_load(entries(25_000..35_000).rev()).unwrap();
    assert_eq!(again, 5_000);
    assert!(leaf_fill(&store) > 0.95);
    assert_eq!(store.check(CAPACITY).entries, 35_000);
}

/// Whatever the order, a tree that has lost 99 of 100 entries has given their pages back.
#[test]
fn removals_give_pages_back() {
    type Order = fn(usize) -> usize;
    let orders: [(&str, Order); 4] = [
        ("ascending", |n| n),
        ("descending", |n| 19_999 - n),
        ("scattered", |n| n * 7919 % 20_000),
        ("from the middle", |n| if n % 2 == 0 { 10_000 + n / 2 } else { 9_999 - n / 2 }),
    ];
    for capacity in [4096, CAPACITY, 65_504] {
        for (name, order) in orders {
            let mut store = Store::new(capacity);
            for n in 0..20_000 {
                store.tree_mut().insert(&scattered(n), &[1; 150]).unwrap();
            }
            let mut all: Vec<_> = (0..20_000).map(scattered).collect();
            all.sort_unstable();
            for n in (0..20_000).map(order).filter(|n| n % 100 != 0) {
                assert!(store.tree_mut().remove(&all[n]).unwrap());
            }
            let census = store.check(capacity);
            assert_eq!(census.entries, 200);
            let mut fresh = Store::new(capacity);
            let left: Vec<_> = store.tree().iter().unwrap().map(|e| e.unwrap().0.into_vec()).collect();
            fresh.tree_mut().bulk_load(left.iter().map(|k| (k, [1; 150]))).unwrap();
            let (now, ideal) = (store.pages.live(), fresh.pages.live());
            assert!(now <= 3 * ideal + 1, "{name}: {now} pages instead of {ideal}");
            for key in &left {
                assert!(store.tree_mut().remove(key).unwrap());
            }
            assert_eq!((store.check(capacity).entries, store.pages.live()), (0, 1));
        }
    }
}

#[test]
fn shrinking_values_leaves_no_heaps_of_garbage() {
    let mut store = Store::new(CAPACITY);
    for len in [1500, 300, 20, 0] {
        for n in 0..5_000 {
            store.tree_mut().insert(&scattered(n), &vec![1; len]).unwrap();
        }
    }
    let census = store.check(CAPACITY);
    assert!(census.leaves < 100, "{} leaves", census.leaves);
}

/// Heads tell keys apart only behind what all keys of the node share.
#[test]
fn what_keys_share_is_soon_kept_once() {
    let mut store = Store::new(CAPACITY);
    for n in 0..20 {
        store.tree_mut().insert(format!("shared by all/{n:04}").as_bytes(), b"v").unwrap();
    }
    match summarize_page(store.pages.page(store.root).unwrap()) {
        PageSummary::Node { prefix, .. } => assert_eq!(prefix, b"shared by all/00"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_change_that_fits_touches_one_page() {
    let mut store = Store::new(CAPACITY);
    for n in 0..20_000 {
        store.tree_mut().insert(&scattered(n), &[1; 150]).unwrap();
    }
    assert_eq!(store.check(CAPACITY).depth, 3);
    for n in 0..500 {
        store.pages.begin();
        assert!(!store.tree_mut().insert(&scattered(n), &[2; 150]).unwrap());
        assert_eq!(store.pages.copies(), 1);
    }
    let mut copies = 0;
    for n in 20_000..20_500 {
        store.pages.begin();
        assert!(store.tree_mut().insert(&scattered(n), &[2; 150]).unwrap());
        copies += store.pages.copies();
    }
    assert!(copies < 600, "{copies} copies for 500 inserts");
    store.pages.begin();
    assert!(!store.tree_mut().remove(b"not there").unwrap());
    assert_eq!(store.tree_mut().take(b"nor this").unwrap(), None);
    assert_eq!(store.tree_mut().remove_range(b"x".as_slice()..b"a".as_slice()).unwrap(), 0);
    assert_eq!(store.tree_mut().remove_range(b"zzzz1".as_slice()..b"zzzz2".as_slice()).unwrap(), 0);
    assert_eq!(store.pages.copies(), 0, "what changes nothing copies nothing");
}

#[test]
fn a_value_of_the_same_size_is_replaced_in_place() {
    let mut store = Store::new(CAPACITY);
    for n in 0..1_000 {
        store.tree_mut().insert(&scattered(n), &[1; 150]).unwrap();
    }
    store.tree_mut().insert(b"large", &[1; 100_000]).unwrap();
    let locate = |store: &Store, key: &[u8]| -> ValueLocation { store.tree().locate(key).unwrap().unwrap() };
    // A large value's leaf gets a version of its own as well, which tells that one of its values has changed.
    for (key, copies) in [(scattered(5).to_vec(), 1), (b"large".to_vec(), 2)] {
        store.pages.begin();
        let len = locate(&store, &key).len();
        store.tree_mut().insert(&key, &vec![8; len]).unwrap();
        let before = locate(&store, &key);
        store.pages.begin();
        store.tree_mut().insert(&key, &vec![9; before.len()]).unwrap();
        assert_eq!(locate(&store, &key), before);
        assert_eq!(store.pages.copies(), copies);
        assert_eq!(store.pages.page(before.page).unwrap()[before.end - 1], 9);
    }
}

#[test]
fn large_ranges_go_at_once() {
    let mut store = Store::new(4096);
    let mut entries: Vec<_> =
        (0..20_000).map(|n| (scattered(n), vec![1; if n % 97 == 0 { 5000 } else { 50 }])).collect();
    store.tree_mut().bulk_load(entries.iter().map(|(key, value)| (key, value))).unwrap();
    entries.sort();
    store.pages.begin();
    let gone = store.tree_mut().remove_range(entries[100].0..entries[19_900].0).unwrap();
    assert_eq!(gone, 19_800);
    assert!(store.pages.copies() < 20, "{} copies", store.pages.copies());
    let census = store.check(4096);
    assert_eq!(census.entries, 200);
    assert!(store.pages.live() < 30, "{} pages", store.pages.live());
    assert_eq!(store.tree_mut().clear().unwrap(), 200);
    assert_eq!(store.pages.live(), 1);
}
