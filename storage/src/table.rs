//! The page table in memory: for each page, where its newest version is and since when. Sixteen bytes a page.
//!
//! Promises:
//! 1. Reading takes no lock: the place first (acquire), then the birth.
//! 2. Only the holder of the writer's turn changes a birth, and births never decrease. It puts the old version into the history
//!    first, then stores the new birth, then the new place (release). (In any other order a reader could pair
//!    the new place with the old birth; see "Reading" in the design.)
//! 3. The checkpointer moves a place from a frame to slots by compare-and-swap, and readers clear the unverified tag in the same way;
//!    neither changes which version it is.
//! 4. Each stretch of entries that shares a table page on disk carries the newest timestamp that changed it: a maximum, never cleared. Opening a store
//!    sets it to the newest birth or death that the table on disk has for the stretch.

use crate::buckets::Buckets;
use crate::place::Place;
use crate::prefetch::line;
use crate::sync::{AtomicU64, Ordering};
use crate::{PageId, Timestamp};

/// How many page numbers share a table page on disk, and with it a change stamp: half of them are beside the others.
pub(crate) const NUMBERS_PER_TABLE_PAGE: usize = 168;

#[derive(Default)]
pub(crate) struct Entry {
    place: AtomicU64,
    birth: AtomicU64,
}

#[cfg(not(pentimento_schedules))]
const _: () = assert!(size_of::<Entry>() == 16, "the design allows 16 bytes a page");

impl Entry {
    /// Place and birth, in the order that makes them belong together when `birth <= pin`.
    #[inline(always)]
    pub fn load(&self) -> (Place, Timestamp) {
        let place = Place(self.place.load(Ordering::Acquire));
        // Relaxed: if it is too young the history is asked under the lock under which the old version was put there before this birth was stored.
        let birth = Timestamp(self.birth.load(Ordering::Relaxed));
        (place, birth)
    }

    /// Installs a new version. Only under the writer's turn, after the old one is in the history.
    pub fn install(&self, birth: Timestamp, place: Place) {
        self.birth.store(birth.0, Ordering::Relaxed);
        self.place.store(place.0, Ordering::Release);
    }

    /// Replaces a place by another place of the same version, if it is still there. What was written to the new place is seen by whoever finds it.
    pub fn replace_place(&self, from: Place, to: Place) -> bool {
        self.place.compare_exchange(from.0, to.0, Ordering::Release, Ordering::Relaxed).is_ok()
    }
}

/// The entries of a page and of the one beside it, in one line of the processor's cache.
#[derive(Default)]
#[repr(align(32))]
struct Pair([Entry; 2]);

/// Entries by page number, with their change stamps.
pub(crate) struct PageTable {
    pairs: Buckets<Pair>,
    stamps: Buckets<AtomicU64>,
}

impl PageTable {
    pub fn new() -> PageTable {
        PageTable { pairs: Buckets::new(), stamps: Buckets::new() }
    }

    #[inline(always)]
    pub fn entry(&self, id: PageId) -> Option<&Entry> {
        Some(&self.pairs.get(id.0 as usize / 2)?.0[id.0 as usize % 2])
    }

    /// Asks the processor to fetch the entries of a pair.
    pub fn prefetch(&self, id: PageId) {
        if let Some(entry) = self.entry(id) {
            line(std::ptr::from_ref(entry).cast());
        }
    }

    /// The entry of a page that may be new.
    pub fn grow_to(&self, id: PageId) -> &Entry {
        self.stamps.grow_to(Self::stretch_of(id));
        &self.pairs.grow_to(id.0 as usize / 2).0[id.0 as usize % 2]
    }

    /// Which stretch of entries, and so which table page, a page belongs to.
    pub fn stretch_of(id: PageId) -> usize {
        id.0 as usize / NUMBERS_PER_TABLE_PAGE
    }

    /// Notes that an entry of `id`'s stretch changed at `at`. Under the writer's turn, and before the commit is noted as installed: the lock under which that happens, and under which a
    /// checkpoint chooses its timestamp, orders the two.
    pub fn stamp(&self, id: PageId, at: Timestamp) {
        let stamp = self.stamps.grow_to(Self::stretch_of(id));
        if stamp.load(Ordering::Relaxed) < at.0 {
            stamp.store(at.0, Ordering::Relaxed);
        }
    }

    /// The newest timestamp that changed a stretch.
    pub fn stamp_of(&self, stretch: usize) -> Timestamp {
        Timestamp(self.stamps.get(stretch).map_or(0, |stamp| stamp.load(Ordering::Relaxed)))
    }
}
