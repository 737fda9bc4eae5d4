//! Sorted sets of keys in two allocations: what commits wrote is kept in this form.
//!
//! Promises: looking for a key, or for any key of a stretch, costs a binary search.

use super::span::{Span, is_after_start};

/// A set of keys, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeySet {
    bytes: Vec<u8>,
    /// Where each key ends.
    ends: Vec<u32>,
}

impl KeySet {
    /// The set of these keys, which are in order already.
    pub fn from_sorted<'k>(keys: impl IntoIterator<Item = &'k [u8]>) -> KeySet {
        let mut set = KeySet::default();
        for key in keys {
            debug_assert!(set.last().is_none_or(|last| last < key), "the keys are in order");
            set.bytes.extend_from_slice(key);
            set.ends.push(u32::try_from(set.bytes.len()).expect("a footprint's keys are bounded far below 4 GiB"));
        }
        set
    }

    /// The set of these keys.
    pub fn from_unsorted(mut keys: Vec<&[u8]>) -> KeySet {
        keys.sort_unstable();
        keys.dedup();
        KeySet::from_sorted(keys)
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn key(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.bytes[start..self.ends[index] as usize]
    }

    fn last(&self) -> Option<&[u8]> {
        self.len().checked_sub(1).map(|last| self.key(last))
    }

    /// The number of keys for which `is_before` holds; it holds for the first ones only.
    fn count_before(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(self.key(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        let at = self.count_before(|other| other < key);
        at < self.len() && self.key(at) == key
    }

    /// The first key within a stretch.
    pub fn first_in(&self, span: &Span) -> Option<&[u8]> {
        let at = self.count_before(|key| !is_after_start(key, span.start()));
        (at < self.len()).then(|| self.key(at)).filter(|key| span.contains(key))
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.key(index))
    }

    /// The memory that it takes, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;
    use std::collections::BTreeSet;

    quickcheck! {
        fn as_a_set(keys: Vec<Vec<u8>>, other: Vec<u8>, span: Span) -> bool {
            let small = |key: &Vec<u8>| key.iter().map(|byte| byte % 5).take(4).collect::<Vec<u8>>();
            let keys: Vec<Vec<u8>> = keys.iter().map(small).collect();
            let model: BTreeSet<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            let set = KeySet::from_unsorted(keys.iter().map(Vec::as_slice).collect());
            let other = small(&other);
            set.iter().eq(model.iter().copied())
                && set.len() == model.len()
                && set.contains(&other) == model.contains(other.as_slice())
                && model.iter().all(|key| set.contains(key))
                && set.first_in(&span) == model.iter().copied().find(|key| span.contains(key))
        }
    }
}
