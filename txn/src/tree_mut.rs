//! A tree as a write transaction changes it.
//!
//! Promises: reads see all changes; inserts that follow one another wait to be applied in the order of their keys, until something else is done;
//! so do removals and deletes, to be applied leaf by leaf.

use crate::deferred::Deferred;
use crate::pages::TxnPages;
use crate::redo::Redo;
use crate::work::{OpenTree, Step, Work, less};
use crate::{Error, Key, KeyBounds, Result};
use pentimento_btree::{self as btree, WritePages};
use std::fmt;

/// An iterator over entries of a [`TreeMut`], from either end.
pub type TxnRange<'t> = btree::Range<'t, TxnPages>;

/// A tree in a write transaction: an ordered map from byte strings to byte strings. Reads see the transaction's own changes.
pub struct TreeMut<'t> {
    work: &'t mut Deferred<Work>,
    /// Which of the trees that the transaction has met.
    at: usize,
}

impl<'t> TreeMut<'t> {
    pub(crate) fn new(work: &'t mut Deferred<Work>, at: usize) -> TreeMut<'t> {
        TreeMut { work, at }
    }

    /// The tree with nothing waiting.
    fn settled(&self) -> (&Work, &OpenTree) {
        let work = self.work.settled(Work::settle);
        (work, &work.notes.trees[self.at])
    }

    fn map(&self) -> Result<btree::Tree<'_, TxnPages>> {
        let (work, open) = self.settled();
        work.check_settled()?;
        Ok(btree::Tree::new(&work.pages, open.record.root))
    }

