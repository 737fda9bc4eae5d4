//! Every page of a checkpoint, read once.
//!
//! Promises: all facts belong to one checkpoint, also when a writer makes others meanwhile: what was overwritten is read again from the newer
//! one, and what is the same in both is kept. A page is called damaged only if the newer checkpoint refers to the same version of it.

use super::checkpoint::Checkpoint;
use super::facts::PageFacts;
use super::file::StoreFile;
use super::problem::{Problem, Structure};
use super::scan::{Batch, Job, Task, scan};
use crate::{Error, Interrupt, Result};
use pentimento_storage::PageId;
use std::collections::HashMap;

/// How often the survey is brought forward to a newer checkpoint.
const ROUNDS: u32 = 500;

/// Where nothing is known of a page.
const UNKNOWN: (u32, u32) = (u32::MAX, u32::MAX);

/// A checkpoint with what is known of each of its pages.
#[derive(Debug)]
pub struct Survey {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    known: Known,
    /// What is wrong: metas, table, pages that cannot be read, pages that contradict the format.
    pub problems: Vec<Problem>,
    /// How often a newer checkpoint came while reading.
    pub moved: u32,
}

/// What is known of pages, where the threads that read them put it: with a hundred thousand pages, moving it again would take longer than using it.
#[derive(Debug, Default)]
struct Known {
    batches: Vec<Batch>,
    /// By page number: the batch, and the place in it, if the page could be read.
    places: Vec<(u32, u32)>,
}

impl Known {
    fn get(&self, page: PageId) -> Option<&PageFacts> {
        let &(batch, at) = self.places.get(page.0 as usize)?;
        self.batches.get(batch as usize)?.facts[at as usize].as_ref()
    }

    /// Forgets what is of another version than the checkpoint's.
    fn bring_to(&mut self, checkpoint: &Checkpoint) {
        for id in 0..self.places.len() {
            let page = PageId(id as u32);
            let known = self.get(page).zip(checkpoint.job(page));
            if !known.is_some_and(|(facts, job)| facts.is_of(&job, checkpoint.delta_job(page))) {
                self.places[id] = UNKNOWN;
            }
        }
        self.places.resize(checkpoint.entries.len(), UNKNOWN);
    }

    fn add(&mut self, batch: Batch, tasks: &[Task]) {
        let number = self.batches.len() as u32;
        for (at, (task, facts)) in tasks[batch.first..].iter().zip(&batch.facts).enumerate() {
            if facts.is_some() {
                self.places[task.job.page.0 as usize] = (number, at as u32);
            }
        }
        self.batches.push(batch);
    }
}

impl Survey {
    /// Reads every page of the newest checkpoint. With `detail` the lengths of keys and values are counted. `seen` is told how many bytes
    /// were read and how many there are to read.
    ///
    /// # Errors
    /// When the file cannot be read or is no store, when checkpoints follow each other faster than they can be read, and when it is interrupted.
    pub fn read(
        file: &StoreFile,
        detail: bool,
        interrupt: &Interrupt,
        seen: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Survey> {
        Survey::of(file, Checkpoint::read(file)?, detail, interrupt, seen)
    }

    /// As [`read`](Survey::read), but a file without any meta gives an empty survey.
    pub(crate) fn read_whatever(
        file: &StoreFile,
        interrupt: &Interrupt,
        seen: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Survey> {
        Survey::of(file, Checkpoint::read_whatever(file)?, false, interrupt, seen)
    }

    fn of(
        file: &StoreFile,
        mut checkpoint: Checkpoint,
        detail: bool,
        interrupt: &Interrupt,
        seen: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Survey> {
        let mut known = Known::default();
        for round in 0..ROUNDS {
            known.bring_to(&checkpoint);
            let tasks = checkpoint.jobs().filter(|job| known.get(job.page).is_none());
            let tasks: Vec<Task> = tasks.map(|job| Task { job, beside: checkpoint.delta_job(job.page) }).collect();
            let total = tasks.iter().map(|task| task.job.run.bytes()).sum();
            let batches = scan(file, &tasks, detail, interrupt, &|bytes| seen(bytes, total));
            interrupt.check()?;
            let mut failed: HashMap<PageId, (Job, String)> = HashMap::new();
            for mut batch in batches {
                // A delta was read for its own sake and for its leaf's.
                for (job, what, _) in batch.failed.drain(..) {
                    failed.entry(job.page).or_insert((job, what));
                }
                known.add(batch, &tasks);
            }
            if failed.is_empty() {
                return Ok(Survey::finish(checkpoint, known, Vec::new(), round));
            }
            let newer = Checkpoint::read_whatever(file)?;
            let is_same = newer.head.sequence() == checkpoint.head.sequence();
            if is_same || failed.values().all(|(job, _)| newer.job(job.page) == Some(*job)) {
                let mut failed: Vec<_> = failed.into_values().collect();
                failed.sort_unstable_by_key(|(job, _)| job.page);
                let damage = failed
                    .into_iter()
                    .map(|(job, what)| Problem::new(Structure::Page, what).page(job.page.0).slot(job.run.start));
                return Ok(Survey::finish(checkpoint, known, damage.collect(), round));
            }
            checkpoint = newer;
        }
        Err(Error::Unreadable(format!("{} changes faster than it can be read; try again", file.name())))
    }

    fn finish(checkpoint: Checkpoint, known: Known, damage: Vec<Problem>, moved: u32) -> Survey {
        let mut survey = Survey { problems: checkpoint.problems.clone(), checkpoint, known, moved };
        survey.problems.extend(damage);
        if survey.known.batches.iter().any(|batch| batch.has_faults) {
            let mut faults = Vec::new();
            for (page, facts) in survey.pages() {
                let of = |what| Problem::new(Structure::Page, what).page(page.0).slot(facts.run.start);
                faults.extend(facts.faults().iter().map(of));
            }
            survey.problems.extend(faults);
        }
        survey
    }

    /// What is known of a page: `None` for what is no version, or cannot be read.
    #[must_use]
    pub fn page(&self, page: PageId) -> Option<&PageFacts> {
        self.known.get(page)
    }

    /// How many pages could be read.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.known.places.iter().filter(|place| **place != UNKNOWN).count() as u64
    }

    /// All pages that could be read, by their numbers.
    pub fn pages(&self) -> impl Iterator<Item = (PageId, &PageFacts)> {
        let ids = (0..self.known.places.len() as u32).map(PageId);
        ids.filter_map(|page| Some((page, self.known.get(page)?)))
    }
}
