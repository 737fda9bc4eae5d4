//! The structures of a store's file, decoded from bytes that somebody else read: for tools that look at a file without opening it.
//!
//! Promises: nothing here reads, writes or locks anything; bytes of any content give an error or some data, never a panic;
//! the decoding is the engine's own, so that a tool and the engine cannot disagree about what a byte means.

use crate::layout::{Run, SLOT_BYTES, slots_for};
use crate::table::NUMBERS_PER_TABLE_PAGE;
use crate::table_page::{DiskEntry, FANOUT, ITEM_BYTES};
use crate::{Error, PageId, Result, Timestamp, layout, meta, named, open, table_page};
use std::path::Path;

/// The size of a meta, in bytes.
pub const META_BYTES: usize = meta::META_BYTES;
/// Where the two metas stand in the file, in bytes.
pub const META_OFFSETS: [u64; 2] = meta::META_OFFSETS;
/// The slots before the first run.
pub const META_SLOTS: u64 = meta::META_SLOTS;
/// How many references a table page has.
pub const TABLE_FANOUT: usize = FANOUT;
/// How many page numbers a table page of level 0 tells of.
pub const TABLE_NUMBERS: usize = NUMBERS_PER_TABLE_PAGE;

/// Which page number item `item` of page `index` of level 0 tells of: the even ones come first.
#[must_use]
pub fn table_item_number(index: u32, item: usize) -> PageId {
    table_page::number_of(index as usize, item)
}

/// A checkpoint, as its meta slot tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meta {
    /// The meta slot that it belongs in, 0 or 1.
    pub slot: usize,
    /// The size that pages aim at, in bytes.
    pub page_size: u32,
    /// Both slots describe this checkpoint: the store was closed cleanly.
    pub twin: bool,
    /// What tells this store from others.
    pub store_id: [u8; 16],
    /// Grows with each meta that is written.
    pub sequence: u64,
    /// The newest commit that the checkpoint has.
    pub timestamp: Timestamp,
    /// One more than the greatest page number ever used.
    pub pages: u32,
    /// How many levels the page table has.
    pub levels: u32,
    /// The root of the page table.
    pub root: TableRef,
    /// Where the list of named snapshots is, if there are any.
    pub names: Option<NamedListRef>,
}

/// Where the list of named snapshots is, and how to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedListRef {
    /// Its slots.
    pub run: Run,
    /// The CRC-32 of its used bytes.
    pub crc: u32,
    /// How many bytes it uses.
    pub len: u32,
}

/// A checkpoint that is kept under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCheckpoint {
    /// The name.
    pub name: String,
    /// The newest commit that the checkpoint has.
    pub timestamp: Timestamp,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// One more than the greatest page number of its table.
    pub pages: u32,
    /// How many levels its page table has.
    pub levels: u32,
    /// The root of its page table; of no slots if the store was empty.
    pub root: TableRef,
}

/// Decodes the list of named snapshots from its used bytes; `at` is the timestamp of the meta that names it.
///
/// # Errors
/// What is wrong with it.
pub fn named_list(bytes: &[u8], list: &NamedListRef, at: Timestamp) -> Result<Vec<NamedCheckpoint>> {
    let NamedListRef { run, crc, len } = *list;
    let list = named::decode(bytes, &named::ListRef { run, crc, len }, at)?;
    let decoded = list.into_iter().map(|named| NamedCheckpoint {
        name: named.name.to_string(),
        timestamp: named.at,
        created_ms: named.created_ms,
        pages: named.pages,
        levels: named.levels,
        root: TableRef { run: named.root, crc: named.root_crc, newest: named.at },
    });
    Ok(decoded.collect())
}

impl From<meta::Meta> for Meta {
    fn from(meta: meta::Meta) -> Meta {
        Meta {
            slot: meta.slot(),
            page_size: meta.page_size,
            twin: meta.twin,
            store_id: meta.store_id,
            sequence: meta.sequence,
            timestamp: meta.timestamp,
            pages: meta.pages,
            levels: meta.levels,
            root: TableRef { run: meta.root, crc: meta.root_crc, newest: meta.timestamp },
            names: meta.list.map(|named::ListRef { run, crc, len }| NamedListRef { run, crc, len }),
        }
    }
}

/// Decodes the meta of a slot, 0 or 1. `path` is for messages.
///
/// # Errors
/// What is wrong with it.
pub fn meta(bytes: &[u8; META_BYTES], slot: usize, path: &Path) -> Result<Meta> {
    meta::Meta::decode(bytes, slot, path).map(Meta::from)
}

/// The meta that opening would choose, given the first bytes of a file (all the meta slots).
///
/// # Errors
/// Why opening would refuse: neither is whole, or the only one that is might not be the newest.
pub fn choose_meta(head: &[u8], path: &Path) -> Result<Meta> {
    meta::Meta::choose(head, path).map(Meta::from)
}

/// Where a table page is, and how to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableRef {
    /// Its slots: one, or two at level 0.
    pub run: Run,
    /// Its CRC-32.
    pub crc: u32,
    /// The newest birth or death in or below it.
    pub newest: Timestamp,
}

/// What a page number stands for at a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The number was never used.
    NeverUsed,
    /// The page is gone.
    Dead {
        /// The commit that removed it.
        since: Timestamp,
    },
    /// A page, with its newest version.
    Version {
        /// The slots of the version.
        run: Run,
        /// The commit that made it.
        birth: Timestamp,
        /// The CRC-32 of its used bytes.
        crc: u32,
    },
    /// A number that stands in the table itself.
    Register {
        /// The number.
        value: u64,
        /// The commit that wrote it.
        birth: Timestamp,
    },
}

