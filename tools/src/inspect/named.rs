//! Named snapshots, and what only they need: table pages and versions that the newest checkpoint does not have.
//!
//! Each named snapshot is a checkpoint with a whole page table of its own. They are read from the youngest to the oldest, each beside the one after it:
//! what the two share is skipped, what the older one has alone is needed by it and by those before it that have it too.
//!
//! Promises: nothing is believed before it is checked; what is damaged is a problem that names its snapshots, and the rest is read; each table page is read
//! once at most, whatever the references say.

use super::checkpoint::{Failure, TableSlot, read_table_page};
use super::file::StoreFile;
use super::names::read_names;
use super::problem::{Problem, Structure};
use super::scan::{Job, Task, scan};
use super::{Checkpoint, PageFacts, leaf_of};
use crate::{Interrupt, Result};
use pentimento_storage::inspect::{
    Entry, META_SLOTS, NamedCheckpoint, TABLE_FANOUT, TABLE_NUMBERS, TablePage, TableRef, check_entry,
    table_level_sizes,
};
use pentimento_storage::{PageId, Run, SLOT_BYTES, Timestamp};
use std::collections::{HashMap, HashSet};

/// A table page that only named snapshots need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedTable {
    /// Where it is.
    pub slot: TableSlot,
    /// The timestamp of the youngest snapshot that needs it.
    pub newest: Timestamp,
}

/// A version that only named snapshots need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedVersion {
    /// Where it is, and what proves it.
    pub job: Job,
    /// The commit that superseded it, as far as the tables can be read.
    pub end: Option<Timestamp>,
    /// The timestamp of the youngest snapshot that needs it.
    pub newest: Timestamp,
}

/// The named snapshots of a checkpoint.
#[derive(Clone, Debug)]
pub struct Named {
    /// The slots of their list.
    pub list: Option<Run>,
    /// The snapshots by timestamp; none if the list cannot be read.
    pub snapshots: Vec<NamedCheckpoint>,
    /// The table pages that only they need, in the order of the file.
    pub tables: Vec<NamedTable>,
    /// The versions that only they need, in the order of the file.
    pub versions: Vec<NamedVersion>,
    /// Whether all that they need is known: else what nothing is known to refer to is not free for certain.
    pub is_whole: bool,
}

impl Default for Named {
    fn default() -> Named {
        Named { list: None, snapshots: Vec::new(), tables: Vec::new(), versions: Vec::new(), is_whole: true }
    }
}

impl Named {
    /// The names of the snapshots between two timestamps, both included.
    #[must_use]
    pub fn names(&self, from: Timestamp, to: Timestamp) -> Vec<String> {
        let within = self.snapshots.iter().filter(|named| from <= named.timestamp && named.timestamp <= to);
        within.map(|named| named.name.clone()).collect()
    }

    /// The version that begins in a slot.
    #[must_use]
    pub fn version_at(&self, slot: u64) -> Option<&NamedVersion> {
        let found = self.versions.binary_search_by_key(&slot, |version| version.job.run.start).ok()?;
        self.versions.get(found)
    }

    /// The names of the snapshots that need a version.
    #[must_use]
    pub fn names_of(&self, version: &NamedVersion) -> Vec<String> {
        self.names(version.job.birth, version.newest)
    }

    /// How many snapshots need a version.
    #[must_use]
    pub fn count_of(&self, version: &NamedVersion) -> usize {
        let before = |at: Timestamp| self.snapshots.partition_point(|named| named.timestamp < at);
        before(version.newest.next()) - before(version.job.birth)
    }

