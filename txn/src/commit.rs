//! Committing: the order in which a transaction becomes the newest state, durable, and visible.
//!
//! With a journal:
//! 1. Everything that can fail cleanly: the lengths of trees are noted, dropped trees shrink, room in the journal is made. (A crash: nothing happened.)
//! 2. The record is appended, the commit is installed, the turn is passed on. (A crash: the commit is there if its record reached the disk whole,
//!    and all before it did.)
//! 3. A commit that is to be durable waits for a sync that covers it, and is published then. (A crash after the sync: the commit is there.)
//!
//! A transaction too large for a record is not journaled: its pages and the table are written, synced, and then it is installed and a meta names
//! it, all under the turn. (A crash before the meta is durable: the commit is not there, nor is anything after it.)
//!
//! Without a journal a durable commit makes a checkpoint, or shares one.

use crate::backup::Origin;
use crate::database::Shared;
use crate::journal::Room;
use crate::optimistic::Footprint;
use crate::redo::Redo;
use crate::sync::{Instant, Ordering};
use crate::work::{Notes, Work};
use crate::write::WriteTransaction;
use crate::{Durability, Error, Result, Timestamp, catalog, recent};
use pentimento_storage::Left;

/// How many pages of dropped trees a commit gives back.
const DOOMED_PER_COMMIT: usize = 128;

impl WriteTransaction {
    /// Makes the changes the newest state, and tells their timestamp. With [`Durability::Sync`] it returns when they would survive a crash; readers
    /// see them from then on. A transaction that changed nothing makes no commit, and tells the one that it began after (which it makes sure is durable, too).
    ///
    /// # Errors
    /// [`Error::Incomplete`] if an earlier operation failed, [`Error::DiskFull`]: nothing is committed then. [`Error::OutcomeUnknown`] if
    /// the disk failed.
    pub fn commit(mut self) -> Result<Timestamp> {
        if self.complete_work()?.pages.0.touched() == 0 {
            return self.commit_nothing();
        }
        if self.handle.shared.is_copy.load(Ordering::Relaxed) {
            self.note_local_change()?;
        }
        if self.handle.shared.has_doomed.load(Ordering::Relaxed) {
            let is_done = catalog::dismantle_doomed(&mut self.complete_work()?.pages, DOOMED_PER_COMMIT)?;
            // Under the turn, so that nobody's `true` is overwritten; and taken back if what was dismantled is there again.
            self.handle.shared.has_doomed.store(!is_done, Ordering::Relaxed);
        }
        let WriteTransaction { work, base, durability, footprint, handle, .. } = self;
        let shared = &handle.shared;
        let result = shared.install(work.into_inner(), base.next(), durability, footprint);
        if result.is_err() {
            shared.has_doomed.store(true, Ordering::Relaxed);
            shared.is_copy.store(true, Ordering::Relaxed);
        }
        result
    }

    /// A copy of another store that somebody else than a receiver changes is no copy any more, and says so.
    fn note_local_change(&mut self) -> Result<()> {
        let is_receiving = self.is_receiving;
        let work = self.complete_work()?;
        if is_receiving || work.notes.redo.touched().is_empty() {
            return Ok(());
        }
        let note = catalog::origin(&work.pages)?.map(Origin::of_note).transpose()?;
        if let Some(origin) = note.filter(|origin| !origin.is_changed) {
            self.set_origin_note(&Origin { is_changed: true, ..origin }.to_note())?;
        }
        // Under the turn: from here on it is no copy, or it is known not to be.
        self.handle.shared.is_copy.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// What was read may not be durable yet: whoever is told that it is there must not lose it in a crash.
    fn commit_nothing(self) -> Result<Timestamp> {
        let WriteTransaction { work, base, durability, handle, .. } = self;
        // The turn is passed on.
        drop(work);
        handle.shared.assure(base, durability)?;
        Ok(base)
    }
}

pub(crate) fn unknown(at: Timestamp) -> impl Fn(Error) -> Error {
    move |error| Error::OutcomeUnknown { at, source: Box::new(error) }
}

impl Shared {
    /// Makes what a transaction did commit `at`.
    fn install(
        &self,
        work: Work,
        at: Timestamp,
        durability: Durability,
        footprint: Option<Footprint>,
    ) -> Result<Timestamp> {
        // Under the turn: the store may have failed since the transaction began.
        self.store.check_writable()?;
        let Work { pages, notes, .. } = work;
        let touched = self.feed.is_watched().then(|| pages.0.touched_pages());
        let note = |at, left: &mut Left, notes: Box<Notes>| {
            self.note_footprint(at, footprint, &notes.redo);
            recent::leave(left, at, notes).into_iter().for_each(|bytes| self.store.take_over_memory(bytes));
            touched.into_iter().for_each(|touched| self.feed.note(&self.store, touched));
        };
        let Some(journal) = self.journal.get() else {
            let at = pages.0.install_noting(durability == Durability::Sync, |at, left| note(at, left, notes));
            self.after_unjournaled(at, durability)?;
            return Ok(at);
        };
        let Some(body) = notes.redo.body() else {
            let at = pages.0.install_durably_noting(|at, left| note(at, left, notes))?;
            journal.checkpoint_is_durable(at);
            return Ok(at);
        };
        while journal.append(at, body, durability == Durability::Sync)? == Room::Full {
            // The checkpoint does not need our turn.
            let started = Instant::now();
            self.checkpoint()?;
            journal.note_full_wait(started.elapsed().as_micros() as u64);
        }
        let at = pages.0.install_noting(durability == Durability::Sync, |at, left| note(at, left, notes));
        self.after_journaled(at, durability)?;
        Ok(at)
    }

