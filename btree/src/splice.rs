//! Nodes that overflow, up to the root.
//!
//! Promises: the root keeps its page; a parent learns of all new siblings of a child in one step; what was divided is
//! written before the parent refers to it.

use std::ops::Range;

use pentimento_storage::PageId;

use crate::delta;
use crate::edit::NodeMut;
use crate::layout::MAX_LEVEL;
use crate::node::{Node, damaged};
use crate::pages::WritePages;
use crate::parts::separator;
use crate::path::Path;
use crate::plan::{Lean, plan};
use crate::run::Run;
use crate::tree_mut::TreeMut;

/// Children of a branch, each with the separator to its left.
pub(crate) type Children = Vec<(Vec<u8>, PageId)>;

/// More children than this at once come from a bulk load, and fill their branches.
const MANY: usize = 16;
/// The room that a node gets for more entries in its arrays when it is written.
pub(crate) const SLACK: usize = 8;

impl<P: WritePages> TreeMut<'_, P> {
    /// Writes `run`, divided into `pieces`, in place of node `page`, which stands at `depth` of `path`.
    pub(crate) fn lay_out(
        &mut self,
        path: &Path,
        depth: usize,
        page: PageId,
        run: &Run,
        pieces: &[Range<usize>],
    ) -> Result<(), P::Error> {
        match depth.checked_sub(1) {
            _ if pieces.len() == 1 => self.write_pieces(run, pieces, &[page]).map(|_| ()),
            None => {
                let (first, rest) = self.write_pieces(run, pieces, &[])?;
                self.grow_root(run.level, first, rest)
            }
            Some(above) => {
                let (_, rest) = self.write_pieces(run, pieces, &[page])?;
                let number = path.step(above).1;
                self.splice(path, above, number..number, rest)
            }
        }
    }

    /// Writes the pieces of a run to the pages in `reuse`, then to new ones. Gives the first page, and the others with
    /// their separators.
    pub(crate) fn write_pieces(
        &mut self,
        run: &Run,
        pieces: &[Range<usize>],
        reuse: &[PageId],
    ) -> Result<(PageId, Children), P::Error> {
        let capacity = self.capacity();
        let mut first = PageId::NONE;
        let mut rest = Children::new();
        for (number, piece) in pieces.iter().enumerate() {
            let room = run.size(piece).max(capacity);
            let page = match reuse.get(number) {
                Some(page) => {
                    delta::free(self.pages, *page)?;
                    *page
                }
                None => self.pages.allocate(self.root, room)?,
            };
            // All but the last piece of a bulk load will not change soon.
            let slack = if pieces.len() > 2 && number + 1 < pieces.len() { 0 } else { SLACK };
            let mut leftmost = run.leftmost;
            if number == 0 {
                first = page;
            } else if run.level > 0 {
                let between = piece.start - 1;
                leftmost = run.child(between);
                rest.push((run.key(between).to_vec(), page));
            } else {
                rest.push((separator(&run.key(piece.start - 1), &run.key(piece.start)), page));
            }
            let target = self.pages.page_anew(page, room)?;
            run.write(piece.clone(), leftmost, slack, page, target, capacity)?;
        }
        Ok((first, rest))
    }

    /// Replaces the separators `drop` of the branch at `depth` of `path`, and the children to their right.
    pub(crate) fn splice(
        &mut self,
        path: &Path,
        depth: usize,
        drop: Range<usize>,
        add: Children,
    ) -> Result<(), P::Error> {
        let (page, _) = path.step(depth);
        let capacity = self.capacity();
        if add.len() <= MANY {
            let target = self.pages.page_mut(page, capacity)?;
            if NodeMut::open(page, target)?.splice(drop.start, drop.end, &add, capacity)? {
                return Ok(());
            }
        }
        let mut run = Run::from_node(&Node::read(self.pages, page)?)?;
        if drop.end > run.len() {
            return Err(damaged(page, "there is no such separator").into());
        }
        let lean = if add.len() > MANY || (drop.is_empty() && drop.start == run.len()) {
            Lean::Left
        } else if drop == (0..0) && path.is_leftmost() {
            Lean::Right
        } else {
            Lean::Even
        };
        let size = run.size(&run.all());
        run.splice(drop.start, drop.end, &add);
        // A branch that is rewritten and has hardly any room then would be rewritten again and again.
        let nearly_full = run.has_grown_tight(size, capacity);
        let pieces = plan(&run, lean, capacity, add.len() <= MANY && nearly_full)?;
        self.lay_out(path, depth, page, &run, &pieces)
    }

    /// Makes the root a branch over the nodes `first` and `rest` of the given level, with branches between if it
    /// cannot hold them all.
    pub(crate) fn grow_root(&mut self, level: u8, first: PageId, rest: Children) -> Result<(), P::Error> {
        let (mut level, mut first, mut rest) = (level, first, rest);
        while level < MAX_LEVEL {
            level += 1;
            let run = Run::branch(level, self.root, first, &rest);
            let lean = if rest.len() > MANY { Lean::Left } else { Lean::Even };
            let pieces = plan(&run, lean, self.capacity(), false)?;
            if pieces.len() == 1 {
                return self.write_pieces(&run, &pieces, &[self.root]).map(|_| ());
            }
            (first, rest) = self.write_pieces(&run, &pieces, &[])?;
        }
        Err(damaged(self.root, "the tree is too deep").into())
    }
}
