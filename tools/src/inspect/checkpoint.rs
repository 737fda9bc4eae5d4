//! A checkpoint: its meta and its page table.
//!
//! Promises: every table page is checked; what cannot be read leaves a hole in the entries and a problem that names it. On a store that is
//! being written, a table page that was overwritten meanwhile is looked up again from the newer meta.

use super::file::StoreFile;
use super::head::Head;
use super::named::{self, Named, Places, Younger};
use super::problem::{Problem, Structure};
use super::scan::Job;
use crate::{Error, Result};
use pentimento_btree::inspect::delta_limit;
use pentimento_storage::inspect::{
    Entry, META_SLOTS, Meta, TABLE_FANOUT, TABLE_NUMBERS, TablePage, TableRef, check_entry, table_level_sizes,
    table_page, table_page_timestamp,
};
use pentimento_storage::{HEADER_BYTES, PageId, Run, SLOT_BYTES, Timestamp};

/// How often reading begins again because a newer checkpoint came.
const TRIES: u32 = 200;

/// A table page, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSlot {
    /// Its slot.
    pub run: Run,
    /// Its level, 0 for those that hold entries.
    pub level: u32,
    /// Its number within the level.
    pub index: u32,
    /// The checkpoint that wrote it; `None` if it cannot be read.
    pub timestamp: Option<Timestamp>,
}

/// The newest checkpoint of a file, as far as it can be read.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The metas.
    pub head: Head,
    /// What each page number stands for; `None` where that cannot be known.
    pub entries: Vec<Option<Entry>>,
    /// The pages of the table.
    pub table_pages: Vec<TableSlot>,
    /// The first slots of all versions with their pages, in the order of the file.
    in_file_order: Vec<(u64, PageId)>,
    /// The named snapshots, and what only they need.
    pub named: Named,
    /// What is wrong with metas, table, and the tables of named snapshots.
    pub problems: Vec<Problem>,
}

/// A table page that could not be read.
pub(super) type Failure = (u32, u32, TableRef);

impl Checkpoint {
    /// Reads the newest checkpoint of a file.
    ///
    /// # Errors
    /// When the file cannot be read or is not a store, or when checkpoints follow each other faster than they can be read.
    pub fn read(file: &StoreFile) -> Result<Checkpoint> {
        Checkpoint::read_from(file, Head::read)
    }

    /// As [`read`](Checkpoint::read), but a file without any meta gives an empty checkpoint.
    pub(crate) fn read_whatever(file: &StoreFile) -> Result<Checkpoint> {
        Checkpoint::read_from(file, Head::read_whatever)
    }

    fn read_from(file: &StoreFile, head: fn(&StoreFile) -> Result<Head>) -> Result<Checkpoint> {
        let mut before: Vec<Failure> = Vec::new();
        for _ in 0..TRIES {
            let mut checkpoint = Checkpoint::of_head(head(file)?);
            let failures = checkpoint.load(file);
            if failures.is_empty() {
                return Ok(checkpoint);
            }
            // Damage, if no newer checkpoint came, or if the newer one refers to the very same table pages.
            let is_newest = head(file)?.sequence() == checkpoint.head.sequence();
            if is_newest || failures.iter().all(|failure| before.contains(failure)) {
                return Ok(checkpoint);
            }
            before = failures;
        }
        Err(Error::Unreadable(format!("{} changes faster than it can be read; try again", file.name())))
    }

    fn of_head(head: Head) -> Checkpoint {
        let mut problems = Vec::new();
        for (slot, found) in head.slots.iter().enumerate() {
            if let Err(what) = found {
                problems.push(
                    Problem::new(Structure::Meta, format!("meta {}: {what}", ["A", "B"][slot])).slot(slot as u64 * 2),
                );
            }
        }
        if let Some(refusal) = &head.refusal {
            problems.push(Problem::new(Structure::Meta, format!("the store would not open: {refusal}")));
        }
        Checkpoint {
            head,
            entries: Vec::new(),
            table_pages: Vec::new(),
            in_file_order: Vec::new(),
            named: Named::default(),
            problems,
        }
    }

