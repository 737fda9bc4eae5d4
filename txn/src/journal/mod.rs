//! The journal: the redo log that makes a small commit durable with one small sequential write and one `fdatasync`.
//!
//! Promises:
//! 1. Records are appended in the order of their timestamps, under the writer's turn, before the commit is installed. Whatever survives a crash is a
//!    prefix of them.
//! 2. Room is made before anything else happens: a full disk fails the commit and leaves the store as it was.
//! 3. Whoever waits for durability waits together (`group.rs`): one of them leads, notes the newest *installed* timestamp, writes what is buffered, syncs
//!    every file that has unsynced records, oldest first, and publishes no further than its note.
//! 4. A failed write or sync poisons the store.
//! 5. A file is reused, or removed, only when a durable checkpoint covers all its records; reused under a fresh salt.
//! 6. No more files are kept for reuse than were in use at once since the checkpoint before, and none in a store at rest.
//!
//! Locks: `state` is taken by the holder of the turn, by the leader and by the background, never across a sync.

mod group;
pub(crate) mod record;
mod recovery;
pub(crate) mod segment;

pub(crate) use recovery::recover;

use crate::commit::unknown;
use crate::sync::{Arc, Condvar, Count, Flag, Instant, Mutex, MutexGuard, Ordering};
use crate::{Error, Result, Timestamp};
use crc32fast::Hasher as Crc;
use group::Group;
use pentimento_storage::{Bug, Log, Logs, Store};
use record::record_bytes;
use segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::time::Duration;

/// Files are filled with zeros ahead of the records: writing into allocated blocks costs a sync of data alone. In pieces for some records,
/// but not so long that whoever comes to write one notices.
const PREPARED_RECORDS: u64 = 8;
const PREPARE_LEAST: u64 = 128 << 10;
const PREPARE_MOST: u64 = 1 << 20;
/// To fill as much as so long a record takes longer than the sync that also has to write of new blocks.
const LONG_RECORD: u64 = 32 << 10;
/// For such, and where nobody waits for a sync, there is only made room: in pieces for some records.
const RESERVED_RECORDS: u64 = 16;
const RESERVE_LEAST: u64 = 256 << 10;
const RESERVE_MOST: u64 = 4 << 20;
/// Only whole blocks are written: the one that is begun is written again with the next records. So nobody needs to read what surrounds them.
const BLOCK: u64 = 4096;
/// Records gather in memory up to this size when nobody waits for them. Then the background is asked to write them: copying them into the system's cache takes longer than making them.
const BUFFER_BYTES: usize = 64 << 10;
/// Up to this size nobody waits for it, nor for a sync that is writing earlier ones, which must come first.
const FULL_BUFFER_BYTES: usize = 1 << 20;
/// How often the files are looked at, whether somebody has taken them away.
const PROBE_EVERY: Duration = Duration::from_millis(100);
/// How many segments may hold records that no checkpoint covers.
const MAX_SEGMENTS: usize = 4;
/// How many files without records are kept for reuse, at most.
const MAX_SPARE: usize = 2;

/// A segment that records are appended to, or were.
struct Segment {
    number: u64,
    log: Arc<dyn Log>,
    /// Where the checksums of its records begin.
    salted: Crc,
    /// Where the buffer will be written: the beginning of a block.
    written: u64,
    /// Up to here the file has blocks that were written, at least with zeros; and up to here it has room.
    prepared: u64,
    reserved: u64,
    /// The newest record, or the one that room was made for.
    last: Timestamp,
    /// Timestamps are consecutive within a segment: the only one that may follow.
    next: Timestamp,
    last_crc: u32,
    /// Whether something was written since the last sync.
    is_dirty: bool,
}

struct State {
    /// The last is the current one.
    segments: Vec<Segment>,
    /// Records of the current segment, from the beginning of the first block that has some which are not written yet.
    buffer: Vec<u8>,
    /// Whether it has such.
    is_unwritten: bool,
    /// Whoever syncs, or the background, is writing blocks, without the lock.
    is_writing: bool,
    /// Empty: memory for the next records.
    spare_bytes: Vec<u8>,
    /// Files whose records a durable checkpoint covers.
    spare: Vec<u64>,
    /// How many segments were in use at once since the last checkpoint was durable.
    peak: usize,
    next_number: u64,
    next_sequence: u64,
    /// A name was made since the last sync of the folder.
    names_dirty: bool,
    /// The next record begins a new segment.
    switch: bool,
    /// When the files were last looked at.
    probed: Option<Instant>,
}

