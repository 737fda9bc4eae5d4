//! Bodies of any content give data, a fault, or a missing page: never a panic, never an endless loop.
//!
//! Strategy: a tree with branches on two levels, large values and prefixes; one body at a time is damaged (each byte of
//! the arrays flipped in several ways, cut to many lengths, pages exchanged, random bytes), and then every operation runs
//! on it. A pager that counts looks at pages stops whoever loops.

mod common;

use std::cell::Cell;

use common::{Random, Sorted, Store};
use pentimento_btree::memory::{MemoryError, MemoryPages};
use pentimento_btree::{
    Cursor, Fault, Filling, Marks, PageMut, ReadPages, Tree, TreeMut, WritePages, check, dismantle, summarize_page,
};
use pentimento_storage::PageId;

const CAPACITY: usize = 512;

/// Pages that may be looked at only so often.
#[derive(Clone)]
struct Watched {
    pages: MemoryPages,
    left: Cell<u32>,
}

impl Watched {
    fn new(pages: &MemoryPages) -> Watched {
        Watched { pages: pages.clone(), left: Cell::new(20_000) }
    }

    fn tick(&self) {
        let left = self.left.get();
        assert!(left > 0, "an operation does not end");
        self.left.set(left - 1);
    }
}

impl ReadPages for Watched {
    type Error = MemoryError;

    fn page(&self, id: PageId) -> Result<&[u8], MemoryError> {
        self.tick();
        self.pages.page(id)
    }

    fn beside(&self, id: PageId) -> Result<Option<&[u8]>, MemoryError> {
        self.tick();
        self.pages.beside(id)
    }
}

impl WritePages for Watched {
    fn node_capacity(&self) -> usize {
        self.pages.node_capacity()
    }

    fn page_mut(&mut self, id: PageId, capacity: usize) -> Result<PageMut<'_>, MemoryError> {
        self.tick();
        assert!(capacity < 10 << 20, "a damaged length makes page {id} huge");
        self.pages.page_mut(id, capacity)
    }

    fn allocate(&mut self, owner: PageId, capacity: usize) -> Result<PageId, MemoryError> {
        self.tick();
        self.pages.allocate(owner, capacity)
    }

    fn allocate_beside(&mut self, id: PageId, owner: PageId, capacity: usize) -> Result<Option<PageId>, MemoryError> {
        self.tick();
        self.pages.allocate_beside(id, owner, capacity)
    }

    fn free(&mut self, id: PageId) -> Result<(), MemoryError> {
        self.tick();
        self.pages.free(id)
    }
}

fn key(n: usize) -> Vec<u8> {
    format!("{:02}/key/{n:05}", n / 40).into_bytes()
}

fn sample() -> Store {
    let mut store = Store::new(CAPACITY);
    let mut random = Random(7);
    for _ in 0..400 {
        let n = random.below(600);
        let len = if n.is_multiple_of(50) { 700 } else { random.below(60) };
        store.tree_mut().insert(&key(n), &vec![n as u8; len]).unwrap();
    }
    for n in (0..600).step_by(3) {
        store.tree_mut().remove(&key(n + 1)).unwrap();
    }
    assert_eq!(store.check(CAPACITY).depth, 3);
    store
}

