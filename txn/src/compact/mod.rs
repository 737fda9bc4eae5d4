//! A file that shrinks: thin pages are merged, what lies high in the file is committed again further down, and the free tail is cut off.
//!
//! All of it is ordinary small commits beside readers and writers. They change no entry, so their journal records are empty, they conflict with nobody, and a crash takes back the
//! last of them at worst.
//!
//! Promises:
//! 1. The contents never change. Stopping at any moment leaves a whole store, and what was won stays won.
//! 2. Between two checkpoints at most [`MERGE_ROUND`] bytes are written where the file may have to grow for them, and merging pauses when it has grown by
//!    [`MAX_GROWTH`]: compacting makes the file longer by [`MAX_GROWTH`] and the table pages of one checkpoint at most.
//! 3. What a snapshot sees is not moved: its slots would stay taken, and the copy would take others. The report tells for whom how much is held.
//! 4. Where there is nothing to win nothing is written.

mod background;
mod commit;
mod held;
mod merge;
mod moves;
mod slide;

pub use background::BackgroundCompaction;
pub use held::HeldBack;

use crate::database::{Database, Handle, Shared};
use crate::sync::{Arc, Ordering};
use crate::{Error, Result, SLOT_BYTES};
use std::fmt;
use std::time::Duration;

/// So many bytes are merged between two checkpoints, at most. The nodes that they replace are free only after the second.
const MERGE_ROUND: u64 = 2 << 20;
/// So many bytes are moved between two checkpoints, at most.
const MOVE_ROUND: u64 = 16 << 20;
/// Merging pauses when the file has grown by so many bytes.
const MAX_GROWTH: u64 = 8 << 20;
/// How much [`Database::compact`] does in a step, in bytes.
const STEP: u64 = 4 << 20;
/// Who has been reading for so long is taken for one who stays, unless something else is said.
const PATIENCE: Duration = Duration::from_millis(250);

/// What a compaction has done, and what it aims at.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Compaction {
    /// Whether there is nothing left to win, apart from what is held.
    pub is_done: bool,
    /// The length of the file when it began, in bytes.
    pub bytes_before: u64,
    /// The length of the file now, in bytes.
    pub bytes_now: u64,
    /// The length that the file would have if nothing in it were free now, in bytes. It falls while pages are merged, and changes with what writers do.
    pub bytes_aimed: u64,
    /// Versions that were copied to lower places, in bytes of the file.
    pub bytes_moved: u64,
    /// Tree nodes that were written anew as fewer ones: the bytes that these take.
    pub bytes_merged: u64,
    /// How many tree nodes there are less by that.
    pub nodes_saved: u64,
    /// Commits that it made.
    pub commits: u64,
    /// What cannot be won while somebody can still see it, oldest first. Known when it is done.
    pub held: Vec<HeldBack>,
}

/// What it is at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Making durable what was there.
    Begin,
    /// Giving back the pages of dropped trees.
    Dismantle,
    Merge,
    Move,
    /// Waiting for readers who come and go, and cutting the tail.
    Finish,
    Done,
}

/// A compaction in steps. Dropped at any time it stops; what was won stays won. It counts as a handle of the store: a store closes when it is gone, too.
///
/// ```
/// # use pentimento_txn as pentimento;
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = pentimento::Database::open(dir.path().join("app.pent"))?;
/// let mut compactor = db.compactor()?;
/// while !compactor.step(1 << 20)?.is_done {
///     let now = compactor.progress();
///     println!("{} bytes, at best {}", now.bytes_now, now.bytes_aimed);
/// }
/// # Ok::<(), pentimento::Error>(())
/// ```
pub struct Compactor {
    handle: Arc<Handle>,
    report: Compaction,
    phase: Phase,
    /// Bytes written since the last checkpoint.
    unsettled: u64,
    patience: Duration,
    merge: merge::Merge,
    moves: moves::Moves,
    /// How often it began to move again because readers had gone.
    again: u32,
}

impl Database {
    /// Makes the file as short as it can be now, and returns what was done. Readers and writers go on meanwhile. A store in memory has no file: there it does nothing.
    ///
    /// What a [`Snapshot`](crate::Snapshot) sees stays where it is; the report's [`held`](Compaction::held) tells for whom how much. Call it again when they have gone.
    ///
    /// ```
    /// # use pentimento_txn as pentimento;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = pentimento::Database::open(dir.path().join("app.pent"))?;
    /// let done = db.compact()?;
    /// println!("{} bytes became {}", done.bytes_before, done.bytes_now);
    /// for held in &done.held {
    ///     println!("{} bytes are kept for {:?}", held.bytes, held.label);
    /// }
    /// # Ok::<(), pentimento::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Busy`] if another compaction is running, [`Error::ReadOnly`], [`Error::Poisoned`], [`Error::DiskFull`] (a little room is needed first), or when a page is
    /// damaged. What was done before stays.
    pub fn compact(&self) -> Result<Compaction> {
        let mut compactor = self.compactor()?;
        while !compactor.step(STEP)?.is_done {}
        Ok(compactor.progress().clone())
    }

