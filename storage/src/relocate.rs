//! Moving newest versions to lower slots, so that the tail of the file becomes free and can be cut.
//!
//! A version never moves (law 1): the same bytes are committed again, in slots below. The old version goes like any other that was superseded.
//!
//! Promises:
//! 1. A page is moved only downwards, into slots that were free: the file never grows by it.
//! 2. What is at hand when a page is chosen is only a hint. Under the turn it is moved if it still lies where it lay, else left alone.
//! 3. A long version is copied before the turn is taken, and only its first slot is written under it.
//! 4. Dropped before the commit, everything is given back.

use crate::layout::{HEADER_BYTES, PageHeader, Run, SLOT_BYTES, slots_for};
use crate::read::Pin;
use crate::run_writer::RunWriter;
use crate::slots::CUT_SLOTS;
use crate::store::Store;
use crate::sync::{Arc, Ordering};
use crate::write_set::{State, WriteSet};
use crate::{Error, PageId, Result, Timestamp};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Versions of more slots than this (256 KiB) are copied before the turn is taken.
const LONG_SLOTS: u64 = 128;

/// Where the newest version of a page lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The page.
    pub id: PageId,
    /// Its slots.
    pub run: Run,
    /// Since when it is the newest.
    pub birth: Timestamp,
}

impl Placed {
    /// Whether it is so long that [`Store::copy_down`] should copy it, rather than [`WriteSet::move_down`].
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.run.slots > LONG_SLOTS
    }
}

/// What lies beyond some slot of the file.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    /// The newest versions that reach beyond it and may move: as many as were asked for, the highest first.
    pub movable: Vec<Placed>,
    /// How many slots those have that may not.
    pub held_slots: u64,
}

/// How full the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Slots of the file.
    pub end: u64,
    /// How many of them are in use: so many would do.
    pub used: u64,
}

/// What a transaction moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Pages.
    pub pages: u64,
    /// Their slots, in bytes.
    pub bytes: u64,
    /// Pages for which there is no room below.
    pub stuck: u64,
}

/// A copy of a long version in slots of its own, all but the first of which are written. Dropped before it is adopted it gives them back.
pub struct Copied {
    store: Arc<Store>,
    placed: Placed,
    run: Option<Run>,
    /// Of the bytes from the second slot on.
    rest: crc32fast::Hasher,
    /// The version stays as long as its copy may be used.
    _pin: Pin,
}

impl Store {
    /// How full the file is.
    #[must_use]
    pub fn extent(&self) -> Extent {
        let slots = self.slots.lock();
        Extent { end: slots.end(), used: slots.end() - slots.free_slots() }
    }

    /// How many runs of `slots` slots would find room without a longer file, counted up to `most`.
    #[must_use]
    pub fn room_for(&self, slots: u64, most: u64) -> u64 {
        self.slots.lock().room_for(slots, most)
    }

    /// Since when the newest version of a page is the newest.
    #[must_use]
    pub fn newest_birth(&self, id: PageId) -> Option<Timestamp> {
        self.table.entry(id).map(|entry| entry.load().1)
    }

    /// Looks at all pages for the newest versions that reach beyond slot `limit`: up to `most` of those that were born after `held`, which is a pin that will stay: what it
    /// sees would not be given back, wherever else it was.
    #[must_use]
    pub fn tail(&self, limit: u64, most: usize, held: Option<Timestamp>) -> Tail {
        // The lowest on top, to be replaced by a higher one.
        let mut highest = BinaryHeap::new();
        let mut held_slots = 0;
        let next = self.ids.lock().next;
        for id in (0..next).map(PageId) {
            let Some((place, birth)) = self.table.entry(id).map(|entry| entry.load()) else { continue };
            if !place.is_medium() {
                continue;
            }
            let Some(run) = self.run_of(place).filter(|run| run.end() > limit) else { continue };
            if held.is_some_and(|held| birth <= held) {
                held_slots += run.slots;
                continue;
            }
            let candidate = Reverse((run.start, run.slots, id, birth));
            if highest.len() < most {
                highest.push(candidate);
            } else if highest.peek().is_some_and(|lowest| candidate < *lowest) {
                highest.pop();
                highest.push(candidate);
            }
        }
        let movable = highest.into_sorted_vec().into_iter();
        let movable = movable.map(|Reverse((start, slots, id, birth))| Placed { id, run: Run { start, slots }, birth });
        Tail { movable: movable.collect(), held_slots }
    }

