//! A place in a range that borrows no page.
//!
//! Promises: front and back never cross; each entry is given once; in a damaged tree keys must still ascend from leaf
//! to leaf, so that a walk ends; after an error the walk is over.
//!
//! Each end of the range stands in a leaf and knows which of its entries are left, `low..high`. When both ends stand
//! in the same leaf they keep their windows equal.

use std::cmp::Ordering;
use std::ops::Bound;

use pentimento_storage::PageId;

use crate::bounds::{KeyBounds, is_empty};
use crate::key::Key;
use crate::node::Node;
use crate::pages::{Fault, ReadPages};
use crate::parts::Parts;
use crate::path::{Path, Way};
use crate::value::ValueLocation;

/// A double-ended walk over a range of keys that owns its bounds and names pages by their numbers, so that it can be
/// kept beside the pages that it reads. All calls must see the same state of the tree.
#[derive(Debug, Clone)]
pub struct Cursor {
    root: PageId,
    start: Bound<Key<'static>>,
    end: Bound<Key<'static>>,
    front: Option<Stand>,
    back: Option<Box<Stand>>,
    finished: bool,
}

/// Where one end of a range stands.
#[derive(Debug, Clone)]
struct Stand {
    path: Path,
    leaf: PageId,
    /// The entries of the leaf that are left.
    low: usize,
    high: usize,
    /// Whether this end may not leave the leaf, because the range's other bound lies in it.
    edge: bool,
}

fn own(bound: Bound<&[u8]>) -> Bound<Key<'static>> {
    bound.map(|key| Key::owned(Parts::whole(key)))
}

fn borrow<'k>(bound: &'k Bound<Key<'static>>) -> Bound<&'k [u8]> {
    bound.as_ref().map(Key::as_slice)
}

/// The first and the last key of a leaf that is not the root and so must have some, in order.
fn ends<'p>(leaf: &Node<'p>) -> Result<(Parts<'p>, Parts<'p>), Fault> {
    let Some(last) = leaf.count().checked_sub(1) else {
        return Err(leaf.fault("a leaf below a branch is empty"));
    };
    let ends = (leaf.key(0)?, leaf.key(last)?);
    match ends.0.cmp(&ends.1) {
        Ordering::Greater => Err(leaf.fault("keys do not ascend within a leaf")),
        _ => Ok(ends),
    }
}

impl Cursor {
    /// A walk over the part of the tree at `root` that lies within `bounds`.
    #[must_use]
    pub fn new(root: PageId, bounds: impl KeyBounds) -> Cursor {
        let (start, end) = (bounds.start(), bounds.end());
        Cursor { root, finished: is_empty(start, end), start: own(start), end: own(end), front: None, back: None }
    }

    /// The key and the location of the value of the next entry from the front.
    ///
    /// # Errors
    /// When a page cannot be read or is damaged; the walk is over then.
    pub fn next<P: ReadPages>(&mut self, pages: &P) -> Result<Option<(Key<'static>, ValueLocation)>, P::Error> {
        let leaf = self.front_leaf(pages)?;
        let index = self.take_front();
        self.located(leaf.as_ref().zip(index))
    }

    /// The key and the location of the value of the next entry from the back.
    ///
    /// # Errors
    /// When a page cannot be read or is damaged; the walk is over then.
    pub fn next_back<P: ReadPages>(&mut self, pages: &P) -> Result<Option<(Key<'static>, ValueLocation)>, P::Error> {
        let leaf = self.back_leaf(pages)?;
        let index = self.take_back();
        self.located(leaf.as_ref().zip(index))
    }

    fn located<E: From<Fault>>(
        &mut self,
        entry: Option<(&Node<'_>, usize)>,
    ) -> Result<Option<(Key<'static>, ValueLocation)>, E> {
        let Some((leaf, index)) = entry else {
            return Ok(None);
        };
        match leaf.entry(index) {
            Ok((suffix, stored)) => {
                let key = Key::owned(Parts { prefix: leaf.prefix, suffix });
                Ok(Some((key, stored.location(leaf))))
            }
            Err(fault) => {
                self.finish();
                Err(fault.into())
            }
        }
    }

    /// Ends the walk.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
        self.front = None;
        self.back = None;
    }

    /// Takes the next entry of the leaf at the front, if any is left there.
    #[inline]
    pub(crate) fn take_front(&mut self) -> Option<usize> {
        let front = self.front.as_mut()?;
        let index = front.low;
        if index >= front.high {
            return None;
        }
        front.low += 1;
        if let Some(back) = &mut self.back
            && back.leaf == front.leaf
        {
            back.low = front.low;
        }
        Some(index)
    }

