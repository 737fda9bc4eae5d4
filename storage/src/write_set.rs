//! The private pages of the transaction that has the writer's turn.
//!
//! Promises:
//! 1. Nothing that is here can be seen by anybody else before [`WriteSet::install`]; dropping it gives everything back.
//! 2. It reads the newest installed state, and its own changes over it.
//! 3. Beyond the spill limit private pages go to free slots; the memory held between calls stays near the limit.
//!    Pages that are finished go sooner, if the transaction is to be written out anyway.
//! 4. Rolling back to a savepoint restores pages, registers and page numbers exactly as they were.

use crate::frame::Frame;
use crate::layout::{HEADER_BYTES, MAX_VERSION_BYTES, PageHeader, SLOT_BYTES, slots_for};
use crate::pins::ReaderKind;
use crate::place::{MAX_REGISTER, Place};
use crate::prefetch::{CACHE_LINE, Hint, line, prefetch};
use crate::read::Pin;
use crate::run_writer::RunWriter;
use crate::store::{Store, TurnGuard};
use crate::sync::{Arc, Ordering};
use crate::turn::Patience;
use crate::{Error, PageId, PageMap, Result, Timestamp};

/// A transaction with so many bytes of finished pages will hardly fit in a journal's record.
const WRITE_AHEAD_FROM: usize = 16 << 20;
/// So many bytes of finished pages are written out together: few enough that they are still in the processor's cache.
const WRITE_AHEAD_BYTES: usize = 2 << 20;

/// The bytes of a page that is private already that are worth asking for: header and arrays.
const COPIED_HEAD: usize = 5 * CACHE_LINE;

/// The state of a page that the transaction has touched.
pub(crate) enum State {
    /// In memory; `len` bytes of the body are used.
    Frame {
        frame: Frame,
        len: usize,
    },
    /// In slots of the file that nothing else refers to.
    Spilled {
        place: Place,
        crc: u32,
    },
    Register(u64),
    Freed,
}

/// A page that the transaction has touched.
pub(crate) struct Private {
    pub state: State,
    pub owner: PageId,
    /// Made by this transaction, so that nobody else knows the page.
    pub fresh: bool,
    /// The savepoint that was the newest when this state began.
    epoch: u32,
}

/// What rolling back to a savepoint must put back: the earlier states of the pages touched since; `None` for untouched before.
#[derive(Default)]
struct Undo {
    saved: PageMap<Option<Private>>,
}

/// A point inside a transaction that it can be rolled back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint {
    depth: usize,
    serial: u64,
}

/// A page's body in the hands of the transaction, to be changed in place.
#[derive(Debug)]
pub struct BodyMut<'a> {
    /// All of the body's memory; used bytes first.
    pub body: &'a mut [u8],
    /// How many bytes are used.
    pub len: &'a mut usize,
}

/// The private pages of one transaction.
pub struct WriteSet {
    // Dropped in this order: the registration before the turn is passed on.
    pub(crate) base: Pin,
    pub(crate) turn: TurnGuard,
    pub(crate) pages: PageMap<Private>,
    undo: Vec<(u64, Undo)>,
    epoch: u32,
    next_serial: u64,
    /// Page numbers that this transaction took and gave up again.
    spare_ids: Vec<PageId>,
    frame_bytes: usize,
    /// Pages that will not be changed again soon and were not written out yet; and the bytes of all that there ever were.
    finished: Vec<PageId>,
    finished_bytes: usize,
    /// What is spilled gathers here. Memory that was never touched before costs more than what is done with it.
    spill_buffer: Vec<u8>,
}

