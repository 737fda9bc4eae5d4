//! Slabs: pieces of memory that frames, and parts of large arrays, are cut from.
//!
//! Who looks for an entry among hundreds of megabytes waits for the translation of its address as well as for the memory. So a slab is as large as the large pages of most systems, begins at a multiple of
//! that, and asks the system for such a page. Where a system below gives out the memory a large page may take some milliseconds, so slabs are for threads that have time. Memory that something large was done
//! in becomes slabs, too.
//!
//! Promises: the memory is initialised, zero where it was never written, and stays where it is until the slab is dropped; then it goes back to the system, whoever else has a part of what it was cut from.

use memmap2::{MmapOptions, MmapRaw};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;
use std::sync::Arc;

/// The bytes of a slab.
pub(crate) const SLAB_BYTES: usize = 2 << 20;
/// The size of a small page of the system's memory, or less.
const SYSTEM_PAGE: usize = 4096;

/// A piece of memory.
pub(crate) struct Slab {
    start: NonNull<u8>,
    len: usize,
    origin: Origin,
}

/// What a slab lies in.
enum Origin {
    /// A mapping of its own.
    Map { _map: MmapRaw },
    /// A vector, beside others.
    Vector { _vector: Arc<Vector> },
}

/// The memory of a vector that nobody uses as one any more.
struct Vector {
    start: NonNull<u8>,
    capacity: usize,
}

// SAFETY: a slab is owned memory.
unsafe impl Send for Slab {}
// SAFETY: it gives out addresses alone.
unsafe impl Sync for Slab {}
// SAFETY: a vector is owned memory.
unsafe impl Send for Vector {}
// SAFETY: nobody does anything with it but those who own parts of it.
unsafe impl Sync for Vector {}

impl Vector {
    fn of(bytes: Vec<u8>) -> Vector {
        let mut bytes = ManuallyDrop::new(bytes);
        Vector { start: NonNull::new(bytes.as_mut_ptr()).expect("a vector is somewhere"), capacity: bytes.capacity() }
    }
}

impl Drop for Vector {
    fn drop(&mut self) {
        // SAFETY: it came from a vector of this capacity, and no slab has any of it any more.
        drop(unsafe { Vec::from_raw_parts(self.start.as_ptr(), 0, self.capacity) });
    }
}

/// The part of some memory that is whole units of `unit` bytes, at multiples of that: how far on it begins, and its length.
fn whole_units(start: *const u8, len: usize, unit: usize) -> (usize, usize) {
    let from = start.align_offset(unit).min(len);
    (from, (len - from) / unit * unit)
}

/// Asks the system for large pages for room that will be filled: that takes fewer faults.
pub(crate) fn want_large_pages(room: &mut [MaybeUninit<u8>]) {
    let start = room.as_mut_ptr().cast::<u8>();
    let (from, len) = whole_units(start, room.len(), SLAB_BYTES);
    #[cfg(all(target_os = "linux", not(miri)))]
    if len > 0 {
        // SAFETY: the memory is borrowed mutably, and the advice changes nothing of what it holds. Where it fails nothing is lost.
        let _ = unsafe { rustix::mm::madvise(start.add(from).cast(), len, rustix::mm::Advice::LinuxHugepage) };
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = (from, len);
}

/// Gives memory back to the system, as far as it is whole pages. It stays allocated, and what it holds is lost.
///
/// # Safety
/// It is the caller's, and anonymous memory, as allocators have it.
unsafe fn give_back(start: NonNull<u8>, len: usize) {
    let (from, len) = whole_units(start.as_ptr(), len, SYSTEM_PAGE);
    #[cfg(all(target_os = "linux", not(miri)))]
    if len > 0 {
        // SAFETY: whole pages within memory that is the caller's, who does not need what they hold.
        let _ = unsafe { rustix::mm::madvise(start.as_ptr().add(from).cast(), len, rustix::mm::Advice::LinuxDontNeed) };
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = (from, len);
}

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
        Some(Slab { start: NonNull::new(start)?, len, origin: Origin::Map { _map: map } })
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

    /// At most `most` slabs of [`SLAB_BYTES`] in a vector that nobody needs any more. The rest of it goes back to the system.
    pub fn of_vector(mut bytes: Vec<u8>, most: usize) -> Vec<Slab> {
        // What follows is not initialised. Its addresses had better be free, too.
        bytes.shrink_to_fit();
        let filled = bytes.len();
        let vector = Arc::new(Vector::of(bytes));
        let (from, len) = whole_units(vector.start.as_ptr(), filled, SLAB_BYTES);
        let count = (len / SLAB_BYTES).min(most);
        // SAFETY: they lie within the vector, which is ours.
        let slabs = (0..count).map(|number| unsafe { vector.start.add(from + number * SLAB_BYTES) });
        let slab = |start| Slab { start, len: SLAB_BYTES, origin: Origin::Vector { _vector: vector.clone() } };
        let slabs: Vec<Slab> = slabs.map(slab).collect();
        if !slabs.is_empty() {
            let end = from + count * SLAB_BYTES;
            // SAFETY: what lies before and behind the slabs nobody has.
            unsafe {
                give_back(vector.start, from);
                give_back(vector.start.add(end), vector.capacity - end);
            }
        }
        slabs
    }

    /// Where it begins: a multiple of [`SLAB_BYTES`].
    pub fn start(&self) -> usize {
        self.start.addr().get()
    }

    /// Where the slab of [`SLAB_BYTES`] begins that an address lies in.
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

impl Drop for Slab {
    fn drop(&mut self) {
        // The vector may stay for the sake of others.
        if let Origin::Vector { .. } = self.origin {
            // SAFETY: the memory is ours, and this is the end of it.
            unsafe { give_back(self.start, self.len) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that slabs promise of their parts.
    fn check_parts(slab: &Slab, byte: u8) {
        assert_eq!(slab.start() % SLAB_BYTES, 0);
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
                assert_eq!(unsafe { (part.read(), last.read()) }, (byte, byte));
            }
        }
    }

    #[test]
    fn parts_lie_in_their_slab_and_do_not_overlap() {
        check_parts(&Slab::make().unwrap(), 0);
    }

    #[test]
    fn a_vector_becomes_slabs_as_far_as_it_was_filled() {
        let mut bytes = Vec::with_capacity(8 * SLAB_BYTES);
        want_large_pages(bytes.spare_capacity_mut());
        bytes.resize(5 * SLAB_BYTES, 7);
        let mut slabs = Slab::of_vector(bytes, 100);
        assert!((4..=5).contains(&slabs.len()), "all but what is not aligned");
        let starts: Vec<usize> = slabs.iter().map(Slab::start).collect();
        assert!(starts.is_sorted_by(|a, b| a + SLAB_BYTES == *b), "one behind the other");
        slabs.swap_remove(1);
        slabs.iter().for_each(|slab| check_parts(slab, 7));
        assert_eq!(Slab::of_vector(vec![1; 4 * SLAB_BYTES], 2).len(), 2, "no more than were asked for");
        for few in [vec![1; 100], Vec::new(), Vec::with_capacity(4 * SLAB_BYTES)] {
            assert!(Slab::of_vector(few, 2).is_empty());
        }
    }
}
