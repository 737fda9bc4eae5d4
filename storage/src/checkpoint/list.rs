//! The list of named snapshots, as a checkpoint writes it.
//!
//! Promises: it goes to slots of its own, and the list before it is not touched until the meta that names the new one is durable. What it may say, and when
//! it changes, is told in `naming.rs`.

use super::Checkpoint;
use crate::Result;
use crate::layout::slots_for;
use crate::named::{self, ListRef, Named};
use crate::run_writer::RunWriter;
use crate::sync::Ordering;

/// A list of named snapshots that has been written.
pub(crate) struct NewList {
    pub(super) list: Vec<Named>,
    /// `None` if it is empty: then it takes no slots.
    pub(super) place: Option<ListRef>,
}

impl Checkpoint {
    /// Writes the list of named snapshots anew if it lies where a compaction wants nothing to lie.
    pub(super) fn move_list(&mut self) -> Result<Option<NewList>> {
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
}
