//! Reading the journal back after a crash.
//!
//! Promises:
//! 1. Records are handed out in the order of their timestamps, from the one after the checkpoint, up to the first that is not whole.
//! 2. That first one ends the journal only if nothing later says that it was durable; else it is damage, and an error that says where.
//! 3. A journal of another store is refused. Nothing is written.

use super::record::{self, Record, record_bytes};
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::builder::MAX_SEGMENT_BYTES;
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
    for (index, Found { number, header }) in segments.iter().enumerate() {
        recovered.next_sequence = header.sequence.saturating_add(1);
        let bytes = read_all(logs, *number)?;
        // Within one life first timestamps grow with the sequence. What a younger segment has again was given up by an earlier recovery.
        let limit = segments[index + 1..].iter().map(|younger| younger.header.first).min().unwrap_or(Timestamp::MAX);
        let mut at = SEGMENT_HEADER_BYTES;
        if header.first <= next {
            let (mut expected, mut previous_crc) = (header.first, 0);
            while let Some((mut found, is_whole)) = bytes.get(at..).and_then(|rest| record::read(rest, header.salt)) {
                let is_whole = is_whole || store.has_planted(Bug::SkipRecordChecksum);
                let mut follows = found.previous_crc == previous_crc;
                if store.has_planted(Bug::TakeRecycledRecords) {
                    (found.at, follows) = (expected, true);
                }
                if !is_whole || !follows || found.at != expected || found.at >= limit {
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
            end = Some((*number, at));
        }
        // A record behind the end may be whole although one before it is not: the disk writes in any order. It tells whether that
        // one had been durable.
        if let Some(witness) = find_witness(&bytes, at, header.salt, next, limit) {
            let (number, offset) = end.unwrap_or((*number, SEGMENT_HEADER_BYTES));
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
    let mut files = logs.list().map_err(|source| io_error(logs, "list the journal", 0, source))?;
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
        if bytes.iter().all(|byte| *byte == 0) {
            // Made, but its header never reached the disk: nothing in it was acknowledged.
            continue;
        }
        // A header is one sector and written whole, so anything else that is not one is damage.
        let header = SegmentHeader::decode(&bytes).map_err(|what| Error::Damaged {
            structure: "journal",
            page: None,
            slot: None,
            what: format!("{}: the header at byte 0 {what}", logs.path(number).display()),
        })?;
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
    let len = log.len().map_err(failed)?;
    if len > 2 * MAX_SEGMENT_BYTES {
        return Err(Error::Damaged {
            structure: "journal",
            page: None,
            slot: None,
            what: format!("{}: at {len} bytes it is longer than any segment", logs.path(number).display()),
        });
    }
    let mut bytes = vec![0; len as usize];
    log.read(0, &mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// A whole record from `from` on that says that commit `missing` had been durable.
fn find_witness(bytes: &[u8], from: usize, salt: u64, missing: Timestamp, limit: Timestamp) -> Option<Record<'_>> {
    let newest = limit.min(Timestamp(missing.0.saturating_add((bytes.len() / record::HEADER_BYTES) as u64)));
    // What cannot be a witness by its timestamps is not worth a checksum: most of what lies there is of an earlier life.
    (from..bytes.len()).step_by(8).find_map(|at| {
        let rest = &bytes[at..];
        let (record, is_plausible) = record::peek(rest)?;
        let is_candidate = is_plausible && record.at > missing && record.at < newest && record.durable >= missing;
        if is_candidate { record::parse(rest, salt) } else { None }
    })
}
