//! Single bodies, taken apart for tools: what is in them, where each byte of it stands, and what is wrong with it.
//!
//! Promises: bytes of any content give an error or some data, never a panic; the decoding and the checks are those of the map itself.

use crate::check::{self, Finding};
use crate::delta;
use crate::key::Key;
use crate::layout::{self, CHILD, HEAD, HEADER, KIND_DELTA, KIND_LARGE, LARGE_HEADER, OFFSET};
use crate::node::{Node, Stored, damaged};
use crate::pages::{Fault, ReadPages};
use crate::value::large_value;
use pentimento_storage::PageId;

/// What the first bytes of a body say that it is; not yet whether it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// A node that holds entries.
    Leaf,
    /// A node that leads to others.
    Branch,
    /// A large value.
    LargeValue,
    /// What has become of the leaf beside it.
    Delta,
    /// Something else.
    Unknown,
}

/// What a body says that it is.
#[must_use]
pub fn body_kind(body: &[u8]) -> BodyKind {
    match body.first() {
        Some(&KIND_LARGE) => BodyKind::LargeValue,
        Some(&KIND_DELTA) => BodyKind::Delta,
        Some(0) if body.len() >= HEADER => BodyKind::Leaf,
        Some(&level) if level <= crate::layout::MAX_LEVEL && body.len() >= HEADER => BodyKind::Branch,
        _ => BodyKind::Unknown,
    }
}

/// The most bytes that the body of a delta has, where nodes should have at most `node_capacity`.
#[must_use]
pub fn delta_limit(node_capacity: usize) -> usize {
    delta::limit(node_capacity)
}

/// How many bytes a large value's body has before the value.
pub const LARGE_VALUE_HEADER: usize = LARGE_HEADER;

/// The value in the body of a large value's page, which must have `len` bytes.
///
/// # Errors
/// What is wrong with the body.
pub fn large_value_of(body: &[u8], len: usize) -> Result<&[u8], &'static str> {
    large_value(PageId::NONE, body, len).map_err(|fault| reason(&fault))
}

pub(crate) fn reason(fault: &Fault) -> &'static str {
    match fault {
        Fault::Damaged { what, .. } => what,
        _ => "it cannot be decoded",
    }
}

/// What a leaf keeps for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'p> {
    /// The value itself.
    Inline(&'p [u8]),
    /// A value with a page of its own.
    Large {
        /// The page.
        page: PageId,
        /// The length of the value, in bytes.
        len: usize,
    },
}

impl<'p> From<Stored<'p>> for Value<'p> {
    #[inline]
    fn from(stored: Stored<'p>) -> Value<'p> {
        match stored {
            Stored::Inline(bytes) => Value::Inline(bytes),
            Stored::Large(page, len) => Value::Large { page, len },
        }
    }
}

/// The fields of a node's header; of a leaf with a delta those that its delta has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// 0 for a leaf, else one more than the level of the children.
    pub level: u8,
    /// Zero.
    pub flags: u8,
    /// The length of the prefix that all keys share, in bytes.
    pub prefix_len: u16,
    /// How many entries there are.
    pub count: u16,
    /// How many entries the arrays have room for.
    pub cap: u16,
    /// Bytes of the cell area that no entry refers to.
    pub garbage: u16,
    /// The child left of the first separator; zero in a leaf.
    pub leftmost: PageId,
}

/// What a stretch of a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// The fields at the start.
    Header,
    /// The prefix that all keys share.
    Prefix,
    /// Zeros after the prefix.
    Padding,
    /// The first four bytes of each key after the prefix.
    Heads,
    /// The children of a branch.
    Children,
    /// Where each cell begins.
    Offsets,
    /// Room in an array that no entry uses yet.
    Spare,
    /// The cell of an entry.
    Cell,
    /// Bytes of the cell area that no entry refers to.
    Gap,
    /// A large value.
    Value,
    /// Bytes that cannot be told.
    Unknown,
}

/// A stretch of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
    /// What it is.
    pub kind: RegionKind,
    /// The entry that it belongs to, if it is a cell.
    pub entry: Option<usize>,
}

/// A node whose header agrees with the length of its body. A leaf that has a delta is seen as its delta tells it.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'p> {
    node: Node<'p>,
    /// The body that the arrays stand in.
    body: &'p [u8],
    /// The leaf by itself and its body, where a delta tells what is in it.
    leaf: Option<(Node<'p>, &'p [u8])>,
}