    /// Reads every version that only named snapshots of `checkpoint` need, and tells what is wrong with those: with each by itself, and with each leaf as
    /// its delta tells it. What went while it was being read is no problem.
    ///
    /// # Errors
    /// When the file cannot be read, and when it is interrupted.
    pub fn check(&self, checkpoint: &Checkpoint, file: &StoreFile, interrupt: &Interrupt) -> Result<Vec<Problem>> {
        // What is found is told of the version with this number.
        let alone = self.versions.iter().enumerate().map(|(at, version)| (Task { job: version.job, beside: None }, at));
        let mut tasks: Vec<(Task, usize)> = alone.chain(self.with_deltas(checkpoint)).collect();
        tasks.sort_unstable_by_key(|(task, at)| (task.job.run, *at));
        let (tasks, about): (Vec<Task>, Vec<usize>) = tasks.into_iter().unzip();
        let batches = scan(file, &tasks, false, interrupt, &|_| {});
        interrupt.check()?;
        let mut found: Vec<(usize, String)> = Vec::new();
        for batch in batches {
            for (at, facts) in batch.facts.iter().enumerate() {
                let faults = facts.as_ref().map(PageFacts::faults).unwrap_or_default();
                found.extend(faults.iter().map(|fault| (about[batch.first + at], fault.clone())));
            }
            // A leaf that cannot be read beside its delta is told for itself.
            for (job, what, number) in batch.failed {
                if self.versions[about[number]].job == job {
                    found.push((about[number], what));
                }
            }
        }
        if found.is_empty() {
            return Ok(Vec::new());
        }
        found.sort_unstable();
        found.dedup();
        let newer = Checkpoint::read(file)?;
        let still_there = |job: &Job| newer.named.version_at(job.run.start).is_some_and(|version| version.job == *job);
        let problem = |(at, what): (usize, String)| {
            let NamedVersion { job, .. } = self.versions[at];
            let problem = Problem::new(Structure::Page, what).page(job.page.0).slot(job.run.start);
            still_there(&job).then(|| problem.snapshots(self.names_of(&self.versions[at])))
        };
        Ok(found.into_iter().filter_map(problem).collect())
    }
}

impl Named {
    /// The leaves as each delta tells them that only named snapshots need: the versions of both, and the number of the delta's. (A leaf that only they
    /// need has no delta that anybody else does, for a leaf that is written anew has none.)
    fn with_deltas(&self, checkpoint: &Checkpoint) -> Vec<(Task, usize)> {
        let may_be_delta = |(at, version): (usize, &NamedVersion)| {
            let leaf = leaf_of(version.job.page).filter(|_| checkpoint.is_short_as_delta(version.job.run))?;
            Some((at, version.job, leaf))
        };
        let deltas: Vec<(usize, Job, PageId)> = self.versions.iter().enumerate().filter_map(may_be_delta).collect();
        let mut leaves: HashMap<PageId, Vec<Job>> = HashMap::new();
        for &(_, _, leaf) in &deltas {
            leaves.entry(leaf).or_insert_with(|| checkpoint.job(leaf).into_iter().collect());
        }
        for version in &self.versions {
            if let Some(versions) = leaves.get_mut(&version.job.page) {
                versions.push(version.job);
            }
        }
        let task = |(at, delta, leaf): (usize, Job, PageId)| {
            let before = leaves.get(&leaf)?.iter().filter(|leaf| leaf.birth <= delta.birth);
            let leaf = before.max_by_key(|leaf| leaf.birth)?;
            Some((Task { job: *leaf, beside: Some(delta) }, at))
        };
        deltas.into_iter().filter_map(task).collect()
    }
}

/// What stands at a place of the page table of the next younger checkpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Younger {
    pub run: Run,
    pub crc: u32,
    /// The checkpoint that wrote it; `None` if it cannot be read.
    pub timestamp: Option<Timestamp>,
}

/// The page table of the newest checkpoint: by level and number within the level.
pub(super) type Places = HashMap<(u32, u32), Younger>;

/// What came of reading.
#[derive(Default)]
pub(super) struct Found {
    pub named: Named,
    pub problems: Vec<Problem>,
    /// Table pages, and the list as if it were one, that could not be read.
    pub failures: Vec<Failure>,
}

