//! Thin neighbours are written anew as full nodes: nothing is lost, and it ends as compact as a sorted load.

mod common;

use common::{Model, Random, Store};
use pentimento_btree::{Condensed, Keeper, find_thin};
use pentimento_storage::PageId;
use std::collections::BTreeSet;

const CAPACITY: usize = 4072;

/// Nodes take pieces of 1 KiB, and some pages are kept whatever is done.
#[derive(Default)]
struct Pieces {
    kept: BTreeSet<PageId>,
}

impl Keeper for Pieces {
    fn room(&self, len: usize) -> u64 {
        (len + 24).div_ceil(1024) as u64
    }

    fn winnable(&self, page: PageId, len: usize) -> u64 {
        if self.kept.contains(&page) { 0 } else { self.room(len) }
    }
}

/// Walks over the whole tree, level by level, and gives the number of nodes that were written anew.
fn condense_all(store: &mut Store, keeper: &Pieces) -> usize {
    let mut written = 0;
    for level in 0.. {
        let mut next = Some(Vec::new());
        while let Some(from) = next {
            let Some(look) = find_thin(&store.pages, store.root, level, &from, keeper, CAPACITY, 100).unwrap() else {
                return written;
            };
            next = match look.found {
                Some(found) => {
                    let done = store.tree_mut().condense(level, &found, keeper).unwrap();
                    written += done.after;
                    assert!(done.after <= done.before);
                    // Each step goes on, or leaves fewer nodes.
                    assert!(done.next.as_ref().is_none_or(|next| *next > found || done.after < done.before));
                    done.next
                }
                None => look.next,
            };
        }
    }
    written
}

fn room_of_leaves(store: &Store) -> u64 {
    use pentimento_btree::{PageSummary, ReadPages, summarize_page};
    let pages = store.check(CAPACITY).pages;
    let bodies = pages.iter().map(|page| store.pages.page(*page).unwrap());
    let leaves = bodies.filter(|body| matches!(summarize_page(body), PageSummary::Node { level: 0, .. }));
    leaves.map(|body| Pieces::default().room(body.len())).sum()
}

/// Keys with prefixes of several lengths, values of several sizes, some of them large.
fn filled(seed: u64, count: usize) -> (Store, Model) {
    let (mut store, mut model, mut random) = (Store::new(CAPACITY), Model::new(), Random(seed));
    for _ in 0..count {
        let number = random.below(1_000_000);
        let key = match random.below(3) {
            0 => format!("{number:07}"),
            1 => format!("a common prefix of some length {number:07}"),
            _ => format!("z{}", "y".repeat(random.below(20))) + &number.to_string(),
        };
        let len = match random.below(200) {
            0 => 1500 + random.below(3000),
            1..20 => random.below(900),
            _ => random.below(60),
        };
        let value = vec![random.next() as u8; len];
        store.tree_mut().insert(key.as_bytes(), &value).unwrap();
        model.insert(key.into_bytes(), value);
    }
    (store, model)
}

fn loaded(model: &Model) -> Store {
    let mut store = Store::new(CAPACITY);
    store.tree_mut().bulk_load(model).unwrap();
    store
}

#[test]
fn what_is_left_of_a_tree_becomes_as_compact_as_a_sorted_load() {
    for seed in 0..12 {
        let (mut store, mut model) = filled(seed, 8_000);
        let mut random = Random(seed + 1000);
        let one_in = [10, 3, 2, 40][seed as usize % 4];
        let keys: Vec<Vec<u8>> = model.keys().cloned().collect();
        for (number, key) in keys.iter().enumerate() {
            let stays = if seed % 2 == 0 { random.below(one_in) == 0 } else { number % one_in == 0 };
            if !stays {
                store.tree_mut().remove(key).unwrap();
                model.remove(key);
            }
        }
        let before = room_of_leaves(&store);
        assert!(condense_all(&mut store, &Pieces::default()) > 0, "seed {seed}: there is something to do");
        store.compare(&model);
        let (after, fresh) = (room_of_leaves(&store), room_of_leaves(&loaded(&model)));
        println!("seed {seed}: {before} became {after}, a sorted load has {fresh}");
        assert!(after * 100 <= fresh * 110, "seed {seed}: {before} became {after}, a sorted load has {fresh}");
        assert_eq!(condense_all(&mut store, &Pieces::default()), 0, "seed {seed}: once is enough");
    }
}

#[test]
fn a_sorted_load_is_left_alone() {
    let (_, model) = filled(77, 5_000);
    let mut store = loaded(&model);
    assert_eq!(condense_all(&mut store, &Pieces::default()), 0);
}

#[test]
fn nodes_that_somebody_keeps_are_left_alone() {
    let (mut store, model) = filled(5, 5_000);
    for key in model.keys().step_by(2) {
        store.tree_mut().remove(key).unwrap();
    }
    let kept = Pieces { kept: store.pages.ids().collect() };
    assert_eq!(condense_all(&mut store, &kept), 0);
}

#[test]
fn what_is_not_there_is_not_condensed() {
    let mut store = Store::new(CAPACITY);
    let keeper = Pieces::default();
    assert_eq!(find_thin(&store.pages, store.root, 0, b"", &keeper, CAPACITY, 10).unwrap(), None);
    assert_eq!(store.tree_mut().condense(0, b"key", &keeper).unwrap(), Condensed::default());
    let (mut store, model) = filled(9, 3_000);
    assert_eq!(find_thin(&store.pages, store.root, 200, b"", &keeper, CAPACITY, 10).unwrap(), None);
    for from in [&b""[..], b"\xff\xff", b"a common prefix of some length 05"] {
        store.tree_mut().condense(0, from, &keeper).unwrap();
        store.compare(&model);
    }
}
