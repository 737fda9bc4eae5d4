//! The store: what its parts share, and how it begins and ends.
//!
//! Who may touch what:
//!
//! | part | changed by | under |
//! |---|---|---|
//! | page table | the writer (births, places), the checkpointer and readers (places, by compare-and-swap) | the turn; nothing |
//! | history | the writer adds, reclamation removes, the checkpointer changes places | the page's lock |
//! | slots | write transactions that spill or move pages, the checkpointer, reclamation | `slots` |
//! | charges | reclamation, the checkpointer's look at the end | `reclaimer` |
//! | durable table | the checkpointer | `durable` for writing |
//! | names of snapshots | who has the claim of the running checkpoint | `reclaimer`, `named` |
//! | page numbers | the writer | the turn and `ids` |
//! | desk | the writer | the turn |
//!
//! Locks are taken in this order: turn, `reclaimer`, then one of the others alone.

use crate::frame::FramePool;
use crate::history::History;
use crate::layout::{DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, MIN_PAGE_SIZE, Run, SLOT_BYTES};
use crate::medium::Medium;
use crate::meta::USER_BYTES;
use crate::named::{ListRef, Named};
use crate::pins::{ReaderKind, Registry};
use crate::place::Place;
use crate::planted::Bug;
use crate::publication::Publication;
use crate::reclaim::Reclaimer;
use crate::slots::Slots;
use crate::stats::Counters;
use crate::sync::{Arc, AtomicBool, AtomicU64, Condvar, Mutex, Ordering, RwLock};
use crate::table::PageTable;
use crate::table_page::DurableTable;
use crate::turn::{Patience, Turn};
use crate::write_set::Desk;
use crate::{Error, PageId, Result, Timestamp};
use std::collections::HashMap;
use std::path::Path;

/// The file does not grow ahead of need by more slots than this.
const GROWTH_AHEAD_SLOTS: u64 = 4096;
/// The most memory in frames that nobody uses.
const SPARE_BYTES: usize = 64 << 20;

/// How a store behaves. Sizes are in bytes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The size that tree nodes aim at: a power of two from 4096 to 65536. Chosen when the store is created; afterwards the file tells.
    pub page_size: usize,
    /// With this much memory in frames a checkpoint should start.
    pub frames_soft: usize,
    /// With this much memory in frames writers wait before they take their turn.
    pub frames_hard: usize,
    /// The private pages of one transaction spill to the file beyond this much memory.
    pub spill: usize,
    /// Nothing is ever written.
    pub read_only: bool,
    /// A law to break, for tests of the laws.
    #[cfg(feature = "planted-bugs")]
    #[doc(hidden)]
    pub planted: Option<Bug>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            page_size: DEFAULT_PAGE_SIZE,
            frames_soft: 256 << 20,
            frames_hard: 512 << 20,
            spill: 256 << 20,
            read_only: false,
            #[cfg(feature = "planted-bugs")]
            planted: None,
        }
    }
}

impl Options {
    /// Whether a test has planted this bug.
    #[inline(always)]
    pub(crate) fn has(&self, bug: Bug) -> bool {
        #[cfg(feature = "planted-bugs")]
        return self.planted == Some(bug);
        #[cfg(not(feature = "planted-bugs"))]
        {
            let _ = bug;
            false
        }
    }

    /// Whether every option is in its range.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] that names the one that is not.
    pub fn check(&self) -> Result<()> {
        if !self.page_size.is_power_of_two() || !(MIN_PAGE_SIZE..=MAX_PAGE_SIZE).contains(&self.page_size) {
            return Err(Error::InvalidOption {
                option: "page size",
                why: "it must be a power of two from 4096 to 65536",
            });
        }
        if self.frames_hard < self.frames_soft {
            return Err(Error::InvalidOption {
                option: "memory limits",
                why: "the hard limit must not be below the soft one",
            });
        }
        Ok(())
    }
}

/// Which page numbers are free. Changed under the writer's turn.
#[derive(Default)]
pub(crate) struct Ids {
    pub free: Vec<PageId>,
    /// One more than the greatest number ever used.
    pub next: u32,
}

/// A timestamp that may be absent, in one word.
#[derive(Default)]
pub(crate) struct OptionalPin(AtomicU64);

