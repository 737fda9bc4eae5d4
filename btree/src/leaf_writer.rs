//! Leaves written straight from entries that lie elsewhere.
//!
//! Promises: each entry is copied once, to where it stays; a leaf is written when the next entry would make it too full; keys that do not
//! ascend are a fault; nothing refers to the leaves until the last one is written.

use pentimento_storage::PageId;

use crate::delta;
use crate::edit::Fill;
use crate::layout::{HEAD, HEADER, Header, LEAF_CELL, OFFSET, stride};
use crate::node::damaged;
use crate::pages::{Fault, WritePages};
use crate::parts::{Parts, separator};
use crate::path::Path;
use crate::run::size;
use crate::splice::{Children, SLACK};
use crate::tree_mut::TreeMut;

/// An entry on its way into a leaf.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeafEntry<'e> {
    pub key: Parts<'e>,
    pub fill: Fill<'e>,
}

impl LeafEntry<'_> {
    /// The bytes that this takes in a node without a prefix.
    fn weight(&self) -> usize {
        stride(0) + LEAF_CELL + self.key.len() + self.fill.cell_len()
    }
}

/// Packs ascending entries into leaves that take the place of one.
pub(crate) struct LeafWriter<'e> {
    /// For faults.
    page: PageId,
    /// A page to use for the first leaf.
    reuse: Option<PageId>,
    limit: usize,
    gathered: Vec<LeafEntry<'e>>,
    weight: usize,
    first: Option<PageId>,
    rest: Children,
    /// The last key of the leaf written last.
    previous: Option<Parts<'e>>,
}

