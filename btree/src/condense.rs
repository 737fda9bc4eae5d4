//! Neighbours that would fit into fewer nodes.
//!
//! Where much was removed, nodes are thin: a third full at least, but that is all that [`balance`](crate::balance) sees to. Here stretches of adjacent children of one branch are
//! written anew as full nodes, as a sorted load leaves them, wherever that saves room worth the writing.
//!
//! Promises:
//! 1. No entry changes, and the order of keys stays.
//! 2. A stretch is written anew only if that wins at least a sixteenth of what it takes ([`WORTH`]): what is as compact as it can be is left alone, and so is what a tree that grows in
//!    no order keeps free, where that costs no room.
//! 3. One stretch has a bounded number of nodes, and goes on where the last one ended: a walk over the tree in steps, with other changes between them.

use pentimento_storage::PageId;

use crate::delta::free_node;
use crate::layout::{HEADER, MAX_LEVEL, cell_header, padded, stride};
use crate::node::Node;
use crate::pages::{ReadPages, WritePages};
use crate::path::{Path, Way};
use crate::plan::{Lean, plan};
use crate::run::{Run, size};
use crate::splice::SLACK;
use crate::tree_mut::TreeMut;

/// How many nodes are looked at together, at most.
const TOGETHER: usize = 32;
/// One part in so many must be won.
const WORTH: u64 = 16;

/// What nodes cost whoever keeps them.
pub trait Keeper {
    /// The room that a node of `len` bytes takes.
    fn room(&self, len: usize) -> u64;

    /// The room that is won when the node of `len` bytes on this page is written elsewhere: none, if somebody keeps it all the same.
    fn winnable(&self, page: PageId, len: usize) -> u64;
}

/// What was found, or done, from some key on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condensed {
    /// Nodes that were looked at.
    pub looked: usize,
    /// Nodes that were written anew, or would be.
    pub before: usize,
    /// What became of them; an estimate, if they only would be.
    pub after: usize,
    /// The room that the new nodes take.
    pub room: u64,
    /// Where such a stretch begins.
    pub found: Option<Vec<u8>>,
    /// Where to go on; `None` at the end of the tree.
    pub next: Option<Vec<u8>>,
}

/// Adjacent children of one branch.
struct Stretch {
    path: Path,
    /// Where the branch stands on the path.
    depth: usize,
    pages: Vec<PageId>,
    /// The number of the first of them.
    first: usize,
    winnable: u64,
    /// How many nodes would do, and the room that they would take.
    nodes: usize,
    room: u64,
    /// The key at which the next stretch begins.
    next: Option<Vec<u8>>,
}

fn is_worth(winnable: u64, room: u64) -> bool {
    winnable.saturating_sub(room) * WORTH >= winnable.max(1)
}

impl Stretch {
    /// The stretch of nodes at `level` that begins with the one where `from` belongs; `None` if the tree has no branch above that level.
    fn at<P: ReadPages>(
        pages: &P,
        root: PageId,
        level: u8,
        from: &[u8],
        keeper: &dyn Keeper,
        capacity: usize,
    ) -> Result<Option<Stretch>, P::Error> {
        let (path, _) = Path::seek(pages, root, Way::Key(from))?;
        let Some(depth) = path.len().checked_sub(usize::from(level) + 1) else { return Ok(None) };
        let (parent, first) = path.step(depth);
        let branch = Node::read(pages, parent)?;
        let last = branch.count().min(first + TOGETHER - 1);
        let mut stretch = Stretch { path, depth, pages: Vec::new(), first, winnable: 0, nodes: 0, room: 0, next: None };
        let (mut count, mut weight, mut ends) = (0, 0, None);
        for number in first..=last {
            let node = Node::read_below(pages, branch.child(number)?, branch.header.level)?;
            stretch.winnable += keeper.winnable(node.page, node.cells_at + node.cells.len());
            if let Some((delta, len)) = node.delta() {
                stretch.winnable += keeper.winnable(delta, len);
            }
            stretch.pages.push(node.page);
            if level > 0 && number > first {
                let between = branch.key(number - 1)?.len();
                weight += stride(level) + cell_header(level) + between;
                count += 1;
            }
            weight += node.cells_len().saturating_sub(usize::from(node.header.garbage));
            weight += node.count() * (stride(level) + node.prefix.len());
            count += node.count();
            if let Some(greatest) = node.count().checked_sub(1) {
                let (least, greatest) = (node.key(0)?, node.key(greatest)?);
                ends = Some((ends.map_or(least, |(least, _)| least), greatest));
            }
        }
        let prefix_len = ends.map_or(0, |(least, greatest)| if count < 2 { 0 } else { least.shared(&greatest) });
        let content = weight.saturating_sub(count * prefix_len);
        // The last entry that does not fit any more leaves half its size free on average.
        let full = capacity.saturating_sub(HEADER + padded(prefix_len) + content / (2 * count.max(1))).max(1);
        stretch.nodes = content.div_ceil(full).max(1);
        let rest = content - (stretch.nodes - 1) * full;
        stretch.room = (stretch.nodes as u64 - 1) * keeper.room(capacity);
        stretch.room += keeper.room(size(0, prefix_len, rest));
        stretch.next = match branch.count() > last {
            true => Some(branch.key(last)?.to_vec()),
            false => upper_end(pages, &stretch.path, depth)?,
        };
        Ok(Some(stretch))
    }