    /// Takes the next entry of the leaf at the back, if any is left there.
    #[inline]
    pub(crate) fn take_back(&mut self) -> Option<usize> {
        let back = self.back.as_mut()?;
        if back.low >= back.high {
            return None;
        }
        back.high -= 1;
        if let Some(front) = &mut self.front
            && front.leaf == back.leaf
        {
            front.high = back.high;
        }
        Some(back.high)
    }

    /// The leaf in which the front stands, stepped on until it has entries left; `None` at the end of the walk.
    pub(crate) fn front_leaf<'p, P: ReadPages>(&mut self, pages: &'p P) -> Result<Option<Node<'p>>, P::Error> {
        let result = self.front_leaf_or_fault(pages);
        if !matches!(result, Ok(Some(_))) {
            self.finish();
        }
        result
    }

    /// The leaf in which the back stands, stepped back until it has entries left; `None` at the end of the walk.
    pub(crate) fn back_leaf<'p, P: ReadPages>(&mut self, pages: &'p P) -> Result<Option<Node<'p>>, P::Error> {
        let result = self.back_leaf_or_fault(pages);
        if !matches!(result, Ok(Some(_))) {
            self.finish();
        }
        result
    }

    fn front_leaf_or_fault<'p, P: ReadPages>(&mut self, pages: &'p P) -> Result<Option<Node<'p>>, P::Error> {
        if self.finished {
            return Ok(None);
        }
        let mut leaf = match &self.front {
            Some(front) => Node::read(pages, front.leaf)?,
            None => {
                let (path, leaf) = Path::seek(pages, self.root, Way::to_start(borrow(&self.start)))?;
                let low = leaf.start_of(&self.start)?;
                self.front = Some(self.enter_front(path, &leaf, low)?);
                leaf
            }
        };
        while let Some(front) = &mut self.front {
            if front.low < front.high {
                return Ok(Some(leaf));
            }
            if front.edge || self.back.as_ref().is_some_and(|back| back.leaf == front.leaf) {
                break;
            }
            let Some(next) = front.path.neighbour(pages, true)? else {
                break;
            };
            let (first, _) = ends(&next)?;
            if let Some(last) = leaf.count().checked_sub(1)
                && leaf.key(last)?.cmp(&first) != Ordering::Less
            {
                return Err(next.fault("keys do not ascend from leaf to leaf").into());
            }
            leaf = next;
            let path = front.path.clone();
            self.front = Some(self.enter_front(path, &leaf, 0)?);
        }
        Ok(None)
    }

    fn back_leaf_or_fault<'p, P: ReadPages>(&mut self, pages: &'p P) -> Result<Option<Node<'p>>, P::Error> {
        if self.finished {
            return Ok(None);
        }
        let mut leaf = match &self.back {
            Some(back) => Node::read(pages, back.leaf)?,
            None => {
                let (path, leaf) = Path::seek(pages, self.root, Way::to_end(borrow(&self.end)))?;
                let high = leaf.end_of(&self.end)?;
                self.back = Some(self.enter_back(path, &leaf, high)?);
                leaf
            }
        };
        while let Some(back) = &mut self.back {
            if back.low < back.high {
                return Ok(Some(leaf));
            }
            if back.edge || self.front.as_ref().is_some_and(|front| front.leaf == back.leaf) {
                break;
            }
            let Some(next) = back.path.neighbour(pages, false)? else {
                break;
            };
            let (_, last) = ends(&next)?;
            if leaf.count() > 0 && leaf.key(0)?.cmp(&last) != Ordering::Greater {
                return Err(next.fault("keys do not ascend from leaf to leaf").into());
            }
            leaf = next;
            let path = back.path.clone();
            let count = leaf.count();
            self.back = Some(self.enter_back(path, &leaf, count)?);
        }
        Ok(None)
    }

    fn enter_front(&self, path: Path, leaf: &Node<'_>, low: usize) -> Result<Stand, Fault> {
        let mut high = leaf.end_of(&self.end)?;
        let edge = high < leaf.count();
        if let Some(back) = self.back.as_ref().filter(|back| back.leaf == leaf.page) {
            high = high.min(back.high);
        }
        Ok(Stand { path, leaf: leaf.page, low, high, edge })
    }

    fn enter_back(&self, path: Path, leaf: &Node<'_>, high: usize) -> Result<Box<Stand>, Fault> {
        let mut low = leaf.start_of(&self.start)?;
        let edge = low > 0;
        if let Some(front) = self.front.as_ref().filter(|front| front.leaf == leaf.page) {
            low = low.max(front.low);
        }
        Ok(Box::new(Stand { path, leaf: leaf.page, low, high, edge }))
    }
}
