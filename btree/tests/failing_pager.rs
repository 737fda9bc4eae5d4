//! A pager that fails at any point of any change is passed on as an error, never as a panic.
//!
//! Strategy: each change runs on a copy of a tree again and again, and each time one call later fails, until the
//! change succeeds.

mod common;

use common::{Sorted, Store};
use pentimento_btree::memory::{MemoryError, MemoryPages};
use pentimento_btree::{Marks, PageMut, ReadPages, TreeMut, WritePages, dismantle};
use pentimento_storage::PageId;

struct Failing {
    pages: MemoryPages,
    calls_left: usize,
}

impl Failing {
    fn tick(&mut self) -> Result<(), MemoryError> {
        self.calls_left = self.calls_left.checked_sub(1).ok_or(MemoryError::Full)?;
        Ok(())
    }
}

impl ReadPages for Failing {
    type Error = MemoryError;

    fn page(&self, id: PageId) -> Result<&[u8], MemoryError> {
        self.pages.page(id)
    }

    fn beside(&self, id: PageId) -> Result<Option<&[u8]>, MemoryError> {
        self.pages.beside(id)
    }
}

impl WritePages for Failing {
    fn node_capacity(&self) -> usize {
        self.pages.node_capacity()
    }

    fn page_mut(&mut self, id: PageId, capacity: usize) -> Result<PageMut<'_>, MemoryError> {
        self.tick()?;
        self.pages.page_mut(id, capacity)
    }

    fn allocate(&mut self, owner: PageId, capacity: usize) -> Result<PageId, MemoryError> {
        self.tick()?;
        self.pages.allocate(owner, capacity)
    }

    fn allocate_beside(&mut self, id: PageId, owner: PageId, capacity: usize) -> Result<Option<PageId>, MemoryError> {
        self.tick()?;
        self.pages.allocate_beside(id, owner, capacity)
    }

    fn free(&mut self, id: PageId) -> Result<(), MemoryError> {
        self.tick()?;
        self.pages.free(id)
    }
}

fn key(n: u32) -> Vec<u8> {
    format!("key {n:06}").into_bytes()
}

#[test]
fn every_call_may_fail() {
    const CAPACITY: usize = 512;
    let mut store = Store::new(CAPACITY);
    for n in 0..300 {
        let len = if n % 20 == 0 { 400 } else { n as usize % 50 };
        store.tree_mut().insert(&key(n * 10 % 2999), &vec![1; len]).unwrap();
    }
    type Change = fn(&mut TreeMut<'_, Failing>) -> Result<(), MemoryError>;
    let changes: [(&str, Change); 11] = [
        ("inserts", |tree| (0..200).try_for_each(|n| tree.insert(&key(n * 13), &[2; 60]).map(drop))),
        ("large inserts", |tree| (0..20).try_for_each(|n| tree.insert(&key(n * 99), &[2; 900]).map(drop))),
        ("reserve", |tree| tree.reserve(&key(77), 900).map(drop)),
        ("removals together", |tree| {
            let mut marks = Marks::default();
            (0..300).try_for_each(|n| tree.mark(&key(n * 10), &mut marks).map(drop))?;
            tree.remove_marked(marks)
        }),
        ("deletes together", |tree| {
            let keys = (0..3000).step_by(7).map(|n| (key(n), Vec::new())).collect();
            tree.remove_sorted(&Sorted(keys)).map(drop)
        }),
        ("removals", |tree| (0..300).try_for_each(|n| tree.remove(&key(n * 10)).map(drop))),
        ("remove_range", |tree| tree.remove_range(key(400)..key(2500)).map(drop)),
        ("clear", |tree| tree.clear().map(drop)),
        ("bulk_load", |tree| tree.bulk_load((0..300).map(|n| (key(5000 + n), [3; 30]))).map(drop)),
        ("unsorted bulk_load", |tree| tree.bulk_load((0..300).rev().map(|n| (key(n * 7), [3; 30]))).map(drop)),
        ("pops", |tree| (0..50).try_for_each(|_| tree.pop_first().and(tree.pop_last()).map(drop))),
    ];
    for (name, change) in changes {
        let mut calls = 0;
        loop {
            let mut failing = Failing { pages: store.pages.clone(), calls_left: calls };
            match change(&mut TreeMut::new(&mut failing, store.root)) {
                Ok(()) => break,
                Err(error) => assert_eq!(error, MemoryError::Full, "{name} after {calls} calls"),
            }
            calls += 1;
        }
        assert!(calls > 0, "{name} changes something");
    }
    for calls in 0.. {
        let mut failing = Failing { pages: store.pages.clone(), calls_left: calls };
        if dismantle(&mut failing, store.root, usize::MAX).is_ok() {
            break;
        }
    }
}
