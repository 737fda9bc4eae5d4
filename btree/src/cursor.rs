//! A place in a range that borrows no page.
//!
//! Promises: front and back never cross; each entry is given once; in a damaged tree keys must still ascend from leaf
//! to leaf, so that a walk ends; after an error the walk is over.
//!
//! Each end of the range stands in a leaf and knows which of its entries are left, `low..high`. When both ends stand
//! in the same leaf they keep their windows equal.

use std::ops::{Bound, Range};

use pentimento_storage::PageId;

use crate::bounds::{KeyBounds, is_empty};
use crate::key::Key;
use crate::node::{AHEAD, Node};
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

/// A walk that begins with fewer entries than this in its first leaf will most likely need the next one.
const NEAR: usize = 12;

/// Where one end of a range stands.
#[derive(Debug, Clone)]
struct Stand {
    path: Path,
    leaf: PageId,
    /// The entries of the leaf that are left.
    low: usize,
    high: usize,
    /// The leaf that comes after this one, if that is known, to ask for its memory early.
    beyond: PageId,
    /// Whether it has left its first leaf: then it will most likely leave others.
    has_stepped: bool,
    /// Whether this end may not leave the leaf, because the range's other bound lies in it.
    edge: bool,
}

impl Stand {
    const NOWHERE: Stand = Stand {
        path: Path::new(),
        leaf: PageId::NONE,
        low: 0,
        high: 0,
        beyond: PageId::NONE,
        has_stepped: false,
        edge: false,
    };
}

pub(crate) fn own(bound: Bound<&[u8]>) -> Bound<Key<'static>> {
    bound.map(|key| Key::owned(Parts::whole(key)))
}

fn borrow<'k>(bound: &'k Bound<Key<'static>>) -> Bound<&'k [u8]> {
    bound.as_ref().map(Key::as_slice)
}

/// Refuses a step from `left` to the leaf right of it, or the other way round, when keys do not ascend. First keys ascend strictly
/// from leaf to leaf, so that no walk meets a leaf twice, whatever the branches of a damaged tree say.
#[inline]
pub(crate) fn check_step<'p>(left: &Node<'p>, right: &Node<'p>, entered: &Node<'p>) -> Result<(), Fault> {
    if entered.count() == 0 {
        return Err(entered.fault("a leaf below a branch is empty"));
    }
    let Some(last) = left.count().checked_sub(1) else { return Ok(()) };
    if right.count() == 0 || (left.precedes(0, right, 0)? && left.precedes(last, right, 0)?) {
        return Ok(());
    }
    Err(entered.fault("keys do not ascend from leaf to leaf"))
}

