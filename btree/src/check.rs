//! The whole-tree checker.
//!
//! Promises: every page that can be reached is looked at once; damage in one place does not hide damage in another; it
//! never panics and always ends, whatever the pages hold.
//!
//! What it proves: levels decrease by one; keys ascend within nodes and lie between the separators above them; heads
//! agree with keys; each byte of a cell area belongs to one entry or is counted as garbage; large values have the
//! length that their leaf says; no page is reached twice.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt::Display;

use pentimento_storage::PageId;

use crate::delta;
use crate::layout::{KIND_LARGE, LARGE_HEADER, MAX_KEY_LEN, MAX_LEVEL, MAX_VALUE_LEN, head_of};
use crate::node::{Extent, Node, Stored, Whole};
use crate::pages::{Fault, ReadPages};
use crate::parts::Parts;
use crate::value::large_value;

/// Something that is wrong with a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("page {page}: {problem}")]
pub struct Finding {
    /// The page where it was found.
    pub page: PageId,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a page of a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The page could not be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// The body contradicts the format.
    #[error("{0}")]
    Malformed(&'static str),
    /// The node is not one level below its parent.
    #[error("its level is {found} instead of {expected}")]
    Level {
        /// The level that follows from the parent's.
        expected: u8,
        /// The level of the node.
        found: u8,
    },
    /// Two places of the tree refer to the page.
    #[error("it is referred to more than once")]
    MetTwice,
    /// A leaf below a branch has no entries.
    #[error("it is an empty leaf below a branch")]
    Empty,
    /// The cell of an entry cannot be decoded.
    #[error("entry {index}: {what}")]
    Entry {
        /// The number of the entry.
        index: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A key is not greater than the one before it.
    #[error("key {index} does not follow the key before it")]
    Order {
        /// The number of the key.
        index: usize,
    },
    /// A key is outside the range that the separators above allow.
    #[error("key {index} lies outside the separators above it")]
    Fence {
        /// The number of the key.
        index: usize,
    },
    /// A head does not agree with its key.
    #[error("head {index} does not agree with its key")]
    Head {
        /// The number of the key.
        index: usize,
    },
    /// Two entries use the same bytes.
    #[error("the cell of entry {index} overlaps another")]
    Overlap {
        /// The number of the entry.
        index: usize,
    },
    /// The bytes that no entry uses are miscounted.
    #[error("it counts {counted} bytes of garbage, but {found} are unused")]
    Garbage {
        /// What the header says.
        counted: usize,
        /// What is true.
        found: usize,
    },
}

/// What a tree consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Census {
    /// The number of entries.
    pub entries: u64,
    /// The number of nodes from the root to a leaf.
    pub depth: usize,
    /// The number of leaves.
    pub leaves: usize,
    /// The number of leaves that have a delta.
    pub deltas: usize,
    /// The number of branches.
    pub branches: usize,
    /// The number of branches that have a single child, as only a tree that is being dismantled has them.
    pub single_child_branches: usize,
    /// The number of large values.
    pub large_values: usize,
    /// The used bytes of all bodies.
    pub used_bytes: u64,
    /// The used bytes of the leaves alone.
    pub leaf_bytes: u64,
    /// The bytes in nodes that no entry uses any more.
    pub garbage_bytes: u64,
    /// The used bytes of the largest node.
    pub largest_node: usize,
    /// All pages, in the order in which they were met.
    pub pages: Vec<PageId>,
}

/// Looks at every page of the tree whose root is page `root`, reports everything that is wrong, and says what the tree
/// consists of as far as it could be read.
pub fn check<P>(pages: &P, root: PageId, report: &mut dyn FnMut(Finding)) -> Census
where
    P: ReadPages,
    P::Error: Display,
{
    let mut checker = Checker { pages, report, census: Census::default(), met: HashSet::new() };
    checker.node(root, None, None, None);
    checker.census
}

/// Looks at a single node whose header was checked. `see` is shown each entry of a leaf that can be decoded: its number, the part of the key
/// behind the prefix, and the value.
pub(crate) fn check_alone(
    node: &Node<'_>,
    body: &[u8],
    report: &mut dyn FnMut(Finding),
    mut see: impl FnMut(usize, &[u8], Stored<'_>),
) {
    let mut checker = Checker { pages: &NoPages, report, census: Census::default(), met: HashSet::new() };
    checker.frame(node, body);
    checker.entries(node, None, None, &mut see);
}

/// For a checker that is not to look at any other page.
struct NoPages;

impl ReadPages for NoPages {
    type Error = Fault;

    fn page(&self, id: PageId) -> Result<&[u8], Fault> {
        Err(Fault::Damaged { page: id, what: "it is not looked at" })
    }

    fn beside(&self, _: PageId) -> Result<Option<&[u8]>, Fault> {
        Ok(None)
    }
}

fn what(fault: &Fault) -> &'static str {
    match fault {
        Fault::Damaged { what, .. } => what,
        _ => "it cannot be decoded",
    }
}

struct Checker<'a, P> {
    pages: &'a P,
    report: &'a mut dyn FnMut(Finding),
    census: Census,
    met: HashSet<PageId>,
}

