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

use crate::layout::{Run, SLOT_BYTES, slots_for};
use crate::meta::{META_OFFSETS, Meta};
use crate::named::{self, ListRef, Named};
use crate::pins::ReaderKind;
use crate::place::Place;
use crate::planted::Bug;
use crate::read::Pin;
use crate::run_writer::RunWriter;
use crate::slots::CUT_SLOTS;
use crate::store::Store;
use crate::sync::{Arc, Ordering};
use crate::table::{ENTRIES_PER_TABLE_PAGE, PageTable};
use crate::table_page::{DiskEntry, TablePage, TableRef, level_sizes};
use crate::table_update::TableUpdate;
use crate::turn::Patience;
use crate::write_set::{Private, State, WriteSet};
use crate::{Error, PageId, PageMap, Result, Timestamp};
use std::time::Instant;

/// Shorter free stretches than this keep their blocks, and of the others all but the longest: each call may cost half a millisecond.
const PUNCH_SLOTS: u64 = 8;
const PUNCHES: usize = 512;

/// A version that a checkpoint gives slots to.
struct Settling {
    id: PageId,
    birth: Timestamp,
    frame: Place,
    run: Run,
    crc: u32,
}

/// What one table entry becomes.
struct Change {
    id: PageId,
    entry: DiskEntry,
}

/// What a meta says that is not the store's for all its life.
#[derive(Clone, Copy)]
struct MetaNews {
    at: Timestamp,
    pages: u32,
    levels: usize,
    root: Option<TableRef>,
    list: Option<ListRef>,
    twin: bool,
}

/// A list of named snapshots that has been written.
pub(crate) struct NewList {
    list: Vec<Named>,
    /// `None` if it is empty: then it takes no slots.
    place: Option<ListRef>,
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
    /// When the medium fails: [`Error::DiskFull`] leaves the store as it was, other failures may poison it.
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

    /// Cuts the free tail off the file, if it has at least `least` slots. A file that cannot be cut stays as long as it is: nothing is lost by that.
    pub(crate) fn cut_tail(&self, least: u64) {
        let Ok(medium) = self.medium() else { return };
        let mut slots = self.slots.lock();
        if let Some(end) = slots.cut_at(least)
            && medium.set_len(end * SLOT_BYTES as u64).is_ok()
        {
            slots.cut(end);
        }
    }

    /// Gives the blocks of what is free in the middle of the file back to the file system. Runs are shorter than its blocks, so their ends stay.
    fn punch_free(&self) {
        let Ok(medium) = self.medium() else { return };
        let slots = self.slots.lock();
        let mut longest: Vec<Run> = slots.free_stretches().filter(|run| run.slots >= PUNCH_SLOTS).collect();
        longest.sort_unstable_by_key(|run| std::cmp::Reverse(run.slots));
        for run in longest.into_iter().take(PUNCHES) {
            medium.punch(run.offset(), run.bytes());
        }
    }

    pub(crate) fn sync(&self) -> Result<()> {
        let medium = self.medium()?;
        medium.sync().map_err(|source| {
            let error = Error::io("sync", medium.path(), source);
            self.poison(&error);
            error
        })
    }

    /// Writes the next meta, and syncs.
    fn write_meta(&self, news: MetaNews) -> Result<()> {
        let MetaNews { at, pages, levels, root, list, twin } = news;
        let medium = self.medium()?;
        let mut state = self.meta.lock();
        let meta = Meta {
            page_size: self.options.page_size as u32,
            twin,
            store_id: state.store_id,
            sequence: state.sequence + 1,
            timestamp: at,
            pages,
            levels: levels as u32,
            root: root.map_or(Run { start: 0, slots: 0 }, |root| root.run),
            root_crc: root.map_or(0, |root| root.crc),
            list,
            user: state.user,
        };
        let written = medium.write(META_OFFSETS[meta.slot()], &meta.encode());
        written.map_err(|source| {
            let error = Error::io("write the meta slot", medium.path(), source);
            self.poison(&error);
            error
        })?;
        state.sequence = meta.sequence;
        (state.pages, state.list) = (pages, list);
        drop(state);
        self.sync()
    }