/// What the journal did since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalStats {
    /// Commits that were journaled.
    pub records: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// How often the journal was synced; `records / syncs` commits shared one on average.
    pub syncs: u64,
    /// Files with records that no checkpoint covers yet.
    pub segments: u64,
    /// How often a commit found the journal full and waited for a checkpoint.
    pub full_waits: u64,
    /// How long they waited in all, in microseconds.
    pub full_wait_us: u64,
}

#[derive(Default)]
struct Counters {
    records: Count,
    bytes: Count,
    syncs: Count,
    full_waits: Count,
    full_wait_us: Count,
}

/// Whether there is room for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Made,
    /// A checkpoint must free a segment first.
    Full,
}

/// What is to be written.
struct Blocks {
    number: u64,
    log: Arc<dyn Log>,
    offset: u64,
    bytes: Vec<u8>,
}

impl State {
    /// Takes out what has not been written, as whole blocks. The block that is begun stays in the buffer as well.
    fn take_blocks(&mut self, segment_bytes: u64) -> Option<Blocks> {
        let segment = self.segments.last_mut().filter(|_| self.is_unwritten)?;
        self.is_unwritten = false;
        let (offset, len) = (segment.written, self.buffer.len());
        let end = (offset + len as u64).next_multiple_of(BLOCK).min(segment_bytes);
        let whole = len - len % BLOCK as usize;
        let mut bytes = std::mem::replace(&mut self.buffer, std::mem::take(&mut self.spare_bytes));
        self.buffer.extend_from_slice(&bytes[whole..]);
        bytes.resize((end - offset) as usize, 0);
        segment.written += whole as u64;
        segment.prepared = segment.prepared.max(end);
        Some(Blocks { number: segment.number, log: segment.log.clone(), offset, bytes })
    }

    /// Keeps the memory of blocks that were written for the next ones, unless it was a long record's.
    fn keep(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        bytes.shrink_to(FULL_BUFFER_BYTES);
        self.spare_bytes = bytes;
    }
}

/// The redo log of an open store.
pub(crate) struct Journal {
    logs: Box<dyn Logs>,
    store: Arc<Store>,
    segment_bytes: u64,
    state: Mutex<State>,
    /// Bytes of records since the last checkpoint began.
    since_checkpoint: Count,
    /// Whether the buffer should be written, by whoever has time. Changed under the lock of the state.
    is_full: Flag,
    /// Nobody writes without the lock of the state any more.
    written: Condvar,
    group: Group,
    counters: Counters,
}

impl Journal {
    /// A journal without records or files. `sequence` is above all that were ever used.
    pub fn new(logs: Box<dyn Logs>, store: Arc<Store>, segment_bytes: u64, sequence: u64) -> Journal {
        let group = Group::new(store.durable());
        Journal {
            logs,
            store,
            segment_bytes,
            state: Mutex::new(State {
                segments: Vec::new(),
                buffer: Vec::new(),
                is_unwritten: false,
                is_writing: false,
                spare_bytes: Vec::new(),
                next_number: 1,
                spare: Vec::new(),
                peak: 0,
                next_sequence: sequence,
                names_dirty: false,
                switch: false,
                probed: None,
            }),
            since_checkpoint: Count::default(),
            is_full: Flag::new(false),
            written: Condvar::new(),
            group,
            counters: Counters::default(),
        }
    }

    /// The longest body of a record; what is longer becomes durable by a checkpoint and is not written twice.
    pub fn max_body(&self) -> usize {
        (self.segment_bytes / 4) as usize
    }

    fn error(&self, operation: &'static str, number: u64, source: io::Error) -> Error {
        pentimento_storage::Error::from_io(operation, &self.logs.path(number), source).into()
    }

    /// Appends the record of commit `at`, unless a checkpoint must make room for it first. It `is_urgent` if somebody waits until it is durable. Under the writer's turn, before the commit is installed.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the record may have been written; after any other everything is as it was.
    pub fn append(&self, at: Timestamp, body: &[u8], is_urgent: bool) -> Result<Room> {
        let durable = self.store.durable_at_least();
        let mut state = self.state.lock();
        let room = self.make_room(&mut state, at, body.len(), is_urgent)?;
        if room == Room::Made {
            self.append_record(&mut state, at, durable, body).map_err(unknown(at))?;
        }
        Ok(room)
    }

