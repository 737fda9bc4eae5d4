//! Where a stream is, operation by operation.
//!
//! Promises: only what a sender may send passes: trees in the order of their names, a dropped one before one that is made of the same name, entries in
//! the order of their keys, the pieces of a value whole and in order; what a whole backup cannot have is refused in one.

use super::format::Totals;
use super::ops::Op;
use crate::{MAX_KEY_LEN, MAX_NAME_LEN, MAX_VALUE_LEN};

/// What the last operation was about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// There has been none.
    #[default]
    Start,
    /// The tree was dropped.
    Dropped,
    /// The tree was entered.
    Entered,
    /// The key is done.
    Done,
    /// Of the key's value so many bytes are done, of so many.
    Within { offset: u64, total: u64 },
}

/// Where a stream is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Walk {
    pub place: Place,
    pub tree: String,
    pub key: Vec<u8>,
    pub totals: Totals,
}

impl Walk {
    /// Goes one operation further; else tells why it cannot be the next.
    pub fn pass(&mut self, op: &Op<'_>, is_whole: bool) -> Result<(), &'static str> {
        if is_whole && matches!(op, Op::Remove(_) | Op::DropTree(_)) {
            return Err("a whole backup removes something");
        }
        match *op {
            Op::Tree(name) => self.enter(name)?,
            Op::DropTree(name) => {
                check_name(name)?;
                if self.is_within() || (self.place != Place::Start && name <= self.tree.as_str()) {
                    return Err("the trees are not in order");
                }
                name.clone_into(&mut self.tree);
                self.place = Place::Dropped;
                self.totals.drops += 1;
            }
            Op::Put(key, value) => {
                if value.len() > MAX_VALUE_LEN {
                    return Err("a value is too long");
                }
                self.advance(key)?;
                self.totals.puts += 1;
            }
            Op::Remove(key) => {
                self.advance(key)?;
                self.totals.removes += 1;
            }
            Op::Part { key, total, offset, bytes } => self.part(key, total, offset, bytes.len() as u64)?,
        }
        Ok(())
    }

    fn is_within(&self) -> bool {
        matches!(self.place, Place::Within { .. })
    }

    fn enter(&mut self, name: &str) -> Result<(), &'static str> {
        check_name(name)?;
        let is_same = self.place != Place::Start && name == self.tree;
        if is_same && self.place != Place::Dropped {
            // A chunk begins.
            return Ok(());
        }
        if self.is_within() || (self.place != Place::Start && !is_same && name < self.tree.as_str()) {
            return Err("the trees are not in order");
        }
        name.clone_into(&mut self.tree);
        self.place = Place::Entered;
        self.totals.trees += 1;
        Ok(())
    }

    fn advance(&mut self, key: &[u8]) -> Result<(), &'static str> {
        match self.place {
            Place::Start | Place::Dropped => return Err("an operation is on no tree"),
            Place::Within { .. } => return Err("a value is not whole"),
            Place::Done if key <= self.key.as_slice() => return Err("the keys are not in order"),
            Place::Done | Place::Entered => {}
        }
        if key.len() > MAX_KEY_LEN {
            return Err("a key is too long");
        }
        self.key.clear();
        self.key.extend_from_slice(key);
        self.place = Place::Done;
        Ok(())
    }

    fn part(&mut self, key: &[u8], total: u64, offset: u64, len: u64) -> Result<(), &'static str> {
        match self.place {
            Place::Within { offset: done, total: whole } => {
                if offset != done || total != whole || key != self.key {
                    return Err("a piece of a value does not follow the one before it");
                }
            }
            _ if offset > 0 => return Err("a value begins in its middle"),
            _ if total > MAX_VALUE_LEN as u64 => return Err("a value is too long"),
            _ => self.advance(key)?,
        }
        if len == 0 || len > total - offset {
            return Err("a piece of a value has an impossible length");
        }
        if offset + len == total {
            self.place = Place::Done;
            self.totals.puts += 1;
        } else {
            self.place = Place::Within { offset: offset + len, total };
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > MAX_NAME_LEN { Err("a tree's name has an impossible length") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(ops: &[Op<'_>], is_whole: bool) -> Result<Totals, &'static str> {
        let mut walk = Walk::default();
        ops.iter().try_for_each(|op| walk.pass(op, is_whole))?;
        Ok(walk.totals)
    }

    #[test]
    fn only_what_is_in_order_passes() {
        let part = |offset, bytes| Op::Part { key: b"k", total: 5, offset, bytes };
        let good = [
            Op::DropTree("a"),
            Op::Tree("a"),
            Op::Put(b"1", b""),
            Op::Remove(b"2"),
            Op::Tree("a"),
            part(0, b"ab"),
            Op::Tree("a"),
            part(2, b"cde"),
            Op::Tree("b"),
        ];
        assert_eq!(walk(&good, false), Ok(Totals { trees: 2, drops: 1, puts: 2, removes: 1, bytes: 0 }));
        assert!(walk(&good, true).is_err());
        let bad: [&[Op<'_>]; 11] = [
            &[Op::Put(b"1", b"")],
            &[Op::DropTree("a"), Op::Put(b"1", b"")],
            &[Op::Tree("b"), Op::Tree("a")],
            &[Op::Tree("a"), Op::DropTree("a")],
            &[Op::Tree("")],
            &[Op::Tree("a"), Op::Put(b"1", b""), Op::Remove(b"1")],
            &[Op::Tree("a"), part(2, b"cde")],
            &[Op::Tree("a"), part(0, b"abcdef")],
            &[Op::Tree("a"), part(0, b"")],
            &[Op::Tree("a"), part(0, b"ab"), Op::Put(b"z", b"")],
            &[Op::Tree("a"), part(0, b"ab"), Op::Tree("b")],
        ];
        for ops in bad {
            assert!(walk(ops, false).is_err(), "{ops:?}");
        }
    }
}
