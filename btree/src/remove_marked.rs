//! Removing many entries one by one, together.
//!
//! Who removes one key after the other is told of each whether it was there, which only takes a look. The entries are marked, and removed later:
//! each leaf is then written once, without those that are marked. Who does not ask removes sorted keys, each leaf's when its turn comes.
//!
//! Promises: marks are used while the tree is as it was when they were made; a large value's page is freed with its entry; leaves that have
//! become too small are merged with their neighbours, as after single removals.

use std::collections::VecDeque;

use pentimento_storage::PageId;

use crate::balance::is_underfull;
use crate::batch::{OldEntries, SortedEntries};
use crate::delta;
use crate::edit::Fill;
use crate::leaf_writer::{Shape, fill_leaf};
use crate::lookup;
use crate::marks::{LeafMarks, Marks};
use crate::node::{Node, damaged};
use crate::pages::WritePages;
use crate::path::{Path, Way};
use crate::tree_mut::TreeMut;

/// How many leaves ahead one is asked for.
const LEAVES_AHEAD: usize = 4;

impl<P: WritePages> TreeMut<'_, P> {
    /// Marks the entry of `key` to be removed; `false` if there is none, or if it is marked already. Any change of the tree other than
    /// [`remove_marked`](TreeMut::remove_marked) makes the marks useless.
    ///
    /// # Errors
    /// When a page cannot be read or is damaged.
    #[inline]
    pub fn mark(&self, key: &[u8], marks: &mut Marks) -> Result<bool, P::Error> {
        let leaf = lookup::descend(self.pages, self.root, key, false, |_, _| Ok(()))?;
        let known = marks.known(leaf.page);
        Ok(leaf.index(key)?.is_some_and(|index| marks.mark(leaf.page, index, known)))
    }

    /// Removes the entries that are marked.
    ///
    /// # Errors
    /// When a page is damaged or cannot be had, or the tree has changed since: marks that it has no entries for are damage. Some of the
    /// entries have been removed then.
    pub fn remove_marked(&mut self, marks: Marks) -> Result<(), P::Error> {
        let expected = marks.len();
        let leaves = marks.into_leaves();
        let (mut removed, mut thin) = (0, Vec::new());
        for (number, (page, marks)) in leaves.iter().enumerate() {
            if let Some((ahead, _)) = leaves.get(number + LEAVES_AHEAD) {
                self.pages.prefetch_mut(*ahead);
            }
            removed += self.remove_from_leaf(*page, marks, &mut thin)?;
        }
        if removed != expected {
            return Err(damaged(self.root, "entries that were marked are not there").into());
        }
        self.mend_all(thin)
    }

    /// Merges leaves that have become too small, each named by a key that belongs there.
    fn mend_all(&mut self, mut thin: Vec<Vec<u8>>) -> Result<(), P::Error> {
        // In order, so that a leaf takes in those to its right.
        thin.sort_unstable();
        thin.iter().try_for_each(|key| self.mend(Way::Key(key)))
    }

    /// Removes the entries of keys that are in order already, and says how many were there. Keys that do not ascend are a fault. The values are of no meaning.
    ///
    /// # Errors
    /// When a page is damaged or cannot be had. Some of the entries have been removed then.
    pub fn remove_sorted(&mut self, keys: &impl SortedEntries) -> Result<u64, P::Error> {
        let (mut ahead, mut next) = (VecDeque::with_capacity(LEAVES_AHEAD + 1), 0);
        let (mut removed, mut thin) = (0, Vec::new());
        loop {
            while next < keys.len() && ahead.len() <= LEAVES_AHEAD {
                let (path, page) = Path::seek_unread(self.pages, self.root, keys.entry(next).0)?;
                self.pages.prefetch_mut(page);
                let end = self.end_of_group(&path, keys, next)?;
                ahead.push_back((page, next..end));
                next = end;
            }
            let Some((page, group)) = ahead.pop_front() else { break };
            let leaf = Node::read(self.pages, page)?;
            let (mut marks, mut found_some) = (LeafMarks::default(), false);
            for number in group {
                let (key, _) = keys.entry(number);
                if number > 0 && keys.entry(number - 1).0 >= key {
                    return Err(damaged(page, "keys that should be sorted are not").into());
                }
                if let (index, true) = leaf.find(key)? {
                    marks.mark(index);
                    found_some = true;
                }
            }
            if found_some {
                // Leaves are merged only afterwards, so those that were found ahead stay what they are.
                removed += self.remove_from_leaf(page, &marks, &mut thin)?;
            }
        }
        self.mend_all(thin)?;
        Ok(removed)
    }

    /// Writes a leaf anew without the entries that are marked, and says how many went. If it is too small then a key that belongs there is added to `thin`.
    fn remove_from_leaf(&mut self, page: PageId, marks: &LeafMarks, thin: &mut Vec<Vec<u8>>) -> Result<u64, P::Error> {
        let capacity = self.capacity();
        let room = Node::read(self.pages, page)?.len().max(capacity);
        let mut orphans = Vec::new();
        let written = self.pages.write_anew(page, self.root, room, |pages, body| {
            let leaf = Node::read(pages, page)?;
            if !leaf.is_leaf() {
                return Err(leaf.fault("this is not a leaf").into());
            }
            let mut kept = Vec::with_capacity(leaf.count());
            let mut entries = OldEntries::new(leaf);
            for index in 0..leaf.count() {
                let entry = entries.take()?;
                if !marks.has(index) {
                    kept.push(entry);
                } else if let Fill::Large(page, _) = entry.fill {
                    orphans.push(page);
                }
            }
            if kept.windows(2).any(|pair| pair[0].key.cmp(&pair[1].key).is_ge()) {
                return Err(damaged(page, "keys do not ascend").into());
            }
            let removed = leaf.count() - kept.len();
            let len = fill_leaf(&kept, &Shape::of(&kept), page, capacity, body)?;
            let is_thin = is_underfull(&Node::parse(page, &body[..len])?, capacity);
            let first = if is_thin && leaf.count() > 0 { Some(leaf.key(0)?.to_vec()) } else { None };
            Ok(Some((len, (removed as u64, is_thin, first))))
        })?;
        let Some((removed, is_thin, first)) = written else { return Ok(0) };
        delta::free(self.pages, page)?;
        if page != self.root && is_thin {
            thin.extend(first);
        } else {
            self.pages.finished(page)?;
        }
        orphans.into_iter().try_for_each(|orphan| self.pages.free(orphan))?;
        Ok(removed)
    }
}
