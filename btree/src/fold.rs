//! A leaf written anew from itself and its delta.
//!
//! Promises: the cells come to lie in the order of their keys again, each copied as it is, together with its neighbours where these follow it already; what does not fit one leaf that has the same
//! prefix is left to others, and nothing has changed then.

use std::ops::Range;

use pentimento_storage::PageId;

use crate::delta::{self, write_cell};
use crate::edit::{Fill, wants_prefix};
use crate::layout::{HEAD, HEADER, Header, LEAF_CELL, OFFSET, head_of, stride};
use crate::node::{Extent, Node, Whole};
use crate::pages::{Fault, WritePages};
use crate::splice::SLACK;
use crate::tree_mut::TreeMut;

/// A leaf in the making.
struct Folded<'b> {
    /// Its body, so many bytes of which are written.
    bytes: &'b mut [u8],
    written: usize,
    header: Header,
    /// Cells that follow one another in the leaf, not yet copied.
    run: Extent,
}

impl<'b> Folded<'b> {
    /// A leaf of so many entries, without any; with room for a few more if `bytes` allow that when `cells` bytes of them have come. `None`: there is no room for it.
    fn new(leaf: &Node<'_>, count: usize, cells: usize, bytes: &'b mut [u8]) -> Option<Folded<'b>> {
        let mut header = Header { count: count as u16, cap: count as u16, garbage: 0, ..leaf.header };
        let room = bytes.len().checked_sub(header.places().cells + cells)? / stride(0);
        header.cap += room.min(SLACK) as u16;
        let at = header.places();
        let prefix_end = HEADER + leaf.prefix.len();
        bytes.get_mut(HEADER..prefix_end)?.copy_from_slice(leaf.prefix);
        bytes.get_mut(prefix_end..at.cells)?.fill(0);
        Some(Folded { bytes, written: at.cells, header, run: Extent { start: 0, end: 0 } })
    }

    /// How long the leaf is, with what is to be copied.
    fn len(&self) -> usize {
        self.written + self.run.end - self.run.start
    }

    /// Whether it would fit with so much more.
    fn has_room(&self, more: usize) -> bool {
        self.len() + more <= self.bytes.len()
    }

    /// The next `len` bytes, for which there is room.
    fn next(&mut self, len: usize) -> &mut [u8] {
        let start = self.written;
        self.written += len;
        &mut self.bytes[start..start + len]
    }

    fn copy_run(&mut self, leaf: &Node<'_>) -> Result<(), Fault> {
        let Extent { start, end } = self.run;
        let len = leaf.cells.len();
        let part = if start < len { leaf.cells.get(start..end) } else { leaf.more.get(start - len..end - len) };
        let part = part.ok_or_else(|| leaf.fault("a cell ends past the end"))?;
        self.next(part.len()).copy_from_slice(part);
        self.run = Extent { start: end, end };
        Ok(())
    }

    /// Adds the cell at `extent` as that of entry `index`.
    fn take(&mut self, leaf: &Node<'_>, index: usize, extent: Extent) -> Result<(), Fault> {
        if extent.start != self.run.end || extent.start == leaf.cells.len() {
            self.copy_run(leaf)?;
            self.run = Extent { start: extent.start, end: extent.start };
        }
        self.note(index);
        self.run.end = extent.end;
        Ok(())
    }

    /// Notes that the cell of entry `index` begins here.
    fn note(&mut self, index: usize) {
        let at = self.header.places();
        let offset = (self.len() - at.cells) as u16;
        self.bytes[at.offsets + index * OFFSET..][..OFFSET].copy_from_slice(&offset.to_le_bytes());
    }

    fn set_head(&mut self, index: usize, head: [u8; HEAD]) {
        let at = self.header.places().heads + index * HEAD;
        self.bytes[at..at + HEAD].copy_from_slice(&head);
    }
}

/// Whether the entry that was put is new, and the page of the large value that was replaced.
pub(crate) type Done = (bool, Option<PageId>);

/// A value that is set in a leaf: what becomes of its entries, in the order of their keys.
pub(crate) struct Setting<'k> {
    /// Where the entry belongs, whether there is one of this key, and how long its cell is.
    place: usize,
    found: bool,
    old_len: usize,
    /// The page of a large value that it had.
    orphan: Option<PageId>,
    pub suffix: &'k [u8],
    fill: Fill<'k>,
}

