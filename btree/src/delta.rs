//! Deltas: what has become of a leaf since it was written, on a small page beside it.
//!
//! A leaf that gets an entry now and then is not written anew each time: its delta has the leaf's arrays as they are now, and the cells that are newer than the leaf. So a change copies a
//! few hundred bytes instead of thousands, and that is also what goes to the disk. When a delta has become too long the leaf is written anew, with all of its entries in the order of their keys, and the
//! delta goes. (The idea is that of the delta records of the Bw-tree, Levandoski, Lomet and Sengupta 2013; here there is one delta, which tells all, so that a reader looks into two pages and no more.)
//!
//! Promises: a leaf does not change while it has a delta, and its delta goes when it is written anew or freed; a delta is no longer than [`limit`], nor than half its leaf; a leaf that has one is so
//! short that both take no more room than a full leaf; a delta that does not fit its leaf is a fault.

use pentimento_storage::PageId;

use crate::edit::{Fill, Put, wants_prefix};
use crate::layout::{HEAD, HEADER, Header, KIND_DELTA, LEAF_CELL, NODE_LIMIT, OFFSET, head_of, stride};
use crate::node::{Extent, Node};
use crate::pages::{Fault, ReadPages, WritePages};
use crate::run::Run;
use crate::tree_mut::TreeMut;

/// How many entries the arrays of a delta grow by.
const GROWTH: usize = 4;
/// A leaf is at least so many times as long as its delta: less would not be worth a second page.
const LEAST_SHARE: usize = 2;

/// The most bytes that a delta has, where nodes should have at most `capacity`.
pub(crate) fn limit(capacity: usize) -> usize {
    // With what whoever keeps pages adds of his own it is still within a quarter of a page.
    capacity / 4 - capacity / 64
}

/// The body of the delta of leaf `page`, if it has one.
#[inline(always)]
pub(crate) fn of<P: ReadPages>(pages: &P, page: PageId) -> Result<Option<&[u8]>, P::Error> {
    Ok(pages.beside(page)?.filter(|body| body.first() == Some(&KIND_DELTA)))
}

/// The leaf whose delta stands in the body of page `id`, if one stands there.
#[must_use]
pub fn leaf_of_delta(id: PageId, body: &[u8]) -> Option<PageId> {
    let leaf = PageId(id.0.checked_sub(1)?);
    (body.first() == Some(&KIND_DELTA) && leaf.beside() == Some(id)).then_some(leaf)
}

/// Frees the delta of leaf `page`, if it has one.
pub(crate) fn free<P: WritePages>(pages: &mut P, page: PageId) -> Result<(), P::Error> {
    match page.beside() {
        Some(delta) if of(pages, page)?.is_some() => pages.free(delta),
        _ => Ok(()),
    }
}

/// Frees a node, and its delta if it has one.
pub(crate) fn free_node<P: WritePages>(pages: &mut P, page: PageId) -> Result<(), P::Error> {
    free(pages, page)?;
    pages.free(page)
}

/// A leaf and its delta, copied.
pub(crate) struct LeafCopy {
    page: PageId,
    body: Vec<u8>,
    delta: Option<Vec<u8>>,
}

impl LeafCopy {
    pub fn of<P: ReadPages>(pages: &P, page: PageId) -> Result<LeafCopy, P::Error> {
        let delta = of(pages, page)?.map(<[u8]>::to_vec);
        Ok(LeafCopy { page, body: pages.page(page)?.to_vec(), delta })
    }

    pub fn node(&self) -> Result<Node<'_>, Fault> {
        let node = match &self.delta {
            Some(delta) => Node::parse_with_delta(self.page, &self.body, delta)?,
            None => Node::parse(self.page, &self.body)?,
        };
        if node.is_leaf() { Ok(node) } else { Err(node.fault("this is not a leaf")) }
    }
}

