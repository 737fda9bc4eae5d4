//! The map as it is read.
//!
//! Promises: no operation here allocates, except for keys too long to be put together in place and for the bounds of
//! ranges; what is handed out borrows the pages and not the [`Tree`].

use std::ops::Bound;

use pentimento_storage::PageId;

use crate::bounds::{KeyBounds, end_of_prefix};
use crate::lookup;
use crate::node::Node;
use crate::pages::ReadPages;
use crate::path::{Path, Way};
use crate::range::{Entry, Range};
use crate::value::ValueLocation;

/// An ordered map from byte strings to byte strings, read through `P`.
#[derive(Debug)]
pub struct Tree<'p, P> {
    pages: &'p P,
    root: PageId,
}

impl<P> Clone for Tree<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Tree<'_, P> {}

impl<'p, P: ReadPages> Tree<'p, P> {
    /// The tree whose root is page `root`.
    #[must_use]
    pub fn new(pages: &'p P, root: PageId) -> Tree<'p, P> {
        Tree { pages, root }
    }

    /// The page of the root.
    #[must_use]
    pub fn root(&self) -> PageId {
        self.root
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// When a page cannot be read or is damaged.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Result<Option<&'p [u8]>, P::Error> {
        match lookup::find(self.pages, self.root, key)? {
            Some((_, stored)) => stored.resolve(self.pages).map(Some),
            None => Ok(None),
        }
    }

    /// Where the value of `key` stands. A large value's page is not looked at: check that its body is as long as
    /// the location says before slicing it.
    ///
    /// # Errors
    /// When a page cannot be read or is damaged.
    #[inline]
    pub fn locate(&self, key: &[u8]) -> Result<Option<ValueLocation>, P::Error> {
        Ok(lookup::find(self.pages, self.root, key)?.map(|(leaf, stored)| leaf.location(&stored)))
    }

    /// Whether there is an entry for `key`.
    ///
    /// # Errors
    /// When a page cannot be read or is damaged.
    pub fn contains_key(&self, key: &[u8]) -> Result<bool, P::Error> {
        Ok(lookup::find(self.pages, self.root, key)?.is_some())
    }

    /// A hint that `key` is about to be looked up or changed: goes down to the branch above its leaf, and asks for the
    /// leaf without waiting for it. Worth its while a few keys ahead in a batch.
    ///
    /// # Errors
    /// When a branch cannot be read or is damaged.
    pub fn prefetch(&self, key: &[u8]) -> Result<(), P::Error> {
        let (_, leaf) = Path::seek_unread(self.pages, self.root, key)?;
        self.pages.prefetch(leaf);
        Ok(())
    }

    /// Whether all of the tree stands in its root's page, so that it is as it was while that is.
    ///
    /// # Errors
    /// When the page cannot be read or is damaged.
    pub fn is_one_page(&self) -> Result<bool, P::Error> {
        let root = Node::read(self.pages, self.root)?;
        Ok(root.is_leaf() && root.delta().is_none())
    }

    /// Whether there are no entries.
    ///
    /// # Errors
    /// When a page cannot be read or is damaged.
    pub fn is_empty(&self) -> Result<bool, P::Error> {
        let (_, leaf) = Path::seek(self.pages, self.root, Way::First)?;
        Ok(leaf.count() == 0)
    }

    /// The entry with the least key.
    ///
    /// # Errors
    /// When a page cannot be read or is damaged.
    pub fn first(&self) -> Result<Option<Entry<'p>>, P::Error> {
        self.iter()?.next().transpose()
    }

    /// The entry with the greatest key.
    ///
    /// # Errors
    /// When a page cannot be read or is damaged.
    pub fn last(&self) -> Result<Option<Entry<'p>>, P::Error> {
        Range::new(self.pages, self.root, ..).next_back().transpose()
    }

    /// The entries whose keys lie within `bounds`; none if it begins beyond its end.
    ///
    /// # Errors
    /// When a page cannot be read or is damaged; this may be told by the first entry.
    #[inline]
    pub fn range(&self, bounds: impl KeyBounds) -> Result<Range<'p, P>, P::Error> {
        Ok(Range::new(self.pages, self.root, bounds))
    }

    /// The entries whose keys begin with `prefix`.
    ///
    /// # Errors
    /// When a page cannot be read or is damaged; this may be told by the first entry.
    pub fn prefix(&self, prefix: &[u8]) -> Result<Range<'p, P>, P::Error> {
        self.range((Bound::Included(prefix), end_of_prefix(prefix).as_ref().map(Vec::as_slice)))
    }

    /// All entries.
    ///
    /// # Errors
    /// When a page cannot be read or is damaged; this may be told by the first entry.
    pub fn iter(&self) -> Result<Range<'p, P>, P::Error> {
        self.range(..)
    }
}
