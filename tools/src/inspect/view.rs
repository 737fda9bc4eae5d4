//! The pages of one checkpoint, read when they are asked for: what the trees are searched in.

use super::checkpoint::Checkpoint;
use super::file::StoreFile;
use super::problem::{Problem, Structure};
use super::scan::{Job, read_version};
use crate::{Error, Result};
use pentimento_btree::{Fault, ReadPages};
use pentimento_storage::inspect::Entry;
use pentimento_storage::{HEADER_BYTES, PageId};
use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

/// How many bytes of pages are kept before [`View::trim`] forgets them.
const KEPT_BYTES: u64 = 64 << 20;

/// Why a page of a view cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// It was overwritten: a newer checkpoint has come, and what was read so far may not fit what would be read from now on.
    #[error("a newer checkpoint has come")]
    Moved,
    /// It is damaged.
    #[error("{0}")]
    Damaged(Box<Problem>),
    /// Anything else.
    #[error("{0}")]
    Other(Box<Error>),
}

impl From<Fault> for ViewError {
    fn from(fault: Fault) -> ViewError {
        let problem = match fault {
            Fault::Damaged { page, what } => Problem::new(Structure::Tree, what).page(page.0),
            other => Problem::new(Structure::Tree, other.to_string()),
        };
        ViewError::Damaged(Box::new(problem))
    }
}

impl From<Error> for ViewError {
    fn from(error: Error) -> ViewError {
        ViewError::Other(Box::new(error))
    }
}

/// Copies of all pages, in a file that goes with the process.
#[derive(Debug)]
struct Spool {
    file: File,
    /// By page number: where the copy begins, and which version it is of.
    places: Vec<Option<(u64, Job)>>,
    end: u64,
}

/// The pages of a checkpoint.
#[derive(Debug)]
pub struct View<'f> {
    file: &'f StoreFile,
    checkpoint: Checkpoint,
    bodies: Vec<OnceCell<Vec<u8>>>,
    kept: Cell<u64>,
    spool: Option<Spool>,
}

