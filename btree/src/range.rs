//! Iterators over a range of entries.
//!
//! Promises: an entry costs no look at the pages unless a leaf is entered; after an error, and after the end, the
//! iterator stays at its end.

use std::iter::FusedIterator;

use pentimento_storage::PageId;

use crate::bounds::KeyBounds;
use crate::cursor::Cursor;
use crate::key::Key;
use crate::node::Node;
use crate::pages::ReadPages;
use crate::parts::Parts;

/// A key and its value, both borrowed from the pages.
pub type Entry<'p> = (Key<'p>, &'p [u8]);

/// An iterator over the entries of a range, in the order of their keys, from either end.
pub struct Range<'p, P> {
    pages: &'p P,
    cursor: Cursor,
    front: Option<Node<'p>>,
    back: Option<Node<'p>>,
}

impl<'p, P: ReadPages> Range<'p, P> {
    pub(crate) fn new(pages: &'p P, root: PageId, bounds: impl KeyBounds) -> Range<'p, P> {
        Range { pages, cursor: Cursor::new(root, bounds), front: None, back: None }
    }

    pub(crate) fn read_front(mut self) -> Result<Self, P::Error> {
        self.front = self.cursor.front_leaf(self.pages)?;
        Ok(self)
    }

    /// Goes to the next leaf and takes its first entry.
    #[inline(never)]
    fn enter_front(&mut self) -> Result<Option<usize>, P::Error> {
        self.front = self.cursor.front_leaf(self.pages)?;
        let index = self.cursor.take_front();
        Ok(index)
    }

    /// Goes to the previous leaf and takes its last entry.
    #[inline(never)]
    fn enter_back(&mut self) -> Result<Option<usize>, P::Error> {
        self.back = self.cursor.back_leaf(self.pages)?;
        let index = self.cursor.take_back();
        Ok(index)
    }

    /// Ends the walk after an error.
    #[cold]
    fn fail(&mut self, error: P::Error) -> Option<<Self as Iterator>::Item> {
        self.cursor.finish();
        Some(Err(error))
    }
}

#[inline]
fn entry<'p, P: ReadPages>(pages: &'p P, leaf: &Node<'p>, index: usize) -> Result<Entry<'p>, P::Error> {
    let (suffix, stored) = leaf.entry(index)?;
    let value = stored.resolve(pages)?;
    Ok((Key::join(Parts { prefix: leaf.prefix, suffix }), value))
}

impl<'p, P: ReadPages> Iterator for Range<'p, P> {
    type Item = Result<Entry<'p>, P::Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let index = match self.cursor.take_front() {
            Some(index) => index,
            None => match self.enter_front() {
                Ok(index) => index?,
                Err(error) => return Some(Err(error)),
            },
        };
        let leaf = self.front.as_ref()?;
        match entry(self.pages, leaf, index) {
            Ok(entry) => Some(Ok(entry)),
            Err(error) => self.fail(error),
        }
    }
}

impl<'p, P: ReadPages> DoubleEndedIterator for Range<'p, P> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let index = match self.cursor.take_back() {
            Some(index) => index,
            None => match self.enter_back() {
                Ok(index) => index?,
                Err(error) => return Some(Err(error)),
            },
        };
        let leaf = self.back.as_ref()?;
        match entry(self.pages, leaf, index) {
            Ok(entry) => Some(Ok(entry)),
            Err(error) => self.fail(error),
        }
    }
}

impl<P: ReadPages> FusedIterator for Range<'_, P> {}

impl<P> Clone for Range<'_, P> {
    fn clone(&self) -> Self {
        Range { pages: self.pages, cursor: self.cursor.clone(), front: self.front, back: self.back }
    }
}

impl<P> std::fmt::Debug for Range<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Range").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}
