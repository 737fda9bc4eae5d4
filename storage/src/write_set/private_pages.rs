//! The private pages of a transaction, by number.
//!
//! Promises: what a map does. While there are few of them they lie in a row and are looked through: most transactions touch a handful of pages, and hashing costs more than that, as does memory for a map.

use super::Private;
use crate::{PageId, PageMap};
use std::array;
use std::mem;

/// So many are looked through.
const FEW: usize = 6;

/// Private pages by number.
pub(crate) struct PrivatePages {
    /// The first of these are there, the others not. None of them while there are `many`.
    few: [Option<(PageId, Private)>; FEW],
    few_len: usize,
    many: PageMap<Private>,
}

impl Default for PrivatePages {
    fn default() -> PrivatePages {
        PrivatePages { few: array::from_fn(|_| None), few_len: 0, many: PageMap::default() }
    }
}

impl PrivatePages {
    pub fn len(&self) -> usize {
        self.few_len + self.many.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn few(&self) -> impl Iterator<Item = &(PageId, Private)> {
        self.few[..self.few_len].iter().flatten()
    }

    fn few_mut(&mut self) -> impl Iterator<Item = &mut (PageId, Private)> {
        self.few[..self.few_len].iter_mut().flatten()
    }

    #[inline]
    pub fn get(&self, id: PageId) -> Option<&Private> {
        match self.few().find(|(other, _)| *other == id) {
            Some((_, private)) => Some(private),
            None if self.many.is_empty() => None,
            None => self.many.get(&id),
        }
    }

    #[inline]
    pub fn get_mut(&mut self, id: PageId) -> Option<&mut Private> {
        if self.many.is_empty() {
            return self.few_mut().find(|(other, _)| *other == id).map(|(_, private)| private);
        }
        self.many.get_mut(&id)
    }

    pub fn contains(&self, id: PageId) -> bool {
        self.get(id).is_some()
    }

    /// Adds a page, and gives what was there under its number.
    #[inline]
    pub fn insert(&mut self, id: PageId, private: Private) -> Option<Private> {
        if self.many.is_empty() {
            if let Some((_, old)) = self.few_mut().find(|(other, _)| *other == id) {
                return Some(mem::replace(old, private));
            }
            if let Some(free) = self.few.get_mut(self.few_len) {
                *free = Some((id, private));
                self.few_len += 1;
                return None;
            }
            self.many.extend(self.few.iter_mut().filter_map(Option::take));
            self.few_len = 0;
        }
        self.many.insert(id, private)
    }

    pub fn remove(&mut self, id: PageId) -> Option<Private> {
        if self.many.is_empty() {
            let at = self.few().position(|(other, _)| *other == id)?;
            self.few_len -= 1;
            self.few.swap(at, self.few_len);
            return self.few[self.few_len].take().map(|(_, private)| private);
        }
        self.many.remove(&id)
    }

    /// All, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (PageId, &Private)> {
        self.few().map(|(id, private)| (*id, private)).chain(self.many.iter().map(|(id, private)| (*id, private)))
    }

    /// Takes all out, in no order.
    pub fn drain(&mut self) -> impl Iterator<Item = (PageId, Private)> {
        let few = self.few[..mem::take(&mut self.few_len)].iter_mut().filter_map(Option::take);
        few.chain(mem::take(&mut self.many))
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
