//! Where a version is: one word that a reader can follow without asking whether it points into a frame or into the file.
//!
//! ```text
//!  63          48 47                                     6    2 1 0
//! +--------------+---------------------------------------+-----+-+-+-+
//! | run length   | address (64-byte aligned)             |     |F|I|U|
//! +--------------+---------------------------------------+-----+-+-+-+
//! ```
//!
//! - `F`: the address lies in a frame, else in the medium.
//! - `I`: no address at all: the word's upper 56 bits are the value of a register.
//! - `U`: not yet verified against its checksum since the store was opened; a reader does that first.
//! - all zero: nowhere.

use crate::layout::{HEADER_BYTES, LARGEST_SMALL_FRAME, LENGTH_AT, SLOT_BYTES, decode_slots, encode_slots, slots_for};
use crate::prefetch::{CACHE_LINE, line};
use std::ptr::NonNull;

const UNVERIFIED: u64 = 1;
const IMMEDIATE: u64 = 2;
const FRAME: u64 = 4;
const ADDRESS: u64 = ((1 << 48) - 1) & !63;
const IMMEDIATE_SHIFT: u32 = 8;

/// How many lines are asked for at once: about what the header and the arrays of a leaf take.
const PREFETCHED_LINES: usize = 6;

/// The greatest value of a register.
pub const MAX_REGISTER: u64 = u64::MAX >> IMMEDIATE_SHIFT;

/// A place, as the page table keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place(pub u64);

const _: () = assert!(size_of::<usize>() == 8, "places hold 48-bit addresses");

impl Place {
    pub const NOWHERE: Place = Place(0);

    /// A version of `len` bytes in a frame.
    pub fn in_frame(address: NonNull<u8>, len: usize) -> Place {
        Place::at(address, slots_for(len)).tagged(FRAME)
    }

    /// A version in `slots` slots of the medium.
    pub fn in_medium(address: NonNull<u8>, slots: u64) -> Place {
        Place::at(address, slots)
    }

    fn at(address: NonNull<u8>, slots: u64) -> Place {
        let address = address.as_ptr().expose_provenance() as u64;
        debug_assert_eq!(address & !ADDRESS, 0, "addresses are aligned and below 2^48");
        Place(address | u64::from(encode_slots(slots)) << 48)
    }

    fn tagged(self, tag: u64) -> Place {
        Place(self.0 | tag)
    }

    /// The value of a register.
    pub fn immediate(value: u64) -> Place {
        debug_assert!(value <= MAX_REGISTER);
        Place(value << IMMEDIATE_SHIFT | IMMEDIATE)
    }

    pub fn as_immediate(self) -> Option<u64> {
        (self.0 & IMMEDIATE != 0).then_some(self.0 >> IMMEDIATE_SHIFT)
    }

    pub fn unverified(self) -> Place {
        self.tagged(UNVERIFIED)
    }

    pub fn verified(self) -> Place {
        Place(self.0 & !UNVERIFIED)
    }

    pub fn is_nowhere(self) -> bool {
        self.0 == 0
    }

    pub fn is_unverified(self) -> bool {
        self.0 & (UNVERIFIED | IMMEDIATE) == UNVERIFIED
    }

    /// Whether the bytes can be followed at once: somewhere, verified, and no register.
    #[inline(always)]
    pub fn is_direct(self) -> bool {
        self.0 & (UNVERIFIED | IMMEDIATE) == 0 && self.0 != 0
    }

    pub fn is_frame(self) -> bool {
        self.0 & (FRAME | IMMEDIATE) == FRAME
    }

    /// Whether the version lies in the medium.
    pub fn is_medium(self) -> bool {
        self.0 & (FRAME | IMMEDIATE) == 0 && self.0 != 0
    }

    /// The address, of a place that has one.
    #[inline(always)]
    pub fn address(self) -> *const u8 {
        std::ptr::with_exposed_provenance((self.0 & ADDRESS) as usize)
    }

    /// How many slots the version occupies, or would.
    pub fn slots(self) -> u64 {
        decode_slots((self.0 >> 48) as u16)
    }

    /// The bytes of the version, header included.
    ///
    /// # Safety
    /// The place has an address; the version there is retained for `'a` (a pin keeps it, or the caller owns it), so
    /// that nobody writes or frees it. A place in the medium was checked to lie within it.
    #[inline(always)]
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        let address = self.address();
        let capacity = self.slots() as usize * SLOT_BYTES;
        // SAFETY: a version has at least one slot, so its header is readable; addresses are aligned to 64.
        // The length is believed only as far as the run reaches: bytes from a disk may say anything.
        unsafe {
            #[expect(clippy::cast_ptr_alignment, reason = "addresses are multiples of 64, the length stands at 16")]
            let length = u32::from_le(address.add(LENGTH_AT).cast::<u32>().read()) as usize;
            std::slice::from_raw_parts(address, length.clamp(HEADER_BYTES, capacity.max(HEADER_BYTES)))
        }
    }

    /// The body of the version: its bytes after the header.
    ///
    /// # Safety
    /// As for [`bytes`](Place::bytes).
    #[inline(always)]
    pub unsafe fn body<'a>(self) -> &'a [u8] {
        // SAFETY: the caller's promise.
        let bytes = unsafe { self.bytes() };
        // SAFETY: `bytes` is never shorter than the header.
        unsafe { bytes.get_unchecked(HEADER_BYTES..) }
    }

    /// The first `len` bytes of the body, or all of it if it is shorter, and bytes behind it where these can be read. So the header of a version, which may be far from what is wanted, is
    /// not looked at. `page_size` is the store's.
    ///
    /// # Safety
    /// As for [`bytes`](Place::bytes).
    #[inline(always)]
    pub unsafe fn body_part<'a>(self, len: usize, page_size: usize) -> &'a [u8] {
        let room = self.slots() as usize * SLOT_BYTES;
        // A version that is longer than the small frames is in one of the page size.
        let is_whole = self.is_medium() || (room <= page_size && room - SLOT_BYTES >= page_size / LARGEST_SMALL_FRAME);
        if is_whole && len + HEADER_BYTES <= room {
            // SAFETY: the caller's promise; a run in the medium is mapped as a whole, a frame of the page size is that long, and nobody writes either while the version is retained.
            return unsafe { std::slice::from_raw_parts(self.address().add(HEADER_BYTES), len) };
        }
        // SAFETY: the caller's promise.
        let body = unsafe { self.body() };
        body.get(..len).unwrap_or(body)
    }

    /// Asks the processor to fetch the first lines of the version.
    #[inline(always)]
    pub fn prefetch(self) {
        for index in 0..PREFETCHED_LINES {
            line(self.address().wrapping_add(index * CACHE_LINE));
        }
    }
}
