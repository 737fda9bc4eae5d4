//! Moving: the newest versions that lie beyond where the file could end are copied to free slots below, and table pages are written anew.
//!
//! Promises: a look takes the highest pages first, so that what is won can be cut off soon; a commit moves a bounded number; it ends, whatever writers do meanwhile.

use super::{Compactor, MOVE_ROUND, Phase, held};
use crate::{Result, SLOT_BYTES};
use pentimento_storage::{PageId, Placed, Store};
use std::cmp::Reverse;
use std::collections::VecDeque;

/// How many pages one look takes.
const LOOKED_AT: usize = 8192;
/// How many pages, and bytes, one commit moves.
const COMMIT_PAGES: usize = 128;
const COMMIT_BYTES: u64 = 1 << 20;
/// How many table pages one checkpoint moves.
const TABLE_PAGES: usize = 512;
/// How many looks in a row may leave the file as long as it was.
const VAIN_LOOKS: u32 = 4;

/// How far moving is.
#[derive(Debug, Default)]
pub(super) struct Moves {
    queue: VecDeque<Placed>,
    /// Since the last look: pages that were moved, and the slots of those for which there was no room.
    moved: u64,
    stuck_slots: u64,
    /// So far below the aim pages are moved, too, to make room for what is stuck: in slots.
    margin: u64,
    /// The file's length at the last look, and how many looks in a row it stayed so.
    end: u64,
    vain: u32,
    has_looked: bool,
}

/// So few free slots are not worth any work.
fn is_little(end: u64, used: u64) -> bool {
    end - used <= 16 + used / 64
}

impl Moves {
    /// Whether the file has free slots that are worth moving something.
    pub fn may_win(&self, store: &Store) -> bool {
        let extent = store.extent();
        !is_little(extent.end, extent.used)
    }

    pub fn begin_again(&mut self) {
        *self = Moves::default();
    }

    /// Whether another look can be hoped to help. What was stuck the last time gets more room: what lies just below the aim is moved first.
    fn goes_on(&mut self, end: u64, used: u64) -> bool {
        if is_little(end, used) {
            return false;
        }
        self.vain = if self.has_looked && end >= self.end { self.vain + 1 } else { 0 };
        self.end = end;
        if self.has_looked && self.moved == 0 {
            if self.stuck_slots == 0 || self.margin >= used {
                return false;
            }
            self.margin = (2 * self.margin).max(2 * self.stuck_slots);
        }
        self.has_looked = true;
        (self.moved, self.stuck_slots) = (0, 0);
        self.vain <= VAIN_LOOKS
    }
}

impl Compactor {
    /// Moves some pages. Gives the bytes written.
    pub(super) fn move_some(&mut self, budget: u64) -> Result<u64> {
        if self.moves.queue.is_empty() && !self.look_for_moves()? {
            return Ok(0);
        }
        let store = self.shared().store.clone();
        let Some(first) = self.moves.queue.front().copied() else { return Ok(0) };
        let moved = if first.is_long() {
            self.moves.queue.pop_front();
            let copied = store.copy_down(first)?;
            let Some(copied) = copied else {
                self.moves.stuck_slots += first.run.slots;
                return Ok(0);
            };
            let mut set = self.shared().begin_rearranging()?;
            let moved = set.adopt(copied)?;
            self.shared().commit_rearranged(set)?;
            moved
        } else {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while let Some(placed) = self.moves.queue.pop_front_if(|placed| !placed.is_long()) {
                batch.push(placed);
                bytes += placed.run.bytes();
                if bytes >= COMMIT_BYTES.min(budget) || batch.len() >= COMMIT_PAGES {
                    break;
                }
            }
            let mut set = self.shared().begin_rearranging()?;
            let moved = set.move_down(&batch)?;
            self.shared().commit_rearranged(set)?;
            if moved.stuck > 0 {
                self.moves.stuck_slots += batch.iter().map(|placed| placed.run.slots).max().unwrap_or_default();
            }
            moved
        };
        self.report.commits += u64::from(moved.pages > 0);
        self.report.bytes_moved += moved.bytes;
        self.moves.moved += moved.pages;
        self.unsettled += moved.bytes;
        if self.unsettled >= MOVE_ROUND {
            self.settle_with_table()?;
        }
        Ok(moved.bytes)
    }

    /// Looks for what to move next. `false` if there is nothing; then it is time for something else.
    fn look_for_moves(&mut self) -> Result<bool> {
        if self.unsettled > 0 {
            self.settle_with_table()?;
        }
        let store = self.shared().store.clone();
        let extent = store.extent();
        if self.moves.goes_on(extent.end, extent.used) {
            let held = held::newest_lasting_of_all(&store, self.patience);
            let limit = extent.used.saturating_sub(self.moves.margin);
            let mut movable = store.tail(limit, LOOKED_AT, held).movable;
            if self.moves.margin == 0 {
                // Large ones first, while there is room in one piece; then by number, so that few table pages change.
                movable
                    .sort_unstable_by_key(|placed| (Reverse(placed.is_long().then_some(placed.run.slots)), placed.id));
            } else {
                // Small ones first, which make room.
                movable.sort_unstable_by_key(|placed| (placed.run.slots, placed.id));
            }
            self.moves.queue = movable.into();
            if !self.moves.queue.is_empty() {
                return Ok(true);
            }
            if store.table_tail(extent.used, 1).is_some() {
                // Only table pages are left.
                self.settle_with_table()?;
                self.moves.moved += 1;
                return Ok(true);
            }
        }
        self.phase = if self.merge.may_go_on(extent.end) { Phase::Merge } else { Phase::Finish };
        if self.phase == Phase::Merge {
            self.moves.begin_again();
        }
        Ok(false)
    }

    /// A checkpoint that moves table pages, too.
    fn settle_with_table(&mut self) -> Result<()> {
        let store = self.shared().store.clone();
        // What was moved is counted twice until then.
        let limit = store.extent().used.saturating_sub(self.unsettled / SLOT_BYTES as u64);
        let from = store.table_tail(limit, TABLE_PAGES);
        if from.is_some() && self.unsettled == 0 {
            // A checkpoint needs a commit that it is of.
            let mut set = self.shared().begin_rearranging()?;
            set.page_mut(PageId(0), 0)?;
            self.shared().commit_rearranged(set)?;
            self.report.commits += 1;
        }
        store.move_table_pages(from);
        let result = self.settle();
        store.move_table_pages(None);
        result
    }
}
