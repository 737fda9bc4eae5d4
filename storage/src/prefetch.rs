//! Hints to the processor.
//!
//! Promises: nothing but speed depends on them; elsewhere than on x86-64 they do nothing.

/// The bytes of a line of the processor's cache.
const LINE: usize = 64;

/// Asks the processor to fetch bytes that will be read or copied soon, without waiting for them.
#[inline]
pub fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for line in bytes.chunks(LINE) {
            // SAFETY: a prefetch touches no memory architecturally, whatever the address.
            unsafe { _mm_prefetch(line.as_ptr().cast::<i8>(), _MM_HINT_T0) };
        }
        if let Some(last) = bytes.last() {
            // SAFETY: as above.
            unsafe { _mm_prefetch(std::ptr::from_ref(last).cast::<i8>(), _MM_HINT_T0) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (bytes, LINE);
}
