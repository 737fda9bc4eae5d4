//! The structures above the pages, decoded from bytes that somebody else read: the catalog's records, and the journal's segments, records
//! and operations. For tools that look at a store without opening it.
//!
//! Promises: nothing here reads, writes or locks anything; bytes of any content give an error or some data, never a panic;
//! the decoding is the engine's own.

use crate::catalog::{self, TreeRecord};
use crate::journal::record;
use crate::journal::segment::{self, SegmentHeader};
use crate::redo::{self, Op};
use crate::{Result, Timestamp};

pub use crate::backup::{Origin, origin_of_note};
pub use crate::sidecar::{Live, LivePin, live_path};

use pentimento_storage::PageId;
use std::ops::Bound;

/// The root of the catalog.
pub const CATALOG: PageId = catalog::CATALOG;
/// The root of the trees that were dropped and are not given back yet.
pub const DOOMED: PageId = catalog::DOOMED;
/// The bytes of a segment before its first record.
pub const SEGMENT_HEADER_BYTES: usize = segment::SEGMENT_HEADER_BYTES;
/// The bytes of a record before its body.
pub const RECORD_HEADER_BYTES: usize = record::HEADER_BYTES;
/// The longest file that a segment can be, in bytes.
pub const MAX_SEGMENT_BYTES: u64 = 2 * crate::builder::MAX_SEGMENT_BYTES;

/// Where a tree is, as the catalog tells it: its root, and the register that counts its entries.
///
/// # Errors
/// When the bytes are not such a record.
pub fn tree_record(bytes: &[u8]) -> Result<(PageId, PageId)> {
    let TreeRecord { root, counter } = TreeRecord::decode(bytes)?;
    Ok((root, counter))
}

/// The header of a journal's segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// The store that it belongs to.
    pub store_id: [u8; 16],
    /// Grows with each segment that is begun.
    pub sequence: u64,
    /// Drawn anew for each life of the file.
    pub salt: u64,
    /// The timestamp of the first record.
    pub first: Timestamp,
}

/// Decodes the header of a segment.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with "the header".
pub fn segment(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Segment, &'static str> {
    let SegmentHeader { store_id, sequence, salt, first } = SegmentHeader::decode(bytes)?;
    Ok(Segment { store_id, sequence, salt, first })
}

/// A record of the journal: one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record<'b> {
    /// The commit.
    pub at: Timestamp,
    /// Every commit up to here was durable when the record was built.
    pub durable: Timestamp,
    /// The checksum that it carries.
    pub crc: u32,
    /// The checksum of the record before it; 0 for the first of a segment.
    pub previous_crc: u32,
    /// What the commit did: see [`operations`].
    pub body: &'b [u8],
    /// Whether the checksum is right.
    pub is_whole: bool,
    /// How many bytes it takes in the file, its padding included.
    pub bytes: usize,
}

/// The record at the start of `bytes`, if the fields there are possible in a segment of this salt, whole or not.
#[must_use]
pub fn record(bytes: &[u8], salt: u64) -> Option<Record<'_>> {
    let (found, is_whole) = record::read(bytes, salt)?;
    let record::Record { at, durable, crc, previous_crc, body } = found;
    Some(Record { at, durable, crc, previous_crc, body, is_whole, bytes: record::record_bytes(body.len()) })
}

/// A whole record anywhere from byte `from` on that says that commit `missing` had been durable, and where it begins.
#[must_use]
pub fn find_witness(bytes: &[u8], from: usize, salt: u64, missing: Timestamp) -> Option<(usize, Record<'_>)> {
    let newest = Timestamp(missing.0.saturating_add((bytes.len() / RECORD_HEADER_BYTES) as u64));
    (from..bytes.len()).step_by(8).find_map(|at| {
        let (peeked, is_plausible) = record::peek(&bytes[at..])?;
        let is_candidate = is_plausible && peeked.at > missing && peeked.at < newest && peeked.durable >= missing;
        let found = if is_candidate { record(&bytes[at..], salt) } else { None };
        found.filter(|found| found.is_whole).map(|found| (at, found))
    })
}

/// One operation of a commit. Those on entries are on the tree that was named last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation<'b> {
    /// The operations that follow are on this tree, which is made if it is missing.
    Tree(&'b str),
    /// The value of a key was set.
    Insert(&'b [u8], &'b [u8]),
    /// A key was removed.
    Remove(&'b [u8]),
    /// All keys of a range were removed.
    RemoveRange(Bound<&'b [u8]>, Bound<&'b [u8]>),
    /// All keys were removed.
    Clear,
    /// A tree was dropped.
    DropTree(&'b str),
    /// A tree got another name.
    RenameTree(&'b str, &'b str),
    /// What the store is a copy of has changed: the note that the catalog keeps of it.
    Origin(&'b [u8]),
}

/// The operations in the body of a record, in order; an error ends them.
pub fn operations(body: &[u8]) -> impl Iterator<Item = Result<Operation<'_>>> {
    redo::ops(body).map(|op| op.map(Operation::from))
}

impl<'b> From<Op<'b>> for Operation<'b> {
    fn from(op: Op<'b>) -> Operation<'b> {
        match op {
            Op::Tree(name) => Operation::Tree(name),
            Op::Insert(key, value) => Operation::Insert(key, value),
            Op::Remove(key) => Operation::Remove(key),
            Op::RemoveRange(start, end) => Operation::RemoveRange(start, end),
            Op::Clear => Operation::Clear,
            Op::DropTree(name) => Operation::DropTree(name),
            Op::RenameTree(from, to) => Operation::RenameTree(from, to),
            Op::Origin(note) => Operation::Origin(note),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redo::Redo;

    #[test]
    fn operations_are_read_back_as_they_were_noted() {
        let mut redo = Redo::up_to(1 << 20);
        redo.enter(&"orders".into(), PageId(5));
        redo.insert(b"key", b"value");
        redo.remove(b"other");
        redo.remove_range(&(b"a".as_slice()..b"b".as_slice()));
        redo.clear();
        redo.rename_tree("orders", "old orders");
        redo.drop_tree("old orders");
        redo.origin(b"note");
        let body = redo.body().unwrap();
        let read: Vec<_> = operations(body).map(Result::unwrap).collect();
        let expected = [
            Operation::Tree("orders"),
            Operation::Insert(b"key", b"value"),
            Operation::Remove(b"other"),
            Operation::RemoveRange(Bound::Included(b"a"), Bound::Excluded(b"b")),
            Operation::Clear,
            Operation::RenameTree("orders", "old orders"),
            Operation::DropTree("old orders"),
            Operation::Origin(b"note"),
        ];
        assert_eq!(read, expected);
        for end in 0..body.len() {
            let last = operations(&body[..end]).last();
            assert!(last.is_none_or(|last| last.is_err() || expected.contains(&last.unwrap())), "cut at {end}");
        }
    }
}
