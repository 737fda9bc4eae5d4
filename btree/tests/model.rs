//! The map against the dumbest model of it, a `BTreeMap`.
//!
//! Strategy: random sequences of all operations over five families of keys (tiny, numbered, with a long common prefix,
//! up to the longest, prefixes of each other) and values from none to several pages, in nodes of 512 bytes, for deep
//! trees, to 64 KiB. Invariants: each answer is the model's; at the end the checker finds nothing, no page leaks, and
//! both hold the same.

mod common;

use std::collections::BTreeSet;
use std::ops::Bound;

use common::{Model, Random, Sorted, Store};
use pentimento_btree::{Cursor, Filling, MAX_KEY_LEN, Marks, ReadPages};
use quickcheck::{Arbitrary, Gen, QuickCheck};

#[derive(Debug, Clone)]
struct Case {
    capacity: usize,
    family: u8,
    ops: Vec<Op>,
}

#[derive(Debug, Clone)]
enum Op {
    Insert(u16, u16),
    Replace(u16, u16),
    Reserve(u16, u16),
    Remove(u16),
    Take(u16),
    PopFirst,
    PopLast,
    Ascending(u16, u8),
    Descending(u16, u8),
    Bulk(Vec<(u16, u16)>, bool),
    /// Entries in order: a start, how many, how far apart, a seed for the values.
    Sorted(u16, u16, u8, u16),
    RemoveRange(u16, u16, u8),
    /// One by one, together: a start, how many, how far apart.
    RemoveMarked(u16, u16, u8),
    /// In order, together: likewise.
    RemoveSorted(u16, u16, u8),
    Clear,
    /// Another transaction.
    Begin,
    Get(u16),
    Walk(u16, u16, u8, u64),
    Prefix(u16),
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Op {
        let (a, b) = (u16::arbitrary(g), u16::arbitrary(g));
        match u8::arbitrary(g) % 36 {
            0..=7 => Op::Insert(a, b),
            8 => Op::Replace(a, b),
            9 => Op::Reserve(a, b),
            10..=12 => Op::Remove(a),
            13 => Op::Take(a),
            14 => Op::PopFirst,
            15 => Op::PopLast,
            16..=18 => Op::Ascending(a, b as u8),
            19 => Op::Descending(a, b as u8),
            20 => Op::Sorted(a, b, u8::arbitrary(g), u16::arbitrary(g)),
            21..=23 => Op::Bulk(Vec::arbitrary(g), bool::arbitrary(g)),
            24 => Op::RemoveRange(a, b, u8::arbitrary(g)),
            25 if a % 2 == 0 => Op::RemoveSorted(a, b, u8::arbitrary(g)),
            25 => Op::RemoveMarked(a, b, u8::arbitrary(g)),
            26 if a % 8 == 0 => Op::Clear,
            26 | 31 => Op::Begin,
            27 => Op::Prefix(a),
            28..=30 => Op::Walk(a, b, u8::arbitrary(g), u64::arbitrary(g)),
            _ => Op::Get(a),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Op>> {
        match self {
            Op::Bulk(entries, sorted) => {
                let sorted = *sorted;
                Box::new(entries.shrink().map(move |entries| Op::Bulk(entries, sorted)))
            }
            _ => quickcheck::empty_shrinker(),
        }
    }
}

impl Arbitrary for Case {
    fn arbitrary(g: &mut Gen) -> Case {
        let capacity = *g.choose(&[512, 1024, 4096, 5000, 8192 - 32, 16384, 65536 - 32, 65535]).unwrap();
        Case { capacity, family: u8::arbitrary(g) % 5, ops: Vec::arbitrary(g) }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Case>> {
        let case = self.clone();
        Box::new(self.ops.shrink().map(move |ops| Case { ops, ..case.clone() }))
    }
}

fn key(family: u8, n: u16) -> Vec<u8> {
    match family {
        0 => vec![b'a' + (n % 3) as u8; usize::from(n % 7)],
        1 => n.to_be_bytes().to_vec(),
        2 => format!("{}{:05}", "a common prefix that is long ".repeat(8), n).into_bytes(),
        3 => {
            let len = [3, 20, 300, 4000, MAX_KEY_LEN][usize::from(n % 5)];
            let mut key = vec![(n >> 8) as u8; len];
            key[len - 1] = n as u8;
            key
        }
        _ => {
            // Prefixes of each other, and zeros that padding must not confuse.
            let mut key = (n % 500).to_le_bytes().to_vec();
            key.resize(2 + usize::from(n % 5), 0);
            key
        }
    }
}

fn value(n: u16) -> Vec<u8> {
    let len = match n % 16 {
        0 => 0,
        1..=8 => usize::from(n % 100),
        9..=13 => usize::from(n % 1000),
        14 => usize::from(n % 9000),
        _ => usize::from(n),
    };
    vec![n as u8; len]
}

fn bounds(a: Vec<u8>, b: Vec<u8>, kind: u8) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let bound = |key, kind| match kind % 4 {
        0 => Bound::Unbounded,
        1 => Bound::Excluded(key),
        _ => Bound::Included(key),
    };
    (bound(a, kind), bound(b, kind / 4))
}

fn within(model: &Model, bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> Vec<(Vec<u8>, Vec<u8>)> {
    use std::ops::RangeBounds;
    model.iter().filter(|(k, _)| bounds.contains(*k)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn apply(store: &mut Store, model: &mut Model, family: u8, op: &Op) {
    let key = |n: u16| key(family, n);
    match op {
        Op::Insert(k, v) => {
            let new = store.tree_mut().insert(&key(*k), &value(*v)).unwrap();
            assert_eq!(new, model.insert(key(*k), value(*v)).is_none());
        }
        Op::Replace(k, v) => {
            let old = store.tree_mut().replace(&key(*k), &value(*v)).unwrap();
            assert_eq!(old, model.insert(key(*k), value(*v)));
        }
        Op::Reserve(k, v) => {
            let value = value(*v);
            let mut tree = store.tree_mut();
            let (new, room) = tree.reserve(&key(*k), value.len()).unwrap();
            assert_eq!(room, vec![0; value.len()]);
            room.copy_from_slice(&value);
            assert_eq!(new, model.insert(key(*k), value).is_none());
        }
        Op::Remove(k) => {
            let there = store.tree_mut().remove(&key(*k)).unwrap();
            assert_eq!(there, model.remove(&key(*k)).is_some());
        }
        Op::Take(k) => assert_eq!(store.tree_mut().take(&key(*k)).unwrap(), model.remove(&key(*k))),
        Op::PopFirst => assert_eq!(store.tree_mut().pop_first().unwrap(), model.pop_first()),
        Op::PopLast => assert_eq!(store.tree_mut().pop_last().unwrap(), model.pop_last()),
        Op::Ascending(from, count) => {
            for n in 0..u16::from(*count) {
                store.tree_mut().insert(&key(from.wrapping_add(n)), &value(n)).unwrap();
                model.insert(key(from.wrapping_add(n)), value(n));
            }
        }
        Op::Descending(from, count) => {
            for n in 0..u16::from(*count) {
                store.tree_mut().insert(&key(from.wrapping_sub(n)), &value(n)).unwrap();
                model.insert(key(from.wrapping_sub(n)), value(n));
            }
        }
        Op::Bulk(entries, sorted) => {
            let mut all: Vec<_> = entries.iter().map(|(k, v)| (key(*k), value(*v))).collect();
            if *sorted {
                all.sort_by(|a, b| a.0.cmp(&b.0));
            }
            let before = model.len();
            model.extend(all.iter().cloned());
            let new = store.tree_mut().bulk_load(all).unwrap();
            assert_eq!(new, (model.len() - before) as u64);
        }
        Op::Sorted(start, count, step, seed) => {
            let count = if count % 8 == 0 { count % 3000 } else { count % 200 };
            let step = if step % 2 == 0 { 1 } else { u16::from(*step) };
            let numbers = (0..count).map(|n| (start.wrapping_add(n.wrapping_mul(step)), n.wrapping_mul(*seed)));
            let sorted: Model = numbers.map(|(k, v)| (key(k), value(v))).collect();
            let before = model.len();
            model.extend(sorted.clone());
            let sorted = Sorted(sorted.into_iter().collect());
            let filling = if seed % 2 == 0 { Filling::Full } else { Filling::Roomy };
            let new = store.tree_mut().insert_sorted(&sorted, filling).unwrap();
            assert_eq!(new, (model.len() - before) as u64);
        }
        Op::RemoveRange(a, b, kind) => {
            let bounds = bounds(key(*a), key(*b), *kind);
            let gone = within(model, &bounds);
            assert_eq!(store.tree_mut().remove_range(bounds).unwrap(), gone.len() as u64);
            for (key, _) in gone {
                model.remove(&key);
            }
        }
        Op::RemoveMarked(start, count, step) => {
            let mut marks = Marks::default();
            // Some twice, and many that are not there.
            let numbers = (0..count % 3000).map(|n| start.wrapping_add((n % 1000).wrapping_mul(u16::from(*step))));
            for key in numbers.map(key) {
                assert_eq!(store.tree_mut().mark(&key, &mut marks).unwrap(), model.remove(&key).is_some());
            }
            store.tree_mut().remove_marked(marks).unwrap();
        }
        Op::RemoveSorted(start, count, step) => {
            let numbers = (0..count % 1000).map(|n| start.wrapping_add(n.wrapping_mul(u16::from(*step))));
            let keys: BTreeSet<Vec<u8>> = numbers.map(key).collect();
            let there = keys.iter().filter(|key| model.remove(*key).is_some()).count();
            let keys = Sorted(keys.into_iter().map(|key| (key, Vec::new())).collect());
            assert_eq!(store.tree_mut().remove_sorted(&keys).unwrap(), there as u64);
        }
        Op::Clear => {
            assert_eq!(store.tree_mut().clear().unwrap(), model.len() as u64);
            model.clear();
        }
        Op::Get(k) => {
            let expected = model.get(&key(*k)).map(Vec::as_slice);
            assert_eq!(store.tree().get(&key(*k)).unwrap(), expected);
            assert_eq!(store.tree().contains_key(&key(*k)).unwrap(), expected.is_some());
            assert_eq!(store.tree().is_empty().unwrap(), model.is_empty());
            let ends = (store.tree().first().unwrap(), store.tree().last().unwrap());
            assert_eq!(ends.0.map(|(k, v)| (k.into_vec(), v.to_vec())), model.clone().pop_first());
            assert_eq!(ends.1.map(|(k, v)| (k.into_vec(), v.to_vec())), model.clone().pop_last());
            if let Some(at) = store.tree().locate(&key(*k)).unwrap() {
                assert_eq!(Some(&store.pages.page(at.page).unwrap()[at.start..at.end]), expected);
            }
        }
        Op::Walk(a, b, kind, turns) => {
            let bounds = bounds(key(*a), key(*b), *kind);
            let expected = within(model, &bounds);
            let mut left = expected.iter();
            let mut range = store.tree().range(bounds.clone()).unwrap();
            let mut cursor = Cursor::new(store.root, bounds);
            let mut random = Random(*turns);
            // Now one end alone, now the other, now both in turn.
            for step in 0..=expected.len() + 2 {
                let back = match turns % 4 {
                    0 => false,
                    1 => true,
                    2 => random.next().is_multiple_of(2),
                    _ => step % 50 < 25,
                };
                let want = if back { left.next_back() } else { left.next() };
                let got = if back { range.next_back() } else { range.next() };
                let got = got.map(Result::unwrap);
                assert_eq!(got.map(|(k, v)| (k.into_vec(), v.to_vec())), want.cloned());
                let pages = &store.pages;
                let located = if back { cursor.next_back(pages) } else { cursor.next(pages) }.unwrap();
                let located =
                    located.map(|(k, at)| (k.into_vec(), pages.page(at.page).unwrap()[at.start..at.end].to_vec()));
                assert_eq!(located.as_ref(), want);
            }
        }
        Op::Begin => store.pages.begin(),
        Op::Prefix(k) => {
            let mut prefix = key(*k);
            prefix.truncate(prefix.len() / 2 + 1);
            let expected: Vec<_> = model.keys().filter(|key| key.starts_with(&prefix)).collect();
            let got: Vec<_> = store.tree().prefix(&prefix).unwrap().map(|entry| entry.unwrap().0).collect();
            assert!(got.len() == expected.len() && got.iter().zip(expected).all(|(a, b)| a == b));
        }
    }
}

fn agrees(case: Case) -> bool {
    let mut store = Store::new(case.capacity);
    let mut model = Model::new();
    for op in &case.ops {
        apply(&mut store, &mut model, case.family, op);
    }
    let census = store.check(case.capacity);
    assert_eq!(census.entries, model.len() as u64);
    store.compare(&model);
    true
}

#[test]
fn agrees_with_a_btree_map() {
    let tests = std::env::var("PENTIMENTO_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    QuickCheck::new().rng(Gen::new(120)).tests(tests).max_tests(tests * 2).quickcheck(agrees as fn(Case) -> bool);
}

/// Checks after every single operation, which finds damage where it arises.
#[test]
fn is_sound_after_each_operation() {
    fn sound(case: Case) -> bool {
        let mut store = Store::new(case.capacity);
        let mut model = Model::new();
        for op in &case.ops {
            apply(&mut store, &mut model, case.family, op);
            assert_eq!(store.check(case.capacity).entries, model.len() as u64);
        }
        true
    }
    QuickCheck::new().rng(Gen::new(60)).tests(100).max_tests(200).quickcheck(sound as fn(Case) -> bool);
}

/// Few entries at a time for full leaves, which is what deltas are for.
#[test]
fn agrees_when_transactions_are_small() {
    fn agrees(seed: u64) -> bool {
        let mut random = Random(seed);
        let capacity = [1024, 4096, 8168][random.below(3)];
        let family = 1 + random.below(2) as u8;
        let (mut store, mut model) = (Store::new(capacity), Model::new());
        let most = 1 + random.below(900);
        for _ in 0..random.below(400) {
            let (op, k) = (random.below(30), random.below(most) as u16);
            let op = match op {
                0 => Op::Ascending(k, 40),
                1 => Op::Sorted(k, 1 + random.below(40) as u16, random.next() as u8, k),
                2 => Op::RemoveSorted(k, random.below(6) as u16, random.next() as u8),
                3 => Op::RemoveMarked(k, random.below(6) as u16, random.next() as u8),
                4 => Op::RemoveRange(k, random.below(4) as u16, 0),
                5 => Op::Reserve(k, random.below(500) as u16),
                6 => Op::Sorted(k, 300, 0, k),
                7..12 => Op::Remove(k),
                12..14 => Op::Replace(k, random.below(2000) as u16),
                14 => Op::Walk(k, random.below(900) as u16, 0, random.next()),
                _ => Op::Insert(k, random.below(300) as u16),
            };
            if random.below(3) > 0 {
                store.pages.begin();
            }
            apply(&mut store, &mut model, family, &op);
            if random.below(8) == 0 {
                store.check(capacity);
            }
        }
        store.check(capacity);
        store.compare(&model);
        true
    }
    let tests = std::env::var("PENTIMENTO_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    QuickCheck::new().tests(tests).quickcheck(agrees as fn(u64) -> bool);
}

#[test]
fn entries_that_should_be_sorted_and_are_not_are_a_fault() {
    let entry = |n: u16| (n.to_be_bytes().to_vec(), vec![1; 100]);
    let mut store = Store::new(4096);
    for unsorted in [vec![3, 2], vec![1, 1], (0..500).chain([7]).collect()] {
        let sorted = Sorted(unsorted.into_iter().map(entry).collect());
        assert!(store.tree_mut().insert_sorted(&sorted, Filling::Full).is_err());
    }
}
