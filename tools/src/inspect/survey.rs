//! Every page of a checkpoint, read once.
//!
//! Promises: all facts belong to one checkpoint, also when a writer makes others meanwhile: what was overwritten is read again from the newer
//! one, and what is the same in both is kept. A page is called damaged only if the newer checkpoint refers to the same version of it.

use super::checkpoint::Checkpoint;
use super::facts::PageFacts;
use super::file::StoreFile;
use super::problem::{Problem, Structure};
use super::scan::{Job, scan};
use crate::{Error, Interrupt, Result};
use pentimento_storage::PageId;
use std::collections::HashMap;

/// How often the survey is brought forward to a newer checkpoint.
const ROUNDS: u32 = 500;

/// A checkpoint with what is known of each of its pages.
#[derive(Debug)]
pub struct Survey {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// By page number: what is known of the version; `None` for what is no version, or cannot be read.
    pub pages: Vec<Option<Box<PageFacts>>>,
    /// What is wrong: metas, table, pages that cannot be read, pages that contradict the format.
    pub problems: Vec<Problem>,
    /// How often a newer checkpoint came while reading.
    pub moved: u32,
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
        let mut pages: Vec<Option<Box<PageFacts>>> = Vec::new();
        for round in 0..ROUNDS {
            pages.resize_with(checkpoint.entries.len(), || None);
            let mut jobs = Vec::new();
            for job in checkpoint.jobs() {
                let is_known = pages[job.page.0 as usize].as_ref().is_some_and(|facts| is_of(facts, &job));
                if !is_known {
                    jobs.push(job);
                }
            }
            for (id, known) in pages.iter_mut().enumerate() {
                let job = checkpoint.job(PageId(id as u32));
                if !known.as_ref().zip(job).is_some_and(|(facts, job)| is_of(facts, &job)) {
                    *known = None;
                }
            }
            let total = jobs.iter().map(|job| job.run.bytes()).sum();
            let outcomes = scan(file, &jobs, detail, interrupt, &|bytes| seen(bytes, total));
            interrupt.check()?;
            let mut failed: HashMap<PageId, (Job, String)> = HashMap::new();
            for (number, outcome) in outcomes {
                let job = jobs[number];
                match outcome {
                    Ok(facts) => pages[job.page.0 as usize] = Some(facts),
                    Err(what) => {
                        failed.insert(job.page, (job, what));
                    }
                }
            }
            if failed.is_empty() {
                return Ok(Survey::finish(checkpoint, pages, Vec::new(), round));
            }
            let newer = Checkpoint::read_whatever(file)?;
            let is_same = newer.head.sequence() == checkpoint.head.sequence();
            if is_same || failed.values().all(|(job, _)| newer.job(job.page) == Some(*job)) {
                let mut failed: Vec<_> = failed.into_values().collect();
                failed.sort_unstable_by_key(|(job, _)| job.page);
                let damage = failed
                    .into_iter()
                    .map(|(job, what)| Problem::new(Structure::Page, what).page(job.page.0).slot(job.run.start));
                return Ok(Survey::finish(checkpoint, pages, damage.collect(), round));
            }
            checkpoint = newer;
        }
        Err(Error::Unreadable(format!("{} changes faster than it can be read; try again", file.name())))
    }

    fn finish(checkpoint: Checkpoint, pages: Vec<Option<Box<PageFacts>>>, damage: Vec<Problem>, moved: u32) -> Survey {
        let mut problems = checkpoint.problems.clone();
        problems.extend(damage);
        for (id, facts) in pages.iter().enumerate() {
            for what in facts.iter().flat_map(|facts| &facts.faults) {
                let slot = facts.as_ref().map_or(0, |facts| facts.run.start);
                problems.push(Problem::new(Structure::Page, what).page(id as u32).slot(slot));
            }
        }
        Survey { checkpoint, pages, problems, moved }
    }

    /// What is known of a page.
    #[must_use]
    pub fn page(&self, page: PageId) -> Option<&PageFacts> {
        self.pages.get(page.0 as usize)?.as_deref()
    }
}

fn is_of(facts: &PageFacts, job: &Job) -> bool {
    (facts.run, facts.birth, facts.crc) == (job.run, job.birth, job.crc)
}
