//! Finding a key in a node.
//!
//! Promises: one binary search without unpredictable branches over the heads, then whole suffixes only among equal
//! heads; no allocation. In a damaged node the answer is some index up to the count, or a fault.

use std::cmp::Ordering;
use std::hint::select_unpredictable;
use std::ops::Bound;

use crate::layout::head_of;
use crate::node::Node;
use crate::pages::Fault;
use pentimento_storage::PageId;

/// How many heads are less than `head`.
#[inline]
fn lower_bound(heads: &[[u8; 4]], head: u32) -> usize {
    let less = |at: usize| heads.get(at).is_some_and(|bytes| u32::from_le_bytes(*bytes) < head);
    let mut base = 0;
    let mut size = heads.len();
    while size > 1 {
        let half = size / 2;
        base = select_unpredictable(less(base + half), base + half, base);
        size -= half;
    }
    base + usize::from(less(base))
}

impl Node<'_> {
    /// The index of the first key that is not less than `key`, and whether it is equal.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Result<(usize, bool), Fault> {
        let Some(suffix) = key.strip_prefix(self.prefix) else {
            return Ok((if key < self.prefix { 0 } else { self.count() }, false));
        };
        let head = head_of(suffix);
        let first = lower_bound(self.heads, head);
        if self.head(first) != Some(head) {
            return Ok((first, false));
        }
        self.find_among_equals(suffix, head, first)
    }

    #[inline]
    fn find_among_equals(&self, suffix: &[u8], head: u32, first: usize) -> Result<(usize, bool), Fault> {
        match self.suffix(first)?.cmp(suffix) {
            Ordering::Equal => return Ok((first, true)),
            Ordering::Greater => return Ok((first, false)),
            Ordering::Less => {}
        }
        let mut low = first + 1;
        if self.head(low) != Some(head) {
            return Ok((low, false));
        }
        let mut high = first + self.heads[first..].partition_point(|bytes| u32::from_le_bytes(*bytes) <= head);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.suffix(middle)?.cmp(suffix) {
                Ordering::Equal => return Ok((middle, true)),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Ok((low, false))
    }

    /// The number of the child under which `key` belongs.
    #[inline]
    pub fn route(&self, key: &[u8]) -> Result<usize, Fault> {
        let (index, found) = self.find(key)?;
        Ok(index + usize::from(found))
    }

    /// The child under which `key` belongs.
    #[inline]
    pub fn child_for(&self, key: &[u8]) -> Result<PageId, Fault> {
        self.child(self.route(key)?)
    }

    /// The index of the first entry that a range with this start has.
    pub fn start_of<K: AsRef<[u8]>>(&self, start: &Bound<K>) -> Result<usize, Fault> {
        match start {
            Bound::Unbounded => Ok(0),
            Bound::Included(key) => Ok(self.find(key.as_ref())?.0),
            Bound::Excluded(key) => self.route(key.as_ref()),
        }
    }

    /// The index just behind the last entry that a range with this end has.
    pub fn end_of<K: AsRef<[u8]>>(&self, end: &Bound<K>) -> Result<usize, Fault> {
        match end {
            Bound::Unbounded => Ok(self.count()),
            Bound::Included(key) => self.route(key.as_ref()),
            Bound::Excluded(key) => Ok(self.find(key.as_ref())?.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_bound_counts_lesser_heads() {
        for n in 0..40u32 {
            let heads: Vec<[u8; 4]> = (0..n).map(|i| (i / 2 * 2).to_le_bytes()).collect();
            for head in 0..n + 2 {
                let expected = heads.iter().filter(|bytes| u32::from_le_bytes(**bytes) < head).count();
                assert_eq!(lower_bound(&heads, head), expected);
            }
        }
    }
}