impl<'p> NodeView<'p> {
    /// Takes the body of `page` as a node.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(page: PageId, body: &'p [u8]) -> Result<NodeView<'p>, &'static str> {
        let node = Node::parse(page, body).map_err(|fault| reason(&fault))?;
        Ok(NodeView { node, body, leaf: None })
    }

    /// Takes the bodies of leaf `page` and of its delta as the leaf that they are together.
    ///
    /// # Errors
    /// Why they are none: one of them by itself, or because they do not fit each other.
    pub fn parse_with_delta(page: PageId, body: &'p [u8], delta: &'p [u8]) -> Result<NodeView<'p>, &'static str> {
        let leaf = Node::parse(page, body).map_err(|fault| reason(&fault))?;
        NodeView::of_leaf(leaf, body, delta).map_err(|fault| reason(&fault))
    }

    /// Reads node `page`, with its delta if it is a leaf that has one.
    ///
    /// # Errors
    /// When one of the pages cannot be read, or is not what it should be.
    pub fn read<P: ReadPages>(pages: &'p P, page: PageId) -> Result<NodeView<'p>, P::Error> {
        let body = pages.page(page)?;
        let node = Node::parse(page, body)?;
        let delta = if node.is_leaf() { delta::of(pages, page)? } else { None };
        match delta {
            Some(delta) => Ok(NodeView::of_leaf(node, body, delta)?),
            None => Ok(NodeView { node, body, leaf: None }),
        }
    }

    fn of_leaf(leaf: Node<'p>, body: &'p [u8], delta: &'p [u8]) -> Result<NodeView<'p>, Fault> {
        if leaf.page.beside().is_none() {
            return Err(damaged(leaf.page, "a page of this number has nothing beside it"));
        }
        let node = Node::parse_with_delta(leaf.page, body, delta)?;
        Ok(NodeView { node, body: delta, leaf: Some((leaf, body)) })
    }

    /// Whether this is a leaf that is seen as its delta tells it.
    #[must_use]
    pub fn has_delta(&self) -> bool {
        self.leaf.is_some()
    }

    /// The fields at the start.
    #[must_use]
    pub fn header(&self) -> Header {
        let crate::layout::Header { level, flags, prefix_len, count, cap, garbage, leftmost } = self.node.header;
        Header { level, flags, prefix_len, count, cap, garbage, leftmost }
    }

    /// 0 for a leaf, else one more than the level of the children.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.node.header.level
    }

    /// How many entries a leaf has, or how many separators a branch.
    #[must_use]
    pub fn count(&self) -> usize {
        self.node.count()
    }

    /// The bytes that all keys begin with.
    #[must_use]
    pub fn prefix(&self) -> &'p [u8] {
        self.node.prefix
    }

    /// Where the cells begin in the body of the node itself.
    #[must_use]
    pub fn cells_at(&self) -> usize {
        self.node.cells_at
    }

    /// Key or separator number `index`.
    ///
    /// # Errors
    /// Why it cannot be decoded.
    pub fn key(&self, index: usize) -> Result<Key<'p>, &'static str> {
        self.node.key(index).map(Key::join).map_err(|fault| reason(&fault))
    }

    /// What a leaf keeps for key number `index`, and the length of the key.
    ///
    /// # Errors
    /// Why it cannot be decoded.
    pub fn value(&self, index: usize) -> Result<(usize, Value<'p>), &'static str> {
        let (suffix, stored) = self.node.entry(index).map_err(|fault| reason(&fault))?;
        Ok((self.node.prefix.len() + suffix.len(), stored.into()))
    }

    /// All children from left to right; none for a leaf.
    #[must_use]
    pub fn children(&self) -> Vec<PageId> {
        self.node.all_children()
    }

    /// Reports everything that is wrong with the node and can be told without a look at any other page. Of a leaf with a delta that is what they are
    /// together; what the leaf's own arrays say does not matter.
    pub fn check(&self, report: &mut dyn FnMut(Finding)) {
        self.check_entries(report, |_, _, _| {});
    }

    /// The same, and shows each entry of a leaf that can be decoded in passing: its number, the length of its key, and what the leaf keeps
    /// for it. All entries are looked at once.
    pub fn check_entries(&self, report: &mut dyn FnMut(Finding), mut see: impl FnMut(usize, usize, Value<'_>)) {
        if let Some((leaf, body)) = self.leaf {
            // Of the leaf itself all but its arrays: as if it had no entries.
            let header = layout::Header { garbage: 0, ..leaf.header };
            let frame = Node { header, heads: &[], offsets: &[], cells: &[], ..leaf };
            check::check_alone(&frame, body, report, |_, _, _| {});
        }
        let prefix_len = self.node.prefix.len();
        check::check_alone(&self.node, self.body, report, |index, suffix, stored| {
            see(index, prefix_len + suffix.len(), stored.into());
        });
    }

    /// The body as stretches that follow each other without a gap, in order: of a leaf with a delta, the body of the delta.
    #[must_use]
    pub fn regions(&self) -> Vec<Region> {
        regions_of(&self.node, self.body)
    }
}

/// Stands for the cells of a leaf that is not at hand: the offsets of its delta can tell no more of them.
static ABSENT: [u8; 1 << 16] = [0; 1 << 16];

/// The delta of a leaf that is not at hand; its header agrees with the length of its body.
#[derive(Clone, Copy, Debug)]
pub struct DeltaView<'p> {
    pub(crate) node: Node<'p>,
    body: &'p [u8],
}

