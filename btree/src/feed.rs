//! Entries on their way into a bulk load.
//!
//! Promises: entries come in ascending order, each taken from its source only when it is wanted, as long as the source
//! has them so; from where that order breaks the rest is collected, sorted, and of equal keys the last stays last.

use std::hint::black_box;
use std::vec;

use crate::parts::shared;

/// Entries in the order in which they come, sorted from where that order breaks.
pub(crate) struct Feed<I, K, V> {
    source: Source<I, K, V>,
    ahead: Option<(K, V)>,
    /// The key that was taken last.
    last: Option<Vec<u8>>,
}

enum Source<I, K, V> {
    Stream(I),
    Sorted(Sorted<K, V>),
}

impl<I: Iterator<Item = (K, V)>, K: AsRef<[u8]>, V: AsRef<[u8]>> Feed<I, K, V> {
    pub fn new(entries: I) -> Self {
        Feed { source: Source::Stream(entries), ahead: None, last: None }
    }

    fn ascends(&self, key: &[u8]) -> bool {
        self.last.as_ref().is_none_or(|last| last.as_slice() <= key)
    }

    fn look_ahead(&mut self) {
        if self.ahead.is_some() {
            return;
        }
        match &mut self.source {
            Source::Sorted(sorted) => self.ahead = sorted.next(),
            Source::Stream(entries) => {
                let Some((key, value)) = entries.next() else {
                    return;
                };
                if self.last.as_ref().is_none_or(|last| last.as_slice() <= key.as_ref()) {
                    self.ahead = Some((key, value));
                    return;
                }
                let mut all = vec![(key, value)];
                all.extend(entries);
                let mut sorted = Sorted::new(all);
                self.ahead = sorted.next();
                self.source = Source::Sorted(sorted);
            }
        }
    }

    /// The next entry, if its key is not less than the last one's and satisfies `within`.
    pub fn next_within(&mut self, within: impl Fn(&[u8]) -> bool) -> Option<(K, V)> {
        self.look_ahead();
        let key = self.ahead.as_ref()?.0.as_ref();
        if self.ascends(key) && within(key) { self.next() } else { None }
    }

    pub fn next(&mut self) -> Option<(K, V)> {
        self.look_ahead();
        let entry = self.ahead.take()?;
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(entry.0.as_ref());
        Some(entry)
    }
}

/// Entries that are all in memory, handed out in order.
struct Sorted<K, V> {
    entries: Vec<Option<(K, V)>>,
    order: vec::IntoIter<Place>,
}

/// How many entries ahead their keys are asked for.
const AHEAD: usize = 12;

/// Where an entry stands. The first bytes of its key behind what all keys share are kept beside it, as an integer that
/// sorts like them, because most comparisons need no more.
struct Place {
    head: u64,
    index: usize,
}

impl<K: AsRef<[u8]>, V> Sorted<K, V> {
    fn new(entries: Vec<(K, V)>) -> Self {
        let key = |index: usize| entries[index].0.as_ref();
        let common = (1..entries.len()).map(|index| shared(key(0), key(index))).min().unwrap_or_default();
        let mut order: Vec<Place> = (0..entries.len())
            .map(|index| {
                let mut bytes = [0; 8];
                for (to, from) in bytes.iter_mut().zip(&key(index)[common..]) {
                    *to = *from;
                }
                Place { head: u64::from_be_bytes(bytes), index }
            })
            .collect();
        // The index last: of equal keys the one that came last stays last.
        order.sort_unstable_by(|a, b| {
            let heads = a.head.cmp(&b.head);
            heads.then_with(|| key(a.index).cmp(key(b.index))).then(a.index.cmp(&b.index))
        });
        Sorted { order: order.into_iter(), entries: entries.into_iter().map(Some).collect() }
    }

    fn next(&mut self) -> Option<(K, V)> {
        // Neighbours in order are strangers in memory: ask for a later one's key without waiting for it.
        let later = self.order.as_slice().get(AHEAD);
        if let Some(Some((key, _))) = later.and_then(|place| self.entries.get(place.index)) {
            black_box(key.as_ref().first().copied());
        }
        self.entries.get_mut(self.order.next()?.index)?.take()
    }
}