impl Store {
    /// Waits for the writer's turn, and begins a transaction on the newest installed state. `None` when patience ran out.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub fn begin(self: &Arc<Self>, patience: Patience) -> Result<Option<WriteSet>> {
        self.check_writable()?;
        let Some(turn) = self.take_turn(patience) else { return Ok(None) };
        self.check_writable()?;
        let base = self.pin_at(self.clock.installed(), ReaderKind::Writer);
        Ok(Some(WriteSet {
            base,
            turn,
            pages: PageMap::default(),
            undo: Vec::new(),
            epoch: 0,
            next_serial: 0,
            spare_ids: Vec::new(),
            frame_bytes: 0,
            finished: Vec::new(),
            finished_bytes: 0,
            spill_buffer: Vec::new(),
        }))
    }
}

impl WriteSet {
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.turn.store
    }

    /// The commit that this transaction began after.
    #[must_use]
    pub fn base(&self) -> Timestamp {
        self.base.at()
    }

    /// The registration that keeps the state readable which this transaction began after.
    #[must_use]
    pub fn base_pin(&self) -> &Pin {
        &self.base
    }

    /// The timestamp that this transaction's commit will have.
    pub(crate) fn birth(&self) -> Timestamp {
        self.base.at().next()
    }

    /// How many pages and registers the transaction has touched.
    #[must_use]
    pub fn touched(&self) -> usize {
        self.pages.len()
    }

    /// The numbers of the pages that the transaction has touched, in no order.
    #[must_use]
    pub fn touched_pages(&self) -> Vec<PageId> {
        let pages = self.pages.iter().filter(|(_, private)| !matches!(private.state, State::Register(_)));
        pages.map(|(id, _)| *id).collect()
    }

    /// The body bytes of a page of the usual size.
    #[must_use]
    pub fn body_capacity(&self) -> usize {
        self.store().page_size() - HEADER_BYTES
    }

    /// The body of a page as this transaction sees it.
    ///
    /// # Errors
    /// When there is no such page, or it is damaged.
    pub fn page(&self, id: PageId) -> Result<&[u8]> {
        match self.pages.get(&id) {
            None => self.base.page(id),
            Some(private) => self.private_body(id, &private.state),
        }
    }

    fn private_body<'s>(&'s self, id: PageId, state: &'s State) -> Result<&'s [u8]> {
        match state {
            State::Frame { frame, len } => Ok(&frame.body()[..*len]),
            // SAFETY: the slots are this transaction's own, written once and given back only through `&mut self`.
            State::Spilled { place, .. } => Ok(unsafe { place.body() }),
            State::Register(_) => Err(Error::damaged_page(id, None, "it is a register where a page was expected")),
            State::Freed => Err(Error::NoSuchPage { page: id, at: self.birth() }),
        }
    }

    /// Asks the processor to fetch the beginning of a page.
    pub fn prefetch(&self, id: PageId) {
        self.base.prefetch(id);
    }

    /// Asks the processor to fetch all of a page that will be changed soon: the first change copies it.
    pub fn prefetch_to_change(&self, id: PageId) {
        if let Some(Private { state: State::Frame { frame, .. }, .. }) = self.pages.get(&id) {
            prefetch(&frame.bytes()[..COPIED_HEAD]);
        } else if let Some(entry) = self.store().table.entry(id) {
            self.prefetch_whole(entry.load().0);
        }
    }

    fn prefetch_whole(&self, place: Place) {
        if place.is_direct() {
            let lines = (place.slots() as usize * SLOT_BYTES).min(self.store().page_size()) / CACHE_LINE;
            (0..lines).for_each(|number| line(place.address().wrapping_add(number * CACHE_LINE)));
        }
    }

    /// Where a page begins, to ask for more of it than [`prefetch`](WriteSet::prefetch) does.
    #[inline]
    pub fn hint(&self, id: PageId) -> Hint {
        self.base.hint(id)
    }

    /// The page, if it is private already, belongs to the newest savepoint, and has room for `capacity` bytes of body.
    #[inline]
    pub fn private_page(&mut self, id: PageId, capacity: usize) -> Option<BodyMut<'_>> {
        let epoch = self.epoch;
        match self.pages.get_mut(&id) {
            Some(Private { state: State::Frame { frame, len }, epoch: since, .. })
                if *since == epoch && frame.capacity() >= HEADER_BYTES + capacity =>
            {
                Some(BodyMut { body: frame.body_mut(), len })
            }
            _ => None,
        }
    }

    /// A private copy of a page with room for `capacity` bytes of body; what was used stays.
    ///
    /// # Errors
    /// When there is no such page, it is damaged, too large, or the file cannot take what must spill.
    pub fn page_mut(&mut self, id: PageId, capacity: usize) -> Result<BodyMut<'_>> {
        self.own(id, capacity, true)
    }

    /// As [`page_mut`](WriteSet::page_mut), but for a page all of which is to be written anew: nothing needs to stay.
    ///
    /// # Errors
    /// The same.
    pub fn page_anew(&mut self, id: PageId, capacity: usize) -> Result<BodyMut<'_>> {
        self.own(id, capacity, false)
    }

    fn own(&mut self, id: PageId, capacity: usize, stays: bool) -> Result<BodyMut<'_>> {
        let epoch = self.epoch;
        let at_hand = self.pages.get(&id).is_some_and(|private| {
            private.epoch == epoch
                && matches!(&private.state, State::Frame { frame, .. } if frame.capacity() >= HEADER_BYTES + capacity)
        });
        if !at_hand {
            self.make_private(id, capacity, stays)?;
        }
        match self.pages.get_mut(&id).map(|private| &mut private.state) {
            Some(State::Frame { frame, len }) => Ok(BodyMut { body: frame.body_mut(), len }),
            _ => unreachable!("the page was made private above"),
        }
    }

    /// Puts the page into a frame of its own that belongs to the newest savepoint, with what it holds if that `stays`.
    fn make_private(&mut self, id: PageId, capacity: usize, stays: bool) -> Result<()> {
        check_len(capacity)?;
        self.spill_if_needed()?;
        let (used, owner, fresh) = match self.pages.get(&id) {
            Some(private) => (self.private_body(id, &private.state)?, private.owner, private.fresh),
            None => {
                let place = self.base.place(id)?;
                if stays {
                    self.prefetch_whole(place);
                }
                // SAFETY: the version of `id` that our registration retains, as in `Pin::page`.
                let (body, bytes) = unsafe { (place.body(), place.bytes()) };
                (body, PageHeader::read(bytes).map_or(PageId::NONE, |header| header.owner), false)
            }
        };
        let kept = if stays { used.len() } else { 0 };
        let mut frame = self.store().frames.take(HEADER_BYTES + capacity.max(kept).max(self.body_capacity()));
        frame.body_mut()[..kept].copy_from_slice(&used[..kept]);
        self.frame_bytes += frame.capacity();
        self.put(id, State::Frame { frame, len: kept }, owner, fresh);
        Ok(())
    }

    /// Gives a page a new state, and keeps the old one if a savepoint may need it.
    pub(crate) fn put(&mut self, id: PageId, state: State, owner: PageId, fresh: bool) {
        let private = Private { state, owner, fresh, epoch: self.epoch };
        let old = self.pages.insert(id, private);
        self.keep_or_drop(id, old);
    }

    fn keep_or_drop(&mut self, id: PageId, old: Option<Private>) {
        match (self.undo.last_mut(), old) {
            (Some((_, undo)), None) => {
                undo.saved.entry(id).or_insert(None);
            }
            (Some((_, undo)), Some(old)) if old.epoch < self.epoch => {
                undo.saved.entry(id).or_insert(Some(old));
            }
            (_, Some(old)) => self.discard(old.state),
            (None, None) => {}
        }
    }

    /// Gives back what a state holds.
    fn discard(&mut self, state: State) {
        let store = self.turn.store.clone();
        match state {
            State::Frame { frame, .. } => {
                self.frame_bytes -= frame.capacity();
                store.frames.give_back(frame);
            }
            State::Spilled { place, .. } => {
                if let Some(run) = store.run_of(place) {
                    store.slots.lock().release(run);
                }
            }
            State::Register(_) | State::Freed => {}
        }
    }

    fn take_id(&mut self) -> Result<PageId> {
        if let Some(id) = self.spare_ids.pop() {
            return Ok(id);
        }
        let mut ids = self.turn.store.ids.lock();
        if let Some(id) = ids.free.pop() {
            return Ok(id);
        }
        let id = PageId(ids.next);
        if id == PageId::NONE {
            return Err(Error::OutOfPages);
        }
        ids.next += 1;
        Ok(id)
    }

    /// A new page with room for `capacity` bytes of body, of which none is used. `owner` says whose it is; [`PageId::NONE`]: its own.
    ///
    /// # Errors
    /// When it is too large, page numbers have run out, or the file cannot take what must spill.
    pub fn allocate(&mut self, owner: PageId, capacity: usize) -> Result<PageId> {
        check_len(capacity)?;
        self.spill_if_needed()?;
        let id = self.take_id()?;
        let frame = self.store().frames.take(HEADER_BYTES + capacity.max(self.body_capacity()));
        self.frame_bytes += frame.capacity();
        let owner = if owner == PageId::NONE { id } else { owner };
        self.put(id, State::Frame { frame, len: 0 }, owner, true);
        Ok(id)
    }

    /// Gives a page or a register back. Older timestamps go on reading it.
    ///
    /// # Errors
    /// When there is no such page.
    pub fn free(&mut self, id: PageId) -> Result<()> {
        let (owner, fresh, newest) = match self.pages.get(&id) {
            Some(Private { state: State::Freed, .. }) => return Err(Error::NoSuchPage { page: id, at: self.birth() }),
            Some(private) => (private.owner, private.fresh, private.epoch == self.epoch),
            None if self.store().locate(id, self.base.at()).is_none() => {
                return Err(Error::NoSuchPage { page: id, at: self.birth() });
            }
            None => (PageId::NONE, false, true),
        };
        let needed_by_savepoint =
            self.undo.last().is_some_and(|(_, undo)| matches!(undo.saved.get(&id), Some(Some(_))));
        if fresh && newest && !needed_by_savepoint {
            // Nobody ever knew of it, no savepoint either: as if it had never been.
            let private = self.pages.remove(&id);
            private.into_iter().for_each(|private| self.discard(private.state));
            self.spare_ids.push(id);
        } else {
            self.put(id, State::Freed, owner, fresh);
        }
        Ok(())
    }

    /// A new register.
    ///
    /// # Errors
    /// When page numbers have run out.
    pub fn allocate_register(&mut self, value: u64) -> Result<PageId> {
        let id = self.take_id()?;
        self.put(id, State::Register(value.min(MAX_REGISTER)), PageId::NONE, true);
        Ok(id)
    }

    /// The value of a register as this transaction sees it.
    ///
    /// # Errors
    /// When there is no such register.
    pub fn register(&self, id: PageId) -> Result<u64> {
        match self.pages.get(&id).map(|private| &private.state) {
            None => self.base.register(id),
            Some(State::Register(value)) => Ok(*value),
            Some(_) => Err(Error::damaged_page(id, None, "it is a page where a register was expected")),
        }
    }

    /// Sets a register.
    ///
    /// # Errors
    /// When there is no such register.
    pub fn set_register(&mut self, id: PageId, value: u64) -> Result<()> {
        if self.register(id)? != value {
            let fresh = self.pages.get(&id).is_some_and(|private| private.fresh);
            self.put(id, State::Register(value.min(MAX_REGISTER)), PageId::NONE, fresh);
        }
        Ok(())
    }

    /// Marks the state as it is now, so that it can be gone back to.
    pub fn savepoint(&mut self) -> Savepoint {
        self.epoch += 1;
        let serial = self.next_serial;
        self.next_serial += 1;
        self.undo.push((serial, Undo::default()));
        Savepoint { depth: self.undo.len() - 1, serial }
    }

    /// Whether a savepoint is of this transaction and has not been rolled back over.
    #[must_use]
    pub fn has_savepoint(&self, savepoint: Savepoint) -> bool {
        self.undo.get(savepoint.depth).is_some_and(|(serial, _)| *serial == savepoint.serial)
    }

    /// Goes back to a savepoint, which stays; savepoints made after it are gone. `false`, and nothing done, when it is gone itself.
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> bool {
        if !self.has_savepoint(savepoint) {
            return false;
        }
        while self.undo.len() > savepoint.depth {
            let Some((_, undo)) = self.undo.pop() else { break };
            for (id, saved) in undo.saved {
                if let Some(private) = self.pages.remove(&id) {
                    if saved.is_none() && private.fresh {
                        self.spare_ids.push(id);
                    }
                    self.discard(private.state);
                }
                if let Some(saved) = saved {
                    self.pages.insert(id, saved);
                }
            }
        }
        self.undo.push((savepoint.serial, Undo::default()));
        true
    }

    fn spill_if_needed(&mut self) -> Result<()> {
        if self.frame_bytes > self.store().options.spill && !self.store().is_in_memory() {
            self.spill()?;
        }
        Ok(())
    }

    /// A hint that a page will not be changed again soon. Once there are many, the transaction will be written out before its commit in any
    /// case, and finished pages go at once.
    ///
    /// # Errors
    /// When it is written out and the file cannot take it.
    #[inline]
    pub fn finished(&mut self, id: PageId) -> Result<()> {
        self.finished.push(id);
        self.finished_bytes += self.store().page_size();
        let is_due = self.finished_bytes >= WRITE_AHEAD_FROM
            && self.finished.len() * self.store().page_size() >= WRITE_AHEAD_BYTES
            && !self.store().is_in_memory();
        if is_due { self.spill_finished() } else { Ok(()) }
    }

    fn spill_finished(&mut self) -> Result<()> {
        let finished = std::mem::take(&mut self.finished);
        let targets = finished.iter().filter_map(|id| Some((self.pages.get(id)?.owner, *id, None))).collect();
        let result = self.spill_all(targets);
        self.finished = finished;
        self.finished.clear();
        result
    }

    /// Writes the private pages to free slots, and lets their frames go. Without a sync: the checkpoint that makes them durable does that.
    pub(crate) fn spill(&mut self) -> Result<()> {
        // What savepoints keep counts as well, or a large transaction with a savepoint would spill at every step.
        let generations = std::iter::once(None).chain((0..self.undo.len()).map(Some));
        let targets = generations
            .flat_map(|generation| {
                self.generation(generation).map(move |(id, private)| (private.owner, id, generation))
            })
            .collect();
        self.spill_all(targets)
    }

    /// Writes pages, each named by its owner, its number and whose state of it is meant, to free slots. What is not in a frame is passed over.
    fn spill_all(&mut self, mut targets: Vec<(PageId, PageId, Option<usize>)>) -> Result<()> {
        let (store, birth) = (self.turn.store.clone(), self.birth());
        targets.sort_unstable();
        targets.dedup();
        let mut writer = RunWriter::with_buffer(store.medium()?, std::mem::take(&mut self.spill_buffer));
        let mut spilled = Vec::with_capacity(targets.len());
        let mut result = Ok(());
        let count = targets.len();
        for (number, (_, id, generation)) in targets.into_iter().enumerate() {
            let private = self.private_mut(id, generation);
            let Some(Private { state: State::Frame { frame, len }, owner, .. }) = private else { continue };
            let bytes = stamp(frame, id, *owner, birth, *len);
            let run = store.allocate_run_of(count - number, &mut store.slots.lock(), slots_for(bytes.len()));
            result = run.and_then(|run| {
                spilled.push((id, generation, run, crc32fast::hash(bytes)));
                writer.write(run, bytes)
            });
            if result.is_err() {
                break;
            }
        }
        let written = result.and_then(|()| writer.finish());
        self.spill_buffer = writer.into_buffer();
        match written {
            Ok(bytes) => {
                store.counters.versions_spilled.fetch_add(spilled.len() as u64, Ordering::Relaxed);
                store.counters.bytes_written.fetch_add(bytes, Ordering::Relaxed);
            }
            Err(error) => {
                let mut slots = store.slots.lock();
                spilled.into_iter().for_each(|(_, _, run, _)| slots.release(run));
                return Err(error);
            }
        }
        for (id, generation, run, crc) in spilled {
            let place = store.place_of(run)?;
            let Some(private) = self.private_mut(id, generation) else { continue };
            if !matches!(private.state, State::Frame { .. }) {
                continue;
            }
            let old = std::mem::replace(&mut private.state, State::Spilled { place, crc });
            self.discard(old);
        }
        Ok(())
    }

    /// The pages of the present, or those that a savepoint keeps, that are in frames.
    fn generation(&self, generation: Option<usize>) -> impl Iterator<Item = (PageId, &Private)> {
        let present = generation.is_none().then_some(&self.pages).into_iter().flatten();
        let saved = generation.map(|index| &self.undo[index].1.saved).into_iter().flatten();
        let saved = saved.filter_map(|(id, saved)| Some((id, saved.as_ref()?)));
        present
            .chain(saved)
            .filter(|(_, private)| matches!(private.state, State::Frame { .. }))
            .map(|(id, private)| (*id, private))
    }

    fn private_mut(&mut self, id: PageId, generation: Option<usize>) -> Option<&mut Private> {
        match generation {
            None => self.pages.get_mut(&id),
            Some(index) => self.undo[index].1.saved.get_mut(&id)?.as_mut(),
        }
    }

    /// Takes everything out: the present state of each page, and what savepoints kept of it.
    pub(crate) fn take_all(&mut self) -> (PageMap<Private>, Vec<Private>) {
        let saved = std::mem::take(&mut self.undo).into_iter().flat_map(|(_, undo)| undo.saved.into_values().flatten());
        let saved = saved.collect();
        (std::mem::take(&mut self.pages), saved)
    }

    /// Gives up what savepoints keep: there is no going back any more.
    pub(crate) fn forget_savepoints(&mut self) {
        let undo = std::mem::take(&mut self.undo);
        let saved = undo.into_iter().flat_map(|(_, undo)| undo.saved.into_values().flatten());
        saved.collect::<Vec<_>>().into_iter().for_each(|private| self.discard(private.state));
    }

    /// Gives back what a private page holds.
    pub(crate) fn give_up(&mut self, private: Private) {
        self.discard(private.state);
    }
}

/// Writes the header of a version, and returns its bytes.
pub(crate) fn stamp(frame: &mut Frame, id: PageId, owner: PageId, birth: Timestamp, body_len: usize) -> &[u8] {
    let length = HEADER_BYTES + body_len;
    PageHeader { id, owner, birth, length: length as u32 }.write(frame.bytes_mut());
    &frame.bytes()[..length]
}

fn check_len(body: usize) -> Result<()> {
    let (len, max) = (body.saturating_add(HEADER_BYTES), MAX_VERSION_BYTES);
    if len > max { Err(Error::PageTooLarge { len, max }) } else { Ok(()) }
}

impl Drop for WriteSet {
    fn drop(&mut self) {
        let (pages, saved) = self.take_all();
        let mut spare = std::mem::take(&mut self.spare_ids);
        for (id, private) in pages {
            // A page made before a savepoint and freed after it is here too, so what savepoints kept names no other numbers.
            if private.fresh {
                spare.push(id);
            }
            self.give_up(private);
        }
        saved.into_iter().for_each(|private| self.give_up(private));
        self.turn.store.ids.lock().free.extend(spare.into_iter().rev());
    }
}