    /// Whoever is told that something is there must not lose it in a crash: makes everything up to `base` durable, if that was asked for.
    pub fn assure(&self, base: Timestamp, durability: Durability) -> Result<()> {
        if durability == Durability::Sync && self.store.published() < base {
            self.flush().map_err(unknown(base))?;
        }
        Ok(())
    }

    /// Remembers what a commit wrote, if concurrent transactions run.
    fn note_footprint(&self, at: Timestamp, footprint: Option<Footprint>, redo: &Redo) {
        let limit = self.conflicts.commit_limit();
        self.conflicts.note(at, || footprint.unwrap_or_else(|| Footprint::of_redo(redo, limit)));
    }

    pub(crate) fn after_journaled(&self, at: Timestamp, durability: Durability) -> Result<()> {
        let Some(journal) = self.journal.get() else { return Ok(()) };
        if self.store.wants_frames() {
            self.background.prepare_frames();
        }
        if journal.is_full() {
            self.background.write_journal();
        }
        match durability {
            Durability::Sync => journal.make_durable(at).map_err(unknown(at))?,
            Durability::Interval(interval) => self.background.sync_within(interval),
            Durability::None => {}
        }
        if self.store.wants_checkpoint() || journal.wants_checkpoint() {
            self.background.checkpoint_now();
        } else {
            self.background.checkpoint_within(self.checkpoint_interval);
        }
        Ok(())
    }

    pub(crate) fn after_unjournaled(&self, at: Timestamp, durability: Durability) -> Result<()> {
        match durability {
            Durability::Sync => self.checkpoint_covering(at).map_err(unknown(at))?,
            Durability::Interval(interval) => self.background.checkpoint_within(interval),
            Durability::None => self.background.checkpoint_within(self.checkpoint_interval),
        }
        if self.store.wants_checkpoint() {
            self.background.checkpoint_now();
        }
        Ok(())
    }

    /// Makes everything so far durable in the data file, and lets go of the journal's files that are not needed any more.
    pub fn checkpoint(&self) -> Result<Timestamp> {
        if let Some(journal) = self.journal.get() {
            journal.checkpoint_begins();
        }
        self.finish_checkpoint()
    }

    /// The same; then what is kept on the disk for later, but holds nothing, is given back.
    pub fn checkpoint_and_trim(&self) -> Result<Timestamp> {
        if let Some(journal) = self.journal.get() {
            journal.thorough_checkpoint_begins();
        }
        let at = self.finish_checkpoint()?;
        if let Some(journal) = self.journal.get() {
            journal.trim();
        }
        self.store.trim();
        Ok(at)
    }

    fn finish_checkpoint(&self) -> Result<Timestamp> {
        let at = self.store.checkpoint()?;
        if let Some(journal) = self.journal.get() {
            journal.checkpoint_is_durable(at);
        }
        Ok(at)
    }

    /// Makes everything up to `at` durable in the data file.
    pub fn checkpoint_covering(&self, at: Timestamp) -> Result<()> {
        while !self.store.is_in_memory() && self.store.durable() < at {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Makes everything so far durable, in the cheapest way.
    pub fn flush(&self) -> Result<()> {
        self.make_durable(self.store.installed())
    }

    /// Makes everything up to `at` durable, in the cheapest way.
    pub fn make_durable(&self, at: Timestamp) -> Result<()> {
        match self.journal.get() {
            Some(journal) => journal.make_durable(at),
            None => self.checkpoint_covering(at),
        }
    }
}