/// Where the cell of an entry lies that a delta has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellPlace {
    /// In the leaf: where it begins in the leaf's body.
    Leaf(usize),
    /// In the delta: where it begins in the delta's body.
    Delta(usize),
}

impl<'p> DeltaView<'p> {
    /// Takes a body as a delta.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(body: &'p [u8]) -> Result<DeltaView<'p>, &'static str> {
        let mut header = match body.first_chunk::<HEADER>().map(layout::Header::read) {
            Some(header) if header.level == KIND_DELTA => header,
            _ => return Err("this is not a delta"),
        };
        let (cells_at, len) = delta::base_of(header.leftmost);
        (header.level, header.leftmost) = (0, PageId(0));
        let absent = ABSENT.get(..len).unwrap_or_default();
        // Any number that has one beside it would do.
        match Node::with_cells(PageId(0), header, body, (absent, cells_at)) {
            Ok(node) => Ok(DeltaView { node, body }),
            Err(_) => Err("the delta's header does not fit its length"),
        }
    }

    /// How many entries the leaf has now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.node.count()
    }

    /// How many of their cells lie in the delta.
    #[must_use]
    pub fn own_count(&self) -> usize {
        let from = self.node.cells.len();
        self.node.offsets.iter().filter(|offset| usize::from(u16::from_le_bytes(**offset)) >= from).count()
    }

    /// The bytes that all keys begin with.
    #[must_use]
    pub fn prefix(&self) -> &'p [u8] {
        self.node.prefix
    }

    /// Bytes of the cells, the leaf's and the delta's, that no entry refers to, as the header counts them.
    #[must_use]
    pub fn garbage(&self) -> u16 {
        self.node.header.garbage
    }

    /// Where the cells of the leaf begin in its body, as the delta notes it, and how long they are.
    #[must_use]
    pub fn leaf_cells(&self) -> (usize, usize) {
        (self.node.cells_at, self.node.cells.len())
    }

    /// Where the cell of entry `index` begins; it may be past the end. `None` if there is no such entry.
    #[must_use]
    pub fn place(&self, index: usize) -> Option<CellPlace> {
        let offset = usize::from(u16::from_le_bytes(*self.node.offsets.get(index)?));
        Some(match offset.checked_sub(self.node.cells.len()) {
            None => CellPlace::Leaf(self.node.cells_at + offset),
            Some(own) => CellPlace::Delta(self.node.more_at + own),
        })
    }

    /// Key and value of entry `index`, if its cell lies in the delta; `None` if it lies in the leaf.
    ///
    /// # Errors
    /// Why it cannot be decoded.
    pub fn own_entry(&self, index: usize) -> Result<Option<(Key<'p>, Value<'p>)>, &'static str> {
        if let Some(CellPlace::Leaf(_)) = self.place(index) {
            return Ok(None);
        }
        let (key, stored) = self.node.key_and_value(index).map_err(|fault| reason(&fault))?;
        Ok(Some((Key::join(key), stored.into())))
    }

    /// The body as stretches that follow each other without a gap, in order.
    #[must_use]
    pub fn regions(&self) -> Vec<Region> {
        regions_of(&self.node, self.body)
    }
}

