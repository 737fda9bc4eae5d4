//! Entries of a tree that are to be removed together.
//!
//! Promises: an entry is marked once; the memory follows the number of leaves that have marks, not of the entries that are marked.
//! Marks name entries by their places, so they hold only until the tree changes.

use pentimento_storage::{PageId, PageMap};

/// How many entries of a leaf are told by bits that stand in the map itself.
const IN_PLACE: usize = 128;
const WORD: usize = u64::BITS as usize;

/// Some of the entries of a leaf: so many words of 64 bits as that takes.
type Words = [u64; IN_PLACE / WORD];

/// A set of entries of one tree, gathered by [`TreeMut::mark`](crate::TreeMut::mark) to be removed by
/// [`TreeMut::remove_marked`](crate::TreeMut::remove_marked).
#[derive(Debug, Default)]
pub struct Marks {
    /// Small items: where each removal meets another leaf, the map is what the processor's cache has to hold.
    leaves: PageMap<Words>,
    /// The same for entries beyond those, of leaves that have so many.
    more: PageMap<Vec<u64>>,
    more_words: usize,
    entries: u64,
}

/// The marks of one leaf.
#[derive(Debug, Default)]
pub(crate) struct LeafMarks {
    first: Words,
    more: Vec<u64>,
}

fn has(words: &[u64], index: usize) -> bool {
    words.get(index / WORD).is_some_and(|word| word & (1 << (index % WORD)) != 0)
}

/// Marks one of them, of words that reach so far.
fn set(words: &mut [u64], index: usize) {
    words[index / WORD] |= 1 << (index % WORD);
}

impl LeafMarks {
    /// Marks entry `index`.
    pub fn mark(&mut self, index: usize) {
        match index.checked_sub(IN_PLACE) {
            None => set(&mut self.first, index),
            Some(beyond) => {
                self.more.resize(self.more.len().max(beyond / WORD + 1), 0);
                set(&mut self.more, beyond);
            }
        }
    }

    /// Whether entry `index` is marked.
    #[inline]
    pub fn has(&self, index: usize) -> bool {
        match index.checked_sub(IN_PLACE) {
            None => has(&self.first, index),
            Some(beyond) => has(&self.more, beyond),
        }
    }
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
        self.leaves.capacity() * (size_of::<(PageId, Words)>() + 1)
            + self.more.capacity() * (size_of::<(PageId, Vec<u64>)>() + 1)
            + self.more_words * size_of::<u64>()
    }

    /// The first entries of a leaf that are marked. To be asked for before the entry is looked for, so that the processor waits for both together.
    #[inline]
    pub(crate) fn known(&self, leaf: PageId) -> Words {
        self.leaves.get(&leaf).copied().unwrap_or_default()
    }

    /// Marks entry `index` of a leaf; `false` if it was marked before. `known` is what is [known](Marks::known) of the leaf.
    #[inline]
    pub(crate) fn mark(&mut self, leaf: PageId, index: usize, known: Words) -> bool {
        if has(&known, index) {
            return false;
        }
        // A leaf that has marks at all is in the first map.
        let first = self.leaves.entry(leaf).or_default();
        let is_new = match index.checked_sub(IN_PLACE) {
            None => {
                set(first, index);
                true
            }
            Some(beyond) => {
                let words = self.more.entry(leaf).or_default();
                let is_new = !has(words, beyond);
                if beyond / WORD >= words.len() {
                    self.more_words += beyond / WORD + 1 - words.len();
                    words.resize(beyond / WORD + 1, 0);
                }
                set(words, beyond);
                is_new
            }
        };
        self.entries += u64::from(is_new);
        is_new
    }

    /// The leaves that have marks, in the order of their numbers.
    pub(crate) fn into_leaves(mut self) -> Vec<(PageId, LeafMarks)> {
        let leaves = self.leaves.into_iter();
        let mut leaves: Vec<_> = leaves
            .map(|(page, first)| (page, LeafMarks { first, more: self.more.remove(&page).unwrap_or_default() }))
            .collect();
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
                let known = found.known(leaf);
                assert_eq!(found.mark(leaf, index, known), set.insert((leaf, index)));
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
