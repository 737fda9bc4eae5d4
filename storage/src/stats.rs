//! Numbers about a store, for people and for tests.

use crate::charges::Balance;
use crate::layout::SLOT_BYTES;
use crate::pins::{ReaderId, ReaderInfo, ReaderKind};
use crate::store::Store;
use crate::sync::{Arc, Count, Ordering};
use crate::{Run, Timestamp};
use std::collections::BTreeMap;

/// What has happened since the store was opened.
#[derive(Default)]
pub(crate) struct Counters {
    pub commits: Count,
    pub versions_installed: Count,
    pub versions_written: Count,
    pub table_pages_written: Count,
    pub versions_reclaimed: Count,
    pub versions_spilled: Count,
    pub bytes_written: Count,
    pub checkpoints: Count,
    pub checkpoint_us: Count,
    /// Of the checkpoint that is running, or was the last: versions to write, and written.
    pub checkpoint_versions: Count,
    pub checkpoint_versions_done: Count,
    pub history_lookups: Count,
    /// Not a count of events: slots that superseded versions occupy now.
    pub slots_retained: Count,
}

/// A snapshot of a store's numbers. Counters start at zero when the store is opened.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The newest commit.
    pub installed: Timestamp,
    /// The newest commit that readers may see.
    pub published: Timestamp,
    /// Everything up to this commit would survive a crash.
    pub durable: Timestamp,
    /// The length of the file, in bytes.
    pub file_bytes: u64,
    /// Slots of the file that are in use: by versions, table pages, the meta, and open transactions.
    pub slots_used: u64,
    /// Slots that superseded versions occupy: kept for a pin, or waiting for reclamation.
    pub slots_retained: u64,
    /// Slots of the file that are free.
    pub slots_free: u64,
    /// Slots that hold table pages of the durable checkpoint.
    pub slots_table: u64,
    /// Slots that only named snapshots need, their versions apart: table pages of earlier checkpoints, and the list of names.
    pub slots_named: u64,
    /// Named snapshots.
    pub named_snapshots: u64,
    /// Page numbers in use or free again, those beside others apart.
    pub pages: u64,
    /// Page numbers that are free, likewise.
    pub pages_free: u64,
    /// Memory in frames, in bytes.
    pub frame_bytes: u64,
    /// The part of it that the limits count: what only snapshots keep is not in it.
    pub frame_bytes_counted: u64,
    /// Superseded versions that are still there: charged to a pin, or not yet looked at.
    pub versions_retained: u64,
    /// The bytes of those that are charged to a pin.
    pub bytes_retained: u64,
    /// Commits.
    pub commits: u64,
    /// Versions that commits installed.
    pub versions_installed: u64,
    /// Versions that checkpoints wrote.
    pub versions_written: u64,
    /// Table pages that checkpoints wrote.
    pub table_pages_written: u64,
    /// Bytes written to the file.
    pub bytes_written: u64,
    /// Superseded versions that were given back.
    pub versions_reclaimed: u64,
    /// Versions that transactions wrote to the file before they committed, for want of memory.
    pub versions_spilled: u64,
    /// Checkpoints that became durable.
    pub checkpoints: u64,
    /// The time that they took, in microseconds.
    pub checkpoint_us: u64,
    /// The commit that the running checkpoint will make durable in the file, if one is running.
    pub checkpoint_running: Option<Timestamp>,
    /// How many versions the running checkpoint, or the last, has to write.
    pub checkpoint_versions: u64,
    /// How many of them it has written.
    pub checkpoint_versions_done: u64,
    /// How often a read had to look into the history.
    pub history_lookups: u64,
}

/// One timestamp that is kept readable, by whom, and at what cost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Held {
    /// The timestamp.
    pub at: Timestamp,
    /// Superseded versions charged to it: those that would be free, or charged to an older one, without it.
    pub versions: u64,
    /// Their size in slots or frames, in bytes.
    pub bytes: u64,
    /// Who is registered there. Empty for a checkpoint's pin, or one that has just gone.
    pub readers: Vec<ReaderInfo>,
    /// Whether the durable checkpoint is there.
    pub is_checkpoint: bool,
    /// The named snapshots that are there.
    pub names: Vec<Arc<str>>,
}

