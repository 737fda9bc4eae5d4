//! Resolving a page at a pin, and the handle that makes it safe.
//!
//! Promises:
//! 1. While a [`Pin`] lives, every version that was current at its timestamp stays where a reader can find it, and its bytes do not change.
//! 2. Where the newest version is the one wanted, reading takes no lock: two loads, two comparisons.
//! 3. The first time a version is met after opening it is checked: checksum, page number, birth and length. Then never again.

use crate::layout::{PageHeader, SLOT_BYTES};
use crate::place::Place;
use crate::planted::Bug;
use crate::prefetch::Hint;
use crate::store::Store;
use crate::sync::{Arc, Ordering};
use crate::table_page::DiskEntry;
use crate::turn::Patience;
use crate::{Error, PageId, Result, Timestamp};
use bytes::Bytes;
use std::ops::Range;

/// The slot of a pin that has ended.
const ENDED: usize = usize::MAX;

/// Which version of a page it is, of all that the page has in any store of this process. The same one has the same bytes, always.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VersionId {
    store: u64,
    birth: Timestamp,
}

/// A registration as a reader: keeps one timestamp readable. Clones share it; it never moves.
pub struct Pin {
    pub(crate) store: Arc<Store>,
    slot: usize,
    at: Timestamp,
}

impl Store {
    /// Registers a reader at the newest published timestamp, without a lock.
    #[must_use]
    #[inline]
    pub fn pin(self: &Arc<Self>) -> Pin {
        if self.options.has(Bug::ReadersTakeTheTurn) {
            drop(self.take_turn(Patience::For(std::time::Duration::from_secs(5))));
        }
        let (slot, at) = self.registry.register_newest(self.clock.published_cell());
        Pin { store: self.clone(), slot, at }
    }

    /// Registers a reader at the newest *installed* timestamp, which may not be durable or published yet. For transactions that are to see what
    /// those before them did. Waits for nothing that takes longer than noting a commit as installed.
    #[must_use]
    pub fn pin_installed(self: &Arc<Self>) -> Pin {
        let mut slot = 0;
        // Inside the section that keeps commits from being published: so nothing that the pin needs is judged before it is known.
        let at = self.clock.pin_installed(|at| slot = self.register_at(at, crate::ReaderKind::Snapshot));
        Pin { store: self.clone(), slot, at }
    }

    /// A pin at a timestamp that the caller keeps readable until this returns.
    pub(crate) fn pin_at(self: &Arc<Self>, at: Timestamp, kind: crate::ReaderKind) -> Pin {
        let slot = self.register_at(at, kind);
        Pin { store: self.clone(), slot, at }
    }

    /// Finds the version of a page at a pin, without checking its bytes: its place, its birth, and the checksum of the place if unverified in
    /// the history. `None`: the page does not exist then.
    pub(crate) fn locate(&self, id: PageId, at: Timestamp) -> Option<(Place, Timestamp, Option<u32>)> {
        let (place, birth) = self.table.entry(id)?.load();
        if birth <= at {
            return (!place.is_nowhere()).then_some((place, birth, None));
        }
        self.counters.history_lookups.fetch_add(1, Ordering::Relaxed);
        let version = self.history.find(id, at)?;
        Some((version.place, version.birth, Some(version.crc)))
    }

    /// The slow path of reading: the history, and versions not verified yet. The place can be followed.
    #[cold]
    #[inline(never)]
    fn resolve_slowly(&self, id: PageId, at: Timestamp) -> Result<Place> {
        let mut attempts = 0;
        loop {
            let Some((place, birth, crc)) = self.locate(id, at) else { return Err(Error::NoSuchPage { page: id, at }) };
            if place.as_immediate().is_some() {
                return Err(Error::damaged_page(id, None, "it is a register where a page was expected"));
            }
            if !place.is_unverified() {
                return Ok(place);
            }
            match crc.or_else(|| self.durable_crc(id, birth)) {
                Some(crc) => {
                    self.check_version(id, birth, place, crc)?;
                    self.mark_verified(id, birth, place);
                    return Ok(place.verified());
                }
                // Superseded between the two looks: then the history has it now, with its checksum.
                None if attempts < 3 => attempts += 1,
                None => return Err(Error::damaged_page(id, None, "its table entry has vanished")),
            }
        }
    }

    fn mark_verified(&self, id: PageId, birth: Timestamp, place: Place) {
        if let Some(entry) = self.table.entry(id) {
            entry.replace_place(place, place.verified());
        }
        self.history.replace_place(id, birth, |now| if now == place { place.verified() } else { now });
    }

