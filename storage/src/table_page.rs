//! The page table on disk: a tree of table pages, 84 entries or references each, shared between checkpoints.
//!
//! ```text
//! table page:   0 "PTBL"   4 level   8 index   12 zero   16 timestamp of its checkpoint   24 zero (8)   32 items (84 or 168 of 24 bytes)
//! entry:        0 run, or value of a register    8 birth, or death     16 CRC-32   20 kind: 0 never used, 1 dead, 2 version, 3 register
//! reference:    0 run of a table page            8 newest birth below  16 CRC-32   20 kind: 0 none, 4 table page
//! ```
//!
//! Level 0 holds entries, page *i* those of the 168 page numbers from 168*i*: first the 84 even ones, which take a slot; then, in a second slot, the odd ones, which are beside them.
//! There is no second slot as long as none of those was ever used. A page of a higher level refers to 84 of the level below, and takes one slot.
//! The meta slot refers to the single page of the highest level. A table page is never changed in place.

use crate::layout::{Run, SLOT_BYTES, get_u32, get_u64};
use crate::medium::Medium;
use crate::table::{NUMBERS_PER_TABLE_PAGE, PageTable};
use crate::{Error, PageId, Result, Timestamp};

const MAGIC: &[u8; 4] = b"PTBL";
const ITEMS_AT: usize = 32;
pub(crate) const ITEM_BYTES: usize = 24;
pub(crate) const FANOUT: usize = 84;
const _: () = assert!(ITEMS_AT + FANOUT * ITEM_BYTES == SLOT_BYTES, "a table page fills its slot");
const _: () = assert!(NUMBERS_PER_TABLE_PAGE == 2 * FANOUT, "a number and the one beside it have an item each");

/// Which item of its table page a page number has.
pub(crate) fn item_of(id: PageId) -> usize {
    let pair = id.0 as usize / 2 % FANOUT;
    if id.beside().is_some() { pair } else { FANOUT + pair }
}

/// Which page number has item `item` of page `index` of level 0.
pub(crate) fn number_of(index: usize, item: usize) -> PageId {
    PageId((index * NUMBERS_PER_TABLE_PAGE + item % FANOUT * 2 + item / FANOUT) as u32)
}

/// What a page number stands for at a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskEntry {
    NeverUsed,
    Dead { since: Timestamp },
    Version { run: Run, birth: Timestamp, crc: u32 },
    Register { value: u64, birth: Timestamp },
}

impl DiskEntry {
    fn encode(self) -> [u8; ITEM_BYTES] {
        match self {
            DiskEntry::NeverUsed => item(0, 0, 0, 0),
            DiskEntry::Dead { since } => item(0, since.0, 0, 1),
            DiskEntry::Version { run, birth, crc } => item(run.encode(), birth.0, crc, 2),
            DiskEntry::Register { value, birth } => item(value, birth.0, 0, 3),
        }
    }

    /// The birth, or the death.
    pub fn changed_at(self) -> Option<Timestamp> {
        match self {
            DiskEntry::NeverUsed => None,
            DiskEntry::Dead { since: at }
            | DiskEntry::Version { birth: at, .. }
            | DiskEntry::Register { birth: at, .. } => Some(at),
        }
    }

    pub fn decode(bytes: &[u8]) -> Option<DiskEntry> {
        let (word, at, crc) = (get_u64(bytes, 0), Timestamp(get_u64(bytes, 8)), get_u32(bytes, 16));
        Some(match get_u32(bytes, 20) {
            0 => DiskEntry::NeverUsed,
            1 => DiskEntry::Dead { since: at },
            2 => DiskEntry::Version { run: Run::decode(word), birth: at, crc },
            3 => DiskEntry::Register { value: word, birth: at },
            _ => return None,
        })
    }
}

fn item(word: u64, at: u64, crc: u32, kind: u32) -> [u8; ITEM_BYTES] {
    let mut bytes = [0; ITEM_BYTES];
    bytes[0..8].copy_from_slice(&word.to_le_bytes());
    bytes[8..16].copy_from_slice(&at.to_le_bytes());
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    bytes[20..24].copy_from_slice(&kind.to_le_bytes());
    bytes
}

/// Where a table page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableRef {
    pub run: Run,
    pub crc: u32,
    /// The newest birth or death in or below it.
    pub newest: Timestamp,
    /// The checkpoint that wrote it, once the page has been read or written: references on disk do not tell.
    pub written: Timestamp,
}

