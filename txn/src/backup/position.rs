//! Where a receiver stopped, so that a sender can go on from there.
//!
//! ```text
//! position   0 the first 64 bytes of the stream   64 chunks that are there u64   72 CRC-32 of the last of them u32   76 totals so far, 40 bytes
//!          116 place u8: 0 start, 1 dropped, 2 entered, 3 done, 4 within   117 offset u64   125 total u64
//!          133 length of the tree's name u32   137 name, then the key   last four bytes: CRC-32 of all before
//! ```
//!
//! Promises: what a position says is enough to go on with a look-up; one that was damaged on its way, or is of another stream, is refused.

use super::format::{IDENTITY_BYTES, Identity, TOTALS_BYTES, Totals};
use super::walk::{Place, Walk};
use super::{StoreId, StreamError};
use crate::Timestamp;
use std::fmt;
use std::str::FromStr;

const FIXED_BYTES: usize = 137;

/// Where a receiver stopped: what [`Backup::resume_at`](super::Backup::resume_at) wants to know. It prints as one word, and is read back from it, so that
/// it can travel any way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumePosition {
    pub(crate) identity: Identity,
    pub(crate) chunks: u64,
    pub(crate) crc: u32,
    pub(crate) walk: Walk,
}

impl ResumePosition {
    /// The store that the stream comes from.
    #[must_use]
    pub fn source(&self) -> StoreId {
        self.identity.source
    }

    /// The moment that the stream leads to.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.identity.timestamp
    }

    /// The moment that it is based on; `None` if it is whole.
    #[must_use]
    pub fn base(&self) -> Option<Timestamp> {
        self.identity.base
    }

    /// How many chunks are there.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// The position as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Walk { place, tree, key, totals } = &self.walk;
        let mut bytes = Vec::with_capacity(FIXED_BYTES + tree.len() + key.len() + 4);
        bytes.extend_from_slice(&self.identity.encode());
        bytes.extend_from_slice(&self.chunks.to_le_bytes());
        bytes.extend_from_slice(&self.crc.to_le_bytes());
        bytes.extend_from_slice(&totals.encode());
        let (kind, offset, total) = match *place {
            Place::Start => (0, 0, 0),
            Place::Dropped => (1, 0, 0),
            Place::Entered => (2, 0, 0),
            Place::Done => (3, 0, 0),
            Place::Within { offset, total } => (4, offset, total),
        };
        bytes.push(kind);
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&total.to_le_bytes());
        bytes.extend_from_slice(&(tree.len() as u32).to_le_bytes());
        bytes.extend_from_slice(tree.as_bytes());
        bytes.extend_from_slice(key);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// A position from its bytes.
    ///
    /// # Errors
    /// [`StreamError::InvalidPosition`] if they are none, and what the head of a stream can have wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<ResumePosition, StreamError> {
        let invalid = || StreamError::InvalidPosition { why: "is not one" };
        let (fields, crc) = bytes.split_last_chunk::<4>().ok_or_else(invalid)?;
        if fields.len() < FIXED_BYTES || crc32fast::hash(fields) != u32::from_le_bytes(*crc) {
            return Err(StreamError::InvalidPosition { why: "was damaged on its way" });
        }
        let identity = Identity::decode(fields.first_chunk::<IDENTITY_BYTES>().ok_or_else(invalid)?)?;
        let u64_at = |at: usize| u64::from_le_bytes(fields[at..at + 8].try_into().expect("eight bytes"));
        let u32_at = |at: usize| u32::from_le_bytes(fields[at..at + 4].try_into().expect("four bytes"));
        let totals = Totals::decode(&fields[76..76 + TOTALS_BYTES]).ok_or_else(invalid)?;
        let place = match fields[116] {
            0 => Place::Start,
            1 => Place::Dropped,
            2 => Place::Entered,
            3 => Place::Done,
            4 => Place::Within { offset: u64_at(117), total: u64_at(125) },
            _ => return Err(invalid()),
        };
        let (tree, key) = fields[FIXED_BYTES..].split_at_checked(u32_at(133) as usize).ok_or_else(invalid)?;
        let tree = str::from_utf8(tree).map_err(|_| invalid())?.to_owned();
        let walk = Walk { place, tree, key: key.to_vec(), totals };
        Ok(ResumePosition { identity, chunks: u64_at(64), crc: u32_at(72), walk })
    }
}

impl fmt::Display for ResumePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ResumePosition {
    type Err = StreamError;

    fn from_str(text: &str) -> Result<ResumePosition, StreamError> {
        let invalid =
            || StreamError::InvalidPosition { why: "is not one: it has hexadecimal digits, two for each byte" };
        let text = text.trim();
        if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        let pairs = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16));
        let bytes: Vec<u8> = pairs.collect::<Result<_, _>>().map_err(|_| invalid())?;
        ResumePosition::from_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back_or_refused() {
        let identity = Identity {
            chunk_bytes: 4096,
            source: StoreId([3; 16]),
            timestamp: Timestamp(9),
            base: Some(Timestamp(4)),
            page_size: 8192,
        };
        let totals = Totals { trees: 1, drops: 2, puts: 3, removes: 4, bytes: 5 };
        let place = Place::Within { offset: 100, total: 200 };
        let walk = Walk { place, tree: "orders".to_owned(), key: b"key".to_vec(), totals };
        let position = ResumePosition { identity, chunks: 7, crc: 99, walk };
        assert_eq!(position.to_string().parse::<ResumePosition>().unwrap(), position);
        let bytes = position.to_bytes();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(ResumePosition::from_bytes(&flipped).is_err(), "byte {at}");
            assert!(ResumePosition::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
        for text in ["", "0", "zz", "é0", "00"] {
            assert!(text.parse::<ResumePosition>().is_err(), "{text:?}");
        }
    }
}