/// What a table page holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TablePage {
    /// Level 0: entries of consecutive page numbers, [`TABLE_NUMBERS`] of them; `None` where an entry has no known kind.
    Entries(Vec<Option<Entry>>),
    /// Higher levels: the table pages below; `None` where there is no reference.
    References(Vec<Option<TableRef>>),
}

/// How many table pages each level has for so many page numbers, from level 0 up to the single root.
#[must_use]
pub fn table_level_sizes(pages: u32) -> Vec<usize> {
    table_page::level_sizes(pages)
}

/// Checks and decodes the table page that `reference` names: page `index` of `level`.
///
/// # Errors
/// When it has another checksum, or is another page.
pub fn table_page(bytes: &[u8], reference: &TableRef, level: u32, index: u32) -> Result<TablePage> {
    let TableRef { run, crc, newest } = *reference;
    let reference = table_page::TableRef { run, crc, newest, written: Timestamp::ZERO };
    let items = table_page::check_bytes(bytes, &reference, level, index)?;
    let items = items.chunks_exact(ITEM_BYTES);
    Ok(if level == 0 {
        let first = index as usize * TABLE_NUMBERS;
        let ids = (first..first + TABLE_NUMBERS).map(|id| PageId(id as u32));
        let item = |id| items.clone().nth(table_page::item_of(id));
        let entry =
            |item: Option<&[u8]>| item.map_or(Some(Entry::NeverUsed), |item| DiskEntry::decode(item).map(Entry::from));
        TablePage::Entries(ids.map(|id| entry(item(id))).collect())
    } else {
        TablePage::References(items.map(reference_of).collect())
    })
}

fn reference_of(item: &[u8]) -> Option<TableRef> {
    table_page::TableRef::decode(item).map(|table_page::TableRef { run, crc, newest, .. }| TableRef {
        run,
        crc,
        newest,
    })
}

/// The timestamp of the checkpoint that wrote a table page.
///
/// # Panics
/// When there are fewer bytes than one slot has.
#[must_use]
pub fn table_page_timestamp(bytes: &[u8]) -> Timestamp {
    Timestamp(layout::get_u64(bytes, 16))
}

impl From<DiskEntry> for Entry {
    fn from(entry: DiskEntry) -> Entry {
        match entry {
            DiskEntry::NeverUsed => Entry::NeverUsed,
            DiskEntry::Dead { since } => Entry::Dead { since },
            DiskEntry::Version { run, birth, crc } => Entry::Version { run, birth, crc },
            DiskEntry::Register { value, birth } => Entry::Register { value, birth },
        }
    }
}

impl From<Entry> for DiskEntry {
    fn from(entry: Entry) -> DiskEntry {
        match entry {
            Entry::NeverUsed => DiskEntry::NeverUsed,
            Entry::Dead { since } => DiskEntry::Dead { since },
            Entry::Version { run, birth, crc } => DiskEntry::Version { run, birth, crc },
            Entry::Register { value, birth } => DiskEntry::Register { value, birth },
        }
    }
}

/// Whether an entry of the table of checkpoint `at` is possible in a file of `len` bytes.
///
/// # Errors
/// Why it is not.
pub fn check_entry(id: PageId, entry: Entry, at: Timestamp, len: u64, path: &Path) -> Result<()> {
    open::check_entry(id, entry.into(), at, len, path)
}

/// The first bytes of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionHeader {
    /// The page.
    pub page: PageId,
    /// The root of the tree that the page belongs to.
    pub owner: PageId,
    /// The commit that made the version.
    pub birth: Timestamp,
    /// How many bytes it uses, this header included.
    pub length: u32,
}

impl VersionHeader {
    /// How many slots a version of this length takes.
    #[must_use]
    pub fn slots(&self) -> u64 {
        slots_for(self.length as usize)
    }
}

/// Decodes the header of a version; `None` if there are too few bytes.
#[must_use]
pub fn version_header(bytes: &[u8]) -> Option<VersionHeader> {
    let layout::PageHeader { id, owner, birth, length } = layout::PageHeader::read(bytes)?;
    Some(VersionHeader { page: id, owner, birth, length })
}

/// Whether the header that begins a run of `slots` slots is that of the version of `page` of `birth`, and how long the version is.
///
/// # Errors
/// What is wrong, as an [`Error::Damaged`] without a slot.
pub fn check_header(header: &VersionHeader, page: PageId, birth: Timestamp, slots: u64) -> Result<usize> {
    let VersionHeader { page: id, owner, birth: born, length } = *header;
    let header = layout::PageHeader { id, owner, birth: born, length };
    let checked = header.check(page, birth, slots.saturating_mul(SLOT_BYTES as u64));
    checked.map_err(|what| Error::damaged_page(page, None, what))?;
    Ok(length as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arbitrary_bytes_are_no_structure_and_cause_no_panic() {
        let path = Path::new("store");
        for seed in 0..64_u32 {
            let bytes: Vec<u8> = (0..SLOT_BYTES as u32).map(|at| (at.wrapping_mul(seed * 2 + 1) >> 3) as u8).collect();
            let sector = bytes.first_chunk().unwrap();
            assert!(meta(sector, (seed % 2) as usize, path).is_err());
            assert!(choose_meta(&bytes, path).is_err());
            let reference = TableRef { run: Run { start: 4, slots: 1 }, crc: seed, newest: Timestamp::ZERO };
            assert!(table_page(&bytes, &reference, 0, 0).is_err());
            assert!(table_page(&bytes[..seed as usize], &reference, 0, 0).is_err());
            let header = version_header(&bytes).unwrap();
            assert!(check_header(&header, PageId(header.page.0 ^ 1), header.birth, u64::MAX).is_err());
        }
    }
}
