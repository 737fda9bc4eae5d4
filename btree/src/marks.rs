//! Entries of a tree that are to be removed together.
//!
//! Promises: an entry is marked once; the memory follows the number of leaves that have marks, not of the entries that are marked.
//! Marks name entries by their places, so they hold only until the tree changes.

use pentimento_storage::{PageId, PageMap};

/// How many entries of a leaf are told by bits that need no allocation.
const IN_PLACE: usize = u128::BITS as usize;

/// The entries of one leaf.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeafMarks {
    first: u128,
    /// Beyond those.
    more: Vec<u64>,
}

impl LeafMarks {
    /// Marks entry `index`; `false` if it was marked before.
    fn mark(&mut self, index: usize) -> bool {
        if index < IN_PLACE {
            let was_there = self.has(index);
            self.first |= 1 << index;
            return !was_there;
        }
        let (word, bit) = ((index - IN_PLACE) / 64, (index - IN_PLACE) % 64);
        if word >= self.more.len() {
            self.more.resize(word + 1, 0);
        }
        let was_there = self.has(index);
        self.more[word] |= 1 << bit;
        !was_there
    }

    /// Whether entry `index` is marked.
    #[inline]
    pub fn has(&self, index: usize) -> bool {
        match index.checked_sub(IN_PLACE) {
            None => self.first & (1 << index) != 0,
            Some(beyond) => self.more.get(beyond / 64).is_some_and(|word| word & (1 << (beyond % 64)) != 0),
        }
    }
}

/// A set of entries of one tree, gathered by [`TreeMut::mark`](crate::TreeMut::mark) to be removed by
/// [`TreeMut::remove_marked`](crate::TreeMut::remove_marked).
#[derive(Debug, Default)]
pub struct Marks {
    leaves: PageMap<LeafMarks>,
    entries: u64,
    /// What leaves of many entries take besides.
    more: usize,
}

impl Marks {
    /// How many entries are marked.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The memory that this takes, in bytes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.leaves.capacity() * (size_of::<(PageId, LeafMarks)>() + 1) + self.more
    }

    #[inline]
    pub(crate) fn mark(&mut self, leaf: PageId, index: usize) -> bool {
        let marks = self.leaves.entry(leaf).or_default();
        let before = marks.more.len();
        let is_new = marks.mark(index);
        self.more += (marks.more.len() - before) * size_of::<u64>();
        self.entries += u64::from(is_new);
        is_new
    }

    /// The leaves that have marks, in the order of their numbers.
    pub(crate) fn into_leaves(self) -> Vec<(PageId, LeafMarks)> {
        let mut leaves: Vec<_> = self.leaves.into_iter().collect();
        leaves.sort_unstable_by_key(|(page, _)| *page);
        leaves
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn marks_what_a_set_holds() {
        fn property(marks: Vec<(u8, u16)>) -> bool {
            let (mut set, mut found) = (BTreeSet::new(), Marks::default());
            for (leaf, index) in marks {
                let (leaf, index) = (PageId(u32::from(leaf % 4)), usize::from(index % 700));
                assert_eq!(found.mark(leaf, index), set.insert((leaf, index)));
                assert_eq!(found.len(), set.len() as u64);
            }
            let leaves = found.into_leaves();
            let all =
                leaves.iter().flat_map(|(leaf, marks)| (0..900).filter(|at| marks.has(*at)).map(|at| (*leaf, at)));
            all.eq(set)
        }
        quickcheck::QuickCheck::new().quickcheck(property as fn(Vec<(u8, u16)>) -> bool);
    }
}