    /// A failure leaves everything as it was.
    fn make_room(
        &self,
        state: &mut MutexGuard<'_, State>,
        at: Timestamp,
        body: usize,
        is_urgent: bool,
    ) -> Result<Room> {
        let needed = record_bytes(body) as u64;
        let fits = |state: &State| {
            let segment = state.segments.last().filter(|segment| segment.next == at);
            segment.is_some_and(|segment| segment.written + state.buffer.len() as u64 + needed <= self.segment_bytes)
        };
        if state.switch || !fits(state) {
            if state.segments.len() >= MAX_SEGMENTS {
                return Ok(Room::Full);
            }
            self.begin_segment(state, at)?;
        }
        let buffered = state.buffer.len() as u64;
        let segment = state.segments.last_mut().expect("begun above");
        let end = (segment.written + buffered + needed).next_multiple_of(BLOCK).min(self.segment_bytes);
        let failed = |source| self.error("extend the journal", segment.number, source);
        if is_urgent && segment.prepared < end && needed < LONG_RECORD {
            let piece = (PREPARED_RECORDS * needed).clamp(PREPARE_LEAST, PREPARE_MOST);
            let until = (segment.prepared + piece).max(end).next_multiple_of(BLOCK).min(self.segment_bytes);
            segment.is_dirty = true;
            segment.log.fill(segment.prepared, until - segment.prepared).map_err(failed)?;
            segment.prepared = until;
            segment.reserved = segment.reserved.max(until);
        } else if segment.reserved < end {
            let piece = (RESERVED_RECORDS * needed).clamp(RESERVE_LEAST, RESERVE_MOST);
            let until = (segment.reserved + piece).max(end).next_multiple_of(BLOCK).min(self.segment_bytes);
            segment.is_dirty = true;
            segment.log.reserve(segment.reserved, until - segment.reserved).map_err(failed)?;
            segment.reserved = until;
        }
        // No checkpoint covers this segment any more.
        segment.last = at;
        Ok(Room::Made)
    }

    fn begin_segment(&self, state: &mut MutexGuard<'_, State>, first: Timestamp) -> Result<()> {
        self.settle(state);
        self.write_buffer(state)?;
        let (number, is_new) = match state.spare.last() {
            Some(&number) => (number, false),
            None => (state.next_number, true),
        };
        let failed = |operation| move |source| self.error(operation, number, source);
        // A header that failed may have reached the disk all the same: nothing is appended to an older segment from here on, and no
        // sequence is used twice.
        let sequence = state.next_sequence;
        state.next_sequence += 1;
        state.switch = true;
        let log = self.logs.open(number).map_err(failed("open the journal"))?;
        let prepared = log.len().map_err(failed("measure the journal"))?.min(self.segment_bytes);
        let salt = if self.store.has_planted(Bug::TakeRecycledRecords) { 0 } else { random() };
        let header = SegmentHeader { store_id: self.store.store_id(), sequence, salt, first };
        let header = header.encode();
        log.write(0, &header).map_err(failed("begin a segment of the journal"))?;
        // From here on nothing fails. The header is part of the first block.
        state.buffer.clear();
        state.buffer.extend_from_slice(&header);
        if is_new {
            state.next_number += 1;
        } else {
            state.spare.pop();
        }
        state.names_dirty |= is_new;
        state.switch = false;
        state.segments.push(Segment {
            number,
            log,
            salted: record::salted(salt),
            written: 0,
            prepared: prepared.max(SEGMENT_HEADER_BYTES as u64),
            reserved: prepared.max(SEGMENT_HEADER_BYTES as u64),
            last: first,
            next: first,
            last_crc: 0,
            is_dirty: true,
        });
        state.peak = state.peak.max(state.segments.len());
        Ok(())
    }

