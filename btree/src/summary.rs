//! A single body, decoded for people.
//!
//! Promises: any bytes get a summary, without a panic; what cannot be decoded is said so.

use pentimento_storage::PageId;

use crate::inspect::{CellPlace, DeltaView, reason};
use crate::layout::{KIND_DELTA, KIND_LARGE, LARGE_HEADER};
use crate::node::{Node, Stored};
use crate::pages::Fault;

/// What the body of a page is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageSummary<'p> {
    /// A leaf or a branch.
    Node {
        /// 0 for a leaf, else one more than the level of the children.
        level: u8,
        /// How many entries the arrays have room for.
        room: usize,
        /// The bytes that all keys begin with.
        prefix: &'p [u8],
        /// The child left of the first separator, in a branch.
        leftmost: Option<PageId>,
        /// The bytes before the cells.
        overhead_bytes: usize,
        /// The bytes of cells that no entry uses, as the header says.
        garbage_bytes: usize,
        /// The entries of a leaf, or the separators of a branch; their number is the node's count.
        entries: Vec<SummaryEntry<'p>>,
    },
    /// A large value.
    LargeValue {
        /// The value.
        value: &'p [u8],
    },
    /// The delta of a leaf.
    Delta {
        /// How many entries the arrays have room for.
        room: usize,
        /// The bytes that all keys begin with.
        prefix: &'p [u8],
        /// The bytes before the cells.
        overhead_bytes: usize,
        /// The bytes of the leaf's cells and of the delta's that no entry uses, as the header says.
        garbage_bytes: usize,
        /// How long the cells of the leaf are, as the delta notes it.
        leaf_cells_bytes: usize,
        /// All entries of the leaf.
        entries: Vec<SummaryEntry<'p>>,
    },
    /// Something else.
    Unknown {
        /// Why it is none of them.
        what: &'static str,
    },
}

/// One entry of a node. Its key is the node's prefix followed by `suffix`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SummaryEntry<'p> {
    /// A key with its value.
    Value {
        /// The key after the prefix.
        suffix: &'p [u8],
        /// The value.
        value: &'p [u8],
    },
    /// A key with a value that has a page of its own.
    LargeValue {
        /// The key after the prefix.
        suffix: &'p [u8],
        /// The page of the value.
        page: PageId,
        /// The length of the value, in bytes.
        len: usize,
    },
    /// An entry of a delta whose cell lies in the leaf.
    InLeaf {
        /// Where the cell begins in the body of the leaf.
        at: usize,
    },
    /// A separator with the child to its right.
    Separator {
        /// The separator after the prefix.
        suffix: &'p [u8],
        /// The child.
        child: PageId,
    },
    /// An entry that cannot be decoded.
    Damaged {
        /// Why.
        what: &'static str,
    },
}

/// Decodes the body of a single page.
#[must_use]
pub fn summarize_page(body: &[u8]) -> PageSummary<'_> {
    if body.first() == Some(&KIND_LARGE) {
        return match body.get(LARGE_HEADER..) {
            Some(value) => PageSummary::LargeValue { value },
            None => PageSummary::Unknown { what: "the large value is shorter than its header" },
        };
    }
    if body.first() == Some(&KIND_DELTA) {
        return match DeltaView::parse(body) {
            Ok(delta) => summarize_delta(&delta),
            Err(what) => PageSummary::Unknown { what },
        };
    }
    let node = match Node::parse(PageId::NONE, body) {
        Ok(node) => node,
        Err(fault) => {
            return PageSummary::Unknown { what: reason(&fault) };
        }
    };
    PageSummary::Node {
        level: node.header.level,
        room: usize::from(node.header.cap),
        prefix: node.prefix,
        leftmost: (!node.is_leaf()).then_some(node.header.leftmost),
        overhead_bytes: node.cells_at,
        garbage_bytes: usize::from(node.header.garbage),
        entries: (0..node.count())
            .map(|index| entry(&node, index).unwrap_or_else(|fault| SummaryEntry::Damaged { what: reason(&fault) }))
            .collect(),
    }
}

fn summarize_delta<'p>(delta: &DeltaView<'p>) -> PageSummary<'p> {
    let node = &delta.node;
    PageSummary::Delta {
        room: usize::from(node.header.cap),
        prefix: node.prefix,
        overhead_bytes: node.more_at,
        garbage_bytes: usize::from(node.header.garbage),
        leaf_cells_bytes: node.cells.len(),
        entries: (0..node.count())
            .map(|index| match delta.place(index) {
                Some(CellPlace::Leaf(at)) => SummaryEntry::InLeaf { at },
                _ => entry(node, index).unwrap_or_else(|fault| SummaryEntry::Damaged { what: reason(&fault) }),
            })
            .collect(),
    }
}

fn entry<'p>(node: &Node<'p>, index: usize) -> Result<SummaryEntry<'p>, Fault> {
    if !node.is_leaf() {
        return Ok(SummaryEntry::Separator { suffix: node.suffix(index)?, child: node.child(index + 1)? });
    }
    Ok(match node.entry(index)? {
        (suffix, Stored::Inline(value)) => SummaryEntry::Value { suffix, value },
        (suffix, Stored::Large(page, len)) => SummaryEntry::LargeValue { suffix, page, len },
    })
}
