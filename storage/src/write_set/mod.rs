//! The private pages of the transaction that has the writer's turn.
//!
//! Promises:
//! 1. Nothing that is here can be seen by anybody else before [`WriteSet::install`]; dropping it gives everything back.
//! 2. It reads the newest installed state, and its own changes over it.
//! 3. Beyond the spill limit private pages go to free slots; the memory held between calls stays near the limit.
//!    Pages that are finished go sooner, if the transaction is to be written out anyway.
//! 4. Rolling back to a savepoint restores pages, registers and page numbers exactly as they were.
//!
//! What can be read and how it ends is here; `desk.rs` says where they are, `private_pages.rs` finds them, `change.rs` changes them, `spill.rs` writes them out, `savepoints.rs` goes back.

mod change;
mod desk;
mod private_pages;
mod savepoints;
mod spill;

pub use self::change::Blank;
use self::desk::AtDesk;
pub use self::desk::Left;
pub(crate) use self::desk::{Desk, OnDesk};
pub(crate) use self::private_pages::PrivatePages;
pub use self::savepoints::Savepoint;
use crate::frame::Frame;
use crate::layout::{HEADER_BYTES, PageHeader, SLOT_BYTES};
use crate::pins::ReaderKind;
use crate::place::Place;
use crate::prefetch::{CACHE_LINE, Hint, line, prefetch};
use crate::read::Pin;
use crate::store::Store;
use crate::sync::Arc;
use crate::turn::Patience;
use crate::{Error, PageId, Result, Timestamp};

/// The bytes of a page that is private already that are worth asking for: header and arrays.
const COPIED_HEAD: usize = 5 * CACHE_LINE;

/// How many lines of a page beside another are worth asking for: about half of the longest.
const COPIED_BESIDE: usize = 16;

/// The state of a page that the transaction has touched.
pub(crate) enum State {
    /// In memory; `len` bytes of the body are used.
    Frame {
        frame: Frame,
        len: usize,
        /// Whether the header is that of the version as it is.
        is_stamped: bool,
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
    pub(crate) base: Pin,
    pub(crate) desk: AtDesk,
    /// Whether the turn has been passed on.
    has_ended: bool,
}

impl Store {
    /// Waits for the writer's turn, and begins a transaction on the newest installed state. `None` when patience ran out.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub fn begin(self: &Arc<Self>, patience: Patience) -> Result<Option<WriteSet>> {
        self.check_writable()?;
        if !self.turn.take(patience) {
            return Ok(None);
        }
        if let Err(error) = self.check_writable() {
            self.turn.pass();
            return Err(error);
        }
        let base = self.pin_at(self.clock.installed(), ReaderKind::Writer);
        // SAFETY: we have the turn, and come here once for each. What is made of it goes with the set, which keeps the store.
        let desk = unsafe { self.desk.take() };
        Ok(Some(WriteSet { base, desk, has_ended: false }))
    }
}

impl WriteSet {
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.base.store
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

    /// What an earlier transaction left for the next one; what is done with it stays done if this one is abandoned.
    #[must_use]
    pub fn left(&mut self) -> &mut Left {
        &mut self.desk.left
    }

    /// How many pages and registers the transaction has touched.
    #[must_use]
    pub fn touched(&self) -> usize {
        self.desk.pages.len()
    }

    /// The numbers of the pages that the transaction has touched, in no order.
    #[must_use]
    pub fn touched_pages(&self) -> Vec<PageId> {
        let pages = self.desk.pages.iter().filter(|(_, private)| !matches!(private.state, State::Register(_)));
        pages.map(|(id, _)| id).collect()
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
        match self.desk.pages.get(id) {
            None => self.base.page(id),
            Some(private) => self.private_body(id, &private.state),
        }
    }

    /// The first `len` bytes of the body of a page, as for [`Pin::page_part`].
    ///
    /// # Errors
    /// As for [`page`](WriteSet::page).
    #[inline]
    pub fn page_part(&self, id: PageId, len: usize) -> Result<&[u8]> {
        match self.desk.pages.get(id) {
            None => self.base.page_part(id, len),
            Some(private) => self.private_body(id, &private.state).map(|body| body.get(..len).unwrap_or(body)),
        }
    }

    /// The body of the page beside a page as this transaction sees it, if there is one.
    ///
    /// # Errors
    /// When it is damaged.
    #[inline]
    pub fn beside(&self, id: PageId) -> Result<Option<&[u8]>> {
        let Some(beside) = id.beside() else { return Ok(None) };
        match self.desk.pages.get(beside) {
            None => self.base.beside(id),
            Some(Private { state: State::Freed | State::Register(_), .. }) => Ok(None),
            Some(private) => self.private_body(beside, &private.state).map(Some),
        }
    }

