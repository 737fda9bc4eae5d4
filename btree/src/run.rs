//! Entries on their way from nodes to nodes.
//!
//! Promises: a run copies what it takes, so that the pages it came from may be overwritten; it never takes more bytes
//! than the node it reads has, so a node whose cells overlap is a fault; what it writes is compact.

use std::cmp::Ordering;
use std::ops::Range;

use pentimento_storage::PageId;

use crate::edit::Fill;
use crate::layout::{HEADER, Header, LARGE_REF, LEAF_CELL, cell_header, padded, stride};
use crate::node::{Node, Stored, damaged};
use crate::pages::{Fault, PageMut};
use crate::parts::Parts;
use crate::splice::Children;

/// Bytes of a run.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    prefix: Span,
    suffix: Span,
    load: Load,
}

#[derive(Debug, Clone, Copy)]
enum Load {
    Inline(Span),
    Zeros(usize),
    Large(PageId, usize),
    Child(PageId),
}

/// The entries of a leaf, or the separators of a branch with the children to their right, in order; of any length.
#[derive(Debug)]
pub(crate) struct Run {
    pub level: u8,
    /// The page that it came from, for faults.
    pub page: PageId,
    /// The child left of the first separator.
    pub leftmost: PageId,
    bytes: Vec<u8>,
    items: Vec<Item>,
}

impl Run {
    pub fn new(level: u8, page: PageId) -> Run {
        Run { level, page, leftmost: PageId::NONE, bytes: Vec::new(), items: Vec::new() }
    }

    /// The children of a branch.
    pub fn branch(level: u8, page: PageId, leftmost: PageId, rest: &Children) -> Run {
        let mut run = Run::new(level, page);
        run.leftmost = leftmost;
        run.splice(0, 0, rest);
        run
    }

    pub fn from_node(node: &Node<'_>) -> Result<Run, Fault> {
        let mut run = Run::new(node.header.level, node.page);
        run.leftmost = node.header.leftmost;
        run.append(node)?;
        Ok(run)
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// All entries, as a single piece.
    pub fn all(&self) -> Range<usize> {
        0..self.len()
    }

    fn span(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Span { start, len: bytes.len() }
    }

    fn at(&self, span: Span) -> &[u8] {
        &self.bytes[span.start..span.start + span.len]
    }

    /// Adds the entries of a node of the same level behind the others.
    pub fn append(&mut self, node: &Node<'_>) -> Result<(), Fault> {
        let mut left = node.cells_len();
        let header = cell_header(self.level);
        self.bytes.reserve(node.prefix.len() + node.cells_len());
        self.items.reserve(node.count() + 1);
        let prefix = self.span(node.prefix);
        for index in 0..node.count() {
            let (suffix, load, load_len) = if self.level == 0 {
                let (suffix, stored) = node.entry(index)?;
                let load = match stored {
                    Stored::Inline(bytes) => Load::Inline(self.span(bytes)),
                    Stored::Large(page, len) => Load::Large(page, len),
                };
                (suffix, load, stored.cell_len())
            } else {
                (node.suffix(index)?, Load::Child(node.child(index + 1)?), 0)
            };
            match left.checked_sub(header + suffix.len() + load_len) {
                Some(rest) => left = rest,
                None => return Err(node.fault("cells overlap")),
            }
            let suffix = self.span(suffix);
            self.items.push(Item { prefix, suffix, load });
        }
        Ok(())
    }

    fn item(&mut self, key: &[u8], load: Load) -> Item {
        let suffix = self.span(key);
        Item { prefix: Span { start: 0, len: 0 }, suffix, load }
    }

    fn load(&mut self, fill: Fill<'_>) -> Load {
        match fill {
            Fill::Bytes(bytes) => Load::Inline(self.span(bytes)),
            Fill::Zeros(len) => Load::Zeros(len),
            Fill::Large(page, len) => Load::Large(page, len),
        }
    }

    pub fn insert(&mut self, index: usize, key: &[u8], fill: Fill<'_>) {
        let load = self.load(fill);
        let item = self.item(key, load);
        self.items.insert(index, item);
    }

    /// Gives entry `index` another value; the page of a large value that it had is returned.
    pub fn replace(&mut self, index: usize, fill: Fill<'_>) -> Option<PageId> {
        let orphan = self.large(index);
        self.items[index].load = self.load(fill);
        orphan
    }

    /// The page of the large value of entry `index`.
    fn large(&self, index: usize) -> Option<PageId> {
        match self.items.get(index)?.load {
            Load::Large(page, _) => Some(page),
            _ => None,
        }
    }

    /// Adds a separator and the child to its right at the end.
    pub fn push_child(&mut self, key: &[u8], child: PageId) {
        let item = self.item(key, Load::Child(child));
        self.items.push(item);
    }

    /// Replaces the separators `from..to` and the children to their right.
    pub fn splice(&mut self, from: usize, to: usize, add: &Children) {
        let added: Vec<Item> = add.iter().map(|(key, child)| self.item(key, Load::Child(*child))).collect();
        self.items.splice(from..to, added);
    }

    /// Splits off the entries from `index` on.
    pub fn split_off(&mut self, index: usize) -> Run {
        let items = self.items.split_off(index);
        Run { level: self.level, page: self.page, leftmost: self.leftmost, bytes: self.bytes.clone(), items }
    }

    /// Takes the entry that was added last away again, and gives what it held; the bytes of a value are forgotten.
    pub fn pop(&mut self) -> Fill<'static> {
        let Some(item) = self.items.pop() else {
            return Fill::Zeros(0);
        };
        let (start, held) = match item.load {
            Load::Inline(value) => (value.start.min(item.suffix.start), Fill::Zeros(value.len)),
            Load::Large(page, len) => (item.suffix.start, Fill::Large(page, len)),
            Load::Zeros(_) | Load::Child(_) => (item.suffix.start, Fill::Zeros(0)),
        };
        self.bytes.truncate(start);
        held
    }

