//! What the tests share: a tree with its pages, and the checker that runs after each case.
#![allow(dead_code, reason = "not every test file uses everything")]

use std::collections::BTreeMap;

use pentimento_btree::memory::MemoryPages;
use pentimento_btree::{Census, SortedEntries, Tree, TreeMut, check, create};
use pentimento_storage::PageId;

pub type Model = BTreeMap<Vec<u8>, Vec<u8>>;

pub struct Store {
    pub pages: MemoryPages,
    pub root: PageId,
}

impl Store {
    pub fn new(capacity: usize) -> Store {
        let mut pages = MemoryPages::new(capacity);
        let root = create(&mut pages).unwrap();
        Store { pages, root }
    }

    pub fn tree(&self) -> Tree<'_, MemoryPages> {
        Tree::new(&self.pages, self.root)
    }

    pub fn tree_mut(&mut self) -> TreeMut<'_, MemoryPages> {
        TreeMut::new(&mut self.pages, self.root)
    }

    /// Proves that the tree is sound, that no page leaks, and that no node is larger than it must be.
    pub fn check(&self, capacity: usize) -> Census {
        let mut findings = Vec::new();
        let census = check(&self.pages, self.root, &mut |finding| findings.push(finding.to_string()));
        assert!(findings.is_empty(), "{findings:#?}");
        assert_eq!(census.pages.len(), self.pages.live(), "pages leak");
        assert_eq!(census.single_child_branches, 0);
        for page in &census.pages {
            use pentimento_btree::{PageSummary, ReadPages, summarize_page};
            let body = self.pages.page(*page).unwrap();
            if let PageSummary::Node { level, entries, .. } = summarize_page(body) {
                let divisible = entries.len() >= if level == 0 { 2 } else { 3 };
                assert!(body.len() <= capacity || !divisible, "page {page} has {} bytes", body.len());
            }
        }
        census
    }

    /// Proves that the tree holds exactly what the model does, from both ends.
    pub fn compare(&self, model: &Model) {
        let forward: Vec<_> = self.tree().iter().unwrap().map(Result::unwrap).collect();
        assert_eq!(forward.len(), model.len());
        assert!(forward.iter().zip(model).all(|((k, v), (mk, mv))| k == mk && *v == mv.as_slice()));
        let mut backward: Vec<_> = self.tree().iter().unwrap().rev().map(Result::unwrap).collect();
        backward.reverse();
        assert!(forward == backward);
        for (key, value) in model {
            assert_eq!(self.tree().get(key).unwrap(), Some(value.as_slice()));
        }
    }
}

/// A small generator of random numbers.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// Entries in the order of their keys.
pub struct Sorted(pub Vec<(Vec<u8>, Vec<u8>)>);

impl SortedEntries for Sorted {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn entry(&self, index: usize) -> (&[u8], &[u8]) {
        (&self.0[index].0, &self.0[index].1)
    }
}