impl Held {
    fn nothing_at(at: Timestamp) -> Held {
        Held { at, versions: 0, bytes: 0, readers: Vec::new(), is_checkpoint: false, names: Vec::new() }
    }
}

impl Store {
    /// The store's numbers now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let count = |counter: &Count| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let (slots_end, slots_free) = {
            let slots = self.slots.lock();
            (slots.end(), slots.free_slots())
        };
        let (pages, pages_free) = {
            let ids = self.ids.lock();
            (u64::from(ids.next / 2), ids.free.len() as u64)
        };
        let ((versions_retained, bytes_retained), tables_kept) = {
            let reclaimer = self.reclaimer.lock();
            (reclaimer.retained(), reclaimer.table_pages().map(|(_, table)| table.run.slots).sum::<u64>())
        };
        let list_slots = self.meta.lock().list.map_or(0, |list| list.run.slots);
        Stats {
            installed: self.clock.installed(),
            published: self.clock.published(),
            durable: self.clock.durable(),
            file_bytes: slots_end * SLOT_BYTES as u64,
            slots_used: slots_end - slots_free,
            slots_retained: count(&counters.slots_retained),
            slots_free,
            slots_table: self.durable.read().runs().map(|run| run.slots).sum(),
            slots_named: tables_kept + list_slots,
            named_snapshots: self.named.lock().len() as u64,
            pages,
            pages_free,
            frame_bytes: self.frames.in_use() as u64,
            frame_bytes_counted: self.frames.counted() as u64,
            versions_retained,
            bytes_retained,
            commits: count(&counters.commits),
            versions_installed: count(&counters.versions_installed),
            versions_written: count(&counters.versions_written),
            table_pages_written: count(&counters.table_pages_written),
            bytes_written: count(&counters.bytes_written),
            versions_reclaimed: count(&counters.versions_reclaimed),
            versions_spilled: count(&counters.versions_spilled),
            checkpoints: count(&counters.checkpoints),
            checkpoint_us: count(&counters.checkpoint_us),
            checkpoint_running: self.pins.running.get(),
            checkpoint_versions: count(&counters.checkpoint_versions),
            checkpoint_versions_done: count(&counters.checkpoint_versions_done),
            history_lookups: count(&counters.history_lookups),
        }
    }

    /// Who reads now, oldest first.
    #[must_use]
    pub fn readers(&self) -> Vec<ReaderInfo> {
        let mut readers = self.registry.readers();
        readers.sort_by_key(|reader| reader.at);
        readers
    }

    /// Asks a reader to stop: a flag that it can look at, no more. Nothing happens if it is gone.
    pub fn ask_to_stop(&self, reader: ReaderId) {
        self.registry.ask_to_stop(reader);
    }

    /// What is kept for whom, oldest first.
    #[must_use]
    pub fn held(self: &Arc<Self>) -> Vec<Held> {
        let balances: Vec<_> = self.reclaimer.lock().balances().collect();
        let mut held: BTreeMap<Timestamp, Held> = balances
            .into_iter()
            .map(|Balance { pin: at, items: versions, bytes }| (at, Held { versions, bytes, ..Held::nothing_at(at) }))
            .collect();
        for reader in self.readers().into_iter().filter(|reader| reader.kind == ReaderKind::Snapshot) {
            held.entry(reader.at).or_insert_with(|| Held::nothing_at(reader.at)).readers.push(reader);
        }
        for named in self.named.lock().iter() {
            held.entry(named.at).or_insert_with(|| Held::nothing_at(named.at)).names.push(named.name.clone());
        }
        if let Some(durable) = self.pins.durable.get().and_then(|durable| held.get_mut(&durable)) {
            durable.is_checkpoint = true;
        }
        held.into_values().collect()
    }

    /// Free stretches of the file, in order.
    #[must_use]
    pub fn free_runs(&self) -> Vec<Run> {
        self.slots.lock().free_stretches().collect()
    }
}