impl<'f> View<'f> {
    /// A view of the newest checkpoint of a file.
    ///
    /// # Errors
    /// As for [`Checkpoint::read`].
    pub fn new(file: &'f StoreFile) -> Result<View<'f>> {
        let checkpoint = Checkpoint::read(file)?;
        let bodies = std::iter::repeat_with(OnceCell::new).take(checkpoint.entries.len()).collect();
        Ok(View { file, checkpoint, bodies, kept: Cell::new(0), spool: None })
    }

    /// The checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Makes sure that the pages stay: where a writer may overwrite them, all are copied to a temporary file first. What changes meanwhile is
    /// copied again from the newer checkpoint, until all copies are of one.
    ///
    /// # Errors
    /// When the temporary file cannot be written, or checkpoints follow each other faster than they can be copied.
    pub(crate) fn settle(&mut self) -> Result<()> {
        if self.checkpoint.head.is_closed() {
            return Ok(());
        }
        let made = tempfile::tempfile().map_err(Error::io("make a temporary file in", std::env::temp_dir()))?;
        let mut spool = Spool { file: made, places: Vec::new(), end: 0 };
        for _ in 0..500 {
            spool.places.resize_with(self.checkpoint.entries.len(), || None);
            let mut failed = Vec::new();
            for job in self.checkpoint.jobs() {
                let place = &mut spool.places[job.page.0 as usize];
                if place.is_some_and(|(_, copied)| copied == job) {
                    continue;
                }
                match read_version(self.file, &job) {
                    Ok(bytes) => {
                        let mut file = &spool.file;
                        let copied = file.seek(SeekFrom::Start(spool.end)).and_then(|_| file.write_all(&bytes));
                        copied.map_err(Error::io("write a temporary file in", std::env::temp_dir()))?;
                        *place = Some((spool.end, job));
                        spool.end += bytes.len() as u64;
                    }
                    Err(_) => failed.push(job),
                }
            }
            if !failed.is_empty() {
                let newer = Checkpoint::read(self.file)?;
                let is_same = newer.head.sequence() == self.checkpoint.head.sequence();
                if !is_same && !failed.iter().all(|job| newer.job(job.page) == Some(*job)) {
                    self.checkpoint = newer;
                    continue;
                }
            }
            // What failed is damaged: whoever asks for it is told.
            self.bodies = std::iter::repeat_with(OnceCell::new).take(self.checkpoint.entries.len()).collect();
            self.kept.set(0);
            self.spool = Some(spool);
            return Ok(());
        }
        Err(Error::Unreadable(format!("{} changes faster than it can be read; try again", self.file.name())))
    }

    /// Forgets pages if many are kept, so that a long walk does not take much memory.
    pub(crate) fn trim(&mut self) {
        if self.kept.get() > KEPT_BYTES {
            self.bodies.iter_mut().for_each(|body| {
                body.take();
            });
            self.kept.set(0);
        }
    }

    /// The value of a register.
    pub(crate) fn register(&self, page: PageId) -> Option<u64> {
        match self.checkpoint.entry(page)? {
            Entry::Register { value, .. } => Some(value),
            _ => None,
        }
    }

    fn load(&self, page: PageId) -> Result<Vec<u8>, ViewError> {
        let damaged = |slot: Option<u64>, what: String| {
            let problem = Problem::new(Structure::Page, what).page(page.0);
            ViewError::Damaged(Box::new(match slot {
                Some(slot) => problem.slot(slot),
                None => problem,
            }))
        };
        let Some(job) = self.checkpoint.job(page) else {
            let is_lost = (page.0 as usize) < self.checkpoint.entries.len() && self.checkpoint.entry(page).is_none();
            let why = if is_lost {
                "its table entry cannot be read"
            } else {
                "something refers to it, but it does not exist"
            };
            return Err(damaged(None, why.to_owned()));
        };
        if let Some((offset, copied)) = self.spool.as_ref().and_then(|spool| spool.places[page.0 as usize]) {
            debug_assert_eq!(copied, job, "all copies are of one checkpoint");
            return self.load_copy(offset, &job).map_err(|what| damaged(Some(job.run.start), what));
        }
        match read_version(self.file, &job) {
            Ok(mut bytes) => {
                bytes.drain(..HEADER_BYTES);
                Ok(bytes)
            }
            Err(what) => {
                let newer = Checkpoint::read(self.file)?;
                let is_same = newer.head.sequence() == self.checkpoint.head.sequence();
                if is_same || newer.job(page) == Some(job) {
                    Err(damaged(Some(job.run.start), what))
                } else {
                    Err(ViewError::Moved)
                }
            }
        }
    }

    fn load_copy(&self, offset: u64, job: &Job) -> Result<Vec<u8>, String> {
        let spool = self.spool.as_ref().ok_or("there is no copy")?;
        let mut header = [0; HEADER_BYTES];
        spool.file.read_exact_at(&mut header, offset).map_err(|error| error.to_string())?;
        let length = super::scan::check_start(job, &header)?;
        let mut body = vec![0; length - HEADER_BYTES];
        spool.file.read_exact_at(&mut body, offset + HEADER_BYTES as u64).map_err(|error| error.to_string())?;
        Ok(body)
    }
}

impl ReadPages for View<'_> {
    type Error = ViewError;

    fn page(&self, id: PageId) -> Result<&[u8], ViewError> {
        let Some(cell) = self.bodies.get(id.0 as usize) else {
            return Err(Fault::Damaged { page: id, what: "there is no such page number" }.into());
        };
        if let Some(body) = cell.get() {
            return Ok(body);
        }
        let body = self.load(id)?;
        self.kept.set(self.kept.get() + body.len() as u64);
        Ok(cell.get_or_init(|| body))
    }

    fn beside(&self, id: PageId) -> Result<Option<&[u8]>, ViewError> {
        match self.checkpoint.delta_job(id) {
            Some(job) => self.page(job.page).map(Some),
            // Whether there is one cannot be known: that is told.
            None if self.checkpoint.is_beside_unknown(id) => self.page(PageId(id.0 + 1)).map(Some),
            None => Ok(None),
        }
    }
}