    /// How long the body of the page beside a page is at most, if there is one. The page itself is not looked at.
    #[inline]
    #[must_use]
    pub fn room_beside(&self, id: PageId) -> Option<usize> {
        let beside = id.beside()?;
        let place = match self.desk.pages.get(beside).map(|private| &private.state) {
            None => self.store().locate(beside, self.base.at())?.0,
            Some(State::Frame { len, .. }) => return Some(*len),
            Some(State::Spilled { place, .. }) => *place,
            Some(State::Register(_) | State::Freed) => return None,
        };
        place.as_immediate().is_none().then(|| place.slots() as usize * SLOT_BYTES - HEADER_BYTES)
    }

    fn private_body<'s>(&'s self, id: PageId, state: &'s State) -> Result<&'s [u8]> {
        match state {
            State::Frame { frame, len, .. } => Ok(&frame.body()[..*len]),
            // SAFETY: the slots are this transaction's own, written once and given back only through `&mut self`.
            State::Spilled { place, .. } => Ok(unsafe { place.body() }),
            State::Register(_) => Err(Error::damaged_page(id, None, "it is a register where a page was expected")),
            State::Freed => Err(Error::NoSuchPage { page: id, at: self.birth() }),
        }
    }

    /// The value of a register as this transaction sees it.
    ///
    /// # Errors
    /// When there is no such register.
    pub fn register(&self, id: PageId) -> Result<u64> {
        match self.desk.pages.get(id).map(|private| &private.state) {
            None => self.base.register(id),
            Some(State::Register(value)) => Ok(*value),
            Some(_) => Err(Error::damaged_page(id, None, "it is a page where a register was expected")),
        }
    }

    /// Asks the processor to fetch the beginning of a page.
    pub fn prefetch(&self, id: PageId) {
        self.base.prefetch(id);
    }

    /// Asks the processor to fetch all of a page that will be changed soon: the first change copies it.
    pub fn prefetch_to_change(&self, id: PageId) {
        if let Some(Private { state: State::Frame { frame, .. }, .. }) = self.desk.pages.get(id) {
            prefetch(&frame.bytes()[..COPIED_HEAD]);
        } else if let Some(entry) = self.store().table.entry(id) {
            self.prefetch_whole(entry.load().0);
        }
    }

    /// Asks the processor to fetch the entry of the table that tells where a page is, and the one for what is beside it; and where the older version of that will go.
    pub fn prefetch_place(&self, id: PageId) {
        self.store().table.prefetch(id);
        self.store().history.prefetch(id);
    }

    /// Asks the processor to fetch what is beside a page, or else the beginning of the page, to be changed soon.
    pub fn prefetch_beside_to_change(&self, id: PageId) {
        let beside = id.beside().unwrap_or(id);
        if let Some(Private { state: State::Frame { frame, .. }, .. }) = self.desk.pages.get(beside) {
            prefetch(&frame.bytes()[..COPIED_HEAD]);
        } else if let Some(place) = self.store().table.entry(beside).map(|entry| entry.load().0)
            && !place.is_nowhere()
        {
            (0..COPIED_BESIDE).for_each(|number| line(place.address().wrapping_add(number * CACHE_LINE)));
        } else {
            self.base.prefetch(id);
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

    /// Gives back what a state holds.
    fn discard(&mut self, state: State) {
        if let State::Frame { frame, .. } = &state {
            self.desk.frame_bytes -= frame.capacity();
        }
        give_back(&self.base.store, state);
    }
}

fn give_back(store: &Store, state: State) {
    match state {
        State::Frame { frame, .. } => store.frames.give_back(frame),
        State::Spilled { place, .. } => {
            if let Some(run) = store.run_of(place) {
                store.slots.lock().release(run);
            }
        }
        State::Register(_) | State::Freed => {}
    }
}

/// Writes the header of a version, and returns its bytes.
pub(crate) fn stamp(frame: &mut Frame, id: PageId, owner: PageId, birth: Timestamp, body_len: usize) -> &[u8] {
    let length = HEADER_BYTES + body_len;
    PageHeader { id, owner, birth, length: length as u32 }.write(frame.bytes_mut());
    &frame.bytes()[..length]
}

impl WriteSet {
    /// Gives up what is private, and passes the turn on. There is nothing to be done with it then.
    pub(crate) fn end(&mut self) {
        self.forget_savepoints();
        let desk = &mut *self.desk;
        for (id, private) in desk.pages.drain() {
            // A page made before a savepoint and freed after it is here too, so what savepoints kept names no other numbers.
            if private.fresh {
                desk.spare_ids.extend(id.if_given_out());
            }
            give_back(&self.base.store, private.state);
        }
        if !desk.spare_ids.is_empty() {
            self.base.store.ids.lock().free.extend(desk.spare_ids.drain(..).rev());
        }
        desk.clear();
        self.has_ended = true;
        // The registration ends before the turn is passed on.
        self.base.end();
        self.base.store.turn.pass();
    }
}

impl Drop for WriteSet {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end();
        }
    }
}
