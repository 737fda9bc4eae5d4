//! The private pages of a transaction, by number.
//!
//! Promises: what a map does. All lie in a row, mostly in the order in which they came, so that whoever goes through them knows which comes next. While there are few of them the row is looked through: most
//! transactions touch a handful of pages, and hashing costs more than that. The row's memory stays for the next transaction, unless it is much.

use super::Private;
use crate::{PageId, PageMap};
use std::vec::Drain;

/// So many are looked through.
const FEW: usize = 6;
/// No more memory than for so many is kept.
const KEPT: usize = 4096;

/// Private pages by number.
#[derive(Default)]
pub(crate) struct PrivatePages {
    row: Vec<(PageId, Private)>,
    /// Where in the row each of them is, from when there are more than a few until none is left.
    places: PageMap<u32>,
}

impl PrivatePages {
    pub fn len(&self) -> usize {
        self.row.len()
    }

    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    #[inline]
    fn place(&self, id: PageId) -> Option<usize> {
        if self.places.is_empty() {
            return self.row.iter().position(|(other, _)| *other == id);
        }
        self.places.get(&id).map(|place| *place as usize)
    }

    #[inline]
    pub fn get(&self, id: PageId) -> Option<&Private> {
        self.place(id).map(|place| &self.row[place].1)
    }

    #[inline]
    pub fn get_mut(&mut self, id: PageId) -> Option<&mut Private> {
        self.place(id).map(|place| &mut self.row[place].1)
    }

    pub fn contains(&self, id: PageId) -> bool {
        self.place(id).is_some()
    }

    /// Adds a page, and gives what was there under its number.
    #[inline]
    pub fn insert(&mut self, id: PageId, private: Private) -> Option<Private> {
        if let Some(old) = self.get_mut(id) {
            return Some(std::mem::replace(old, private));
        }
        if self.row.len() == FEW && self.places.is_empty() {
            self.places.extend((0..).zip(&self.row).map(|(place, (id, _))| (*id, place)));
        }
        if !self.places.is_empty() {
            self.places.insert(id, self.row.len() as u32);
        }
        self.row.push((id, private));
        None
    }

    pub fn remove(&mut self, id: PageId) -> Option<Private> {
        let place = self.place(id)?;
        let (_, private) = self.row.swap_remove(place);
        if self.places.remove(&id).is_some()
            && let Some((moved, _)) = self.row.get(place)
        {
            self.places.insert(*moved, place as u32);
        }
        Some(private)
    }

    /// All, in no order that may be relied on.
    pub fn iter(&self) -> impl Iterator<Item = (PageId, &Private)> {
        self.row.iter().map(|(id, private)| (*id, private))
    }

    /// Takes all out, in that order.
    pub fn drain(&mut self) -> Drain<'_, (PageId, Private)> {
        self.places.clear();
        self.row.drain(..)
    }

    /// Gives up what is much memory, when nothing is there.
    pub fn shrink(&mut self) {
        self.row.shrink_to(KEPT);
        self.places.shrink_to(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use quickcheck::QuickCheck;
    use std::collections::BTreeMap;

    /// Against a map, around the number where it changes.
    #[test]
    fn does_what_a_map_does() {
        fn property(steps: Vec<(u8, u8)>) -> bool {
            let (mut pages, mut model) = (PrivatePages::default(), BTreeMap::new());
            let private =
                |value| Private { state: State::Register(value), owner: PageId::NONE, fresh: false, epoch: 0 };
            let value = |private: &Private| match private.state {
                State::Register(value) => value,
                _ => unreachable!("only registers are made here"),
            };
            for (number, (id, kind)) in steps.into_iter().enumerate() {
                let id = PageId(u32::from(id) % (2 * FEW as u32));
                if kind % 3 == 0 {
                    assert_eq!(pages.remove(id).as_ref().map(value), model.remove(&id));
                } else {
                    let number = number as u64;
                    assert_eq!(pages.insert(id, private(number)).as_ref().map(value), model.insert(id, number));
                }
                assert_eq!((pages.len(), pages.is_empty()), (model.len(), model.is_empty()));
                for id in (0..2 * FEW as u32).map(PageId) {
                    assert_eq!(pages.get(id).map(value), model.get(&id).copied());
                    assert_eq!(pages.get_mut(id).map(|private| value(private)), model.get(&id).copied());
                    assert_eq!(pages.contains(id), model.contains_key(&id));
                }
                let all: BTreeMap<PageId, u64> = pages.iter().map(|(id, private)| (id, value(private))).collect();
                assert_eq!(all, model);
            }
            let all: BTreeMap<PageId, u64> = pages.drain().map(|(id, private)| (id, value(&private))).collect();
            pages.is_empty() && all == model
        }
        QuickCheck::new().tests(if cfg!(miri) { 5 } else { 300 }).quickcheck(property as fn(Vec<(u8, u8)>) -> bool);
    }
}
