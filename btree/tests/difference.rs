//! Comparing two states of a tree by their leaves that changed gives what comparing all entries gives.
//!
//! Strategy: a tree of several levels with small and large values is changed at random, by a pager that notes which pages get a new version; then the walk over the
//! changed leaves, and the one over both whole trees, are compared with two models. And bodies are damaged, on either side.
//!
//! Invariants: the same differences in the same order; no look at a leaf that is the same; damage gives a fault or other data, no panic and no endless loop.

mod common;

use std::collections::BTreeSet;
use std::ops::Bound;

use common::{Model, Random};
use pentimento_btree::memory::{MemoryError, MemoryPages};
use pentimento_btree::{
    Difference, Differing, Leaves, PageMut, ReadPages, Side, TreeMut, ValueLocation, Views, WritePages, create,
    leaf_of_delta,
};
use pentimento_storage::PageId;

const CAPACITY: usize = 512;

/// Notes which pages get a new version.
struct Noting {
    pages: MemoryPages,
    changed: BTreeSet<PageId>,
}

impl ReadPages for Noting {
    type Error = MemoryError;

    fn page(&self, id: PageId) -> Result<&[u8], MemoryError> {
        self.pages.page(id)
    }

    fn beside(&self, id: PageId) -> Result<Option<&[u8]>, MemoryError> {
        self.pages.beside(id)
    }
}

impl WritePages for Noting {
    fn node_capacity(&self) -> usize {
        self.pages.node_capacity()
    }

    fn page_mut(&mut self, id: PageId, capacity: usize) -> Result<PageMut<'_>, MemoryError> {
        self.changed.insert(id);
        self.pages.page_mut(id, capacity)
    }

    fn allocate(&mut self, owner: PageId, capacity: usize) -> Result<PageId, MemoryError> {
        let id = self.pages.allocate(owner, capacity)?;
        self.changed.insert(id);
        Ok(id)
    }

    fn allocate_beside(&mut self, id: PageId, owner: PageId, capacity: usize) -> Result<Option<PageId>, MemoryError> {
        let id = self.pages.allocate_beside(id, owner, capacity)?;
        self.changed.extend(id);
        Ok(id)
    }

    fn free(&mut self, id: PageId) -> Result<(), MemoryError> {
        self.changed.insert(id);
        self.pages.free(id)
    }
}

fn key(number: usize) -> Vec<u8> {
    format!("{}{number:05}", if number.is_multiple_of(2) { "even, and long enough to be cut short/" } else { "" })
        .into_bytes()
}

fn value(random: &mut Random) -> Vec<u8> {
    // Few lengths, so that large values are often replaced by others of the same length.
    let len = [0, 3, 20, 100, 300, 300, 2000][random.below(7)];
    vec![random.next() as u8; len]
}

struct States {
    older: MemoryPages,
    newer: MemoryPages,
    changed: BTreeSet<PageId>,
    root: PageId,
    before: Model,
    after: Model,
}

fn states(seed: u64) -> States {
    let mut random = Random(seed);
    let capacity = if seed.is_multiple_of(2) { CAPACITY } else { 8 * CAPACITY };
    let mut pages = Noting { pages: MemoryPages::new(capacity), changed: BTreeSet::new() };
    let root = create(&mut pages).unwrap();
    let mut model = Model::new();
    for _ in 0..random.below(1500) {
        let (key, value) = (key(random.below(2000)), value(&mut random));
        TreeMut::new(&mut pages, root).insert(&key, &value).unwrap();
        model.insert(key, value);
    }
    let (older, before) = (pages.pages.clone(), model.clone());
    pages.changed.clear();
    pages.pages.begin();
    for _ in 0..[0, 1, 10, 100, 1000][random.below(5)] {
        if random.below(4) == 0 {
            pages.pages.begin();
        }
        let mut tree = TreeMut::new(&mut pages, root);
        let key = key(random.below(2000));
        match random.below(20) {
            0..6 => {
                tree.remove(&key).unwrap();
                model.remove(&key);
            }
            6 => {
                let end = [key.as_slice(), &[random.next() as u8]].concat();
                tree.remove_range(key.as_slice()..end.as_slice()).unwrap();
                model.retain(|k, _| !(key.as_slice()..end.as_slice()).contains(&k.as_slice()));
            }
            7 => {
                let value = value(&mut random);
                tree.reserve(&key, value.len()).unwrap().1.copy_from_slice(&value);
                model.insert(key, value);
            }
            8 if random.below(30) == 0 => {
                tree.clear().unwrap();
                model.clear();
            }
            _ => {
                let value = value(&mut random);
                tree.insert(&key, &value).unwrap();
                model.insert(key, value);
            }
        }
    }
    let Noting { pages: newer, changed } = pages;
    States { older, newer, changed, root, before, after: model }
}

