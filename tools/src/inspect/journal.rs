//! The journal's files: which records they hold, and which of them an opening would do again.
//!
//! Promises: the files are only read; they are read before the meta that they are compared with, so a segment that is reused meanwhile is never
//! missed; what looks like damage in the middle is read again before it is told, because the writer appends while we look.

use super::file::StoreFile;
use super::head::Head;
use super::problem::{Problem, Structure};
use crate::{Error, Result};
use pentimento_storage::Timestamp;
use pentimento_txn::inspect::{
    MAX_SEGMENT_BYTES, Operation, SEGMENT_HEADER_BYTES, Segment, find_witness, operations, record, segment,
};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How often the journal is read again because something looks wrong.
const TRIES: u32 = 5;

/// What would become of a record if the store were opened now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// The checkpoint has it.
    Covered,
    /// It would be done again.
    Pending,
    /// It stands behind a record that is missing, so it was never acknowledged, and would be given up.
    GivenUp,
}

/// A record of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RecordFacts {
    /// The commit.
    pub timestamp: u64,
    /// Where it begins in its file.
    pub offset: u64,
    /// How many bytes it takes there.
    pub bytes: u64,
    /// Keys that were set.
    pub inserts: u64,
    /// Keys that were removed one by one.
    pub removes: u64,
    /// Everything else: ranges, whole trees, names.
    pub others: u64,
    /// Every commit up to here was durable when the record was built.
    pub durable: u64,
    /// What would become of it.
    pub state: RecordState,
}

/// What a file of the journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentState {
    /// A segment with a whole header.
    Segment,
    /// Begun, but its header never reached the disk: nothing in it was acknowledged.
    Blank,
    /// It belongs to another store.
    Foreign,
    /// Its header is damaged.
    Damaged,
}

/// What follows the last whole record of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tail {
    /// Nothing: zeros, or the end of the file.
    Clean,
    /// What an earlier life of the file left there.
    Old,
    /// The beginning of the next record, which is not whole: it was being written when the process or the power went.
    Torn,
}

/// A file of the journal.
#[derive(Clone, Debug)]
pub struct JournalFile {
    /// The number in its name.
    pub number: u64,
    /// Its path.
    pub path: PathBuf,
    /// Its length, in bytes.
    pub len: u64,
    /// What it is.
    pub state: SegmentState,
    /// Its header.
    pub segment: Option<Segment>,
    /// Its whole records that follow each other, in order.
    pub records: Vec<RecordFacts>,
    /// Where the last of them ends.
    pub end: u64,
    /// What stands there.
    pub tail: Tail,
    bytes: Vec<u8>,
}

/// The journal of a store.
#[derive(Clone, Debug)]
pub struct Journal {
    /// Its files, by the order in which they were begun.
    pub files: Vec<JournalFile>,
    /// The checkpoint that the records are compared with.
    pub checkpoint: Timestamp,
    /// The newest commit that opening would bring back; the checkpoint itself if there is nothing to do again.
    pub newest: Timestamp,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Journal {
    /// Reads the journal of a store, whatever lies beside it.
    ///
    /// # Errors
    /// When a file cannot be read for another reason than that it is gone.
    pub fn read(file: &StoreFile) -> Result<Journal> {
        let mut journal = Journal::read_once(file)?;
        for _ in 1..TRIES {
            if journal.problems.is_empty() {
                break;
            }
            journal = Journal::read_once(file)?;
        }
        Ok(journal)
    }

    fn read_once(file: &StoreFile) -> Result<Journal> {
        let mut files = Vec::new();
        for (number, path) in file.journal_files()? {
            if let Some(bytes) = read_file(&path)? {
                files.push(JournalFile::new(number, path, bytes));
            }
        }
        // After the journal: what a newer checkpoint covers may have been reused while we read.
        let head = Head::read_whatever(file)?;
        Ok(Journal::of(files, &head))
    }

    fn of(mut files: Vec<JournalFile>, head: &Head) -> Journal {
        let checkpoint = head.chosen.as_ref().map_or(Timestamp::ZERO, |meta| meta.timestamp);
        let store_id = head.chosen.as_ref().map(|meta| meta.store_id);
        for file in &mut files {
            let is_foreign = file.segment.zip(store_id).is_some_and(|(segment, id)| segment.store_id != id);
            if is_foreign {
                file.state = SegmentState::Foreign;
            }
        }
        files.sort_by_key(|file| (file.segment.map_or(u64::MAX, |segment| segment.sequence), file.number));
        let mut journal = Journal { files, checkpoint, newest: checkpoint, problems: Vec::new() };
        journal.follow();
        journal
    }

    fn find(&mut self, index: usize, what: String) {
        let name = self.files[index].path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut problem = Problem::new(Structure::Journal, what);
        problem.file = Some(name);
        self.problems.push(problem);
    }

    /// Follows the records as recovery would: segments in the order of their sequence, records from the one after the checkpoint.
    fn follow(&mut self) {
        let mut next = self.checkpoint.next();
        let mut end = None;
        for index in 0..self.files.len() {
            match self.files[index].state {
                SegmentState::Segment => {}
                SegmentState::Blank => continue,
                SegmentState::Foreign => {
                    self.find(index, "it is the journal of another store; opening would refuse it".to_owned());
                    continue;
                }
                SegmentState::Damaged => {
                    self.find(index, "the header at byte 0 is damaged; opening would refuse it".to_owned());
                    continue;
                }
            }
            let younger = self.files[index + 1..].iter().filter(|file| file.state == SegmentState::Segment);
            let limit = younger.filter_map(|file| Some(file.segment?.first)).min().unwrap_or(Timestamp::MAX);
            let file = &mut self.files[index];
            for fact in &mut file.records {
                let at = Timestamp(fact.timestamp);
                fact.state = if at < next {
                    RecordState::Covered
                } else if at == next && at < limit {
                    next = next.next();
                    RecordState::Pending
                } else {
                    RecordState::GivenUp
                };
            }
            let Some(segment) = file.segment else { continue };
            if segment.first <= next {
                end = Some((index, file.end));
            }
            let witness = find_witness(&file.bytes, file.end as usize, segment.salt, next);
            let witness = witness.map(|(_, witness)| witness.at).filter(|at| *at < limit);
            if let Some(witness) = witness {
                let (at, offset) = end.unwrap_or((index, SEGMENT_HEADER_BYTES as u64));
                let what = format!(
                    "the record of commit {next} at byte {offset} is not whole, but that of commit {witness} says that it was durable"
                );
                self.find(at, what);
            }
        }
        self.newest = Timestamp(next.0 - 1);
    }

    /// How many records opening would do again.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.newest.0 - self.checkpoint.0
    }

