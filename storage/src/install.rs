//! Installing a commit: its versions become the newest, all of them before its timestamp may be published.
//!
//! The order, for each page: the old version goes into the history (its place read in the same critical section), then the new birth
//! is stored, then the new place. Readers load place, then birth. See "Reading" in the design for why this is sound.
//! Nothing here can fail: whatever can was done before.

use crate::frame::FramePool;
use crate::history::Nodes;
use crate::layout::HEADER_BYTES;
use crate::place::Place;
use crate::planted::Bug;
use crate::reclaim::Superseded;
use crate::store::Store;
use crate::sync::{Count, Ordering};
use crate::write_set::{Left, OnDesk, Private, State, WriteSet, stamp};
use crate::{PageId, Timestamp};

/// How many superseded versions are handed to reclamation at once.
const ADDED_AT_ONCE: usize = 64;

/// How many pages ahead the entry of one is asked for.
const PAGES_AHEAD: usize = 8;

/// How many versions a commit judges or frees besides twice those that it superseded itself.
const RECLAIM_BUDGET: usize = 64;

impl WriteSet {
    /// Makes the transaction's state the newest, passes the turn on, and does a bounded amount of reclamation. A `strict`
    /// commit is published only when a checkpoint has made it durable. Without any change there is no commit,
    /// and the timestamp is the one that the transaction began after.
    #[must_use]
    pub fn install(self, strict: bool) -> Timestamp {
        if self.desk.pages.is_empty() { self.base() } else { self.install_always(strict) }
    }

    /// As [`install`](WriteSet::install), but makes a commit of no change too: timestamps that a journal names must all exist.
    #[must_use]
    pub fn install_always(self, strict: bool) -> Timestamp {
        self.install_noting(strict, |_, _| {})
    }

    /// As [`install_always`](WriteSet::install_always), and calls `note` when the commit is installed, before the turn is passed on, with what is [left](WriteSet::left) for the next.
    #[must_use]
    pub fn install_noting(mut self, strict: bool, note: impl FnOnce(Timestamp, &mut Left)) -> Timestamp {
        let at = self.birth();
        let store = self.store();
        let strict = strict && !store.is_in_memory() && !store.options.has(Bug::PublishBeforeDurable);
        let due = self.install_pages(|store, at, left| {
            store.clock.install(at, strict);
            note(at, left);
        });
        self.end();
        self.store().reclaim_if(due);
        at
    }

    /// Installs all pages, and has the commit noted as installed. The turn is kept. What the commit supersedes waits for reclamation: it is told how many versions had better be judged or
    /// freed afterwards.
    pub(crate) fn install_pages(&mut self, note: impl FnOnce(&Store, Timestamp, &mut Left)) -> Option<usize> {
        let at = self.birth();
        self.forget_savepoints();
        let WriteSet { desk, base, .. } = self;
        let (store, OnDesk { pages, nodes, superseded, left, .. }) = (base.store(), &mut **desk);
        let mut superseded = SupersededBy { store, some: superseded, all: 0, nodes };
        let mut freed = Vec::new();
        let (mut counted, versions) = (0, pages.len() as u64);
        let planted = store.options.has(Bug::PublishBeforeInstall);
        if planted {
            store.clock.install(at, false);
        }
        let mut pages = pages.drain();
        while let Some((id, private)) = pages.next() {
            if let Some((later, _)) = pages.as_slice().get(PAGES_AHEAD) {
                store.table.prefetch(*later);
                store.history.prefetch(*later);
            }
            if planted {
                crate::sync::thread::sleep(std::time::Duration::from_micros(200));
            }
            counted += store.install_page(id, private, at, &mut superseded, &mut freed);
        }
        store.frames.count(counted);
        if !freed.is_empty() {
            // Page numbers may be reused at once: older timestamps find the old page in the history.
            store.ids.lock().free.append(&mut freed);
        }
        note(store, at, left);
        // Nobody else counts these: we have the turn.
        let add = |count: &Count, more| count.store(count.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        add(&store.counters.commits, 1);
        add(&store.counters.versions_installed, versions);
        superseded.finish()
    }
}

/// What a commit superseded, on its way to reclamation. All of it gets there before the turn is passed on: versions wait in the order of their ends, and the checker, which takes the turn, knows of all. None is
/// judged before the commit is published.
struct SupersededBy<'s> {
    store: &'s Store,
    some: &'s mut Vec<Superseded>,
    all: usize,
    nodes: &'s mut Nodes,
}

impl SupersededBy<'_> {
    fn push(&mut self, superseded: Superseded) {
        if self.some.len() == ADDED_AT_ONCE {
            self.store.reclaimer.lock().add(self.some);
        }
        self.some.push(superseded);
        self.all += 1;
    }

    /// Tells how many versions had better be judged or freed now.
    fn finish(&mut self) -> Option<usize> {
        let mut reclaimer = self.store.reclaimer.lock();
        reclaimer.add(self.some);
        reclaimer.is_due(self.store).then_some(RECLAIM_BUDGET + 2 * self.all)
    }
}

impl Store {
    /// A bounded amount of reclamation, if one is due.
    pub(crate) fn reclaim_if(&self, due: Option<usize>) {
        if let Some(budget) = due {
            self.reclaim_at_once(budget);
        }
    }

    /// Tells the memory that is to be counted for the new version.
    fn install_page(
        &self,
        id: PageId,
        private: Private,
        at: Timestamp,
        superseded: &mut SupersededBy<'_>,
        freed: &mut Vec<PageId>,
    ) -> usize {
        let Private { state, owner, fresh, .. } = private;
        let mut counted = 0;
        let place = match state {
            State::Frame { mut frame, len, is_stamped } => {
                if !is_stamped {
                    stamp(&mut frame, id, owner, at, len);
                }
                let (place, bytes) = FramePool::hand_over(frame, HEADER_BYTES + len);
                counted = bytes;
                place
            }
            State::Spilled { place, crc, .. } => {
                self.spilled.lock().insert((id, at), crc);
                place
            }
            State::Register(value) => Place::immediate(value),
            State::Freed => {
                freed.extend(id.if_given_out());
                if fresh {
                    return 0;
                }
                Place::NOWHERE
            }
        };
        let entry = self.table.grow_to(id);
        let (old_place, old_birth) = entry.load();
        // Looked up before the page's lock is taken: it may touch the disk. Only we supersede, so the birth is right.
        let crc = if old_place.is_unverified() { self.durable_crc(id, old_birth).unwrap_or(0) } else { 0 };
        let is_value = old_place.as_immediate().is_some();
        let old = if is_value {
            self.history.supersede_value(id, entry, at, superseded.nodes)
        } else {
            self.history.supersede(id, entry, at, crc, superseded.nodes)
        };
        if let Some(old) = old {
            superseded.push(Superseded { id, is_value, birth: old.birth, end: at, bytes: 0 });
            if old.place.is_medium() {
                self.counters.slots_retained.fetch_add(old.place.slots(), Ordering::Relaxed);
            }
        }
        entry.install(at, place);
        self.table.stamp(id, at);
        counted
    }
}