    /// The checksum that the durable table has for the version of a page with this birth.
    pub(crate) fn durable_crc(&self, id: PageId, birth: Timestamp) -> Option<u32> {
        match self.durable.read().entry(self.medium.as_deref()?, id)? {
            DiskEntry::Version { birth: there, crc, .. } if there == birth => Some(crc),
            _ => None,
        }
    }

    /// Checks a version in the medium against its table entry.
    pub(crate) fn check_version(&self, id: PageId, birth: Timestamp, place: Place, crc: u32) -> Result<()> {
        let run = self.run_of(place);
        if let (Some(run), Some(medium)) = (run, self.medium.as_deref()) {
            medium.will_need(run.offset(), run.bytes());
        }
        let slot = run.map(|run| run.start);
        // SAFETY: the caller keeps the version retained; its place was checked to lie in the medium.
        let bytes = unsafe { place.bytes() };
        let damaged = |what: String| Err(Error::damaged_page(id, slot, what));
        let Some(header) = PageHeader::read(bytes) else { return damaged("it is shorter than a header".to_owned()) };
        if let Err(what) = header.check(id, birth, place.slots() * SLOT_BYTES as u64) {
            return damaged(what);
        }
        if crc32fast::hash(bytes) != crc && !self.options.has(Bug::SkipVerification) {
            return damaged("its checksum does not match".to_owned());
        }
        Ok(())
    }
}

impl Pin {
    /// The timestamp that this pin keeps readable.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Whether somebody asked this reader to stop.
    #[must_use]
    pub fn is_asked_to_stop(&self) -> bool {
        self.store.registry.is_asked_to_stop(self.slot)
    }

    /// Gives the pin a name for statistics.
    pub fn set_label(&self, label: &str) {
        self.store.registry.label(self.slot, label.into());
    }

    /// Where the version of a page at this pin is, verified.
    #[inline(always)]
    pub(crate) fn place(&self, id: PageId) -> Result<Place> {
        if let Some(entry) = self.store.table.entry(id) {
            let (place, birth) = entry.load();
            if birth <= self.at && place.is_direct() {
                return Ok(place);
            }
        }
        self.store.resolve_slowly(id, self.at)
    }

    /// What tells the version of a page that this pin sees; `None` if the page has a newer one, or there is no such page.
    #[inline]
    #[must_use]
    pub fn version_id(&self, id: PageId) -> Option<VersionId> {
        let (place, birth) = self.store.table.entry(id)?.load();
        (birth <= self.at && !place.is_nowhere()).then_some(VersionId { store: self.store.number, birth })
    }

    /// The body of a page at this pin.
    ///
    /// # Errors
    /// When there is no such page at this timestamp, or it is damaged.
    #[inline(always)]
    pub fn page(&self, id: PageId) -> Result<&[u8]> {
        let place = self.place(id)?;
        // SAFETY: `place` is the version of `id` at our pin: either its entry's birth was not younger than the pin (and the place was
        // loaded before it, see `Entry`), or the history had it. The pin retains it (law 2): it is not freed, reused or changed while
        // we are registered, which is at least as long as the borrow of `self`. It was verified, so its run lies in the medium.
        Ok(unsafe { place.body() })
    }

    /// The first `len` bytes of the body of a page at this pin, for somebody who knows that it has so many: if it has fewer, whatever there is. Does not look at its header
    /// if it can do without; then there may be more bytes than it has.
    ///
    /// # Errors
    /// As for [`page`](Pin::page).
    #[inline(always)]
    pub fn page_part(&self, id: PageId, len: usize) -> Result<&[u8]> {
        let place = self.place(id)?;
        // SAFETY: as in `page`.
        Ok(unsafe { place.body_part(len, self.store.page_size()) })
    }

    /// The body of the page beside a page at this pin, if there is one.
    ///
    /// # Errors
    /// When it is damaged.
    #[inline(always)]
    pub fn beside(&self, id: PageId) -> Result<Option<&[u8]>> {
        let Some(beside) = id.beside() else { return Ok(None) };
        // Two entries of a pair lie in one line.
        let Some(entry) = self.store.table.entry(beside) else { return Ok(None) };
        let (place, birth) = entry.load();
        if birth <= self.at {
            if place.is_nowhere() {
                return Ok(None);
            }
            if place.is_direct() {
                // SAFETY: as in `page`.
                return Ok(Some(unsafe { place.body() }));
            }
        }
        self.beside_slowly(beside)
    }

