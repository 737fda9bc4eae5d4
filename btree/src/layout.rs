//! Where each byte of a body stands.
//!
//! Promises: every offset is derived from the one before it; nothing here reads past what it is given; nothing here
//! knows what a cell means, only how large it is.
//!
//! A node, little-endian:
//!
//! ```text
//!  0      1       2            4       6     8         10      12         16
//!  +------+-------+------------+-------+-----+---------+-------+----------+
//!  | level| flags | prefix_len | count | cap | garbage | spare | leftmost |
//!  +------+-------+------------+-------+-----+---------+-------+----------+
//!  | the prefix that all keys share, zero padded to a multiple of 4       |
//!  +----------------------------------------------------------------------+
//!  | heads     cap x u32   first 4 bytes of each suffix, as an integer    |
//!  | children  cap x u32   branches only: the child right of a separator  |
//!  | offsets   cap x u16   from the start of the cells                    |
//!  +----------------------------------------------------------------------+
//!  | cells, in a leaf mostly by key, up to the end of the used bytes      |
//!  +----------------------------------------------------------------------+
//! ```
//!
//! `level` is 0 in a leaf and 1..=30 in a branch, one more than in its children. The arrays have room for `cap`
//! entries and hold `count`. `garbage` counts the bytes of the cell area that no entry refers to.
//!
//! ```text
//!  leaf cell     | suffix_len u16 | value_len u16          | suffix | value              |
//!  large value   | suffix_len u16 | 0x8000                 | suffix | page u32 | len u32 |
//!  branch cell   | suffix_len u16 | suffix |
//! ```
//!
//! A large value has a page of its own: the byte 255, seven zero bytes, the value.
//!
//! The delta of a leaf, on the page beside it, is drawn as a leaf, with 254 as its level. It has the leaf's prefix, and the arrays for all of its entries. Offsets below the length of the leaf's
//! cell area lie in that; the others in the delta's, less that length. So does `garbage` count for both. In the place of `leftmost` stands where in the leaf its cell area begins, u16, and how
//! long it is, u16.

use pentimento_storage::PageId;

/// The length of the longest key, in bytes.
pub const MAX_KEY_LEN: usize = 16 * 1024;
/// The length of the longest value, in bytes.
pub const MAX_VALUE_LEN: usize = 1 << 30;

/// The highest level of a branch; deeper trees cannot arise, so more is damage.
pub(crate) const MAX_LEVEL: u8 = 30;
/// The first byte of a large value's body.
pub(crate) const KIND_LARGE: u8 = 255;
/// The first byte of a delta's body.
pub(crate) const KIND_DELTA: u8 = 254;
/// The bytes of a large value's body before the value.
pub(crate) const LARGE_HEADER: usize = 8;

const LEVEL_AT: usize = 0;
const FLAGS_AT: usize = LEVEL_AT + 1;
const PREFIX_LEN_AT: usize = FLAGS_AT + 1;
const COUNT_AT: usize = PREFIX_LEN_AT + 2;
const CAP_AT: usize = COUNT_AT + 2;
const GARBAGE_AT: usize = CAP_AT + 2;
const SPARE_AT: usize = GARBAGE_AT + 2;
const LEFTMOST_AT: usize = SPARE_AT + 2;
/// The bytes of a node before its prefix.
pub(crate) const HEADER: usize = LEFTMOST_AT + 4;

pub(crate) const HEAD: usize = 4;
pub(crate) const CHILD: usize = 4;
pub(crate) const OFFSET: usize = 2;

/// The bytes of a leaf's cell before the suffix.
pub(crate) const LEAF_CELL: usize = 4;
/// The bytes of a branch's cell before the suffix.
pub(crate) const BRANCH_CELL: usize = 2;
/// The bytes with which a leaf refers to a large value.
pub(crate) const LARGE_REF: usize = 8;
/// Set in a cell's value length when the value is large.
pub(crate) const LARGE_FLAG: u16 = 0x8000;

/// No node may have more bytes than its offsets can tell.
pub(crate) const NODE_LIMIT: usize = u16::MAX as usize;
/// How many entries the arrays grow by.
pub(crate) const GROWTH: usize = 16;

const _: () = assert!(HEADER.is_multiple_of(HEAD), "heads stay aligned within the body");
const _: () = assert!(MAX_KEY_LEN < LARGE_FLAG as usize, "a suffix length fits its field");
const _: () = assert!(
    3 * (MAX_KEY_LEN + BRANCH_CELL + stride(1)) + HEADER <= NODE_LIMIT,
    "a branch that cannot be split is still addressable"
);

