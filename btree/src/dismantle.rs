//! Giving a tree's pages back a few at a time.
//!
//! Promises: between calls the tree is well formed, with fewer and fewer entries, except that branches on its right
//! edge may have a single child; each call frees about its budget, and no page twice.

use pentimento_storage::PageId;

use crate::delta::free_node;
use crate::edit::NodeMut;
use crate::node::{Node, Stored};
use crate::pages::WritePages;
use crate::tree_mut::TreeMut;

/// Frees at most about `budget_pages` pages of a tree that nobody uses any more, from its right end; `true` when the
/// root is gone too.
///
/// # Errors
/// When a page is damaged or cannot be had.
pub fn dismantle<P: WritePages>(pages: &mut P, root: PageId, budget_pages: usize) -> Result<bool, P::Error> {
    let mut budget = budget_pages;
    trim(pages, root, None, &mut budget)
}

/// Frees what the budget allows below `page`, then the page; `true` if it is gone.
fn trim<P: WritePages>(pages: &mut P, page: PageId, parent: Option<u8>, budget: &mut usize) -> Result<bool, P::Error> {
    if *budget == 0 {
        return Ok(false);
    }
    let node = match parent {
        Some(level) => Node::read_below(pages, page, level)?,
        None => Node::read(pages, page)?,
    };
    let gone = if node.is_leaf() {
        trim_leaf(pages, page, budget)?
    } else {
        let level = node.header.level;
        let children = node.all_children();
        let mut left = children.len();
        for child in children.iter().rev() {
            if !trim(pages, *child, Some(level), budget)? {
                break;
            }
            left -= 1;
        }
        if left > 0 && left < children.len() {
            let capacity = pages.node_capacity();
            let target = pages.page_mut(page, capacity)?;
            NodeMut::open(page, target)?.remove_children(left, children.len())?;
        }
        left == 0
    };
    if gone {
        // A branch without children must not stay, whatever the budget says.
        free_node(pages, page)?;
        *budget = budget.saturating_sub(1);
    }
    Ok(gone)
}

/// Frees large values from the end of a leaf; `true` if the leaf itself may go.
fn trim_leaf<P: WritePages>(pages: &mut P, page: PageId, budget: &mut usize) -> Result<bool, P::Error> {
    let leaf = Node::read(pages, page)?;
    let count = leaf.count();
    let mut large = Vec::new();
    let mut left = count;
    for index in (0..count).rev() {
        if *budget == 0 {
            break;
        }
        if let (_, Stored::Large(value, _)) = leaf.entry(index)? {
            large.push(value);
            *budget -= 1;
        }
        left = index;
    }
    for value in large {
        pages.free(value)?;
    }
    if left == 0 {
        return Ok(true);
    }
    if left < count {
        let capacity = pages.node_capacity();
        TreeMut::new(pages, page).fold(page)?;
        let target = pages.page_mut(page, capacity)?;
        NodeMut::open_leaf(page, target)?.remove(left, count)?;
    }
    Ok(false)
}
