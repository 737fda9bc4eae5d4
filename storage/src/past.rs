//! What only named snapshots need, read when a store is opened.
//!
//! Each named snapshot is a checkpoint with a whole page table of its own, most of which it shares with its neighbours. So each is compared with the next younger
//! one, the youngest with the durable checkpoint. An entry that the younger one has not any more is a superseded version: it goes into the history, and is
//! charged to the snapshot that had it (the youngest that needs it). A table page that the younger one has not is charged in the same way.
//!
//! Promises: the cost follows the differences; nothing is believed before it is checked, and two that claim one slot are damage; afterwards reclamation, readers and
//! the checker find what they would have found had the store never been closed.

use crate::history::{Nodes, Version};
use crate::layout::Run;
use crate::medium::Medium;
use crate::named::Named;
use crate::place::Place;
use crate::reclaim::{Superseded, TableCharge};
use crate::store::Store;
use crate::sync::Ordering;
use crate::table_differences::{Difference, TableRoot, differences};
use crate::table_page::{DiskEntry, TableRef};
use crate::{Error, PageId, Result, Timestamp};

/// A superseded version, as the table of a named snapshot has it.
struct PastVersion {
    id: PageId,
    entry: DiskEntry,
    end: Timestamp,
    pin: Timestamp,
}

/// What only named snapshots need.
#[derive(Default)]
pub(crate) struct Past {
    /// In the order of their snapshots, so of each page by birth.
    versions: Vec<PastVersion>,
    tables: Vec<(Timestamp, TableCharge)>,
}

impl Named {
    /// The page table of the checkpoint.
    pub fn table(&self) -> TableRoot {
        let Named { at, pages, root: run, root_crc: crc, .. } = *self;
        let root = TableRef { run, crc, newest: at, written: Timestamp::ZERO };
        TableRoot { at, pages, root: (run.slots != 0).then_some(root) }
    }
}

/// Calls `compare` with each of the named checkpoints (by timestamp) and the next younger one; the youngest is `durable`.
///
/// # Errors
/// When two tables are said to be of one timestamp; and what `compare` fails with.
pub(crate) fn each_with_next(
    list: &[Named],
    durable: TableRoot,
    mut compare: impl FnMut(&TableRoot, &TableRoot) -> Result<()>,
) -> Result<()> {
    let mut tables = list.iter().map(Named::table).chain([durable]);
    let Some(mut older) = tables.next() else { return Ok(()) };
    for newer in tables {
        if older.at < newer.at {
            compare(&older, &newer)?;
        } else {
            let key = |table: &TableRoot| (table.at, table.pages, table.root.map(|root| (root.run, root.crc)));
            if key(&older) != key(&newer) {
                return Err(Error::Damaged {
                    structure: "list of named snapshots",
                    page: None,
                    slot: older.root.or(newer.root).map(|root| root.run.start),
                    what: format!("two different page tables are said to be that of timestamp {}", newer.at),
                });
            }
        }
        older = newer;
    }
    Ok(())
}

impl Past {
    /// Reads what the snapshots of `list` need and the durable checkpoint does not.
    ///
    /// # Errors
    /// When a table page is damaged, or tables contradict each other.
    pub fn read(medium: &dyn Medium, list: &[Named], durable: TableRoot) -> Result<Past> {
        let mut past = Past::default();
        each_with_next(list, durable, |older, newer| {
            differences(medium, older, newer, &mut |difference| {
                match difference {
                    Difference::TablePage { run, written, replaced } => {
                        past.tables.push((older.at, TableCharge { run, written, replaced }));
                    }
                    Difference::Entry { id, entry, end } => {
                        past.versions.push(PastVersion { id, entry, end, pin: older.at });
                    }
                }
                Ok(())
            })
        })?;
        Ok(past)
    }

    /// The slots that it takes.
    pub fn runs(&self) -> impl Iterator<Item = Run> {
        let versions = self.versions.iter().filter_map(|version| match version.entry {
            DiskEntry::Version { run, .. } => Some(run),
            _ => None,
        });
        versions.chain(self.tables.iter().map(|(_, table)| table.run))
    }
}

impl Store {
    /// Takes over what was read, and the list that it was read for. While the store is being opened.
    ///
    /// # Errors
    /// When a version does not lie in the medium.
    pub(crate) fn adopt_past(&self, list: Vec<Named>, past: Past) -> Result<()> {
        let mut reclaimer = self.reclaimer.lock();
        reclaimer.set_named(&list);
        let mut pins: Vec<Timestamp> = list.iter().map(|named| named.at).chain(self.pins.durable.get()).collect();
        pins.dedup();
        let mut nodes = Nodes::default();
        for PastVersion { id, entry, end, pin } in past.versions {
            let (birth, place, crc) = match entry {
                DiskEntry::Version { run, birth, crc } => (birth, self.place_of(run)?.unverified(), crc),
                DiskEntry::Register { value, birth } => (birth, Place::immediate(value), 0),
                DiskEntry::NeverUsed | DiskEntry::Dead { .. } => continue,
            };
            self.history.insert(id, Version { birth, end, place, crc }, &mut nodes);
            let slots = if place.is_medium() { place.slots() } else { 0 };
            self.counters.slots_retained.fetch_add(slots, Ordering::Relaxed);
            let bytes = slots * crate::SLOT_BYTES as u64;
            reclaimer.charge(pin, Superseded { id, birth, end, bytes, is_value: false }, &pins);
        }
        for (pin, table) in past.tables {
            reclaimer.charge_table(pin, table);
        }
        *self.named.lock() = list;
        Ok(())
    }
}
