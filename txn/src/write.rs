//! Write transactions.
//!
//! Promises: one at a time, in the order in which they asked; nothing is seen by others before the commit; dropping the transaction leaves the
//! store as it was; an operation that fails half-way makes the transaction impossible to commit, unless it is rolled back to a savepoint before.

use crate::backup::Origin;
use crate::database::Handle;
use crate::deferred::Deferred;
use crate::optimistic::Footprint;
use crate::pages::TxnPages;
use crate::redo::Mark;
use crate::sync::{Arc, Ordering};
use crate::tree_mut::TreeMut;
use crate::work::{OpenTree, Work};
use crate::{Durability, Error, Result, Timestamp};
use crate::{catalog, recent};
use pentimento_btree as btree;
use pentimento_storage as storage;
use std::fmt;

/// How many pages of a dropped tree are given back with the drop itself; larger trees are given back by later commits.
const DROP_AT_ONCE: usize = 256;

/// A point inside a transaction to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Savepoint(storage::Savepoint);

/// The one transaction that may change the store. Dropped without [`commit`](WriteTransaction::commit), it leaves no trace.
///
/// Inserts that follow one another are gathered, and applied together in the order of their keys before anything else is done or read; so a page
/// that is damaged or cannot be had may be told by a later operation than the insert that needs it.
pub struct WriteTransaction {
    pub(crate) work: Deferred<Work>,
    pub(crate) base: Timestamp,
    pub(crate) durability: Durability,
    /// What the operations were at each savepoint.
    marks: Vec<(storage::Savepoint, Mark)>,
    /// What a concurrent transaction that is being committed wrote; else it is derived from the operations.
    pub(crate) footprint: Option<Footprint>,
    /// Whether it applies what another store did.
    pub(crate) is_receiving: bool,
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
        WriteTransaction::with_redo_limit(pages, handle, limit)
    }

    fn with_redo_limit(mut pages: storage::WriteSet, handle: Arc<Handle>, limit: usize) -> WriteTransaction {
        let (base, shared) = (pages.base(), &handle.shared);
        let mut notes = recent::take(pages.left(), base);
        notes.redo.begin_anew(limit);
        WriteTransaction {
            base,
            work: Deferred::new(Work::new(TxnPages(pages), notes, shared.store.options().spill)),
            durability: handle.shared.durability,
            marks: Vec::new(),
            footprint: None,
            is_receiving: false,
            handle,
        }
    }

    /// A transaction that does again what the journal tells.
    pub(crate) fn replaying(pages: storage::WriteSet, handle: Arc<Handle>) -> WriteTransaction {
        WriteTransaction::with_redo_limit(pages, handle, 0)
    }

    /// Commits what was done again: visible at once, and not journaled a second time.
    pub(crate) fn commit_replayed(mut self) -> Result<()> {
        self.work()?.finish_operations()?;
        let _ = self.work.into_inner().pages.0.install_always(false);
        Ok(())
    }

    /// What the transaction has done so far, with nothing waiting.
    pub(crate) fn work(&mut self) -> Result<&mut Work> {
        let work = self.work.settled_mut(Work::settle);
        work.check_settled()?;
        Ok(work)
    }

    pub(crate) fn pages_mut(&mut self) -> Result<&mut TxnPages> {
        Ok(&mut self.work()?.pages)
    }

    fn pages(&self) -> Result<&TxnPages> {
        let work = self.work.settled(Work::settle);
        work.check_settled()?;
        Ok(&work.pages)
    }

    /// The commit that this transaction began after.
    #[must_use]
    pub fn base(&self) -> Timestamp {
        self.base
    }

    /// When this commit is to be durable, instead of the database's choice.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for an interval of zero: that is [`Durability::Sync`].
    pub fn set_durability(&mut self, durability: Durability) -> Result<()> {
        self.durability = check_durability(durability)?;
        Ok(())
    }

    /// The tree of this name, made if it is missing. Drop the handle to open another tree; opening one again costs a look into a small map.
    ///
    /// # Errors
    /// [`Error::InvalidTreeName`], or when the store is damaged.
    pub fn tree(&mut self, name: &str) -> Result<TreeMut<'_>> {
        if let Some(at) = self.work.as_it_is().meet(name)? {
            return Ok(TreeMut::new(&mut self.work, at));
        }
        catalog::check_name(name)?;
        self.attempt(|work, _| {
            work.notes.redo.finish_reserved(&work.pages)?;
            let record = catalog::make(&mut work.pages)?;
            let open = OpenTree::new(name, record, 0);
            work.notes.redo.enter(&open.name, open.record.root);
            work.notes.redo.created_tree(name);
            catalog::put(&mut work.pages, name, record)?;
            work.add(open);
            Ok(())
        })?;
        self.existing_tree(name)
    }

    /// The tree of this name, if there is one.
    ///
    /// # Errors
    /// [`Error::NoSuchTree`], or when the store is damaged.
    pub fn existing_tree(&mut self, name: &str) -> Result<TreeMut<'_>> {
        match self.work.as_it_is().meet(name)? {
            Some(at) => Ok(TreeMut::new(&mut self.work, at)),
            None => Err(Error::NoSuchTree { name: name.to_owned() }),
        }
    }

    /// Whether there is a tree of this name.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn has_tree(&self, name: &str) -> Result<bool> {
        Ok(catalog::find(self.pages()?, name)?.is_some())
    }

    /// The names of all trees, in order.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn trees(&self) -> Result<Vec<String>> {
        Ok(catalog::list(self.pages()?)?.into_iter().map(|(name, _)| name).collect())
    }

    /// Drops a tree with all its entries; `false` if there was none. The pages of a large tree are given back by later commits, or by
    /// [`Database::maintain`](crate::Database::maintain).
    ///
    /// # Errors
    /// When the store is damaged or a page cannot be had.
    pub fn drop_tree(&mut self, name: &str) -> Result<bool> {
        let Some(at) = self.work()?.meet(name)? else { return Ok(false) };
        self.attempt(|work, handle| {
            work.notes.redo.finish_reserved(&work.pages)?;
            let record = work.notes.trees[at].record;
            catalog::remove(&mut work.pages, name)?;
            work.notes.trees.remove(at);
            work.notes.redo.drop_tree(name);
            work.pages.0.free(record.counter)?;
            if !btree::dismantle(&mut work.pages, record.root, DROP_AT_ONCE)? {
                catalog::doom(&mut work.pages, record.root)?;
                handle.shared.has_doomed.store(true, Ordering::Relaxed);
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
        let work = self.work()?;
        if work.meet(from)?.is_none() {
            return Err(Error::NoSuchTree { name: from.to_owned() });
        }
        if work.meet(to)?.is_some() {
            return Err(Error::TreeExists { name: to.to_owned() });
        }
        self.attempt(|work, _| {
            work.notes.redo.finish_reserved(&work.pages)?;
            let at = work.meet(from)?.ok_or_else(|| Error::NoSuchTree { name: from.to_owned() })?;
            catalog::remove(&mut work.pages, from)?;
            work.notes.redo.rename_tree(from, to);
            catalog::put(&mut work.pages, to, work.notes.trees[at].record)?;
            let mut open = work.notes.trees.remove(at);
            open.name = to.into();
            work.add(open);
            Ok(())
        })
    }

    /// What the store is a copy of.
    pub(crate) fn origin(&self) -> Result<Option<Origin>> {
        catalog::origin(self.pages()?)?.map(Origin::of_note).transpose()
    }

    /// Notes what the store is a copy of.
    pub(crate) fn set_origin_note(&mut self, note: &[u8]) -> Result<()> {
        self.attempt(|work, _| {
            work.notes.redo.finish_reserved(&work.pages)?;
            catalog::put_origin(&mut work.pages, note)?;
            work.notes.redo.origin(note);
            Ok(())
        })
    }

    /// Does something of several steps, with nothing waiting; if it fails between them the transaction cannot be committed.
    fn attempt<T>(&mut self, steps: impl FnOnce(&mut Work, &Handle) -> Result<T>) -> Result<T> {
        self.work()?;
        let work = self.work.as_it_is();
        let was_incomplete = std::mem::replace(&mut work.incomplete, true);
        let result = steps(work, &self.handle);
        if result.as_ref().map_or_else(Error::is_refusal, |_| true) {
            work.incomplete = was_incomplete;
        }
        result
    }

    /// Marks the state as it is now, so that [`rollback_to`](WriteTransaction::rollback_to) can go back to it. From here on each page that
    /// is changed costs a copy of what it was.
    ///
    /// # Errors
    /// [`Error::Incomplete`] after a failed operation.
    pub fn savepoint(&mut self) -> Result<Savepoint> {
        let work = self.complete_work()?;
        let savepoint = work.pages.0.savepoint();
        let mark = work.notes.redo.mark();
        self.marks.push((savepoint, mark));
        Ok(Savepoint(savepoint))
    }

    /// What the transaction has done, complete and up to date.
    pub(crate) fn complete_work(&mut self) -> Result<&mut Work> {
        if self.work.as_it_is().incomplete {
            return Err(Error::Incomplete);
        }
        let work = self.work()?;
        work.finish_operations()?;
        Ok(work)
    }

    /// Goes back to a savepoint: everything since is undone. The savepoint stays and can be used again; those made after it are gone.
    ///
    /// # Errors
    /// [`Error::SavepointGone`].
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> Result<()> {
        let work = self.work.as_it_is();
        if !work.pages.0.rollback_to(savepoint.0) {
            return Err(Error::SavepointGone);
        }
        self.marks.retain(|(mark, _)| work.pages.0.has_savepoint(*mark));
        // What waits came after every savepoint.
        work.forget();
        if let Some((_, mark)) = self.marks.last() {
            work.notes.redo.go_back(mark);
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
