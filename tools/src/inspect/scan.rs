//! Reading many versions in the order of the file: large sequential reads, by several threads, each version checked as it passes.

use super::facts::{Neighbour, PageFacts};
use super::file::StoreFile;
use crate::Interrupt;
use pentimento_btree::inspect::{BodyKind, body_kind};
use pentimento_storage::inspect::{check_header, version_header};
use pentimento_storage::{HEADER_BYTES, PageId, Run, SLOT_BYTES, Timestamp};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many bytes one read takes, unless a single version is longer.
const WINDOW: u64 = 512 << 10;
/// Unused bytes between two versions that are rather read than skipped.
const GAP: u64 = 64 << 10;
/// How many threads read at most: beyond a few the memory is what they wait for.
const MOST_THREADS: usize = 4;
/// Trees whose bodies are kept: the catalog and the doomed trees.
const KEPT_OWNERS: u32 = 2;

/// A version to be read, and what proves that it is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// The page.
    pub page: PageId,
    /// Its slots.
    pub run: Run,
    /// The commit that made it.
    pub birth: Timestamp,
    /// The CRC-32 of its used bytes.
    pub crc: u32,
}

/// A version to be read, and the one that may be its delta.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub job: Job,
    /// If the page is a leaf this is read, too.
    pub beside: Option<Job>,
}

/// What came of the tasks of one window.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The number of the first task.
    pub first: usize,
    /// What is known of the pages, in the order of the tasks; `None` where a page cannot be read.
    pub facts: Vec<Option<PageFacts>>,
    /// The versions that cannot be read, why, and the number of the task.
    pub failed: Vec<(Job, String, usize)>,
    /// Whether something is wrong with a page that could be read.
    pub has_faults: bool,
}

/// Does all tasks, whose versions are in the order of their slots, with as many threads as the machine can run, up to a few. `seen` is told how many bytes
/// were read, now and then, by any thread. Batches come in no order. An interruption leaves the rest undone.
pub(crate) fn scan(
    file: &StoreFile,
    tasks: &[Task],
    detail: bool,
    interrupt: &Interrupt,
    seen: &(dyn Fn(u64) + Sync),
) -> Vec<Batch> {
    let windows = windows(tasks);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = Vec::new();
        let mut batches = Vec::new();
        while let Some(window) = windows.get(next.fetch_add(1, Ordering::Relaxed)) {
            if interrupt.is_asked() {
                break;
            }
            batches.push(read_window(file, tasks, window, detail, &mut buffer));
            seen(window.bytes);
        }
        batches
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS).min(windows.len());
    thread::scope(|scope| {
        let threads: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for thread in threads {
            all.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    })
}

/// Adjacent versions that are read together.
struct Window {
    first: usize,
    end: usize,
    bytes: u64,
}

fn windows(tasks: &[Task]) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    let mut reached = 0;
    for (number, Task { job, .. }) in tasks.iter().enumerate() {
        let end = job.run.offset() + job.run.bytes();
        if let Some(window) = windows.last_mut() {
            let start = tasks[window.first].job.run.offset();
            if end.saturating_sub(start) <= WINDOW && job.run.offset() <= reached + GAP {
                window.end = number + 1;
                reached = reached.max(end);
                window.bytes = reached - start;
                continue;
            }
        }
        windows.push(Window { first: number, end: number + 1, bytes: job.run.bytes() });
        reached = end;
    }
    windows
}