/// Runs everything; only panics and endless loops are failures.
fn exercise(pages: &MemoryPages, root: PageId, random: &mut Random) {
    let watched = Watched::new(pages);
    let tree = Tree::new(&watched, root);
    for _ in 0..3 {
        let _ = tree.get(&key(random.below(600)));
        let _ = tree.prefetch(&key(random.below(600)));
        let _ = tree.locate(&key(random.below(600)));
    }
    let _ = (tree.first().is_ok(), tree.last().is_ok());
    if let Ok(range) = tree.range(key(random.below(600))..) {
        let mut last = None;
        for entry in range {
            last = Some(entry.is_ok());
        }
        let _ = last;
    }
    if let Ok(range) = tree.iter() {
        range.rev().for_each(drop);
    }
    if let Ok(mut range) = tree.iter() {
        while range.next().is_some() && range.next_back().is_some() {}
        assert!(range.next().is_none() && range.next_back().is_none(), "a finished range stays finished");
    }
    let mut cursor = Cursor::new(root, key(100)..key(300));
    while let Ok(Some(_)) = cursor.next(&watched) {}
    check(&watched, root, &mut |finding| drop(finding.to_string()));

    type Change = fn(&mut TreeMut<'_, Watched>, &mut Random) -> Result<(), MemoryError>;
    let changes: [Change; 14] = [
        |tree, random| tree.insert(&key(random.below(600)), &[1; 30]).map(drop),
        |tree, random| tree.insert(&key(random.below(600)), &[1; 200]).map(drop),
        |tree, random| tree.insert(&key(random.below(600)), &[1; 3000]).map(drop),
        |tree, random| tree.reserve(&key(random.below(600)), 100).map(drop),
        |tree, random| tree.remove(&key(random.below(600))).map(drop),
        |tree, random| {
            let mut marks = Marks::default();
            (0..20).try_for_each(|_| tree.mark(&key(random.below(600)), &mut marks).map(drop))?;
            tree.remove_marked(marks)
        },
        |tree, random| {
            let (from, step) = (random.below(600), 1 + random.below(9));
            let keys = (from..from + 60 * step).step_by(step).map(|n| (key(n), Vec::new())).collect();
            tree.remove_sorted(&Sorted(keys)).map(drop)
        },
        |tree, random| tree.remove_range(key(random.below(600))..key(random.below(600))).map(drop),
        |tree, _| tree.pop_first().map(drop),
        |tree, _| tree.pop_last().map(drop),
        |tree, random| {
            let from = random.below(600);
            tree.bulk_load((from..from + 60).map(|n| ([key(n), b"+".to_vec()].concat(), [0; 50]))).map(drop)
        },
        |tree, random| {
            let (from, step) = (random.below(600), 1 + random.below(4));
            let entries = (from..from + 60 * step).step_by(step).map(|n| (key(n), vec![2; random.below(200)]));
            tree.insert_sorted(&Sorted(entries.collect()), Filling::Roomy).map(drop)
        },
        |tree, random| {
            let from = random.below(600);
            let entries = (from..from + 40).map(|n| ([key(n), b"+".to_vec()].concat(), vec![3; 20]));
            tree.insert_sorted(&Sorted(entries.collect()), Filling::Full).map(drop)
        },
        |tree, _| tree.clear().map(drop),
    ];
    for _ in 0..3 {
        let mut watched = Watched::new(pages);
        for _ in 0..4 {
            let change = changes[random.below(changes.len())];
            if change(&mut TreeMut::new(&mut watched, root), random).is_err() {
                break;
            }
        }
    }
    let mut watched = Watched::new(pages);
    while let Ok(false) = dismantle(&mut watched, root, 5) {}
}

#[test]
fn flipped_bytes() {
    let mut random = Random(11);
    for store in samples() {
        for id in store.pages.ids().collect::<Vec<_>>() {
            let body = store.pages.page(id).unwrap().to_vec();
            for at in 0..body.len() {
                // All of the header and of the arrays, and some of the rest.
                if at >= 300 && random.below(8) != 0 {
                    continue;
                }
                let masks: &[u8] = if at < 24 { &[1, 2, 0x10, 0x80, 0xFF] } else { &[1, 0xFF] };
                for mask in masks {
                    let mut damaged = body.clone();
                    damaged[at] ^= mask;
                    let _ = summarize_page(&damaged);
                    let mut pages = store.pages.clone();
                    pages.overwrite(id, &damaged).unwrap();
                    exercise(&pages, store.root, &mut random);
                }
            }
        }
    }
}

#[test]
fn cut_and_extended_bodies() {
    let mut random = Random(12);
    for store in samples() {
        for id in store.pages.ids().collect::<Vec<_>>() {
            let body = store.pages.page(id).unwrap().to_vec();
            for len in (0..body.len()).step_by(if body.len() > 300 { 9 } else { 1 }) {
                let mut pages = store.pages.clone();
                let _ = summarize_page(&body[..len]);
                pages.overwrite(id, &body[..len]).unwrap();
                exercise(&pages, store.root, &mut random);
            }
            let mut pages = store.pages.clone();
            pages.overwrite(id, &[body, vec![0; 100]].concat()).unwrap();
            exercise(&pages, store.root, &mut random);
        }
    }
}

#[test]
fn exchanged_pages() {
    let mut random = Random(13);
    for store in samples() {
        let ids: Vec<_> = store.pages.ids().collect();
        for from in &ids {
            for to in &ids {
                let mut pages = store.pages.clone();
                pages.overwrite(*to, store.pages.page(*from).unwrap()).unwrap();
                exercise(&pages, store.root, &mut random);
            }
        }
    }
}

#[test]
fn missing_pages() {
    let mut random = Random(14);
    for store in samples() {
        for id in store.pages.ids().collect::<Vec<_>>() {
            let mut pages = store.pages.clone();
            pages.free(id).unwrap();
            exercise(&pages, store.root, &mut random);
        }
    }
}

#[test]
fn random_bodies() {
    let mut random = Random(15);
    for _ in 0..3000 {
        let mut store = sample_small();
        for id in store.pages.ids().collect::<Vec<_>>() {
            let mut body = store.pages.page(id).unwrap().to_vec();
            for _ in 0..=random.below(12) {
                let at = random.below(body.len());
                let near = if random.next().is_multiple_of(2) { at % 64 } else { at };
                body[near.min(at)] = random.next() as u8;
            }
            store.pages.overwrite(id, &body).unwrap();
        }
        exercise(&store.pages, store.root, &mut random);
    }
}

/// Both kinds: one whose leaves are small, and one whose leaves have deltas.
fn samples() -> [Store; 2] {
    let mut store = Store::new(2048);
    store.tree_mut().bulk_load((0..120).map(|n| (key(n * 2), vec![n as u8; 20 + n % 30]))).unwrap();
    for n in (0..240).step_by(23) {
        store.pages.begin();
        store.tree_mut().insert(&key(n), &[7; 40]).unwrap();
        store.tree_mut().remove(&key(n + 6)).unwrap();
    }
    assert!(store.check(2048).deltas > 2);
    [sample(), store]
}

fn sample_small() -> Store {
    let mut store = Store::new(CAPACITY);
    store.tree_mut().bulk_load((0..60).map(|n| (key(n), vec![n as u8; n]))).unwrap();
    store
}

/// Branches that all lead to the same place would take for ever, were the order of keys not looked at.
#[test]
fn a_tower_of_equal_children_ends() {
    let mut pages = MemoryPages::new(4096);
    let root = pentimento_btree::create(&mut pages).unwrap();
    let leaf = pages.allocate(root, 4096).unwrap();
    pages.overwrite(leaf, &node(0, 0, &[(b"k", 0)])).unwrap();
    let mut below = leaf;
    for level in 1..=30 {
        let id = if level == 30 { root } else { pages.allocate(root, 4096).unwrap() };
        let children: Vec<(&[u8], u32)> = vec![(b"a", below.0), (b"b", below.0), (b"z", below.0)];
        pages.overwrite(id, &node(level, below.0, &children)).unwrap();
        below = id;
    }
    let watched = Watched::new(&pages);
    let tree = Tree::new(&watched, root);
    assert_eq!(tree.iter().unwrap().filter(Result::is_err).count(), 1);
    assert!(tree.iter().unwrap().rev().count() <= 2);
    assert!(tree.last().is_ok());
    let mut findings = 0;
    check(&watched, root, &mut |_| findings += 1);
    assert!(findings > 0);
    let mut watched = Watched::new(&pages);
    assert!(TreeMut::new(&mut watched, root).clear().is_err());
    let mut watched = Watched::new(&pages);
    assert!(dismantle(&mut watched, root, 1000).is_err());
}

#[test]
fn a_branch_that_is_its_own_child_is_a_fault() {
    let mut pages = MemoryPages::new(4096);
    let root = pentimento_btree::create(&mut pages).unwrap();
    pages.overwrite(root, &node(3, root.0, &[(b"k", root.0)])).unwrap();
    let mut watched = Watched::new(&pages);
    let tree = Tree::new(&watched, root);
    assert!(tree.get(b"a").is_err() && tree.get(b"z").is_err());
    assert!(tree.first().is_err() && tree.last().is_err() && tree.prefetch(b"k").is_err());
    let mut tree = TreeMut::new(&mut watched, root);
    assert!(tree.insert(b"a", b"").is_err() && tree.remove(b"a").is_err());
    assert!(tree.clear().is_err() && tree.remove_range(b"a".as_slice()..).is_err());
    assert!(tree.bulk_load([(b"a", b"")]).is_err());
    assert!(dismantle(&mut watched, root, 10).is_err());
}

/// A node as the format's description says, without a prefix.
fn node(level: u8, leftmost: u32, entries: &[(&[u8], u32)]) -> Vec<u8> {
    let count = entries.len() as u16;
    let mut body = vec![level, 0, 0, 0];
    body.extend(count.to_le_bytes());
    body.extend(count.to_le_bytes());
    body.extend([0; 4]);
    body.extend(leftmost.to_le_bytes());
    for (key, _) in entries {
        let mut head = [0; 4];
        head[..key.len()].copy_from_slice(key);
        body.extend(u32::from_be_bytes(head).to_le_bytes());
    }
    if level > 0 {
        entries.iter().for_each(|(_, child)| body.extend(child.to_le_bytes()));
    }
    let mut cells = Vec::new();
    for (key, _) in entries {
        body.extend((cells.len() as u16).to_le_bytes());
        cells.extend((key.len() as u16).to_le_bytes());
        if level == 0 {
            cells.extend([0, 0]);
        }
        cells.extend(*key);
    }
    [body, cells].concat()
}

#[test]
fn a_node_written_by_hand_reads() {
    let mut pages = MemoryPages::new(4096);
    let root = pentimento_btree::create(&mut pages).unwrap();
    pages.overwrite(root, &node(0, 0, &[(b"a", 0), (b"b", 0)])).unwrap();
    let keys: Vec<_> = Tree::new(&pages, root).iter().unwrap().map(|entry| entry.unwrap().0.into_vec()).collect();
    assert_eq!(keys, [b"a", b"b"]);
    check(&pages, root, &mut |finding| panic!("{finding}"));
}

#[test]
fn faults_name_the_page() {
    let mut store = sample();
    store.pages.overwrite(store.root, &[99; 500]).unwrap();
    match store.tree().get(b"any") {
        Err(MemoryError::Fault(Fault::Damaged { page, .. })) => assert_eq!(page, store.root),
        other => panic!("{other:?}"),
    }
}
