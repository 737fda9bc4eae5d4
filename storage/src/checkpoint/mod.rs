//! Checkpoints: making one timestamp's whole state durable in the medium itself, beside readers and writers.
//!
//! The order, and what a crash after each step leaves:
//! 1. C = the newest installed timestamp, pinned in the same step in which nothing can be installed or published. The writer's turn is
//!    not needed: of a commit that is being installed meanwhile no version is older than C, and what it supersedes is in the history. (The
//!    previous checkpoint.)
//! 2. Each version newest at C that has no slots gets some, and is written; neighbours in a tree's order of page numbers. (The previous
//!    checkpoint, which needs none of these slots: it is a pin.)
//! 3. The table pages that changed since the previous checkpoint are written to slots of their own, up to a new root. (The same.)
//! 4. Sync; the older meta slot is written; sync. (After the second sync: C.) Only then is the previous checkpoint's pin dropped.
//! 5. *Settle*: the places of the written versions change from frame to slots, in the table by compare-and-swap, then in the history, always both.
//! 6. Our own registration is dropped, and all others are looked at, once: frames that somebody may be reading are kept for them.
//!
//! All checkpoints carry the list of named snapshots on. One that is made for a new name writes a new list between steps 3 and 4, and the same meta makes both durable:
//! see `naming.rs`.
//!
//! A checkpoint that fails before the meta is written gives its slots back and changes nothing. A failed sync, or a failure from the meta on,
//! leaves it unknown what is on the disk: the store is poisoned.
//!
//! Steps 2, 5 and 6 are in `versions.rs`, 3 in `table.rs`, the metas of 4 in `metas.rs`; a commit that brings its own checkpoint is in `install.rs`.

mod install;
mod list;
mod metas;
mod table;
mod versions;

use self::list::NewList;
use self::metas::MetaNews;
use self::versions::Settling;
use crate::layout::Run;
use crate::pins::ReaderKind;
use crate::planted::Bug;
use crate::read::Pin;
use crate::slots::CUT_SLOTS;
use crate::store::Store;
use crate::sync::{Arc, Ordering};
use crate::table_page::{DiskEntry, TableRef};
use crate::table_update::TableUpdate;
use crate::turn::Patience;
use crate::write_set::PrivatePages;
use crate::{PageId, Result, Timestamp};
use std::time::Instant;

/// What one table entry becomes.
struct Change {
    id: PageId,
    entry: DiskEntry,
}

/// A running checkpoint. Dropped before its end it gives everything back.
pub(crate) struct Checkpoint {
    store: Arc<Store>,
    /// C, with our registration as a reader there.
    pin: Option<Pin>,
    at: Timestamp,
    /// The timestamp that becomes durable: C, or that of the commit that the checkpoint is made for.
    target: Timestamp,
    previous: Timestamp,
    pages: u32,
    settling: Vec<Settling>,
    changes: Vec<Change>,
    /// Slots taken so far, given back on failure.
    taken: Vec<Run>,
}

impl Store {
    /// Makes everything installed up to now durable, and returns the timestamp that is. If another checkpoint is running,
    /// waits for it first. Does nothing when the newest commit is durable already, or in a store in memory.
    ///
    /// # Errors
    /// When the medium fails: [`Error::DiskFull`](crate::Error::DiskFull) leaves the store as it was, other failures may poison it.
    pub fn checkpoint(self: &Arc<Self>) -> Result<Timestamp> {
        if self.is_in_memory() {
            return Ok(self.installed());
        }
        let started = Instant::now();
        let mut checkpoint = self.begin_checkpoint()?;
        if checkpoint.at == checkpoint.previous {
            return Ok(checkpoint.at);
        }
        let update = checkpoint.write_all()?;
        let list = checkpoint.move_list()?;
        if !self.options.has(Bug::SkipDataSync) {
            self.sync()?;
        }
        checkpoint.make_durable(Some(update), list)?;
        let at = checkpoint.finish(started);
        self.frames.reserve.age();
        self.cut_tail(CUT_SLOTS);
        Ok(at)
    }

    /// Step 1. One checkpoint at a time; writers are not waited for.
    pub(crate) fn begin_checkpoint(self: &Arc<Self>) -> Result<Checkpoint> {
        let mut checkpoint = self.begin_naming()?;
        let at = self.clock.pin_installed(|at| self.pins.running.set(Some(at)));
        checkpoint.pin = Some(self.pin_at(at, ReaderKind::Checkpoint));
        (checkpoint.at, checkpoint.target) = (at, at);
        if checkpoint.has_news() {
            // Numbers taken by a transaction that is still open may be among these; they are not in use at C.
            checkpoint.pages = self.ids.lock().next;
        }
        Ok(checkpoint)
    }

