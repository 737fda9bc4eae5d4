//! Merging: thin nodes are written anew as fewer, full ones, tree by tree, in the order of their keys.
//!
//! Promises: looking for thin nodes needs no turn; a commit writes a bounded number of nodes; the file has room for them, or grows by no more than is allowed for the whole compaction.

use super::{Compactor, MAX_GROWTH, MERGE_ROUND, Phase, held};
use crate::catalog::{self, CATALOG, DOOMED};
use crate::pages::TxnPages;
use crate::snapshot::Snapshot;
use crate::{Result, SLOT_BYTES, Timestamp};
use pentimento_btree::{self as btree, Keeper};
use pentimento_storage::{PageId, Store};
use std::ops::Bound;

/// How many nodes are looked at in one go.
const LOOKED_AT: usize = 1024;
/// How many bytes of new nodes one commit writes, about.
const COMMIT_BYTES: u64 = 512 << 10;

/// Which tree is being merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Which {
    #[default]
    Catalog,
    Doomed,
    Named(String),
}

/// How far merging is.
#[derive(Debug, Default)]
pub(super) struct Merge {
    tree: Which,
    level: u8,
    from: Vec<u8>,
    has_looked: bool,
    /// The length of the file when merging paused for want of room, in slots.
    paused_at: Option<u64>,
}

impl Merge {
    /// Whether merging had to pause, and might go on now.
    pub fn may_go_on(&self, end: u64) -> bool {
        self.paused_at.is_some_and(|paused_at| end < paused_at)
    }
}

/// What nodes take in the file, and whether somebody keeps them.
struct Slots<'s> {
    store: &'s Store,
    held: Option<Timestamp>,
}

impl Keeper for Slots<'_> {
    fn room(&self, len: usize) -> u64 {
        pentimento_storage::slots_of_body(len)
    }

    fn winnable(&self, page: PageId, len: usize) -> u64 {
        let is_held = self.held.is_some_and(|held| self.store.newest_birth(page).is_some_and(|birth| birth <= held));
        if is_held { 0 } else { self.room(len) }
    }
}

impl Compactor {
    /// Looks at some nodes, and merges the first stretch of thin ones that it meets, with what follows it. Gives the bytes written.
    pub(super) fn merge_some(&mut self, budget: u64) -> Result<u64> {
        let store = self.shared().store.clone();
        let held = match std::mem::replace(&mut self.merge.has_looked, true) {
            true => held::newest_lasting(&store, self.patience),
            false => held::newest_lasting_of_all(&store, self.patience),
        };
        let snapshot = Snapshot::new(store.pin());
        let Some(root) = self.merge_root(&snapshot)? else { return Ok(0) };
        let keeper = Slots { store: &store, held };
        let capacity = store.page_size() - pentimento_storage::HEADER_BYTES;
        let (level, from) = (self.merge.level, &self.merge.from);
        let look = btree::find_thin(&snapshot, root, level, from, &keeper, capacity, LOOKED_AT)?;
        drop(snapshot);
        let Some(look) = look else {
            self.next_tree();
            return Ok(0);
        };
        let Some(found) = look.found else {
            self.go_on_from(look.next);
            return Ok(0);
        };
        if !self.has_room_to_merge(&store)? {
            return Ok(0);
        }
        let mut pages = TxnPages(self.shared().begin_rearranging()?);
        // The tree may have gone meanwhile, and its root may be another's.
        let root_now = self.root_of(&pages)?;
        let (mut next, mut slots, mut saved) = (Some(found), 0, 0);
        if root_now == Some(root) {
            let limit = COMMIT_BYTES.min(budget) / SLOT_BYTES as u64;
            while let Some(from) = next.take() {
                let mut tree = btree::TreeMut::new(&mut pages, root);
                let done = tree.condense(level, &from, &keeper)?;
                (slots, saved) = (slots + done.room, saved + (done.before - done.after) as u64);
                let stays = done.next.as_ref() == Some(&from) && done.before == done.after;
                next = done.next.filter(|_| !stays);
                if done.before == 0 || slots >= limit {
                    break;
                }
            }
        }
        let is_committed = self.shared().commit_rearranged(pages.0)?;
        self.go_on_from(next);
        let bytes = slots * SLOT_BYTES as u64;
        self.report.commits += u64::from(is_committed);
        self.report.bytes_merged += bytes;
        self.report.nodes_saved += saved;
        self.unsettled += bytes;
        if self.unsettled >= MERGE_ROUND {
            self.settle()?;
        }
        Ok(bytes)
    }

    /// Whether what will be written until the next checkpoint fits without making the file longer than it may become. If it does not, merging pauses.
    fn has_room_to_merge(&mut self, store: &Store) -> Result<bool> {
        // A commit may write somewhat more than it should, and so may a round.
        let needed = MERGE_ROUND + 2 * COMMIT_BYTES;
        let has_room = |compactor: &Compactor| {
            let full = pentimento_storage::slots_of_body(store.page_size() - pentimento_storage::HEADER_BYTES);
            let nodes = needed / (full * SLOT_BYTES as u64);
            let end = store.extent().end * SLOT_BYTES as u64;
            store.room_for(full, nodes) >= nodes || end + needed <= compactor.report.bytes_before + MAX_GROWTH
        };
        if has_room(self) {
            return Ok(true);
        }
        self.settle()?;
        if has_room(self) {
            return Ok(true);
        }
        self.merge.paused_at = Some(store.extent().end);
        self.phase = Phase::Move;
        Ok(false)
    }

    fn root_of(&self, pages: &impl btree::ReadPages<Error = crate::Error>) -> Result<Option<PageId>> {
        Ok(match &self.merge.tree {
            Which::Catalog => Some(CATALOG),
            Which::Doomed => Some(DOOMED),
            Which::Named(name) => catalog::find(pages, name)?.map(|record| record.root),
        })
    }

    /// The root of the tree that is being merged. `None` if it has gone: then the next is begun with.
    fn merge_root(&mut self, snapshot: &Snapshot) -> Result<Option<PageId>> {
        if let Which::Named(name) = &self.merge.tree
            && self.merge.level == 0
            && self.merge.from.is_empty()
        {
            // The first tree from this name on.
            let bounds = (Bound::Included(name.as_bytes()), Bound::Unbounded);
            let next = btree::Tree::new(snapshot, CATALOG).range(bounds)?.next().transpose()?;
            let Some((name, _)) = next else {
                self.merge.paused_at = None;
                self.phase = Phase::Move;
                return Ok(None);
            };
            self.merge.tree = Which::Named(String::from_utf8_lossy(name.as_slice()).into_owned());
        }
        let root = self.root_of(snapshot)?;
        if root.is_none() {
            self.next_tree();
        }
        Ok(root)
    }

    fn go_on_from(&mut self, next: Option<Vec<u8>>) {
        match next {
            Some(next) => self.merge.from = next,
            None => (self.merge.level, self.merge.from) = (self.merge.level + 1, Vec::new()),
        }
    }

    fn next_tree(&mut self) {
        (self.merge.level, self.merge.from) = (0, Vec::new());
        self.merge.tree = match std::mem::take(&mut self.merge.tree) {
            Which::Catalog => Which::Doomed,
            Which::Doomed => Which::Named(String::new()),
            // The least name that is greater.
            Which::Named(name) => Which::Named(name + "\0"),
        };
    }
}