impl OptionalPin {
    pub fn set(&self, at: Option<Timestamp>) {
        self.0.store(at.map_or(0, |at| at.0 + 1), Ordering::SeqCst);
    }

    pub fn get(&self) -> Option<Timestamp> {
        self.0.load(Ordering::SeqCst).checked_sub(1).map(Timestamp)
    }
}

/// The timestamps that the checkpoints on disk, and the one being made, keep readable.
#[derive(Default)]
pub(crate) struct CheckpointPins {
    pub durable: OptionalPin,
    pub running: OptionalPin,
}

/// What the meta slots hold besides the table.
pub(crate) struct MetaState {
    pub store_id: [u8; 16],
    pub sequence: u64,
    /// One more than the greatest page number that the durable table knows.
    pub pages: u32,
    /// Where the list of named snapshots is, if there are any.
    pub list: Option<ListRef>,
    pub user: [u8; USER_BYTES],
}

/// How many stores this process has had. Nothing is told by it but which is which.
static STORES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Pages with history, in a medium or in memory alone.
pub struct Store {
    pub(crate) medium: Option<Box<dyn Medium>>,
    pub(crate) options: Options,
    /// Which of all stores of this process it is.
    pub(crate) number: u64,
    pub(crate) table: PageTable,
    pub(crate) history: History,
    pub(crate) registry: Registry,
    pub(crate) clock: Publication,
    pub(crate) frames: FramePool,
    pub(crate) slots: Mutex<Slots>,
    pub(crate) ids: Mutex<Ids>,
    pub(crate) reclaimer: Mutex<Reclaimer>,
    pub(crate) turn: Turn,
    pub(crate) desk: Desk,
    pub(crate) durable: RwLock<DurableTable>,
    pub(crate) pins: CheckpointPins,
    pub(crate) meta: Mutex<MetaState>,
    /// The named snapshots, by timestamp, then by their creation.
    pub(crate) named: Mutex<Vec<Named>>,
    /// Checksums of versions that spilled and are not in a durable table yet, with their births.
    pub(crate) spilled: Mutex<HashMap<(PageId, Timestamp), u32>>,
    /// Runs that a compaction is writing without the turn: neither free nor anybody's yet.
    pub(crate) reserved: Mutex<Vec<Run>>,
    /// Table pages at or beyond this slot are written anew by the next checkpoint.
    pub(crate) table_pages_from: AtomicU64,
    pub(crate) checkpointing: Mutex<bool>,
    pub(crate) checkpoint_ended: Condvar,
    pub(crate) counters: Counters,
    poison: Mutex<Option<String>>,
    poisoned: AtomicBool,
}

impl Store {
    pub(crate) fn assemble(
        medium: Option<Box<dyn Medium>>,
        options: Options,
        at: Timestamp,
        slots: Slots,
        durable: DurableTable,
        meta: MetaState,
    ) -> Store {
        let on_disk = medium.is_some();
        let store = Store {
            medium,
            options,
            number: STORES.fetch_add(1, Ordering::Relaxed),
            table: PageTable::new(),
            history: History::new(),
            registry: Registry::new(),
            clock: Publication::starting_at(at),
            frames: FramePool::new(options.page_size, options.frames_soft.clamp(1 << 20, SPARE_BYTES)),
            slots: Mutex::new(slots),
            ids: Mutex::default(),
            reclaimer: Mutex::new(Reclaimer::new()),
            turn: Turn::default(),
            desk: Desk::default(),
            durable: RwLock::new(durable),
            pins: CheckpointPins::default(),
            meta: Mutex::new(meta),
            named: Mutex::default(),
            spilled: Mutex::default(),
            reserved: Mutex::default(),
            table_pages_from: AtomicU64::new(u64::MAX),
            checkpointing: Mutex::new(false),
            checkpoint_ended: Condvar::new(),
            counters: Counters::default(),
            poison: Mutex::new(None),
            poisoned: AtomicBool::new(false),
        };
        store.pins.durable.set(on_disk.then_some(at));
        store
    }

