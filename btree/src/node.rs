//! Nodes as they are read.
//!
//! Promises: a [`Node`] exists only when its header agrees with the length of its body, so that its arrays can be
//! sliced; each cell is checked when it is met. A body of any content gives a [`Fault`] at worst.

use std::cmp::Ordering;
use std::hint::select_unpredictable;

use pentimento_storage::{CACHE_LINE, PageId, prefetch_line};

use crate::delta;
use crate::key::Key;
use crate::layout::{
    HEADER, Header, KIND_DELTA, LARGE_FLAG, LARGE_REF, LEAF_CELL, MAX_KEY_LEN, MAX_LEVEL, cell_header, cell_lengths,
    head_of,
};
use crate::pages::{Fault, ReadPages};
use crate::parts::Parts;
use crate::value::ValueLocation;

/// A fault in `page`.
#[cold]
pub(crate) fn damaged(page: PageId, what: &'static str) -> Fault {
    Fault::Damaged { page, what }
}

/// Asks for the lines that the header and the arrays of a usual leaf take, all at once.
#[inline(always)]
pub(crate) fn prefetch_arrays(body: &[u8]) {
    for line in 0..6 {
        prefetch_line(body, line * CACHE_LINE);
    }
}

/// How many lines of an entry are asked for ahead of its use.
const ENTRY_LINES: usize = 4;

/// How many entries ahead of the one that is handed out memory is asked for.
pub(crate) const AHEAD: usize = 8;
/// How many entries are asked for when a walk begins.
pub(crate) const AT_FIRST: usize = 10;

/// A node whose header has been checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'p> {
    pub page: PageId,
    pub header: Header,
    pub prefix: &'p [u8],
    /// The eight bytes where the prefix begins, whatever its length.
    pub prefix_word: u64,
    pub heads: &'p [[u8; 4]],
    pub children: &'p [[u8; 4]],
    pub offsets: &'p [[u8; 2]],
    /// The cell area, garbage included.
    pub cells: &'p [u8],
    /// Where the cell area begins in the body.
    pub cells_at: usize,
    /// More cells, in the delta of a leaf, and where they begin there; 0 if there is no delta.
    pub more: &'p [u8],
    pub more_at: usize,
}

/// What a leaf keeps for a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stored<'p> {
    /// The value itself.
    Inline(&'p [u8]),
    /// The page of a large value, and its length.
    Large(PageId, usize),
}

/// An entry taken apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole<'p> {
    /// The part of the key that follows the node's prefix.
    pub suffix: &'p [u8],
    /// What a leaf keeps for the key; nothing in a branch.
    pub stored: Option<Stored<'p>>,
    /// Where the cell has its bytes.
    pub extent: Extent,
}

/// A range of bytes in the cell area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Extent {
    pub start: usize,
    pub end: usize,
}