    /// A compaction that is done step by step, when it suits.
    ///
    /// # Errors
    /// [`Error::Busy`] if another is running, [`Error::ReadOnly`], [`Error::Poisoned`].
    pub fn compactor(&self) -> Result<Compactor> {
        Compactor::begin(self.handle().clone())
    }

    /// A compaction in a thread of its own that writes about `bytes_per_second` at most. It counts as a handle of the store, like a [`Compactor`]: stop it, or drop it, to close the store.
    ///
    /// ```
    /// # use pentimento_txn as pentimento;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = pentimento::Database::open(dir.path().join("app.pent"))?;
    /// let compaction = db.compact_in_background(4 << 20)?; // 4 MiB a second
    /// // ... the program goes on; compaction.progress() tells how far it is ...
    /// let done = compaction.wait()?; // or stop(), at any time
    /// assert!(done.is_done);
    /// # Ok::<(), pentimento::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Busy`] if another is running, [`Error::ReadOnly`], [`Error::Poisoned`], [`Error::InvalidOption`] for a budget of zero, [`Error::Io`] when no thread can be had.
    pub fn compact_in_background(&self, bytes_per_second: u64) -> Result<BackgroundCompaction> {
        BackgroundCompaction::begin(self.compactor()?, bytes_per_second)
    }
}

impl Compactor {
    fn begin(handle: Arc<Handle>) -> Result<Compactor> {
        handle.shared.store.check_writable()?;
        if handle.shared.is_compacting.swap(true, Ordering::AcqRel) {
            return Err(Error::Busy);
        }
        let is_in_memory = handle.shared.store.is_in_memory();
        let mut compactor = Compactor {
            handle,
            report: Compaction::default(),
            phase: if is_in_memory { Phase::Done } else { Phase::Begin },
            unsettled: 0,
            patience: PATIENCE,
            merge: merge::Merge::default(),
            moves: moves::Moves::default(),
            again: 0,
        };
        compactor.report.is_done = is_in_memory;
        compactor.measure();
        compactor.report.bytes_before = compactor.report.bytes_now;
        Ok(compactor)
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// How long readers who come and go are waited for, so that what they see can be moved: a quarter of a second by default. Whoever has been reading for longer is taken for one
    /// who stays, and what he sees is left where it is. With zero nobody is waited for.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Compactor {
        self.patience = patience;
        self
    }

    /// Does about `budget` bytes of work, or a little more, and tells how far it is: each commit writes a megabyte at most (or one large value), and now and then there is a checkpoint.
    ///
    /// # Errors
    /// [`Error::Poisoned`], [`Error::DiskFull`], or when a page is damaged. After a full disk it can be tried again.
    pub fn step(&mut self, budget: u64) -> Result<&Compaction> {
        let mut left = budget.max(1);
        while left > 0 && self.phase != Phase::Done {
            self.shared().store.check_writable()?;
            let done = match self.phase {
                Phase::Begin => self.settle().map(|()| self.phase = Phase::Dismantle).map(|()| 0)?,
                Phase::Dismantle => self.dismantle()?,
                Phase::Merge => self.merge_some(left)?,
                Phase::Move => self.move_some(left)?,
                Phase::Finish => self.finish()?,
                Phase::Done => 0,
            };
            // Looking costs something, too.
            left = left.saturating_sub(done.max(SLOT_BYTES as u64));
        }
        self.measure();
        Ok(&self.report)
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> &Compaction {
        &self.report
    }

    fn measure(&mut self) {
        if self.shared().store.is_in_memory() {
            return;
        }
        let extent = self.shared().store.extent();
        self.report.bytes_now = extent.end * SLOT_BYTES as u64;
        self.report.bytes_aimed = extent.used * SLOT_BYTES as u64;
        self.report.is_done = self.phase == Phase::Done;
    }

    fn dismantle(&mut self) -> Result<u64> {
        let is_done = self.shared().dismantle_some()?;
        if is_done {
            self.settle()?;
            self.phase = Phase::Merge;
        } else {
            self.report.commits += 1;
        }
        Ok(0)
    }

    /// A checkpoint, so that what was superseded is free, and the tail is cut where it is free.
    fn settle(&mut self) -> Result<()> {
        self.shared().checkpoint()?;
        let store = &self.shared().store;
        store.maintain();
        store.cut_free_tail(false);
        self.unsettled = 0;
        Ok(())
    }

    fn finish(&mut self) -> Result<u64> {
        if self.unsettled > 0 {
            self.settle()?;
        }
        let has_won = held::wait_for_passers_by(&self.shared().store, self.patience);
        if has_won && self.again < 4 && self.moves.may_win(&self.shared().store) {
            self.again += 1;
            self.moves.begin_again();
            self.phase = Phase::Move;
            return Ok(0);
        }
        self.shared().store.cut_free_tail(true);
        self.report.held = held::held_back(&self.shared().store, self.patience);
        self.phase = Phase::Done;
        Ok(0)
    }
}

impl Drop for Compactor {
    fn drop(&mut self) {
        let shared = self.shared();
        shared.store.move_table_pages(None);
        shared.is_compacting.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Compactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compactor").field("report", &self.report).field("phase", &self.phase).finish_non_exhaustive()
    }
}
