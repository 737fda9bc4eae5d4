//! An array that grows without moving, read without a lock.
//!
//! Promises: an element, once there, keeps its address for ever; `get` is two loads and two comparisons; growth doubles, so that
//! `u32::MAX` elements need only a handful of buckets; what is much lies on large pages where the system has them.

use crate::slab::Slab;
use crate::sync::{FIRST_BUCKET_BITS as FIRST_BITS, Mutex, OnceLock};
use std::array;
use std::ptr::{self, NonNull};

const FIRST: usize = 1 << FIRST_BITS;
const BUCKETS: usize = (u32::BITS - FIRST_BITS) as usize + 1;
/// A bucket of so many bytes, or more, is cut from a slab.
const CUT_BYTES: usize = 128 << 10;

/// A growing array of default-initialised elements; bucket *k* holds 1024 << *k* of them (fewer in models).
pub(crate) struct Buckets<T> {
    buckets: [OnceLock<Bucket<T>>; BUCKETS],
    /// What large buckets lie in: after them.
    slabs: Mutex<Slabs>,
}

/// Some elements, at least one.
struct Bucket<T> {
    /// They are the bucket's own.
    first: NonNull<T>,
    /// The number of the last.
    last: u32,
    /// Whether they lie in a slab, not on the heap.
    is_cut: bool,
}

// SAFETY: a bucket owns its elements.
unsafe impl<T: Send> Send for Bucket<T> {}
// SAFETY: and gives out shared references alone.
unsafe impl<T: Sync> Sync for Bucket<T> {}

impl<T> Bucket<T> {
    #[inline(always)]
    fn get(&self, index: usize) -> Option<&T> {
        // SAFETY: the elements are there for as long as the bucket is, and nobody has more than shared references to them.
        (index <= self.last as usize).then(|| unsafe { self.first.add(index).as_ref() })
    }
}

impl<T> Drop for Bucket<T> {
    fn drop(&mut self) {
        let elements = NonNull::slice_from_raw_parts(self.first, self.last as usize + 1).as_ptr();
        // SAFETY: the elements are ours, and this is the last that is done with them. Those on the heap came from a box.
        unsafe { if self.is_cut { ptr::drop_in_place(elements) } else { drop(Box::from_raw(elements)) } }
    }
}

/// The slabs of an array, and how much of the last is used.
#[derive(Default)]
struct Slabs {
    all: Vec<Slab>,
    used: usize,
}

impl Slabs {
    /// So many bytes that nobody has, aligned for anything; `None` if the system has no room for them.
    fn cut(&mut self, bytes: usize) -> Option<NonNull<u8>> {
        let bytes = bytes.checked_next_multiple_of(CUT_BYTES)?;
        if self.all.last().and_then(|slab| slab.part(self.used, bytes)).is_none() {
            self.all.push(Slab::of(bytes)?);
            self.used = 0;
        }
        let part = self.all.last()?.part(self.used, bytes)?;
        self.used += bytes;
        Some(part)
    }
}

impl<T: Default> Buckets<T> {
    pub fn new() -> Self {
        Buckets { buckets: array::from_fn(|_| OnceLock::new()), slabs: Mutex::default() }
    }

    #[inline(always)]
    fn position(index: usize) -> (usize, usize) {
        let shifted = index + FIRST;
        let bits = usize::BITS - 1 - shifted.leading_zeros();
        ((bits - FIRST_BITS) as usize, shifted - (1 << bits))
    }

    /// The element, if its bucket is there.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<&T> {
        let (bucket, within) = Self::position(index);
        self.buckets.get(bucket)?.get()?.get(within)
    }

    /// The element; makes its bucket, and those before it, when they are missing. Any number of threads may do so at once.
    #[inline]
    pub fn grow_to(&self, index: usize) -> &T {
        match self.get(index) {
            Some(element) => element,
            None => self.grow(index),
        }
    }

    #[cold]
    fn grow(&self, index: usize) -> &T {
        let (bucket, within) = Self::position(index);
        for (earlier, cell) in self.buckets.iter().enumerate().take(bucket + 1) {
            cell.get_or_init(|| self.make(FIRST << earlier));
        }
        let elements = self.buckets[bucket].get().expect("initialised above");
        elements.get(within).expect("its bucket has as many")
    }

    fn make(&self, len: usize) -> Bucket<T> {
        let (bytes, last) = (len * size_of::<T>(), (len - 1) as u32);
        let cut = if bytes < CUT_BYTES { None } else { self.slabs.lock().cut(bytes) };
        let Some(cut) = cut else {
            let elements = Box::leak((0..len).map(|_| T::default()).collect::<Box<[T]>>());
            return Bucket { first: NonNull::from(elements).cast(), last, is_cut: false };
        };
        let first = cut.cast::<T>();
        // SAFETY: there is room for so many, aligned, which nobody else has.
        (0..len).for_each(|index| unsafe { first.add(index).write(T::default()) });
        Bucket { first, last, is_cut: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{AtomicUsize, Ordering};

    #[test]
    fn every_index_has_its_own_element_and_keeps_it() {
        let array: Buckets<AtomicUsize> = Buckets::new();
        assert!(array.get(0).is_none());
        // Under Miri each access is looked at: fewer must do, here and in other tests.
        let count = if cfg!(miri) { 5_000 } else { 200_000 };
        for index in (0..count).rev() {
            array.grow_to(index).store(index + 1, Ordering::Relaxed);
        }
        for index in 0..count {
            assert_eq!(array.get(index).unwrap().load(Ordering::Relaxed), index + 1);
        }
        assert!(array.get(u32::MAX as usize).is_none());
    }
}