    /// Changes the tree; a failure half-way makes the transaction impossible to commit, a panic in the caller's code too.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&mut btree::TreeMut<'_, TxnPages>, &mut u64, &mut Redo) -> Result<T>,
    ) -> Result<T> {
        let work = self.work.settled_mut(Work::settle);
        work.check_settled()?;
        work.end_streak(self.at);
        work.change(self.at, change)
    }

    /// Sets the value of a key, without saying what it was: use [`replace`](TreeMut::replace) to know. Inserts that follow one another are
    /// applied together later, before anything else is done or read.
    ///
    /// # Errors
    /// [`Error::KeyTooLong`], [`Error::ValueTooLong`], or when a page is damaged or cannot be had, now or for an earlier insert.
    pub fn insert(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        let work = self.work.as_it_is();
        if !work.should_wait(self.at, Step::Insert, key.len() + value.len()) {
            let work = self.work.settled_mut(Work::settle);
            work.check_settled()?;
            return work.change(self.at, |tree, len, redo| {
                btree::check_entry(key.len(), value.len())?;
                let way = tree.way_in(key)?;
                // Should the insert fail, nothing of this is used.
                redo.insert(key, value);
                *len += u64::from(tree.insert_there(way, key, value)?);
                Ok(())
            });
        }
        btree::check_entry(key.len(), value.len())?;
        let has_room = work.wait(self.at, key, Some(value));
        self.work.defer();
        if has_room { Ok(()) } else { self.work.settled_mut(Work::settle).check_settled() }
    }

    /// Sets the value of a key, and returns what it was.
    ///
    /// # Errors
    /// As for [`insert`](TreeMut::insert).
    pub fn replace(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.change(|tree, len, redo| {
            let (key, value) = (key.as_ref(), value.as_ref());
            let old = tree.replace(key, value)?;
            redo.insert(key, value);
            *len += u64::from(old.is_none());
            Ok(old)
        })
    }

    /// Makes room for a value of `len` bytes, zeroed, and returns it, to be built in place without a copy.
    ///
    /// # Errors
    /// As for [`insert`](TreeMut::insert).
    pub fn insert_reserve(&mut self, key: impl AsRef<[u8]>, len: usize) -> Result<&mut [u8]> {
        let key = key.as_ref();
        let at = self.change(|tree, entries, _| {
            let (is_new, _) = tree.reserve(key, len)?;
            *entries += u64::from(is_new);
            tree.as_tree().locate(key)
        })?;
        let Work { pages, notes, incomplete, .. } = self.work.as_it_is();
        let open = &notes.trees[self.at];
        notes.redo.reserve(&open.name, open.record.root, key);
        let page = at.map(|at| pages.page_mut(at.page, at.end).map(|page| (page, at))).transpose();
        let room = page.map(|page| page.and_then(|(page, at)| page.body.get_mut(at.start..at.end)));
        room.and_then(|room| room.ok_or_else(|| Error::damaged("page", "the room that was just made is not there")))
            .inspect_err(|_| *incomplete = true)
    }

    /// Removes a key, without saying whether it was there: use [`remove`](TreeMut::remove) to know. Deletes that follow one another are applied
    /// together later, in the order of their keys, before anything else is done or read: where there are many that is several times as fast.
    ///
    /// ```
    /// # fn main() -> Result<(), pentimento_txn::Error> {
    /// let db = pentimento_txn::Database::in_memory()?;
    /// let mut txn = db.begin_write()?;
    /// let mut tree = txn.tree("sessions")?;
    /// tree.insert("1001", "Ada")?;
    /// tree.delete("1001")?;
    /// tree.delete("1002")?;
    /// assert!(tree.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a page is damaged or cannot be had, now or for an earlier delete.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        let key = key.as_ref();
        let work = self.work.as_it_is();
        if !work.should_wait(self.at, Step::Delete, key.len()) {
            return self.remove_now(key).map(drop);
        }
        let has_room = work.wait(self.at, key, None);
        self.work.defer();
        if has_room { Ok(()) } else { self.work.settled_mut(Work::settle).check_settled() }
    }

    fn remove_now(&mut self, key: &[u8]) -> Result<bool> {
        let work = self.work.settled_mut(Work::settle);
        work.check_settled()?;
        work.change(self.at, |tree, len, redo| {
            let was_there = tree.remove(key)?;
            if was_there {
                redo.remove(key);
            }
            *len = less(*len, u64::from(was_there))?;
            Ok(was_there)
        })
    }

    /// Removes a key; `false` if it was not there. Removals that follow one another look for their keys at once, and are applied together
    /// later, before anything else is done or read.
    ///
    /// # Errors
    /// When a page is damaged or cannot be had, now or for an earlier removal.
    pub fn remove(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        let key = key.as_ref();
        let work = self.work.as_it_is();
        if !work.should_mark(self.at) {
            return self.remove_now(key);
        }
        work.check_settled()?;
        let (was_there, is_full) = work.mark(self.at, key)?;
        self.work.defer();
        if is_full {
            self.work.settled_mut(Work::settle).check_settled()?;
        }
        Ok(was_there)
    }

    /// Removes a key, and returns its value.
    ///
    /// # Errors
    /// When a page is damaged or cannot be had.
    pub fn take(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.change(|tree, len, redo| {
            let old = tree.take(key.as_ref())?;
            if old.is_some() {
                redo.remove(key.as_ref());
            }
            *len = less(*len, u64::from(old.is_some()))?;
            Ok(old)
        })
    }

    /// Removes the entry with the smallest key, and returns it.
    ///
    /// # Errors
    /// When a page is damaged or cannot be had.
    pub fn pop_first(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        self.change(|tree, len, redo| {
            let entry = tree.pop_first()?;
            if let Some((key, _)) = &entry {
                redo.remove(key);
            }
            *len = less(*len, u64::from(entry.is_some()))?;
            Ok(entry)
        })
    }

    /// Removes the entry with the greatest key, and returns it.
    ///
    /// # Errors
    /// When a page is damaged or cannot be had.
    pub fn pop_last(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        self.change(|tree, len, redo| {
            let entry = tree.pop_last()?;
            if let Some((key, _)) = &entry {
                redo.remove(key);
            }
            *len = less(*len, u64::from(entry.is_some()))?;
            Ok(entry)
        })
    }

    /// Removes every entry whose key lies in a range, and tells how many.
    ///
    /// # Errors
    /// When a page is damaged or cannot be had.
    pub fn remove_range(&mut self, bounds: impl KeyBounds) -> Result<u64> {
        self.change(|tree, len, redo| {
            redo.remove_range(&bounds);
            let removed = tree.remove_range(bounds)?;
            *len = less(*len, removed)?;
            Ok(removed)
        })
    }

    /// Removes every entry, and tells how many.
    ///
    /// # Errors
    /// When a page is damaged or cannot be had.
    pub fn clear(&mut self) -> Result<u64> {
        self.change(|tree, len, redo| {
            let removed = tree.clear()?;
            *len = 0;
            redo.clear();
            Ok(removed)
        })
    }

    /// Inserts many entries, sorted or not; of equal keys the last wins. Into an empty tree, or a gap between its keys, the pages
    /// are built full, from the bottom up. Tells how many keys are new.
    ///
    /// Sorted input is consumed as it comes, and held until it is built into pages in pieces of three quarters of the spill limit; from the
    /// first entry that is out of order on, the rest is held in memory to be sorted.
    ///
    /// # Errors
    /// As for [`insert`](TreeMut::insert); the transaction cannot be committed then.
    pub fn bulk_load<K, V>(&mut self, entries: impl IntoIterator<Item = (K, V)>) -> Result<u64>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let before = self.settled().1.len;
        let work = self.work.as_it_is();
        work.check_settled()?;
        // Until it is done: the iterator may panic, and of a load that fails some entries are there.
        let was_incomplete = std::mem::replace(&mut work.incomplete, true);
        work.notes.redo.finish_reserved(&work.pages)?;
        // Before the entries wait: should they be left waiting, nothing of another kind joins them.
        work.end_streak(self.at);
        self.load(entries.into_iter())?;
        let work = self.work.settled_mut(Work::settle);
        work.check_settled()?;
        work.incomplete = was_incomplete;
        Ok(self.len() - before)
    }

    /// Entries that ascend wait, and are built into pages together; from the first that does not, or is too large to wait, the rest is loaded
    /// by the tree itself.
    fn load<K: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, mut entries: impl Iterator<Item = (K, V)>) -> Result<()> {
        let mut last = Vec::new();
        while let Some((key, value)) = entries.next() {
            let (k, v) = (key.as_ref(), value.as_ref());
            let work = self.work.as_it_is();
            if k < last.as_slice() || !work.can_wait(k.len() + v.len()) {
                let rest = std::iter::once((key, value)).chain(entries);
                return self.change(|tree, len, redo| {
                    let rest = rest.inspect(|(key, value)| redo.insert(key.as_ref(), value.as_ref()));
                    *len += tree.bulk_load(rest)?;
                    Ok(())
                });
            }
            btree::check_entry(k.len(), v.len())?;
            last.clear();
            last.extend_from_slice(k);
            let has_room = work.wait(self.at, k, Some(v));
            self.work.defer();
            if !has_room {
                self.work.settled_mut(Work::settle).check_settled()?;
            }
        }
        Ok(())
    }

    /// The value of a key, borrowed from the transaction.
    ///
    /// # Errors
    /// When a page on the way is damaged.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<&[u8]>> {
        self.map()?.get(key.as_ref())
    }

    /// Whether there is an entry of this key.
    ///
    /// # Errors
    /// When a page on the way is damaged.
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.map()?.contains_key(key.as_ref())
    }

    /// The entry with the smallest key.
    ///
    /// # Errors
    /// When a page on the way is damaged.
    pub fn first(&self) -> Result<Option<(Key<'_>, &[u8])>> {
        self.map()?.first()
    }

    /// The entry with the greatest key.
    ///
    /// # Errors
    /// When a page on the way is damaged.
    pub fn last(&self) -> Result<Option<(Key<'_>, &[u8])>> {
        self.map()?.last()
    }

    /// The entries whose keys lie in a range, in order, as for [`Tree::range`](crate::Tree::range).
    ///
    /// # Errors
    /// When a page on the way is damaged.
    pub fn range(&self, bounds: impl KeyBounds) -> Result<TxnRange<'_>> {
        self.map()?.range(bounds)
    }

    /// The entries whose keys begin with `prefix`, in order.
    ///
    /// # Errors
    /// When a page on the way is damaged.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<TxnRange<'_>> {
        self.map()?.prefix(prefix.as_ref())
    }

    /// All entries, in order.
    ///
    /// # Errors
    /// When a page on the way is damaged.
    pub fn iter(&self) -> Result<TxnRange<'_>> {
        self.map()?.iter()
    }

    /// The number of entries, without counting them. If earlier inserts fail now, the next operation tells why.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.settled().1.len
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for TreeMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeMut").finish_non_exhaustive()
    }
}
