//! Finding a key in a node.
//!
//! Promises: one binary search without unpredictable branches over the heads, then whole suffixes only among equal
//! heads; no allocation. In a damaged node the answer is some index up to the count, or a fault.

use std::cmp::Ordering;
use std::hint::select_unpredictable;
use std::ops::Bound;

use crate::layout::head_of;
use crate::node::{AT_FIRST, Node};
use crate::pages::Fault;

/// Longer keys are compared by a call.
const INLINE_MAX: usize = 64;

/// So many heads are compared at once: no comparison waits for another one.
const WINDOW: usize = 16;

/// How many heads of a window are less than `head`.
#[inline(always)]
fn count_less(window: &[[u8; 4]; WINDOW], head: u32) -> usize {
    window.iter().map(|bytes| u32::from(u32::from_le_bytes(*bytes) < head)).sum::<u32>() as usize
}

/// How many heads are less than `head`: halved, selecting instead of branching, down to a window.
#[inline(always)]
pub(crate) fn lower_bound(heads: &[[u8; 4]], head: u32) -> usize {
    let is_less = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes) < head;
    let (mut low, mut len) = (0, heads.len());
    while len > WINDOW {
        let middle = low + len / 2;
        low = select_unpredictable(heads.get(middle).is_some_and(is_less), middle, low);
        len -= len / 2;
    }
    // What is before it is less.
    let start = low.min(heads.len().saturating_sub(WINDOW));
    match heads[start..].first_chunk() {
        Some(window) => start + count_less(window, head),
        None => heads.partition_point(is_less),
    }
}

/// The same, for somebody who knows about how many these are.
#[inline(always)]
pub(crate) fn lower_bound_near(heads: &[[u8; 4]], head: u32, guess: usize) -> usize {
    let last = heads.len().saturating_sub(WINDOW);
    let start = guess.saturating_sub(WINDOW / 2).min(last);
    if let Some(window) = heads[start..].first_chunk() {
        let less = count_less(window, head);
        if (less > 0 || start == 0) && (less < WINDOW || start == last) {
            return start + less;
        }
    }
    lower_bound(heads, head)
}

/// Whether two slices are equal. Unlike `==` it calls nothing and takes the same turns whatever the length is from 8 to 15, from 16 to 23 and so on:
/// keys differ in the length of their suffixes from node to node, and a wrong guess costs more than the comparison.
#[inline(always)]
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    let ((words_a, _), (words_b, _)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    match (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        (Some(end_a), Some(end_b)) if a.len() == b.len() && a.len() <= INLINE_MAX => {
            let differing = |(x, y): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*x) ^ u64::from_ne_bytes(*y);
            words_a.iter().zip(words_b).fold(differing((end_a, end_b)), |all, pair| all | differing(pair)) == 0
        }
        _ => a == b,
    }
}

impl Node<'_> {
    /// What follows the node's prefix in `key`, if it begins with it.
    #[inline(always)]
    fn strip_prefix<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        let len = self.prefix.len();
        match key.first_chunk::<8>() {
            // Most prefixes are short, of a length that differs from node to node: no branch should depend on it.
            Some(start) if len < 8 => {
                let differing = u64::from_le_bytes(*start) ^ self.prefix_word;
                (differing & ((1 << (8 * len)) - 1) == 0).then(|| &key[len..])
            }
            _ => key.strip_prefix(self.prefix),
        }
    }

    /// The index of the first key that is not less than `key`, and whether it is equal.
    #[inline(always)]
    pub fn find(&self, key: &[u8]) -> Result<(usize, bool), Fault> {
        self.find_and(key, |_| {})
    }

    /// The same, telling `meet` where it will most likely end before it looks at a cell.
    #[inline(always)]
    fn find_and(&self, key: &[u8], meet: impl Fn(usize)) -> Result<(usize, bool), Fault> {
        let Some(suffix) = self.strip_prefix(key) else {
            return Ok((if key < self.prefix { 0 } else { self.count() }, false));
        };
        let head = head_of(suffix);
        let first = lower_bound(self.heads, head);
        meet(first);
        if self.head(first) != Some(head) {
            return Ok((first, false));
        }
        if equal(self.suffix(first)?, suffix) {
            return Ok((first, true));
        }
        self.find_among_equals(suffix, head, first)
    }

    /// Finishes a search whose head occurs in the node. Takes the node by value, so that it need not be in memory on the way that is usually taken.
    #[inline(never)]
    fn find_among_equals(self, suffix: &[u8], head: u32, first: usize) -> Result<(usize, bool), Fault> {
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
    #[inline(always)]
    pub fn route(&self, key: &[u8]) -> Result<usize, Fault> {
        let (index, found) = self.find(key)?;
        Ok(index + usize::from(found))
    }

    /// The index of the first entry that a range with this start has.
    pub fn start_of<K: AsRef<[u8]>>(&self, start: &Bound<K>) -> Result<usize, Fault> {
        match start {
            Bound::Unbounded => Ok(0),
            Bound::Included(key) => Ok(self.find_and(key.as_ref(), |first| self.prefetch_entries(first, AT_FIRST))?.0),
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
        for n in 0..80u32 {
            let heads: Vec<[u8; 4]> = (0..n).map(|i| (i / 2 * 2).to_le_bytes()).collect();
            for head in 0..n + 2 {
                let expected = heads.iter().filter(|bytes| u32::from_le_bytes(**bytes) < head).count();
                assert_eq!(lower_bound(&heads, head), expected);
                for guess in 0..n as usize + 2 {
                    assert_eq!(lower_bound_near(&heads, head, guess), expected, "whatever the guess");
                }
            }
        }
    }
}
