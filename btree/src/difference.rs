//! What differs between two states of a tree, key by key.
//!
//! Promises: keys ascend, and each is told once, with both values' places; leaves that are the same version in both states need not be
//! looked at; large values are compared only if their pages are not the same version; memory follows the number of leaves that are named, never
//! values; damage gives a [`Fault`], and keys that do not ascend are damage, so a walk ends.
//!
//! Each state is a [`Side`]: nothing, a whole tree, or some of its leaves. Naming only leaves that changed is enough:
//!
//! 1. In one state each key of a tree stands in exactly one leaf, and each leaf that belongs to the tree is reached from its root.
//! 2. A leaf that is the same version in both states holds the same bytes in both. So its keys stand in no other leaf of either state, and comparing the
//!    other leaves of the two states neither misses nor invents a key of it.
//! 3. A large value stands in a page of its own, which its leaf only names. Whoever changes it makes a new version of the leaf, too
//!    (`insert`), and a page number is given back only together with the entry that names it. So in a leaf that is the same version in both states
//!    large values are the same as well.
//!
//! The other way round nothing is needed: a leaf may have a new version that holds what the old one held.

use std::cmp::Ordering;
use std::ops::Bound;
use std::vec;

use pentimento_storage::PageId;

use crate::bounds::KeyBounds;
use crate::cursor::{check_step, own};
use crate::key::Key;
use crate::node::{Node, Stored};
use crate::pages::{Fault, ReadPages};
use crate::parts::Parts;
use crate::path::{Path, Way};
use crate::value::ValueLocation;

/// Leaves of a tree in one of its states, in any order at first.
#[derive(Debug, Clone, Default)]
pub struct Leaves {
    leaves: Vec<(Key<'static>, PageId)>,
}

impl Leaves {
    /// Adds page `id` if it is a leaf with entries within `bounds`.
    ///
    /// # Errors
    /// When the page cannot be read or is damaged.
    pub fn add<P: ReadPages>(&mut self, pages: &P, id: PageId, bounds: &impl KeyBounds) -> Result<(), P::Error> {
        if pages.page(id)?.first() != Some(&0) {
            return Ok(());
        }
        let leaf = Node::read(pages, id)?;
        if leaf.start_of(&bounds.start())? < leaf.end_of(&bounds.end())? {
            self.leaves.push((Key::owned(leaf.key(0)?), id));
        }
        Ok(())
    }

    /// How many leaves there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }
}

/// Where the leaves of one side come from.
#[derive(Debug, Clone)]
enum Source {
    Listed(vec::IntoIter<(Key<'static>, PageId)>),
    /// A whole tree, before its first leaf was entered and after.
    Tree(PageId),
    Walk(Box<Path>),
}

/// One of the two states that are compared.
#[derive(Debug, Clone)]
pub struct Side {
    source: Source,
    /// The leaf that the side stands in, and which of its entries are left.
    leaf: Option<PageId>,
    low: usize,
    high: usize,
    pages: u64,
}

impl Side {
    fn new(source: Source) -> Side {
        Side { source, leaf: None, low: 0, high: 0, pages: 0 }
    }

    /// No tree, or an empty one.
    #[must_use]
    pub fn nothing() -> Side {
        Side::of_leaves(Leaves::default())
    }

    /// Some leaves of a tree.
    #[must_use]
    pub fn of_leaves(mut leaves: Leaves) -> Side {
        leaves.leaves.sort_unstable();
        Side::new(Source::Listed(leaves.leaves.into_iter()))
    }

    /// All of the tree whose root is page `root`.
    #[must_use]
    pub fn of_tree(root: PageId) -> Side {
        Side::new(Source::Tree(root))
    }

    /// The next leaf from the left, whatever it holds.
    fn next_leaf<'p, P: ReadPages>(&mut self, pages: &'p P, start: Bound<&[u8]>) -> Result<Option<Node<'p>>, P::Error> {
        match &mut self.source {
            Source::Listed(leaves) => {
                let Some((_, id)) = leaves.next() else { return Ok(None) };
                Ok(Some(Node::read(pages, id)?))
            }
            Source::Tree(root) => {
                let (path, leaf) = Path::seek(pages, *root, Way::to_start(start))?;
                self.pages += path.len() as u64 + 1;
                self.source = Source::Walk(Box::new(path));
                Ok(Some(leaf))
            }
            Source::Walk(path) => {
                let before = path.clone();
                let Some((leaf, _)) = path.neighbour(pages, true, true)? else { return Ok(None) };
                let is_new = |depth: &usize| *depth >= before.len() || path.step(*depth).0 != before.step(*depth).0;
                self.pages += (0..path.len()).filter(is_new).count() as u64 + 1;
                Ok(Some(leaf))
            }
        }
    }

