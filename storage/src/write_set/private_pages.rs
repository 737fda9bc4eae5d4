//! The private pages of a transaction, by number.
//!
//! Promises: what a map does. While there are few of them they lie in a row and are looked through: most transactions touch a handful of pages, and hashing costs more than that.

use super::Private;
use crate::{PageId, PageMap};
use std::mem;

/// So many are looked through.
const FEW: usize = 8;

/// Private pages by number.
#[derive(Default)]
pub(crate) struct PrivatePages {
    /// Empty while there are `many`.
    few: Vec<(PageId, Private)>,
    many: PageMap<Private>,
}

impl PrivatePages {
    pub fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn get(&self, id: PageId) -> Option<&Private> {
        match self.few.iter().find(|(other, _)| *other == id) {
            Some((_, private)) => Some(private),
            None if self.many.is_empty() => None,
            None => self.many.get(&id),
        }
    }

    #[inline]
    pub fn get_mut(&mut self, id: PageId) -> Option<&mut Private> {
        if self.many.is_empty() {
            return self.few.iter_mut().find(|(other, _)| *other == id).map(|(_, private)| private);
        }
        self.many.get_mut(&id)
    }

    pub fn contains(&self, id: PageId) -> bool {
        self.get(id).is_some()
    }

    /// Adds a page, and gives what was there under its number.
    pub fn insert(&mut self, id: PageId, private: Private) -> Option<Private> {
        if self.many.is_empty() {
            if let Some((_, old)) = self.few.iter_mut().find(|(other, _)| *other == id) {
                return Some(mem::replace(old, private));
            }
            if self.few.len() < FEW {
                self.few.push((id, private));
                return None;
            }
            self.many.extend(self.few.drain(..));
        }
        self.many.insert(id, private)
    }

    pub fn remove(&mut self, id: PageId) -> Option<Private> {
        if self.many.is_empty() {
            let at = self.few.iter().position(|(other, _)| *other == id)?;
            return Some(self.few.swap_remove(at).1);
        }
        self.many.remove(&id)
    }

    /// All, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (PageId, &Private)> {
        self.few.iter().map(|(id, private)| (*id, private)).chain(self.many.iter().map(|(id, private)| (*id, private)))
    }
}

impl IntoIterator for PrivatePages {
    type Item = (PageId, Private);
    type IntoIter =
        std::iter::Chain<std::vec::IntoIter<Self::Item>, std::collections::hash_map::IntoIter<PageId, Private>>;

    fn into_iter(self) -> Self::IntoIter {
        self.few.into_iter().chain(self.many)
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
            let all: BTreeMap<PageId, u64> = pages.into_iter().map(|(id, private)| (id, value(&private))).collect();
            all == model
        }
        QuickCheck::new().tests(if cfg!(miri) { 5 } else { 300 }).quickcheck(property as fn(Vec<(u8, u8)>) -> bool);
    }
}
