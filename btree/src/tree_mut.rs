//! The map as it is changed.
//!
//! Promises: keys and values that are too long are refused before anything changes; the root keeps its page.

use pentimento_storage::PageId;

use crate::layout::{MAX_KEY_LEN, MAX_VALUE_LEN, NODE_LIMIT};
use crate::pages::{Fault, WritePages};
use crate::run::Run;
use crate::tree::Tree;

/// An ordered map from byte strings to byte strings that may be changed.
#[derive(Debug)]
pub struct TreeMut<'p, P> {
    pub(crate) pages: &'p mut P,
    pub(crate) root: PageId,
}

/// Makes an empty tree and gives the page of its root, which is its own owner.
///
/// # Errors
/// When no page can be had.
pub fn create<P: WritePages>(pages: &mut P) -> Result<PageId, P::Error> {
    let root = pages.allocate(PageId::NONE, pages.node_capacity())?;
    let mut tree = TreeMut::new(pages, root);
    tree.make_empty()?;
    Ok(root)
}

/// As [`create`], with the root beside page `id`. `None` if that is taken.
///
/// # Errors
/// The same.
pub fn create_beside<P: WritePages>(pages: &mut P, id: PageId) -> Result<Option<PageId>, P::Error> {
    let Some(root) = pages.allocate_beside(id, PageId::NONE, pages.node_capacity())? else { return Ok(None) };
    TreeMut::new(pages, root).make_empty()?;
    Ok(Some(root))
}

impl<'p, P: WritePages> TreeMut<'p, P> {
    /// The tree whose root is page `root`.
    #[must_use]
    pub fn new(pages: &'p mut P, root: PageId) -> TreeMut<'p, P> {
        TreeMut { pages, root }
    }

    /// The tree as it stands, for reading.
    #[must_use]
    pub fn as_tree(&self) -> Tree<'_, P> {
        Tree::new(self.pages, self.root)
    }

    /// The page of the root.
    #[must_use]
    pub fn root(&self) -> PageId {
        self.root
    }

    /// The most bytes that a node should have.
    pub(crate) fn capacity(&self) -> usize {
        self.pages.node_capacity().min(NODE_LIMIT)
    }

    /// Makes the root an empty leaf.
    pub(crate) fn make_empty(&mut self) -> Result<(), P::Error> {
        let run = Run::new(0, self.root);
        self.write_pieces(&run, &[run.all()], &[self.root])?;
        Ok(())
    }
}

/// Refuses an entry whose key or value is too long, as an insert would.
///
/// # Errors
/// [`Fault::KeyTooLong`], [`Fault::ValueTooLong`].
#[inline]
pub fn check_entry(key_len: usize, value_len: usize) -> Result<(), Fault> {
    if key_len > MAX_KEY_LEN {
        return Err(Fault::KeyTooLong { len: key_len, max: MAX_KEY_LEN });
    }
    check_value(value_len)
}

/// Refuses a key that is too long.
#[inline]
pub(crate) fn check_key(key: &[u8]) -> Result<(), Fault> {
    match key.len() {
        len if len > MAX_KEY_LEN => Err(Fault::KeyTooLong { len, max: MAX_KEY_LEN }),
        _ => Ok(()),
    }
}

/// Refuses a value that is too long.
#[inline]
pub(crate) fn check_value(len: usize) -> Result<(), Fault> {
    if len > MAX_VALUE_LEN { Err(Fault::ValueTooLong { len, max: MAX_VALUE_LEN }) } else { Ok(()) }
}