/// Where the cells of the leaf stand, as its delta notes it.
#[inline(always)]
pub(crate) fn base_of(note: PageId) -> (usize, usize) {
    ((note.0 & 0xFFFF) as usize, (note.0 >> 16) as usize)
}

/// How much of the leaf its delta needs, in bytes.
#[inline(always)]
pub(crate) fn base_len(delta: &[u8]) -> usize {
    let (at, len) = delta.first_chunk().map_or((0, 0), |header| base_of(Header::read(header).leftmost));
    at + len
}

/// A delta while it is made.
pub(crate) struct Draft<'p, 'b> {
    page: PageId,
    /// As the leaf's would be.
    header: Header,
    /// The cells of the leaf, and where they stand in it.
    base: &'p [u8],
    base_at: usize,
    /// The body of the delta, but for its header; up to the most that it may have.
    bytes: &'b mut [u8],
    /// How much of that there is so far.
    len: usize,
    capacity: usize,
}

impl<'p, 'b> Draft<'p, 'b> {
    /// What stands in a leaf now, unless that is too much for a delta. It is made in `bytes`, whatever they hold.
    fn of(leaf: &Node<'p>, capacity: usize, bytes: &'b mut [u8]) -> Option<Draft<'p, 'b>> {
        let mut header = leaf.header;
        header.cap = header.count + GROWTH as u16;
        let at = header.places();
        let len = at.cells + leaf.more.len();
        if len > bytes.len() {
            return None;
        }
        let mut place = |at: usize, from: &[u8], up_to: usize| {
            bytes[at..at + from.len()].copy_from_slice(from);
            bytes[at + from.len()..up_to].fill(0);
        };
        place(HEADER, leaf.prefix, at.heads);
        place(at.heads, leaf.heads.as_flattened(), at.offsets);
        place(at.offsets, leaf.offsets.as_flattened(), at.cells);
        place(at.cells, leaf.more, len);
        debug_assert_eq!(leaf.offsets.len(), leaf.count());
        Some(Draft { page: leaf.page, header, base: leaf.cells, base_at: leaf.cells_at, bytes, len, capacity })
    }