impl<'a, P: ReadPages> Checker<'a, P>
where
    P::Error: Display,
{
    fn find(&mut self, page: PageId, problem: Problem) {
        (self.report)(Finding { page, problem });
    }

    fn entry_fault(&mut self, page: PageId, index: usize, fault: &Fault) {
        self.find(page, Problem::Entry { index, what: what(fault) });
    }

    /// The body of a page that is met for the first time.
    fn body(&mut self, page: PageId) -> Option<&'_ [u8]> {
        if !self.met.insert(page) {
            self.find(page, Problem::MetTwice);
            return None;
        }
        match self.pages.page(page) {
            Ok(body) => {
                self.census.pages.push(page);
                self.census.used_bytes += body.len() as u64;
                Some(body)
            }
            Err(error) => {
                self.find(page, Problem::Unreadable(error.to_string()));
                None
            }
        }
    }

    fn node(&mut self, page: PageId, level: Option<u8>, lower: Option<Parts<'_>>, upper: Option<Parts<'_>>) {
        if self.body(page).is_none() {
            return;
        }
        let pages = self.pages;
        let Ok(body) = pages.page(page) else { return };
        let node = match Node::parse(page, body) {
            Ok(node) => node,
            Err(fault) => return self.find(page, Problem::Malformed(what(&fault))),
        };
        self.frame(&node, body);
        let node = if node.is_leaf() { self.with_delta(node, body) } else { node };
        let found = node.header.level;
        if let Some(expected) = level.filter(|level| *level != found) {
            return self.find(page, Problem::Level { expected, found });
        }
        self.census.depth = self.census.depth.max(usize::from(level.map_or(found, |_| 0)) + 1);
        self.census.largest_node = self.census.largest_node.max(body.len());
        let delta = node.delta().map_or(0, |(_, len)| len);
        self.census.garbage_bytes += u64::from(node.header.garbage);
        let mut larges = Vec::new();
        self.entries(&node, lower, upper, &mut |index, _, stored| {
            if let Stored::Large(page, len) = stored {
                larges.push((index, page, len));
            }
        });
        if node.is_leaf() {
            self.census.leaves += 1;
            self.census.entries += node.count() as u64;
            self.census.leaf_bytes += (body.len() + delta) as u64;
            self.census.deltas += usize::from(delta > 0);
            if node.count() == 0 && level.is_some() {
                self.find(page, Problem::Empty);
            }
            for (index, large, len) in larges {
                self.large_value(page, index, large, len);
            }
            return;
        }
        self.census.branches += 1;
        self.census.single_child_branches += usize::from(node.count() == 0);
        for (number, child) in node.all_children().into_iter().enumerate() {
            let before = number.checked_sub(1).and_then(|index| node.key(index).ok());
            let after = node.key(number).ok();
            let below = (found - 1).min(MAX_LEVEL);
            self.node(child, Some(below), before.or(lower), after.or(upper));
        }
    }

    /// The leaf as its delta tells it, if it has one.
    fn with_delta(&mut self, leaf: Node<'a>, body: &'a [u8]) -> Node<'a> {
        let page = leaf.page;
        let beside = page.beside().unwrap_or(PageId::NONE);
        let delta = match delta::of(self.pages, page) {
            Ok(Some(delta)) => delta,
            Ok(None) => return leaf,
            Err(error) => {
                self.find(beside, Problem::Unreadable(error.to_string()));
                return leaf;
            }
        };
        if self.body(beside).is_none() {
            return leaf;
        }
        match Node::parse_with_delta(page, body, delta) {
            Ok(node) => {
                self.frame(&node, delta);
                node
            }
            Err(fault) => {
                self.find(beside, Problem::Malformed(what(&fault)));
                leaf
            }
        }
    }

    /// What a node's body has beside its entries.
    fn frame(&mut self, node: &Node<'_>, body: &[u8]) {
        let at = node.header.places();
        if node.header.flags != 0 || body[10..12] != [0, 0] || (node.is_leaf() && node.header.leftmost.0 != 0) {
            self.find(node.page, Problem::Malformed("reserved bytes are not zero"));
        }
        if body[16 + node.prefix.len()..at.heads].iter().any(|byte| *byte != 0) {
            self.find(node.page, Problem::Malformed("the padding of the prefix is not zero"));
        }
    }

    /// Every entry once: its cell, its head, its place in the order, and whether the cells lie beside each other.
    fn entries(
        &mut self,
        node: &Node<'_>,
        lower: Option<Parts<'_>>,
        upper: Option<Parts<'_>>,
        see: &mut impl FnMut(usize, &'_ [u8], Stored<'_>),
    ) {
        let page = node.page;
        let mut previous: Option<(u32, &[u8])> = None;
        let mut used = Used::default();
        for index in 0..node.count() {
            let suffix = match node.whole(index) {
                Ok(Whole { suffix, stored, extent }) => {
                    used.add(extent);
                    if let Some(stored) = stored {
                        see(index, suffix, stored);
                    }
                    suffix
                }
                Err(fault) => {
                    used.is_whole = false;
                    self.entry_fault(page, index, &fault);
                    // The value may be what cannot be decoded.
                    let Ok(suffix) = node.suffix(index) else { continue };
                    suffix
                }
            };
            if node.prefix.len() + suffix.len() > MAX_KEY_LEN {
                self.find(page, Problem::Entry { index, what: "its key is too long" });
            }
            let head = head_of(suffix);
            if node.head(index) != Some(head) {
                self.find(page, Problem::Head { index });
            }
            // Both have the node's prefix. Heads that differ tell the order of their suffixes.
            if previous
                .is_some_and(|(before_head, before)| before_head > head || (before_head == head && before >= suffix))
            {
                self.find(page, Problem::Order { index });
            }
            previous = Some((head, suffix));
            if lower.is_some() || upper.is_some() {
                let key = Parts { prefix: node.prefix, suffix };
                let too_low = lower.is_some_and(|lower| key.cmp(&lower) == Ordering::Less);
                let too_high = upper.is_some_and(|upper| key.cmp(&upper) != Ordering::Less);
                if too_low || too_high {
                    self.find(page, Problem::Fence { index });
                }
            }
        }
        if used.is_in_order {
            let unused = used.unused + node.cells_len().saturating_sub(used.end);
            self.garbage(node, used.is_whole, unused);
        } else {
            self.cells_in_any_order(node, used.is_whole);
        }
    }

    /// Cells that do not stand in the order of their entries.
    fn cells_in_any_order(&mut self, node: &Node<'_>, is_whole: bool) {
        let cells = (0..node.count()).filter_map(|index| Some((node.extent(index).ok()?, index)));
        let mut cells: Vec<(Extent, usize)> = cells.collect();
        cells.sort_unstable();
        let mut used = Used::default();
        for (extent, index) in cells {
            if extent.start < used.end {
                self.find(node.page, Problem::Overlap { index });
            }
            used.add(extent);
        }
        self.garbage(node, is_whole, used.unused + node.cells_len().saturating_sub(used.end));
    }

    /// Whether the unused bytes of the cells are as many as the header says. With a cell that cannot be decoded nobody knows.
    fn garbage(&mut self, node: &Node<'_>, is_whole: bool, found: usize) {
        let counted = usize::from(node.header.garbage);
        if is_whole && found != counted {
            self.find(node.page, Problem::Garbage { counted, found });
        }
    }

    fn large_value(&mut self, leaf: PageId, index: usize, page: PageId, len: usize) {
        self.census.large_values += 1;
        if len > MAX_VALUE_LEN {
            self.find(leaf, Problem::Entry { index, what: "its value is too long" });
        }
        let problem = match self.body(page) {
            None => return,
            Some(body) => match large_value(page, body, len) {
                Err(Fault::Damaged { what, .. }) => Some(what),
                Err(_) => Some("it cannot be decoded"),
                Ok(_) if body[..LARGE_HEADER] != [KIND_LARGE, 0, 0, 0, 0, 0, 0, 0] => {
                    Some("reserved bytes are not zero")
                }
                Ok(_) => None,
            },
        };
        if let Some(what) = problem {
            self.find(page, Problem::Malformed(what));
        }
    }
}

/// The bytes of a cell area that entries use, as far as they were met.
struct Used {
    end: usize,
    unused: usize,
    /// Each cell begins where the one before it ends, or later.
    is_in_order: bool,
    /// Each cell could be decoded.
    is_whole: bool,
}

impl Default for Used {
    fn default() -> Used {
        Used { end: 0, unused: 0, is_in_order: true, is_whole: true }
    }
}

impl Used {
    #[inline(always)]
    fn add(&mut self, extent: Extent) {
        self.is_in_order &= extent.start >= self.end;
        self.unused += extent.start.saturating_sub(self.end);
        self.end = self.end.max(extent.end);
    }
}
