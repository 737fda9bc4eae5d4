//! Giving back what nobody needs: law 2 at work.
//!
//! Promises:
//! 1. A pass reads `published` first, then the registrations, once, and judges only versions that ended by then: whatever registers later
//!    registers at `published` or after, so it needs none of them.
//! 2. What it judges is charged to the newest pin that needs it, else freed. What pins that have gone were charged goes on to the next older.
//! 3. The work of a pass is bounded; what is left waits for the next, or for [`Store::maintain`].
//! 4. A frame that a checkpoint has settled is freed by its own rule: kept for registrations only, never for a checkpoint's pin.
//! 5. After a failure of the medium nothing is given back any more.
//! 6. Named snapshots are pins, too, but not registrations: no settled frame is kept for them. A table page that a checkpoint replaces is charged by the same rule, to
//!    named snapshots only: it was part of each checkpoint from the one that wrote it until the one that replaced it.

use crate::charges::{Balance, Charged, Charges, Share};
use crate::history::{Judged, Nodes, Version};
use crate::layout::Run;
use crate::named::Named;
use crate::place::Place;
use crate::planted::Bug;
use crate::store::Store;
use crate::sync::{Ordering, pass_on};
use crate::table_page::TableRef;
use crate::{PageId, Timestamp};
use std::collections::VecDeque;

/// How many versions one pass judges or frees, where nobody wants more at once.
const JUDGED_AT_ONCE: usize = 128;
/// Memory for so many versions is kept between passes.
const KEPT: usize = 1024;

/// A superseded version in the history; or, while it is pending, the first of a register's values that wait there to be judged together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Superseded {
    pub id: PageId,
    pub is_value: bool,
    pub birth: Timestamp,
    pub end: Timestamp,
    pub bytes: u64,
}

