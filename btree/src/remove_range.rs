//! Removing many entries at once.
//!
//! Promises: whole subtrees go with one visit of each page, to count entries and to find large values; only the nodes
//! on the two edges of the range are changed.

use std::ops::Bound;

use pentimento_storage::PageId;

use crate::bounds::{KeyBounds, is_empty};
use crate::delta::free_node;
use crate::edit::NodeMut;
use crate::node::{Node, Stored};
use crate::pages::{Fault, WritePages};
use crate::path::Way;
use crate::tree_mut::TreeMut;

/// The pages of the large values among entries `from..to` of a leaf.
pub(crate) fn large_pages(leaf: &Node<'_>, from: usize, to: usize) -> Result<Vec<PageId>, Fault> {
    let mut pages = Vec::new();
    for index in from..to {
        if let (_, Stored::Large(page, _)) = leaf.entry(index)? {
            pages.push(page);
        }
    }
    Ok(pages)
}

impl<P: WritePages> TreeMut<'_, P> {
    /// Removes the entries whose keys lie within `bounds` and says how many there were.
    ///
    /// # Errors
    /// When a page is damaged or cannot be had.
    pub fn remove_range(&mut self, bounds: impl KeyBounds) -> Result<u64, P::Error> {
        let (start, end) = (bounds.start(), bounds.end());
        let mut removed = 0;
        if is_empty(start, end) {
            return Ok(removed);
        }
        if self.prune(self.root, None, start, end, &mut removed)? {
            self.make_empty()?;
        } else if removed > 0 {
            self.mend(Way::to_start(start))?;
            self.mend(Way::to_end(end))?;
        }
        Ok(removed)
    }

    /// Removes all entries and says how many there were.
    ///
    /// # Errors
    /// When a page is damaged or cannot be had.
    pub fn clear(&mut self) -> Result<u64, P::Error> {
        self.remove_range(..)
    }

    fn node_below(&self, page: PageId, parent: Option<u8>) -> Result<Node<'_>, P::Error> {
        match parent {
            Some(level) => Node::read_below(self.pages, page, level),
            None => Node::read(self.pages, page),
        }
    }

    fn free_all(&mut self, pages: &[PageId]) -> Result<(), P::Error> {
        pages.iter().try_for_each(|page| self.pages.free(*page))
    }

    /// Removes what lies within the bounds below `page`; `true` if nothing is left. The page itself stays.
    fn prune(
        &mut self,
        page: PageId,
        parent: Option<u8>,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        removed: &mut u64,
    ) -> Result<bool, P::Error> {
        let capacity = self.capacity();
        let node = self.node_below(page, parent)?;
        if node.is_leaf() {
            let (from, to) = (node.start_of(&start)?, node.end_of(&end)?);
            if from >= to {
                return Ok(false);
            }
            let gone = from == 0 && to == node.count();
            let large = large_pages(&node, from, to)?;
            *removed += (to - from) as u64;
            if !gone {
                self.fold(page)?;
                let target = self.pages.page_mut(page, capacity)?;
                NodeMut::open_leaf(page, target)?.remove(from, to)?;
            }
            self.free_all(&large)?;
            return Ok(gone);
        }
        let level = node.header.level;
        let first = Way::to_start(start).choose(&node)?;
        let last = Way::to_end(end).choose(&node)?;
        let children = node.all_children();
        // The children that go are neighbours: all but perhaps the first and the last that the range touches.
        let mut gone = first..first;
        for number in first..=last {
            let Some(child) = children.get(number) else {
                break;
            };
            let start = if number == first { start } else { Bound::Unbounded };
            let end = if number == last { end } else { Bound::Unbounded };
            if self.prune_child(*child, level, start, end, removed)? {
                gone = if gone.is_empty() { number..number + 1 } else { gone.start..number + 1 };
            }
        }
        if gone.len() == children.len() {
            return Ok(true);
        }
        if !gone.is_empty() {
            let target = self.pages.page_mut(page, capacity)?;
            NodeMut::open(page, target)?.remove_children(gone.start, gone.end)?;
        }
        Ok(false)
    }

    /// Prunes a child and frees it if nothing is left.
    fn prune_child(
        &mut self,
        page: PageId,
        parent: u8,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        removed: &mut u64,
    ) -> Result<bool, P::Error> {
        if (start, end) == (Bound::Unbounded, Bound::Unbounded) {
            self.drop_subtree(page, parent, removed)?;
            return Ok(true);
        }
        let gone = self.prune(page, Some(parent), start, end, removed)?;
        if gone {
            free_node(self.pages, page)?;
        }
        Ok(gone)
    }

    /// Frees a node and all below it.
    fn drop_subtree(&mut self, page: PageId, parent: u8, removed: &mut u64) -> Result<(), P::Error> {
        let node = self.node_below(page, Some(parent))?;
        if node.is_leaf() {
            *removed += node.count() as u64;
            let large = large_pages(&node, 0, node.count())?;
            self.free_all(&large)?;
        } else {
            let level = node.header.level;
            for child in node.all_children() {
                self.drop_subtree(child, level, removed)?;
            }
        }
        free_node(self.pages, page)
    }
}