    fn node(&self) -> Result<Node<'_>, Fault> {
        Node::with_cells(self.page, self.header, &self.bytes[..self.len], (self.base, self.base_at))
    }

    /// Sets the value of `key`.
    pub fn put(&mut self, key: &[u8], fill: Fill<'_>) -> Result<Put, Fault> {
        let node = self.node()?;
        let (index, found) = node.find(key)?;
        let no_room = Put::NoRoom { index, found };
        let Some(suffix) = key.strip_prefix(node.prefix) else { return Ok(no_room) };
        let len = LEAF_CELL + suffix.len() + fill.cell_len();
        if !found {
            if wants_prefix(&node, index, suffix) || !self.has_room(1, len, 0) {
                return Ok(no_room);
            }
            self.insert(index, head_of(suffix));
            self.push_cell(index, suffix, fill);
            return Ok(Put::Done { new: true, orphan: None });
        }
        let (_, stored) = node.entry(index)?;
        let orphan = stored.large_page();
        let Extent { start, end } = node.extent(index)?;
        match start.checked_sub(self.base.len()) {
            Some(own) if end - start == len => {
                let at = self.header.places().cells + own;
                write_cell(&mut self.bytes[at..at + len], suffix, fill);
            }
            _ if !self.has_room(0, len, end - start) => return Ok(no_room),
            _ => {
                self.add_garbage(end - start);
                self.push_cell(index, suffix, fill);
            }
        }
        Ok(Put::Done { new: false, orphan })
    }

    /// Removes the entry of `key`; `None` if there is none, else the page of a large value that it had.
    pub fn take(&mut self, key: &[u8]) -> Result<Option<Option<PageId>>, Fault> {
        let node = self.node()?;
        let (index, true) = node.find(key)? else { return Ok(None) };
        let (_, stored) = node.entry(index)?;
        let orphan = stored.large_page();
        let Extent { start, end } = node.extent(index)?;
        let (at, count) = (self.header.places(), self.header.count as usize);
        self.bytes.copy_within(at.heads + (index + 1) * HEAD..at.heads + count * HEAD, at.heads + index * HEAD);
        self.bytes
            .copy_within(at.offsets + (index + 1) * OFFSET..at.offsets + count * OFFSET, at.offsets + index * OFFSET);
        self.header.count -= 1;
        let count = count - 1;
        self.bytes[at.heads + count * HEAD..][..HEAD].fill(0);
        self.bytes[at.offsets + count * OFFSET..][..OFFSET].fill(0);
        self.add_garbage(end - start);
        Ok(Some(orphan))
    }

    /// Whether so many entries and so long a cell fit, if so much becomes garbage: here, and into the leaf when it is written anew.
    fn has_room(&self, entries: usize, cell_len: usize, garbage: usize) -> bool {
        let more = entries * GROWTH * stride(0) + cell_len;
        let len = self.len + more;
        let garbage = usize::from(self.header.garbage) + garbage;
        let total = self.base.len() + len;
        let leaf = self.base_at + self.base.len();
        len <= self.bytes.len()
            && len * LEAST_SHARE <= leaf
            && total <= NODE_LIMIT
            && garbage <= total / 2
            && total - garbage <= self.capacity
    }

    /// Whether the delta is short enough to be kept.
    fn fits(&self) -> bool {
        self.has_room(0, 0, 0)
    }

    /// Adds an entry to the arrays.
    fn insert(&mut self, index: usize, head: u32) {
        if self.header.count == self.header.cap {
            let old = self.header.places();
            self.header.cap += GROWTH as u16;
            self.widen(old.cells, GROWTH * OFFSET);
            self.widen(old.offsets, GROWTH * HEAD);
        }
        let (at, count) = (self.header.places(), usize::from(self.header.count));
        let head_at = at.heads + index * HEAD;
        self.bytes.copy_within(head_at..at.heads + count * HEAD, head_at + HEAD);
        self.bytes[head_at..head_at + HEAD].copy_from_slice(&head.to_le_bytes());
        let offset_at = at.offsets + index * OFFSET;
        self.bytes.copy_within(offset_at..at.offsets + count * OFFSET, offset_at + OFFSET);
        self.header.count += 1;
    }

    /// Puts so many zeros at `at`, before what stands there.
    fn widen(&mut self, at: usize, more: usize) {
        self.bytes.copy_within(at..self.len, at + more);
        self.bytes[at..at + more].fill(0);
        self.len += more;
    }

    /// Adds a cell, and has entry `index` refer to it.
    fn push_cell(&mut self, index: usize, suffix: &[u8], fill: Fill<'_>) {
        let at = self.header.places();
        let offset = self.base.len() + self.len - at.cells;
        self.bytes[at.offsets + index * OFFSET..][..OFFSET].copy_from_slice(&(offset as u16).to_le_bytes());
        let start = self.len;
        self.len += LEAF_CELL + suffix.len() + fill.cell_len();
        write_cell(&mut self.bytes[start..self.len], suffix, fill);
    }

    fn add_garbage(&mut self, bytes: usize) {
        self.header.garbage = self.header.garbage.saturating_add(u16::try_from(bytes).unwrap_or(u16::MAX));
    }

    /// Completes the body of the delta, and tells how long it is.
    fn finish(mut self) -> usize {
        self.header.level = KIND_DELTA;
        self.header.leftmost = PageId(self.base_at as u32 | (self.base.len() as u32) << 16);
        if let Some(bytes) = self.bytes.first_chunk_mut::<HEADER>() {
            self.header.write(bytes);
        }
        self.len
    }
}

