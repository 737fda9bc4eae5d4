//! The checker of law 3 and its neighbours: what is in the file and in memory, accounted for once.
//!
//! It holds the writer's turn and the reclaimer, waits for a running checkpoint, finishes reclamation, and then looks at everything:
//! - every slot is exactly one of: meta, newest version, retained version, table page, list of names, free;
//! - every retained version is charged or waiting exactly once, its life does not overlap with another's, and some pin lies in it;
//! - every version in the medium has the checksum, number, birth and length that its table entry says; table pages check out;
//! - every frame is owned exactly once;
//! - what each named snapshot needs is there: its table pages, charged to it or to another that needs them, and its versions; and so is the list of names.
//!
//! It reports all that it finds, not the first.

use crate::history::Version;
use crate::layout::{PageHeader, Run, SLOT_BYTES};
use crate::meta::META_SLOTS;
use crate::named;
use crate::past::each_with_next;
use crate::pins::ReaderKind;
use crate::place::Place;
use crate::read::Pin;
use crate::store::Store;
use crate::sync::{Arc, Ordering};
use crate::table_differences::{Difference, TableRoot, differences};
use crate::table_page::{DiskEntry, check_page};
use crate::turn::Patience;
use crate::{PageId, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Something that is not as the laws say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The page that it is about, if it is about one.
    pub page: Option<PageId>,
    /// The slot of the file that it is about, if it is about one.
    pub slot: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(page) = self.page {
            write!(f, "page {page}: ")?;
        }
        if let Some(slot) = self.slot {
            write!(f, "slot {slot}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// What the checker counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Pages and registers that exist now.
    pub pages: Vec<PageId>,
    /// Of `pages`, those that are registers.
    pub registers: Vec<PageId>,
    /// Superseded versions that are retained.
    pub versions_retained: u64,
    /// Slots of the two metas.
    pub slots_meta: u64,
    /// Slots of newest versions.
    pub slots_newest: u64,
    /// Slots of superseded versions.
    pub slots_retained: u64,
    /// Slots of table pages of the durable checkpoint.
    pub slots_table: u64,
    /// Slots of table pages that only named snapshots need, and of the list of names.
    pub slots_named: u64,
    /// Named snapshots.
    pub named_snapshots: u64,
    /// Free slots.
    pub slots_free: u64,
}

/// Collects claims on slots and frames while it looks.
struct Checker<'s> {
    store: &'s Store,
    report: &'s mut dyn FnMut(Finding),
    summary: Summary,
    claims: BTreeMap<u64, (Run, String)>,
    frames: HashMap<u64, PageId>,
    frame_bytes: usize,
}

impl Store {
    /// Checks the laws of storage, and reports every breach. Writers and checkpoints wait meanwhile; readers do not.
    pub fn check(self: &Arc<Self>, report: &mut dyn FnMut(Finding)) -> Summary {
        self.check_and(report, |summary, _, _| summary)
    }

    /// As [`check`](Store::check); then, while nothing can change, `inspect` looks at the newest state through a pin.
    pub fn check_and<T>(
        self: &Arc<Self>,
        report: &mut dyn FnMut(Finding),
        inspect: impl FnOnce(Summary, Pin, &mut dyn FnMut(Finding)) -> T,
    ) -> T {
        let _turn = self.take_turn(Patience::Forever);
        let mut running = self.checkpointing.lock();
        while *running {
            self.checkpoint_ended.wait(&mut running);
        }
        let mut reclaimer = self.reclaimer.lock();
        while reclaimer.pass(self, usize::MAX).freed > 0 {}
        let mut checker = Checker {
            store: self,
            report,
            summary: Summary::default(),
            claims: BTreeMap::new(),
            frames: HashMap::new(),
            frame_bytes: 0,
        };
        checker.claim(Run { start: 0, slots: META_SLOTS }, || "the meta slots".to_owned());
        checker.summary.slots_meta = META_SLOTS;
        checker.newest();
        checker.history(&reclaimer);
        for place in reclaimer.kept_frames() {
            checker.claim_frame(PageId::NONE, place);
        }
        checker.table_pages();
        checker.named(&reclaimer);
        for run in self.reserved.lock().clone() {
            checker.claim(run, || "what a compaction copies to, or what is being punched out".to_owned());
        }
        checker.slots();
        let in_use = self.frames.in_use();
        if checker.frame_bytes != in_use {
            let what = format!("{} bytes of frames are reachable, but {in_use} are in use", checker.frame_bytes);
            checker.find(None, None, what);
        }
        let retained = self.counters.slots_retained.load(Ordering::Relaxed);
        if checker.summary.slots_retained != retained {
            let what = format!("{} slots are retained, but {retained} are counted", checker.summary.slots_retained);
            checker.find(None, None, what);
        }
        let summary = checker.summary;
        drop((reclaimer, running));
        inspect(summary, self.pin_at(self.installed(), ReaderKind::Writer), report)
    }
}

impl Checker<'_> {
    fn find(&mut self, page: Option<PageId>, slot: Option<u64>, what: impl Into<String>) {
        (self.report)(Finding { page, slot, what: what.into() });
    }

    fn claim(&mut self, run: Run, who: impl Fn() -> String) {
        if self.store.medium.is_none() {
            return;
        }
        let before = self.claims.range(..run.end()).next_back();
        if let Some((_, (other, other_who))) = before.filter(|(_, (other, _))| other.end() > run.start) {
            let what = format!("{} and {other_who} (slots {}..{}) share slots", who(), other.start, other.end());
            self.find(None, Some(run.start), what);
        }
        if !self.store.slots.lock().is_used(run) {
            self.find(None, Some(run.start), format!("{} lies in slots that count as free", who()));
        }
        self.claims.insert(run.start, (run, who()));
    }

    fn claim_frame(&mut self, id: PageId, place: Place) {
        // SAFETY: a place in table, history or kept frames is a frame that has not been released; we hold turn and reclaimer.
        self.frame_bytes += unsafe { self.store.frames.capacity_of(place) };
        if let Some(other) = self.frames.insert(place.address().addr() as u64, id) {
            self.find(Some(id), None, format!("its frame belongs to page {other} too"));
        }
    }

    /// Checks one version, and returns its slots.
    fn version(&mut self, id: PageId, birth: Timestamp, place: Place, crc: Option<u32>) -> u64 {
        if place.is_frame() {
            self.claim_frame(id, place);
            // SAFETY: as in `claim_frame`.
            let header = PageHeader::read(unsafe { place.bytes() });
            if header.is_none_or(|header| header.id != id || header.birth != birth) {
                self.find(Some(id), None, format!("its frame does not hold the version of {birth}"));
            }
            return 0;
        }
        if !place.is_medium() {
            return 0;
        }
        let Some(run) = self.store.run_of(place) else {
            self.find(Some(id), None, "its place lies outside of the medium");
            return 0;
        };
        self.claim(run, || format!("page {id} of {birth}"));
        if let Some(crc) = crc
            && let Err(error) = self.store.check_version(id, birth, place, crc)
        {
            self.find(Some(id), Some(run.start), error.to_string());
        }
        run.slots
    }

    fn newest(&mut self) {
        let installed = self.store.installed();
        let next = self.store.ids.lock().next;
        for id in (0..next).map(PageId) {
            let Some((place, birth)) = self.store.table.entry(id).map(|entry| entry.load()) else { continue };
            if birth > installed {
                self.find(Some(id), None, format!("it was born at {birth}, after the newest commit {installed}"));
            }
            if place.is_nowhere() {
                continue;
            }
            self.summary.pages.push(id);
            if place.as_immediate().is_some() {
                self.summary.registers.push(id);
            }
            let spilled = || self.store.spilled.lock().get(&(id, birth)).copied();
            let crc = self.store.durable_crc(id, birth).or_else(spilled);
            if place.is_medium() && crc.is_none() {
                self.find(Some(id), None, "it lies in slots, but its checksum is known to nobody");
            }
            self.summary.slots_newest += self.version(id, birth, place, crc);
        }
        let free = self.store.ids.lock().free.clone();
        let mut seen = std::collections::HashSet::new();
        for id in free {
            let is_alive = self.store.table.entry(id).is_some_and(|entry| !entry.load().0.is_nowhere());
            if is_alive || !seen.insert(id) || id.0 >= next || id.beside().is_none() {
                self.find(Some(id), None, "its number counts as free, but it exists, or is free twice");
            }
        }
        // Numbers beside others are never free for others.
        let used = self.summary.pages.iter().filter(|id| id.beside().is_some()).count();
        let given_out = next as usize / 2;
        if seen.len() + used != given_out {
            self.find(None, None, format!("{used} page numbers exist, {} are free, of {given_out}", seen.len()));
        }
    }

    fn history(&mut self, reclaimer: &crate::reclaim::Reclaimer) {
        let mut versions: Vec<(PageId, Version)> = Vec::new();
        self.store.history.for_each(|id, version| versions.push((id, *version)));
        versions.sort_unstable_by_key(|(id, version)| (*id, version.birth));
        let mut known: HashMap<(PageId, Timestamp), Option<Timestamp>> = HashMap::new();
        let charged = reclaimer.charged().map(|(pin, item)| (item, Some(pin)));
        for (item, pin) in charged.chain(reclaimer.pending().map(|item| (item, None))) {
            if known.insert((item.id, item.birth), pin).is_some() {
                self.find(Some(item.id), None, format!("its version of {} is accounted for twice", item.birth));
            }
        }
        let mut waiting = Vec::new();
        self.store.history.for_each_waiting(|id, version| waiting.push((id, version.birth)));
        for (id, birth) in waiting {
            if known.insert((id, birth), None).is_some() {
                self.find(Some(id), None, format!("its value of {birth} is accounted for twice"));
            }
            if !reclaimer.values_pending().any(|register| register == id) {
                self.find(Some(id), None, format!("its value of {birth} waits, and nobody knows"));
            }
        }
        let published = self.store.published();
        for (index, &(id, version)) in versions.iter().enumerate() {
            let Version { birth, end, place, crc } = version;
            let next_birth = match versions.get(index + 1) {
                Some((next, version)) if *next == id => version.birth,
                _ => self.store.table.entry(id).map_or(Timestamp::MAX, |entry| entry.load().1),
            };
            if birth >= end || end > next_birth {
                self.find(
                    Some(id),
                    None,
                    format!("its version lives from {birth} to {end}, the next from {next_birth}"),
                );
            }
            match known.remove(&(id, birth)) {
                None => self.find(Some(id), None, format!("nobody is charged with its version of {birth}")),
                Some(Some(pin)) if !version.contains(pin) => {
                    self.find(
                        Some(id),
                        None,
                        format!("its version of {birth} is charged to {pin}, which does not need it"),
                    );
                }
                Some(_) => {}
            }
            if end <= published && !reclaimer.pins().iter().any(|pin| version.contains(*pin)) {
                self.find(Some(id), None, format!("its version of {birth} to {end} is kept, but no pin needs it"));
            }
            self.summary.slots_retained += self.version(id, birth, place, place.is_unverified().then_some(crc));
            self.summary.versions_retained += 1;
        }
        for (id, birth) in known.into_keys() {
            self.find(Some(id), None, format!("its version of {birth} is charged, but not in the history"));
        }
    }

    fn table_pages(&mut self) {
        let Ok(medium) = self.store.medium() else { return };
        let table = self.store.durable.read().clone();
        for (level, refs) in table.levels.iter().enumerate() {
            for (index, table_ref) in refs.iter().enumerate() {
                self.claim(table_ref.run, || format!("table page {index} of level {level}"));
                self.summary.slots_table += table_ref.run.slots;
                if let Err(error) = check_page(medium, table_ref, level as u32, index as u32) {
                    self.find(None, Some(table_ref.run.start), error.to_string());
                }
            }
        }
        // What the durable checkpoint needs must still be there, newest or retained.
        let Some(durable) = self.store.pins.durable.get() else { return };
        for id in (0..self.store.ids.lock().next).map(PageId) {
            let Some(entry) = table.entry(medium, id) else { break };
            let located = self.store.locate(id, durable);
            let (here, there) = match (entry, located) {
                (DiskEntry::Version { run, birth, .. }, Some((place, here, _))) => {
                    if self.store.run_of(place) != Some(run) {
                        self.find(Some(id), Some(run.start), "the durable checkpoint has it in other slots");
                    }
                    (here, birth)
                }
                (DiskEntry::Register { value, birth }, Some((place, here, _))) => {
                    if place.as_immediate() != Some(value) {
                        self.find(Some(id), None, "the durable checkpoint has another value for the register");
                    }
                    (here, birth)
                }
                (DiskEntry::Dead { .. } | DiskEntry::NeverUsed, None) => continue,
                (entry, located) => {
                    let what = format!("the durable checkpoint says {entry:?}, memory says {located:?}");
                    self.find(Some(id), None, what);
                    continue;
                }
            };
            if here != there {
                self.find(
                    Some(id),
                    None,
                    format!("the durable checkpoint has its version of {there}, memory that of {here}"),
                );
            }
        }
    }

    fn named(&mut self, reclaimer: &crate::reclaim::Reclaimer) {
        let list = self.store.named.lock().clone();
        self.summary.named_snapshots = list.len() as u64;
        let Ok(medium) = self.store.medium() else { return };
        let (list_ref, pages) = {
            let state = self.store.meta.lock();
            (state.list, state.pages)
        };
        let durable = self.store.pins.durable.get().unwrap_or_default();
        match list_ref.map(|list_ref| named::read(medium, &list_ref, durable)).transpose() {
            Ok(there) if there.as_ref().is_some_and(|there| *there == list) || (there.is_none() && list.is_empty()) => {
            }
            Ok(_) => self.find(None, None, "the list of named snapshots in the file is another than that in memory"),
            Err(error) => self.find(None, None, error.to_string()),
        }
        if let Some(list_ref) = list_ref {
            self.claim(list_ref.run, || "the list of named snapshots".to_owned());
            self.summary.slots_named += list_ref.run.slots;
        }
        // What is charged, and what a comparison of the tables says.
        let mut charged = BTreeMap::new();
        for (pin, table) in reclaimer.table_pages() {
            self.claim(table.run, || format!("a table page of the checkpoint of {}", table.written));
            self.summary.slots_named += table.run.slots;
            let needed = |pin: Timestamp| table.written <= pin && pin < table.replaced;
            if !pin.is_some_and(|pin| needed(pin) && list.iter().any(|named| named.at == pin)) {
                let what = format!("a table page of {} to {} is kept for {pin:?}", table.written, table.replaced);
                self.find(None, Some(table.run.start), what);
            }
            charged.insert(table.run, pin);
        }
        let root = self.store.durable.read().root();
        let compared = each_with_next(&list, TableRoot { at: durable, pages, root }, |older, newer| {
            differences(medium, older, newer, &mut |difference| {
                match difference {
                    Difference::TablePage { run, .. } => {
                        if charged.remove(&run) != Some(Some(older.at)) {
                            let what = format!("{} needs a table page there, but is not charged with it", older.at);
                            self.find(None, Some(run.start), what);
                        }
                    }
                    Difference::Entry { id, entry, .. } => self.named_entry(id, entry, older.at),
                }
                Ok(())
            })
        });
        if let Err(error) = compared {
            self.find(None, None, format!("a named snapshot cannot be read: {error}"));
        }
        for (run, pin) in charged {
            self.find(None, Some(run.start), format!("a table page is charged to {pin:?}, which does not need it"));
        }
    }

    /// Whether memory has what the table of a named snapshot says, and the snapshot that is compared with it does not.
    fn named_entry(&mut self, id: PageId, entry: DiskEntry, at: Timestamp) {
        let located = self.store.locate(id, at);
        let is_there = match (entry, located) {
            (DiskEntry::Version { run, birth, .. }, Some((place, here, _))) => {
                here == birth && self.store.run_of(place) == Some(run)
            }
            (DiskEntry::Register { value, birth }, Some((place, here, _))) => {
                here == birth && place.as_immediate() == Some(value)
            }
            _ => false,
        };
        if !is_there {
            let what = format!("the named snapshot of {at} says {entry:?}, memory says {located:?}");
            self.find(Some(id), None, what);
        }
    }

    fn slots(&mut self) {
        if self.store.medium.is_none() {
            return;
        }
        let (end, free, free_slots) = {
            let slots = self.store.slots.lock();
            (slots.end(), slots.free_stretches().collect::<Vec<_>>(), slots.free_slots())
        };
        self.summary.slots_free = free_slots;
        let mut all: Vec<Run> = self.claims.values().map(|(run, _)| *run).chain(free).collect();
        all.sort_unstable();
        let mut next = 0;
        for run in all {
            if run.start > next {
                self.find(None, Some(next), format!("slots {next}..{} belong to nothing, and are not free", run.start));
            }
            next = next.max(run.end());
        }
        if next != end {
            self.find(None, Some(next), format!("slots {next}..{end} belong to nothing, and are not free"));
        }
        let len = self.store.medium().map_or(0, |medium| medium.len());
        if len / SLOT_BYTES as u64 != end {
            self.find(None, None, format!("the file has {len} bytes, which are not {end} slots"));
        }
    }
}
