//! Leaves built from ascending entries.
//!
//! Promises: each leaf is written once, when the next entry does not fit any more; nothing refers to the leaves until
//! the last one is written.

use pentimento_storage::PageId;

use crate::edit::Fill;
use crate::layout::{LARGE_HEADER, LEAF_CELL, inline_max, stride};
use crate::node::damaged;
use crate::pages::WritePages;
use crate::parts::{Parts, separator};
use crate::run::{Run, size};
use crate::splice::Children;
use crate::tree_mut::TreeMut;
use crate::value::large_value_mut;

/// Packs ascending entries into leaves.
pub(crate) struct Loader {
    run: Run,
    weight: usize,
    /// A page to use for the first leaf.
    reuse: Option<PageId>,
    first: Option<PageId>,
    rest: Children,
    /// The last key of the leaf written last.
    previous: Vec<u8>,
}

impl Loader {
    pub fn new(leaf: PageId, reuse: bool) -> Loader {
        Loader {
            run: Run::new(0, leaf),
            weight: 0,
            reuse: reuse.then_some(leaf),
            first: None,
            rest: Children::new(),
            previous: Vec::new(),
        }
    }

    /// Adds an entry that may have the same key as the last one; gives the number of new keys.
    pub fn add<P: WritePages>(&mut self, tree: &mut TreeMut<'_, P>, key: &[u8], value: &[u8]) -> Result<u64, P::Error> {
        let last = self.run.len().checked_sub(1);
        let repeated = last.filter(|last| self.run.key(*last).cmp(&Parts::whole(key)).is_eq());
        if let Some(last) = repeated {
            self.weight -= self.run.weight(last);
            if let Fill::Large(page, _) = self.run.pop() {
                tree.pages.free(page)?;
            }
        }
        if value.len() <= inline_max(tree.capacity()) {
            self.push(tree, key, Fill::Bytes(value))?;
        } else {
            let page = tree.pages.allocate(tree.root, LARGE_HEADER + value.len())?;
            large_value_mut(tree.pages, page, value.len())?.copy_from_slice(value);
            self.push(tree, key, Fill::Large(page, value.len()))?;
        }
        Ok(u64::from(repeated.is_none()))
    }

    pub fn push<P: WritePages>(
        &mut self,
        tree: &mut TreeMut<'_, P>,
        key: &[u8],
        fill: Fill<'_>,
    ) -> Result<(), P::Error> {
        let weight = stride(0) + LEAF_CELL + key.len() + fill.cell_len();
        let count = self.run.len();
        if let Some(last) = count.checked_sub(1) {
            if self.run.key(last).cmp(&Parts::whole(key)).is_ge() {
                return Err(damaged(self.run.page, "keys do not ascend").into());
            }
            let shared = self.run.key(0).shared(&Parts::whole(key));
            if size(count + 1, shared, self.weight + weight) > tree.capacity() {
                self.flush(tree)?;
            }
        }
        self.run.insert(self.run.len(), key, fill);
        self.weight += weight;
        Ok(())
    }

    fn flush<P: WritePages>(&mut self, tree: &mut TreeMut<'_, P>) -> Result<(), P::Error> {
        let Some(last) = self.run.len().checked_sub(1) else {
            return Ok(());
        };
        let reuse = self.reuse.take();
        let (page, _) = tree.write_pieces(&self.run, &[self.run.all()], reuse.as_slice())?;
        tree.pages.finished(page)?;
        if self.first.is_none() {
            self.first = Some(page);
        } else {
            self.rest.push((separator(&Parts::whole(&self.previous), &self.run.key(0)), page));
        }
        self.previous = self.run.key(last).to_vec();
        self.run.clear();
        self.weight = 0;
        Ok(())
    }

    /// Writes what is left, and gives all leaves but the first.
    pub fn finish<P: WritePages>(mut self, tree: &mut TreeMut<'_, P>) -> Result<Children, P::Error> {
        self.flush(tree)?;
        Ok(self.rest)
    }

    /// Writes what is left as the whole tree.
    pub fn finish_root<P: WritePages>(mut self, tree: &mut TreeMut<'_, P>) -> Result<(), P::Error> {
        if self.first.is_none() {
            self.reuse = Some(tree.root);
            return self.flush(tree);
        }
        self.flush(tree)?;
        match self.first {
            Some(first) => tree.grow_root(0, first, self.rest),
            None => Ok(()),
        }
    }
}