impl<'e> LeafWriter<'e> {
    /// A writer of leaves of at most `limit` bytes; about `count` entries are to come.
    pub fn new(page: PageId, reuse: Option<PageId>, limit: usize, count: usize) -> LeafWriter<'e> {
        let gathered = Vec::with_capacity((count + 1).min(512));
        LeafWriter { page, reuse, limit, gathered, weight: 0, first: None, rest: Vec::new(), previous: None }
    }

    /// Adds an entry.
    pub fn push<P: WritePages>(&mut self, tree: &mut TreeMut<'_, P>, entry: LeafEntry<'e>) -> Result<(), P::Error> {
        let last = self.gathered.last().map(|last| last.key).or(self.previous);
        if last.is_some_and(|last| last.cmp(&entry.key).is_ge()) {
            return Err(damaged(self.page, "keys do not ascend").into());
        }
        let weight = entry.weight();
        if let Some(first) = self.gathered.first() {
            let count = self.gathered.len() + 1;
            // A shared prefix only makes it smaller.
            if self.weight + weight + HEADER > self.limit
                && size(count, first.key.shared(&entry.key), self.weight + weight) > self.limit
            {
                let gathered = std::mem::take(&mut self.gathered);
                self.write(tree, &gathered)?;
                self.gathered = gathered;
                self.gathered.clear();
                self.weight = 0;
            }
        }
        self.gathered.push(entry);
        self.weight += weight;
        Ok(())
    }

    fn write<P: WritePages>(&mut self, tree: &mut TreeMut<'_, P>, entries: &[LeafEntry<'e>]) -> Result<(), P::Error> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
        let page = match self.reuse.take() {
            Some(page) => page,
            None => tree.pages.allocate(tree.root, Shape::of(entries).bytes.max(tree.capacity()))?,
        };
        write_leaf(tree, page, entries)?;
        tree.pages.finished(page)?;
        match (self.first, self.previous) {
            (Some(_), Some(previous)) => self.rest.push((separator(&previous, &first.key), page)),
            _ => self.first = Some(page),
        }
        self.previous = Some(last.key);
        Ok(())
    }

    /// Writes what is left, in full leaves of at most `limit` bytes or in even ones, and puts all in the place of the leaf at the end of `path`.
    pub fn finish<P: WritePages>(
        mut self,
        tree: &mut TreeMut<'_, P>,
        path: &Path,
        limit: Option<usize>,
    ) -> Result<(), P::Error> {
        let gathered = std::mem::take(&mut self.gathered);
        let is_root = path.len() == 0;
        if self.first.is_none() && is_root && self.fits(&gathered, tree.capacity()) {
            self.reuse = Some(tree.root);
            return self.write(tree, &gathered);
        }
        match limit {
            Some(limit) => self.write_full(tree, &gathered, limit)?,
            None => self.write_even(tree, &gathered)?,
        }
        let (Some(first), rest) = (self.first, self.rest) else { return Ok(()) };
        match path.len().checked_sub(1) {
            None => tree.grow_root(0, first, rest),
            Some(_) if rest.is_empty() => Ok(()),
            Some(above) => {
                let number = path.step(above).1;
                tree.splice(path, above, number..number, rest)
            }
        }
    }

    fn fits(&self, entries: &[LeafEntry<'e>], limit: usize) -> bool {
        Shape::of(entries).bytes <= limit
    }

    fn write_full<P: WritePages>(
        &mut self,
        tree: &mut TreeMut<'_, P>,
        entries: &[LeafEntry<'e>],
        limit: usize,
    ) -> Result<(), P::Error> {
        let mut start = 0;
        let mut weight = 0;
        for (index, entry) in entries.iter().enumerate() {
            weight += entry.weight();
            let shared = entries[start].key.shared(&entry.key);
            if index > start && size(index + 1 - start, shared, weight) > limit {
                self.write(tree, &entries[start..index])?;
                (start, weight) = (index, entry.weight());
            }
        }
        self.write(tree, &entries[start..])
    }

    /// Halves of about as many bytes, until each fits. A leaf with hardly any room would only be rewritten again and again, so it is halved, too.
    fn write_even<P: WritePages>(
        &mut self,
        tree: &mut TreeMut<'_, P>,
        entries: &[LeafEntry<'e>],
    ) -> Result<(), P::Error> {
        let capacity = tree.capacity();
        let limit = if self.first.is_none() { capacity - capacity / 16 } else { capacity };
        if entries.len() < 2 || self.fits(entries, limit) {
            return self.write(tree, entries);
        }
        let total: usize = entries.iter().map(LeafEntry::weight).sum();
        let mut before = 0;
        let middle = entries.iter().position(|entry| {
            before += entry.weight();
            before * 2 >= total
        });
        let at = (middle.unwrap_or_default() + 1).clamp(1, entries.len() - 1);
        self.write_even(tree, &entries[..at])?;
        self.write_even(tree, &entries[at..])
    }
}

/// The shared prefix of the entries of a leaf, and the bytes that the leaf takes without spare room.
pub(crate) struct Shape {
    prefix_len: usize,
    bytes: usize,
}

impl Shape {
    pub fn of(entries: &[LeafEntry<'_>]) -> Shape {
        let prefix_len = match entries {
            [first, .., last] => first.key.shared(&last.key),
            _ => 0,
        };
        Shape { prefix_len, bytes: size(entries.len(), prefix_len, entries.iter().map(LeafEntry::weight).sum()) }
    }
}

/// Writes entries to `page` as a leaf, with room for a few more if they leave any.
pub(crate) fn write_leaf<P: WritePages>(
    tree: &mut TreeMut<'_, P>,
    page: PageId,
    entries: &[LeafEntry<'_>],
) -> Result<(), P::Error> {
    let capacity = tree.capacity();
    let shape = Shape::of(entries);
    delta::free(tree.pages, page)?;
    let target = tree.pages.page_anew(page, shape.bytes.max(capacity))?;
    *target.len = fill_leaf(entries, &shape, page, capacity, target.body)?;
    Ok(())
}

/// Writes entries as the body of a leaf, with room for a few more if they leave any of `capacity`. Tells how long it is.
pub(crate) fn fill_leaf(
    entries: &[LeafEntry<'_>],
    shape: &Shape,
    page: PageId,
    capacity: usize,
    body: &mut [u8],
) -> Result<usize, Fault> {
    let &Shape { prefix_len, bytes } = shape;
    let slack = SLACK.min(capacity.min(body.len()).saturating_sub(bytes) / stride(0));
    let header = Header {
        level: 0,
        flags: 0,
        prefix_len: prefix_len as u16,
        count: entries.len() as u16,
        cap: (entries.len() + slack) as u16,
        garbage: 0,
        leftmost: PageId(0),
    };
    let Some(body) = body.get_mut(..bytes + slack * stride(0)) else {
        return Err(damaged(page, "the page has less room than was asked for"));
    };
    let len = body.len();
    let at = header.places();
    let (arrays, mut cells) = body.split_at_mut(at.cells);
    if let Some(bytes) = arrays.first_chunk_mut::<HEADER>() {
        header.write(bytes);
    }
    arrays[HEADER..].fill(0);
    if let Some(first) = entries.first().filter(|_| prefix_len > 0) {
        arrays[HEADER..HEADER + prefix_len].copy_from_slice(&first.key.take(prefix_len));
    }
    let (heads, offsets) = arrays[at.heads..].split_at_mut(at.offsets - at.heads);
    let (heads, offsets) = (heads.as_chunks_mut::<HEAD>().0, offsets.as_chunks_mut::<OFFSET>().0);
    let mut offset = 0;
    for ((entry, to_head), to_offset) in entries.iter().zip(heads).zip(offsets) {
        let key = entry.key.skip(prefix_len);
        *to_head = key.head().to_le_bytes();
        *to_offset = (offset as u16).to_le_bytes();
        let cell_len = LEAF_CELL + key.len() + entry.fill.cell_len();
        let (cell, others) = cells.split_at_mut(cell_len);
        cell[..2].copy_from_slice(&(key.len() as u16).to_le_bytes());
        cell[2..LEAF_CELL].copy_from_slice(&entry.fill.len_field().to_le_bytes());
        let (to_key, to_value) = cell[LEAF_CELL..].split_at_mut(key.len());
        let (to_prefix, to_suffix) = to_key.split_at_mut(key.prefix.len());
        to_prefix.copy_from_slice(key.prefix);
        to_suffix.copy_from_slice(key.suffix);
        entry.fill.write(to_value);
        (cells, offset) = (others, offset + cell_len);
    }
    Ok(len)
}
