//! The first sector of a journal file: whose it is, and which life of the file this is.
//!
//! ```text
//!   0 magic "PENTJRNL"   8 format version u32   12 zero   16 id of the store, 16 bytes   32 sequence u64
//!  40 salt u64   48 timestamp of the first record u64   56 zero   508 CRC-32 of bytes 0..508   512 records
//! ```

use pentimento_storage::Timestamp;

const MAGIC: &[u8; 8] = b"PENTJRNL";
const VERSION: u32 = 1;
const CRC_AT: usize = SEGMENT_HEADER_BYTES - 4;

/// The bytes of a segment before its first record: one sector, so that it is written whole or not at all.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 512;

/// What the header of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub store_id: [u8; 16],
    /// Grows with each segment that is begun.
    pub sequence: u64,
    /// Drawn anew for each life of the file.
    pub salt: u64,
    /// The timestamp of the first record.
    pub first: Timestamp,
}

impl SegmentHeader {
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.store_id);
        bytes[32..40].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.salt.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.first.0.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` for anything that is not a whole header of this version.
    pub fn decode(bytes: &[u8]) -> Option<SegmentHeader> {
        let bytes: &[u8; SEGMENT_HEADER_BYTES] = bytes.first_chunk()?;
        let u64_at = |at: usize| bytes[at..].first_chunk().map(|chunk| u64::from_le_bytes(*chunk));
        let crc = bytes[CRC_AT..].first_chunk().map(|chunk| u32::from_le_bytes(*chunk))?;
        if &bytes[..8] != MAGIC || bytes[8..12] != VERSION.to_le_bytes() || crc != crc32fast::hash(&bytes[..CRC_AT]) {
            return None;
        }
        Some(SegmentHeader {
            store_id: *bytes[16..].first_chunk()?,
            sequence: u64_at(32)?,
            salt: u64_at(40)?,
            first: Timestamp(u64_at(48)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_and_damage_is_seen() {
        let header = SegmentHeader { store_id: [9; 16], sequence: 3, salt: 4, first: Timestamp(5) };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Some(header));
        for at in 0..SEGMENT_HEADER_BYTES {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert_eq!(SegmentHeader::decode(&damaged), None, "byte {at}");
        }
    }
}
