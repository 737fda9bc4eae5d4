//! The table of a checkpoint.
//!
//! Promises:
//! 1. No table page of the durable checkpoint is written over: what changed goes to slots of its own, up to a new root.
//! 2. What did not change is shared with it; and what lies where a compaction wants nothing to lie is written anew.

use super::Checkpoint;
use crate::layout::slots_for;
use crate::run_writer::RunWriter;
use crate::sync::Ordering;
use crate::table::PageTable;
use crate::table_page::{TablePage, TableRef, level_sizes};
use crate::table_update::TableUpdate;
use crate::{Result, Timestamp};

impl Checkpoint {
    /// Step 3. The table of C: what did not change is shared with the previous one.
    pub(super) fn write_table(&mut self) -> Result<TableUpdate> {
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
        let slots = slots_for(page.bytes().len());
        let run = self.store.allocate_run(&mut self.store.slots.lock(), slots)?;
        self.taken.push(run);
        writer.write(run, page.bytes())?;
        Ok(TableRef { run, crc: crc32fast::hash(page.bytes()), newest, written: self.target })
    }
}
