//! An array that grows without moving, read without a lock.
//!
//! Promises: an element, once there, keeps its address for ever; `get` is two loads and two comparisons; growth doubles, so that
//! `u32::MAX` elements need only a handful of buckets.

use crate::sync::{FIRST_BUCKET_BITS as FIRST_BITS, OnceLock};
use std::array;

const FIRST: usize = 1 << FIRST_BITS;
const BUCKETS: usize = (u32::BITS - FIRST_BITS) as usize + 1;

/// A growing array of default-initialised elements; bucket *k* holds 1024 << *k* of them (fewer in models).
pub(crate) struct Buckets<T> {
    buckets: [OnceLock<Box<[T]>>; BUCKETS],
}

impl<T: Default> Buckets<T> {
    pub fn new() -> Self {
        Buckets { buckets: array::from_fn(|_| OnceLock::new()) }
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
            cell.get_or_init(|| (0..FIRST << earlier).map(|_| T::default()).collect());
        }
        let elements = self.buckets[bucket].get().expect("initialised above");
        &elements[within]
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
