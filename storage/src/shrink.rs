//! Giving room on the disk back to the file system: the free tail of the file is cut off, and the blocks of free stretches within it are punched out.
//!
//! Promises:
//! 1. Only free slots are touched: what no version, no table page, no list of names and no transaction occupies, the durable checkpoint's included. So nothing that a
//!    reader, or opening after a crash, could look for changes; and when the punch reaches the disk does not matter.
//! 2. While a stretch is being punched it is nobody's, and no lock is held: whoever allocates, or gives back, does not wait for the file system.
//! 3. A bounded number of calls, longest stretches first: each costs a tenth of a millisecond, on some systems half a one.

use crate::layout::{Run, SLOT_BYTES};
use crate::planted::Bug;
use crate::slots::CUT_SLOTS;
use crate::store::Store;

/// What file systems give out and take back, in slots: what is punched begins and ends at its multiples: the rest of a block would be overwritten with zeros instead.
const BLOCK_SLOTS: u64 = 4096 / SLOT_BYTES as u64;
/// Shorter free stretches keep their blocks, and of the others all but the longest.
const LEAST_SLOTS: u64 = 2 * BLOCK_SLOTS;
const PUNCHES: usize = 1024;
/// How many stretches are taken out of the free ones at a time.
const AT_ONCE: usize = 32;
/// Holes are worth their price if what was freed since the last time is at least this part of the file, and 256 KiB.
const WORTH_PART: u64 = 8;
const WORTH_SLOTS: u64 = CUT_SLOTS / 2;

/// The whole blocks of a stretch.
fn blocks_of(run: Run) -> Option<Run> {
    let start = run.start.next_multiple_of(BLOCK_SLOTS);
    let end = run.end() / BLOCK_SLOTS * BLOCK_SLOTS;
    (start < end).then(|| Run { start, slots: end - start })
}

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

    /// Gives back memory that is only kept for later, and what of the file is free, if that is much of it: for a store that is at rest, or whose user wants it small. What is written there later costs a little more.
    pub fn trim(&self) {
        if self.options.read_only || self.is_poisoned() {
            return;
        }
        self.frames.reserve.clear();
        self.cut_tail(CUT_SLOTS);
        let is_worth_it = {
            let slots = self.slots.lock();
            slots.unpunched() >= (slots.end() / WORTH_PART).max(WORTH_SLOTS)
        };
        if is_worth_it {
            self.punch_free();
        }
    }

    /// Punches out what is free in the middle of the file.
    pub(crate) fn punch_free(&self) {
        let Ok(medium) = self.medium() else { return };
        let stretches = self.slots.lock().look_through(LEAST_SLOTS, PUNCHES);
        for some in stretches.chunks(AT_ONCE) {
            if self.is_poisoned() {
                return;
            }
            let taken = self.take_stretches(some);
            for mut blocks in taken.iter().copied().filter_map(blocks_of) {
                if self.options.has(Bug::PunchTooFar)
                    && blocks.end() + 2 * BLOCK_SLOTS <= medium.len() / SLOT_BYTES as u64
                {
                    blocks.slots += 2 * BLOCK_SLOTS;
                }
                medium.punch(blocks.offset(), blocks.bytes());
            }
            self.put_back(&taken);
        }
    }

    /// Takes those that are still free. The checker, which keeps checkpoints away, sees none of this half done.
    fn take_stretches(&self, stretches: &[Run]) -> Vec<Run> {
        let _no_checker = self.checkpointing.lock();
        let mut slots = self.slots.lock();
        let taken: Vec<Run> = stretches.iter().copied().filter(|run| slots.take_stretch(*run)).collect();
        self.reserved.lock().extend_from_slice(&taken);
        taken
    }

    fn put_back(&self, taken: &[Run]) {
        let _no_checker = self.checkpointing.lock();
        let mut slots = self.slots.lock();
        self.reserved.lock().retain(|reserved| !taken.contains(reserved));
        taken.iter().for_each(|run| slots.put_back(*run));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_blocks_are_punched() {
        let run = |start, slots| Run { start, slots };
        assert_eq!(blocks_of(run(4, 4)), Some(run(4, 4)));
        assert_eq!(blocks_of(run(5, 4)), Some(run(6, 2)));
        assert_eq!(blocks_of(run(5, 2)), None);
        assert_eq!(blocks_of(run(5, 1)), None);
    }
}
