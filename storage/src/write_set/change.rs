//! Changing pages and registers in a transaction.
//!
//! Promises:
//! 1. Before anything is changed there is a private copy of it, with all that stays and with the room that was asked for.
//! 2. A page that nobody else ever knew leaves nothing behind when it is freed: its number is the next to be used.
//! 3. Where memory is taken, what must spill has spilled before.

use super::{BodyMut, Private, State, WriteSet, stamp};
use crate::frame::Frame;
use crate::layout::{HEADER_BYTES, MAX_VERSION_BYTES, PageHeader};
use crate::place::MAX_REGISTER;
use crate::{Error, PageId, Result};

/// Memory for a page that is not there yet, in the hands of who writes it.
#[derive(Debug)]
#[must_use = "it is to be put somewhere, or given back"]
pub struct Blank(Frame);

impl Blank {
    /// All of the body's memory, of any content.
    #[inline]
    pub fn body_mut(&mut self) -> &mut [u8] {
        self.0.body_mut()
    }
}

impl WriteSet {
    /// The page, if it is private already, belongs to the newest savepoint, and has room for `capacity` bytes of body.
    #[inline]
    pub fn private_page(&mut self, id: PageId, capacity: usize) -> Option<BodyMut<'_>> {
        let epoch = self.desk.epoch;
        match self.desk.pages.get_mut(id) {
            Some(Private { state: State::Frame { frame, len, is_stamped }, epoch: since, .. })
                if *since == epoch && frame.capacity() >= HEADER_BYTES + capacity =>
            {
                *is_stamped = false;
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
        let epoch = self.desk.epoch;
        let at_hand = self.desk.pages.get(id).is_some_and(|private| {
            private.epoch == epoch
                && matches!(&private.state, State::Frame { frame, .. } if frame.capacity() >= HEADER_BYTES + capacity)
        });
        if !at_hand {
            self.make_private(id, capacity, stays)?;
        }
        match self.desk.pages.get_mut(id).map(|private| &mut private.state) {
            Some(State::Frame { frame, len, is_stamped }) => {
                *is_stamped = false;
                Ok(BodyMut { body: frame.body_mut(), len })
            }
            _ => unreachable!("the page was made private above"),
        }
    }

    /// Puts the page into a frame of its own that belongs to the newest savepoint, with what it holds if that `stays`.
    fn make_private(&mut self, id: PageId, capacity: usize, stays: bool) -> Result<()> {
        check_len(capacity)?;
        self.spill_if_needed()?;
        let (used, owner, fresh) = match self.desk.pages.get(id) {
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
        let mut frame = self.store().frames.take(HEADER_BYTES + capacity.max(kept));
        frame.body_mut()[..kept].copy_from_slice(&used[..kept]);
        self.desk.frame_bytes += frame.capacity();
        self.put(id, State::Frame { frame, len: kept, is_stamped: false }, owner, fresh);
        Ok(())
    }

    /// Gives a page a new state, and keeps the old one if a savepoint may need it.
    // A state that is handed on through memory is waited for.
    #[inline(always)]
    pub(crate) fn put(&mut self, id: PageId, state: State, owner: PageId, fresh: bool) {
        let private = Private { state, owner, fresh, epoch: self.desk.epoch };
        let old = self.desk.pages.insert(id, private);
        self.keep_or_drop(id, old);
    }

    /// A new page with room for `capacity` bytes of body, of which none is used. `owner` says whose it is; [`PageId::NONE`]: its own.
    ///
    /// # Errors
    /// When it is too large, page numbers have run out, or the file cannot take what must spill.
    pub fn allocate(&mut self, owner: PageId, capacity: usize) -> Result<PageId> {
        check_len(capacity)?;
        self.spill_if_needed()?;
        let id = self.take_id()?;
        let owner = if owner == PageId::NONE { id } else { owner };
        self.put_empty(id, owner, capacity, true);
        Ok(id)
    }

    fn put_empty(&mut self, id: PageId, owner: PageId, capacity: usize, fresh: bool) {
        let frame = self.store().frames.take(HEADER_BYTES + capacity);
        self.desk.frame_bytes += frame.capacity();
        self.put(id, State::Frame { frame, len: 0, is_stamped: false }, owner, fresh);
    }

    /// A new page beside another, with the number that was kept for it; `None` if there is such a page already. Otherwise as [`allocate`](WriteSet::allocate).
    ///
    /// # Errors
    /// When it is too large, or the file cannot take what must spill.
    pub fn allocate_beside(&mut self, id: PageId, owner: PageId, capacity: usize) -> Result<Option<PageId>> {
        check_len(capacity)?;
        let Some(beside) = id.beside() else { return Ok(None) };
        let fresh = match self.desk.pages.get(beside) {
            Some(Private { state: State::Freed, fresh, .. }) => *fresh,
            Some(_) => return Ok(None),
            None if self.store().locate(beside, self.base.at()).is_some() => return Ok(None),
            None => true,
        };
        self.spill_if_needed()?;
        let owner = if owner == PageId::NONE { beside } else { owner };
        self.put_empty(beside, owner, capacity, fresh);
        Ok(Some(beside))
    }

    /// Memory for at least `capacity` bytes of body, to be written while everything can still be read.
    ///
    /// # Errors
    /// When that is too much for a page, or the file cannot take what must spill.
    #[inline]
    pub fn blank(&mut self, capacity: usize) -> Result<Blank> {
        check_len(capacity)?;
        self.spill_if_needed()?;
        Ok(Blank(self.store().frames.take(HEADER_BYTES + capacity)))
    }

    /// Takes memory back that nothing came of.
    pub fn give_back(&self, blank: Blank) {
        self.store().frames.give_back(blank.0);
    }

    /// Makes the first `len` bytes of `blank` what a page holds. `owner` as for [`allocate`](WriteSet::allocate).
    ///
    /// # Errors
    /// When there is no such page.
    pub fn put_anew(&mut self, id: PageId, owner: PageId, blank: Blank, len: usize) -> Result<()> {
        if self.has_page(id) != Some(true) {
            self.give_back(blank);
            return Err(Error::NoSuchPage { page: id, at: self.birth() });
        }
        self.put_blank(id, owner, blank, len, false);
        Ok(())
    }

    /// The same, of the page beside another, which is made if there is none. `false`: there can be none beside that page.
    pub fn put_beside(&mut self, id: PageId, owner: PageId, blank: Blank, len: usize) -> bool {
        // A register stands there in a damaged store only; it is not written over.
        let there = id.beside().and_then(|beside| Some((beside, self.has_page(beside)?)));
        match there {
            Some((beside, is_there)) => self.put_blank(beside, owner, blank, len, !is_there),
            None => self.give_back(blank),
        }
        there.is_some()
    }

    /// Whether a page stands under this number, or nothing; `None`: a register.
    fn has_page(&self, id: PageId) -> Option<bool> {
        match self.desk.pages.get(id).map(|private| &private.state) {
            Some(State::Frame { .. } | State::Spilled { .. }) => Some(true),
            Some(State::Freed) => Some(false),
            Some(State::Register(_)) => None,
            None => match self.store().locate(id, self.base.at()) {
                None => Some(false),
                Some((place, ..)) => place.as_immediate().is_none().then_some(true),
            },
        }
    }

    /// `is_new`: nobody knows such a page, unless this transaction does.
    fn put_blank(&mut self, id: PageId, owner: PageId, blank: Blank, len: usize, is_new: bool) {
        let fresh = self.desk.pages.get(id).map_or(is_new, |private| private.fresh);
        let owner = if owner == PageId::NONE { id } else { owner };
        let mut frame = blank.0;
        self.desk.frame_bytes += frame.capacity();
        // Now, while it is at hand: most likely it stays as it is.
        stamp(&mut frame, id, owner, self.birth(), len);
        self.put(id, State::Frame { frame, len, is_stamped: true }, owner, fresh);
    }

    /// Gives a page or a register back. Older timestamps go on reading it.
    ///
    /// # Errors
    /// When there is no such page.
    pub fn free(&mut self, id: PageId) -> Result<()> {
        let (owner, fresh, newest) = match self.desk.pages.get(id) {
            Some(Private { state: State::Freed, .. }) => return Err(Error::NoSuchPage { page: id, at: self.birth() }),
            Some(private) => (private.owner, private.fresh, private.epoch == self.desk.epoch),
            None if self.store().locate(id, self.base.at()).is_none() => {
                return Err(Error::NoSuchPage { page: id, at: self.birth() });
            }
            None => (PageId::NONE, false, true),
        };
        let needed_by_savepoint =
            self.desk.undo.last().is_some_and(|(_, undo)| matches!(undo.saved.get(&id), Some(Some(_))));
        if fresh && newest && !needed_by_savepoint {
            // Nobody ever knew of it, no savepoint either: as if it had never been.
            let private = self.desk.pages.remove(id);
            private.into_iter().for_each(|private| self.discard(private.state));
            self.desk.spare_ids.extend(id.if_given_out());
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

    /// Sets a register.
    ///
    /// # Errors
    /// When there is no such register.
    pub fn set_register(&mut self, id: PageId, value: u64) -> Result<()> {
        let (old, fresh) = match self.desk.pages.get(id) {
            Some(Private { state: State::Register(old), fresh, .. }) => (*old, *fresh),
            _ => (self.register(id)?, false),
        };
        if old != value {
            self.put(id, State::Register(value.min(MAX_REGISTER)), PageId::NONE, fresh);
        }
        Ok(())
    }

    fn take_id(&mut self) -> Result<PageId> {
        if let Some(id) = self.desk.spare_ids.pop() {
            return Ok(id);
        }
        let mut ids = self.base.store.ids.lock();
        if let Some(id) = ids.free.pop() {
            return Ok(id);
        }
        let id = PageId(ids.next);
        if ids.next >= PageId::NONE.0 - 1 {
            return Err(Error::OutOfPages);
        }
        // The number after it is kept for a page beside it.
        ids.next += 2;
        Ok(id)
    }
}

fn check_len(body: usize) -> Result<()> {
    let (len, max) = (body.saturating_add(HEADER_BYTES), MAX_VERSION_BYTES);
    if len > max { Err(Error::PageTooLarge { len, max }) } else { Ok(()) }
}
