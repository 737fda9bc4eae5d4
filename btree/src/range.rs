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

/// An iterator over the entries of a range, in the order of their keys, from either end.
pub struct Range<'p, P> {
    pages: &'p P,
    cursor: Cursor,
    front: Option<Node<'p>>,
    back: Option<Node<'p>>,
}

impl<'p, P: ReadPages> Range<'p, P> {
    pub(crate) fn new(pages: &'p P, root: PageId, bounds: impl KeyBounds) -> Range<'p, P> {
        Range {
            pages,
            cursor: Cursor::new(root, bounds),
            front: None,
            back: None,
        }
    }

    pub(crate) fn read_front(mut self) -> Result<Self, P::Error> {
        self.front = self.cursor.front_leaf(self.pages)?;
        Ok(self)
    }

    #[inline]
    fn entry(
        &mut self,
        leaf: Option<Node<'p>>,
        index: usize,
    ) -> Option<Result<(Key<'p>, &'p [u8]), P::Error>> {
        let leaf = leaf?;
        let entry = match leaf.entry(index) {
            Ok((suffix, stored)) => {
                let key = Key::join(Parts {
                    prefix: leaf.prefix,
                    suffix,
                });
                stored.resolve(self.pages).map(|value| (key, value))
            }
            Err(fault) => Err(fault.into()),
        };
        if entry.is_err() {
            self.cursor.finish();
        }
        Some(entry)
    }
}

impl<'p, P: ReadPages> Iterator for Range<'p, P> {
    type Item = Result<(Key<'p>, &'p [u8]), P::Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let mut index = self.cursor.take_front();
        if index.is_none() {
            self.front = match self.cursor.front_leaf(self.pages) {
                Ok(leaf) => leaf,
                Err(error) => return Some(Err(error)),
            };
            index = self.cursor.take_front();
        }
        self.entry(self.front, index?)
    }
}

impl<'p, P: ReadPages> DoubleEndedIterator for Range<'p, P> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let mut index = self.cursor.take_back();
        if index.is_none() {
            self.back = match self.cursor.back_leaf(self.pages) {
                Ok(leaf) => leaf,
                Err(error) => return Some(Err(error)),
            };
            index = self.cursor.take_back();
        }
        self.entry(self.back, index?)
    }
}

impl<P: ReadPages> FusedIterator for Range<'_, P> {}

impl<P> Clone for Range<'_, P> {
    fn clone(&self) -> Self {
        Range {
            pages: self.pages,
            cursor: self.cursor.clone(),
            front: self.front,
            back: self.back,
        }
    }
}

impl<P> std::fmt::Debug for Range<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Range")
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}
