//! The bytes of a record: one commit.
//!
//! ```text
//!   0 length of the body u32   4 CRC-32           8 timestamp u64   16 durable-up-to u64
//!  24 CRC-32 of the record before u32 (0: first)  28 zero           32 body   padded with zeros to a multiple of 8
//! ```
//!
//! Promises:
//! 1. The checksum covers the segment's salt, the length, and everything from the timestamp to the end of the body. A salt is drawn anew each
//!    time a segment is used, so no record of an earlier life of the file is ever taken for one of this life.
//! 2. Each record names the checksum of the one before it, so records are accepted only in the order in which they were written.
//! 3. `durable-up-to` is what was known to be durable when the record was built: a record that is damaged, while a later one
//!    says that it was durable, is a loss that is reported and not the end of the journal.

use crc32fast::Hasher;
use pentimento_storage::Timestamp;

/// The bytes of a record before its body.
pub(crate) const HEADER_BYTES: usize = 32;
const ALIGNMENT: usize = 8;
/// Records up to this length are short.
const SMALL: usize = 512;

/// A whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'b> {
    pub at: Timestamp,
    /// Every commit up to here was durable when the record was built.
    pub durable: Timestamp,
    pub crc: u32,
    pub previous_crc: u32,
    pub body: &'b [u8],
}

/// How many bytes a record with a body of `len` bytes takes.
pub(crate) fn record_bytes(len: usize) -> usize {
    (HEADER_BYTES + len).next_multiple_of(ALIGNMENT)
}

/// The beginning of the checksum of each record of a segment.
pub(crate) fn salted(salt: u64) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher
}

fn checksum(mut salted: Hasher, header: &[u8; HEADER_BYTES], body: &[u8]) -> u32 {
    salted.update(&header[..4]);
    salted.update(&header[8..]);
    salted.update(body);
    salted.finalize()
}

/// Appends a record of a segment with this [`salted`] beginning, and returns its checksum.
pub(crate) fn append(
    to: &mut Vec<u8>,
    salted: &Hasher,
    at: Timestamp,
    durable: Timestamp,
    previous_crc: u32,
    body: &[u8],
) -> u32 {
    let start = to.len();
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    header[8..16].copy_from_slice(&at.0.to_le_bytes());
    header[16..24].copy_from_slice(&durable.0.to_le_bytes());
    header[24..28].copy_from_slice(&previous_crc.to_le_bytes());
    // Of the body as it is at hand, not as it is in the buffer, which may be far away; and of a short record in one piece: what is short costs most by the byte.
    let mut small = [0; SMALL];
    let Some(record) = small.get_mut(..record_bytes(body.len())) else {
        let crc = checksum(salted.clone(), &header, body);
        header[4..8].copy_from_slice(&crc.to_le_bytes());
        to.extend_from_slice(&header);
        to.extend_from_slice(body);
        to.resize(start + record_bytes(body.len()), 0);
        return crc;
    };
    record[..HEADER_BYTES].copy_from_slice(&header);
    record[HEADER_BYTES..HEADER_BYTES + body.len()].copy_from_slice(body);
    let mut hasher = salted.clone();
    hasher.update(&record[..4]);
    hasher.update(&record[8..HEADER_BYTES + body.len()]);
    let crc = hasher.finalize();
    record[4..8].copy_from_slice(&crc.to_le_bytes());
    to.extend_from_slice(record);
    crc
}

/// The record at the start of `bytes`, if it is whole.
pub(crate) fn parse(bytes: &[u8], salt: u64) -> Option<Record<'_>> {
    let (record, is_whole) = read(bytes, salt)?;
    is_whole.then_some(record)
}

/// The same, whatever its checksum says; and whether it is right.
pub(crate) fn read(bytes: &[u8], salt: u64) -> Option<(Record<'_>, bool)> {
    let (record, is_plausible) = peek(bytes)?;
    // The rest first: it spares the checksum of what is no record at all.
    let header = bytes.first_chunk()?;
    is_plausible.then(|| (record, checksum(salted(salt), header, record.body) == record.crc))
}

/// What would be the record at the start of `bytes`, and whether its fields are possible, without its checksum.
pub(crate) fn peek(bytes: &[u8]) -> Option<(Record<'_>, bool)> {
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
    let u32_at = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    let end = HEADER_BYTES.checked_add(u32_at(0) as usize)?;
    let body = bytes.get(HEADER_BYTES..end)?;
    let record = Record {
        at: Timestamp(u64_at(8)),
        durable: Timestamp(u64_at(16)),
        crc: u32_at(4),
        previous_crc: u32_at(24),
        body,
    };
    let is_plausible = record.at > Timestamp::ZERO && record.durable < record.at && u32_at(28) == 0;
    Some((record, is_plausible))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_all_lengths_survive() {
        let mut bytes = Vec::new();
        let body: Vec<u8> = (0..2 * SMALL).map(|at| at as u8).collect();
        for len in 0..body.len() {
            bytes.clear();
            let crc = append(&mut bytes, &salted(7), Timestamp(5), Timestamp(3), 9, &body[..len]);
            let expected = Record { at: Timestamp(5), durable: Timestamp(3), crc, previous_crc: 9, body: &body[..len] };
            assert_eq!((parse(&bytes, 7), bytes.len()), (Some(expected), record_bytes(len)));
            assert!(bytes[HEADER_BYTES + len..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_record_survives_and_nothing_else_is_one() {
        let mut bytes = Vec::new();
        let crc = append(&mut bytes, &salted(77), Timestamp(5), Timestamp(3), 99, b"body");
        assert_eq!(bytes.len(), record_bytes(4));
        let record = parse(&bytes, 77).unwrap();
        assert_eq!(record, Record { at: Timestamp(5), durable: Timestamp(3), crc, previous_crc: 99, body: b"body" });
        assert_eq!(parse(&bytes, 78), None, "another life of the file");
        for at in 0..HEADER_BYTES + 4 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert_eq!(parse(&damaged, 77), None, "byte {at}");
        }
        for len in 0..HEADER_BYTES + 4 {
            assert_eq!(parse(&bytes[..len], 77), None, "cut at {len}");
        }
    }
}