    /// The bodies of the records that opening would do again, in order.
    pub fn pending_bodies(&self) -> impl Iterator<Item = (Timestamp, &[u8])> {
        self.files.iter().flat_map(|file| {
            let pending = file.records.iter().filter(|fact| fact.state == RecordState::Pending);
            pending.filter_map(|fact| Some((Timestamp(fact.timestamp), file.body(fact)?)))
        })
    }
}

impl JournalFile {
    fn new(number: u64, path: PathBuf, bytes: Vec<u8>) -> JournalFile {
        let mut file = JournalFile {
            number,
            path,
            len: bytes.len() as u64,
            state: SegmentState::Blank,
            segment: None,
            records: Vec::new(),
            end: SEGMENT_HEADER_BYTES as u64,
            tail: Tail::Clean,
            bytes,
        };
        let Some(header) = file.bytes.first_chunk::<SEGMENT_HEADER_BYTES>() else { return file };
        if header.iter().all(|byte| *byte == 0) {
            return file;
        }
        match segment(header) {
            Ok(segment) => {
                file.state = SegmentState::Segment;
                file.segment = Some(segment);
                file.take_records(segment);
            }
            Err(_) => file.state = SegmentState::Damaged,
        }
        file
    }

    fn take_records(&mut self, segment: Segment) {
        let mut at = SEGMENT_HEADER_BYTES;
        let (mut expected, mut previous) = (segment.first, 0);
        let mut is_torn = false;
        while let Some(found) = self.bytes.get(at..).and_then(|rest| record(rest, segment.salt)) {
            if !found.is_whole || found.at != expected || found.previous_crc != previous {
                is_torn = found.at == expected;
                break;
            }
            self.records.push(facts(&found, at as u64));
            (expected, previous) = (expected.next(), found.crc);
            at += found.bytes;
        }
        self.end = at as u64;
        let rest = self.bytes.get(at..).unwrap_or_default();
        let is_empty = rest.iter().take(64).all(|byte| *byte == 0);
        self.tail = match (is_torn, is_empty) {
            (true, _) => Tail::Torn,
            (false, true) => Tail::Clean,
            (false, false) => Tail::Old,
        };
    }

    /// What a record's commit did.
    #[must_use]
    pub fn body(&self, fact: &RecordFacts) -> Option<&[u8]> {
        let found = record(self.bytes.get(fact.offset as usize..)?, self.segment?.salt)?;
        Some(found.body)
    }
}

fn facts(found: &pentimento_txn::inspect::Record<'_>, offset: u64) -> RecordFacts {
    let (mut inserts, mut removes, mut others) = (0, 0, 0);
    for operation in operations(found.body).map_while(Result::ok) {
        match operation {
            Operation::Insert(..) => inserts += 1,
            Operation::Remove(_) => removes += 1,
            Operation::Tree(_) => {}
            _ => others += 1,
        }
    }
    RecordFacts {
        timestamp: found.at.0,
        offset,
        bytes: found.bytes as u64,
        inserts,
        removes,
        others,
        durable: found.durable.0,
        state: RecordState::Covered,
    }
}

/// All bytes of a file; `None` if it is gone, as the files of a journal may be at any moment.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_SEGMENT_BYTES).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { operation: "read", path: path.to_owned(), source }),
    }
}
