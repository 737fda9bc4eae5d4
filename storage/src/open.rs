//! Making and opening stores: the meta, the page table, and what is free.
//!
//! Promises: nothing from the medium is believed before it is checked, and nothing is written before everything is; what the table refers to lies in the medium
//! and does not overlap, that of named snapshots included (see `past.rs`); free is what nothing refers to.

use crate::layout::{Run, SLOT_BYTES};
use crate::medium::Medium;
use crate::meta::{META_BYTES, META_OFFSETS, META_SLOTS, Meta, USER_BYTES};
use crate::named;
use crate::past::Past;
use crate::place::{MAX_REGISTER, Place};
use crate::planted::Bug;
use crate::slots::Slots;
use crate::store::{MetaState, Options, Store};
use crate::sync::Arc;
use crate::table::{NUMBERS_PER_TABLE_PAGE, PageTable};
use crate::table_differences::TableRoot;
use crate::table_page::{DiskEntry, DurableTable, TableRef};
use crate::{Error, PageId, Result, Timestamp};
use std::path::Path;

impl Store {
    /// An empty store in memory alone: it has no limits, never checkpoints, and goes with the process.
    ///
    /// # Errors
    /// When an option is out of range.
    pub fn in_memory(options: Options) -> Result<Arc<Store>> {
        options.check()?;
        let slots = Slots::new(0, Vec::new()).expect("no runs overlap");
        let meta = MetaState { store_id: [0; 16], sequence: 0, pages: 0, list: None, user: [0; USER_BYTES] };
        Ok(Arc::new(Self::assemble(None, options, Timestamp::ZERO, slots, DurableTable::default(), meta)))
    }

    /// Makes a new, empty store in a medium, whose contents are lost.
    ///
    /// # Errors
    /// When an option is out of range, or the medium fails.
    pub fn create(medium: Box<dyn Medium>, options: Options, store_id: [u8; 16]) -> Result<Arc<Store>> {
        options.check()?;
        if options.read_only {
            return Err(Error::ReadOnly);
        }
        let end = META_SLOTS;
        let path = medium.path().to_owned();
        medium.set_len(end * SLOT_BYTES as u64).map_err(|source| Error::io("extend", &path, source))?;
        let slots = Slots::new(end, vec![Run { start: 0, slots: META_SLOTS }]).expect("one run");
        let meta = MetaState { store_id, sequence: 0, pages: 0, list: None, user: [0; USER_BYTES] };
        let store = Self::assemble(Some(medium), options, Timestamp::ZERO, slots, DurableTable::default(), meta);
        store.write_both_metas(false)?;
        Ok(Arc::new(store))
    }

    /// Opens the store in a medium. The page size is the file's.
    ///
    /// # Errors
    /// When the medium holds no store, or a damaged one; nothing is written before everything is checked.
    pub fn open(medium: Box<dyn Medium>, mut options: Options) -> Result<Arc<Store>> {
        let meta = Self::read_meta(medium.as_ref())?;
        options.page_size = meta.page_size as usize;
        options.check()?;
        let store_slots = medium.len() / SLOT_BYTES as u64;
        let root = TableRef { run: meta.root, crc: meta.root_crc, newest: meta.timestamp, written: Timestamp::ZERO };
        let mut used = vec![Run { start: 0, slots: META_SLOTS }];
        // A count from disk is not believed before memory is reserved for it: each table page takes a slot.
        if u64::from(meta.pages.div_ceil(NUMBERS_PER_TABLE_PAGE as u32)) > store_slots {
            return Err(Error::Damaged {
                structure: "meta slot",
                page: None,
                slot: Some(META_OFFSETS[meta.slot()] / SLOT_BYTES as u64),
                what: format!("it counts {} pages, more than the file has room for", meta.pages),
            });
        }
        let mut found = Vec::with_capacity(meta.pages as usize);
        let durable = DurableTable::load(medium.as_ref(), meta.pages, meta.levels, root, |id, entry| {
            check_entry(id, entry, meta.timestamp, medium.len(), medium.path())?;
            if let DiskEntry::Version { run, .. } = entry {
                used.push(run);
            }
            found.push((id, entry));
            Ok(())
        })?;
        used.extend(durable.runs());
        let (list, past) = Self::read_named(medium.as_ref(), &meta, &durable)?;
        if !options.has(Bug::ForgetNamedHistory) {
            used.extend(past.runs());
        }
        used.extend(meta.list.iter().map(|list| list.run));
        let slots = Slots::new(store_slots, used).map_err(|(one, two)| Error::Damaged {
            structure: "page table",
            page: None,
            slot: Some(two.start),
            what: format!("slots {}..{} and {}..{} overlap", one.start, one.end(), two.start, two.end()),
        })?;
        let Meta { store_id, sequence, pages, list: list_ref, user, .. } = meta;
        let state = MetaState { store_id, sequence, pages, list: list_ref, user };
        let store = Self::assemble(Some(medium), options, meta.timestamp, slots, durable, state);
        store.fill_table(meta.pages, &found)?;
        let past = if options.has(Bug::ForgetNamedHistory) { Past::default() } else { past };
        store.adopt_past(list, past)?;
        if !options.read_only {
            // What the page cache shows may not be on the disk: an earlier process may have been killed before its sync. And a twin flag must not outlive the checkpoint that it speaks of.
            store.sync()?;
            store.write_both_metas(false)?;
        }
        Ok(Arc::new(store))
    }