/// The regions of the body that the arrays of a node stand in.
fn regions_of(node: &Node<'_>, body: &[u8]) -> Vec<Region> {
    let mut regions = Regions::default();
    let at = node.header.places();
    let count = node.count();
    // Of a leaf with a delta: the cells that lie in the delta.
    let from = if node.more_at > 0 { node.cells.len() } else { 0 };
    regions.put(HEADER, RegionKind::Header, None);
    regions.put(HEADER + node.prefix.len(), RegionKind::Prefix, None);
    regions.put(at.heads, RegionKind::Padding, None);
    regions.put(at.heads + count * HEAD, RegionKind::Heads, None);
    regions.put(at.children, RegionKind::Spare, None);
    if !node.is_leaf() {
        regions.put(at.children + count * CHILD, RegionKind::Children, None);
    }
    regions.put(at.offsets, RegionKind::Spare, None);
    regions.put(at.offsets + count * OFFSET, RegionKind::Offsets, None);
    regions.put(at.cells, RegionKind::Spare, None);
    let extents = (0..count).filter_map(|index| Some((node.extent(index).ok()?, index)));
    let mut extents: Vec<_> = extents.filter(|(extent, _)| extent.start >= from).collect();
    extents.sort_unstable();
    for (extent, index) in extents {
        regions.put(at.cells + extent.start - from, RegionKind::Gap, None);
        regions.put((at.cells + extent.end - from).min(body.len()), RegionKind::Cell, Some(index));
    }
    regions.put(body.len(), RegionKind::Gap, None);
    regions.list
}

/// The regions of a body of any kind.
#[must_use]
pub fn regions(body: &[u8]) -> Vec<Region> {
    let known = match body_kind(body) {
        BodyKind::LargeValue => {
            let mut regions = Regions::default();
            regions.put(LARGE_HEADER.min(body.len()), RegionKind::Header, None);
            regions.put(body.len(), RegionKind::Value, None);
            return regions.list;
        }
        BodyKind::Delta => DeltaView::parse(body).map(|delta| delta.regions()),
        _ => NodeView::parse(PageId::NONE, body).map(|node| node.regions()),
    };
    known.unwrap_or_else(|_| {
        let mut regions = Regions::default();
        regions.put(body.len(), RegionKind::Unknown, None);
        regions.list
    })
}

#[derive(Default)]
struct Regions {
    list: Vec<Region>,
}

