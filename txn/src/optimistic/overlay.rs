//! What a concurrent transaction changed in one tree, not applied to any page yet.
//!
//! Promises: it says of each key what the transaction would find there; a blind change that was looked at is not blind any more.

use super::blind::{BlindOp, BlindOps};
use super::emptied::Emptied;
use super::span::{self, Cut};
use crate::Result;
use std::cell::OnceCell;
use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;

/// What becomes of one key.
#[derive(Debug)]
pub(crate) enum Change {
    Put(Vec<u8>),
    Remove,
    /// To be applied to whatever is there at the commit.
    Blind {
        ops: BlindOps,
        /// What it makes of the snapshot's value, once somebody asked: from then on it depends on that value.
        seen: OnceCell<Vec<u8>>,
    },
}

impl Change {
    /// What the transaction finds there; `base` is what its snapshot has.
    pub fn value<'c>(
        &'c self,
        tree: &str,
        key: &[u8],
        base: impl FnOnce() -> Result<Option<&'c [u8]>>,
    ) -> Result<Option<&'c [u8]>> {
        match self {
            Change::Put(value) => Ok(Some(value)),
            Change::Remove => Ok(None),
            Change::Blind { ops, seen } => {
                if seen.get().is_none() {
                    let value = ops.apply(tree, key, base()?)?;
                    return Ok(Some(seen.get_or_init(|| value)));
                }
                Ok(seen.get().map(Vec::as_slice))
            }
        }
    }

    /// Whether nothing is there afterwards.
    pub fn is_removal(&self) -> bool {
        matches!(self, Change::Remove)
    }

    /// Whether it does not depend on what was there.
    pub fn is_blind(&self) -> bool {
        matches!(self, Change::Blind { seen, .. } if seen.get().is_none())
    }
}

/// The changes of one tree.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    changes: BTreeMap<Vec<u8>, Change>,
    emptied: Emptied,
}

/// The changes within a range of keys.
pub(crate) type OverlayRange<'o> = btree_map::Range<'o, Vec<u8>, Change>;

impl Overlay {
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.emptied.fill(key);
        self.set(key, Change::Put(value.to_vec()));
    }

    pub fn remove(&mut self, key: &[u8]) {
        self.set(key, Change::Remove);
    }

    fn set(&mut self, key: &[u8], change: Change) {
        match self.changes.get_mut(key) {
            Some(there) => *there = change,
            None => drop(self.changes.insert(key.to_vec(), change)),
        }
    }

    /// Adds a blind change; on top of a value that the transaction knows it is made at once.
    pub fn blind(&mut self, tree: &str, key: &[u8], op: BlindOp) -> Result<()> {
        let mut ops = BlindOps::default();
        self.emptied.fill(key);
        match self.changes.get_mut(key) {
            None => {
                ops.push(op);
                self.changes.insert(key.to_vec(), Change::Blind { ops, seen: OnceCell::new() });
            }
            Some(Change::Blind { ops, seen }) if seen.get().is_none() => ops.push(op),
            Some(change) => {
                ops.push(op);
                let value = ops.apply(tree, key, change.value(tree, key, || Ok(None))?)?;
                *change = Change::Put(value);
            }
        }
        Ok(())
    }

    /// The transaction finds nothing from `start` to `end`, now that it has removed what was there.
    pub fn note_empty(&mut self, start: Cut<Vec<u8>>, end: Cut<Vec<u8>>) {
        self.emptied.add(start, end);
    }

    /// Where it knows of nothing: before the first of these places, and behind the second.
    pub fn ends(&self) -> (Cut<Vec<u8>>, Cut<Vec<u8>>) {
        (self.emptied.first(), self.emptied.last())
    }

    pub fn get(&self, key: &[u8]) -> Option<&Change> {
        self.changes.get(key)
    }

    pub fn len(&self) -> usize {
        self.changes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub fn iter(&self) -> btree_map::Iter<'_, Vec<u8>, Change> {
        self.changes.iter()
    }

    /// The changes whose keys lie between two bounds; none if they are in the wrong order.
    pub fn range(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> OverlayRange<'_> {
        if span::is_empty(start, end) {
            return self.changes.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(&[][..])));
        }
        self.changes.range::<[u8], _>((start, end))
    }
}