impl<'p> Node<'p> {
    /// A leaf without entries that is no page's.
    pub const EMPTY: Node<'static> = Node {
        page: PageId::NONE,
        header: Header { level: 0, flags: 0, prefix_len: 0, count: 0, cap: 0, garbage: 0, leftmost: PageId::NONE },
        prefix: &[],
        prefix_word: 0,
        heads: &[],
        children: &[],
        offsets: &[],
        cells: &[],
        cells_at: 0,
        more: &[],
        more_at: 0,
    };

    #[inline(always)]
    pub fn parse(page: PageId, body: &'p [u8]) -> Result<Node<'p>, Fault> {
        let Some(bytes) = body.first_chunk::<HEADER>() else {
            return Err(damaged(page, "the node is shorter than its header"));
        };
        let header = Header::read(bytes);
        if header.level > MAX_LEVEL {
            return Err(damaged(page, "this is not a node"));
        }
        let cells_at = header.places().cells;
        let Some(cells) = body.get(cells_at..) else {
            return Err(damaged(page, "the node's header does not fit its length"));
        };
        Ok(Node { more: &[], more_at: 0, ..Node::with_cells(page, header, body, (cells, cells_at))? })
    }

    /// A node of this header, whose arrays stand in `body`, followed by more cells. The others stand elsewhere.
    #[inline(always)]
    pub fn with_cells(
        page: PageId,
        header: Header,
        body: &'p [u8],
        (cells, cells_at): (&'p [u8], usize),
    ) -> Result<Node<'p>, Fault> {
        let at = header.places();
        let count = usize::from(header.count);
        let prefix_len = usize::from(header.prefix_len);
        if header.count > header.cap || at.cells > body.len() || prefix_len > MAX_KEY_LEN {
            return Err(damaged(page, "the node's header does not fit its length"));
        }
        let slice = |from: usize, len: usize| body.get(from..from + len).unwrap_or_default();
        Ok(Node {
            page,
            header,
            prefix: slice(HEADER, prefix_len),
            prefix_word: body.get(HEADER..).and_then(<[u8]>::first_chunk).map_or(0, |word| u64::from_le_bytes(*word)),
            heads: slice(at.heads, count * 4).as_chunks().0,
            children: if header.level == 0 { &[] } else { slice(at.children, count * 4).as_chunks().0 },
            offsets: slice(at.offsets, count * 2).as_chunks().0,
            cells,
            cells_at,
            more: slice(at.cells, body.len() - at.cells),
            more_at: at.cells,
        })
    }

    /// The leaf in `body`, as its delta tells it.
    #[inline(always)]
    pub fn parse_with_delta(page: PageId, body: &'p [u8], delta: &'p [u8]) -> Result<Node<'p>, Fault> {
        let beside = page.beside().unwrap_or(PageId::NONE);
        let mut header = match delta.first_chunk::<HEADER>().map(Header::read) {
            Some(header) if header.level == KIND_DELTA => header,
            _ => return Err(damaged(beside, "this is not a delta")),
        };
        let (cells_at, len) = delta::base_of(header.leftmost);
        (header.level, header.leftmost) = (0, PageId(0));
        match body.get(cells_at..) {
            Some(cells) if cells.len() == len => Node::with_cells(page, header, delta, (cells, cells_at))
                .map_err(|_| damaged(beside, "the delta's header does not fit its length")),
            _ => Err(damaged(beside, "the delta does not fit its leaf")),
        }
    }

    /// Reads a page as a node.
    #[inline(always)]
    pub fn read<P: ReadPages>(pages: &'p P, page: PageId) -> Result<Node<'p>, P::Error> {
        let body = pages.page(page)?;
        let node = Node::parse(page, body)?;
        if node.is_leaf()
            && let Some(delta) = delta::of(pages, page)?
        {
            return Ok(Node::parse_with_delta(page, body, delta)?);
        }
        Ok(node)
    }

    /// Reads a page that must be a leaf if it has no delta. If it has one, only the page's cells are looked at.
    #[inline(always)]
    pub fn read_leaf<P: ReadPages>(pages: &'p P, page: PageId) -> Result<Node<'p>, P::Error> {
        match delta::of(pages, page)? {
            Some(delta) => Ok(Node::parse_with_delta(page, pages.page_part(page, delta::base_len(delta))?, delta)?),
            None => Ok(Node::parse(page, pages.page(page)?)?),
        }
    }

    /// Reads a page that must be a node just below `parent`.
    #[inline(always)]
    pub fn read_below<P: ReadPages>(pages: &'p P, page: PageId, parent: u8) -> Result<Node<'p>, P::Error> {
        let node = if parent == 1 {
            pages.prefetch_for(page, None);
            Node::read_leaf(pages, page)?
        } else {
            Node::read(pages, page)?
        };
        if node.header.level + 1 != parent {
            return Err(damaged(page, "the node's level does not follow from its parent's").into());
        }
        Ok(node)
    }

    /// The delta that this is told by, and how long that is, if the leaf has one.
    pub fn delta(&self) -> Option<(PageId, usize)> {
        self.page.beside().filter(|_| self.more_at > 0).map(|delta| (delta, self.more_at + self.more.len()))
    }

    /// The bytes of the node, as if it were in one piece.
    pub fn len(&self) -> usize {
        let arrays = if self.more_at > 0 { self.more_at } else { self.cells_at };
        arrays + self.cells_len()
    }

    /// Whether more than half of the node is garbage.
    pub fn is_wasteful(&self) -> bool {
        usize::from(self.header.garbage) * 2 > self.len()
    }

    /// The bytes of all cells, garbage included.
    pub fn cells_len(&self) -> usize {
        self.cells.len() + self.more.len()
    }

    #[inline]
    pub fn is_leaf(&self) -> bool {
        self.header.level == 0
    }

    /// How many entries a leaf has, or how many separators a branch.
    #[inline]
    pub fn count(&self) -> usize {
        self.heads.len()
    }

    #[inline]
    pub fn head(&self, index: usize) -> Option<u32> {
        self.heads.get(index).map(|bytes| u32::from_le_bytes(*bytes))
    }

    #[inline]
    pub fn fault(&self, what: &'static str) -> Fault {
        damaged(self.page, what)
    }

    /// The child number `index`, the leftmost one being number 0.
    #[inline(always)]
    pub fn child(&self, index: usize) -> Result<PageId, Fault> {
        match index.checked_sub(1) {
            None if !self.is_leaf() => Ok(self.header.leftmost),
            None => Err(self.fault("a leaf has no children")),
            Some(at) => match self.children.get(at) {
                Some(bytes) => Ok(PageId(u32::from_le_bytes(*bytes))),
                None => Err(self.fault("there is no such child")),
            },
        }
    }

    /// All children from left to right; none for a leaf.
    pub fn all_children(&self) -> Vec<PageId> {
        let leftmost = (!self.is_leaf()).then_some(self.header.leftmost);
        leftmost.into_iter().chain(self.children.iter().map(|bytes| PageId(u32::from_le_bytes(*bytes)))).collect()
    }

    /// Which cells an offset lies in, and where there.
    #[inline(always)]
    fn area_of(&self, at: usize) -> (&'p [u8], usize) {
        if self.more_at == 0 {
            return (self.cells, at);
        }
        // Which it is nobody can foresee, so it is selected, without a branch.
        let len = self.cells.len();
        select_unpredictable(at < len, (self.cells, at), (self.more, at.wrapping_sub(len)))
    }

    /// The cell of entry `index` from its start, and where it starts.
    #[inline(always)]
    fn cell(&self, index: usize) -> Result<(usize, &'p [u8]), Fault> {
        let Some(offset) = self.offsets.get(index) else {
            return Err(self.fault("there is no such entry"));
        };
        let at = usize::from(u16::from_le_bytes(*offset));
        let (area, from) = self.area_of(at);
        match area.get(from..) {
            Some(cell) => Ok((at, cell)),
            None => Err(self.fault("a cell begins past the end")),
        }
    }

    /// The part of key `index` that follows the node's prefix.
    #[inline(always)]
    pub fn suffix(&self, index: usize) -> Result<&'p [u8], Fault> {
        let (_, cell) = self.cell(index)?;
        let suffix = cell.first_chunk::<2>().and_then(|len| {
            let from = cell_header(self.header.level);
            cell.get(from..from + usize::from(u16::from_le_bytes(*len)))
        });
        suffix.ok_or_else(|| self.fault("a key ends past the end"))
    }

    #[inline]
    pub fn key(&self, index: usize) -> Result<Parts<'p>, Fault> {
        Ok(Parts { prefix: self.prefix, suffix: self.suffix(index)? })
    }

    /// Whether key `index` is less than key `at` of another node. In a damaged tree, too, no chain of keys each of which precedes the next comes back to where it began.
    pub fn precedes(&self, index: usize, other: &Node<'_>, at: usize) -> Result<bool, Fault> {
        // Prefixes and heads tell the order of most keys, without a look at the cells.
        let shared = self.prefix.len().min(other.prefix.len());
        let mut order = self.prefix[..shared].cmp(&other.prefix[..shared]);
        if order == Ordering::Equal {
            order = self.word_at(index, shared)?.cmp(&other.word_at(at, shared)?);
        }
        if order == Ordering::Equal {
            order = self.key_as_noted(index)?.cmp(&other.key_as_noted(at)?);
        }
        Ok(order == Ordering::Less)
    }

    /// Key `index`, if it begins as its head says: else cells could contradict what was told by heads alone.
    fn key_as_noted(&self, index: usize) -> Result<Parts<'p>, Fault> {
        let key = self.key(index)?;
        if self.head(index) != Some(head_of(key.suffix)) {
            return Err(self.fault("a key does not begin as its head says"));
        }
        Ok(key)
    }

    /// Four bytes of key `index`, or zeros behind its end, from byte `from` on, which lies in the prefix or just behind it.
    #[inline(always)]
    fn word_at(&self, index: usize, from: usize) -> Result<u32, Fault> {
        let Some(head) = self.head(index) else { return Err(self.fault("there is no such entry")) };
        let rest = &self.prefix[from..];
        Ok(match rest.first_chunk() {
            Some(word) => u32::from_be_bytes(*word),
            // With as much of the head as there is room for.
            None => rest.iter().rev().fold(head, |word, byte| word >> 8 | u32::from(*byte) << 24),
        })
    }

    /// Asks for the lines of entry `index` of a leaf that a small entry takes, if there is such an entry.
    #[inline(always)]
    pub fn prefetch_entry(&self, index: usize) {
        if let Some(offset) = self.offsets.get(index) {
            let at = usize::from(u16::from_le_bytes(*offset));
            let (area, from) = self.area_of(at);
            for line in 0..ENTRY_LINES {
                prefetch_line(area, from + line * CACHE_LINE);
            }
        }
    }

    /// Asks for some entries of a leaf.
    #[inline]
    pub fn prefetch_entries(&self, first: usize, count: usize) {
        (first..first + count).for_each(|index| self.prefetch_entry(index));
    }

    /// The suffix and the value of entry `index` of a leaf.
    #[inline(always)]
    pub fn entry(&self, index: usize) -> Result<(&'p [u8], Stored<'p>), Fault> {
        let (_, cell) = self.cell(index)?;
        Self::decode(cell).ok_or_else(|| self.fault("an entry ends past the end"))
    }

    /// The key of entry `index` of a leaf, to be handed out, and the value.
    #[inline(always)]
    pub fn joined(&self, index: usize) -> Result<(Key<'p>, Stored<'p>), Fault> {
        let (_, cell) = self.cell(index)?;
        let decoded = Self::decode(cell).zip(cell.get(LEAF_CELL..));
        let ((suffix, stored), stands) = decoded.ok_or_else(|| self.fault("an entry ends past the end"))?;
        Ok((Key::join_where(Parts { prefix: self.prefix, suffix }, self.prefix_word, stands), stored))
    }

    /// The key and the value of entry `index` of a leaf.
    pub fn key_and_value(&self, index: usize) -> Result<(Parts<'p>, Stored<'p>), Fault> {
        let (suffix, stored) = self.entry(index)?;
        Ok((Parts { prefix: self.prefix, suffix }, stored))
    }

    #[inline(always)]
    fn decode(cell: &'p [u8]) -> Option<(&'p [u8], Stored<'p>)> {
        let (lengths, rest) = cell.split_first_chunk::<LEAF_CELL>()?;
        let (key_len, value_len) = cell_lengths(lengths);
        let (suffix, rest) = rest.split_at_checked(key_len)?;
        let stored = if value_len & LARGE_FLAG == 0 {
            Stored::Inline(rest.get(..usize::from(value_len))?)
        } else {
            let bytes = rest.first_chunk::<LARGE_REF>()?;
            let page = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            let len = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            Stored::Large(PageId(page), len as usize)
        };
        Some((suffix, stored))
    }

    /// Entry `index` with everything that its cell tells.
    #[inline(always)]
    pub fn whole(&self, index: usize) -> Result<Whole<'p>, Fault> {
        let (start, cell) = self.cell(index)?;
        if self.is_leaf() {
            let decoded = Self::decode(cell);
            let (suffix, stored) = decoded.ok_or_else(|| self.fault("an entry ends past the end"))?;
            let end = start + LEAF_CELL + suffix.len() + stored.cell_len();
            return Ok(Whole { suffix, stored: Some(stored), extent: Extent { start, end } });
        }
        let suffix = self.suffix(index)?;
        let end = start + cell_header(self.header.level) + suffix.len();
        Ok(Whole { suffix, stored: None, extent: Extent { start, end } })
    }

    /// Where a value stands that this leaf stores.
    pub fn location(&self, stored: &Stored<'_>) -> ValueLocation {
        stored.location(|value| {
            place_within(value, self.cells).map_or_else(
                || (PageId(self.page.0.wrapping_add(1)), self.more_at + place_within(value, self.more).unwrap_or(0)),
                |at| (self.page, self.cells_at + at),
            )
        })
    }

    /// Where entry `index` has its bytes in the cell area.
    pub fn extent(&self, index: usize) -> Result<Extent, Fault> {
        Ok(self.whole(index)?.extent)
    }
}

