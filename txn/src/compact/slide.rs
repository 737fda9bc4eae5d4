//! Sliding: where large versions fit into none of the holes, what lies between the holes is moved down from the lowest on, so that the holes become one.
//!
//! Promises: what fits into the hole before it is moved there, in the order in which it lies; what does not is moved out of the way first, up into any free place that the file has. It is not begun
//! unless there is an eighth to win, and writes no more than twice what is in use.

use super::{Compactor, MOVE_ROUND};
use crate::{Result, SLOT_BYTES};
use pentimento_storage::{Extent, Placed};

/// Shorter stretches are no holes: whatever is not long fits into one that is.
const HOLE_SLOTS: u64 = 128;
/// How many versions one look takes.
const LOOKED_AT: usize = 4096;

/// How far sliding is.
#[derive(Debug, Default)]
pub(super) struct Slide {
    /// Holes below this slot could not be filled.
    from: u64,
    /// Bytes written.
    written: u64,
}

/// Whether there is so much to win that moving everything is worth it.
pub(super) fn is_worth_sliding(extent: Extent) -> bool {
    (extent.end - extent.used) * 8 >= extent.used
}

impl Compactor {
    /// Fills the lowest hole with what lies behind it. Gives the bytes written; `None` when there is nothing more to do in this way.
    pub(super) fn slide_some(&mut self) -> Result<Option<u64>> {
        let store = self.shared().store.clone();
        let extent = store.extent();
        let Some(Slide { from, written }) = self.moves.slide else { return Ok(None) };
        if !is_worth_sliding(extent) || written > 2 * extent.used * SLOT_BYTES as u64 {
            return Ok(None);
        }
        let holes = store.free_runs().into_iter();
        let hole = holes.filter(|run| run.slots >= HOLE_SLOTS && run.start >= from).min();
        let Some(hole) = hole.filter(|run| run.end() < extent.end) else { return Ok(None) };
        let held = super::held::newest_lasting(&store, self.patience);
        let behind = store.behind(hole.end(), LOOKED_AT, held);
        let (mut left, mut bytes) = (hole.slots, 0);
        let fits = |placed: &&Placed| {
            let Some(rest) = left.checked_sub(placed.run.slots).filter(|_| bytes < MOVE_ROUND) else { return false };
            (left, bytes) = (rest, bytes + placed.run.bytes());
            true
        };
        let fitting: Vec<Placed> = behind.iter().take_while(fits).copied().collect();
        let Some(first) = behind.first().copied() else { return Ok(None) };
        let mut moved = 0;
        if fitting.is_empty() {
            moved += self.move_long(first, u64::MAX)?;
        }
        for short in fitting.chunk_by(|one, other| one.is_long() == other.is_long()) {
            if short.iter().any(Placed::is_long) {
                for placed in short {
                    moved += self.move_long(*placed, placed.run.start)?;
                }
            } else {
                for batch in short.chunks(super::moves::COMMIT_PAGES) {
                    moved += self.move_short(batch)?;
                }
            }
        }
        self.settle_with_table()?;
        if let Some(slide) = &mut self.moves.slide {
            slide.written += moved;
            if moved == 0 {
                slide.from = hole.end().max(first.run.end());
            }
        }
        Ok(Some(moved))
    }
}