    /// The meta, if there is one.
    #[must_use]
    pub fn meta(&self) -> Option<&Meta> {
        self.head.chosen.as_ref()
    }

    /// The newest commit that the checkpoint has.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.meta().map_or(Timestamp::ZERO, |meta| meta.timestamp)
    }

    /// The size that pages aim at, in bytes.
    #[must_use]
    pub fn page_size(&self) -> u32 {
        self.meta().map_or(pentimento_storage::DEFAULT_PAGE_SIZE as u32, |meta| meta.page_size)
    }

    /// What a page number stands for; `None` if that cannot be known, or there is no such number.
    #[must_use]
    pub fn entry(&self, page: PageId) -> Option<Entry> {
        self.entries.get(page.0 as usize).copied().flatten()
    }

    /// The version of a page that must be read, if it has one.
    pub(crate) fn job(&self, page: PageId) -> Option<Job> {
        match self.entry(page)? {
            Entry::Version { run, birth, crc } => Some(Job { page, run, birth, crc }),
            _ => None,
        }
    }

    /// The version of what may be the delta of a page, should that be a leaf: of the page beside it, if it is no longer than a delta may be. (Where page
    /// numbers were given out one by one that keeps neighbours from being read twice.)
    pub(crate) fn delta_job(&self, page: PageId) -> Option<Job> {
        self.job(page.beside()?).filter(|job| self.is_short_as_delta(job.run))
    }

    pub(crate) fn is_short_as_delta(&self, run: Run) -> bool {
        let longest = HEADER_BYTES + delta_limit((self.page_size() as usize).saturating_sub(HEADER_BYTES));
        run.slots <= longest.div_ceil(SLOT_BYTES) as u64
    }

    /// Whether the table cannot tell if a page has one beside it.
    pub(crate) fn is_beside_unknown(&self, page: PageId) -> bool {
        let beside = page.beside().and_then(|beside| self.entries.get(beside.0 as usize));
        beside.is_some_and(Option::is_none)
    }

    /// All versions, in the order of their slots.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = Job> {
        self.in_file_order.iter().filter_map(|(_, page)| self.job(*page))
    }

    fn put_in_file_order(&mut self) {
        let starts = self.entries.iter().enumerate().filter_map(|(id, entry)| match entry {
            Some(Entry::Version { run, .. }) => Some((run.start, PageId(id as u32))),
            _ => None,
        });
        let mut starts: Vec<_> = starts.collect();
        starts.sort_unstable();
        self.in_file_order = starts;
    }

    fn load(&mut self, file: &StoreFile) -> Vec<Failure> {
        let mut places = Places::new();
        let mut failures = self.load_own(file, &mut places);
        let found = named::read(file, self, places);
        self.named = found.named;
        self.problems.extend(found.problems);
        failures.extend(found.failures);
        failures
    }

    fn load_own(&mut self, file: &StoreFile, places: &mut Places) -> Vec<Failure> {
        let Some(meta) = self.head.chosen.clone() else { return Vec::new() };
        let sizes = table_level_sizes(meta.pages);
        let store_slots = self.head.file_bytes / SLOT_BYTES as u64;
        // A count from disk is not believed before memory is reserved for it: each table page takes a slot.
        if sizes.len() != meta.levels as usize || sizes.first().is_some_and(|&size| size as u64 > store_slots) {
            let what = format!("it counts {} pages in {} levels, which does not fit the file", meta.pages, meta.levels);
            self.problems.push(Problem::new(Structure::Meta, what).slot(meta.slot as u64 * 2));
            return vec![(meta.levels, 0, meta.root)];
        }
        let mut failures = Vec::new();
        let mut references = if sizes.is_empty() { Vec::new() } else { vec![Some(meta.root)] };
        for level in (0..sizes.len() as u32).rev() {
            let mut below = Vec::new();
            for (index, reference) in references.into_iter().enumerate() {
                let index = index as u32;
                let read = reference.map(|reference| read_table_page(file, &reference, level, index));
                let (found, timestamp) = match read {
                    None => (None, None),
                    Some(Ok((page, timestamp))) => (Some(page), Some(timestamp)),
                    Some(Err(what)) => {
                        let slot = reference.map_or(0, |reference| reference.run.start);
                        let lost = self.lost(level, index);
                        let what = format!("page {index} of level {level}: {what}; with it pages {lost} are lost");
                        self.problems.push(Problem::new(Structure::Table, what).slot(slot));
                        failures.extend(reference.map(|reference| (level, index, reference)));
                        (None, None)
                    }
                };
                if let Some(TableRef { run, crc, .. }) = reference.filter(|_| meta.names.is_some()) {
                    places.insert((level, index), Younger { run, crc, timestamp });
                }
                self.table_pages.extend(reference.map(|reference| TableSlot {
                    run: reference.run,
                    level,
                    index,
                    timestamp,
                }));
                let first = index as usize * if level == 0 { TABLE_NUMBERS } else { TABLE_FANOUT };
                match (level, found) {
                    (0, Some(TablePage::Entries(entries))) => {
                        let room = (meta.pages as usize).saturating_sub(first).min(TABLE_NUMBERS);
                        for (number, entry) in entries.into_iter().take(room).enumerate() {
                            self.take(PageId((first + number) as u32), entry, &meta, file);
                        }
                    }
                    (0, _) => self.entries.resize((first + TABLE_NUMBERS).min(meta.pages as usize), None),
                    (_, found) => {
                        let size = sizes[level as usize - 1];
                        let mut references = match found {
                            Some(TablePage::References(references)) => references,
                            _ => Vec::new(),
                        };
                        references.resize(size.saturating_sub(first).min(TABLE_FANOUT), None);
                        below.extend(references);
                    }
                }
            }
            references = below;
        }
        self.put_in_file_order();
        failures
    }

    fn take(&mut self, id: PageId, entry: Option<Entry>, meta: &Meta, file: &StoreFile) {
        let checked = entry.ok_or_else(|| "its table entry has an unknown kind".to_owned()).and_then(|entry| {
            let checked = check_entry(id, entry, meta.timestamp, self.head.file_bytes, file.path());
            checked.map(|()| entry).map_err(|error| match error {
                pentimento_storage::Error::Damaged { what, .. } => what,
                pentimento_storage::Error::Truncated { needed, found, .. } => {
                    format!("its table entry names bytes up to {needed}, but the file has only {found}")
                }
                other => other.to_string(),
            })
        });
        match checked {
            Ok(entry) => self.entries.push(Some(entry)),
            Err(what) => {
                self.problems.push(Problem::new(Structure::Table, what).page(id.0));
                self.entries.push(None);
            }
        }
    }

    /// Which page numbers a table page speaks of.
    fn lost(&self, level: u32, index: u32) -> String {
        let span = (TABLE_FANOUT as u64).pow(level) * TABLE_NUMBERS as u64;
        let pages = u64::from(self.meta().map_or(0, |meta| meta.pages));
        let first = u64::from(index) * span;
        format!("{first}..{}", (first + span).min(pages))
    }
}

pub(super) fn read_table_page(
    file: &StoreFile,
    reference: &TableRef,
    level: u32,
    index: u32,
) -> Result<(TablePage, Timestamp), String> {
    let run = reference.run;
    let most = if level == 0 { 2 } else { 1 };
    if !(1..=most).contains(&run.slots) || run.start < META_SLOTS {
        return Err("it is said to be in an impossible run of slots".to_owned());
    }
    let mut bytes = vec![0; run.bytes() as usize];
    match file.read(run.offset(), &mut bytes) {
        Ok(read) if read == bytes.len() => {}
        Ok(_) => return Err("it lies past the end of the file".to_owned()),
        Err(error) => return Err(error.to_string()),
    }
    let page = table_page(&bytes, reference, level, index).map_err(|error| match error {
        pentimento_storage::Error::Damaged { what, .. } => what,
        other => other.to_string(),
    })?;
    Ok((page, table_page_timestamp(&bytes)))
}