impl Cursor {
    /// A walk over the part of the tree at `root` that lies within `bounds`.
    #[must_use]
    #[inline]
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
        match leaf.joined(index) {
            Ok((key, stored)) => Ok(Some((key.into_owned(), leaf.location(&stored)))),
            Err(fault) => {
                self.finish();
                Err(fault.into())
            }
        }
    }

    /// Whether neither end stands anywhere yet.
    #[inline]
    pub(crate) fn is_fresh(&self) -> bool {
        self.front.is_none() && self.back.is_none()
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

    /// Puts the front where the range begins. Gives the leaf and its entries that are left, if there are any.
    #[inline(always)]
    pub(crate) fn begin<'p, P: ReadPages>(
        &mut self,
        pages: &'p P,
    ) -> Result<Option<(Node<'p>, Range<usize>)>, P::Error> {
        if self.finished {
            return Ok(None);
        }
        let front = self.front.insert(Stand::NOWHERE);
        let leaf = front.path.descend_from(pages, self.root, Way::to_start(borrow(&self.start)))?;
        front.leaf = leaf.page;
        front.low = leaf.start_of(&self.start)?;
        if leaf.count() < front.low + NEAR {
            front.beyond = front.path.prefetch_next(pages)?.unwrap_or(PageId::NONE);
        }
        front.high = leaf.end_of(&self.end)?;
        front.edge = front.high < leaf.count();
        if let Some(back) = self.back.as_ref().filter(|back| back.leaf == leaf.page) {
            front.high = front.high.min(back.high);
        }
        let left = front.low..front.high;
        Ok((!left.is_empty()).then_some((leaf, left)))
    }

    fn front_leaf_or_fault<'p, P: ReadPages>(&mut self, pages: &'p P) -> Result<Option<Node<'p>>, P::Error> {
        if self.finished {
            return Ok(None);
        }
        if self.front.is_none()
            && let Some((leaf, _)) = self.begin(pages)?
        {
            return Ok(Some(leaf));
        }
        let Some(front) = &self.front else { return Ok(None) };
        let mut leaf = Node::read(pages, front.leaf)?;
        while let Some(front) = &mut self.front {
            if front.low < front.high {
                return Ok(Some(leaf));
            }
            if front.edge || self.back.as_ref().is_some_and(|back| back.leaf == front.leaf) {
                break;
            }
            let Some((next, beyond)) = front.path.neighbour(pages, true, front.has_stepped)? else {
                break;
            };
            next.prefetch_entries(0, AHEAD);
            check_step(&leaf, &next, &next)?;
            leaf = next;
            front.leaf = leaf.page;
            front.has_stepped = true;
            front.beyond = beyond.unwrap_or(PageId::NONE);
            front.low = 0;
            self.enter_front(&leaf)?;
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
                let back = self.back.insert(Box::new(Stand::NOWHERE));
                let leaf = back.path.descend_from(pages, self.root, Way::to_end(borrow(&self.end)))?;
                back.leaf = leaf.page;
                back.high = leaf.end_of(&self.end)?;
                leaf.prefetch_entries(back.high.saturating_sub(AHEAD), AHEAD);
                self.enter_back(&leaf)?;
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
            let Some((next, beyond)) = back.path.neighbour(pages, false, true)? else {
                break;
            };
            next.prefetch_entries(next.count().saturating_sub(AHEAD), AHEAD);
            check_step(&next, &leaf, &next)?;
            leaf = next;
            back.leaf = leaf.page;
            back.beyond = beyond.unwrap_or(PageId::NONE);
            back.high = leaf.count();
            self.enter_back(&leaf)?;
        }
        Ok(None)
    }

    /// Finds out how far the front may go in a leaf that it has just entered.
    #[inline]
    fn enter_front(&mut self, leaf: &Node<'_>) -> Result<(), Fault> {
        let Some(front) = &mut self.front else { return Ok(()) };
        front.high = leaf.end_of(&self.end)?;
        front.edge = front.high < leaf.count();
        if let Some(back) = self.back.as_ref().filter(|back| back.leaf == leaf.page) {
            front.high = front.high.min(back.high);
        }
        Ok(())
    }

    /// Finds out how far the back may go in a leaf that it has just entered.
    #[inline]
    fn enter_back(&mut self, leaf: &Node<'_>) -> Result<(), Fault> {
        let Some(back) = &mut self.back else { return Ok(()) };
        back.low = leaf.start_of(&self.start)?;
        back.edge = back.low > 0;
        if let Some(front) = self.front.as_ref().filter(|front| front.leaf == leaf.page) {
            back.low = back.low.max(front.low);
        }
        Ok(())
    }

    /// What is left in the leaf of the front, and in that of the back.
    pub(crate) fn windows(&self) -> [Option<(PageId, Range<usize>)>; 2] {
        let window = |stand: &Stand| (stand.leaf, stand.low..stand.high);
        [self.front.as_ref().map(window), self.back.as_deref().map(window)]
    }

    /// The leaf that an end will enter next, if it is known and may be entered.
    pub(crate) fn beyond(&self, at_front: bool) -> Option<PageId> {
        let stand = if at_front { self.front.as_ref() } else { self.back.as_deref() }?;
        (stand.beyond != PageId::NONE && !stand.edge).then_some(stand.beyond)
    }

    /// Notes what somebody has taken from the windows himself.
    pub(crate) fn set_windows(&mut self, front: Range<usize>, back: Range<usize>) {
        if let Some(stand) = &mut self.front {
            (stand.low, stand.high) = (front.start, front.end);
        }
        if let Some(stand) = &mut self.back {
            (stand.low, stand.high) = (back.start, back.end);
        }
    }
}
