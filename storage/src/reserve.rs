//! Slabs that are at hand: memory that a large transaction worked in, and that versions to come will lie in.
//!
//! Who gives memory back to the system and soon asks for as much again waits for it twice: for it to be cleared, and where a system below has taken it, for that system to find it.
//!
//! Promises: no more is kept than was allowed; what nobody took between the ends of two checkpoints goes back to the system.

use crate::slab::{SLAB_BYTES, Slab, want_large_pages};
use crate::sync::Mutex;
use std::mem::MaybeUninit;

/// No more than this is kept, in bytes: about what the versions take that come before the next checkpoint.
pub(crate) const RESERVE_BYTES: usize = 96 << 20;

/// Asks for large pages for as much of this room, which is about to be filled behind `before` other bytes, as a store will take over once it is not needed any more: those who look for versions there wait less.
pub fn prepare_room(before: usize, room: &mut [MaybeUninit<u8>]) {
    let len = room.len().min(RESERVE_BYTES.saturating_sub(before));
    want_large_pages(&mut room[..len]);
}

#[derive(Default)]
struct AtHand {
    /// The last one is taken first.
    slabs: Vec<Slab>,
    /// How many of the first ones were there all the time since [`Reserve::age`] was called.
    untouched: usize,
}

/// Slabs that are at hand.
pub(crate) struct Reserve {
    at_hand: Mutex<AtHand>,
    /// How many are kept, at most.
    most: usize,
}

impl Reserve {
    /// Keeps so many bytes, at most.
    pub fn of(bytes: usize) -> Reserve {
        Reserve { at_hand: Mutex::default(), most: bytes / SLAB_BYTES }
    }

    /// Keeps what may be kept of memory that nobody needs any more.
    pub fn take_over(&self, bytes: Vec<u8>) {
        let most = self.most.saturating_sub(self.at_hand.lock().slabs.len());
        // Given back to the system, as far as it is, when no lock is held.
        let mut slabs = Slab::of_vector(bytes, most);
        self.at_hand.lock().slabs.append(&mut slabs);
    }

    pub fn take(&self) -> Option<Slab> {
        let mut at_hand = self.at_hand.lock();
        let slab = at_hand.slabs.pop();
        at_hand.untouched = at_hand.untouched.min(at_hand.slabs.len());
        slab
    }

    /// Lets go of those that nobody took since the last time. To be called now and then.
    pub fn age(&self) {
        let mut at_hand = self.at_hand.lock();
        let untouched = at_hand.untouched;
        let gone: Vec<Slab> = at_hand.slabs.drain(..untouched).collect();
        at_hand.untouched = at_hand.slabs.len();
        drop(at_hand);
        drop(gone);
    }

    /// Lets go of all.
    pub fn clear(&self) {
        let gone = std::mem::take(&mut *self.at_hand.lock());
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryMedium, Options, PageId, Patience, Store};

    /// Who takes over memory also lets go of it.
    #[test]
    fn a_store_gives_it_back_at_the_second_checkpoint_or_when_it_is_trimmed() {
        let medium = MemoryMedium::with_capacity(8 << 20);
        let store = Store::create(Box::new(medium), Options::default(), [7; 16]).unwrap();
        let len = || store.frames.reserve.at_hand.lock().slabs.len();
        let checkpoint = || {
            let mut set = store.begin(Patience::None).unwrap().unwrap();
            set.allocate(PageId::NONE, 100).unwrap();
            let _ = set.install(false);
            store.checkpoint().unwrap();
            len()
        };
        store.take_over_memory(vec![1; 3 * SLAB_BYTES]);
        let taken = len();
        assert!((2..=3).contains(&taken));
        assert_eq!((checkpoint(), checkpoint()), (taken, 0));
        store.take_over_memory(vec![1; 3 * SLAB_BYTES]);
        assert!(len() > 0);
        store.trim();
        assert_eq!(len(), 0);
        let in_memory = Store::in_memory(Options::default()).unwrap();
        in_memory.take_over_memory(vec![1; 3 * SLAB_BYTES]);
        assert!(in_memory.frames.reserve.take().is_none(), "nobody would let go of it");
    }

    #[test]
    fn what_nobody_takes_goes() {
        let reserve = Reserve::of(4 * SLAB_BYTES);
        let len = || reserve.at_hand.lock().slabs.len();
        let give = |slabs: usize| reserve.take_over(vec![1; (slabs + 1) * SLAB_BYTES]);
        give(2);
        assert!((2..=3).contains(&len()));
        give(5);
        assert_eq!(len(), 4, "no more than may be kept");
        reserve.age();
        assert_eq!(len(), 4, "they have only just come");
        assert!(reserve.take().is_some() && reserve.take().is_some());
        give(5);
        reserve.age();
        assert_eq!(len(), 2, "two of them nobody took, two have only just come");
        reserve.age();
        assert_eq!((len(), reserve.take().is_none()), (0, true));
        give(3);
        reserve.clear();
        give(3);
        reserve.age();
        assert!(len() >= 3, "nor do others inherit their age");
    }
}
