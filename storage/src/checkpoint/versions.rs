//! The versions of a checkpoint: which are new, where they are written, and that all learn of it.
//!
//! Promises:
//! 1. What is collected is what changed between the previous checkpoint and C, and of each page its state at C.
//! 2. A version in a frame gets slots that nobody uses; its frame stays what readers see until it is settled.
//! 3. It is settled in the page table first, by compare-and-swap, then in the history, always both: whichever a committer moves it to meanwhile, one of them finds it.
//! 4. Frames that somebody may be reading are kept for them.

use super::{Change, Checkpoint};
use crate::layout::{PageHeader, Run, slots_for};
use crate::place::Place;
use crate::run_writer::RunWriter;
use crate::store::Store;
use crate::sync::{Ordering, pass_on};
use crate::table::NUMBERS_PER_TABLE_PAGE;
use crate::table_page::DiskEntry;
use crate::write_set::PrivatePages;
use crate::{PageId, Result, Timestamp};

/// So many frames are retired before whoever waits for the reclaimer's lock gets it.
const RETIRED_AT_ONCE: usize = 64;

/// A version that a checkpoint gives slots to.
pub(super) struct Settling {
    pub id: PageId,
    pub birth: Timestamp,
    frame: Place,
    run: Run,
    crc: u32,
}

impl Checkpoint {
    /// Finds what changed since the previous checkpoint, stretch by stretch, apart from what is about to be superseded.
    pub(super) fn collect(&mut self, superseded: &PrivatePages) {
        for stretch in 0..(self.pages as usize).div_ceil(NUMBERS_PER_TABLE_PAGE) {
            if self.store.table.stamp_of(stretch) <= self.previous {
                continue;
            }
            let first = (stretch * NUMBERS_PER_TABLE_PAGE) as u32;
            for id in (first..self.pages.min(first + NUMBERS_PER_TABLE_PAGE as u32)).map(PageId) {
                if !superseded.contains(id) {
                    self.collect_page(id);
                }
            }
        }
    }

    pub(super) fn collect_page(&mut self, id: PageId) {
        let store = self.store.clone();
        let Some((place, birth, _)) = store.locate(id, self.at) else {
            // Not there at C. If it was at the previous checkpoint it has died since; exactly when, nobody can ask any more.
            let known = store.medium().ok().and_then(|medium| store.durable.read().entry(medium, id));
            if matches!(known, Some(DiskEntry::Version { .. } | DiskEntry::Register { .. })) {
                self.changes.push(Change { id, entry: DiskEntry::Dead { since: self.at } });
            }
            return;
        };
        if birth <= self.previous {
            return;
        }
        if let Some(value) = place.as_immediate() {
            self.changes.push(Change { id, entry: DiskEntry::Register { value, birth } });
        } else if place.is_frame() {
            let owner = self.owner_of(place);
            // Until it has slots, `run.start` holds the owner to sort by.
            let run = Run { start: u64::from(owner.0), slots: 0 };
            self.settling.push(Settling { id, birth, frame: place, run, crc: 0 });
        } else {
            let spilled = store.spilled.lock().get(&(id, birth)).copied();
            let crc = spilled.expect("a version in slots is older, or spilled");
            let run = store.run_of(place).expect("a version's place lies in the medium");
            self.changes.push(Change { id, entry: DiskEntry::Version { run, birth, crc } });
        }
    }

    fn owner_of(&self, frame: Place) -> PageId {
        // SAFETY: our registration at C retains the version.
        PageHeader::read(unsafe { frame.bytes() }).map_or(PageId::NONE, |header| header.owner)
    }

    /// Step 2.
    pub(super) fn write_versions(&mut self) -> Result<()> {
        // A tree's pages together, in the order of their numbers.
        self.settling.sort_unstable_by_key(|settling| (settling.run.start, settling.id));
        let store = self.store.clone();
        let mut writer = RunWriter::new(store.medium()?);
        store.counters.checkpoint_versions_done.store(0, Ordering::Relaxed);
        store.counters.checkpoint_versions.store(self.settling.len() as u64, Ordering::Relaxed);
        for settling in &mut self.settling {
            // SAFETY: our registration at C retains the version, and frames are not written once handed over.
            let bytes = unsafe { settling.frame.bytes() };
            settling.crc = crc32fast::hash(bytes);
            settling.run = store.allocate_run(&mut store.slots.lock(), slots_for(bytes.len()))?;
            self.taken.push(settling.run);
            writer.write(settling.run, bytes)?;
            store.counters.checkpoint_versions_done.fetch_add(1, Ordering::Relaxed);
            self.changes.push(Change {
                id: settling.id,
                entry: DiskEntry::Version { run: settling.run, birth: settling.birth, crc: settling.crc },
            });
        }
        let written = writer.finish()?;
        store.counters.bytes_written.fetch_add(written, Ordering::Relaxed);
        store.counters.versions_written.fetch_add(self.settling.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Steps 5 and 6.
    pub(super) fn settle(&mut self) {
        let store = self.store.clone();
        for settling in &self.settling {
            let place = store.place_of(settling.run).expect("the run was written");
            if let Some(entry) = store.table.entry(settling.id) {
                entry.replace_place(settling.frame, place);
            }
            // Always, even if the table had it: a committer may just have moved the frame's place here.
            store.history.replace_place(settling.id, settling.birth, |old| {
                if old.is_frame() {
                    store.counters.slots_retained.fetch_add(place.slots(), Ordering::Relaxed);
                }
                place
            });
        }
        drop(self.pin.take());
        let readers = store.reclaimer.lock().readers_of_settled(&store);
        let settled = std::mem::take(&mut self.settling);
        for some in settled.chunks(RETIRED_AT_ONCE) {
            // Ends are looked up without the lock that commits need. If one comes meanwhile the frame is kept for somebody who finds slots, at worst.
            let retired: Vec<_> = some.iter().map(|settling| settling.life(&store)).collect();
            let mut reclaimer = store.reclaimer.lock();
            reclaimer.retire_frames(&store, &retired, &readers);
            pass_on(reclaimer);
        }
        // What only the previous checkpoint needed is free now.
        store.reclaim(64 + 2 * settled.len());
    }
}

impl Settling {
    /// The frame, and the life of the version that was there.
    fn life(&self, store: &Store) -> (Place, Timestamp, Timestamp) {
        let Settling { id, birth, frame, .. } = *self;
        let is_newest = store.table.entry(id).is_some_and(|entry| entry.load().1 == birth);
        let end = match store.history.get(id, birth) {
            Some(version) => version.end,
            None if is_newest => Timestamp::MAX,
            // Given back already: nobody can be reading it.
            None => birth,
        };
        (frame, birth, end)
    }
}
