//! The bytes of a version, and of the runs of slots that hold it.
//!
//! ```text
//! version:  0        4        8                 16        20        24
//!           +--------+--------+-----------------+---------+---------+------------
//!           |   id   | owner  |      birth      | length  |    0    | body ...
//!           +--------+--------+-----------------+---------+---------+------------
//! ```
//!
//! All integers are little-endian. `length` counts the used bytes, header included; the rest of the last slot is zero.
//! `owner` is the root of the tree that the page belongs to: storage only carries it, for whoever must make
//! sense of a page by itself. The checksum of a version (CRC-32 of its `length` bytes) stands in its table entry, not here, so
//! that a lost or misdirected write is noticed too.

use crate::{PageId, Timestamp};

/// The unit of the file, in bytes.
pub const SLOT_BYTES: usize = 2048;

/// The bytes of a version before its body.
pub const HEADER_BYTES: usize = 24;

/// Which parts of a page, less what stands before a frame, the small frames are; the last is the largest.
pub(crate) const SMALL_FRAMES: [usize; 2] = [8, LARGEST_SMALL_FRAME];
pub(crate) const LARGEST_SMALL_FRAME: usize = 4;

/// The least page size.
pub const MIN_PAGE_SIZE: usize = 4096;
/// The greatest page size.
pub const MAX_PAGE_SIZE: usize = 65536;
/// The page size unless another is chosen.
pub const DEFAULT_PAGE_SIZE: usize = 8192;

/// Runs up to this many slots are counted in slots, longer ones in pieces of [`LONG_UNIT`] slots: then a length fits 16 bits.
const LONG_RUN: u64 = 0x7FFF;
const LONG_UNIT: u64 = 32;
const LONG_FLAG: u16 = 0x8000;

/// The greatest length of a version, in bytes, its header included.
pub const MAX_VERSION_BYTES: usize = (LONG_RUN * LONG_UNIT) as usize * SLOT_BYTES;

/// How many slots a version of `len` bytes occupies. Runs over 64 MiB are rounded up to whole 64 KiB.
pub(crate) fn slots_for(len: usize) -> u64 {
    let slots = len.div_ceil(SLOT_BYTES) as u64;
    if slots > LONG_RUN { slots.next_multiple_of(LONG_UNIT) } else { slots }
}

/// The 16-bit code of a run length that [`slots_for`] gave.
pub(crate) fn encode_slots(slots: u64) -> u16 {
    if slots > LONG_RUN { LONG_FLAG | (slots / LONG_UNIT) as u16 } else { slots as u16 }
}

/// The inverse of [`encode_slots`], for any code.
pub(crate) fn decode_slots(code: u16) -> u64 {
    if code & LONG_FLAG != 0 { u64::from(code & !LONG_FLAG) * LONG_UNIT } else { u64::from(code) }
}

/// The first bytes of every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageHeader {
    pub id: PageId,
    pub owner: PageId,
    pub birth: Timestamp,
    pub length: u32,
}

/// Where `length` stands.
pub(crate) const LENGTH_AT: usize = 16;

impl PageHeader {
    /// Whether this begins the version of `id` of `birth` in a run of so many bytes.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, id: PageId, birth: Timestamp, capacity: u64) -> std::result::Result<(), String> {
        let length = u64::from(self.length);
        if length < HEADER_BYTES as u64 || length > capacity {
            return Err(format!("its length of {length} bytes does not fit its {capacity} bytes of slots"));
        }
        if self.id != id || self.birth != birth {
            return Err(format!("page {} of timestamp {} lies in its slots", self.id, self.birth));
        }
        Ok(())
    }

    pub fn read(bytes: &[u8]) -> Option<PageHeader> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        Some(PageHeader {
            id: PageId(get_u32(bytes, 0)),
            owner: PageId(get_u32(bytes, 4)),
            birth: Timestamp(get_u64(bytes, 8)),
            length: get_u32(bytes, LENGTH_AT),
        })
    }

    pub fn write(&self, bytes: &mut [u8]) {
        bytes[0..4].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.owner.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.birth.0.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.length.to_le_bytes());
        bytes[20..24].fill(0);
    }
}

/// Reads a `u32` at an offset that the caller knows to be within `bytes`.
pub(crate) fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Reads a `u64` at an offset that the caller knows to be within `bytes`.
pub(crate) fn get_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// A run of adjacent slots of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// The first slot.
    pub start: u64,
    /// How many slots.
    pub slots: u64,
}

impl Run {
    /// The slot after the last.
    #[must_use]
    pub fn end(self) -> u64 {
        self.start + self.slots
    }

    /// The offset of its first byte in the file.
    #[must_use]
    pub fn offset(self) -> u64 {
        self.start * SLOT_BYTES as u64
    }

    /// Its length in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.slots * SLOT_BYTES as u64
    }

    /// The run as one word of a file: the first slot in the low 48 bits, the code of the length above.
    pub(crate) fn encode(self) -> u64 {
        self.start | u64::from(encode_slots(self.slots)) << 48
    }

    /// The inverse of [`encode`](Run::encode), for any word.
    pub(crate) fn decode(word: u64) -> Run {
        Run { start: word & ((1 << 48) - 1), slots: decode_slots((word >> 48) as u16) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_lengths_survive_their_code() {
        for len in [1, 2048, 2049, 8192, 65536, 67_106_816, 67_106_817, 1 << 30, MAX_VERSION_BYTES] {
            let slots = slots_for(len);
            assert!(slots as usize * SLOT_BYTES >= len);
            let run = Run { start: 0x7FFF_FFFF, slots };
            assert_eq!(Run::decode(run.encode()), run, "{len}");
        }
    }
}