/// Reads the named snapshots of a checkpoint whose own table has been read, and stands at `places`.
pub(super) fn read(file: &StoreFile, checkpoint: &Checkpoint, places: Places) -> Found {
    let mut found = Found::default();
    let Some((meta, list)) = checkpoint.meta().and_then(|meta| Some((meta, meta.names?))) else { return found };
    let is_possible = list.run.start >= META_SLOTS && list.run.slots > 0;
    found.named.list = Some(list.run).filter(|_| is_possible);
    let snapshots = match read_names(file, checkpoint) {
        Ok(snapshots) if is_possible => snapshots,
        read => {
            let what = read.err().unwrap_or_else(|| "the meta names an impossible run of slots for it".to_owned());
            let what = format!("the list: {what}; what the snapshots need is unknown");
            found.problems.push(Problem::new(Structure::Named, what).slot(list.run.start));
            found.failures.push((u32::MAX, 0, TableRef { run: list.run, crc: list.crc, newest: meta.timestamp }));
            found.named.is_whole = false;
            return found;
        }
    };
    let seen = places.values().map(|page| page.run.start).collect();
    let mut walk = Walk {
        file,
        file_bytes: checkpoint.head.file_bytes,
        entries: checkpoint.entries.clone(),
        places,
        seen,
        at: meta.timestamp,
        names: Vec::new(),
        found,
    };
    let (mut pages, mut root) = (meta.pages, meta.root);
    for snapshot in snapshots.iter().rev() {
        let is_same_moment = snapshot.timestamp == walk.at;
        walk.at = snapshot.timestamp;
        let alike = snapshots.iter().filter(|other| other.timestamp == snapshot.timestamp);
        walk.names = alike.map(|other| other.name.clone()).collect();
        let is_same =
            snapshot.pages == pages && (pages == 0 || (snapshot.root.run, snapshot.root.crc) == (root.run, root.crc));
        if is_same_moment && !is_same {
            let what = format!("two different page tables are said to be that of timestamp {}", snapshot.timestamp);
            walk.wrong(None, Some(snapshot.root.run.start), what);
            continue;
        }
        if snapshot.pages > pages || u64::from(snapshot.pages) > walk.room() {
            let pages = snapshot.pages;
            let what = format!("its table counts {pages} pages, more than a later one, or than there is room for");
            walk.wrong(None, Some(snapshot.root.run.start), what);
            continue;
        }
        (pages, root) = (snapshot.pages, snapshot.root);
        walk.table(snapshot);
    }
    let mut found = walk.found;
    found.named.tables.sort_unstable_by_key(|table| table.slot.run);
    found.named.versions.sort_unstable_by_key(|version| version.job.run);
    found.named.snapshots = snapshots;
    found
}

/// A walk over the tables, from the youngest to the oldest.
struct Walk<'w> {
    file: &'w StoreFile,
    file_bytes: u64,
    /// What each page number stood for in the next younger checkpoint, as far as that is known.
    entries: Vec<Option<Entry>>,
    places: Places,
    /// The slots of all table pages that were referred to so far.
    seen: HashSet<u64>,
    /// The snapshot that is being read, and its names.
    at: Timestamp,
    names: Vec<String>,
    found: Found,
}