    /// From which slot on table pages must be written anew so that those beyond `limit` move, `most` of them at once; `None` when there are none.
    #[must_use]
    pub fn table_tail(&self, limit: u64, most: usize) -> Option<u64> {
        let mut starts: Vec<u64> =
            self.durable.read().runs().map(|run| run.start).filter(|start| *start >= limit).collect();
        // So does the list of named snapshots, if there is room for it below.
        let list = self.meta.lock().list.map(|list| list.run).filter(|run| run.start >= limit);
        starts.extend(list.filter(|run| self.slots.lock().has_room_below(run.slots, run.start)).map(|run| run.start));
        starts.sort_unstable_by_key(|start| Reverse(*start));
        starts.truncate(most);
        starts.last().copied()
    }

    /// From now on checkpoints write table pages that lie at or beyond this slot anew, changed or not; `None`: only those that changed.
    pub fn move_table_pages(&self, from: Option<u64>) {
        self.table_pages_from.store(from.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Cuts the free tail off the file: all of it, or only if it is so long that it is worth the call.
    pub fn cut_free_tail(&self, all: bool) {
        self.cut_tail(if all { 1 } else { CUT_SLOTS });
    }

    /// Looks at all pages for the newest versions that begin at slot `from` or beyond: the lowest `most` of them that were born after `held`, in the order in which they lie.
    #[must_use]
    pub fn behind(&self, from: u64, most: usize, held: Option<Timestamp>) -> Vec<Placed> {
        // The highest on top, to be replaced by a lower one.
        let mut lowest = BinaryHeap::new();
        let next = self.ids.lock().next;
        for id in (0..next).map(PageId) {
            let Some((place, birth)) = self.table.entry(id).map(|entry| entry.load()) else { continue };
            if !place.is_medium() || held.is_some_and(|held| birth <= held) {
                continue;
            }
            let Some(run) = self.run_of(place).filter(|run| run.start >= from) else { continue };
            let candidate = (run.start, run.slots, id, birth);
            if lowest.len() < most {
                lowest.push(candidate);
            } else if lowest.peek().is_some_and(|highest| candidate < *highest) {
                lowest.pop();
                lowest.push(candidate);
            }
        }
        let placed = lowest.into_sorted_vec().into_iter();
        placed.map(|(start, slots, id, birth)| Placed { id, run: Run { start, slots }, birth }).collect()
    }

    /// Copies a long version to slots below those where it is: see [`copy_below`](Store::copy_below).
    ///
    /// # Errors
    /// The same.
    pub fn copy_down(self: &Arc<Self>, placed: Placed) -> Result<Option<Copied>> {
        self.copy_below(placed, placed.run.start)
    }

    /// Copies a long version to free slots that begin below `limit`, without the turn: all but its first slot. `None` if there is no room, or it is not there any more.
    ///
    /// # Errors
    /// When it is damaged, or cannot be written.
    pub fn copy_below(self: &Arc<Self>, placed: Placed, limit: u64) -> Result<Option<Copied>> {
        let pin = self.pin_installed();
        pin.set_label("compaction");
        if !self.lies_at(placed) {
            return Ok(None);
        }
        // Checks the version, if nobody has met it yet.
        pin.page(placed.id)?;
        let Some(run) = self.slots.lock().allocate_below(placed.run.slots, limit) else { return Ok(None) };
        self.reserved.lock().push(run);
        let mut copied =
            Copied { store: self.clone(), placed, run: Some(run), rest: crc32fast::Hasher::new(), _pin: pin };
        let place = self.place_of(placed.run)?;
        // SAFETY: the pin was taken before the look that found the version there, so it retains it; it was checked above.
        let rest = unsafe { place.bytes() }.get(SLOT_BYTES..).unwrap_or_default();
        copied.rest.update(rest);
        let mut writer = RunWriter::new(self.medium()?);
        writer.write(Run { start: run.start + 1, slots: run.slots - 1 }, rest)?;
        let written = writer.finish()?;
        self.counters.bytes_written.fetch_add(written, Ordering::Relaxed);
        Ok(Some(copied))
    }

    /// Whether the newest version of the page is this one, here.
    fn lies_at(&self, placed: Placed) -> bool {
        let newest = self.table.entry(placed.id).map(|entry| entry.load());
        newest.is_some_and(|(place, birth)| {
            birth == placed.birth && place.is_medium() && self.run_of(place) == Some(placed.run)
        })
    }

    fn unreserve(&self, run: Run) {
        self.reserved.lock().retain(|reserved| *reserved != run);
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            self.store.unreserve(run);
            self.store.slots.lock().release(run);
        }
    }
}

impl WriteSet {
    /// Copies newest versions to free slots below those where they are. Pages that have changed or moved since they were looked at are passed over, as are those that this
    /// transaction has touched.
    ///
    /// # Errors
    /// When a version is damaged, or the copies cannot be written; then nothing has moved.
    pub fn move_down(&mut self, pages: &[Placed]) -> Result<Moved> {
        let (store, birth) = (self.store().clone(), self.birth());
        let mut writer = RunWriter::new(store.medium()?);
        let mut moved = Moved::default();
        let mut copies: Vec<(PageId, PageId, Run, u32)> = Vec::with_capacity(pages.len());
        let mut buffer = Vec::new();
        let mut copy = |placed: Placed| -> Result<()> {
            if self.desk.pages.contains(placed.id) || !store.lies_at(placed) {
                return Ok(());
            }
            // Checks the version, if nobody has met it yet.
            self.base.page(placed.id)?;
            let allocated = store.slots.lock().allocate_below(placed.run.slots, placed.run.start);
            let Some(run) = allocated else {
                moved.stuck += 1;
                return Ok(());
            };
            let place = store.place_of(placed.run)?;
            buffer.clear();
            // SAFETY: it is the newest version of its page, so it stays at least until the turn is passed on; it was checked above.
            buffer.extend_from_slice(unsafe { place.bytes() });
            let (crc, owner) = stamp_again(&mut buffer, &[], placed.id, birth);
            copies.push((placed.id, owner, run, crc));
            writer.write(run, &buffer)
        };
        let written = pages.iter().try_for_each(|placed| copy(*placed)).and_then(|()| writer.finish());
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                let mut slots = store.slots.lock();
                copies.into_iter().for_each(|(_, _, run, _)| slots.release(run));
                return Err(error);
            }
        };
        store.counters.bytes_written.fetch_add(written, Ordering::Relaxed);
        for (id, owner, run, crc) in copies {
            let place = store.place_of(run).expect("the run lies within the file");
            self.put(id, State::Spilled { place, crc }, owner, false);
            moved.pages += 1;
            moved.bytes += run.bytes();
        }
        Ok(moved)
    }

    /// Takes a copy that was made before the turn was taken; passes it over if the page has changed since.
    ///
    /// # Errors
    /// When its first slot cannot be written.
    pub fn adopt(&mut self, mut copied: Copied) -> Result<Moved> {
        let (store, birth, placed) = (self.store().clone(), self.birth(), copied.placed);
        let Some(run) = copied.run.filter(|_| !self.desk.pages.contains(placed.id) && store.lies_at(placed)) else {
            return Ok(Moved::default());
        };
        let from = store.place_of(placed.run)?;
        // SAFETY: the copy's pin retains the version, which was checked when the copy was begun.
        let bytes = unsafe { from.bytes() };
        let mut first = bytes[..bytes.len().min(SLOT_BYTES)].to_vec();
        let (crc, owner) = stamp_again(&mut first, &[copied.rest.clone()], placed.id, birth);
        let medium = store.medium()?;
        medium.write(run.offset(), &first).map_err(|source| Error::io("write", medium.path(), source))?;
        store.counters.bytes_written.fetch_add(first.len() as u64, Ordering::Relaxed);
        let place = store.place_of(run)?;
        copied.run = None;
        store.unreserve(run);
        self.put(placed.id, State::Spilled { place, crc }, owner, false);
        Ok(Moved { pages: 1, bytes: run.bytes(), stuck: 0 })
    }
}

/// How many slots a version with a body of `len` bytes occupies.
#[must_use]
pub fn slots_of_body(len: usize) -> u64 {
    slots_for(HEADER_BYTES + len)
}

/// Gives the bytes of a version another birth. Tells their checksum, that of what follows them included, and the page's owner.
fn stamp_again(bytes: &mut [u8], rest: &[crc32fast::Hasher], id: PageId, birth: Timestamp) -> (u32, PageId) {
    let old = PageHeader::read(bytes).expect("a version was checked to be longer than its header");
    PageHeader { id, birth, ..old }.write(&mut bytes[..HEADER_BYTES]);
    let mut crc = crc32fast::Hasher::new();
    crc.update(bytes);
    rest.iter().for_each(|rest| crc.combine(rest));
    (crc.finalize(), old.owner)
}

const _: () = assert!(LONG_SLOTS > 1, "a long version has a second slot");
