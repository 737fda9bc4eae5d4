//! Slabs: pieces of memory that frames, and parts of large arrays, are cut from.
//!
//! Who looks for an entry among hundreds of megabytes waits for the translation of its address as well as for the memory. So a slab is as large as the large pages of most systems, begins at a multiple of
//! that, and asks the system for such a page. Where a system below gives out the memory a large page may take some milliseconds, so slabs are for threads that have time.
//!
//! Promises: the memory is zero at first, and stays where it is until the slab is dropped.

use memmap2::{MmapOptions, MmapRaw};
use std::ptr::NonNull;

/// The bytes of a slab.
pub(crate) const SLAB_BYTES: usize = 2 << 20;
/// The size of a small page of the system's memory, or less.
const SYSTEM_PAGE: usize = 4096;

/// A piece of memory.
pub(crate) struct Slab {
    _map: MmapRaw,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a slab is owned memory.
unsafe impl Send for Slab {}

// SAFETY: it gives out addresses alone.
unsafe impl Sync for Slab {}

impl Slab {
    /// A slab of at least `bytes`, a multiple of [`SLAB_BYTES`]; `None` if the system has no room for it.
    pub fn of(bytes: usize) -> Option<Slab> {
        let len = bytes.checked_next_multiple_of(SLAB_BYTES)?;
        // More, for it to have a part that begins where it should. What is not touched takes no memory.
        let map = MmapRaw::from(MmapOptions::new().len(len.checked_add(SLAB_BYTES)?).map_anon().ok()?);
        // For all of it, so that the system need not tell apart what is not used. Where there are no large pages small ones do.
        #[cfg(all(target_os = "linux", not(miri)))]
        let _ = map.advise(memmap2::Advice::HugePage);
        let start = map.as_mut_ptr().wrapping_add(map.as_mut_ptr().align_offset(SLAB_BYTES));
        Some(Slab { start: NonNull::new(start)?, len, _map: map })
    }

    /// A slab of [`SLAB_BYTES`], all of which was touched; `None` if the system has no memory for it.
    pub fn make() -> Option<Slab> {
        let slab = Slab::of(SLAB_BYTES)?;
        for at in (0..SLAB_BYTES).step_by(SYSTEM_PAGE) {
            // SAFETY: the byte lies within the slab, which is ours alone.
            unsafe { slab.start.add(at).write(0) };
        }
        Some(slab)
    }

    /// Where it begins: a multiple of its length.
    pub fn start(&self) -> usize {
        self.start.addr().get()
    }

    /// Where the slab begins that an address lies in.
    pub fn start_of(address: NonNull<u8>) -> usize {
        address.addr().get() & !(SLAB_BYTES - 1)
    }

    /// The beginnings of its parts of `len` bytes.
    pub fn parts(&self, len: usize) -> impl Iterator<Item = NonNull<u8>> {
        // SAFETY: each part lies within the slab.
        (0..self.len / len).map(move |number| unsafe { self.start.add(number * len) })
    }

    /// Its part of `len` bytes at `at`, if it reaches as far.
    pub fn part(&self, at: usize, len: usize) -> Option<NonNull<u8>> {
        let fits = at.checked_add(len).is_some_and(|end| end <= self.len);
        // SAFETY: it lies within the slab.
        fits.then(|| unsafe { self.start.add(at) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_in_their_slab_and_do_not_overlap() {
        let slab = Slab::make().unwrap();
        for len in [1024, 8256, SLAB_BYTES] {
            let parts: Vec<_> = slab.parts(len).collect();
            assert_eq!((slab.part(len, len), slab.part(SLAB_BYTES, len)), (parts.get(1).copied(), None));
            assert_eq!(parts.len(), SLAB_BYTES / len);
            for (number, part) in parts.into_iter().enumerate() {
                assert_eq!(part.addr().get(), slab.start() + number * len);
                // SAFETY: within the slab, which nobody else has.
                let last = unsafe { part.add(len - 1) };
                assert_eq!([part, last].map(Slab::start_of), [slab.start(); 2]);
                // SAFETY: the same.
                assert_eq!(unsafe { (part.read(), last.read()) }, (0, 0));
            }
        }
    }
}
