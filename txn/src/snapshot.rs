//! Snapshots: the whole store at one moment.
//!
//! Promises: taking and dropping one takes no lock and waits for nobody; it sees all of every commit up to its timestamp and nothing after,
//! for as long as it lives; clones, owned iterators and [`Bytes`] share its one registration.

use crate::catalog::{self, TreeRecord};
use crate::last_tree;
use crate::owned::OwnedRange;
use crate::{Error, Key, KeyBounds, Result, Timestamp};
use bytes::Bytes;
use pentimento_btree::{self as btree, ReadPages};
use pentimento_storage::{Hint, PageId, Pin};
use std::fmt;

/// A read-only view of the whole store at one moment.
///
/// It is `Send`, `Sync` and cheap to clone, can be kept for days, and costs the writers nothing. While it lives the store
/// keeps what it can see, and only that. Give it a [label](Snapshot::set_label) so that [`Database::readers`](crate::Database::readers)
/// can tell who holds what.
#[derive(Clone)]
pub struct Snapshot {
    pin: Pin,
}

impl Snapshot {
    pub(crate) fn new(pin: Pin) -> Snapshot {
        Snapshot { pin }
    }

    /// The newest commit that this snapshot sees.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.pin.at()
    }

    /// Whether somebody asked this reader to stop: [`Database::ask_to_stop`](crate::Database::ask_to_stop), or the callback of
    /// [`Builder::on_old_reader`](crate::Builder::on_old_reader). Nothing else happens to it: a long walk that wants to be polite looks here now and then. Clones are asked together.
    #[must_use]
    pub fn is_asked_to_stop(&self) -> bool {
        self.pin.is_asked_to_stop()
    }

    /// Names the snapshot in statistics. Clones share the name.
    pub fn set_label(&self, label: &str) {
        self.pin.set_label(label);
    }

    /// The same, for use where the snapshot is made: `db.snapshot()?.labelled("nightly report")`.
    #[must_use]
    pub fn labelled(self, label: &str) -> Snapshot {
        self.set_label(label);
        self
    }

    /// The tree of this name.
    ///
    /// # Errors
    /// [`Error::NoSuchTree`] if there was none at this moment.
    pub fn tree(&self, name: &str) -> Result<Tree<'_>> {
        Ok(Tree { snapshot: self, record: last_tree::find(self, name)? })
    }

    /// Whether there was a tree of this name.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn has_tree(&self, name: &str) -> Result<bool> {
        Ok(catalog::find(self, name)?.is_some())
    }

    /// The names of all trees, in order.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn trees(&self) -> Result<Vec<String>> {
        Ok(catalog::list(self)?.into_iter().map(|(name, _)| name).collect())
    }

    pub(crate) fn pin(&self) -> &Pin {
        &self.pin
    }

    pub(crate) fn register(&self, id: PageId) -> Result<u64> {
        Ok(self.pin.register(id)?)
    }

    pub(crate) fn bytes(&self, at: btree::ValueLocation) -> Result<Bytes> {
        let bytes = self.pin.bytes(at.page, at.start..at.end)?;
        bytes.ok_or_else(|| Error::damaged("page", format!("page {}: a value lies outside of it", at.page)))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("timestamp", &self.timestamp()).finish_non_exhaustive()
    }
}

impl ReadPages for Snapshot {
    type Error = Error;

    #[inline(always)]
    fn page(&self, id: PageId) -> Result<&[u8]> {
        match self.pin.page(id) {
            Ok(body) => Ok(body),
            Err(error) => Err(error.into()),
        }
    }

    #[inline(always)]
    fn page_part(&self, id: PageId, len: usize) -> Result<&[u8]> {
        match self.pin.page_part(id, len) {
            Ok(body) => Ok(body),
            Err(error) => Err(error.into()),
        }
    }

    #[inline(always)]
    fn beside(&self, id: PageId) -> Result<Option<&[u8]>> {
        match self.pin.beside(id) {
            Ok(body) => Ok(body),
            Err(error) => Err(error.into()),
        }
    }

