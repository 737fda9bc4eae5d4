//! What a write transaction has done so far.
//!
//! Promises: inserts and removals that wait are bounded in memory, and applied leaf by leaf; a failure while they are makes the transaction
//! impossible to commit, and is told once. In a tree either inserts wait, or removals, or deletes.

use crate::catalog::{self, TreeRecord};
use crate::pages::TxnPages;
use crate::pending::Pending;
use crate::redo::Redo;
use crate::sync::Mutex;
use crate::{Error, Result};
use pentimento_btree as btree;
use std::sync::Arc;

/// Steps of a kind that follow one another begin to wait after so many: a small transaction applies each at once.
const DIRECT: u32 = 8;
/// The most memory that anything may wait in, whatever a transaction may take before it spills.
const PENDING_MAX: usize = 1 << 30;

/// What is done with a tree, as far as more of it may be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Insert,
    /// A removal that says whether the key was there.
    Remove,
    /// One that does not.
    Delete,
    Other,
}

/// A tree that the transaction has met.
#[derive(Debug)]
pub(crate) struct OpenTree {
    pub name: Arc<str>,
    pub record: TreeRecord,
    /// How many entries there are, without those that wait.
    pub len: u64,
    /// Whether `len` differs from the register.
    pub is_stale: bool,
    /// What was done last, and how many times in a row.
    streak: (Step, u32),
    pending: Pending,
    /// Removals that wait and whose entries are known. They are in the operations already.
    marks: btree::Marks,
}

impl OpenTree {
    pub fn new(name: &str, record: TreeRecord, len: u64) -> OpenTree {
        OpenTree {
            name: name.into(),
            record,
            len,
            is_stale: false,
            streak: (Step::Other, 0),
            pending: Pending::default(),
            marks: btree::Marks::default(),
        }
    }

    /// Another transaction has it.
    pub fn begin_anew(&mut self) {
        debug_assert!(!self.is_stale && self.pending.is_empty() && self.marks.is_empty(), "nothing waits");
        self.streak = (Step::Other, 0);
    }
}

/// The number of entries after some were removed.
pub(crate) fn less(len: u64, removed: u64) -> Result<u64> {
    len.checked_sub(removed).ok_or_else(|| Error::damaged("tree", "it has more entries than its register counts"))
}

/// What a transaction notes beside its pages. The next one goes on with the memory.
#[derive(Default)]
pub(crate) struct Notes {
    /// In the order of their names.
    pub trees: Vec<OpenTree>,
    pub redo: Redo,
}

/// The private pages of a transaction, its trees and its operations.
pub(crate) struct Work {
    pub pages: TxnPages,
    pub notes: Box<Notes>,
    pub incomplete: bool,
    /// The memory in which inserts and removals wait, in bytes, and the most that they may take.
    waiting: usize,
    waiting_max: usize,
    /// What went wrong when those that waited were applied, until it is told.
    failure: Mutex<Option<Box<Error>>>,
}

impl Work {
    /// Nothing yet, but that the trees in `notes` were met. The transaction should take about `memory` bytes.
    pub fn new(pages: TxnPages, mut notes: Box<Notes>, memory: usize) -> Work {
        let waiting_max = (memory / 4 * 3).min(PENDING_MAX);
        notes.redo.expect_waiting(waiting_max);
        Work { pages, notes, incomplete: false, waiting: 0, waiting_max, failure: Mutex::new(None) }
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.notes.trees.binary_search_by(|open| (*open.name).cmp(name))
    }

    /// Where the tree of this name is among those that the transaction has met; `None` if there is no such tree.
    pub fn meet(&mut self, name: &str) -> Result<Option<usize>> {
        let at = match self.position(name) {
            Ok(at) => at,
            Err(at) => {
                let Some(record) = catalog::find(&self.pages, name)? else { return Ok(None) };
                let len = self.pages.0.register(record.counter)?;
                self.notes.trees.insert(at, OpenTree::new(name, record, len));
                at
            }
        };
        Ok(Some(at))
    }

    /// Adds a tree that was not among those met.
    pub fn add(&mut self, open: OpenTree) {
        match self.position(&open.name) {
            Ok(at) => self.notes.trees[at] = open,
            Err(at) => self.notes.trees.insert(at, open),
        }
    }

    /// Whether a step on tree `at` had better wait. One that follows nothing but steps of its kind makes the next more likely to.
    #[inline]
    fn is_streak(&mut self, at: usize, step: Step) -> bool {
        let (last, count) = &mut self.notes.trees[at].streak;
        if *last != step {
            (*last, *count) = (step, 0);
        }
        *count = count.saturating_add(1);
        *count > DIRECT && !self.notes.redo.has_reserved()
    }

    /// Whether an insert into tree `at`, or a delete, had better wait, of so many bytes.
    #[inline]
    pub fn should_wait(&mut self, at: usize, step: Step, bytes: usize) -> bool {
        self.is_streak(at, step) && self.notes.trees[at].marks.is_empty() && self.can_wait(bytes)
    }

    /// Whether a removal from tree `at` had better wait, likewise.
    #[inline]
    pub fn should_mark(&mut self, at: usize) -> bool {
        self.is_streak(at, Step::Remove) && self.notes.trees[at].pending.is_empty()
    }