    pub fn fill(&self, index: usize) -> Fill<'_> {
        match self.items[index].load {
            Load::Inline(span) => Fill::Bytes(self.at(span)),
            Load::Zeros(len) => Fill::Zeros(len),
            Load::Large(page, len) => Fill::Large(page, len),
            Load::Child(_) => Fill::Zeros(0),
        }
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    pub fn key(&self, index: usize) -> Parts<'_> {
        let item = &self.items[index];
        Parts { prefix: self.at(item.prefix), suffix: self.at(item.suffix) }
    }

    /// Refuses a run whose keys do not ascend, as damaged nodes give it: a node could not be written from it.
    pub fn check_order(&self) -> Result<(), Fault> {
        for index in 1..self.len() {
            if self.key(index - 1).cmp(&self.key(index)) != Ordering::Less {
                return Err(damaged(self.page, "keys do not ascend"));
            }
        }
        Ok(())
    }

    /// The child to the right of separator `index`.
    pub fn child(&self, index: usize) -> PageId {
        match self.items[index].load {
            Load::Child(page) => page,
            _ => PageId::NONE,
        }
    }

    /// The bytes that entry `index` takes in a node whose prefix is empty.
    pub fn weight(&self, index: usize) -> usize {
        let item = &self.items[index];
        let load = match item.load {
            Load::Inline(span) => span.len,
            Load::Zeros(len) => len,
            Load::Large(..) => LARGE_REF,
            Load::Child(_) => 0,
        };
        stride(self.level) + cell_header(self.level) + item.prefix.len + item.suffix.len + load
    }

    /// The length of the prefix that entries `range` get when they share a node.
    pub fn prefix_len(&self, range: &Range<usize>) -> usize {
        if range.len() < 2 { 0 } else { self.key(range.start).shared(&self.key(range.end - 1)) }
    }

    /// The bytes of a compact node with entries `range`.
    pub fn size(&self, range: &Range<usize>) -> usize {
        size(range.len(), self.prefix_len(range), range.clone().map(|index| self.weight(index)).sum())
    }

    /// Whether all of it in one node is more than `size` bytes, leaves hardly any room there, and can be divided.
    pub fn has_grown_tight(&self, size: usize, capacity: usize) -> bool {
        let now = self.size(&self.all());
        now > size && now > capacity - capacity / 16 && self.len() >= 4
    }

    /// Writes entries `range` as a node, with room for a few more if `limit` bytes allow.
    pub fn write(
        &self,
        range: Range<usize>,
        leftmost: PageId,
        slack: usize,
        page: PageId,
        target: PageMut<'_>,
        limit: usize,
    ) -> Result<(), Fault> {
        let prefix_len = self.prefix_len(&range);
        let compact = self.size(&range);
        let stride = stride(self.level);
        let slack = slack.min(limit.min(target.body.len()).saturating_sub(compact) / stride);
        let size = compact + slack * stride;
        let header = Header {
            level: self.level,
            flags: 0,
            prefix_len: prefix_len as u16,
            count: range.len() as u16,
            cap: (range.len() + slack) as u16,
            garbage: 0,
            leftmost: if self.level == 0 { PageId(0) } else { leftmost },
        };
        let Some(body) = target.body.get_mut(..size) else {
            return Err(damaged(page, "the page has less room than was asked for"));
        };
        if let Some(bytes) = body.first_chunk_mut::<HEADER>() {
            header.write(bytes);
        }
        let at = header.places();
        body[HEADER..at.heads].fill(0);
        if prefix_len > 0 {
            body[HEADER..HEADER + prefix_len].copy_from_slice(&self.key(range.start).take(prefix_len));
        }
        let used = range.len();
        body[at.heads + 4 * used..at.children].fill(0);
        body[at.offsets + 2 * used..at.cells].fill(0);
        if self.level > 0 {
            body[at.children + 4 * used..at.offsets].fill(0);
        }
        let mut end = at.cells;
        for (slot, index) in range.enumerate() {
            let key = self.key(index).skip(prefix_len);
            body[at.heads + 4 * slot..][..4].copy_from_slice(&key.head().to_le_bytes());
            body[at.offsets + 2 * slot..][..2].copy_from_slice(&((end - at.cells) as u16).to_le_bytes());
            if self.level > 0 {
                body[at.children + 4 * slot..][..4].copy_from_slice(&self.child(index).0.to_le_bytes());
            }
            body[end..end + 2].copy_from_slice(&(key.len() as u16).to_le_bytes());
            let key_at = end + cell_header(self.level);
            let suffix_at = key_at + key.prefix.len();
            body[key_at..suffix_at].copy_from_slice(key.prefix);
            let key_end = suffix_at + key.suffix.len();
            body[suffix_at..key_end].copy_from_slice(key.suffix);
            end = key_end;
            if self.level == 0 {
                let fill = self.fill(index);
                body[key_at - 2..key_at].copy_from_slice(&fill.len_field().to_le_bytes());
                end = key_end + fill.cell_len();
                fill.write(&mut body[key_end..end]);
            }
        }
        *target.len = size;
        Ok(())
    }
}

/// The bytes of a compact node of `count` entries that weigh `weight` and share a prefix.
pub(crate) fn size(count: usize, prefix_len: usize, weight: usize) -> usize {
    HEADER + padded(prefix_len) + weight - count * prefix_len
}

const _: () = assert!(LEAF_CELL == 4, "the value length stands in the two bytes before the suffix");