impl Regions {
    /// The next region, up to `end`; nothing if that is reached already.
    fn put(&mut self, end: usize, kind: RegionKind, entry: Option<usize>) {
        let start = self.list.last().map_or(0, |region| region.end);
        if end > start {
            self.list.push(Region { start, end, kind, entry });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryPages;
    use crate::{ReadPages, TreeMut, create};

    fn tree(entries: u32) -> (MemoryPages, PageId) {
        let mut pages = MemoryPages::new(4096);
        let root = create(&mut pages).unwrap();
        let mut tree = TreeMut::new(&mut pages, root);
        for number in 0..entries {
            let value = vec![number as u8; number as usize % 40];
            tree.insert(format!("key {:05}", number * 7919 % entries).as_bytes(), &value).unwrap();
        }
        tree.insert(b"large", &[7; 5000]).unwrap();
        (pages, root)
    }

    #[test]
    fn regions_cover_each_byte_once_and_name_each_cell() {
        let (pages, root) = tree(500);
        let body = pages.page(root).unwrap();
        let branch = NodeView::parse(root, body).unwrap();
        assert_eq!(body_kind(body), BodyKind::Branch);
        for page in branch.children().into_iter().chain([root]) {
            let body = pages.page(page).unwrap();
            let node = NodeView::parse(page, body).unwrap();
            let regions = node.regions();
            assert_eq!((regions[0].start, regions.last().unwrap().end), (0, body.len()));
            assert!(regions.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert_eq!(regions.iter().filter(|region| region.kind == RegionKind::Cell).count(), node.count());
            node.check(&mut |finding| panic!("{finding}"));
        }
    }

    #[test]
    fn a_node_by_itself_shows_what_the_whole_check_finds_in_it() {
        let (pages, root) = tree(500);
        let leaf = NodeView::parse(root, pages.page(root).unwrap()).unwrap().children()[0];
        let whole = pages.page(leaf).unwrap().to_vec();
        let mut noticed = 0;
        for at in 0..whole.len() {
            let mut body = whole.clone();
            body[at] ^= 0x11;
            let mut found = 0;
            match NodeView::parse(leaf, &body) {
                Ok(node) => node.check(&mut |_| found += 1),
                Err(_) => found += 1,
            }
            noticed += usize::from(found > 0);
            // Whatever it says, it does not panic.
            let _ = regions(&body);
        }
        assert!(noticed > whole.len() / 4, "only values and spare room may change unnoticed: {noticed}");
    }

    #[test]
    fn a_large_value_has_its_length_checked() {
        let (pages, root) = tree(1);
        let leaf = NodeView::parse(root, pages.page(root).unwrap()).unwrap();
        let Ok((5, Value::Large { page, len })) = leaf.value(1) else { panic!("{:?}", leaf.value(1)) };
        let body = pages.page(page).unwrap();
        assert_eq!(large_value_of(body, len).unwrap(), &[7; 5000]);
        assert!(large_value_of(body, len + 1).is_err() && large_value_of(&body[..4], len).is_err());
        assert_eq!(regions(body).len(), 2);
    }

    /// A tree of big leaves, each of which has got a few entries, removals and longer values since it was filled.
    fn tree_with_deltas() -> (MemoryPages, Vec<PageId>) {
        let mut pages = MemoryPages::new(8000);
        let root = create(&mut pages).unwrap();
        let mut tree = TreeMut::new(&mut pages, root);
        let key = |number: u32| format!("key {number:05}");
        tree.bulk_load((0..2000).map(|number| (key(number * 10), vec![number as u8; 20]))).unwrap();
        for number in (0..2000).step_by(60) {
            pages.begin();
            let mut tree = TreeMut::new(&mut pages, root);
            tree.insert(key(number * 10 + 1).as_bytes(), b"new").unwrap();
            tree.insert(key(number * 10 + 10).as_bytes(), &[1; 30]).unwrap();
            tree.remove(key(number * 10 + 50).as_bytes()).unwrap();
            tree.insert(key(number * 10 + 2).as_bytes(), &[9; 5000]).unwrap();
        }
        let with_delta = |page: &PageId| pages.beside(*page).is_ok_and(|body| body.is_some());
        let leaves: Vec<PageId> = pages.ids().filter(with_delta).collect();
        assert!(leaves.len() > 5, "{leaves:?}");
        (pages, leaves)
    }

    fn bodies(pages: &MemoryPages, leaf: PageId) -> (&[u8], &[u8]) {
        (pages.page(leaf).unwrap(), pages.beside(leaf).unwrap().unwrap())
    }

    #[test]
    fn a_leaf_with_a_delta_is_seen_as_the_tree_sees_it() {
        let (pages, leaves) = tree_with_deltas();
        for leaf in leaves {
            let (body, delta) = bodies(&pages, leaf);
            assert_eq!((body_kind(body), body_kind(delta)), (BodyKind::Leaf, BodyKind::Delta));
            let view = NodeView::parse_with_delta(leaf, body, delta).unwrap();
            let read = NodeView::read(&pages, leaf).unwrap();
            assert!(view.has_delta() && read.has_delta() && !NodeView::parse(leaf, body).unwrap().has_delta());
            assert_eq!((view.count(), view.header()), (read.count(), read.header()));
            let mut seen = 0;
            view.check_entries(&mut |finding| panic!("{finding}"), |_, _, _| seen += 1);
            assert_eq!(seen, view.count());
            let whole = Node::read(&pages, leaf).unwrap();
            let alone = DeltaView::parse(delta).unwrap();
            assert_eq!((alone.count(), alone.prefix()), (view.count(), view.prefix()));
            assert_eq!(alone.leaf_cells(), (view.cells_at(), body.len() - view.cells_at()));
            let mut own = 0;
            for index in 0..view.count() {
                let (key, value) = (view.key(index).unwrap(), view.value(index).unwrap().1);
                assert_eq!(key.as_slice(), Key::join(whole.key(index).unwrap()).as_slice());
                match (alone.place(index).unwrap(), alone.own_entry(index).unwrap()) {
                    (CellPlace::Leaf(at), None) => assert!(at < body.len()),
                    (CellPlace::Delta(at), Some(entry)) => {
                        own += 1;
                        assert!(at < delta.len());
                        assert_eq!((entry.0.as_slice(), entry.1), (key.as_slice(), value));
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!((own > 0, alone.own_count()), (true, own));
            assert_eq!((alone.place(view.count()), alone.garbage()), (None, view.header().garbage));
        }
    }

    #[test]
    fn the_regions_of_a_delta_cover_each_byte_once_and_name_each_of_its_cells() {
        let (pages, leaves) = tree_with_deltas();
        for leaf in leaves {
            let (body, delta) = bodies(&pages, leaf);
            let of_delta = regions(delta);
            assert_eq!(of_delta, NodeView::parse_with_delta(leaf, body, delta).unwrap().regions());
            assert_eq!((of_delta[0].start, of_delta.last().unwrap().end), (0, delta.len()));
            assert!(of_delta.windows(2).all(|pair| pair[0].end == pair[1].start));
            let alone = DeltaView::parse(delta).unwrap();
            let cells: Vec<&Region> = of_delta.iter().filter(|region| region.kind == RegionKind::Cell).collect();
            assert_eq!(cells.len(), alone.own_count());
            for cell in cells {
                assert_eq!(alone.place(cell.entry.unwrap()), Some(CellPlace::Delta(cell.start)));
            }
            // The leaf itself has not changed: its own regions are those of any leaf.
            assert_eq!(regions(body), NodeView::parse(leaf, body).unwrap().regions());
        }
    }

    #[test]
    fn damage_in_a_delta_is_noticed_and_no_bytes_cause_a_panic() {
        let (pages, leaves) = tree_with_deltas();
        let (body, whole) = bodies(&pages, leaves[2]);
        let mut noticed = 0;
        for at in 0..whole.len() {
            for bits in [0x01, 0x11, 0x80, 0xFF] {
                let mut delta = whole.to_vec();
                delta[at] ^= bits;
                let mut found = 0;
                match NodeView::parse_with_delta(leaves[2], body, &delta) {
                    Ok(node) => node.check(&mut |_| found += 1),
                    Err(_) => found += 1,
                }
                noticed += usize::from(found > 0);
                let covered: usize = regions(&delta).iter().map(|region| region.end - region.start).sum();
                assert_eq!(covered, delta.len());
                let _ = crate::summarize_page(&delta);
                if let Ok(alone) = DeltaView::parse(&delta) {
                    (0..alone.count()).for_each(|index| drop(alone.own_entry(index)));
                }
            }
        }
        assert!(noticed > whole.len() * 2, "only values and spare room may change unnoticed: {noticed}");
        for len in 0..whole.len() {
            let _ = (regions(&whole[..len]), crate::summarize_page(&whole[..len]));
            assert!(NodeView::parse_with_delta(leaves[2], &body[..len.min(body.len() - 1)], whole).is_err());
        }
    }

    #[test]
    fn a_delta_fits_its_own_leaf_alone() {
        let (pages, leaves) = tree_with_deltas();
        let (body, delta) = bodies(&pages, leaves[1]);
        let mut note = delta.to_vec();
        // Where the leaf's cells are said to begin.
        note[12] ^= 4;
        assert_eq!(NodeView::parse_with_delta(leaves[1], body, &note).unwrap_err(), "the delta does not fit its leaf");
        assert!(DeltaView::parse(&note).is_ok(), "by itself nothing is wrong with it");
        assert!(NodeView::parse_with_delta(PageId(7), body, delta).is_err(), "there is nothing beside an odd number");
        assert!(NodeView::parse_with_delta(leaves[1], body, body).is_err());
        assert!(NodeView::parse_with_delta(leaves[1], delta, delta).is_err());
        // A reserved byte of the leaf itself.
        let mut leaf = body.to_vec();
        leaf[10] = 1;
        let mut found = Vec::new();
        NodeView::parse_with_delta(leaves[1], &leaf, delta).unwrap().check(&mut |finding| found.push(finding));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].page, leaves[1]);
    }

    #[test]
    fn a_summary_tells_where_the_cells_of_a_delta_lie() {
        let (pages, leaves) = tree_with_deltas();
        let (body, delta) = bodies(&pages, leaves[0]);
        let crate::PageSummary::Delta { prefix, leaf_cells_bytes, overhead_bytes, entries, .. } =
            crate::summarize_page(delta)
        else {
            panic!("it is a delta")
        };
        let view = NodeView::parse_with_delta(leaves[0], body, delta).unwrap();
        assert_eq!((entries.len(), leaf_cells_bytes), (view.count(), body.len() - view.cells_at()));
        assert!(overhead_bytes < delta.len());
        for (index, entry) in entries.into_iter().enumerate() {
            let (key, value) = (view.key(index).unwrap(), view.value(index).unwrap().1);
            let suffix = key.as_slice().strip_prefix(prefix).unwrap();
            let expected = match (entry.clone(), value) {
                (crate::SummaryEntry::InLeaf { at }, _) => crate::SummaryEntry::InLeaf { at },
                (_, Value::Inline(value)) => crate::SummaryEntry::Value { suffix, value },
                (_, Value::Large { page, len }) => crate::SummaryEntry::LargeValue { suffix, page, len },
            };
            assert_eq!(entry, expected);
        }
    }
}