    /// Appends a record for which room was made.
    fn append_record(
        &self,
        state: &mut MutexGuard<'_, State>,
        at: Timestamp,
        durable: Timestamp,
        body: &[u8],
    ) -> Result<()> {
        let State { segments, buffer, is_unwritten, .. } = &mut **state;
        let segment = segments.last_mut().expect("room was made");
        segment.last_crc = record::append(buffer, &segment.salted, at, durable, segment.last_crc, body);
        *is_unwritten = true;
        (segment.last, segment.next) = (at, at.next());
        segment.is_dirty = true;
        let bytes = record_bytes(body.len()) as u64;
        // All three are changed under the lock of the state alone.
        let add = |count: &Count, more| count.store(count.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        add(&self.since_checkpoint, bytes);
        add(&self.counters.records, 1);
        add(&self.counters.bytes, bytes);
        if state.buffer.len() >= FULL_BUFFER_BYTES {
            self.settle(state);
            self.write_buffer(state)?;
        } else if state.buffer.len() >= BUFFER_BYTES {
            self.is_full.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn take_blocks(&self, state: &mut State) -> Option<Blocks> {
        self.is_full.store(false, Ordering::Relaxed);
        state.take_blocks(self.segment_bytes)
    }

    /// Writes what is buffered into the system's cache. A failure poisons the store: the file's end is unknown then.
    fn write_buffer(&self, state: &mut State) -> Result<()> {
        let Some(blocks) = self.take_blocks(state) else { return Ok(()) };
        if let Err(source) = blocks.log.write(blocks.offset, &blocks.bytes) {
            let error = self.error("write the journal", blocks.number, source);
            self.fail(&error);
            return Err(error);
        }
        state.keep(blocks.bytes);
        Ok(())
    }

    /// Whether so many records have gathered that [`write_full`](Journal::write_full) had better be called.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Writes what is buffered into the system's cache, if it is much, while others append. For a thread that has time.
    pub fn write_full(&self) -> Result<()> {
        let blocks = {
            let mut state = self.settled();
            let blocks = if self.is_full() { self.take_blocks(&mut state) } else { None };
            state.is_writing = blocks.is_some();
            blocks
        };
        self.write_apart(blocks, |blocks| blocks.log.write(blocks.offset, &blocks.bytes))
    }

    /// Writes blocks that were taken out, without the lock of the state. Until it is done the state says that somebody is writing. A failure poisons the store before anybody goes on: what
    /// comes behind these blocks is worth nothing.
    fn write_apart(&self, blocks: Option<Blocks>, write: impl FnOnce(&Blocks) -> io::Result<()>) -> Result<()> {
        let Some(blocks) = blocks else { return Ok(()) };
        let written = write(&blocks).map_err(|source| self.error("write the journal", blocks.number, source));
        let written = written.inspect_err(|error| self.fail(error));
        let mut state = self.state.lock();
        state.is_writing = false;
        state.keep(blocks.bytes);
        drop(state);
        self.written.notify_all();
        written
    }

    /// The state, when nobody is writing blocks without its lock: else they could land in a file that has begun another life, or over younger ones.
    fn settled(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        self.settle(&mut state);
        state
    }

    fn settle(&self, state: &mut MutexGuard<'_, State>) {
        while state.is_writing {
            self.written.wait(state);
        }
    }

    fn fail(&self, error: &Error) {
        self.store.poison_because(&error.to_string());
        self.group.fail();
    }

    /// Returns when commit `at`, which is installed, is durable: leads a sync, or shares one.
    pub fn make_durable(&self, at: Timestamp) -> Result<()> {
        while self.store.durable() < at {
            self.store.check_writable()?;
            let durable = self.group.wait(at, || {
                // Every record up to the note is in the buffer or in a file: a commit is appended before it is installed.
                let note = self.store.installed();
                self.sync_files().inspect_err(|error| self.fail(error))?;
                Ok(self.store.journal_is_durable(note))
            })?;
            if durable >= at {
                break;
            }
            // It stands behind a commit that no journal holds: that one's checkpoint decides.
            self.store.wait_for_progress(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Writes what is buffered and syncs every file that has unsynced records. One at a time.
    fn sync_files(&self) -> Result<()> {
        let (blocks, files, sync_names) = {
            let mut state = self.settled();
            // Whoever was writing may have failed.
            self.store.check_writable()?;
            self.probe(&mut state)?;
            let blocks = self.take_blocks(&mut state);
            state.is_writing = blocks.is_some();
            let dirty = state.segments.iter_mut().filter(|segment| segment.is_dirty);
            let files: Vec<_> = dirty
                .map(|segment| {
                    segment.is_dirty = false;
                    (segment.number, segment.log.clone())
                })
                .collect();
            (blocks, files, std::mem::take(&mut state.names_dirty))
        };
        // Others append meanwhile: this may wait for the disk.
        self.write_apart(blocks, |blocks| blocks.log.write_to_sync(blocks.offset, &blocks.bytes))?;
        let files = if self.store.has_planted(Bug::SkipJournalSync) { Vec::new() } else { files };
        for (number, log) in files {
            log.sync().map_err(|source| self.error("sync the journal", number, source))?;
        }
        if sync_names {
            self.logs.sync().map_err(|source| self.error("sync the folder of the journal", 0, source))?;
        }
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Now and then: whether store and journal are still there. What is written to a file that was removed is worth nothing.
    fn probe(&self, state: &mut State) -> Result<()> {
        let now = Instant::now();
        if state.probed.is_some_and(|probed| now.duration_since(probed) < PROBE_EVERY) {
            return Ok(());
        }
        state.probed = Some(now);
        self.store.probe()?;
        for segment in &state.segments {
            let probed = segment.log.probe();
            probed.map_err(|source| self.error("go on using the journal", segment.number, source))?;
        }
        Ok(())
    }

    /// A checkpoint begins: if much has gathered, later records go to another segment, so that this one can be reused soon.
    pub fn checkpoint_begins(&self) {
        self.switch_beyond(self.segment_bytes / 8, u64::MAX);
    }

    /// A checkpoint begins after which little shall be left: as [`checkpoint_begins`](Journal::checkpoint_begins), but a segment that holds less goes as well, and one with much room for records to come.
    pub fn thorough_checkpoint_begins(&self) {
        self.switch_beyond((self.segment_bytes / 8).min(PREPARE_MOST), (self.segment_bytes / 4).min(PREPARE_MOST));
    }

    fn switch_beyond(&self, written: u64, reserved: u64) {
        let mut state = self.state.lock();
        self.since_checkpoint.store(0, Ordering::Relaxed);
        let buffered = state.buffer.len() as u64;
        // For the sake of room no segment is given up that may be the last one: this checkpoint, too, may fail.
        let reserved = if state.segments.len() + 1 < MAX_SEGMENTS { reserved } else { u64::MAX };
        let is_beyond = |segment: &Segment| segment.written + buffered > written || segment.reserved > reserved;
        // What a segment that was begun in vain has made necessary stays so.
        state.switch |= state.segments.last().is_some_and(is_beyond);
    }

    /// A checkpoint at `at` is durable: segments that hold nothing younger can be reused.
    pub fn checkpoint_is_durable(&self, at: Timestamp) {
        let mut state = self.settled();
        let current = state.segments.last().map(|segment| segment.number);
        let keep_current = !state.switch;
        let (covered, rest) = std::mem::take(&mut state.segments)
            .into_iter()
            .partition(|segment: &Segment| segment.last <= at && !(keep_current && Some(segment.number) == current));
        state.segments = rest;
        if !covered.is_empty() && state.segments.is_empty() {
            // Whatever is buffered belongs to a commit that the checkpoint covers.
            state.buffer.clear();
            state.is_unwritten = false;
        }
        for segment in covered {
            state.spare.push(segment.number);
        }
        let keep = state.peak.saturating_sub(state.segments.len()).min(MAX_SPARE);
        state.peak = state.segments.len();
        let surplus = state.spare.len().saturating_sub(keep);
        let surplus: Vec<u64> = state.spare.drain(..surplus).collect();
        drop(state);
        self.remove_spare(surplus);
    }

    /// Removes the files that are kept for reuse.
    pub fn trim(&self) {
        let spare = std::mem::take(&mut self.state.lock().spare);
        self.remove_spare(spare);
    }

    /// Removes files that were spare. Nobody who appends waits for that.
    fn remove_spare(&self, numbers: Vec<u64>) {
        for number in numbers {
            if self.logs.remove(number).is_err() {
                // It stays spare; the checkpoint is durable all the same.
                self.state.lock().spare.push(number);
            }
        }
    }

    /// Whether enough has gathered that a checkpoint should be made: as much as a segment holds. With more of it more changes of a page are written to the data file once; less is done again when a store is opened after a crash.
    pub fn wants_checkpoint(&self) -> bool {
        self.since_checkpoint.load(Ordering::Relaxed) > self.segment_bytes
    }

    /// Notes that a commit waited for room.
    pub fn note_full_wait(&self, us: u64) {
        self.counters.full_waits.fetch_add(1, Ordering::Relaxed);
        self.counters.full_wait_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Removes all files: the store was closed, and holds everything itself.
    pub fn remove(&self) -> Result<()> {
        let mut state = self.settled();
        state.buffer.clear();
        state.is_unwritten = false;
        (state.segments, state.spare) = (Vec::new(), Vec::new());
        // Those too that were begun in vain.
        let listed = self.logs.list();
        let numbers = listed.map_err(|source| self.error("list the files of the journal", 0, source))?;
        for &number in &numbers {
            self.logs.remove(number).map_err(|source| self.error("remove a file of the journal", number, source))?;
        }
        if !numbers.is_empty() {
            self.logs.sync().map_err(|source| self.error("sync the folder of the journal", 0, source))?;
        }
        Ok(())
    }

    pub fn stats(&self) -> JournalStats {
        let count = |counter: &Count| counter.load(Ordering::Relaxed);
        JournalStats {
            records: count(&self.counters.records),
            bytes: count(&self.counters.bytes),
            syncs: count(&self.counters.syncs),
            segments: self.state.lock().segments.len() as u64,
            full_waits: count(&self.counters.full_waits),
            full_wait_us: count(&self.counters.full_wait_us),
        }
    }
}

/// A number that is different each time: the standard library seeds its hashers at random.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