    /// The bytes that one page aims at, header included.
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.options.page_size
    }

    /// How the store was opened.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether the store lives in memory alone.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        self.medium.is_none()
    }

    /// The newest timestamp that readers may see.
    #[must_use]
    #[inline]
    pub fn published(&self) -> Timestamp {
        self.clock.published()
    }

    /// The newest commit.
    #[must_use]
    pub fn installed(&self) -> Timestamp {
        self.clock.installed()
    }

    /// Everything up to this timestamp would survive a crash.
    #[must_use]
    pub fn durable(&self) -> Timestamp {
        self.clock.durable()
    }

    /// Everything up to this timestamp would survive a crash, and some more may: takes no lock.
    #[must_use]
    pub fn durable_at_least(&self) -> Timestamp {
        self.clock.durable_at_least()
    }

    /// The durable checkpoint: up to here the medium itself has everything. [`Timestamp::ZERO`] in a store in memory.
    #[must_use]
    pub fn checkpointed(&self) -> Timestamp {
        self.pins.durable.get().unwrap_or_default()
    }

    /// The name of the medium, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.medium.as_ref().map_or(Path::new("<memory>"), |medium| medium.path())
    }

    pub(crate) fn medium(&self) -> Result<&dyn Medium> {
        self.medium.as_deref().ok_or(Error::ReadOnly)
    }

    /// The place of a run in the medium.
    pub(crate) fn place_of(&self, run: Run) -> Result<Place> {
        let medium = self.medium()?;
        let address = medium.address(run.offset(), run.bytes()).ok_or_else(|| Error::Truncated {
            path: medium.path().to_owned(),
            needed: run.offset() + run.bytes(),
            found: medium.len(),
        })?;
        Ok(Place::in_medium(address, run.slots))
    }

    /// The run of a place in the medium.
    pub(crate) fn run_of(&self, place: Place) -> Option<Run> {
        let offset = self.medium.as_ref()?.offset_of(place.address().addr())?;
        Some(Run { start: offset / SLOT_BYTES as u64, slots: place.slots() })
    }

    /// Takes the writer's turn.
    pub(crate) fn take_turn(self: &Arc<Self>, patience: Patience) -> Option<TurnGuard> {
        self.turn.take(patience).then(|| TurnGuard { store: self.clone() })
    }

    /// Registers at a timestamp that stays readable meanwhile: the newest installed, under the turn.
    pub(crate) fn register_at(&self, at: Timestamp, kind: ReaderKind) -> usize {
        self.registry.register_at(at, kind)
    }

    /// A run of free slots; grows the file when there is none.
    pub(crate) fn allocate_run(&self, slots: &mut Slots, count: u64) -> Result<Run> {
        self.allocate_run_of(1, slots, count)
    }

    /// The same; so many runs of that length will be asked for one after the other, and each growth costs some calls.
    pub(crate) fn allocate_run_of(&self, runs: usize, slots: &mut Slots, count: u64) -> Result<Run> {
        if let Some(run) = slots.allocate(count) {
            return Ok(run);
        }
        let medium = self.medium()?;
        let grow = |slots: &mut Slots, by: u64| {
            let end = slots.end_for(by);
            medium.set_len(end * SLOT_BYTES as u64).map(|()| slots.extend(end))
        };
        // Where there is no room for all there may be for one.
        let by = (runs as u64 * count).min(GROWTH_AHEAD_SLOTS);
        let grown = if by > count { grow(slots, by).or_else(|_| grow(slots, count)) } else { grow(slots, count) };
        grown.map_err(|source| Error::io("extend the file", medium.path(), source))?;
        Ok(slots.allocate(count).expect("the file was extended for this run"))
    }

    /// Whether memory for versions had better be prepared: see [`prepare_frames`](Store::prepare_frames).
    #[must_use]
    #[inline]
    pub fn wants_frames(&self) -> bool {
        self.frames.wants_more()
    }

    /// Has memory for versions ready before writers need it, which costs them more than what they do with it. For a thread that has time.
    pub fn prepare_frames(&self) {
        self.frames.prepare();
    }

    /// Takes over memory that nobody needs any more, as much of it as may be kept: versions to come will lie there. A store in memory, which makes no checkpoints, has nobody to let go of it again.
    pub fn take_over_memory(&self, bytes: Vec<u8>) {
        if !self.is_in_memory() {
            self.frames.reserve.take_over(bytes);
        }
    }

    /// Whether a checkpoint should start.
    #[must_use]
    pub fn wants_checkpoint(&self) -> bool {
        self.medium.is_some() && self.frames.counted() >= self.options.frames_soft
    }

    /// Whether writers should wait before they take their turn.
    #[must_use]
    pub fn is_over_limit(&self) -> bool {
        self.medium.is_some() && self.frames.counted() >= self.options.frames_hard
    }

    /// Waits until a checkpoint made progress, at most `limit`.
    pub fn wait_for_progress(&self, limit: std::time::Duration) {
        self.clock.wait_for_progress(limit);
    }

    /// Waits until something was published or [`wake`](Store::wake) was called, at most `limit`; not at all if `is_over` says so of the newest published timestamp, or
    /// nothing more will ever be published. Tells whether that is so. It may return early: look, and call it again.
    pub fn wait_unless(&self, limit: std::time::Duration, is_over: impl FnOnce(Timestamp) -> bool) -> bool {
        self.clock.wait_unless(limit, is_over)
    }

    /// Has everybody look again who waits in [`wait_unless`](Store::wait_unless).
    pub fn wake(&self) {
        self.clock.wake();
    }

    /// An error of the medium that leaves it unknown what is on the disk: from now on there are no writes and no publication.
    pub(crate) fn poison(&self, error: &Error) {
        self.poison_because(&error.to_string());
    }

    /// As after a failed sync: from now on there are no writes and no publication. For a journal that failed.
    pub fn poison_because(&self, why: &str) {
        self.poison.lock().get_or_insert_with(|| why.to_owned());
        self.poisoned.store(true, Ordering::SeqCst);
        self.clock.stop();
    }

    /// A journal would bring back everything up to `at` after a crash. Tells up to where that makes commits durable, and publishes them.
    pub fn journal_is_durable(&self, at: Timestamp) -> Timestamp {
        if self.options.has(Bug::JournalSpeaksForAll) {
            self.clock.durable_up_to(at);
            return at;
        }
        self.clock.journal_is_durable(at)
    }

    /// What tells this store from others.
    #[must_use]
    pub fn store_id(&self) -> [u8; 16] {
        self.meta.lock().store_id
    }

    /// Fails, for ever, if the medium is not the one that was opened any more: removed or cut by somebody else, as far as that can be told.
    ///
    /// # Errors
    /// What is wrong; the store is poisoned then.
    pub fn probe(&self) -> Result<()> {
        let Some(medium) = &self.medium else { return Ok(()) };
        medium.probe().map_err(|source| {
            let error = Error::io("go on using the store", medium.path(), source);
            self.poison(&error);
            error
        })
    }

    /// Whether a test has planted this bug: for the layers above.
    #[doc(hidden)]
    #[inline(always)]
    #[must_use]
    pub fn has_planted(&self, bug: Bug) -> bool {
        self.options.has(bug)
    }

    /// Fails if the store takes no more writes.
    ///
    /// # Errors
    /// [`Error::Poisoned`] after a failure of the medium, [`Error::ReadOnly`] when opened for reading.
    pub fn check_writable(&self) -> Result<()> {
        if self.options.read_only {
            return Err(Error::ReadOnly);
        }
        if self.poisoned.load(Ordering::SeqCst) {
            return Err(Error::Poisoned(self.poison.lock().clone().unwrap_or_default()));
        }
        Ok(())
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::SeqCst)
    }

    /// Gives back frames that nobody can reach any more. Under the reclaimer's lock.
    ///
    /// # Safety
    /// The versions there are in no table and no history (or both are going away), and nobody reads them.
    pub(crate) unsafe fn release_frames(&self, places: &[Place]) {
        // SAFETY: the caller's promise; a frame's place is released once because it is taken out of table or history first.
        unsafe { self.frames.release(places) };
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Nobody reads any more: every reader holds a reference to the store.
        let mut frames = Vec::new();
        for id in 0..self.ids.get_mut().next {
            if let Some(entry) = self.table.entry(PageId(id)) {
                frames.push(entry.load().0);
            }
        }
        self.history.for_each(|_, version| frames.push(version.place));
        frames.extend(self.reclaimer.get_mut().drain_kept());
        frames.retain(|place| place.is_frame());
        // SAFETY: each frame is in exactly one of table, history and kept frames, and all three go away now.
        unsafe { self.release_frames(&frames) };
    }
}

/// The writer's turn; passed on when dropped.
pub(crate) struct TurnGuard {
    store: Arc<Store>,
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        self.store.turn.pass();
    }
}
