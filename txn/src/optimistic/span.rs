//! Stretches of keys, as scans read them and as removals of ranges write them.
//!
//! Promises: a stretch that begins beyond its end contains nothing and overlaps nothing; two stretches that could both contain some key overlap.

use std::ops::Bound;

/// A place between keys: just before one, or just behind it; or behind all. Both ends of a stretch are such places, so they can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cut<K> {
    /// Just before the key, or just behind it.
    At(K, bool),
    Top,
}

impl<'k> Cut<&'k [u8]> {
    /// Before all keys: there is none before the empty one.
    pub const BOTTOM: Cut<&'static [u8]> = Cut::At(&[], false);

    pub fn of_start(start: Bound<&'k [u8]>) -> Cut<&'k [u8]> {
        match start {
            Bound::Unbounded => Cut::BOTTOM,
            Bound::Included(key) => Cut::At(key, false),
            Bound::Excluded(key) => Cut::At(key, true),
        }
    }

    pub fn of_end(end: Bound<&'k [u8]>) -> Cut<&'k [u8]> {
        match end {
            Bound::Unbounded => Cut::Top,
            Bound::Included(key) => Cut::At(key, true),
            Bound::Excluded(key) => Cut::At(key, false),
        }
    }

    pub fn to_owned(self) -> Cut<Vec<u8>> {
        match self {
            Cut::At(key, behind) => Cut::At(key.to_vec(), behind),
            Cut::Top => Cut::Top,
        }
    }
}

impl Cut<Vec<u8>> {
    /// The bound of a stretch that begins here; `None` behind all keys.
    pub fn as_start(&self) -> Option<Bound<&[u8]>> {
        match self {
            Cut::At(key, false) => Some(Bound::Included(key)),
            Cut::At(key, true) => Some(Bound::Excluded(key)),
            Cut::Top => None,
        }
    }

    /// The bound of a stretch that ends here.
    pub fn as_end(&self) -> Bound<&[u8]> {
        match self {
            Cut::At(key, false) => Bound::Excluded(key),
            Cut::At(key, true) => Bound::Included(key),
            Cut::Top => Bound::Unbounded,
        }
    }
}

/// The keys between two bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: Bound<Vec<u8>>,
    pub end: Bound<Vec<u8>>,
}

impl Span {
    pub fn new(start: Bound<&[u8]>, end: Bound<&[u8]>) -> Span {
        Span { start: start.map(<[u8]>::to_vec), end: end.map(<[u8]>::to_vec) }
    }

    /// Every key.
    #[cfg(test)]
    pub fn all() -> Span {
        Span { start: Bound::Unbounded, end: Bound::Unbounded }
    }

    pub fn start(&self) -> Bound<&[u8]> {
        self.start.as_ref().map(Vec::as_slice)
    }

    pub fn end(&self) -> Bound<&[u8]> {
        self.end.as_ref().map(Vec::as_slice)
    }

    /// Whether no key at all can lie between the bounds.
    pub fn is_empty(&self) -> bool {
        is_empty(self.start(), self.end())
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        is_after_start(key, self.start()) && is_before_end(key, self.end())
    }

    /// Whether some key may lie in both.
    pub fn overlaps(&self, other: &Span) -> bool {
        !self.is_empty()
            && !other.is_empty()
            && !is_empty(self.start(), other.end())
            && !is_empty(other.start(), self.end())
    }

    pub fn start_cut(&self) -> Cut<&[u8]> {
        Cut::of_start(self.start())
    }

    pub fn end_cut(&self) -> Cut<&[u8]> {
        Cut::of_end(self.end())
    }

    /// The memory that it takes beyond itself, in bytes.
    pub fn bytes(&self) -> usize {
        [&self.start, &self.end].into_iter().map(|bound| key_of(bound).map_or(0, Vec::capacity)).sum()
    }
}

/// The key that a bound names.
pub(crate) fn key_of<K>(bound: &Bound<K>) -> Option<&K> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}

/// Whether `key` is not before the start of a range.
pub(crate) fn is_after_start(key: &[u8], start: Bound<&[u8]>) -> bool {
    match start {
        Bound::Unbounded => true,
        Bound::Included(start) => key >= start,
        Bound::Excluded(start) => key > start,
    }
}

fn is_before_end(key: &[u8], end: Bound<&[u8]>) -> bool {
    match end {
        Bound::Unbounded => true,
        Bound::Included(end) => key <= end,
        Bound::Excluded(end) => key < end,
    }
}

/// Whether a range from `start` to `end` contains nothing for certain.
pub(crate) fn is_empty(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    Cut::of_start(start) >= Cut::of_end(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::{Arbitrary, Gen, quickcheck};

    impl Arbitrary for Span {
        fn arbitrary(g: &mut Gen) -> Span {
            let bound = |g: &mut Gen| {
                let key = vec![u8::arbitrary(g) % 6; usize::arbitrary(g) % 3];
                *g.choose(&[Bound::Unbounded, Bound::Included(key.clone()), Bound::Excluded(key)].map(Box::new))
                    .cloned()
                    .unwrap()
            };
            Span { start: bound(g), end: bound(g) }
        }
    }

    quickcheck! {
        fn spans_with_a_common_key_overlap(a: Span, b: Span, key: Vec<u8>) -> bool {
            let key: Vec<u8> = key.into_iter().map(|byte| byte % 6).take(3).collect();
            !(a.contains(&key) && b.contains(&key)) || a.overlaps(&b) && b.overlaps(&a)
        }

        fn what_is_empty_contains_nothing(a: Span, key: Vec<u8>) -> bool {
            let key: Vec<u8> = key.into_iter().map(|byte| byte % 6).take(3).collect();
            !a.is_empty() || !a.contains(&key) && !a.overlaps(&Span::all())
        }
    }

    #[test]
    fn neighbours_do_not_overlap() {
        let span = |start, end| Span { start, end };
        let (a, b) = (b"a".to_vec(), b"b".to_vec());
        let before = span(Bound::Unbounded, Bound::Excluded(a.clone()));
        let from = span(Bound::Included(a.clone()), Bound::Included(b.clone()));
        let after = span(Bound::Excluded(b.clone()), Bound::Unbounded);
        assert!(!before.overlaps(&from) && !from.overlaps(&after) && !before.overlaps(&after));
        assert!(from.overlaps(&span(Bound::Included(b.clone()), Bound::Included(b))));
    }
}