/// Where a part of `whole` begins in it; `None` if it is no part of it.
#[inline]
pub(crate) fn place_within(part: &[u8], whole: &[u8]) -> Option<usize> {
    let at = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (at + part.len() <= whole.len()).then_some(at)
}

impl Stored<'_> {
    /// The page of a large value.
    pub fn large_page(&self) -> Option<PageId> {
        match self {
            Stored::Large(page, _) => Some(*page),
            Stored::Inline(..) => None,
        }
    }

    /// The length of the value.
    pub fn value_len(&self) -> usize {
        match self {
            Stored::Inline(bytes) => bytes.len(),
            Stored::Large(_, len) => *len,
        }
    }

    /// The bytes that this takes in its cell.
    pub fn cell_len(&self) -> usize {
        match self {
            Stored::Inline(bytes) => bytes.len(),
            Stored::Large(..) => LARGE_REF,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryPages;
    use crate::tree_mut::{TreeMut, create};

    /// The page of a leaf with these keys.
    fn leaf(pages: &mut MemoryPages, keys: &[Vec<u8>]) -> PageId {
        let root = create(pages).unwrap();
        TreeMut::new(pages, root).bulk_load(keys.iter().map(|key| (key, b""))).unwrap();
        root
    }

    #[test]
    fn keys_of_two_nodes_compare_as_whole_keys_do() {
        let mut pages = MemoryPages::new(8192);
        let endings = [&b""[..], &[0], &[0, 0], &[0, 0, 0, 0], &[0, 0, 0, 0, 1], &[1], b"pqrs", b"pqrst", &[255, 0, 7]];
        let with = |start: &str| -> Vec<Vec<u8>> {
            endings.iter().map(|ending| [start.as_bytes(), ending].concat()).collect()
        };
        let all: Vec<Vec<Vec<u8>>> = ["", "p", "pq", "pqr", "pqrs", "pqrst", "pqrstu", "q"].map(with).to_vec();
        let leaves: Vec<PageId> = all.iter().map(|keys| leaf(&mut pages, keys)).collect();
        let nodes: Vec<Node<'_>> = leaves.iter().map(|page| Node::read(&pages, *page).unwrap()).collect();
        assert!(
            nodes.iter().map(|node| node.prefix.len()).eq([0, 1, 2, 3, 4, 5, 6, 1]),
            "the prefixes are what is tested"
        );
        for (node, keys) in nodes.iter().zip(&all) {
            for (other, others) in nodes.iter().zip(&all) {
                for (index, key) in keys.iter().enumerate() {
                    for (at, than) in others.iter().enumerate() {
                        assert_eq!(node.precedes(index, other, at).unwrap(), key < than, "{key:?} and {than:?}");
                    }
                    assert!(node.precedes(index, node, keys.len()).is_err());
                }
            }
        }
    }

    #[test]
    fn where_heads_do_not_tell_they_must_be_right() {
        let mut pages = MemoryPages::new(8192);
        let [left, right] = ["bcde", "cdef"].map(|start| {
            let keys = ["1", "2"].map(|ending| [start, ending].concat().into_bytes());
            leaf(&mut pages, &[vec![start.as_bytes()[0]], keys[0].clone(), keys[1].clone()])
        });
        let [left, right] = [left, right].map(|page| Node::read(&pages, page).unwrap());
        assert!(left.precedes(1, &right, 1).unwrap() && !right.precedes(1, &left, 1).unwrap());
        // Heads that are those of the other leaf.
        let wrong = Node { heads: right.heads, prefix: right.prefix, ..left };
        assert!(wrong.precedes(1, &right, 1).is_err() && right.precedes(1, &wrong, 1).is_err());
    }
}