impl TableRef {
    /// Decodes a reference; `None` if the item is none.
    pub fn decode(item: &[u8]) -> Option<TableRef> {
        (get_u32(item, 20) == 4).then(|| TableRef {
            run: Run::decode(get_u64(item, 0)),
            newest: Timestamp(get_u64(item, 8)),
            crc: get_u32(item, 16),
            written: Timestamp::ZERO,
        })
    }
}

/// A table page being built.
pub(crate) struct TablePage {
    bytes: Vec<u8>,
}

impl TablePage {
    pub fn new(level: u32, index: u32, at: Timestamp) -> TablePage {
        TablePage { bytes: vec![0; SLOT_BYTES] }.stamped(level, index, at)
    }

    /// A copy of an earlier one, for another checkpoint.
    pub fn copied(from: &[u8], level: u32, index: u32, at: Timestamp) -> TablePage {
        TablePage { bytes: from.to_vec() }.stamped(level, index, at)
    }

    fn stamped(mut self, level: u32, index: u32, at: Timestamp) -> TablePage {
        self.bytes[0..4].copy_from_slice(MAGIC);
        self.bytes[4..8].copy_from_slice(&level.to_le_bytes());
        self.bytes[8..12].copy_from_slice(&index.to_le_bytes());
        self.bytes[16..24].copy_from_slice(&at.0.to_le_bytes());
        self
    }

    fn set(&mut self, number: usize, item: [u8; ITEM_BYTES]) {
        let at = ITEMS_AT + number * ITEM_BYTES;
        if at >= SLOT_BYTES {
            self.bytes.resize(2 * SLOT_BYTES, 0);
        }
        self.bytes[at..at + ITEM_BYTES].copy_from_slice(&item);
    }

    pub fn set_entry(&mut self, id: PageId, entry: DiskEntry) {
        self.set(item_of(id), entry.encode());
    }

    pub fn set_refs(&mut self, refs: &[TableRef]) {
        for (number, child) in refs.iter().enumerate() {
            self.set(number, item(child.run.encode(), child.newest.0, child.crc, 4));
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..]
    }

    /// The newest birth or death among the items.
    pub fn newest(&self) -> Timestamp {
        let items = self.bytes[ITEMS_AT..].chunks_exact(ITEM_BYTES);
        Timestamp(items.map(|item| get_u64(item, 8)).max().unwrap_or(0))
    }
}

/// How many table pages each level has for `pages` page numbers, from level 0 up to the single root.
pub(crate) fn level_sizes(pages: u32) -> Vec<usize> {
    let mut sizes = Vec::new();
    let (mut size, mut below) = (pages as usize, NUMBERS_PER_TABLE_PAGE);
    while size > 0 {
        size = size.div_ceil(below);
        below = FANOUT;
        sizes.push(size);
        if size == 1 {
            break;
        }
    }
    sizes
}

/// The page table of the durable checkpoint: where its table pages are, level by level.
#[derive(Clone, Debug, Default)]
pub(crate) struct DurableTable {
    pub levels: Vec<Vec<TableRef>>,
}

impl DurableTable {
    /// Reads the table that `root` refers to, and shows each entry.
    ///
    /// # Errors
    /// On any table page that does not check out.
    pub fn load(
        medium: &dyn Medium,
        pages: u32,
        levels: u32,
        root: TableRef,
        mut visit: impl FnMut(PageId, DiskEntry) -> Result<()>,
    ) -> Result<DurableTable> {
        let sizes = level_sizes(pages);
        if sizes.len() != levels as usize {
            return Err(damaged(root.run.start, "the number of levels does not fit the number of pages"));
        }
        let mut table = DurableTable { levels: sizes.iter().map(|_| Vec::new()).collect() };
        let mut refs = if sizes.is_empty() { Vec::new() } else { vec![root] };
        for level in (0..sizes.len()).rev() {
            let mut below = Vec::new();
            for (index, table_ref) in refs.iter_mut().enumerate() {
                let (items, written) = check_page(medium, table_ref, level as u32, index as u32)?;
                table_ref.written = written;
                for (number, item) in items.chunks_exact(ITEM_BYTES).enumerate() {
                    if level > 0 {
                        if index * FANOUT + number >= sizes[level - 1] {
                            break;
                        }
                        let child = TableRef::decode(item);
                        below.push(child.ok_or_else(|| damaged(table_ref.run.start, "a reference is missing"))?);
                        continue;
                    }
                    let id = number_of(index, number);
                    if id.0 < pages {
                        let entry = DiskEntry::decode(item)
                            .ok_or_else(|| damaged(table_ref.run.start, "an entry has an unknown kind"))?;
                        visit(id, entry)?;
                    }
                }
            }
            table.levels[level] = std::mem::replace(&mut refs, below);
        }
        Ok(table)
    }

