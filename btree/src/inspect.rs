//! Single bodies, taken apart for tools: what is in them, where each byte of it stands, and what is wrong with it.
//!
//! Promises: bytes of any content give an error or some data, never a panic; the decoding and the checks are those of the map itself.

use crate::check::{self, Finding};
use crate::key::Key;
use crate::layout::{CHILD, HEAD, HEADER, KIND_LARGE, LARGE_HEADER, OFFSET};
use crate::node::{Node, Stored};
use crate::pages::Fault;
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
    /// Something else.
    Unknown,
}

/// What a body says that it is.
#[must_use]
pub fn body_kind(body: &[u8]) -> BodyKind {
    match body.first() {
        Some(&KIND_LARGE) => BodyKind::LargeValue,
        Some(0) if body.len() >= HEADER => BodyKind::Leaf,
        Some(&level) if level <= crate::layout::MAX_LEVEL && body.len() >= HEADER => BodyKind::Branch,
        _ => BodyKind::Unknown,
    }
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

fn reason(fault: &Fault) -> &'static str {
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

/// The fields of a node's header.
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

/// A node whose header agrees with the length of its body.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'p> {
    node: Node<'p>,
    body: &'p [u8],
}

impl<'p> NodeView<'p> {
    /// Takes the body of `page` as a node.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(page: PageId, body: &'p [u8]) -> Result<NodeView<'p>, &'static str> {
        let node = Node::parse(page, body).map_err(|fault| reason(&fault))?;
        Ok(NodeView { node, body })
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

    /// Where the cells begin in the body.
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

    /// Reports everything that is wrong with the node and can be told without a look at any other page.
    pub fn check(&self, report: &mut dyn FnMut(Finding)) {
        self.check_entries(report, |_, _, _| {});
    }

    /// The same, and shows each entry of a leaf that can be decoded in passing: its number, the length of its key, and what the leaf keeps
    /// for it. All entries are looked at once.
    pub fn check_entries(&self, report: &mut dyn FnMut(Finding), mut see: impl FnMut(usize, usize, Value<'_>)) {
        let prefix_len = self.node.prefix.len();
        check::check_alone(&self.node, self.body, report, |index, suffix, stored| {
            see(index, prefix_len + suffix.len(), stored.into());
        });
    }

    /// The body as stretches that follow each other without a gap, in order.
    #[must_use]
    pub fn regions(&self) -> Vec<Region> {
        let mut regions = Regions::default();
        let at = self.node.header.places();
        let count = self.count();
        regions.put(HEADER, RegionKind::Header, None);
        regions.put(HEADER + self.node.prefix.len(), RegionKind::Prefix, None);
        regions.put(at.heads, RegionKind::Padding, None);
        regions.put(at.heads + count * HEAD, RegionKind::Heads, None);
        regions.put(at.children, RegionKind::Spare, None);
        if !self.node.is_leaf() {
            regions.put(at.children + count * CHILD, RegionKind::Children, None);
        }
        regions.put(at.offsets, RegionKind::Spare, None);
        regions.put(at.offsets + count * OFFSET, RegionKind::Offsets, None);
        regions.put(at.cells, RegionKind::Spare, None);
        let extents = (0..count).filter_map(|index| Some((self.node.extent(index).ok()?, index)));
        let mut extents: Vec<_> = extents.collect();
        extents.sort_unstable();
        for (extent, index) in extents {
            regions.put(at.cells + extent.start, RegionKind::Gap, None);
            regions.put((at.cells + extent.end).min(self.body.len()), RegionKind::Cell, Some(index));
        }
        regions.put(self.body.len(), RegionKind::Gap, None);
        regions.list
    }
}

/// The regions of a body of any kind.
#[must_use]
pub fn regions(body: &[u8]) -> Vec<Region> {
    if body_kind(body) == BodyKind::LargeValue {
        let mut regions = Regions::default();
        regions.put(LARGE_HEADER.min(body.len()), RegionKind::Header, None);
        regions.put(body.len(), RegionKind::Value, None);
        return regions.list;
    }
    match NodeView::parse(PageId::NONE, body) {
        Ok(node) => node.regions(),
        Err(_) => {
            let mut regions = Regions::default();
            regions.put(body.len(), RegionKind::Unknown, None);
            regions.list
        }
    }
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
}
