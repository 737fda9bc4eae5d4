//! The way from the root to a leaf.
//!
//! Promises: a way down ends, because levels must decrease by one; a step to the neighbouring leaf ends for the same
//! reason. A path names pages and child numbers and borrows nothing.

use std::ops::Bound;

use pentimento_storage::PageId;

use crate::layout::MAX_LEVEL;
use crate::lookup;
use crate::node::Node;
use crate::pages::{Fault, ReadPages};

const MAX_STEPS: usize = MAX_LEVEL as usize;
/// As many steps as usual trees need are kept in place; paths are moved about.
const IN_PLACE: usize = 6;

/// The branches from the root to a leaf, each with the number of the child that was taken.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    steps: [(PageId, u16); IN_PLACE],
    deeper: Vec<(PageId, u16)>,
    len: u8,
}

/// Which way to go down.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way<'k> {
    First,
    Last,
    Key(&'k [u8]),
}

impl<'k> Way<'k> {
    pub fn to_start(bound: Bound<&'k [u8]>) -> Way<'k> {
        match bound {
            Bound::Unbounded => Way::First,
            Bound::Included(key) | Bound::Excluded(key) => Way::Key(key),
        }
    }

    pub fn to_end(bound: Bound<&'k [u8]>) -> Way<'k> {
        match bound {
            Bound::Unbounded => Way::Last,
            Bound::Included(key) | Bound::Excluded(key) => Way::Key(key),
        }
    }

    #[inline]
    pub fn choose(self, node: &Node<'_>) -> Result<usize, Fault> {
        match self {
            Way::First => Ok(0),
            Way::Last => Ok(node.count()),
            Way::Key(key) => node.route(key),
        }
    }
}

impl Path {
    pub const fn new() -> Path {
        Path { steps: [(PageId::NONE, 0); IN_PLACE], deeper: Vec::new(), len: 0 }
    }

    /// How many branches there are above the leaf.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// The branch at `depth`, 0 being the root, and the number of the child taken there.
    #[inline]
    pub fn step(&self, depth: usize) -> (PageId, usize) {
        let (page, child) = match self.steps.get(depth) {
            Some(step) => *step,
            None => self.deeper[depth - IN_PLACE],
        };
        (page, usize::from(child))
    }

    fn set_child(&mut self, depth: usize, child: usize) {
        match self.steps.get_mut(depth) {
            Some(step) => step.1 = child as u16,
            None => self.deeper[depth - IN_PLACE].1 = child as u16,
        }
    }

    /// Whether the path keeps to the first child everywhere.
    pub fn is_leftmost(&self) -> bool {
        (0..self.len()).all(|depth| self.step(depth).1 == 0)
    }

    #[inline]
    fn push(&mut self, page: PageId, child: usize) -> Result<(), Fault> {
        let at = self.len();
        match self.steps.get_mut(at) {
            Some(step) => *step = (page, child as u16),
            None => self.push_deeper(page, child)?,
        }
        self.len += 1;
        Ok(())
    }

    #[cold]
    fn push_deeper(&mut self, page: PageId, child: usize) -> Result<(), Fault> {
        if self.len() == MAX_STEPS {
            return Err(crate::node::damaged(page, "the tree is too deep"));
        }
        self.deeper.truncate(self.len() - IN_PLACE);
        self.deeper.push((page, child as u16));
        Ok(())
    }

    /// Goes down from `node` to a leaf, which it gives.
    #[inline]
    fn descend<'p, P: ReadPages>(
        &mut self,
        pages: &'p P,
        mut node: Node<'p>,
        way: Way<'_>,
    ) -> Result<Node<'p>, P::Error> {
        while !node.is_leaf() {
            let number = way.choose(&node)?;
            self.push(node.page, number)?;
            node = Node::read_below(pages, node.child(number)?, node.header.level)?;
        }
        Ok(node)
    }

    /// Makes this the path from `root` to a leaf, which it gives.
    #[inline]
    pub fn descend_from<'p, P: ReadPages>(
        &mut self,
        pages: &'p P,
        root: PageId,
        way: Way<'_>,
    ) -> Result<Node<'p>, P::Error> {
        self.len = 0;
        if let Way::Key(key) = way {
            let leaf = lookup::descend(pages, root, key, true, |page, number| self.push(page, number))?;
            return Ok(leaf.node()?);
        }
        self.descend(pages, Node::read(pages, root)?, way)
    }

    /// The path from `root` to a leaf, and the leaf.
    #[inline]
    pub fn seek<'p, P: ReadPages>(pages: &'p P, root: PageId, way: Way<'_>) -> Result<(Path, Node<'p>), P::Error> {
        let mut path = Path::new();
        let leaf = path.descend_from(pages, root, way)?;
        Ok((path, leaf))
    }

    /// The path from `root` to a leaf, and the leaf's number; the leaf itself is not read unless it is the root.
    #[inline]
    pub fn seek_unread<P: ReadPages>(pages: &P, root: PageId, key: &[u8]) -> Result<(Path, PageId), P::Error> {
        let mut path = Path::new();
        let (leaf, _) = lookup::descend_until(pages, root, key, 1, false, |page, number| path.push(page, number))?;
        Ok((path, leaf))
    }

    /// Tells the next leaf, if it has the same parent, and asks for it.
    pub fn prefetch_next<P: ReadPages>(&self, pages: &P) -> Result<Option<PageId>, P::Error> {
        let Some(top) = self.len().checked_sub(1) else { return Ok(None) };
        let (page, number) = self.step(top);
        let parent = Node::read(pages, page)?;
        if number == parent.count() {
            return Ok(None);
        }
        let next = parent.child(number + 1)?;
        pages.prefetch(next);
        Ok(Some(next))
    }

    /// Steps to the next leaf, or to the previous one; `None` when there is none. Tells the leaf beyond it, too, if it has the same parent and `looks_beyond`, and asks for it.
    pub fn neighbour<'p, P: ReadPages>(
        &mut self,
        pages: &'p P,
        forward: bool,
        looks_beyond: bool,
    ) -> Result<Option<(Node<'p>, Option<PageId>)>, P::Error> {
        while let Some(top) = self.len().checked_sub(1) {
            let (page, number) = self.step(top);
            let node = Node::read(pages, page)?;
            let next = if forward { Some(number + 1) } else { number.checked_sub(1) };
            let Some(next) = next.filter(|next| *next <= node.count()) else {
                self.len -= 1;
                continue;
            };
            // The level of this branch was checked on the way down; a page that changed since is damaged.
            let child = Node::read_below(pages, node.child(next)?, node.header.level)?;
            self.set_child(top, next);
            let beyond = if forward { Some(next + 1) } else { next.checked_sub(1) };
            let beyond = beyond.filter(|beyond| looks_beyond && *beyond <= node.count());
            let beyond = beyond.map(|beyond| node.child(beyond)).transpose()?;
            if let Some(beyond_page) = beyond {
                pages.prefetch(beyond_page);
                // Where the one after it is, for the next step to ask for that.
                let after = if forward { Some(next + 2) } else { next.checked_sub(2) };
                if let Some(after) = after.filter(|after| *after <= node.count()) {
                    pages.prefetch_place(node.child(after)?);
                }
            }
            let beyond = beyond.filter(|_| child.is_leaf());
            let way = if forward { Way::First } else { Way::Last };
            return Ok(Some((self.descend(pages, child, way)?, beyond)));
        }
        Ok(None)
    }
}