impl Walk<'_> {
    /// How many page numbers a file of this length can have: 168 for each slot.
    fn room(&self) -> u64 {
        (self.file_bytes / SLOT_BYTES as u64).saturating_mul(TABLE_NUMBERS as u64)
    }

    fn wrong(&mut self, page: Option<PageId>, slot: Option<u64>, what: impl Into<String>) {
        let mut problem = Problem::new(Structure::Named, what).snapshots(self.names.clone());
        problem.page = page.map(|page| page.0);
        problem.slot = slot;
        self.found.problems.push(problem);
        self.found.named.is_whole = false;
    }

    fn table(&mut self, snapshot: &NamedCheckpoint) {
        let sizes = table_level_sizes(snapshot.pages);
        let Some(top) = sizes.len().checked_sub(1) else { return };
        if self.entries.len() < snapshot.pages as usize {
            self.entries.resize(snapshot.pages as usize, None);
        }
        self.page(top as u32, 0, &snapshot.root, &sizes, snapshot.pages as usize);
    }

    fn page(&mut self, level: u32, index: u32, reference: &TableRef, sizes: &[usize], pages: usize) {
        let (run, crc) = (reference.run, reference.crc);
        let younger = self.places.get(&(level, index)).copied();
        if younger.is_some_and(|younger| (younger.run, younger.crc) == (run, crc)) {
            return;
        }
        let place = format!("page {index} of level {level} of the table");
        if !self.seen.insert(run.start) {
            let what = format!("{place}: another table page is said to be in its slot");
            return self.wrong(None, Some(run.start), what);
        }
        let read = read_table_page(self.file, reference, level, index);
        let timestamp = read.as_ref().ok().map(|(_, timestamp)| *timestamp);
        if (1..=2).contains(&run.slots) && run.start >= META_SLOTS {
            let slot = TableSlot { run, level, index, timestamp };
            self.found.named.tables.push(NamedTable { slot, newest: self.at });
        }
        let (page, written) = match read {
            Ok(read) => read,
            Err(what) => {
                self.wrong(None, Some(run.start), format!("{place}: {what}"));
                self.found.failures.push((level, index, *reference));
                // Those before it that have the same page have told enough; below, what is known of later ones stays.
                self.places.insert((level, index), Younger { run, crc, timestamp });
                return;
            }
        };
        let replaced = younger.and_then(|younger| younger.timestamp);
        if written > self.at || replaced.is_some_and(|replaced| replaced <= self.at) {
            let what = format!("{place}: the checkpoints that share its position do not agree on its age");
            return self.wrong(None, Some(run.start), what);
        }
        self.places.insert((level, index), Younger { run, crc, timestamp });
        let first = index as usize * if level == 0 { TABLE_NUMBERS } else { TABLE_FANOUT };
        match page {
            TablePage::Entries(entries) => {
                for (id, entry) in (first..pages).zip(entries) {
                    self.entry(PageId(id as u32), entry, run.start);
                }
            }
            TablePage::References(references) => {
                let Some(size) = level.checked_sub(1).map(|below| sizes[below as usize]) else { return };
                for (below, reference) in (first..size).zip(references) {
                    match reference {
                        Some(reference) => self.page(level - 1, below as u32, &reference, sizes, pages),
                        None => self.wrong(None, Some(run.start), format!("{place}: a reference is missing")),
                    }
                }
            }
        }
    }

    fn entry(&mut self, id: PageId, entry: Option<Entry>, table: u64) {
        let younger = self.entries[id.0 as usize];
        if entry.is_some() && entry == younger {
            return;
        }
        let Some(entry) = entry else {
            return self.wrong(Some(id), Some(table), "its table entry has an unknown kind");
        };
        if let Err(error) = check_entry(id, entry, self.at, self.file_bytes, self.file.path()) {
            let what = match error {
                pentimento_storage::Error::Damaged { what, .. } => what,
                other => other.to_string(),
            };
            return self.wrong(Some(id), Some(table), what);
        }
        let end = younger.and_then(changed_at);
        if younger.is_some() && end.is_none_or(|end| end <= self.at) {
            let what = format!("its table entries of {} and of a later checkpoint contradict each other", self.at);
            return self.wrong(Some(id), Some(table), what);
        }
        if let Entry::Version { run, birth, crc } = entry {
            let job = Job { page: id, run, birth, crc };
            self.found.named.versions.push(NamedVersion { job, end, newest: self.at });
        }
        self.entries[id.0 as usize] = Some(entry);
    }
}

/// The birth of what an entry stands for, or the death.
fn changed_at(entry: Entry) -> Option<Timestamp> {
    match entry {
        Entry::NeverUsed => None,
        Entry::Dead { since: at } | Entry::Version { birth: at, .. } | Entry::Register { birth: at, .. } => Some(at),
    }
}
