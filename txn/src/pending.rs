//! Inserts, or removals, that wait to be applied in the order of their keys.
//!
//! An insert does not say what was there before, nor does a delete, so a transaction need not look for the place of each key at once. Those that follow one
//! another are gathered: their bytes stand in the transaction's operations ([`Redo`]) anyway, and here is, for each, where they stand and
//! the first bytes of its key. Sorted by key they meet each leaf once.
//!
//! Promises: of inserts of the same key the last wins; what arrived in order is not sorted again.

use crate::redo::Redo;
use pentimento_btree::{Filling, SortedEntries};
use pentimento_storage::prefetch;

/// The bytes of a key that stand here as an integer that sorts like them.
const PREFIX: usize = 8;

/// How many bytes of an insert are asked for ahead of time, at most.
const PREFETCHED: u32 = 512;

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Item {
    prefix: u64,
    /// Where its operation begins: later ones begin further on.
    at: u32,
    /// How many bytes that has.
    len: u32,
}

const _: () = assert!(size_of::<Item>() == 16, "an insert that waits takes 16 bytes more than its operation");

/// Inserts into one tree, or removals from it, that have not been applied.
#[derive(Debug)]
pub(crate) struct Pending {
    items: Vec<Item>,
    /// How many bytes all keys share at their start.
    common: usize,
    ascends: bool,
    descends: bool,
    removes: bool,
}

impl Default for Pending {
    fn default() -> Pending {
        Pending { items: Vec::new(), common: usize::MAX, ascends: true, descends: true, removes: false }
    }
}

fn prefix_of(key: &[u8]) -> u64 {
    match key.first_chunk::<PREFIX>() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; PREFIX];
            bytes[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(bytes)
        }
    }
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Adds an insert, or without a value a removal, and notes the operation. All that are together here are of one kind. Gives the memory that this takes, in bytes.
    #[inline]
    pub fn push(&mut self, redo: &mut Redo, key: &[u8], value: Option<&[u8]>) -> usize {
        let prefix = prefix_of(key);
        if let Some(last) = self.items.last() {
            if self.common > 0 {
                let first = redo.pending_at(self.items[0].at).0;
                self.common = first.iter().zip(key).take(self.common).take_while(|(a, b)| a == b).count();
            }
            let order = last.prefix.cmp(&prefix).then_with(|| redo.pending_at(last.at).0.cmp(key));
            self.ascends &= order.is_lt();
            self.descends &= order.is_gt();
        }
        debug_assert!(self.items.is_empty() || self.removes == value.is_none(), "all that wait are of one kind");
        self.removes = value.is_none();
        let at = match value {
            Some(value) => redo.insert_pending(key, value),
            None => redo.remove_pending(key),
        };
        self.items.push(Item { prefix, at, len: redo.len() as u32 - at });
        key.len() + value.map_or(0, <[u8]>::len) + size_of::<Item>()
    }

    /// All in the order of their keys, each key once.
    pub fn sort<'r>(&mut self, redo: &'r Redo) -> Sorted<'r> {
        let Pending { mut items, common, ascends, descends, removes } = std::mem::take(self);
        let filling = if ascends || descends { Filling::Full } else { Filling::Roomy };
        let key = |item: &Item| redo.pending_at(item.at).0;
        if !ascends {
            if common > 0 {
                // Where all keys begin alike, what follows tells them apart.
                items.iter_mut().for_each(|item| item.prefix = prefix_of(&key(item)[common..]));
            }
            let order = |a: &Item, b: &Item| a.prefix.cmp(&b.prefix).then_with(|| key(a).cmp(key(b)));
            items.sort_unstable_by(|a, b| order(a, b).then(a.at.cmp(&b.at)));
            // Of neighbours with one key the later stays, in the place of the earlier.
            items.dedup_by(|later, earlier| {
                let is_same = later.prefix == earlier.prefix && key(later) == key(earlier);
                if is_same {
                    *earlier = *later;
                }
                is_same
            });
        }
        Sorted { items, redo, filling, removes }
    }
}

/// Inserts, or removals, in the order of their keys.
pub(crate) struct Sorted<'r> {
    items: Vec<Item>,
    redo: &'r Redo,
    pub filling: Filling,
    /// Whether they are removals.
    pub removes: bool,
}

impl SortedEntries for Sorted<'_> {
    fn len(&self) -> usize {
        self.items.len()
    }

    #[inline]
    fn entry(&self, index: usize) -> (&[u8], &[u8]) {
        self.redo.pending_at(self.items[index].at)
    }

    #[inline]
    fn prefetch(&self, index: usize) {
        let Item { at, len, .. } = self.items[index];
        prefetch(self.redo.bytes_at(at, len.min(PREFETCHED)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::QuickCheck;
    use std::collections::BTreeMap;

    /// Against a map: whatever comes, in whatever order, each key is there once with its last value.
    #[test]
    fn sorts_as_a_map_does() {
        fn property(keys: Vec<Vec<u8>>, common: Vec<u8>, kind: u8) -> bool {
            let (mut redo, mut pending, mut model) = (Redo::up_to(0), Pending::default(), BTreeMap::new());
            let mut keys: Vec<Vec<u8>> = keys.iter().map(|key| [common.as_slice(), key].concat()).collect();
            match kind % 4 {
                0 => keys.sort(),
                1 => keys.extend(keys.clone()),
                _ => {}
            }
            for (number, key) in keys.into_iter().enumerate() {
                let value = vec![number as u8; number % 300];
                pending.push(&mut redo, &key, Some(&value));
                model.insert(key, value);
            }
            let sorted = pending.sort(&redo);
            let found = (0..sorted.len()).map(|index| sorted.entry(index));
            assert!(found.eq(model.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))));
            assert!(pending.is_empty());
            true
        }
        QuickCheck::new().tests(500).quickcheck(property as fn(Vec<Vec<u8>>, Vec<u8>, u8) -> bool);
    }
}
