//! Giving free space back to the file system: the tail of the file, and blocks in its middle.
//!
//! Promises:
//! 1. Only slots that are free are given back, under the lock of the slots: nobody takes one meanwhile.
//! 2. Nothing rests on it. A file system that cannot do it leaves the file as it is, and that is no error.

use crate::layout::{Run, SLOT_BYTES};
use crate::store::Store;

/// Shorter free stretches than this keep their blocks, and of the others all but the longest: each call may cost half a millisecond.
const PUNCH_SLOTS: u64 = 8;
const PUNCHES: usize = 512;

impl Store {
    /// Cuts the free tail off the file, if it has at least `least` slots. A file that cannot be cut stays as long as it is: nothing is lost by that.
    pub(crate) fn cut_tail(&self, least: u64) {
        let Ok(medium) = self.medium() else { return };
        let mut slots = self.slots.lock();
        if let Some(end) = slots.cut_at(least)
            && medium.set_len(end * SLOT_BYTES as u64).is_ok()
        {
            slots.cut(end);
        }
    }

    /// Gives the blocks of what is free in the middle of the file back to the file system. Runs are shorter than its blocks, so their ends stay.
    pub(crate) fn punch_free(&self) {
        let Ok(medium) = self.medium() else { return };
        let slots = self.slots.lock();
        let mut longest: Vec<Run> = slots.free_stretches().filter(|run| run.slots >= PUNCH_SLOTS).collect();
        longest.sort_unstable_by_key(|run| std::cmp::Reverse(run.slots));
        for run in longest.into_iter().take(PUNCHES) {
            medium.punch(run.offset(), run.bytes());
        }
    }
}
