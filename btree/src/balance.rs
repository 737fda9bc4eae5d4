//! Nodes that have become too small.
//!
//! Promises: below the root no leaf stays empty and no branch with a single child; a node under a third full is merged
//! with a neighbour where they fit in one node with some room to spare, else the two share alike; a root with a single
//! child takes that child's place.

use pentimento_storage::PageId;

use crate::delta::free_node;
use crate::layout::{MAX_LEVEL, stride};
use crate::node::{Node, damaged};
use crate::pages::WritePages;
use crate::path::{Path, Way};
use crate::plan::{Lean, plan};
use crate::run::Run;
use crate::tree_mut::TreeMut;

/// Whether a node should have a neighbour's help.
pub(crate) fn is_underfull(node: &Node<'_>, capacity: usize) -> bool {
    let spare = usize::from(node.header.cap) - node.count();
    let unused = usize::from(node.header.garbage) + spare * stride(node.header.level);
    node.count() == 0 || node.len().saturating_sub(unused) < capacity / 3
}

impl<P: WritePages> TreeMut<'_, P> {
    /// Drops the garbage from a leaf that has much of it, and balances the way to it where that has become too small.
    pub(crate) fn tidy(&mut self, page: PageId, way: Way<'_>) -> Result<(), P::Error> {
        let leaf = Node::read(self.pages, page)?;
        if leaf.is_wasteful() {
            let run = Run::from_node(&leaf)?;
            run.check_order()?;
            self.write_pieces(&run, &[run.all()], &[page])?;
        }
        let leaf = Node::read(self.pages, page)?;
        if page != self.root && is_underfull(&leaf, self.capacity()) { self.mend(way) } else { Ok(()) }
    }

    /// Balances every node on the way that needs it.
    pub(crate) fn mend(&mut self, way: Way<'_>) -> Result<(), P::Error> {
        // Each round changes something, usually one node for each level.
        for _ in 0..4 * usize::from(MAX_LEVEL) {
            if !self.mend_once(way)? {
                break;
            }
        }
        Ok(())
    }

    /// Mends the topmost node on the way that needs it and can be helped; `false` if there is none.
    fn mend_once(&mut self, way: Way<'_>) -> Result<bool, P::Error> {
        let (path, leaf) = Path::seek(self.pages, self.root, way)?;
        let bottom = leaf.page;
        if path.len() > 0 && Node::read(self.pages, self.root)?.count() == 0 {
            self.collapse_root()?;
            return Ok(true);
        }
        for depth in 1..=path.len() {
            let page = if depth < path.len() { path.step(depth).0 } else { bottom };
            let node = Node::read(self.pages, page)?;
            if is_underfull(&node, self.capacity()) && self.balance(&path, depth)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts the only child of the root in the root's place.
    fn collapse_root(&mut self) -> Result<(), P::Error> {
        let root = Node::read(self.pages, self.root)?;
        let child = root.child(0)?;
        Node::read_below(self.pages, child, root.header.level)?;
        self.fold(child)?;
        let body = self.pages.page(child)?.to_vec();
        let target = self.pages.page_mut(self.root, body.len().max(self.capacity()))?;
        match target.body.get_mut(..body.len()) {
            Some(to) => to.copy_from_slice(&body),
            None => {
                return Err(damaged(self.root, "the page has less room than was asked for").into());
            }
        }
        *target.len = body.len();
        self.pages.free(child)
    }

    /// Merges the node at `depth` of `path` with a neighbour, or divides both evenly; `false` if neither helps.
    fn balance(&mut self, path: &Path, depth: usize) -> Result<bool, P::Error> {
        let (parent, number) = path.step(depth - 1);
        let last = Node::read(self.pages, parent)?.count();
        let right = (number < last).then_some(number);
        let left = number.checked_sub(1);
        let mut shared = None;
        // A pair is named by the separator between its nodes.
        for between in right.into_iter().chain(left) {
            let parent = Node::read(self.pages, parent)?;
            let level = parent.header.level;
            let pages = [parent.child(between)?, parent.child(between + 1)?];
            let nodes =
                [Node::read_below(self.pages, pages[0], level)?, Node::read_below(self.pages, pages[1], level)?];
            let mut run = Run::from_node(&nodes[0])?;
            let cut = run.len();
            if run.level > 0 {
                run.push_child(&parent.key(between)?.to_vec(), nodes[1].header.leftmost);
            }
            run.append(&nodes[1])?;
            let must = nodes.iter().any(|node| node.count() == 0);
            // Some room to spare, so that the next insert does not divide them again.
            let capacity = self.capacity();
            let limit = if must { capacity } else { capacity - capacity / 8 };
            let pieces = plan(&run, Lean::Even, limit, false)?;
            if pieces.len() == 1 {
                self.write_pieces(&run, &pieces, &pages[..1])?;
                free_node(self.pages, pages[1])?;
                self.splice(path, depth - 1, between..between + 1, Vec::new())?;
                return Ok(true);
            }
            if must || (pieces.len() == 2 && pieces[0].end != cut) {
                shared = Some((between, pages, run, pieces));
            }
        }
        let Some((between, pages, run, pieces)) = shared else {
            return Ok(false);
        };
        let (_, rest) = self.write_pieces(&run, &pieces, &pages)?;
        self.splice(path, depth - 1, between..between + 1, rest)?;
        Ok(true)
    }
}