    /// The claim of a checkpoint, for who changes the list of names alone: the durable checkpoint stays what it is.
    pub(crate) fn begin_naming(self: &Arc<Self>) -> Result<Checkpoint> {
        let mut running = self.checkpointing.lock();
        while *running {
            self.checkpoint_ended.wait(&mut running);
        }
        self.check_writable()?;
        *running = true;
        let durable = self.pins.durable.get().unwrap_or_default();
        Ok(Checkpoint {
            pin: None,
            at: durable,
            target: durable,
            previous: durable,
            pages: self.meta.lock().pages,
            store: self.clone(),
            settling: Vec::new(),
            changes: Vec::new(),
            taken: Vec::new(),
        })
    }

    /// Ends the writing life of the store: a last checkpoint, and both meta slots telling the same. Readers may go on.
    ///
    /// # Errors
    /// When the medium fails; what was durable before still is.
    pub fn close(self: &Arc<Self>) -> Result<()> {
        if self.is_in_memory() || self.options.read_only {
            return Ok(());
        }
        self.checkpoint()?;
        self.maintain();
        self.cut_tail(1);
        self.punch_free();
        let Some(_turn) = self.take_turn(Patience::Forever) else { return Ok(()) };
        self.check_writable()?;
        self.write_both_metas(true)
    }
}

impl Checkpoint {
    /// Whether something was committed since the durable checkpoint.
    pub(crate) fn has_news(&self) -> bool {
        self.at != self.previous
    }

    /// The timestamp that becomes durable.
    pub(crate) fn target(&self) -> Timestamp {
        self.target
    }

    /// One more than the greatest page number that the table knows.
    pub(crate) fn pages(&self) -> u32 {
        self.pages
    }

    /// The root of the table as it will be.
    pub(crate) fn root(&self, update: Option<&TableUpdate>) -> Option<TableRef> {
        let durable = self.store.durable.read();
        update.map_or_else(|| durable.root(), |update| update.root(&durable))
    }

    /// How many levels the table will have.
    pub(crate) fn levels(&self, update: Option<&TableUpdate>) -> usize {
        update.map_or_else(|| self.store.durable.read().levels.len(), TableUpdate::levels)
    }

    /// Steps 2 and 3.
    pub(crate) fn write_all(&mut self) -> Result<TableUpdate> {
        self.collect(&PrivatePages::default());
        self.write_versions()?;
        self.write_table()
    }

    /// Step 4, and publication. Without an update the durable checkpoint stays, without a list the names do.
    pub(crate) fn make_durable(&mut self, update: Option<TableUpdate>, list: Option<NewList>) -> Result<()> {
        let store = &self.store;
        let (root, levels) = (self.root(update.as_ref()), self.levels(update.as_ref()));
        let old_list = store.meta.lock().list;
        let list_ref = list.as_ref().map_or(old_list, |list| list.place);
        store.write_meta(MetaNews { at: self.target, pages: self.pages, levels, root, list: list_ref, twin: false })?;
        // From here on what we took is the durable checkpoint's.
        self.taken.clear();
        let replaced = update.map(|update| store.durable.write().apply(update)).unwrap_or_default();
        {
            // All pins change at once in the eyes of reclamation, and of those who open a named snapshot.
            let mut reclaimer = store.reclaimer.lock();
            store.pins.durable.set(Some(self.target));
            store.pins.running.set(None);
            if let Some(NewList { list, .. }) = list {
                reclaimer.set_named(&list);
                *store.named.lock() = list;
                old_list.into_iter().for_each(|old| store.slots.lock().release(old.run));
            }
            reclaimer.retire_table_pages(store, replaced, self.target);
        }
        store.spilled.lock().retain(|(_, birth), _| *birth > self.target);
        store.clock.durable_up_to(self.target);
        Ok(())
    }

    /// Settles, counts, and tells which timestamp is durable.
    pub(crate) fn finish(mut self, started: Instant) -> Timestamp {
        self.settle();
        let counters = &self.store.counters;
        counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        counters.checkpoint_us.fetch_add(started.elapsed().as_micros() as u64, Ordering::Relaxed);
        self.target
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        if !self.store.is_poisoned() {
            let mut slots = self.store.slots.lock();
            self.taken.drain(..).for_each(|run| slots.release(run));
        }
        self.pin = None;
        if self.store.pins.running.get() == Some(self.at) {
            let reclaimer = self.store.reclaimer.lock();
            // What was superseded meanwhile will not be settled: from now on only snapshots keep it in memory.
            for settling in &self.settling {
                reclaimer.uncount_superseded(&self.store, settling.id, settling.birth);
            }
            self.store.pins.running.set(None);
        }
        *self.store.checkpointing.lock() = false;
        self.store.checkpoint_ended.notify_all();
    }
}
