//! Arguments at their limits and beyond, and pagers that give out.

mod common;

use common::{Model, Random, Store};
use pentimento_btree::memory::MemoryError;
use pentimento_btree::{Fault, MAX_KEY_LEN, MAX_VALUE_LEN, TreeMut, dismantle};
use pentimento_storage::PageId;
use std::ops::Bound;

#[test]
fn too_long_changes_nothing() {
    let mut store = Store::new(4096);
    store.tree_mut().insert(b"k", b"v").unwrap();
    store.pages.begin();
    let long = vec![0; MAX_KEY_LEN + 1];
    let huge = vec![0; MAX_VALUE_LEN + 1];
    let refused = |error| matches!(error, MemoryError::Fault(Fault::KeyTooLong { .. } | Fault::ValueTooLong { .. }));
    assert!(refused(store.tree_mut().insert(&long, b"").unwrap_err()));
    assert!(refused(store.tree_mut().replace(&long, b"").unwrap_err()));
    assert!(refused(store.tree_mut().reserve(&long, 1).unwrap_err()));
    assert!(refused(store.tree_mut().insert(b"k", &huge).unwrap_err()));
    assert!(refused(store.tree_mut().replace(b"k", &huge).unwrap_err()));
    assert!(refused(store.tree_mut().reserve(b"k", huge.len()).unwrap_err()));
    assert_eq!(store.pages.copies(), 0);
    // A key that cannot be there is simply not found.
    assert_eq!(store.tree().get(&long).unwrap(), None);
    assert!(!store.tree_mut().remove(&long).unwrap());
    assert_eq!(store.tree().range(long.as_slice()..).unwrap().count(), 1);
    store.check(4096);
}

#[test]
fn a_bulk_load_that_is_refused_leaves_a_sound_tree() {
    for count in [1, 20, 2000] {
        let mut store = Store::new(4096);
        let good = (0..count).map(|n: u32| (n.to_be_bytes().to_vec(), vec![1; 50]));
        let bad = (vec![0xFF; MAX_KEY_LEN + 1], vec![]);
        let result = store.tree_mut().bulk_load(good.chain([bad]));
        assert!(matches!(result, Err(MemoryError::Fault(Fault::KeyTooLong { .. }))));
        store.check(4096);
    }
}

#[test]
fn the_longest_keys_in_the_smallest_nodes() {
    let mut store = Store::new(4096);
    let mut model = Model::new();
    let mut random = Random(3);
    for _ in 0..300 {
        let mut key = vec![b'k'; MAX_KEY_LEN - random.below(3)];
        let at = random.below(key.len());
        key[at] = random.below(256) as u8;
        let value = vec![7; random.below(1500)];
        store.tree_mut().insert(&key, &value).unwrap();
        model.insert(key, value);
    }
    store.check(4096);
    store.compare(&model);
    for key in model.keys() {
        assert!(store.tree_mut().remove(key).unwrap());
    }
    assert_eq!((store.check(4096).entries, store.pages.live()), (0, 1));
}

#[test]
fn values_beyond_a_quarter_of_a_node_have_their_own_page() {
    for capacity in [4096, 8160, 65_535] {
        let mut store = Store::new(capacity);
        for (key, len) in [(b"a", capacity / 4), (b"b", capacity / 4 + 1)] {
            store.tree_mut().insert(key, &vec![1; len]).unwrap();
        }
        let page = |key| store.tree().locate(key).unwrap().unwrap().page;
        assert_eq!(page(b"a"), store.root);
        assert_ne!(page(b"b"), store.root);
        assert_eq!(store.check(capacity).large_values, 1);
    }
}

#[test]
fn empty_and_backward_ranges() {
    let mut store = Store::new(4096);
    assert_eq!(store.tree().iter().unwrap().count(), 0);
    assert!(store.tree().first().unwrap().is_none() && store.tree().last().unwrap().is_none());
    assert_eq!(store.tree_mut().pop_first().unwrap(), None);
    store.tree().prefetch(b"any").unwrap();
    store.tree_mut().bulk_load((0..1000u32).map(|n| (n.to_be_bytes(), b"v"))).unwrap();
    let (low, high) = (100u32.to_be_bytes(), 200u32.to_be_bytes());
    assert_eq!(store.tree().range(low..high).unwrap().count(), 100);
    assert_eq!(store.tree().range(low..=high).unwrap().count(), 101);
    assert_eq!(store.tree().range(high..low).unwrap().count(), 0);
    assert_eq!(store.tree().range(high..=low).unwrap().rev().count(), 0);
    assert_eq!(store.tree().range((Bound::Excluded(low), Bound::Excluded(low))).unwrap().count(), 0);
    assert_eq!(store.tree().range((Bound::Excluded(low), Bound::Excluded(high))).unwrap().count(), 99);
    assert_eq!(store.tree().range(..=low.as_slice()).unwrap().count(), 101);
    assert_eq!(store.tree().prefix(b"").unwrap().count(), 1000);
    assert_eq!(store.tree().prefix(&[0, 0, 1]).unwrap().count(), 256);
    assert_eq!(store.tree().prefix(&[0xFF, 0xFF]).unwrap().count(), 0);
}

#[test]
fn a_pager_that_gives_out_is_an_error() {
    for max in 1..40 {
        let mut store = Store::new(4096);
        store.pages.limit(max);
        let mut random = Random(max as u64);
        let mut full = false;
        for n in 0..3000u32 {
            let key = (random.next() as u32).to_be_bytes();
            let value = vec![1; if n % 50 == 0 { 3000 } else { 100 }];
            if let Err(error) = store.tree_mut().insert(&key, &value) {
                full |= error == MemoryError::Full;
                break;
            }
        }
        assert!(full);
        let mut store = Store::new(4096);
        store.pages.limit(max);
        let load = store.tree_mut().bulk_load((0..3000u32).map(|n| (n.to_be_bytes(), [1; 100])));
        assert_eq!(load, Err(MemoryError::Full));
    }
}

#[test]
fn dismantling_ends_and_stays_sound() {
    for budget in [1, 2, 7, 1000] {
        let mut store = Store::new(4096);
        let value = |n: u32| vec![1; if n.is_multiple_of(5) { 2000 } else { 40 }];
        store.tree_mut().bulk_load((0..3000u32).map(|n| (n.to_be_bytes(), value(n)))).unwrap();
        let mut before = store.pages.live();
        assert!(!dismantle(&mut store.pages, store.root, 0).unwrap());
        assert_eq!(store.pages.live(), before);
        while !dismantle(&mut store.pages, store.root, budget).unwrap() {
            let now = store.pages.live();
            assert!(now < before && before - now <= budget + 3, "{before} -> {now} with {budget}");
            before = now;
            let census = pentimento_btree::check(&store.pages, store.root, &mut |finding| panic!("{finding}"));
            assert_eq!(census.pages.len(), now);
        }
        assert_eq!(store.pages.live(), 0);
    }
}

#[test]
fn a_page_that_is_not_there_is_an_error() {
    let mut store = Store::new(4096);
    let gone = PageId(77);
    assert_eq!(TreeMut::new(&mut store.pages, gone).insert(b"", b""), Err(MemoryError::NoSuchPage(gone)));
}