    fn is_worth_a_try(&self) -> bool {
        self.nodes <= self.pages.len() && is_worth(self.winnable, self.room)
    }
}

/// The key that ends the branch at `depth` of a path; `None` at the end of the tree.
fn upper_end<P: ReadPages>(pages: &P, path: &Path, depth: usize) -> Result<Option<Vec<u8>>, P::Error> {
    for depth in (0..depth).rev() {
        let (page, number) = path.step(depth);
        let branch = Node::read(pages, page)?;
        if number < branch.count() {
            return Ok(Some(branch.key(number)?.to_vec()));
        }
    }
    Ok(None)
}

/// Looks for a stretch of nodes at `level` (0: leaves), from where key `from` belongs, that had better be written anew; at about `most` nodes at most. `None`: the tree has no branch above that
/// level. `capacity` is what a node should not exceed, in bytes.
///
/// # Errors
/// When a page is damaged or cannot be had.
pub fn find_thin<P: ReadPages>(
    pages: &P,
    root: PageId,
    level: u8,
    from: &[u8],
    keeper: &dyn Keeper,
    capacity: usize,
    most: usize,
) -> Result<Option<Condensed>, P::Error> {
    if level >= MAX_LEVEL {
        return Ok(None);
    }
    let mut condensed = Condensed { next: Some(from.to_vec()), ..Condensed::default() };
    while condensed.looked < most {
        let Some(from) = condensed.next.take() else { break };
        let Some(stretch) = Stretch::at(pages, root, level, &from, keeper, capacity)? else { return Ok(None) };
        condensed.looked += stretch.pages.len();
        if stretch.is_worth_a_try() {
            (condensed.before, condensed.after) = (stretch.pages.len(), stretch.nodes);
            (condensed.room, condensed.next) = (stretch.room, stretch.next);
            condensed.found = Some(from);
            break;
        }
        condensed.next = stretch.next;
    }
    Ok(Some(condensed))
}

impl<P: WritePages> TreeMut<'_, P> {
    /// Writes the stretch of nodes at `level` that begins where `from` belongs anew, if that is worth it, and balances the branches above. See [`find_thin`].
    ///
    /// # Errors
    /// When a page is damaged or cannot be had.
    pub fn condense(&mut self, level: u8, from: &[u8], keeper: &dyn Keeper) -> Result<Condensed, P::Error> {
        let capacity = self.capacity();
        let stretch = Stretch::at(self.pages, self.root, level, from, keeper, capacity)?;
        let Some(Stretch { path, depth, pages, first, winnable, nodes, room, next }) = stretch else {
            return Ok(Condensed::default());
        };
        let mut condensed = Condensed { looked: pages.len(), next, ..Condensed::default() };
        if nodes > pages.len() || !is_worth(winnable, room) {
            return Ok(condensed);
        }
        let run = self.gather(&path, depth, first, &pages)?;
        let pieces = plan(&run, Lean::Left, capacity, false)?;
        let slack = |piece: usize| if pieces.len() > 2 && piece + 1 < pieces.len() { 0 } else { SLACK * stride(level) };
        let sizes = pieces.iter().enumerate();
        let sizes = sizes.map(|(piece, range)| (run.size(range) + slack(piece)).min(run.size(range).max(capacity)));
        let room = sizes.map(|size| keeper.room(size)).sum();
        if pieces.len() > pages.len() || !is_worth(winnable, room) {
            return Ok(condensed);
        }
        let (_, rest) = self.write_pieces(&run, &pieces, &pages[..pieces.len()])?;
        for page in &pages[pieces.len()..] {
            free_node(self.pages, *page)?;
        }
        // The last node may have room for what follows.
        let is_last_thin = pieces.last().is_some_and(|piece| run.size(piece) < capacity - capacity / 8);
        let has_followers = first + pages.len() <= Node::read(self.pages, path.step(depth).0)?.count();
        if is_last_thin && has_followers && pages.len() > 1 {
            condensed.next = Some(rest.last().map_or_else(|| from.to_vec(), |(key, _)| key.clone()));
        }
        (condensed.before, condensed.after, condensed.room) = (pages.len(), pieces.len(), room);
        condensed.found = Some(from.to_vec());
        self.splice(&path, depth, first..first + pages.len() - 1, rest)?;
        self.mend(Way::Key(from))?;
        Ok(condensed)
    }

    /// The entries of adjacent children of the branch at `depth` of a path.
    fn gather(&self, path: &Path, depth: usize, first: usize, pages: &[PageId]) -> Result<Run, P::Error> {
        let branch = Node::read(self.pages, path.step(depth).0)?;
        let mut nodes = pages.iter().map(|page| Node::read_below(self.pages, *page, branch.header.level));
        let Some(node) = nodes.next() else { return Ok(Run::new(0, self.root)) };
        let mut run = Run::from_node(&node?)?;
        for (number, node) in (first..).zip(nodes) {
            let node = node?;
            if run.level > 0 {
                run.push_child(&branch.key(number)?.to_vec(), node.header.leftmost);
            }
            run.append(&node)?;
        }
        Ok(run)
    }
}
