//! Which trees differ between two snapshots, and which leaves of theirs.
//!
//! Promises: every tree that differs is there, in the order of the names; a tree with the same root at both snapshots is compared by the leaves that changed,
//! every other as a whole; memory follows the number of leaves that changed.

use crate::catalog;
use crate::{Error, KeyBounds, Result, Snapshot};
use pentimento_btree::{self as btree, Difference, Leaves, ReadPages, Side};
use pentimento_storage::{PageDifference, PageId};
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// What became of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Created,
    Dropped,
    Kept,
}

/// A tree that may differ.
#[derive(Debug)]
pub(super) struct TreeDifference {
    pub name: Arc<str>,
    pub fate: Fate,
    pub entries: Difference,
}

/// What is to be compared.
pub(super) struct Plan {
    pub trees: Vec<TreeDifference>,
    pub pages_touched: u64,
}

/// What is of interest.
pub(crate) struct Scope<'s, B> {
    /// One tree; `None`: all.
    pub tree: Option<&'s str>,
    /// The range of keys, in each tree.
    pub bounds: &'s B,
    /// The pages among which all that differ are, if that is known.
    pub pages: Option<&'s [PageId]>,
}

/// A tree by its name, with its root at either snapshot.
struct Roots {
    name: String,
    older: Option<PageId>,
    newer: Option<PageId>,
}

/// The leaves of one tree that changed.
#[derive(Default)]
struct Changed {
    older: Leaves,
    newer: Leaves,
}

/// A snapshot whose pages are counted as they are looked at.
struct Counted<'s> {
    snapshot: &'s Snapshot,
    pages: &'s Cell<u64>,
}

impl ReadPages for Counted<'_> {
    type Error = Error;

    fn page(&self, id: PageId) -> Result<&[u8]> {
        self.pages.set(self.pages.get() + 1);
        self.snapshot.page(id)
    }

    fn beside(&self, id: PageId) -> Result<Option<&[u8]>> {
        let body = self.snapshot.beside(id)?;
        // What is beside the catalog is none of its own.
        let is_delta = body.zip(id.beside()).is_some_and(|(body, beside)| btree::leaf_of_delta(beside, body).is_some());
        self.pages.set(self.pages.get() + u64::from(is_delta));
        Ok(body)
    }
}

impl Plan {
    pub fn make<B: KeyBounds>(older: &Snapshot, newer: &Snapshot, scope: &Scope<'_, B>) -> Result<Plan> {
        let bounds = scope.bounds;
        let pages = Cell::new(0);
        let view = |snapshot| Counted { snapshot, pages: &pages };
        let roots = match scope.tree {
            Some(name) => {
                let root =
                    |snapshot| -> Result<_> { Ok(catalog::find(&view(snapshot), name)?.map(|record| record.root)) };
                vec![Roots { name: name.to_owned(), older: root(older)?, newer: root(newer)? }]
            }
            None => {
                let list = |snapshot| -> Result<Vec<_>> {
                    let listed = catalog::list(&view(snapshot))?;
                    Ok(listed.into_iter().map(|(name, record)| (name, record.root)).collect())
                };
                pair(list(older)?, list(newer)?)
            }
        };
        let mut changed: HashMap<PageId, Changed> = roots
            .iter()
            .filter(|roots| roots.older == roots.newer)
            .filter_map(|roots| Some((roots.newer?, Changed::default())))
            .collect();
        let mut pages_touched = pages.get();
        if !changed.is_empty() {
            pages_touched += find_changed(older, newer, scope, &mut changed)?;
        }
        let trees = roots.into_iter().filter_map(|roots| roots.compare(bounds, &mut changed)).collect();
        Ok(Plan { trees, pages_touched })
    }
}

impl Roots {
    fn compare(self, bounds: &impl KeyBounds, changed: &mut HashMap<PageId, Changed>) -> Option<TreeDifference> {
        let side = |root: Option<PageId>| root.map_or_else(Side::nothing, Side::of_tree);
        let (fate, older, newer) = match (self.older, self.newer) {
            (None, None) => return None,
            (None, newer) => (Fate::Created, Side::nothing(), side(newer)),
            (older, None) => (Fate::Dropped, side(older), Side::nothing()),
            (Some(older), Some(newer)) if older == newer => {
                let Changed { older, newer } = changed.remove(&newer)?;
                if older.is_empty() && newer.is_empty() {
                    return None;
                }
                (Fate::Kept, Side::of_leaves(older), Side::of_leaves(newer))
            }
            (older, newer) => (Fate::Kept, side(older), side(newer)),
        };
        Some(TreeDifference { name: self.name.into(), fate, entries: Difference::new(older, newer, bounds) })
    }
}

/// Two lists in the order of the names, as one.
fn pair(older: Vec<(String, PageId)>, newer: Vec<(String, PageId)>) -> Vec<Roots> {
    let (mut older, mut newer) = (older.into_iter().peekable(), newer.into_iter().peekable());
    let mut pairs = Vec::new();
    loop {
        let order = match (older.peek(), newer.peek()) {
            (None, None) => return pairs,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let old = if order == Ordering::Greater { None } else { older.next() };
        let new = if order == Ordering::Less { None } else { newer.next() };
        let (older, newer) = (old.as_ref().map(|(_, root)| *root), new.as_ref().map(|(_, root)| *root));
        pairs.extend(new.or(old).map(|(name, _)| Roots { name, older, newer }));
    }
}

/// Finds the leaves of these trees that changed, and tells how many pages that took.
fn find_changed<B: KeyBounds>(
    older: &Snapshot,
    newer: &Snapshot,
    scope: &Scope<'_, B>,
    changed: &mut HashMap<PageId, Changed>,
) -> Result<u64> {
    if let Some(pages) = scope.pages {
        let differences = pages.iter().filter_map(|id| newer.pin().page_changed_since(older.pin(), *id));
        return sort_out(differences, older, newer, scope.bounds, changed);
    }
    let mut differences = newer.pin().pages_changed_since(older.pin());
    let pages = sort_out(differences.by_ref(), older, newer, scope.bounds, changed)?;
    Ok(pages + differences.stretches_looked_at())
}

/// Gives each page that differs to its tree, if it is a leaf, and tells how many were looked at.
fn sort_out(
    differences: impl Iterator<Item = PageDifference>,
    older: &Snapshot,
    newer: &Snapshot,
    bounds: &impl KeyBounds,
    changed: &mut HashMap<PageId, Changed>,
) -> Result<u64> {
    let mut pages = 0;
    for difference in differences {
        let id = difference.id;
        let mut leaf = id;
        for (snapshot, birth) in [(older, difference.older), (newer, difference.newer)] {
            if birth.is_some() {
                pages += 1;
                leaf = btree::leaf_of_delta(id, snapshot.page(id)?).unwrap_or(leaf);
            }
        }
        // A leaf that is not the same itself is told for itself.
        if leaf != id && newer.pin().page_changed_since(older.pin(), leaf).is_some() {
            continue;
        }
        for (snapshot, is_newer) in [(older, false), (newer, true)] {
            if snapshot.pin().birth_of(leaf).is_none() {
                continue;
            }
            let (_, owner) = snapshot.pin().page_and_owner(leaf)?;
            if let Some(changed) = changed.get_mut(&owner) {
                let leaves = if is_newer { &mut changed.newer } else { &mut changed.older };
                leaves.add(snapshot, leaf, bounds)?;
            }
        }
    }
    Ok(pages)
}
