//! Iterators that own their snapshot.

use crate::{Key, KeyBounds, Result, Snapshot};
use bytes::Bytes;
use pentimento_btree::Cursor;
use pentimento_storage::PageId;
use std::iter::FusedIterator;

/// An iterator over entries that keeps its snapshot alive by itself. Keys are owned, values are [`Bytes`] that keep the snapshot
/// alive too, without a copy. After an error it ends.
#[derive(Debug)]
pub struct OwnedRange {
    snapshot: Snapshot,
    cursor: Cursor,
}

impl OwnedRange {
    pub(crate) fn new(snapshot: Snapshot, root: PageId, bounds: impl KeyBounds) -> OwnedRange {
        OwnedRange { snapshot, cursor: Cursor::new(root, bounds) }
    }

    /// The snapshot that it reads.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Iterator for OwnedRange {
    type Item = Result<(Key<'static>, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        let located = self.cursor.next(&self.snapshot).transpose()?;
        Some(located.and_then(|(key, at)| Ok((key, self.snapshot.bytes(at)?))))
    }
}

impl DoubleEndedIterator for OwnedRange {
    fn next_back(&mut self) -> Option<Self::Item> {
        let located = self.cursor.next_back(&self.snapshot).transpose()?;
        Some(located.and_then(|(key, at)| Ok((key, self.snapshot.bytes(at)?))))
    }
}

impl FusedIterator for OwnedRange {}