    /// The leaf that holds the next entry, and the entry's number; goes on to the next leaf where that is needed.
    fn peek<'p, P: ReadPages>(
        &mut self,
        pages: &'p P,
        bounds: &impl KeyBounds,
    ) -> Result<Option<(Node<'p>, usize)>, P::Error> {
        let mut leaf = self.leaf.map(|leaf| Node::read(pages, leaf)).transpose()?;
        loop {
            if let Some(leaf) = leaf.filter(|_| self.low < self.high) {
                return Ok(Some((leaf, self.low)));
            }
            let Some(next) = self.next_leaf(pages, bounds.start())? else {
                (self.leaf, self.low, self.high) = (None, 0, 0);
                self.source = Source::Listed(vec::IntoIter::default());
                return Ok(None);
            };
            if let Some(left) = &leaf {
                check_step(left, &next, &next)?;
            }
            (self.low, self.high) = (next.start_of(&bounds.start())?, next.end_of(&bounds.end())?);
            self.leaf = Some(next.page);
            leaf = Some(next);
            if self.high < next.count() {
                // What is further right lies beyond the bounds.
                self.source = Source::Listed(vec::IntoIter::default());
            }
        }
    }

    /// Goes past the entry that was told last.
    fn advance(&mut self, leaf: &Node<'_>) -> Result<(), Fault> {
        self.low += 1;
        if self.low < self.high && !leaf.precedes(self.low - 1, leaf, self.low)? {
            return Err(leaf.fault("keys do not ascend within the leaf"));
        }
        Ok(())
    }
}

/// An entry that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    /// The key.
    pub key: Key<'static>,
    /// Where the older side has its value, if it has the key.
    pub old: Option<ValueLocation>,
    /// The same for the newer side.
    pub new: Option<ValueLocation>,
}

/// A walk over what differs between two states of a tree within a range of keys. It names pages by their numbers and borrows none.
#[derive(Debug, Clone)]
pub struct Difference {
    older: Side,
    newer: Side,
    bounds: (Bound<Key<'static>>, Bound<Key<'static>>),
    values: u64,
}

/// Pages as the two sides see them.
#[derive(Debug, Clone, Copy)]
pub struct Views<'p, P, S> {
    /// The pages of the older side.
    pub older: &'p P,
    /// The pages of the newer side.
    pub newer: &'p P,
    /// Whether a page is the same version on both sides. "No" is always a safe answer.
    pub is_same: S,
}

impl Difference {
    /// Of two sides, within `bounds`.
    #[must_use]
    pub fn new(older: Side, newer: Side, bounds: &impl KeyBounds) -> Difference {
        Difference { older, newer, bounds: (own(bounds.start()), own(bounds.end())), values: 0 }
    }

    /// How many pages have been entered so far, besides the leaves that were named.
    #[must_use]
    pub fn pages_entered(&self) -> u64 {
        self.older.pages + self.newer.pages + self.values
    }

    /// The next entry that differs, in the order of keys. After an error the walk is over.
    ///
    /// # Errors
    /// When a page cannot be read or is damaged.
    pub fn next<P: ReadPages>(
        &mut self,
        views: &Views<'_, P, impl Fn(PageId) -> bool>,
    ) -> Result<Option<Differing>, P::Error> {
        let result = self.next_or_fault(views);
        if result.is_err() {
            (self.older, self.newer) = (Side::nothing(), Side::nothing());
        }
        result
    }

    fn next_or_fault<P: ReadPages>(
        &mut self,
        views: &Views<'_, P, impl Fn(PageId) -> bool>,
    ) -> Result<Option<Differing>, P::Error> {
        loop {
            let old = self.older.peek(views.older, &self.bounds)?;
            let new = self.newer.peek(views.newer, &self.bounds)?;
            let old_entry = old.as_ref().map(|(leaf, at)| leaf.key_and_value(*at)).transpose()?;
            let new_entry = new.as_ref().map(|(leaf, at)| leaf.key_and_value(*at)).transpose()?;
            let order = match (&old_entry, &new_entry) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((old, _)), Some((new, _))) => old.cmp(new),
            };
            let old = old.zip(old_entry).filter(|_| order != Ordering::Greater);
            let new = new.zip(new_entry).filter(|_| order != Ordering::Less);
            if let Some(((leaf, _), _)) = &old {
                self.older.advance(leaf)?;
            }
            if let Some(((leaf, _), _)) = &new {
                self.newer.advance(leaf)?;
            }
            if let (Some((_, (_, old))), Some((_, (_, new)))) = (&old, &new)
                && self.is_equal(*old, *new, views)?
            {
                continue;
            }
            let Some((_, (key, _))) = new.as_ref().or(old.as_ref()) else { continue };
            let key = Key::owned(*key);
            let place = |((leaf, _), (_, stored)): ((Node<'_>, usize), (Parts<'_>, Stored<'_>))| leaf.location(&stored);
            return Ok(Some(Differing { key, old: old.map(place), new: new.map(place) }));
        }
    }

    fn is_equal<P: ReadPages>(
        &mut self,
        old: Stored<'_>,
        new: Stored<'_>,
        views: &Views<'_, P, impl Fn(PageId) -> bool>,
    ) -> Result<bool, P::Error> {
        if old.value_len() != new.value_len() {
            return Ok(false);
        }
        if let (Stored::Large(old, _), Stored::Large(new, _)) = (old, new)
            && old == new
            && (views.is_same)(old)
        {
            return Ok(true);
        }
        self.values += [old, new].iter().filter(|stored| matches!(stored, Stored::Large(..))).count() as u64;
        Ok(old.resolve(views.older)? == new.resolve(views.newer)?)
    }
}
