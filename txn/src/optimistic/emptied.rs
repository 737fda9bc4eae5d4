//! Stretches of keys where a transaction knows that it finds nothing, because it emptied them.
//!
//! Promises: no entry that the transaction would find lies in such a stretch. Without this, each look for the first entry would walk over all that were removed
//! before it, and emptying a queue from its end would take the square of its length.

use super::span::Cut;
use std::collections::BTreeMap;

type Place = Cut<Vec<u8>>;

/// Stretches that are apart, by their starts, with their ends.
#[derive(Debug, Default)]
pub(crate) struct Emptied(BTreeMap<Place, Place>);

impl Emptied {
    /// There is nothing from `start` to `end`.
    pub fn add(&mut self, mut start: Place, mut end: Place) {
        if start >= end {
            return;
        }
        if let Some((before, its_end)) = self.0.range(..=&start).next_back()
            && *its_end >= start
        {
            start = before.clone();
        }
        while let Some((within, _)) = self.0.range(&start..=&end).next() {
            let within = within.clone();
            end = self.0.remove(&within).map_or(end.clone(), |its_end| its_end.max(end));
        }
        self.0.insert(start, end);
    }

    /// There is an entry of this key now.
    pub fn fill(&mut self, key: &[u8]) {
        if self.0.is_empty() {
            return;
        }
        let at = Cut::At(key.to_vec(), false);
        let found = self.0.range(..=&at).next_back().filter(|(_, end)| **end > at);
        let Some((start, end)) = found.map(|(start, end)| (start.clone(), end.clone())) else { return };
        self.0.remove(&start);
        if start < at {
            self.0.insert(start, at);
        }
        let behind = Cut::At(key.to_vec(), true);
        if behind < end {
            self.0.insert(behind, end);
        }
    }

    /// The first place from the bottom on where there may be an entry.
    pub fn first(&self) -> Place {
        let bottom = Cut::BOTTOM.to_owned();
        self.0.get(&bottom).cloned().unwrap_or(bottom)
    }

    /// The place behind the last entry that there may be.
    pub fn last(&self) -> Place {
        let reaches = self.0.last_key_value().filter(|(_, end)| **end == Cut::Top);
        reaches.map_or(Cut::Top, |(start, _)| start.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;
    use std::collections::BTreeSet;

    quickcheck! {
        /// Against the dumbest model: all keys of one byte, and whether there may be an entry.
        fn as_a_set_of_keys(steps: Vec<(u8, u8, bool)>) -> bool {
            let mut emptied = Emptied::default();
            let mut free: BTreeSet<u8> = (0..=15).collect();
            steps.into_iter().all(|(a, b, fill)| {
                let (a, b) = (a % 16, b % 16);
                if fill {
                    emptied.fill(&[a]);
                    free.insert(a);
                } else {
                    emptied.add(Cut::At(vec![a], false), Cut::At(vec![b], true));
                    free.retain(|key| !(a..=b).contains(key));
                }
                let known = |key: u8| {
                    let found = emptied.0.range(..=Cut::At(vec![key], false)).next_back();
                    found.is_some_and(|(_, end)| *end > Cut::At(vec![key], false))
                };
                let starts: Vec<_> = emptied.0.iter().collect();
                (0..=15).all(|key| known(key) != free.contains(&key))
                    && starts.windows(2).all(|pair| pair[0].1 < pair[1].0)
            })
        }
    }

    #[test]
    fn what_is_emptied_from_an_end_is_skipped_from_there() {
        let mut emptied = Emptied::default();
        let place = |key: u8, behind| Cut::At(vec![key], behind);
        assert_eq!((emptied.first(), emptied.last()), (Cut::BOTTOM.to_owned(), Cut::Top));
        emptied.add(Cut::BOTTOM.to_owned(), place(5, true));
        emptied.add(place(9, false), Cut::Top);
        assert_eq!((emptied.first(), emptied.last()), (place(5, true), place(9, false)));
        emptied.fill(&[3]);
        assert_eq!(emptied.first(), place(3, false));
        emptied.add(Cut::BOTTOM.to_owned(), place(3, true));
        assert_eq!(emptied.first(), place(5, true), "the rest is still known");
        emptied.add(place(5, true), place(9, false));
        assert_eq!((emptied.first(), emptied.last()), (Cut::Top, Cut::BOTTOM.to_owned()));
    }
}