/// Writes a leaf's cell to its room.
pub(crate) fn write_cell(cell: &mut [u8], suffix: &[u8], fill: Fill<'_>) {
    cell[..2].copy_from_slice(&(suffix.len() as u16).to_le_bytes());
    cell[2..LEAF_CELL].copy_from_slice(&fill.len_field().to_le_bytes());
    let (to_suffix, to_value) = cell[LEAF_CELL..].split_at_mut(suffix.len());
    to_suffix.copy_from_slice(suffix);
    fill.write(to_value);
}

/// What became of a change that was tried on a delta.
pub(crate) enum Drafted<R> {
    /// It was made.
    Done(R),
    /// The leaf has no delta, and had better be changed as a whole.
    Whole,
    /// The leaf has a delta, which has no room for this: it must be written anew. Nothing has changed.
    Full,
}

impl<P: WritePages> TreeMut<'_, P> {
    /// Tries a change of leaf `page` on its delta, on a new one if it has none. `change` gives `None` if it does not fit. It adds at most `more` bytes to arrays and cells.
    #[inline]
    pub(crate) fn draft<R>(
        &mut self,
        page: PageId,
        more: usize,
        change: impl FnOnce(&mut Draft<'_, '_>) -> Result<Option<R>, Fault>,
    ) -> Result<Drafted<R>, P::Error> {
        let capacity = self.capacity();
        let limit = limit(capacity);
        let delta = self.pages.room_beside(page)?;
        let Some(so_far) = (match delta {
            Some(room) => Some(room),
            None => self.first_draft(page)?,
        }) else {
            return Ok(Drafted::Whole);
        };
        let room = (so_far + more + 3 * GROWTH * stride(0)).min(limit);
        let mut refused = Drafted::Whole;
        let done = self.pages.write_beside(page, self.root, room, |pages, bytes| {
            // Of a leaf that has a delta nothing is looked at but how long it must be.
            let leaf = Node::read_leaf(pages, page)?;
            if !leaf.is_leaf() {
                return Err(leaf.fault("this is not a leaf").into());
            }
            match (leaf.delta(), delta) {
                (Some(_), _) => refused = Drafted::Full,
                // What is beside the leaf is something else.
                (None, Some(_)) => return Ok(None),
                (None, None) => {}
            }
            let len = bytes.len().min(limit);
            let Some(mut draft) = Draft::of(&leaf, capacity, &mut bytes[..len]) else { return Ok(None) };
            let done = change(&mut draft)?.filter(|_| draft.fits());
            Ok(done.map(|done| (draft.finish(), done)))
        })?;
        if done.is_none() && matches!(refused, Drafted::Full) {
            // The whole leaf will be needed now.
            self.pages.prefetch_mut(page);
        }
        Ok(done.map_or(refused, Drafted::Done))
    }

    /// How long the arrays of leaf `page` are, which has no delta; `None` if it had better be changed as a whole.
    fn first_draft(&mut self, page: PageId) -> Result<Option<usize>, P::Error> {
        let capacity = self.capacity();
        // A leaf that the transaction has a copy of is changed there.
        if page.beside().is_none() || self.pages.private_page(page, capacity).is_some() {
            return Ok(None);
        }
        let leaf = Node::read_leaf(self.pages, page)?;
        if !leaf.is_leaf() {
            return Err(leaf.fault("this is not a leaf").into());
        }
        let both = self.pages.room(leaf.len()) + self.pages.room(limit(capacity));
        Ok((both <= self.pages.room(capacity)).then_some(leaf.cells_at))
    }

    /// Writes a leaf anew if it has a delta, with all of its entries.
    pub(crate) fn fold(&mut self, page: PageId) -> Result<(), P::Error> {
        if of(self.pages, page)?.is_none() {
            return Ok(());
        }
        let run = Run::from_node(&Node::read(self.pages, page)?)?;
        run.check_order()?;
        self.write_pieces(&run, &[run.all()], &[page])?;
        Ok(())
    }
}