    #[inline(always)]
    fn prefetch(&self, id: PageId) {
        self.pin.prefetch(id);
    }

    #[inline(always)]
    fn prefetch_place(&self, id: PageId) {
        self.pin.prefetch_place(id);
    }

    #[inline(always)]
    fn prefetch_for(&self, id: PageId, share: Option<u32>) {
        self.pin.prefetch_for(id, share);
    }

    #[inline(always)]
    fn hint(&self, id: PageId) -> Hint {
        self.pin.hint(id)
    }
}

/// An iterator over entries of a [`Tree`], from either end. Each item is the key and the value, or an error, after which it ends.
pub type Range<'s> = btree::Range<'s, Snapshot>;

/// A tree as a snapshot sees it: an ordered map from byte strings to byte strings, in lexicographic order.
#[derive(Clone, Copy)]
pub struct Tree<'s> {
    snapshot: &'s Snapshot,
    record: TreeRecord,
}

impl<'s> Tree<'s> {
    pub(crate) fn new(snapshot: &'s Snapshot, record: TreeRecord) -> Tree<'s> {
        Tree { snapshot, record }
    }

    #[inline(always)]
    fn map(&self) -> btree::Tree<'s, Snapshot> {
        btree::Tree::new(self.snapshot, self.record.root)
    }

    /// The value of a key, borrowed from the snapshot, not copied.
    ///
    /// # Errors
    /// When a page on the way is damaged.
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<&'s [u8]>> {
        self.map().get(key.as_ref())
    }

    /// The value of a key as an owner that keeps the snapshot alive, without a copy.
    ///
    /// # Errors
    /// When a page on the way is damaged.
    pub fn get_bytes(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        let at = self.map().locate(key.as_ref())?;
        at.map(|at| self.snapshot.bytes(at)).transpose()
    }

    /// Whether there is an entry of this key.
    ///
    /// # Errors
    /// When a page on the way is damaged.
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.map().contains_key(key.as_ref())
    }

    /// The entry with the smallest key.
    ///
    /// # Errors
    /// When a page on the way is damaged.
    pub fn first(&self) -> Result<Option<(Key<'s>, &'s [u8])>> {
        self.map().first()
    }

    /// The entry with the greatest key.
    ///
    /// # Errors
    /// When a page on the way is damaged.
    pub fn last(&self) -> Result<Option<(Key<'s>, &'s [u8])>> {
        self.map().last()
    }

    /// The entries whose keys lie in a range, in order. Any range will do: `b"a".as_slice()..`, `..=&key`, or a pair of
    /// [`Bound`](std::ops::Bound)s; one that begins beyond its end is empty.
    ///
    /// # Errors
    /// When a page on the way is damaged; this may be told by the first entry.
    #[inline]
    pub fn range(&self, bounds: impl KeyBounds) -> Result<Range<'s>> {
        self.map().range(bounds)
    }

    /// The entries whose keys begin with `prefix`, in order.
    ///
    /// # Errors
    /// When a page on the way is damaged; this may be told by the first entry.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Range<'s>> {
        self.map().prefix(prefix.as_ref())
    }

    /// All entries, in order.
    ///
    /// # Errors
    /// When a page on the way is damaged; this may be told by the first entry.
    pub fn iter(&self) -> Result<Range<'s>> {
        self.map().iter()
    }

    /// As [`range`](Tree::range), but owning its snapshot: it can go to another thread, or be kept in a struct or a stream.
    #[must_use]
    pub fn range_owned(&self, bounds: impl KeyBounds) -> OwnedRange {
        OwnedRange::new(self.snapshot.clone(), self.record.root, bounds)
    }

    /// The number of entries, without counting them.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn len(&self) -> Result<u64> {
        self.snapshot.register(self.record.counter)
    }

    /// Whether there are no entries.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl fmt::Debug for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("root", &self.record.root).field("at", &self.snapshot.timestamp()).finish()
    }
}
