//! Moving: the newest versions that lie beyond where the file could end are copied to free slots below, and table pages are written anew.
//!
//! Promises: a look takes the highest pages first, so that what is won can be cut off soon; a commit moves a bounded number; it ends, whatever writers do meanwhile.

use super::slide::{Slide, is_worth_sliding};
use super::{Compactor, MOVE_ROUND, Phase, held};
use crate::{Result, SLOT_BYTES};
use pentimento_storage::{Extent, Moved, PageId, Placed, Store, WriteSet};
use std::cmp::Reverse;
use std::collections::VecDeque;

/// How many pages one look takes.
const LOOKED_AT: usize = 8192;
/// How many pages, and bytes, one commit moves.
pub(super) const COMMIT_PAGES: usize = 128;
const COMMIT_BYTES: u64 = 1 << 20;
/// How many table pages one checkpoint moves.
const TABLE_PAGES: usize = 512;
/// How many looks in a row may leave the file as long as it was.
const VAIN_LOOKS: u32 = 4;

/// How far moving is.
#[derive(Debug, Default)]
pub(super) struct Moves {
    queue: VecDeque<Placed>,
    /// Since the last look: pages that were moved, and whether there was one for which there was no room.
    moved: u64,
    stuck: bool,
    /// Making one hole of many, for what is stuck.
    pub(super) slide: Option<Slide>,
    has_slid: bool,
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

    /// Whether another look can be hoped to help.
    fn goes_on(&mut self, extent: Extent) -> bool {
        let Extent { end, used } = extent;
        if is_little(end, used) {
            return false;
        }
        self.vain = if self.has_looked && end >= self.end { self.vain + 1 } else { 0 };
        self.end = end;
        if self.has_looked && self.moved == 0 {
            if self.stuck && !self.has_slid && is_worth_sliding(extent) {
                self.slide = Some(Slide::default());
            }
            return self.slide.is_some();
        }
        self.has_looked = true;
        (self.moved, self.stuck) = (0, false);
        self.vain <= VAIN_LOOKS
    }
}

impl Compactor {
    /// Moves some pages. Gives the bytes written.
    pub(super) fn move_some(&mut self, budget: u64) -> Result<u64> {
        if self.moves.slide.is_some() {
            let slid = self.slide_some()?;
            if slid.is_none() {
                // What lies as it should now may leave something for a last look.
                self.moves = Moves { has_slid: true, ..Moves::default() };
            }
            return Ok(slid.unwrap_or(0));
        }
        if self.moves.queue.is_empty() && !self.look_for_moves()? {
            return Ok(0);
        }
        let Some(first) = self.moves.queue.front().copied() else { return Ok(0) };
        let moved = if first.is_long() {
            self.moves.queue.pop_front();
            let moved = self.move_long(first, first.run.start)?;
            self.moves.stuck |= moved == 0;
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
            self.move_short(&batch)?
        };
        if self.unsettled >= MOVE_ROUND {
            self.settle_with_table()?;
        }
        Ok(moved)
    }

    /// Moves a long version to a free place that begins below `limit`, if there is one. Gives the bytes written.
    pub(super) fn move_long(&mut self, placed: Placed, limit: u64) -> Result<u64> {
        let Some(copied) = self.shared().store.copy_below(placed, limit)? else { return Ok(0) };
        let mut set = self.shared().begin_rearranging()?;
        let moved = set.adopt(copied)?;
        self.commit_moved(set, moved)
    }

    /// Moves versions that are not long down, in one commit. Gives the bytes written.
    pub(super) fn move_short(&mut self, batch: &[Placed]) -> Result<u64> {
        let mut set = self.shared().begin_rearranging()?;
        let moved = set.move_down(batch)?;
        self.commit_moved(set, moved)
    }

    fn commit_moved(&mut self, set: WriteSet, moved: Moved) -> Result<u64> {
        self.shared().commit_rearranged(set)?;
        self.report.commits += u64::from(moved.pages > 0);
        self.report.bytes_moved += moved.bytes;
        self.moves.moved += moved.pages;
        self.unsettled += moved.bytes;
        Ok(moved.bytes)
    }

    /// Looks for what to move next. `false` if there is nothing; then it is time for something else.
    fn look_for_moves(&mut self) -> Result<bool> {
        if self.unsettled > 0 {
            self.settle_with_table()?;
        }
        let store = self.shared().store.clone();
        let extent = store.extent();
        if self.moves.goes_on(extent) {
            if self.moves.slide.is_some() {
                return Ok(true);
            }
            let held = held::newest_lasting_of_all(&store, self.patience);
            let mut movable = store.tail(extent.used, LOOKED_AT, held).movable;
            // Large ones first, while there is room in one piece; then by number, so that few table pages change.
            movable.sort_unstable_by_key(|placed| (Reverse(placed.is_long().then_some(placed.run.slots)), placed.id));
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
    pub(super) fn settle_with_table(&mut self) -> Result<()> {
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