/// The bytes of one entry in the arrays of a node at `level`.
pub(crate) const fn stride(level: u8) -> usize {
    if level == 0 { HEAD + OFFSET } else { HEAD + CHILD + OFFSET }
}

/// The bytes of a cell before its suffix in a node at `level`.
pub(crate) const fn cell_header(level: u8) -> usize {
    if level == 0 { LEAF_CELL } else { BRANCH_CELL }
}

/// What a leaf's cell begins with: how long the suffix is, and the field that tells how long the value is.
#[inline(always)]
pub(crate) const fn cell_lengths(bytes: &[u8; LEAF_CELL]) -> (usize, u16) {
    // One load.
    let both = u32::from_le_bytes(*bytes);
    ((both & 0xFFFF) as usize, (both >> 16) as u16)
}

/// The room that a prefix takes.
pub(crate) const fn padded(prefix_len: usize) -> usize {
    prefix_len.next_multiple_of(HEAD)
}

/// The longest value that stands in a leaf when nodes have `capacity` bytes.
pub(crate) fn inline_max(capacity: usize) -> usize {
    (capacity / 4).min(LARGE_FLAG as usize - 1)
}

/// The first four bytes of a suffix as an integer that sorts like them. (Short ones are put together in a register: what is copied byte by byte
/// and then loaded as a word waits for the copies.)
#[inline]
pub(crate) fn head_of(suffix: &[u8]) -> u32 {
    if let Some(bytes) = suffix.first_chunk::<HEAD>() {
        return u32::from_be_bytes(*bytes);
    }
    let byte = |at: usize| suffix.get(at).map_or(0, |byte| u32::from(*byte));
    byte(0) << 24 | byte(1) << 16 | byte(2) << 8
}

/// The decoded header of a node; not yet compared with the length of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub level: u8,
    pub flags: u8,
    pub prefix_len: u16,
    pub count: u16,
    pub cap: u16,
    pub garbage: u16,
    pub leftmost: PageId,
}

/// Where the parts of a node begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    pub heads: usize,
    pub children: usize,
    pub offsets: usize,
    pub cells: usize,
}

impl Header {
    #[inline]
    pub fn read(bytes: &[u8; HEADER]) -> Header {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Header {
            level: bytes[LEVEL_AT],
            flags: bytes[FLAGS_AT],
            prefix_len: u16_at(PREFIX_LEN_AT),
            count: u16_at(COUNT_AT),
            cap: u16_at(CAP_AT),
            garbage: u16_at(GARBAGE_AT),
            leftmost: PageId(u32::from_le_bytes([
                bytes[LEFTMOST_AT],
                bytes[LEFTMOST_AT + 1],
                bytes[LEFTMOST_AT + 2],
                bytes[LEFTMOST_AT + 3],
            ])),
        }
    }

    #[inline]
    pub fn write(&self, bytes: &mut [u8; HEADER]) {
        bytes[LEVEL_AT] = self.level;
        bytes[FLAGS_AT] = self.flags;
        bytes[PREFIX_LEN_AT..COUNT_AT].copy_from_slice(&self.prefix_len.to_le_bytes());
        bytes[COUNT_AT..CAP_AT].copy_from_slice(&self.count.to_le_bytes());
        bytes[CAP_AT..GARBAGE_AT].copy_from_slice(&self.cap.to_le_bytes());
        bytes[GARBAGE_AT..SPARE_AT].copy_from_slice(&self.garbage.to_le_bytes());
        bytes[SPARE_AT..LEFTMOST_AT].fill(0);
        bytes[LEFTMOST_AT..HEADER].copy_from_slice(&self.leftmost.0.to_le_bytes());
    }

    #[inline]
    pub fn places(&self) -> Places {
        let cap = usize::from(self.cap);
        let heads = HEADER + padded(usize::from(self.prefix_len));
        let children = heads + cap * HEAD;
        let offsets = children + if self.level == 0 { 0 } else { cap * CHILD };
        Places { heads, children, offsets, cells: offsets + cap * OFFSET }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_the_first_four_bytes_with_zeros_behind_them() {
        let bytes: Vec<u8> = (1..=9).rev().chain([0xFF; 4]).collect();
        for from in 0..bytes.len() {
            for to in from..=bytes.len() {
                let mut expected = [0; HEAD];
                expected.iter_mut().zip(&bytes[from..to]).for_each(|(to, from)| *to = *from);
                assert_eq!(head_of(&bytes[from..to]), u32::from_be_bytes(expected));
            }
        }
    }
}