type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The sides that consist of the leaves that changed.
fn changed_leaves(states: &States, bounds: &Bounds) -> Result<(Side, Side), MemoryError> {
    let (mut older, mut newer) = (Leaves::default(), Leaves::default());
    // A leaf has changed when its delta has.
    let leaf = |id: PageId| {
        let bodies = [&states.older, &states.newer].into_iter().filter_map(|pages| pages.page(id).ok());
        bodies.filter_map(|body| leaf_of_delta(id, body)).next().unwrap_or(id)
    };
    for id in states.changed.iter().map(|id| leaf(*id)).collect::<BTreeSet<_>>() {
        for (pages, leaves) in [(&states.older, &mut older), (&states.newer, &mut newer)] {
            if pages.page(id).is_ok() {
                leaves.add(pages, id, bounds)?;
            }
        }
    }
    Ok((Side::of_leaves(older), Side::of_leaves(newer)))
}

fn walk(states: &States, sides: (Side, Side), bounds: &Bounds) -> Result<Vec<Differing>, MemoryError> {
    let is_same = |id: PageId| !states.changed.contains(&id);
    let views = Views { older: &states.older, newer: &states.newer, is_same };
    let mut difference = Difference::new(sides.0, sides.1, bounds);
    let mut found = Vec::new();
    while let Some(differing) = difference.next(&views)? {
        found.push(differing);
        assert!(found.len() < 100_000, "the walk does not end");
    }
    assert!(difference.next(&views)?.is_none(), "it stays at its end");
    Ok(found)
}

fn value_at(pages: &MemoryPages, at: ValueLocation) -> Vec<u8> {
    pages.page(at.page).unwrap()[at.start..at.end].to_vec()
}

fn bounds(random: &mut Random) -> Bounds {
    let mut bound = || match random.below(4) {
        0 => Bound::Included(key(random.below(2000))),
        1 => Bound::Excluded(key(random.below(2000))),
        _ => Bound::Unbounded,
    };
    (bound(), bound())
}

#[test]
fn changed_leaves_tell_all() {
    for seed in 0..200 {
        let states = states(seed);
        let bounds = bounds(&mut Random(seed));
        let within = |key: &&Vec<u8>| std::ops::RangeBounds::contains(&bounds, *key);
        let mut keys: Vec<_> = states.before.keys().chain(states.after.keys()).filter(within).collect();
        keys.sort();
        keys.dedup();
        let model = keys.into_iter().map(|key| (key.clone(), states.before.get(key), states.after.get(key)));
        let model: Vec<_> = model.filter(|(_, old, new)| old != new).collect();
        let whole = (Side::of_tree(states.root), Side::of_tree(states.root));
        for sides in [changed_leaves(&states, &bounds).unwrap(), whole] {
            let found = walk(&states, sides, &bounds).unwrap();
            assert_eq!(found.len(), model.len(), "seed {seed}: the number of differences");
            for (found, (key, old, new)) in found.iter().zip(&model) {
                assert_eq!(found.key, *key, "seed {seed}");
                assert_eq!(found.old.map(|at| value_at(&states.older, at)).as_ref(), *old, "seed {seed}");
                assert_eq!(found.new.map(|at| value_at(&states.newer, at)).as_ref(), *new, "seed {seed}");
            }
        }
    }
}

#[test]
fn one_side_may_be_nothing() {
    let states = states(3);
    let all = (Bound::Unbounded, Bound::Unbounded);
    let made = walk(&states, (Side::nothing(), Side::of_tree(states.root)), &all).unwrap();
    assert!(made.iter().all(|differing| differing.old.is_none()));
    assert!(made.iter().map(|differing| differing.key.to_vec()).eq(states.after.keys().cloned()));
    assert_eq!(walk(&states, (Side::nothing(), Side::nothing()), &all).unwrap(), []);
}

#[test]
fn damage_gives_a_fault_or_other_data() {
    let mut faults = 0;
    for seed in 0..60 {
        let whole = states(seed);
        let mut random = Random(seed);
        for _ in 0..40 {
            let mut states = States { older: whole.older.clone(), newer: whole.newer.clone(), ..states(seed) };
            let pages = if random.below(2) == 0 { &mut states.older } else { &mut states.newer };
            let ids: Vec<_> = pages.ids().collect();
            let id = ids[random.below(ids.len())];
            let mut body = pages.page(id).unwrap().to_vec();
            match random.below(4) {
                0 => body.truncate(random.below(body.len() + 1)),
                1 => body = pages.page(ids[random.below(ids.len())]).unwrap().to_vec(),
                _ => {
                    for _ in 0..1 + random.below(4) {
                        let at = random.below(body.len().max(1));
                        let near = at % 64.min(body.len().max(1));
                        if let Some(byte) = body.get_mut(near) {
                            *byte = random.next() as u8;
                        }
                    }
                }
            }
            pages.overwrite(id, &body).unwrap();
            states.changed.insert(id);
            let all = (Bound::Unbounded, Bound::Unbounded);
            let by_leaves = changed_leaves(&states, &all).and_then(|sides| walk(&states, sides, &all));
            let sides = (Side::of_tree(states.root), Side::of_tree(states.root));
            let by_trees = walk(&states, sides, &all);
            faults += usize::from(by_leaves.is_err()) + usize::from(by_trees.is_err());
        }
    }
    assert!(faults > 500, "only {faults} cases were damaged enough to be noticed");
}