    /// The reference to the single page of the highest level.
    pub fn root(&self) -> Option<TableRef> {
        self.levels.last()?.first().copied()
    }

    /// The runs of all table pages.
    pub fn runs(&self) -> impl Iterator<Item = Run> {
        self.levels.iter().flatten().map(|table_ref| table_ref.run)
    }

    /// Which table pages of a level lie at slot `from` or beyond, in ascending order.
    pub fn pages_from(&self, level: usize, from: u64) -> Vec<usize> {
        if from == u64::MAX {
            return Vec::new();
        }
        let refs = self.levels.get(level).into_iter().flatten().enumerate();
        refs.filter(|(_, table_ref)| table_ref.run.start >= from).map(|(index, _)| index).collect()
    }

    /// How many table pages a level has.
    pub fn level_len(&self, level: usize) -> usize {
        self.levels.get(level).map_or(0, Vec::len)
    }

    /// The bytes of the level-0 table page of a stretch, if there is one. They were checked when the table was read or written.
    pub fn leaf<'m>(&self, medium: &'m dyn Medium, stretch: usize) -> Option<&'m [u8]> {
        let table_ref = self.levels.first()?.get(stretch)?;
        page_bytes(medium, table_ref.run)
    }

    /// What the durable checkpoint says of a page.
    pub fn entry(&self, medium: &dyn Medium, id: PageId) -> Option<DiskEntry> {
        let bytes = self.leaf(medium, PageTable::stretch_of(id))?;
        match bytes[ITEMS_AT..].chunks_exact(ITEM_BYTES).nth(item_of(id)) {
            Some(item) => DiskEntry::decode(item),
            None => Some(DiskEntry::NeverUsed),
        }
    }
}

fn page_bytes(medium: &dyn Medium, run: Run) -> Option<&[u8]> {
    if !(1..=2).contains(&run.slots) {
        return None;
    }
    let address = medium.address(run.offset(), run.bytes())?;
    // The slot is retained: it belongs to the durable checkpoint (or the one being opened), whose table pages are given back only after the
    // next one is durable, by the thread that holds the checkpoint or under the lock of the durable table; or to a named snapshot, whose
    // table pages go only when its name has gone, while who looks at them is opening the store, or holds the reclaimer (the checker).
    // SAFETY: the medium vouches for the address, and nobody writes a slot that is retained.
    Some(unsafe { std::slice::from_raw_parts(address.as_ptr(), run.bytes() as usize) })
}

/// Checks a table page, and returns its items and the timestamp of the checkpoint that wrote it.
pub(crate) fn check_page<'m>(
    medium: &'m dyn Medium,
    table_ref: &TableRef,
    level: u32,
    index: u32,
) -> Result<(&'m [u8], Timestamp)> {
    let bytes = page_bytes(medium, table_ref.run).ok_or_else(|| Error::Truncated {
        path: medium.path().to_owned(),
        needed: table_ref.run.offset() + table_ref.run.bytes(),
        found: medium.len(),
    })?;
    Ok((check_bytes(bytes, table_ref, level, index)?, Timestamp(get_u64(bytes, 16))))
}

/// The same, for bytes that were read by other means.
pub(crate) fn check_bytes<'b>(bytes: &'b [u8], table_ref: &TableRef, level: u32, index: u32) -> Result<&'b [u8]> {
    let slot = table_ref.run.start;
    let most = if level == 0 { 2 } else { 1 };
    if !bytes.len().is_multiple_of(SLOT_BYTES) || !(1..=most).contains(&(bytes.len() / SLOT_BYTES)) {
        return Err(damaged(slot, "it is too short or too long for a table page"));
    }
    if crc32fast::hash(bytes) != table_ref.crc {
        return Err(damaged(slot, "its checksum does not match"));
    }
    if &bytes[..4] != MAGIC || get_u32(bytes, 4) != level || get_u32(bytes, 8) != index {
        return Err(damaged(slot, "it is not the table page that belongs here"));
    }
    let items = FANOUT * bytes.len() / SLOT_BYTES;
    Ok(&bytes[ITEMS_AT..ITEMS_AT + items * ITEM_BYTES])
}

pub(crate) fn damaged(slot: u64, what: &str) -> Error {
    Error::Damaged { structure: "table page", page: None, slot: Some(slot), what: what.to_owned() }
}
