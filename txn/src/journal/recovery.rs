//! Reading the journal back after a crash.
//!
//! Promises:
//! 1. Records are handed out in the order of their timestamps, from the one after the checkpoint, up to the first that is not whole.
//! 2. That first one ends the journal only if nothing later says that it was durable; else it is damage, and an error that says where.
//! 3. A journal of another store is refused. Nothing is written.

use super::record::{self, Record, record_bytes};
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::{Error, Result, Timestamp};
use pentimento_storage::{Bug, Logs, Store};
use std::io;

/// What the files of the journal are, after everything was handed out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// How many records were handed out.
    pub records: u64,
    /// All files, which may be reused when a checkpoint covers what was handed out.
    pub files: Vec<u64>,
    /// Above every sequence that was found.
    pub next_sequence: u64,
}

struct Found {
    number: u64,
    header: SegmentHeader,
}

/// Hands the body of every record after `checkpoint` to `replay`, in order.
///
/// # Errors
/// When the journal belongs to another store, is damaged in its middle, or cannot be read; and what `replay` fails with.
pub(crate) fn recover(
    logs: &dyn Logs,
    store: &Store,
    checkpoint: Timestamp,
    mut replay: impl FnMut(Timestamp, &[u8]) -> Result<()>,
) -> Result<Recovered> {
    let mut recovered = Recovered { files: list(logs)?, next_sequence: 1, records: 0 };
    let segments = find_segments(logs, &recovered.files, store.store_id())?;
    let mut next = checkpoint.next();
    // Where the record `next` should have been: the end of the last segment that was followed.
    let mut end = None;
    for Found { number, header } in segments {
        recovered.next_sequence = header.sequence + 1;
        let bytes = read_all(logs, number)?;
        let mut at = SEGMENT_HEADER_BYTES;
        if header.first <= next {
            let (mut expected, mut previous_crc) = (header.first, 0);
            while let Some((found, is_whole)) = bytes.get(at..).and_then(|rest| record::read(rest, header.salt)) {
                let is_whole = is_whole || store.has_planted(Bug::SkipRecordChecksum);
                let follows = found.previous_crc == previous_crc || store.has_planted(Bug::TakeRecycledRecords);
                if !is_whole || !follows || found.at != expected {
                    break;
                }
                if found.at == next {
                    replay(found.at, found.body)?;
                    recovered.records += 1;
                    next = next.next();
                }
                expected = expected.next();
                previous_crc = found.crc;
                at += record_bytes(found.body.len());
            }
            end = Some((number, at));
        }
        // A record behind the end may be whole although one before it is not: the disk writes in any order. It tells whether that
        // one had been durable.
        let witness = last_record(&bytes, at, header.salt).filter(|later| later.durable >= next);
        if let Some(witness) = witness {
            let (number, offset) = end.unwrap_or((number, SEGMENT_HEADER_BYTES));
            return Err(Error::Damaged {
                structure: "journal",
                page: None,
                slot: None,
                what: format!(
                    "{}: the record of commit {next} at byte {offset} is not whole, but that of commit {} says that it was durable",
                    logs.path(number).display(),
                    witness.at
                ),
            });
        }
    }
    Ok(recovered)
}

fn list(logs: &dyn Logs) -> Result<Vec<u64>> {
    let mut files = logs.list().map_err(|source| io_error(logs, "list the journal beside", 0, source))?;
    files.sort_unstable();
    Ok(files)
}

fn io_error(logs: &dyn Logs, operation: &'static str, number: u64, source: io::Error) -> Error {
    Error::Io { operation, path: logs.path(number), source }
}

/// The segments with whole headers, by sequence.
fn find_segments(logs: &dyn Logs, files: &[u64], store_id: [u8; 16]) -> Result<Vec<Found>> {
    let mut segments = Vec::new();
    for &number in files {
        let log = logs.open(number).map_err(|source| io_error(logs, "open", number, source))?;
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        match log.read(0, &mut bytes) {
            Ok(()) => {}
            // Begun, but not written.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            Err(source) => return Err(io_error(logs, "read", number, source)),
        }
        let Some(header) = SegmentHeader::decode(&bytes) else { continue };
        if header.store_id != store_id {
            return Err(Error::ForeignJournal { path: logs.path(number) });
        }
        segments.push(Found { number, header });
    }
    segments.sort_unstable_by_key(|found| found.header.sequence);
    Ok(segments)
}

fn read_all(logs: &dyn Logs, number: u64) -> Result<Vec<u8>> {
    let failed = |source| io_error(logs, "read", number, source);
    let log = logs.open(number).map_err(failed)?;
    let mut bytes = vec![0; log.len().map_err(failed)? as usize];
    log.read(0, &mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The last whole record from `from` on, in whatever order.
fn last_record(bytes: &[u8], from: usize, salt: u64) -> Option<Record<'_>> {
    let mut last = None;
    let mut at = from;
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= record::HEADER_BYTES) {
        match record::parse(rest, salt) {
            Some(found) => {
                at += record_bytes(found.body.len());
                last = Some(found);
            }
            None => at += 8,
        }
    }
    last
}