impl<'k> Setting<'k> {
    /// `None`: the leaf had better get another prefix.
    pub fn of(leaf: &Node<'_>, key: &'k [u8], fill: Fill<'k>) -> Result<Option<Setting<'k>>, Fault> {
        let (place, found) = leaf.find(key)?;
        let Some(suffix) = key.strip_prefix(leaf.prefix) else { return Ok(None) };
        if !found && wants_prefix(leaf, place, suffix) {
            return Ok(None);
        }
        let (mut orphan, mut old_len) = (None, 0);
        if found {
            let Whole { stored, extent, .. } = leaf.whole(place)?;
            orphan = stored.and_then(|stored| stored.large_page());
            old_len = extent.end - extent.start;
        }
        Ok(Some(Setting { place, found, old_len, orphan, suffix, fill }))
    }

    /// How many entries there are then.
    pub fn count(&self, leaf: &Node<'_>) -> usize {
        leaf.count() + usize::from(!self.found)
    }

    /// How long their cells are then, together.
    pub fn cells_len(&self, leaf: &Node<'_>) -> usize {
        (leaf.cells_len() + self.cell_len()).saturating_sub(usize::from(leaf.header.garbage) + self.old_len)
    }

    /// How long the cell of the entry is that is set.
    fn cell_len(&self) -> usize {
        LEAF_CELL + self.suffix.len() + self.fill.cell_len()
    }

    /// Which entry of the leaf as it is will be number `index`; `None`: the one that is set.
    pub fn source(&self, index: usize) -> Option<usize> {
        let is_behind = index > self.place && !self.found;
        (index != self.place).then_some(index - usize::from(is_behind))
    }

    /// Whether this puts a new entry before or behind all others.
    pub fn is_at_an_end(&self, leaf: &Node<'_>) -> bool {
        !self.found && (self.place == 0 || self.place == leaf.count())
    }

    /// How long the cell of entry `index` will be.
    pub fn len_of(&self, leaf: &Node<'_>, index: usize) -> Result<usize, Fault> {
        let Some(source) = self.source(index) else { return Ok(self.cell_len()) };
        let Extent { start, end } = leaf.extent(source)?;
        Ok(end - start)
    }

    /// What became of the setting once it is written.
    pub fn done(&self) -> Done {
        (!self.found, self.orphan)
    }

    /// Writes entries `range`, whose cells are `cells_len` bytes long together, as a leaf with the prefix that the leaf has now. Tells how long it is; `None`: it does not fit into `bytes`.
    pub fn write(
        &self,
        leaf: &Node<'_>,
        range: Range<usize>,
        cells_len: usize,
        bytes: &mut [u8],
    ) -> Result<Option<usize>, Fault> {
        let Some(mut made) = Folded::new(leaf, range.len(), cells_len, bytes) else { return Ok(None) };
        for (number, index) in range.enumerate() {
            let Some(source) = self.source(index) else {
                let len = self.cell_len();
                if !made.has_room(len) {
                    return Ok(None);
                }
                made.copy_run(leaf)?;
                made.note(number);
                made.set_head(number, head_of(self.suffix).to_le_bytes());
                write_cell(made.next(len), self.suffix, self.fill);
                continue;
            };
            let Some(head) = leaf.heads.get(source) else { return Err(leaf.fault("there is no such entry")) };
            made.set_head(number, *head);
            made.take(leaf, number, leaf.extent(source)?)?;
            if !made.has_room(0) {
                return Ok(None);
            }
        }
        made.copy_run(leaf)?;
        if let Some(bytes) = made.bytes.first_chunk_mut::<HEADER>() {
            made.header.write(bytes);
        }
        Ok(Some(made.written))
    }
}

/// Writes the leaf with the value of `key` set to `bytes`, in one piece, if that fits. Tells how long it is, and what was done.
fn fold(leaf: &Node<'_>, key: &[u8], fill: Fill<'_>, bytes: &mut [u8]) -> Result<Option<(usize, Done)>, Fault> {
    let Some(setting) = Setting::of(leaf, key, fill)? else { return Ok(None) };
    // What has grown, and has hardly any room then, would be written anew again and again.
    let has_grown = setting.cell_len() > setting.old_len;
    let limit = bytes.len() - if has_grown { bytes.len() / 16 } else { 0 };
    let all = 0..setting.count(leaf);
    let len = setting.write(leaf, all, setting.cells_len(leaf), &mut bytes[..limit])?;
    Ok(len.map(|len| (len, setting.done())))
}

impl<P: WritePages> TreeMut<'_, P> {
    /// Writes leaf `page`, which has a delta, anew, with the value of `key` set. Gives whether that is new, and the page of the large value that was replaced. `None`: it must be
    /// done in another way, for there would be hardly any room in the leaf, or its prefix should be another.
    pub(crate) fn fold_with(&mut self, page: PageId, key: &[u8], fill: Fill<'_>) -> Result<Option<Done>, P::Error> {
        let capacity = self.capacity();
        let made = self.pages.write_anew(page, self.root, capacity, |pages, bytes| {
            Ok(fold(&Node::read(pages, page)?, key, fill, &mut bytes[..capacity])?)
        })?;
        if made.is_some() {
            delta::free(self.pages, page)?;
        }
        Ok(made)
    }
}
