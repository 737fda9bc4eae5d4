//! Asking the processor for memory that will be read soon.
//!
//! Promises: nothing is read, nothing can fail; on processors without such a request nothing happens.

/// The bytes of a line of the processor's cache, on most machines.
pub const CACHE_LINE: usize = 64;

/// Asks for the line of the byte at `at` of `bytes`, which may lie beyond their end.
#[inline(always)]
pub fn prefetch_line(bytes: &[u8], at: usize) {
    line(bytes.as_ptr().wrapping_add(at));
}

/// Asks for all lines of some bytes.
#[inline]
pub fn prefetch(bytes: &[u8]) {
    (0..bytes.len()).step_by(CACHE_LINE).for_each(|at| prefetch_line(bytes, at));
    prefetch_line(bytes, bytes.len().saturating_sub(1));
}

/// Where a page lies, to ask for parts of it ahead of their use. It says nothing of what is there, and stays harmless when the page has gone.
#[derive(Clone, Copy, Debug)]
pub struct Hint {
    address: *const u8,
    /// About how long it is, in bytes.
    len: u32,
}

/// How many lines are asked for where something is guessed to be, and how many of them before it.
const GUESSED_LINES: usize = 12;
const LINES_BEFORE: usize = 5;
/// What part of a page its headers and arrays take, about.
const BESIDES: u32 = 20;

impl Hint {
    /// What shares of a page are counted in.
    pub const WHOLE: u32 = 1 << 12;

    /// A hint that asks for nothing of use.
    pub const NONE: Hint = Hint { address: std::ptr::null(), len: 0 };

    pub(crate) fn at(address: *const u8, len: u32) -> Hint {
        Hint { address, len }
    }

    /// Asks for the line of the page's byte at `offset`.
    #[inline(always)]
    pub fn prefetch(self, offset: usize) {
        line(self.address.wrapping_add(offset));
    }

    /// Asks for the lines around the place that is `share` of the page's way from its beginning, without what stands there beside its contents, to its end, in parts of [`WHOLE`](Hint::WHOLE).
    #[inline(always)]
    pub(crate) fn prefetch_around(self, share: u32) {
        if self.len > 0 {
            let contents = u64::from(self.len - self.len / BESIDES);
            let middle =
                (self.len / BESIDES) as usize + (contents * u64::from(share) / u64::from(Hint::WHOLE)) as usize;
            let from = middle.saturating_sub(LINES_BEFORE * CACHE_LINE);
            (0..GUESSED_LINES).for_each(|number| self.prefetch(from + number * CACHE_LINE));
        }
    }
}

// SAFETY: the address is never followed.
unsafe impl Send for Hint {}
// SAFETY: the same.
unsafe impl Sync for Hint {}

/// Asks for the line at an address.
#[inline(always)]
pub(crate) fn line(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch touches no memory architecturally, whatever the address.
        unsafe { _mm_prefetch(address.cast::<i8>(), _MM_HINT_T0) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
