//! Where a transaction keeps what it changes: memory that whoever has the writer's turn uses, and leaves to the next.
//!
//! Promises: it is empty when the turn is passed on, but for what is left for the next transaction on purpose; nobody else looks at it.

use super::PrivatePages;
use super::savepoints::Undo;
use crate::PageId;
use crate::history::Nodes;
use crate::reclaim::Superseded;
use std::any::Any;
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// No more memory than for so many page numbers is kept.
const KEPT: usize = 64;

/// What a transaction leaves for the next one: of whatever type those who use the store agree upon.
pub type Left = Option<Box<dyn Any + Send + Sync>>;

/// What lies on the desk.
#[derive(Default)]
pub(crate) struct OnDesk {
    pub pages: PrivatePages,
    pub(super) undo: Vec<(u64, Undo)>,
    pub(super) epoch: u32,
    pub(super) next_serial: u64,
    /// Page numbers that this transaction took and gave up again.
    pub(super) spare_ids: Vec<PageId>,
    pub(super) frame_bytes: usize,
    /// Pages that will not be changed again soon and were not written out yet; and the bytes of all that there ever were.
    pub(super) finished: Vec<PageId>,
    pub(super) finished_bytes: usize,
    /// What is spilled gathers here. Memory that was never touched before costs more than what is done with it.
    pub(super) spill_buffer: Vec<u8>,
    pub nodes: Nodes,
    /// What a commit superseded, on its way to reclamation: nothing between commits.
    pub superseded: Vec<Superseded>,
    pub left: Left,
}

impl OnDesk {
    /// Ready for the next transaction. Private pages were given back, or have become the newest.
    pub fn clear(&mut self) {
        debug_assert!(self.pages.is_empty() && self.undo.is_empty() && self.spare_ids.is_empty(), "nothing is lost");
        debug_assert!(self.superseded.is_empty(), "reclamation knows of everything");
        (self.epoch, self.next_serial, self.frame_bytes) = (0, 0, 0);
        (self.finished, self.finished_bytes, self.spill_buffer) = (Vec::new(), 0, Vec::new());
        self.spare_ids.shrink_to(KEPT);
        self.pages.shrink();
    }
}

/// The desk of a store.
#[derive(Default)]
pub(crate) struct Desk(UnsafeCell<OnDesk>);

// SAFETY: what is in the cell may go from thread to thread and be looked at by several; it is reached by an `AtDesk` alone.
unsafe impl Sync for Desk {}

/// The desk in the hands of who has the turn.
pub(crate) struct AtDesk(NonNull<OnDesk>);

// SAFETY: as a mutable reference, which it stands for.
unsafe impl Send for AtDesk {}
// SAFETY: likewise.
unsafe impl Sync for AtDesk {}

impl Desk {
    /// For who has the turn.
    ///
    /// # Safety
    /// Whoever has the turn asks once, and gives up what he got before he passes it on. The store stays where it is until then.
    pub(super) unsafe fn take(&self) -> AtDesk {
        AtDesk(NonNull::new(self.0.get()).expect("a cell is somewhere"))
    }
}

impl Deref for AtDesk {
    type Target = OnDesk;

    #[inline]
    fn deref(&self) -> &OnDesk {
        // SAFETY: the promises of `Desk::take`: the cell is there, and this is the only way to it, of which references are borrowed; the turn orders what one who has it does before what the
        // next one does.
        unsafe { self.0.as_ref() }
    }
}

impl DerefMut for AtDesk {
    #[inline]
    fn deref_mut(&mut self) -> &mut OnDesk {
        // SAFETY: as above.
        unsafe { self.0.as_mut() }
    }
}