fn read_window(file: &StoreFile, tasks: &[Task], window: &Window, detail: bool, buffer: &mut Vec<u8>) -> Batch {
    let tasks = &tasks[window.first..window.end];
    let start = tasks[0].job.run.offset();
    let wanted = window.bytes.min(WINDOW) as usize;
    if buffer.len() < wanted {
        buffer.resize(wanted, 0);
    }
    let len = file.read(start, &mut buffer[..wanted]).map_err(|error| error.to_string());
    let facts = Vec::with_capacity(tasks.len());
    let mut batch = Batch { first: window.first, facts, failed: Vec::new(), has_faults: false };
    for (number, task) in tasks.iter().enumerate() {
        let from = (task.job.run.offset() - start) as usize;
        let bytes = len.as_ref().map(|len| buffer[..*len].get(from..).unwrap_or_default());
        match bytes.map_err(String::clone).and_then(|bytes| check(file, task, bytes, detail)) {
            Ok((facts, failure)) => {
                batch.has_faults |= !facts.faults().is_empty();
                batch.facts.push(Some(facts));
                let failure = task.beside.zip(failure);
                batch.failed.extend(failure.map(|(beside, what)| (beside, what, window.first + number)));
            }
            Err(what) => {
                batch.facts.push(None);
                batch.failed.push((task.job, what, window.first + number));
            }
        }
    }
    batch
}

/// Checks the version that begins with `bytes`; what is missing there is read. Beside what is known of it: why what may be its delta cannot be read.
fn check(file: &StoreFile, task: &Task, bytes: &[u8], detail: bool) -> Result<(PageFacts, Option<String>), String> {
    let job = &task.job;
    let length = check_start(job, bytes)?;
    let header = version_header(bytes).ok_or("it is shorter than a header")?;
    let in_memory = &bytes[..length.min(bytes.len())];
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(in_memory);
    let mut at = in_memory.len();
    let mut piece = if at < length { vec![0; WINDOW as usize] } else { Vec::new() };
    while at < length {
        let wanted = piece.len().min(length - at);
        let read = file.read(job.run.offset() + at as u64, &mut piece[..wanted]).map_err(|error| error.to_string())?;
        if read < wanted {
            return Err("it ends past the end of the file".to_owned());
        }
        hasher.update(&piece[..read]);
        at += read;
    }
    if hasher.finalize() != job.crc {
        return Err("its checksum does not match".to_owned());
    }
    let keep = header.owner.0 < KEPT_OWNERS || job.page.0 < KEPT_OWNERS;
    let is_leaf = body_kind(in_memory.get(HEADER_BYTES..).unwrap_or_default()) == BodyKind::Leaf;
    let read = task.beside.filter(|_| is_leaf).map(|beside| (beside, read_version(file, &beside)));
    let neighbour = read.as_ref().map(|(job, read)| Neighbour {
        job: *job,
        body: read.as_ref().ok().and_then(|bytes| bytes.get(HEADER_BYTES..)),
    });
    let facts = PageFacts::new(job, &header, in_memory, neighbour, keep, detail);
    Ok((facts, read.and_then(|(_, read)| read.err())))
}

/// Checks the header of a version, and returns its length.
pub(crate) fn check_start(job: &Job, bytes: &[u8]) -> Result<usize, String> {
    let header = version_header(bytes).ok_or("it lies past the end of the file")?;
    let length = check_header(&header, job.page, job.birth, job.run.slots).map_err(|error| match error {
        pentimento_storage::Error::Damaged { what, .. } => what,
        other => other.to_string(),
    })?;
    debug_assert!(length >= HEADER_BYTES, "checked with the header");
    Ok(length)
}

/// Reads the whole version of a job, and checks it.
pub(crate) fn read_version(file: &StoreFile, job: &Job) -> Result<Vec<u8>, String> {
    // A short one at once.
    let mut bytes = vec![0; job.run.bytes().min(SLOT_BYTES as u64) as usize];
    let short = || "it ends past the end of the file".to_owned();
    let read = file.read(job.run.offset(), &mut bytes).map_err(|error| error.to_string())?;
    if read < HEADER_BYTES {
        return Err(short());
    }
    let length = check_start(job, &bytes[..read])?;
    bytes.resize(length, 0);
    let rest = bytes.get_mut(read..).unwrap_or_default();
    let wanted = rest.len();
    if wanted > 0 && file.read(job.run.offset() + read as u64, rest).map_err(|error| error.to_string())? < wanted {
        return Err(short());
    }
    if crc32fast::hash(&bytes) != job.crc {
        return Err("its checksum does not match".to_owned());
    }
    Ok(bytes)
}