    /// The named snapshots, and what only they need.
    fn read_named(medium: &dyn Medium, meta: &Meta, durable: &DurableTable) -> Result<(Vec<named::Named>, Past)> {
        let Some(list_ref) = &meta.list else { return Ok(Default::default()) };
        let list = named::read(medium, list_ref, meta.timestamp)?;
        let table = TableRoot { at: meta.timestamp, pages: meta.pages, root: durable.root() };
        let past = Past::read(medium, &list, table)?;
        Ok((list, past))
    }

    fn read_meta(medium: &dyn Medium) -> Result<Meta> {
        let head_len = medium.len().min(META_SLOTS * SLOT_BYTES as u64);
        if head_len < META_OFFSETS[1] + META_BYTES as u64 {
            return Err(Error::NotAStore { path: medium.path().to_owned(), why: "it is too short" });
        }
        let address = medium
            .address(0, head_len)
            .ok_or_else(|| Error::NotAStore { path: medium.path().to_owned(), why: "its beginning cannot be read" })?;
        // SAFETY: the medium vouches for the address, and nobody writes the meta slots before the store is open.
        let head = unsafe { std::slice::from_raw_parts(address.as_ptr(), head_len as usize) };
        Meta::choose(head, medium.path())
    }

    fn fill_table(&self, pages: u32, found: &[(PageId, DiskEntry)]) -> Result<()> {
        let mut ids = self.ids.lock();
        ids.next = pages.next_multiple_of(2);
        for stretch in found.chunk_by(|(one, _), (two, _)| PageTable::stretch_of(*one) == PageTable::stretch_of(*two)) {
            if let Some(newest) = stretch.iter().filter_map(|(_, entry)| entry.changed_at()).max() {
                self.table.stamp(stretch[0].0, newest);
            }
        }
        for &(id, entry) in found {
            match entry {
                DiskEntry::NeverUsed => ids.free.extend(id.if_given_out()),
                DiskEntry::Dead { since } => {
                    ids.free.extend(id.if_given_out());
                    self.table.grow_to(id).install(since, Place::NOWHERE);
                }
                DiskEntry::Version { run, birth, .. } => {
                    let place = self.place_of(run)?.unverified();
                    self.table.grow_to(id).install(birth, place);
                }
                DiskEntry::Register { value, birth } => {
                    self.table.grow_to(id).install(birth, Place::immediate(value));
                }
            }
        }
        // Low numbers first: they are taken from the end.
        ids.free.reverse();
        Ok(())
    }
}

/// Whether an entry of the table of checkpoint `at` is possible in a file of `len` bytes.
pub(crate) fn check_entry(id: PageId, entry: DiskEntry, at: Timestamp, len: u64, path: &Path) -> Result<()> {
    let Some(birth) = entry.changed_at() else { return Ok(()) };
    let damaged = |slot, what: &str| Err(Error::damaged_page(id, slot, what));
    if birth > at {
        return damaged(None, "its table entry is younger than the checkpoint");
    }
    match entry {
        DiskEntry::Version { run, .. } => {
            if run.slots == 0 || run.start < META_SLOTS {
                return damaged(Some(run.start), "its table entry names an impossible run of slots");
            }
            if run.offset() + run.bytes() > len {
                return Err(Error::Truncated { path: path.to_owned(), needed: run.offset() + run.bytes(), found: len });
            }
            Ok(())
        }
        DiskEntry::Register { value, .. } if value > MAX_REGISTER => damaged(None, "its register is out of range"),
        _ => Ok(()),
    }
}