    /// Has the removal of `key` from tree `at` wait. Tells whether it is there to be removed, and whether no more of them should wait.
    #[inline]
    pub fn mark(&mut self, at: usize, key: &[u8]) -> Result<(bool, bool)> {
        let open = &mut self.notes.trees[at];
        let before = open.marks.bytes();
        let tree = btree::TreeMut::new(&mut self.pages, open.record.root);
        let is_there = tree.mark(key, &mut open.marks)?;
        if is_there {
            self.notes.redo.enter(&open.name, open.record.root);
            self.notes.redo.remove(key);
        }
        // Later the first keys of leaves that have become too small may take as much again.
        self.waiting += 2 * (open.marks.bytes() - before);
        Ok((is_there, self.waiting > self.waiting_max))
    }

    /// Whether an insert of so many bytes is not too large to wait.
    #[inline]
    pub fn can_wait(&self, bytes: usize) -> bool {
        bytes <= self.waiting_max / 16
    }

    /// Has an insert into tree `at` wait, or without a value a delete; `false` if so many do that they had better be applied.
    #[inline]
    pub fn wait(&mut self, at: usize, key: &[u8], value: Option<&[u8]>) -> bool {
        let open = &mut self.notes.trees[at];
        self.notes.redo.enter(&open.name, open.record.root);
        self.waiting += open.pending.push(&mut self.notes.redo, key, value);
        self.waiting <= self.waiting_max
    }

    /// Changes tree `at` at once; a failure half-way makes the transaction impossible to commit, a panic in the caller's code too.
    pub fn change<T>(
        &mut self,
        at: usize,
        change: impl FnOnce(&mut btree::TreeMut<'_, TxnPages>, &mut u64, &mut Redo) -> Result<T>,
    ) -> Result<T> {
        let was_incomplete = std::mem::replace(&mut self.incomplete, true);
        self.notes.redo.finish_reserved(&self.pages)?;
        let open = &mut self.notes.trees[at];
        self.notes.redo.enter(&open.name, open.record.root);
        let mut len = open.len;
        let mut tree = btree::TreeMut::new(&mut self.pages, open.record.root);
        let result = change(&mut tree, &mut len, &mut self.notes.redo);
        match &result {
            Err(error) if error.is_refusal() => self.incomplete = was_incomplete,
            Err(_) => {}
            Ok(_) => {
                self.incomplete = was_incomplete;
                open.is_stale |= open.len != len;
                open.len = len;
            }
        }
        result
    }

    /// Something else than an insert or a removal is done with tree `at`.
    #[inline]
    pub fn end_streak(&mut self, at: usize) {
        self.notes.trees[at].streak = (Step::Other, 0);
    }

    /// Applies what waits. If that fails the transaction cannot be committed, and [`check_settled`](Work::check_settled) tells why.
    pub fn settle(&mut self) {
        for open in &mut self.notes.trees {
            // Who looks after every step had better not wait.
            if open.pending.len() as u64 + open.marks.len() <= u64::from(DIRECT) {
                open.streak = (Step::Other, 0);
            }
        }
        let was_incomplete = std::mem::replace(&mut self.incomplete, true);
        match self.apply() {
            Ok(()) => self.incomplete = was_incomplete,
            Err(error) => *self.failure.get_mut() = Some(Box::new(error)),
        }
        self.waiting = 0;
        for open in &mut self.notes.trees {
            (open.pending, open.marks) = Default::default();
        }
        self.notes.redo.applied();
    }

    fn apply(&mut self) -> Result<()> {
        for open in self.notes.trees.iter_mut().filter(|open| !open.pending.is_empty()) {
            let sorted = open.pending.sort(&self.notes.redo);
            let mut tree = btree::TreeMut::new(&mut self.pages, open.record.root);
            let before = open.len;
            if sorted.removes {
                open.len = less(open.len, tree.remove_sorted(&sorted)?)?;
            } else {
                open.len += tree.insert_sorted(&sorted, sorted.filling)?;
            }
            open.is_stale |= open.len != before;
        }
        for open in self.notes.trees.iter_mut().filter(|open| !open.marks.is_empty()) {
            let marks = std::mem::take(&mut open.marks);
            open.len = less(open.len, marks.len())?;
            open.is_stale = true;
            btree::TreeMut::new(&mut self.pages, open.record.root).remove_marked(marks)?;
        }
        Ok(())
    }

    /// Tells, once, what went wrong when inserts that had waited were applied.
    #[inline]
    pub fn check_settled(&self) -> Result<()> {
        if self.incomplete { self.failure.lock().take().map_or(Ok(()), |error| Err(*error)) } else { Ok(()) }
    }

    /// Forgets the trees that were met, and what waits.
    pub fn forget(&mut self) {
        self.notes.trees.clear();
        self.notes.redo.applied();
        self.waiting = 0;
        self.incomplete = false;
        *self.failure.get_mut() = None;
    }

    /// Brings lengths and operations up to date.
    pub fn finish_operations(&mut self) -> Result<()> {
        self.notes.redo.finish_reserved(&self.pages)?;
        for open in self.notes.trees.iter_mut().filter(|open| open.is_stale) {
            self.pages.0.set_register(open.record.counter, open.len)?;
            open.is_stale = false;
        }
        Ok(())
    }
}
