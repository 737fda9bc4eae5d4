//! How one checkpoint's table differs from the previous one's: the table pages that were written anew.
//!
//! Promises: a page of a higher level is written if one below it was, or if it is new; everything else is shared; nothing of the durable
//! table changes before [`DurableTable::apply`].

use crate::table_page::{DurableTable, FANOUT, TableRef};
use std::collections::BTreeMap;

/// New table pages by level and index, over a durable table.
pub(crate) struct TableUpdate {
    sizes: Vec<usize>,
    refs: Vec<BTreeMap<usize, TableRef>>,
}

impl TableUpdate {
    /// An update to a table whose levels have these sizes, which are never smaller than before.
    pub fn new(sizes: Vec<usize>) -> TableUpdate {
        TableUpdate { refs: sizes.iter().map(|_| BTreeMap::new()).collect(), sizes }
    }

    pub fn levels(&self) -> usize {
        self.sizes.len()
    }

    pub fn size(&self, level: usize) -> usize {
        self.sizes.get(level).copied().unwrap_or(0)
    }

    pub fn set(&mut self, level: usize, index: usize, table_ref: TableRef) {
        self.refs[level].insert(index, table_ref);
    }

    /// How many pages are new.
    pub fn len(&self) -> usize {
        self.refs.iter().map(BTreeMap::len).sum()
    }

    fn get(&self, old: &DurableTable, level: usize, index: usize) -> Option<TableRef> {
        self.refs[level].get(&index).or_else(|| old.levels.get(level)?.get(index)).copied()
    }

    /// Which pages of a level must be written, of which `known` exist already; those `moving`, too.
    pub fn parents_to_write(&self, level: usize, known: usize, moving: Vec<usize>) -> Vec<usize> {
        let changed = self.refs[level - 1].keys().map(|child| child / FANOUT);
        let mut parents: Vec<usize> = changed.chain(known..self.sizes[level]).chain(moving).collect();
        parents.sort_unstable();
        parents.dedup();
        parents
    }

    /// The references that a page of a level consists of.
    pub fn children(&self, old: &DurableTable, level: usize, parent: usize) -> Vec<TableRef> {
        let first = parent * FANOUT;
        let end = self.sizes[level - 1].min(first + FANOUT);
        (first..end).map(|index| self.get(old, level - 1, index).expect("levels are complete from below")).collect()
    }

    /// The root of the table as it will be.
    pub fn root(&self, old: &DurableTable) -> Option<TableRef> {
        self.get(old, self.levels().checked_sub(1)?, 0)
    }
}

impl DurableTable {
    /// Makes the update the durable table, and returns the table pages that it replaced.
    pub fn apply(&mut self, update: TableUpdate) -> Vec<TableRef> {
        let mut replaced = Vec::new();
        self.levels.resize_with(update.sizes.len(), Vec::new);
        for (refs, new) in self.levels.iter_mut().zip(update.refs) {
            for (index, table_ref) in new {
                match refs.get_mut(index) {
                    Some(old) => replaced.push(std::mem::replace(old, table_ref)),
                    None => {
                        debug_assert_eq!(index, refs.len(), "table pages are added in order");
                        refs.push(table_ref);
                    }
                }
            }
        }
        replaced
    }
}
