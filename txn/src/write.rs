//! Write transactions.
//!
//! Promises: one at a time, in the order in which they asked; nothing is seen by others before the commit; dropping the transaction leaves the
//! store as it was; an operation that fails half-way makes the transaction impossible to commit, unless it is rolled back to a savepoint before.

use crate::catalog::{self, TreeRecord};
use crate::database::Handle;
use crate::optimistic::Footprint;
use crate::pages::TxnPages;
use crate::redo::{Mark, Redo};
use crate::sync::{Arc, Ordering};
use crate::tree_mut::TreeMut;
use crate::{Durability, Error, Result, Timestamp};
use pentimento_btree as btree;
use pentimento_storage as storage;
use std::collections::HashMap;
use std::fmt;

/// How many pages of a dropped tree are given back with the drop itself; larger trees are given back by later commits.
const DROP_AT_ONCE: usize = 256;

/// A tree that the transaction has met.
#[derive(Clone, Debug)]
pub(crate) struct OpenTree {
    pub name: Arc<str>,
    pub record: TreeRecord,
    pub len: u64,
    /// Whether `len` differs from the register.
    pub is_stale: bool,
}

/// A point inside a transaction to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Savepoint(storage::Savepoint);

/// The one transaction that may change the store. Dropped without [`commit`](WriteTransaction::commit), it leaves no trace.
pub struct WriteTransaction {
    pub(crate) pages: TxnPages,
    trees: HashMap<String, OpenTree>,
    pub(crate) durability: Durability,
    incomplete: bool,
    pub(crate) redo: Redo,
    /// What the operations were at each savepoint.
    marks: Vec<(storage::Savepoint, Mark)>,
    /// What a concurrent transaction that is being committed wrote; else it is derived from the operations.
    pub(crate) footprint: Option<Footprint>,
    pub(crate) handle: Arc<Handle>,
}

impl WriteTransaction {
    pub(crate) fn new(pages: storage::WriteSet, handle: Arc<Handle>) -> WriteTransaction {
        let shared = &handle.shared;
        let limit = match shared.journal.get() {
            Some(journal) => journal.max_body(),
            // Nothing will be journaled, but concurrent transactions want to know the keys.
            None if shared.conflicts.is_used() => shared.conflicts.commit_limit(),
            None => 0,
        };
        WriteTransaction {
            pages: TxnPages(pages),
            trees: HashMap::new(),
            durability: handle.shared.durability,
            incomplete: false,
            redo: Redo::up_to(limit),
            marks: Vec::new(),
            footprint: None,
            handle,
        }
    }

    /// A transaction that does again what the journal tells.
    pub(crate) fn replaying(pages: storage::WriteSet, handle: Arc<Handle>) -> WriteTransaction {
        let mut txn = WriteTransaction::new(pages, handle);
        txn.redo = Redo::up_to(0);
        txn
    }

    /// Commits what was done again: visible at once, and not journaled a second time.
    pub(crate) fn commit_replayed(mut self) -> Result<()> {
        self.finish_operations()?;
        let WriteTransaction { pages, .. } = self;
        let _ = pages.0.install_always(false);
        Ok(())
    }

    /// Brings lengths and operations up to date.
    pub(crate) fn finish_operations(&mut self) -> Result<()> {
        self.redo.finish_reserved(&self.pages)?;
        self.store_lens()
    }

    pub(crate) fn pages_mut(&mut self) -> &mut TxnPages {
        &mut self.pages
    }

    /// The commit that this transaction began after.
    #[must_use]
    pub fn base(&self) -> Timestamp {
        self.pages.0.base()
    }

    /// When this commit is to be durable, instead of the database's choice.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for an interval of zero: that is [`Durability::Sync`].
    pub fn set_durability(&mut self, durability: Durability) -> Result<()> {
        self.durability = check_durability(durability)?;
        Ok(())
    }

    /// Whether there is a tree of this name; if so it is among `trees` then.
    fn meet(&mut self, name: &str) -> Result<bool> {
        Ok(self.trees.contains_key(name) || self.record(name)?.is_some())
    }

    fn record(&mut self, name: &str) -> Result<Option<OpenTree>> {
        if let Some(open) = self.trees.get(name) {
            return Ok(Some(open.clone()));
        }
        let Some(record) = catalog::find(&self.pages, name)? else { return Ok(None) };
        let open = OpenTree { name: name.into(), record, len: self.pages.0.register(record.counter)?, is_stale: false };
        self.trees.insert(name.to_owned(), open.clone());
        Ok(Some(open))
    }

