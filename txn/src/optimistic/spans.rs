//! Sets of stretches of keys.
//!
//! Promises: the stretches are in order and apart, however they came; looking for a key or for another stretch costs a binary search. They are
//! sorted once, and not at all if they came in order.

use super::keys::KeySet;
use super::span::{Span, is_after_start};

/// A set of stretches, in order, none of which touches another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpanSet(Vec<Span>);

impl FromIterator<Span> for SpanSet {
    fn from_iter<I: IntoIterator<Item = Span>>(spans: I) -> SpanSet {
        let mut set = SpanSet(spans.into_iter().filter(|span| !span.is_empty()).collect());
        set.merge();
        set
    }
}

impl SpanSet {
    fn merge(&mut self) {
        if !self.0.is_sorted_by(|a, b| a.start_cut() <= b.start_cut()) {
            self.0.sort_by(|a, b| a.start_cut().cmp(&b.start_cut()));
        }
        self.0.dedup_by(|next, before| {
            let touches = next.start_cut() <= before.end_cut();
            if touches && next.end_cut() > before.end_cut() {
                std::mem::swap(&mut before.end, &mut next.end);
            }
            touches
        });
        self.0.shrink_to_fit();
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Span> {
        self.0.iter()
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        let after = self.0.partition_point(|span| is_after_start(key, span.start()));
        after.checked_sub(1).is_some_and(|at| self.0[at].contains(key))
    }

    /// Whether some key may lie both in the set and in `span`.
    pub fn overlaps(&self, span: &Span) -> bool {
        let first = self.0.partition_point(|own| own.end_cut() <= span.start_cut());
        self.0.get(first).is_some_and(|own| own.overlaps(span))
    }

    /// A key that is in both sets. Costs what the smaller one costs, times a logarithm of the larger.
    pub fn common_key<'k>(&self, keys: &'k KeySet) -> Option<&'k [u8]> {
        if keys.len() <= self.len() {
            return keys.iter().find(|key| self.contains(key));
        }
        self.0.iter().find_map(|span| keys.first_in(span))
    }

    /// Whether some key may lie in both sets.
    pub fn meets(&self, other: &SpanSet) -> bool {
        let (few, many) = if self.len() <= other.len() { (self, other) } else { (other, self) };
        few.0.iter().any(|span| many.overlaps(span))
    }

    /// Joins each `count` neighbours, with everything between them.
    pub fn join_neighbours(&mut self, count: usize) {
        let spans = std::mem::take(&mut self.0);
        let mut joined: Vec<Span> = Vec::with_capacity(spans.len().div_ceil(count));
        for (number, span) in spans.into_iter().enumerate() {
            match joined.last_mut() {
                Some(last) if number % count > 0 => last.end = span.end,
                _ => joined.push(span),
            }
        }
        self.0 = joined;
    }

    pub fn into_spans(self) -> Vec<Span> {
        self.0
    }

    /// The memory that it takes, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Span>() + self.0.iter().map(Span::bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn small(key: &[u8]) -> Vec<u8> {
        key.iter().map(|byte| byte % 6).take(3).collect()
    }

    quickcheck! {
        fn has_what_its_spans_have(spans: Vec<Span>, other: Span, key: Vec<u8>) -> bool {
            let key = small(&key);
            let set: SpanSet = spans.iter().cloned().collect();
            let is_apart = set.0.windows(2).all(|pair| pair[0].end_cut() < pair[1].start_cut());
            is_apart
                && set.contains(&key) == spans.iter().any(|span| span.contains(&key))
                && set.overlaps(&other) == spans.iter().any(|span| span.overlaps(&other))
        }

        fn sets_that_share_a_key_meet(a: Vec<Span>, b: Vec<Span>, keys: Vec<Vec<u8>>) -> bool {
            let (a, b): (SpanSet, SpanSet) = (a.into_iter().collect(), b.into_iter().collect());
            let keys: Vec<Vec<u8>> = keys.iter().map(|key| small(key)).collect();
            let set = KeySet::from_unsorted(keys.iter().map(Vec::as_slice).collect());
            keys.iter().all(|key| !(a.contains(key) && b.contains(key)) || a.meets(&b) && b.meets(&a))
                && a.common_key(&set).is_some() == keys.iter().any(|key| a.contains(key))
                && a.common_key(&set).is_none_or(|key| a.contains(key))
        }

        fn joining_neighbours_loses_nothing(spans: Vec<Span>, count: u8, key: Vec<u8>) -> bool {
            let set: SpanSet = spans.into_iter().collect();
            let mut joined = set.clone();
            joined.join_neighbours(usize::from(count % 5) + 1);
            (!set.contains(&small(&key)) || joined.contains(&small(&key)))
                && joined.len() == set.len().div_ceil(usize::from(count % 5) + 1)
        }
    }
}
