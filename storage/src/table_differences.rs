//! What of one checkpoint's page table a later one has not any more: table pages, and entries.
//!
//! Promises:
//! 1. What the two share is skipped unread: the cost follows the difference.
//! 2. Nothing is believed before it is checked: table pages by their checksums, entries against the timestamps of the two checkpoints.
//! 3. Going from each of a series of checkpoints to the next, each version that is shown once is never shown again, and the lives of those shown of one page do
//!    not overlap: what supersedes an entry must be younger than the older checkpoint, and the entry must not be.

use crate::layout::Run;
use crate::medium::Medium;
use crate::open::check_entry;
use crate::table_page::{DiskEntry, FANOUT, ITEM_BYTES, TableRef, check_page, damaged, level_sizes, number_of};
use crate::{Error, PageId, Result, Timestamp};

/// The page table of a checkpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableRoot {
    pub at: Timestamp,
    pub pages: u32,
    /// `None` if the store was empty.
    pub root: Option<TableRef>,
}

/// Something that the older table has, and the newer one has not.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Difference {
    /// A table page, written by one checkpoint and replaced by another (or later; but by none that these two were made between).
    TablePage { run: Run, written: Timestamp, replaced: Timestamp },
    /// A version or register that had ended by `end`, the first moment at which the newer checkpoint knows that it had.
    Entry { id: PageId, entry: DiskEntry, end: Timestamp },
}

/// Shows what `older` has and `newer` has not.
///
/// # Errors
/// When one of the table pages that are read is damaged, when the two contradict each other, and what `visit` fails with.
pub(crate) fn differences(
    medium: &dyn Medium,
    older: &TableRoot,
    newer: &TableRoot,
    visit: &mut dyn FnMut(Difference) -> Result<()>,
) -> Result<()> {
    let Some(old_root) = older.root else { return Ok(()) };
    let (sizes, newer_levels) = (level_sizes(older.pages), level_sizes(newer.pages).len());
    let (Some(mut new_root), true) = (newer.root, older.pages <= newer.pages) else {
        return Err(damaged(old_root.run.start, "a later checkpoint has fewer pages"));
    };
    // A table grows at its top: the page that corresponds to the older root is the first of its level.
    for level in (sizes.len()..newer_levels).rev() {
        let (items, _) = check_page(medium, &new_root, level as u32, 0)?;
        let first = TableRef::decode(&items[..ITEM_BYTES]);
        new_root = first.ok_or_else(|| damaged(new_root.run.start, "a reference is missing"))?;
    }
    Walk { medium, older, newer, sizes: &sizes, visit }.page(sizes.len() - 1, 0, &old_root, &new_root)
}

struct Walk<'w> {
    medium: &'w dyn Medium,
    older: &'w TableRoot,
    newer: &'w TableRoot,
    /// Of the levels of the older table.
    sizes: &'w [usize],
    visit: &'w mut dyn FnMut(Difference) -> Result<()>,
}

impl Walk<'_> {
    fn page(&mut self, level: usize, index: usize, old: &TableRef, new: &TableRef) -> Result<()> {
        if old.run == new.run && old.crc == new.crc {
            return Ok(());
        }
        let (old_items, written) = check_page(self.medium, old, level as u32, index as u32)?;
        let (new_items, replaced) = check_page(self.medium, new, level as u32, index as u32)?;
        if written > self.older.at || replaced <= self.older.at || replaced > self.newer.at {
            let what = "the checkpoints that share its position do not agree on its age";
            return Err(damaged(old.run.start, what));
        }
        (self.visit)(Difference::TablePage { run: old.run, written, replaced })?;
        if new_items.len() < old_items.len() {
            return Err(damaged(new.run.start, "a later checkpoint has fewer entries"));
        }
        let items = old_items.chunks_exact(ITEM_BYTES).zip(new_items.chunks_exact(ITEM_BYTES));
        if level == 0 {
            for (item, (old_item, new_item)) in items.enumerate() {
                let id = number_of(index, item);
                if id.0 < self.older.pages {
                    self.entry(id, old, old_item, new_item)?;
                }
            }
            return Ok(());
        }
        for (position, (old_item, new_item)) in (index * FANOUT..self.sizes[level - 1]).zip(items) {
            let (Some(old_child), Some(new_child)) = (TableRef::decode(old_item), TableRef::decode(new_item)) else {
                return Err(damaged(old.run.start, "a reference is missing"));
            };
            self.page(level - 1, position, &old_child, &new_child)?;
        }
        Ok(())
    }

    fn entry(&mut self, id: PageId, page: &TableRef, old_item: &[u8], new_item: &[u8]) -> Result<()> {
        if old_item == new_item {
            return Ok(());
        }
        let (Some(old), Some(new)) = (DiskEntry::decode(old_item), DiskEntry::decode(new_item)) else {
            return Err(damaged(page.run.start, "an entry has an unknown kind"));
        };
        let (len, path) = (self.medium.len(), self.medium.path());
        check_entry(id, old, self.older.at, len, path)?;
        check_entry(id, new, self.newer.at, len, path)?;
        let end = match new {
            DiskEntry::Dead { since: end }
            | DiskEntry::Version { birth: end, .. }
            | DiskEntry::Register { birth: end, .. }
                if end > self.older.at =>
            {
                end
            }
            _ => {
                let what =
                    format!("its table entries of {} and {} contradict each other", self.older.at, self.newer.at);
                return Err(Error::damaged_page(id, Some(page.run.start), what));
            }
        };
        match old {
            DiskEntry::Version { .. } | DiskEntry::Register { .. } => {
                (self.visit)(Difference::Entry { id, entry: old, end })
            }
            DiskEntry::NeverUsed | DiskEntry::Dead { .. } => Ok(()),
        }
    }
}
