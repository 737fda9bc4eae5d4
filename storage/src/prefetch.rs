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

/// Where a page begins, to ask for parts of it ahead of their use. It says nothing of what is there, and stays harmless when the page has gone.
#[derive(Clone, Copy, Debug)]
pub struct Hint(*const u8);

impl Hint {
    /// A hint that asks for nothing of use.
    pub const NONE: Hint = Hint(std::ptr::null());

    pub(crate) fn at(address: *const u8) -> Hint {
        Hint(address)
    }

    /// Asks for the line of the page's byte at `offset`.
    #[inline(always)]
    pub fn prefetch(self, offset: usize) {
        line(self.0.wrapping_add(offset));
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