    #[cold]
    #[inline(never)]
    fn beside_slowly(&self, beside: PageId) -> Result<Option<&[u8]>> {
        match self.store.locate(beside, self.at) {
            Some((place, ..)) if place.as_immediate().is_none() => self.page(beside).map(Some),
            _ => Ok(None),
        }
    }

    /// All bytes of a page at this pin, the header included.
    pub(crate) fn version(&self, id: PageId) -> Result<&[u8]> {
        let place = self.place(id)?;
        // SAFETY: as in `page`.
        Ok(unsafe { place.bytes() })
    }

    /// A part of the body of a page, as an owner that keeps this pin alive. `None` when the range lies outside of the body.
    ///
    /// # Errors
    /// As for [`page`](Pin::page).
    pub fn bytes(&self, id: PageId, range: Range<usize>) -> Result<Option<Bytes>> {
        let Some(part) = self.page(id)?.get(range) else { return Ok(None) };
        let pinned = PinnedBytes { start: part.as_ptr(), len: part.len(), _pin: self.clone() };
        Ok(Some(Bytes::from_owner(pinned)))
    }

    /// The value of a register at this pin.
    ///
    /// # Errors
    /// When there is no such register at this timestamp.
    pub fn register(&self, id: PageId) -> Result<u64> {
        let (place, ..) = self.store.locate(id, self.at).ok_or(Error::NoSuchPage { page: id, at: self.at })?;
        place.as_immediate().ok_or_else(|| Error::damaged_page(id, None, "it is a page where a register was expected"))
    }

    /// Asks the processor to fetch the beginning of a page that will be read soon, and of what is beside it.
    #[inline(always)]
    pub fn prefetch(&self, id: PageId) {
        for id in [Some(id), id.beside()].into_iter().flatten() {
            if let Some(entry) = self.store.table.entry(id) {
                let (place, _) = entry.load();
                if !place.is_nowhere() {
                    place.prefetch();
                }
            }
        }
    }

    /// Asks the processor to fetch what tells where a page is, and what is beside it.
    #[inline(always)]
    pub fn prefetch_place(&self, id: PageId) {
        self.store.table.prefetch(id);
    }

    /// Asks the processor to fetch what a look-up in a page that will be read at once needs: the beginning of what is beside it, or else its own, and what most likely lies `share` of its way from
    /// the beginning to the end, in parts of [`Hint::WHOLE`].
    #[inline(always)]
    pub fn prefetch_for(&self, id: PageId, share: Option<u32>) {
        let Some(entry) = self.store.table.entry(id) else { return };
        let (place, _) = entry.load();
        let beside = id.beside().and_then(|beside| self.store.table.entry(beside)).map(|entry| entry.load().0);
        beside.filter(|place| !place.is_nowhere()).unwrap_or(place).prefetch();
        if let Some(share) = share {
            Hint::at(place.address(), (place.slots() as usize * SLOT_BYTES) as u32).prefetch_around(share);
        }
    }

    /// Where the newest version of a page begins, to ask for more of it; most likely it is the one that this pin sees.
    #[inline(always)]
    pub fn hint(&self, id: PageId) -> Hint {
        self.store.table.entry(id).map_or(Hint::NONE, |entry| {
            let (place, _) = entry.load();
            Hint::at(place.address(), (place.slots() as usize * SLOT_BYTES) as u32)
        })
    }
}

impl Clone for Pin {
    fn clone(&self) -> Pin {
        self.store.registry.share(self.slot);
        Pin { store: self.store.clone(), slot: self.slot, at: self.at }
    }
}

impl Pin {
    /// Ends this handle's share in the registration, for who will not read any more.
    #[inline]
    pub(crate) fn end(&mut self) {
        let slot = std::mem::replace(&mut self.slot, ENDED);
        if slot != ENDED {
            self.store.registry.unshare(slot);
        }
    }
}

impl Drop for Pin {
    #[inline]
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pin").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Bytes of a page with the pin that retains it.
struct PinnedBytes {
    start: *const u8,
    len: usize,
    _pin: Pin,
}

// SAFETY: the bytes are immutable while the pin lives, and the pin may go from thread to thread.
unsafe impl Send for PinnedBytes {}
// SAFETY: the same.
unsafe impl Sync for PinnedBytes {}

impl AsRef<[u8]> for PinnedBytes {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: they were a slice borrowed from `_pin`, which still retains the version.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}
