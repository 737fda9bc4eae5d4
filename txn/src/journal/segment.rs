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

    /// What a header says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<SegmentHeader, &'static str> {
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let crc = u32::from_le_bytes(bytes[CRC_AT..].try_into().expect("four bytes"));
        if &bytes[..8] != MAGIC {
            return Err("does not begin with the magic bytes");
        }
        if crc != crc32fast::hash(&bytes[..CRC_AT]) {
            return Err("does not match its checksum");
        }
        if bytes[8..12] != VERSION.to_le_bytes() {
            return Err("has a format version that this program does not know");
        }
        let first = Timestamp(u64_at(48));
        if first.0 > u64::MAX / 2 {
            return Err("begins with a timestamp that is out of range");
        }
        let store_id = bytes[16..32].try_into().expect("sixteen bytes");
        Ok(SegmentHeader { store_id, sequence: u64_at(32), salt: u64_at(40), first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_and_damage_is_seen() {
        let header = SegmentHeader { store_id: [9; 16], sequence: 3, salt: 4, first: Timestamp(5) };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for at in 0..SEGMENT_HEADER_BYTES {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert!(SegmentHeader::decode(&damaged).is_err(), "byte {at}");
        }
    }
}
