//! Changes of a node in place.
//!
//! Promises: a change either fits and is made, or says that there is no room and leaves the node as it was; the used
//! bytes stay one contiguous piece; `garbage` stays true. A node whose header contradicts its length is not opened.

use pentimento_storage::PageId;

use crate::delta::write_cell;
use crate::layout::{
    BRANCH_CELL, CHILD, GROWTH, HEAD, HEADER, Header, LARGE_FLAG, LARGE_REF, LEAF_CELL, NODE_LIMIT, OFFSET, head_of,
    stride,
};
use crate::node::{Extent, Node, damaged, prefetch_arrays};
use crate::pages::{Fault, PageMut};
use crate::splice::Children;

/// What a leaf's cell is to hold.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fill<'v> {
    /// These bytes.
    Bytes(&'v [u8]),
    /// So many zeros, to be overwritten.
    Zeros(usize),
    /// A large value in a page of its own, and its length.
    Large(PageId, usize),
}

impl Fill<'_> {
    /// The bytes that this takes in the cell.
    #[inline]
    pub fn cell_len(&self) -> usize {
        match self {
            Fill::Bytes(bytes) => bytes.len(),
            Fill::Zeros(len) => *len,
            Fill::Large(..) => LARGE_REF,
        }
    }

    /// The value length field of the cell.
    #[inline]
    pub fn len_field(&self) -> u16 {
        match self {
            Fill::Large(..) => LARGE_FLAG,
            _ => self.cell_len() as u16,
        }
    }

    /// Writes this to its room, which is `cell_len` bytes long.
    #[inline]
    pub fn write(&self, to: &mut [u8]) {
        match *self {
            Fill::Bytes(bytes) => to.copy_from_slice(bytes),
            Fill::Zeros(_) => to.fill(0),
            Fill::Large(page, len) => {
                to[..4].copy_from_slice(&page.0.to_le_bytes());
                to[4..].copy_from_slice(&(len as u32).to_le_bytes());
            }
        }
    }
}

/// What became of an attempt to put an entry into a leaf.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Put {
    Done {
        new: bool,
        /// The page of the large value that was replaced.
        orphan: Option<PageId>,
    },
    /// There is no room, or the node had better be rewritten. The entry belongs at this index, replacing what is there
    /// if `found`.
    NoRoom { index: usize, found: bool },
}

/// Whether a node had better be rewritten than get a key at `index`, because keys there share more than its prefix and
/// heads do not tell them apart any more. Looked at only when the count passes a power of two.
#[inline]
pub(crate) fn wants_prefix(node: &Node<'_>, index: usize, suffix: &[u8]) -> bool {
    if !(node.count() + 1).is_power_of_two() {
        return false;
    }
    let head = Some(head_of(suffix));
    node.head(index) == head || index.checked_sub(1).is_some_and(|before| node.head(before) == head)
}

/// A node that may be changed.
#[derive(Debug)]
pub(crate) struct NodeMut<'a> {
    page: PageId,
    body: &'a mut [u8],
    len: &'a mut usize,
    header: Header,
}