    fn open(&mut self, name: &str) -> TreeMut<'_> {
        let open = self.trees.get_mut(name).expect("the tree was met before");
        TreeMut::new(&mut self.pages, open, &mut self.redo, &mut self.incomplete)
    }

    /// The tree of this name, made if it is missing. Drop the handle to open another tree; opening one again costs a look into a small map.
    ///
    /// # Errors
    /// [`Error::InvalidTreeName`], or when the store is damaged.
    pub fn tree(&mut self, name: &str) -> Result<TreeMut<'_>> {
        if !self.meet(name)? {
            catalog::check_name(name)?;
            self.attempt(|txn| {
                txn.redo.finish_reserved(&txn.pages)?;
                let root = btree::create(&mut txn.pages)?;
                let counter = txn.pages.0.allocate_register(0)?;
                let record = TreeRecord { root, counter };
                txn.redo.enter(name);
                txn.redo.created_tree(name);
                catalog::put(&mut txn.pages, name, record)?;
                txn.trees.insert(name.to_owned(), OpenTree { name: name.into(), record, len: 0, is_stale: false });
                Ok(())
            })?;
        }
        Ok(self.open(name))
    }

    /// The tree of this name, if there is one.
    ///
    /// # Errors
    /// [`Error::NoSuchTree`], or when the store is damaged.
    pub fn existing_tree(&mut self, name: &str) -> Result<TreeMut<'_>> {
        if !self.meet(name)? {
            return Err(Error::NoSuchTree { name: name.to_owned() });
        }
        Ok(self.open(name))
    }

    /// Whether there is a tree of this name.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn has_tree(&self, name: &str) -> Result<bool> {
        Ok(self.trees.contains_key(name) || catalog::find(&self.pages, name)?.is_some())
    }

    /// The names of all trees, in order.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn trees(&self) -> Result<Vec<String>> {
        Ok(catalog::list(&self.pages)?.into_iter().map(|(name, _)| name).collect())
    }

    /// Drops a tree with all its entries; `false` if there was none. The pages of a large tree are given back by later commits, or by
    /// [`Database::maintain`](crate::Database::maintain).
    ///
    /// # Errors
    /// When the store is damaged or a page cannot be had.
    pub fn drop_tree(&mut self, name: &str) -> Result<bool> {
        let Some(open) = self.record(name)? else { return Ok(false) };
        self.attempt(|txn| {
            txn.redo.finish_reserved(&txn.pages)?;
            catalog::remove(&mut txn.pages, name)?;
            txn.trees.remove(name);
            txn.redo.drop_tree(name);
            txn.pages.0.free(open.record.counter)?;
            if !btree::dismantle(&mut txn.pages, open.record.root, DROP_AT_ONCE)? {
                catalog::doom(&mut txn.pages, open.record.root)?;
                txn.handle.shared.has_doomed.store(true, Ordering::Relaxed);
            }
            Ok(true)
        })
    }

    /// Gives a tree another name.
    ///
    /// # Errors
    /// [`Error::NoSuchTree`] if there is none of the first name, [`Error::TreeExists`] if there is one of the second.
    pub fn rename_tree(&mut self, from: &str, to: &str) -> Result<()> {
        catalog::check_name(to)?;
        let Some(open) = self.record(from)? else { return Err(Error::NoSuchTree { name: from.to_owned() }) };
        if self.has_tree(to)? {
            return Err(Error::TreeExists { name: to.to_owned() });
        }
        self.attempt(|txn| {
            txn.redo.finish_reserved(&txn.pages)?;
            catalog::remove(&mut txn.pages, from)?;
            txn.redo.rename_tree(from, to);
            catalog::put(&mut txn.pages, to, open.record)?;
            txn.trees.remove(from);
            txn.trees.insert(to.to_owned(), OpenTree { name: to.into(), ..open });
            Ok(())
        })
    }

    /// Does something of several steps; if it fails between them the transaction cannot be committed.
    fn attempt<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let was_incomplete = std::mem::replace(&mut self.incomplete, true);
        let result = work(self);
        if result.as_ref().map_or_else(Error::is_refusal, |_| true) {
            self.incomplete = was_incomplete;
        }
        result
    }

    /// Marks the state as it is now, so that [`rollback_to`](WriteTransaction::rollback_to) can go back to it. From here on each page that
    /// is changed costs a copy of what it was.
    ///
    /// # Errors
    /// [`Error::Incomplete`] after a failed operation.
    pub fn savepoint(&mut self) -> Result<Savepoint> {
        self.check_complete()?;
        self.finish_operations()?;
        let savepoint = self.pages.0.savepoint();
        self.marks.push((savepoint, self.redo.mark()));
        Ok(Savepoint(savepoint))
    }

    /// Goes back to a savepoint: everything since is undone. The savepoint stays and can be used again; those made after it are gone.
    ///
    /// # Errors
    /// [`Error::SavepointGone`].
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> Result<()> {
        if !self.pages.0.rollback_to(savepoint.0) {
            return Err(Error::SavepointGone);
        }
        self.marks.retain(|(mark, _)| self.pages.0.has_savepoint(*mark));
        if let Some((_, mark)) = self.marks.last() {
            self.redo.go_back(mark);
        }
        self.trees.clear();
        self.incomplete = false;
        Ok(())
    }

    pub(crate) fn check_complete(&self) -> Result<()> {
        if self.incomplete { Err(Error::Incomplete) } else { Ok(()) }
    }

    /// Brings the registers of the trees' lengths up to date.
    fn store_lens(&mut self) -> Result<()> {
        for open in self.trees.values_mut().filter(|open| open.is_stale) {
            self.pages.0.set_register(open.record.counter, open.len)?;
            open.is_stale = false;
        }
        Ok(())
    }

    /// Drops the transaction and all that it did. The same as letting it go out of scope.
    pub fn rollback(self) {}
}

pub(crate) fn check_durability(durability: Durability) -> Result<Durability> {
    match durability {
        Durability::Interval(interval) if interval.is_zero() => {
            Err(Error::InvalidOption { option: "durability", why: "an interval must be longer than zero" })
        }
        durability => Ok(durability),
    }
}

impl fmt::Debug for WriteTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteTransaction").field("base", &self.base()).finish_non_exhaustive()
    }
}
