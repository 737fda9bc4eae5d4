//! What the records of the journal change in the trees of a checkpoint.
//!
//! A store that was not closed cleanly, or that is in use, has acknowledged commits that only its journal holds. They are laid over the
//! checkpoint's trees, as an opening would do them again.

use super::journal::Journal;
use super::view::{View, ViewError};
use crate::{Error, Result};
use pentimento_btree::{Cursor, Tree};
use pentimento_storage::{PageId, Timestamp};
use pentimento_txn::inspect::{CATALOG, Operation, operations, tree_record};
use std::collections::BTreeMap;
use std::ops::Bound;

/// What the journal changes in one tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    /// The tree in the checkpoint that the changes are on; `None`: it was empty.
    pub base: Option<PageId>,
    /// What is known of its number of entries before the changes.
    pub counter: Option<PageId>,
    /// New values, and `None` for keys that were removed.
    pub keys: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// What the journal changes in all trees.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// By name; `None`: there is no such tree any more.
    trees: BTreeMap<String, Option<Changes>>,
    /// How many commits it holds.
    pub commits: u64,
    /// The newest of them.
    pub newest: Option<Timestamp>,
}

impl Overlay {
    /// What the records after the view's checkpoint change.
    ///
    /// # Errors
    /// When a record, or a page that is needed to understand one, is damaged; and [`ViewError::Moved`].
    pub fn of(journal: &Journal, view: &View<'_>) -> Result<Overlay, ViewError> {
        let mut overlay = Overlay::default();
        let mut next = view.checkpoint().timestamp().next();
        for (at, body) in journal.pending_bodies() {
            if at < next {
                continue;
            }
            if at > next {
                // The checkpoint of the view is older than that of the journal.
                return Err(ViewError::Moved);
            }
            overlay.apply(body, view)?;
            overlay.commits += 1;
            overlay.newest = Some(at);
            next = next.next();
        }
        Ok(overlay)
    }

    /// What is changed in the tree of this name: `Some(None)` if there is no such tree any more.
    pub(crate) fn changes(&self, name: &str) -> Option<Option<&Changes>> {
        self.trees.get(name).map(Option::as_ref)
    }

    /// The names that the journal made or removed; `true`: there is such a tree now.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, bool)> {
        self.trees.iter().map(|(name, changes)| (name.as_str(), changes.is_some()))
    }

    /// Does the operations of one record in a store, as one commit.
    pub(crate) fn apply_to(db: &pentimento::Database, body: &[u8]) -> Result<()> {
        let mut txn = db.begin_write()?;
        let mut name = None;
        for operation in operations(body) {
            let operation = operation.map_err(Error::from)?;
            match operation {
                Operation::Tree(entered) => {
                    txn.tree(entered)?;
                    name = Some(entered);
                    continue;
                }
                Operation::DropTree(dropped) => {
                    txn.drop_tree(dropped)?;
                    name = None;
                    continue;
                }
                Operation::RenameTree(from, to) => {
                    txn.rename_tree(from, to)?;
                    name = None;
                    continue;
                }
                // What is done again elsewhere is no copy that increments fit.
                Operation::Origin(_) => continue,
                _ => {}
            }
            let name = name.ok_or_else(|| Error::Unreadable("an operation of the journal names no tree".to_owned()))?;
            let mut tree = txn.tree(name)?;
            match operation {
                Operation::Insert(key, value) => tree.insert(key, value)?,
                Operation::Remove(key) => tree.remove(key).map(drop)?,
                Operation::RemoveRange(start, end) => tree.remove_range((start, end)).map(drop)?,
                Operation::Clear => tree.clear().map(drop)?,
                other => {
                    return Err(Error::Unreadable(format!("an operation is not known to this program: {other:?}")));
                }
            }
        }
        txn.commit()?;
        Ok(())
    }

    fn enter(&mut self, name: &str, view: &View<'_>) -> Result<&mut Changes, ViewError> {
        if !matches!(self.trees.get(name), Some(Some(_))) {
            let changes = match self.trees.get(name) {
                // Dropped by the journal, and made again.
                Some(None) => Changes::default(),
                _ => Changes::on(find_tree(view, name)?),
            };
            self.trees.insert(name.to_owned(), Some(changes));
        }
        match self.trees.get_mut(name) {
            Some(Some(changes)) => Ok(changes),
            _ => unreachable!("it was entered above"),
        }
    }

    fn apply(&mut self, body: &[u8], view: &View<'_>) -> Result<(), ViewError> {
        let mut name = None;
        for operation in operations(body) {
            let operation = operation.map_err(Error::from)?;
            let current =
                || name.ok_or_else(|| Error::Unreadable("an operation of the journal names no tree".to_owned()));
            match operation {
                Operation::Tree(entered) => {
                    self.enter(entered, view)?;
                    name = Some(entered);
                }
                Operation::Insert(key, value) => {
                    self.enter(current()?, view)?.keys.insert(key.to_vec(), Some(value.to_vec()));
                }
                Operation::Remove(key) => {
                    self.enter(current()?, view)?.keys.insert(key.to_vec(), None);
                }
                Operation::RemoveRange(start, end) => self.enter(current()?, view)?.remove_range(view, start, end)?,
                Operation::Clear => {
                    *self.enter(current()?, view)? = Changes::default();
                }
                Operation::DropTree(dropped) => {
                    self.trees.insert(dropped.to_owned(), None);
                    name = None;
                }
                Operation::RenameTree(from, to) => {
                    let changes = std::mem::take(self.enter(from, view)?);
                    self.trees.insert(from.to_owned(), None);
                    self.trees.insert(to.to_owned(), Some(changes));
                    name = None;
                }
                Operation::Origin(_) => {}
                other => {
                    let what = format!("an operation of the journal is not known to this program: {other:?}");
                    return Err(Error::Unreadable(what).into());
                }
            }
        }
        Ok(())
    }
}

impl Changes {
    fn on(record: Option<(PageId, PageId)>) -> Changes {
        let (base, counter) = record.unzip();
        Changes { base, counter, keys: BTreeMap::new() }
    }

    fn remove_range(&mut self, view: &View<'_>, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<(), ViewError> {
        let changed: Vec<Vec<u8>> = match is_empty(start, end) {
            true => Vec::new(),
            false => self.keys.range::<[u8], _>((start, end)).map(|(key, _)| key.clone()).collect(),
        };
        for key in changed {
            self.keys.insert(key, None);
        }
        if let Some(base) = self.base {
            let mut cursor = Cursor::new(base, (start, end));
            while let Some((key, _)) = cursor.next(view)? {
                self.keys.insert(key.into_vec(), None);
            }
        }
        Ok(())
    }
}

/// Whether no key can lie between two bounds: asking a map for such a range is an error.
pub(crate) fn is_empty(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    match (start, end) {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => start >= end,
        _ => false,
    }
}

/// Root and counter of a tree, as the catalog tells.
pub(crate) fn find_tree(view: &View<'_>, name: &str) -> Result<Option<(PageId, PageId)>, ViewError> {
    if name.is_empty() {
        // There the catalog keeps what the store is a copy of.
        return Ok(None);
    }
    let record = Tree::new(view, CATALOG).get(name.as_bytes())?;
    Ok(record.map(tree_record).transpose().map_err(Error::from)?)
}