impl<'a> NodeMut<'a> {
    #[inline]
    pub fn open(page: PageId, target: PageMut<'a>) -> Result<NodeMut<'a>, Fault> {
        let Some(used) = target.body.get(..*target.len) else {
            return Err(damaged(page, "the page has less room than it uses"));
        };
        let header = Node::parse(page, used)?.header;
        Ok(NodeMut { page, body: target.body, len: target.len, header })
    }

    /// Opens a page that must be a leaf.
    #[inline]
    pub fn open_leaf(page: PageId, target: PageMut<'a>) -> Result<NodeMut<'a>, Fault> {
        prefetch_arrays(target.body);
        let node = NodeMut::open(page, target)?;
        if node.header.level == 0 { Ok(node) } else { Err(damaged(page, "this is not a leaf")) }
    }

    #[inline]
    pub fn node(&self) -> Result<Node<'_>, Fault> {
        Node::parse(self.page, self.body.get(..*self.len).unwrap_or_default())
    }

    #[inline]
    fn save(&mut self) {
        if let Some(bytes) = self.body.first_chunk_mut::<HEADER>() {
            self.header.write(bytes);
        }
    }

    fn slice(&mut self, from: usize, len: usize) -> Result<&mut [u8], Fault> {
        let page = self.page;
        self.body.get_mut(from..from + len).ok_or_else(|| damaged(page, "a node has less room than it was promised"))
    }

    /// Makes room for `entries` more in the arrays and `bytes` more in the cells, within `limit` bytes in all.
    #[inline]
    fn reserve(&mut self, entries: usize, bytes: usize, limit: usize) -> bool {
        let at = self.header.places();
        let room = limit.min(self.body.len()).min(at.cells + NODE_LIMIT);
        let spare = usize::from(self.header.cap - self.header.count);
        let lacking = entries.saturating_sub(spare);
        let stride = stride(self.header.level);
        if *self.len + bytes + lacking * stride > room {
            return false;
        }
        if lacking > 0 {
            let fitting = (room - *self.len - bytes) / stride;
            self.grow(lacking.max(GROWTH.min(fitting)));
        }
        true
    }

    /// Makes the arrays longer by `more` entries, for which there is room.
    fn grow(&mut self, more: usize) {
        let old = self.header.places();
        self.header.cap += more as u16;
        let new = self.header.places();
        let count = usize::from(self.header.count);
        self.body.copy_within(old.cells..*self.len, new.cells);
        self.body.copy_within(old.offsets..old.offsets + count * OFFSET, new.offsets);
        if self.header.level > 0 {
            self.body.copy_within(old.children..old.children + count * CHILD, new.children);
        }
        *self.len += new.cells - old.cells;
        self.save();
    }

    /// Adds an entry to the arrays, and makes room for its cell, whose place it gives and which the caller writes.
    fn add(&mut self, index: usize, head: u32, child: PageId, cell_len: usize) -> Result<usize, Fault> {
        let at = self.header.places();
        let count = usize::from(self.header.count);
        if index > count || self.header.count >= self.header.cap {
            return Err(damaged(self.page, "a node has less room than it was promised"));
        }
        let start = self.make_room(index, cell_len)?;
        let offset = (start - at.cells) as u16;
        self.shift_in(at.heads, index, count, head.to_le_bytes());
        self.shift_in(at.offsets, index, count, offset.to_le_bytes());
        if self.header.level > 0 {
            self.shift_in(at.children, index, count, child.0.to_le_bytes());
        }
        self.header.count += 1;
        *self.len += cell_len;
        self.save();
        Ok(start)
    }

    /// Where the cell of a new entry `index` begins: in a leaf before that of the next key, so that cells lie in the order of their keys. Who looks for one of them can guess then where
    /// it is, and who walks meets them one after the other.
    #[inline]
    fn make_room(&mut self, index: usize, cell_len: usize) -> Result<usize, Fault> {
        let (at, end) = (self.header.places(), *self.len);
        let count = usize::from(self.header.count);
        if self.header.level > 0 || index == count {
            return Ok(end);
        }
        let offsets = self.slice(at.offsets, count * OFFSET)?.as_chunks_mut::<OFFSET>().0;
        let next = u16::from_le_bytes(offsets[index]);
        let start = at.cells + usize::from(next);
        if start >= end {
            return Ok(end);
        }
        for offset in offsets {
            let old = u16::from_le_bytes(*offset);
            // Those of a damaged node may say anything.
            let new = if old >= next { old.wrapping_add(cell_len as u16) } else { old };
            *offset = new.to_le_bytes();
        }
        self.slice(start, end - start + cell_len)?.copy_within(..end - start, cell_len);
        Ok(start)
    }

    #[inline]
    fn shift_in<const W: usize>(&mut self, array: usize, index: usize, count: usize, value: [u8; W]) {
        let from = array + index * W;
        self.body.copy_within(from..array + count * W, from + W);
        self.body[from..from + W].copy_from_slice(&value);
    }

    /// Puts an entry into a leaf, within `limit` bytes in all.
    #[inline]
    pub fn put(&mut self, key: &[u8], fill: Fill<'_>, limit: usize) -> Result<Put, Fault> {
        let node = self.node()?;
        let (index, found) = node.find(key)?;
        let no_room = Put::NoRoom { index, found };
        let Some(suffix) = key.strip_prefix(node.prefix) else {
            return Ok(no_room);
        };
        if found {
            let (_, stored) = node.entry(index)?;
            let old_len = stored.cell_len();
            let orphan = stored.large_page();
            let extent = node.extent(index)?;
            let done = self.replace(index, extent, old_len, suffix, fill, limit)?;
            return Ok(if done { Put::Done { new: false, orphan } } else { no_room });
        }
        if wants_prefix(&node, index, suffix) {
            return Ok(no_room);
        }
        let cell_len = LEAF_CELL + suffix.len() + fill.cell_len();
        if !self.reserve(1, cell_len, limit) {
            return Ok(no_room);
        }
        let start = self.add(index, head_of(suffix), PageId::NONE, cell_len)?;
        self.write_leaf_cell(start, suffix, fill)?;
        Ok(Put::Done { new: true, orphan: None })
    }

    #[inline]
    fn write_leaf_cell(&mut self, start: usize, suffix: &[u8], fill: Fill<'_>) -> Result<(), Fault> {
        write_cell(self.slice(start, LEAF_CELL + suffix.len() + fill.cell_len())?, suffix, fill);
        Ok(())
    }

    /// Replaces the value of the entry at `index`, whose cell stands at `extent`.
    fn replace(
        &mut self,
        index: usize,
        extent: Extent,
        old_len: usize,
        suffix: &[u8],
        fill: Fill<'_>,
        limit: usize,
    ) -> Result<bool, Fault> {
        let cells = self.header.places().cells;
        let start = cells + extent.start;
        let is_last = cells + extent.end == *self.len;
        let new_len = fill.cell_len();
        if new_len > old_len && !is_last {
            // Moves to the end.
            let cell_len = LEAF_CELL + suffix.len() + new_len;
            if !self.reserve(0, cell_len, limit) {
                return Ok(false);
            }
            let start = *self.len;
            let at = self.header.places().offsets + index * OFFSET;
            self.slice(at, OFFSET)?.copy_from_slice(&((start - cells) as u16).to_le_bytes());
            self.write_leaf_cell(start, suffix, fill)?;
            *self.len = start + cell_len;
            self.add_garbage(extent.end - extent.start);
            return Ok(true);
        }
        if new_len > old_len && !self.reserve(0, new_len - old_len, limit) {
            return Ok(false);
        }
        self.write_leaf_cell(start, suffix, fill)?;
        if is_last {
            *self.len = start + LEAF_CELL + suffix.len() + new_len;
        } else if new_len < old_len {
            self.add_garbage(old_len - new_len);
        }
        Ok(true)
    }

    /// Removes the entry of `key` from a leaf; `None` if there is none, else the page of a large value that it had.
    pub fn take(&mut self, key: &[u8]) -> Result<Option<Option<PageId>>, Fault> {
        let node = self.node()?;
        let (index, true) = node.find(key)? else { return Ok(None) };
        let (_, stored) = node.entry(index)?;
        let orphan = stored.large_page();
        let (extent, end) = (node.extent(index)?, node.cells.len());
        let at = self.header.places();
        let count = usize::from(self.header.count);
        self.shift_out(at.heads, HEAD, index, index + 1, count);
        self.shift_out(at.offsets, OFFSET, index, index + 1, count);
        self.header.count -= 1;
        let garbage = if extent.end == end {
            *self.len = at.cells + extent.start;
            0
        } else {
            extent.end - extent.start
        };
        if self.header.count == 0 {
            self.header.garbage = 0;
            *self.len = at.cells;
        }
        self.add_garbage(garbage.min(*self.len - at.cells));
        Ok(Some(orphan))
    }

    fn add_garbage(&mut self, bytes: usize) {
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
        self.header.garbage = self.header.garbage.saturating_add(bytes);
        self.save();
    }

    /// Removes entries `from..to`; in a branch, the separators with the children to their right.
    pub fn remove(&mut self, from: usize, to: usize) -> Result<(), Fault> {
        let at = self.header.places();
        let count = usize::from(self.header.count);
        if from > to || to > count {
            return Err(damaged(self.page, "there is no such entry"));
        }
        let node = self.node()?;
        let mut end = node.cells.len();
        let mut garbage = 0;
        for index in (from..to).rev() {
            let extent = node.extent(index)?;
            if extent.end == end {
                end = extent.start;
            } else {
                garbage += extent.end - extent.start;
            }
        }
        self.shift_out(at.heads, HEAD, from, to, count);
        self.shift_out(at.offsets, OFFSET, from, to, count);
        if self.header.level > 0 {
            self.shift_out(at.children, CHILD, from, to, count);
        }
        self.header.count -= (to - from) as u16;
        *self.len = at.cells + end;
        if self.header.count == 0 {
            self.header.garbage = 0;
            *self.len = at.cells;
        }
        self.add_garbage(garbage.min(*self.len - at.cells));
        Ok(())
    }

    #[inline]
    fn shift_out(&mut self, array: usize, width: usize, from: usize, to: usize, count: usize) {
        self.body.copy_within(array + to * width..array + count * width, array + from * width);
    }

    /// Removes the children `from..to` of a branch, which must not be all of them.
    pub fn remove_children(&mut self, from: usize, to: usize) -> Result<(), Fault> {
        match from.checked_sub(1) {
            Some(before) => self.remove(before, to.max(1) - 1),
            None => {
                let leftmost = self.node()?.child(to)?;
                self.remove(0, to)?;
                self.header.leftmost = leftmost;
                self.save();
                Ok(())
            }
        }
    }

    /// Replaces the separators `from..to` and the children to their right, if that fits in `limit` bytes.
    pub fn splice(&mut self, from: usize, to: usize, add: &Children, limit: usize) -> Result<bool, Fault> {
        let mut bytes = 0;
        let node = self.node()?;
        for (key, _) in add {
            match key.strip_prefix(node.prefix) {
                Some(suffix) if wants_prefix(&node, from, suffix) => return Ok(false),
                Some(suffix) => bytes += BRANCH_CELL + suffix.len(),
                None => return Ok(false),
            }
        }
        if !self.reserve(add.len(), bytes, limit) {
            return Ok(false);
        }
        self.remove(from, to)?;
        let prefix_len = usize::from(self.header.prefix_len);
        for (index, (key, child)) in (from..).zip(add) {
            let suffix = &key[prefix_len..];
            let start = self.add(index, head_of(suffix), *child, BRANCH_CELL + suffix.len())?;
            let cell = self.slice(start, BRANCH_CELL + suffix.len())?;
            cell[..BRANCH_CELL].copy_from_slice(&(suffix.len() as u16).to_le_bytes());
            cell[BRANCH_CELL..].copy_from_slice(suffix);
        }
        Ok(true)
    }

    /// Whether more than half of the node is garbage.
    #[inline]
    pub fn is_wasteful(&self) -> bool {
        usize::from(self.header.garbage) * 2 > *self.len
    }
}

#[cfg(test)]
mod tests {
    use crate::memory::MemoryPages;
    use crate::node::Node;
    use crate::tree_mut::{TreeMut, create};

    /// Whatever order entries come and go in: each cell of a leaf without a delta lies behind that of the key before it.
    #[test]
    fn cells_lie_in_the_order_of_their_keys() {
        let mut pages = MemoryPages::new(8192);
        let root = create(&mut pages).unwrap();
        let mut tree = TreeMut::new(&mut pages, root);
        for number in 0..120u32 {
            let key = number.wrapping_mul(0x9E37_79B9).to_be_bytes();
            tree.insert(&key, &vec![number as u8; number as usize % 40]).unwrap();
            if number % 5 == 4 {
                tree.remove(&(number - 2).wrapping_mul(0x9E37_79B9).to_be_bytes()).unwrap();
            }
        }
        tree.fold(root).unwrap();
        let leaf = Node::read(&pages, root).unwrap();
        assert!(leaf.is_leaf() && leaf.count() == 96, "all in one leaf");
        assert!(leaf.offsets.is_sorted_by_key(|offset| u16::from_le_bytes(*offset)));
    }
}