impl Charged for Superseded {
    fn birth(&self) -> Timestamp {
        self.birth
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A frame whose version has slots now, but which somebody may still be reading.
pub(crate) struct KeptFrame {
    pub place: Place,
    pub birth: Timestamp,
    pub bytes: u64,
}

impl Charged for KeptFrame {
    fn birth(&self) -> Timestamp {
        self.birth
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A table page that the durable checkpoint does not need any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableCharge {
    pub run: Run,
    /// The checkpoint that wrote it.
    pub written: Timestamp,
    /// The checkpoint that replaced it.
    pub replaced: Timestamp,
}

impl Charged for TableCharge {
    fn birth(&self) -> Timestamp {
        self.written
    }

    fn bytes(&self) -> u64 {
        self.run.bytes()
    }
}

/// What a pass did, and what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Versions that were given back.
    pub freed: u64,
    /// Versions that are free, or could be judged, and wait for another pass.
    pub waiting: u64,
}

/// Everything superseded, by what is known of it.
pub(crate) struct Reclaimer {
    /// Not judged yet, by end.
    pending: VecDeque<Superseded>,
    charged: Charges<Superseded>,
    kept: Charges<KeptFrame>,
    /// Free, but not yet given back.
    free: Vec<Vec<Superseded>>,
    free_items: u64,
    /// The timestamps of named snapshots, ascending.
    named: Vec<Timestamp>,
    tables: Charges<TableCharge>,
    /// Table pages that are free, but not yet given back.
    free_tables: Vec<Vec<TableCharge>>,
    // Reused between passes.
    unneeded: Vec<Superseded>,
    nodes: Nodes,
    frames: Vec<Place>,
    runs: Vec<Run>,
    readers: Vec<Timestamp>,
    pins: Vec<Timestamp>,
}

/// The newest of the pins that needs a version.
fn newest_needing(store: &Store, pins: &[Timestamp], birth: Timestamp, end: Timestamp) -> Option<Timestamp> {
    let needed_from = if store.options.has(Bug::KeepWhateverIsOlder) { Timestamp::ZERO } else { birth };
    Charges::<Superseded>::newest_needing(pins, needed_from, end)
}

impl Reclaimer {
    pub fn new() -> Reclaimer {
        Reclaimer {
            pending: VecDeque::new(),
            charged: Charges::new(),
            kept: Charges::new(),
            free: Vec::new(),
            free_items: 0,
            named: Vec::new(),
            tables: Charges::new(),
            free_tables: Vec::new(),
            unneeded: Vec::new(),
            nodes: Nodes::default(),
            frames: Vec::new(),
            runs: Vec::new(),
            readers: Vec::new(),
            pins: Vec::new(),
        }
    }

    /// Takes versions that a commit superseded.
    pub fn add(&mut self, superseded: &mut Vec<Superseded>) {
        self.pending.extend(superseded.drain(..));
    }

    /// Whether enough has gathered that a pass is worth its look at all registrations.
    pub fn is_due(&self, store: &Store) -> bool {
        let pins = store.registry.len() + self.named.len();
        self.pending.len() as u64 + self.free_items >= 32.max(pins as u64 / 16)
    }

    pub fn retained(&self) -> (u64, u64) {
        let (items, bytes) =
            self.charged.balances().fold((0, 0), |sum, balance| (sum.0 + balance.items, sum.1 + balance.bytes));
        (items + self.pending.len() as u64 + self.free_items, bytes)
    }

    pub fn balances(&self) -> impl Iterator<Item = Balance> {
        self.charged.balances()
    }

    pub fn charged(&self) -> impl Iterator<Item = (Timestamp, &Superseded)> {
        self.charged.iter()
    }

    /// Versions that wait to be judged each by itself, or to be given back.
    pub fn pending(&self) -> impl Iterator<Item = &Superseded> {
        self.pending.iter().filter(|superseded| !superseded.is_value).chain(self.free.iter().flatten())
    }

    /// Registers that have values which wait to be judged.
    pub fn values_pending(&self) -> impl Iterator<Item = PageId> {
        self.pending.iter().filter(|superseded| superseded.is_value).map(|superseded| superseded.id)
    }

    /// The pins that the last pass saw, ascending.
    pub fn pins(&self) -> &[Timestamp] {
        &self.pins
    }

    /// Settled frames that somebody may still be reading.
    pub fn kept_frames(&self) -> impl Iterator<Item = Place> {
        self.kept.iter().map(|(_, kept)| kept.place)
    }

    pub fn drain_kept(&mut self) -> impl Iterator<Item = Place> {
        self.kept.drain().map(|kept| kept.place)
    }

    /// Looks at all registrations, once. `published` was read before. The scan begins with a fence.
    fn look(&mut self, store: &Store) {
        self.readers.clear();
        store.registry.scan(&mut self.readers);
        if store.options.has(Bug::ForgetReaders) {
            self.readers.clear();
        }
        self.readers.sort_unstable();
        self.readers.dedup();
        self.pins.clear();
        self.pins.extend_from_slice(&self.readers);
        self.pins.extend_from_slice(&self.named);
        self.pins.extend(store.pins.durable.get().filter(|_| !store.options.has(Bug::ForgetCheckpoint)));
        self.pins.extend(store.pins.running.get());
        // Two ascending stretches and a few more, which this sort makes use of.
        self.pins.sort();
        self.pins.dedup();
    }

    /// One pass that judges or frees about `budget` versions.
    pub fn pass(&mut self, store: &Store, mut budget: usize) -> Progress {
        if store.is_poisoned() {
            return Progress { freed: 0, waiting: 0 };
        }
        let published = store.clock.published();
        self.look(store);
        self.release_gone();
        let mut freed = 0;
        while budget > 0
            && let Some(superseded) = self.pending.pop_front_if(|superseded| superseded.end <= published)
        {
            if superseded.is_value {
                let judged = self.judge_values(store, superseded.id, published, budget);
                budget -= judged.looked_at.clamp(1, budget);
                freed += judged.dropped;
                continue;
            }
            budget -= 1;
            if !self.is_charged(store, superseded) {
                self.unneeded.push(superseded);
            }
        }
        freed += self.unneeded.len() as u64;
        // The youngest first: it is the first of its page that is found.
        while let Some(superseded) = self.unneeded.pop() {
            self.take_out(store, superseded);
        }
        self.unneeded.shrink_to(KEPT);
        let freed = self.free_some(store, freed, budget.max(1));
        let ripe = self.pending.partition_point(|superseded| superseded.end <= published);
        Progress { freed, waiting: self.free_items + ripe as u64 }
    }

    fn release_gone(&mut self) {
        for pin in self.charged.gone(&self.pins) {
            let before = self.free.len();
            self.charged.release(pin, &self.pins, &mut self.free);
            self.free_items += self.free[before..].iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        }
        for pin in self.tables.gone(&self.named) {
            let before = self.free_tables.len();
            self.tables.release(pin, &self.named, &mut self.free_tables);
            self.free_items += self.free_tables[before..].iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        }
    }

    /// Judges values of a register that wait, where they stand. Those that wait for another pass are pending again.
    fn judge_values(&mut self, store: &Store, id: PageId, published: Timestamp, most: usize) -> Judged {
        let Reclaimer { pending, charged, pins, .. } = self;
        let judged = store.history.judge(id, published, most, |&Version { birth, end, .. }| {
            let pin = newest_needing(store, pins, birth, end);
            let item = Superseded { id, birth, end, bytes: 0, is_value: true };
            pin.inspect(|pin| charged.charge(*pin, item, pins)).is_some()
        });
        if let Some(end) = judged.waiting {
            let at = pending.partition_point(|superseded| superseded.end <= end);
            pending.insert(at, Superseded { id, birth: end, end, bytes: 0, is_value: true });
        }
        judged
    }

    /// Charges a version to the newest pin that needs it; `false` if there is none.
    fn is_charged(&mut self, store: &Store, mut superseded: Superseded) -> bool {
        let Superseded { id, birth, end, .. } = superseded;
        let Some(pin) = newest_needing(store, &self.pins, birth, end) else { return false };
        let place = store.history.get(id, birth).map_or(Place::NOWHERE, |version| version.place);
        if store.options.has(Bug::ReuseRetainedSlots) && place.is_medium() {
            store.run_of(place).into_iter().for_each(|run| store.slots.lock().release(run));
        }
        superseded.bytes = self.bytes_of(store, place);
        // The running checkpoint will settle what it needs; whatever else needs a frame is a snapshot, until it goes.
        if place.is_frame() && store.pins.running.get() != Some(pin) {
            // SAFETY: the version is in the history, and only this reclaimer takes it out; a checkpointer that settles it frees the
            // frame only under the reclaimer's lock, which we hold.
            unsafe { store.frames.uncount(place) };
        }
        self.charged.charge(pin, superseded, &self.pins);
        true
    }

    /// Takes a version that nobody needs out of the history. What it occupies is given back at the end of the pass.
    fn take_out(&mut self, store: &Store, superseded: Superseded) {
        let version = store.history.remove(superseded.id, superseded.birth, &mut self.nodes);
        let Version { place, .. } = version.expect("what is charged or pending is in the history");
        if place.is_frame() {
            self.frames.push(place);
        } else if place.is_medium() && !store.options.has(Bug::ReuseRetainedSlots) {
            self.runs.push(store.run_of(place).expect("a version's place lies in the medium"));
        }
    }

    /// If this version has been superseded and is in a frame, only snapshots keep it there from now on. A pin still retains it.
    pub fn uncount_superseded(&self, store: &Store, id: PageId, birth: Timestamp) {
        let place = store.history.get(id, birth).map(|version| version.place);
        if let Some(place) = place.filter(|place| place.is_frame()) {
            // SAFETY: the version is in the history, which only a reclaimer takes it out of: that is us.
            unsafe { store.frames.uncount(place) };
        }
    }

    fn bytes_of(&self, store: &Store, place: Place) -> u64 {
        if place.is_frame() {
            // SAFETY: as in `judge`.
            unsafe { store.frames.capacity_of(place) as u64 }
        } else if place.is_medium() {
            place.slots() * crate::SLOT_BYTES as u64
        } else {
            0
        }
    }

    /// Frees so many versions more than those `taken_out` already. Tells how many there were in all.
    fn free_some(&mut self, store: &Store, taken_out: u64, budget: usize) -> u64 {
        let mut freed = 0;
        while freed < budget as u64
            && let Some(chunk) = self.free.last_mut()
        {
            let Some(superseded) = chunk.pop() else {
                self.free.pop();
                continue;
            };
            freed += 1;
            self.take_out(store, superseded);
        }
        // SAFETY: the versions were superseded before every registration that can still look for them, and no pin lies in their lives: no
        // reader can find them, and those that could have found them are gone. They are out of the history, so this is the only release.
        unsafe { store.release_frames(&self.frames) };
        self.frames.clear();
        self.frames.shrink_to(KEPT);
        let slots = self.runs.iter().map(|run| run.slots).sum();
        while freed < budget as u64
            && let Some(chunk) = self.free_tables.last_mut()
        {
            let Some(table) = chunk.pop() else {
                self.free_tables.pop();
                continue;
            };
            freed += 1;
            self.runs.push(table.run);
        }
        self.free_items -= freed;
        freed += taken_out;
        if !self.runs.is_empty() && !store.options.has(Bug::LeakSlots) {
            store.counters.slots_retained.fetch_sub(slots, Ordering::Relaxed);
            let mut slots = store.slots.lock();
            self.runs.iter().for_each(|run| slots.release(*run));
        }
        self.runs.clear();
        self.runs.shrink_to(KEPT);
        store.counters.versions_reclaimed.fetch_add(freed, Ordering::Relaxed);
        freed + self.release_kept(store)
    }

    fn release_kept(&mut self, store: &Store) -> u64 {
        let mut free = Vec::new();
        for pin in self.kept.gone(&self.readers) {
            self.kept.release(pin, &self.readers, &mut free);
        }
        let places: Vec<Place> = free.iter().flatten().map(|frame| frame.place).collect();
        // SAFETY: nobody registered in their lives was there when the checkpointer looked, but those they were charged to, and they are gone.
        unsafe { store.release_frames(&places) };
        places.len() as u64
    }

    /// From now on these named snapshots are pins, and no others. `list` is by timestamp.
    pub fn set_named(&mut self, list: &[Named]) {
        self.named.clear();
        self.named.extend(list.iter().map(|named| named.at));
        self.named.dedup();
    }

    /// Charges a superseded version whose pin is known: while the store is being opened. `pins` (ascending) are all pins.
    pub fn charge(&mut self, pin: Timestamp, superseded: Superseded, pins: &[Timestamp]) {
        self.charged.charge(pin, superseded, pins);
    }

    /// Charges a table page to a named snapshot that needs it.
    pub fn charge_table(&mut self, pin: Timestamp, table: TableCharge) {
        self.tables.charge(pin, table, &self.named);
    }

    /// Table pages that the checkpoint of `at` has replaced: those that no named snapshot needs are free at once. The list of names is the one that belongs to it.
    pub fn retire_table_pages(&mut self, store: &Store, replaced: impl IntoIterator<Item = TableRef>, at: Timestamp) {
        let forget = store.options.has(Bug::FreeNamedTables);
        for TableRef { run, written, .. } in replaced {
            match Charges::<TableCharge>::newest_needing(&self.named, written, at).filter(|_| !forget) {
                Some(pin) => self.charge_table(pin, TableCharge { run, written, replaced: at }),
                None => store.slots.lock().release(run),
            }
        }
    }

    /// Table pages that named snapshots need, with those to whom they are charged (`None`: free, but not yet given back).
    pub fn table_pages(&self) -> impl Iterator<Item = (Option<Timestamp>, &TableCharge)> {
        let free = self.free_tables.iter().flatten().map(|table| (None, table));
        self.tables.iter().map(|(pin, table)| (Some(pin), table)).chain(free)
    }

    /// What each of the timestamps of named snapshots needs of the past, in bytes: versions and table pages. After a look at the pins.
    pub fn shares(&mut self, store: &Store) -> Vec<(Timestamp, Share)> {
        self.look(store);
        self.release_gone();
        let (versions, tables) = (self.charged.shares(&self.pins), self.tables.shares(&self.named));
        let named = self.named.iter().zip(tables);
        named
            .map(|(&at, table)| {
                let version = self.pins.binary_search(&at).map_or(Share::default(), |index| versions[index]);
                (at, Share { alone: version.alone + table.alone, shared: version.shared + table.shared })
            })
            .collect()
    }

    /// The look at the end of a checkpoint, which has dropped its own registration: all pins that may be reading a frame that it has settled. Who registers later finds slots.
    pub fn readers_of_settled(&mut self, store: &Store) -> Vec<Timestamp> {
        self.look(store);
        self.readers.clone()
    }

    /// Each settled frame (with its version's life) is kept for whoever may be reading it, else freed. `readers` are from that look; what is charged to one that has gone since the next pass finds.
    pub fn retire_frames(&mut self, store: &Store, frames: &[(Place, Timestamp, Timestamp)], readers: &[Timestamp]) {
        if store.is_poisoned() {
            // Kept until the store goes: there are no passes any more.
            for &(place, birth, _) in frames {
                self.kept.charge(Timestamp::MAX, KeptFrame { place, birth, bytes: 0 }, &[]);
            }
            return;
        }
        let mut free = Vec::new();
        for &(place, birth, end) in frames {
            match Charges::<KeptFrame>::newest_needing(readers, birth, end) {
                Some(pin) => {
                    // SAFETY: the frame was the checkpointer's to retire, once.
                    let bytes = unsafe {
                        store.frames.uncount(place);
                        store.frames.capacity_of(place) as u64
                    };
                    self.kept.charge(pin, KeptFrame { place, birth, bytes }, readers);
                }
                None => free.push(place),
            }
        }
        // SAFETY: table and history name slots instead since before the fence of the look; who registers after it finds those.
        unsafe { store.release_frames(&free) };
    }
}

impl Store {
    /// Judges or frees about `budget` versions, some at a time: whoever waits for the reclaimer's lock, as each commit may, gets it in between.
    pub fn reclaim(&self, budget: usize) -> Progress {
        let mut total = Progress::default();
        let mut left = budget;
        while left > 0 {
            let some = left.min(JUDGED_AT_ONCE);
            left -= some;
            let mut reclaimer = self.reclaimer.lock();
            let progress = reclaimer.pass(self, some);
            pass_on(reclaimer);
            total = Progress { freed: total.freed + progress.freed, waiting: progress.waiting };
            if progress.waiting == 0 {
                break;
            }
        }
        total
    }

    /// One pass for who has just committed. (Not passed on: he would soon wait for somebody who must be woken first.)
    pub(crate) fn reclaim_at_once(&self, budget: usize) {
        self.reclaimer.lock().pass(self, budget);
    }

    /// Gives back everything that nobody needs, however much that is.
    pub fn maintain(&self) -> Progress {
        let mut total = Progress::default();
        loop {
            let progress = self.reclaim(4096);
            total.freed += progress.freed;
            total.waiting = progress.waiting;
            if progress.waiting == 0 || progress.freed == 0 {
                return total;
            }
        }
    }
}