    /// Writes both meta slots for the durable checkpoint. With `twin` each says that the other tells the same.
    pub(crate) fn write_both_metas(&self, twin: bool) -> Result<()> {
        let at = self.pins.durable.get().unwrap_or_default();
        let (levels, root) = {
            let table = self.durable.read();
            (table.levels.len(), table.root())
        };
        let (pages, list) = {
            let state = self.meta.lock();
            (state.pages, state.list)
        };
        let news = MetaNews { at, pages, levels, root, list, twin };
        self.write_meta(news)?;
        self.write_meta(news)
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

impl WriteSet {
    /// Makes the transaction's state the newest and durable by one checkpoint, without a journal, whatever its size: its pages and the
    /// table are written before it is installed, so that a full disk leaves the store as it was. The turn is kept until it is durable.
    ///
    /// # Errors
    /// [`Error::DiskFull`] and other failures before the first sync: nothing has happened. Failures of a sync or of the meta poison the store.
    pub fn install_durably(self) -> Result<Timestamp> {
        self.install_durably_noting(|_| {})
    }

    /// As [`install_durably`](WriteSet::install_durably), and calls `note` when the commit is installed, under the turn.
    ///
    /// # Errors
    /// The same.
    pub fn install_durably_noting(mut self, note: impl FnOnce(Timestamp)) -> Result<Timestamp> {
        let started = Instant::now();
        let (store, target) = (self.store().clone(), self.birth());
        self.forget_savepoints();
        self.spill()?;
        // Nobody else installs meanwhile, so C is what we began after.
        let mut checkpoint = store.begin_checkpoint()?;
        checkpoint.target = target;
        checkpoint.pages = store.ids.lock().next;
        checkpoint.collect(&self.pages);
        checkpoint.write_versions()?;
        for (&id, private) in &self.pages {
            // As if this transaction had never had the page. But an earlier one of that number may have died since the previous checkpoint.
            if private.fresh && matches!(private.state, State::Freed) {
                checkpoint.collect_page(id);
                continue;
            }
            let entry = match private.state {
                State::Spilled { place, crc } => {
                    let run = store.run_of(place).expect("what spilled lies in the medium");
                    DiskEntry::Version { run, birth: target, crc }
                }
                State::Register(value) => DiskEntry::Register { value, birth: target },
                State::Freed => DiskEntry::Dead { since: target },
                State::Frame { .. } => unreachable!("everything has spilled"),
            };
            checkpoint.changes.push(Change { id, entry });
        }
        let update = checkpoint.write_table()?;
        store.sync()?;
        let superseded = self.install_pages(|at| {
            store.clock.install_unjournaled(at);
            note(at);
        });
        let count = superseded.len();
        store.reclaimer.lock().add(superseded);
        checkpoint
            .make_durable(Some(update), None)
            .map_err(|source| Error::OutcomeUnknown { at: target, source: Box::new(source) })?;
        checkpoint.finish(started);
        drop(self);
        store.reclaim_after(count);
        store.cut_tail(CUT_SLOTS);
        Ok(target)
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
        self.collect(&PageMap::default());
        self.write_versions()?;
        self.write_table()
    }

    /// Writes the list of named snapshots anew if it lies where a compaction wants nothing to lie.
    fn move_list(&mut self) -> Result<Option<NewList>> {
        let from = self.store.table_pages_from.load(Ordering::Relaxed);
        let is_there = self.store.meta.lock().list.is_some_and(|list| list.run.start >= from);
        let list = is_there.then(|| self.store.named.lock().clone());
        list.map(|list| self.write_list(list)).transpose()
    }

    /// Writes a list of named snapshots to slots of its own.
    pub(crate) fn write_list(&mut self, list: Vec<Named>) -> Result<NewList> {
        if list.is_empty() {
            return Ok(NewList { list, place: None });
        }
        let store = self.store.clone();
        let bytes = named::encode(&list);
        let run = store.allocate_run(&mut store.slots.lock(), slots_for(bytes.len()))?;
        self.taken.push(run);
        let mut writer = RunWriter::new(store.medium()?);
        writer.write(run, &bytes)?;
        let written = writer.finish()?;
        store.counters.bytes_written.fetch_add(written, Ordering::Relaxed);
        let place = ListRef { run, crc: crc32fast::hash(&bytes), len: bytes.len() as u32 };
        Ok(NewList { list, place: Some(place) })
    }

    /// Step 2.
    fn write_versions(&mut self) -> Result<()> {
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

    /// Finds what changed since the previous checkpoint, stretch by stretch, apart from what is about to be superseded.
    fn collect(&mut self, superseded: &PageMap<Private>) {
        for stretch in 0..(self.pages as usize).div_ceil(ENTRIES_PER_TABLE_PAGE) {
            if self.store.table.stamp_of(stretch) <= self.previous {
                continue;
            }
            let first = (stretch * ENTRIES_PER_TABLE_PAGE) as u32;
            for id in (first..self.pages.min(first + ENTRIES_PER_TABLE_PAGE as u32)).map(PageId) {
                if !superseded.contains_key(&id) {
                    self.collect_page(id);
                }
            }
        }
    }

    fn collect_page(&mut self, id: PageId) {
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
        crate::layout::PageHeader::read(unsafe { frame.bytes() }).map_or(PageId::NONE, |header| header.owner)
    }

    /// Step 3. The table of C: what did not change is shared with the previous one.
    fn write_table(&mut self) -> Result<TableUpdate> {
        let store = self.store.clone();
        let medium = store.medium()?;
        let mut update = TableUpdate::new(level_sizes(self.pages));
        let mut writer = RunWriter::new(medium);
        self.changes.sort_unstable_by_key(|change| change.id);
        let mut changes = std::mem::take(&mut self.changes).into_iter().peekable();
        let known = store.durable.read().level_len(0);
        let from = store.table_pages_from.load(Ordering::Relaxed);
        let mut moving = store.durable.read().pages_from(0, from).into_iter().peekable();
        let mut new = known..update.size(0);
        loop {
            let changed = changes.peek().map(|change| PageTable::stretch_of(change.id));
            let changed = changed.into_iter().chain(moving.peek().copied()).min();
            // In order: known stretches that changed or move, then every new one.
            let stretch = match (changed, new.start) {
                (Some(changed), first_new) if changed < first_new || new.is_empty() => changed,
                (_, first_new) if !new.is_empty() => first_new,
                _ => break,
            };
            moving.next_if_eq(&stretch);
            if new.contains(&stretch) {
                new.start = stretch + 1;
            }
            let mut page = match store.durable.read().leaf(medium, stretch) {
                // The previous checkpoint is durable and pinned, and we are the only checkpointer.
                Some(bytes) => TablePage::copied(bytes, 0, stretch as u32, self.target),
                None => TablePage::new(0, stretch as u32, self.target),
            };
            while let Some(change) = changes.next_if(|change| PageTable::stretch_of(change.id) == stretch) {
                page.set_entry(change.id, change.entry);
            }
            let table_ref = self.write_table_page(&page, page.newest(), &mut writer)?;
            update.set(0, stretch, table_ref);
        }
        for level in 1..update.levels() {
            let (known, moving) = {
                let table = store.durable.read();
                (table.level_len(level), table.pages_from(level, from))
            };
            for parent in update.parents_to_write(level, known, moving) {
                let children = update.children(&store.durable.read(), level, parent);
                let newest = children.iter().map(|child| child.newest).max().unwrap_or_default();
                let mut page = TablePage::new(level as u32, parent as u32, self.target);
                page.set_refs(&children);
                let table_ref = self.write_table_page(&page, newest, &mut writer)?;
                update.set(level, parent, table_ref);
            }
        }
        let written = writer.finish()?;
        store.counters.bytes_written.fetch_add(written, Ordering::Relaxed);
        store.counters.table_pages_written.fetch_add(update.len() as u64, Ordering::Relaxed);
        Ok(update)
    }

    fn write_table_page(
        &mut self,
        page: &TablePage,
        newest: Timestamp,
        writer: &mut RunWriter<'_>,
    ) -> Result<TableRef> {
        let run = self.store.allocate_run(&mut self.store.slots.lock(), 1)?;
        self.taken.push(run);
        writer.write(run, page.bytes())?;
        Ok(TableRef { run, crc: crc32fast::hash(page.bytes()), newest, written: self.target })
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

    /// Steps 5 and 6.
    fn settle(&mut self) {
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
        let retired = std::mem::take(&mut self.settling).into_iter().map(|settling| {
            let Settling { id, birth, frame, .. } = settling;
            let is_newest = store.table.entry(id).is_some_and(|entry| entry.load().1 == birth);
            let end = match store.history.get(id, birth) {
                Some(version) => version.end,
                None if is_newest => Timestamp::MAX,
                // Given back already: nobody can be reading it.
                None => birth,
            };
            (frame, birth, end)
        });
        let mut reclaimer = store.reclaimer.lock();
        let budget = 64 + 2 * retired.len();
        reclaimer.retire_frames(&store, retired);
        // What only the previous checkpoint needed is free now.
        reclaimer.pass(&store, budget);
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
