//! Doing in a store what a stream tells.

use super::ops::Op;
use super::{Origin, StreamError};
use crate::sync::Ordering;
use crate::{Durability, Result, Timestamp, WriteTransaction};

/// A transaction that a stream is applied to.
pub(crate) struct Applier {
    txn: WriteTransaction,
    /// Whether the store must have everything that the stream removes.
    is_exact: bool,
    tree: String,
    /// What there is of a value that comes in pieces.
    value: Vec<u8>,
}

impl Applier {
    pub fn new(mut txn: WriteTransaction, is_exact: bool) -> Applier {
        txn.is_receiving = true;
        Applier { txn, is_exact, tree: String::new(), value: Vec::new() }
    }

    fn expect(&self, is_there: bool) -> Result<()> {
        if is_there || !self.is_exact { Ok(()) } else { Err(StreamError::Diverged { tree: self.tree.clone() }.into()) }
    }

    /// Does one operation. They were checked: they are in order.
    pub fn apply(&mut self, op: &Op<'_>) -> Result<()> {
        match *op {
            Op::Tree(name) => {
                name.clone_into(&mut self.tree);
                self.txn.tree(name).map(drop)
            }
            Op::Put(key, value) => self.txn.tree(&self.tree)?.insert(key, value),
            Op::Remove(key) => {
                let was_there = self.txn.tree(&self.tree)?.remove(key)?;
                self.expect(was_there)
            }
            Op::DropTree(name) => {
                name.clone_into(&mut self.tree);
                let was_there = self.txn.drop_tree(name)?;
                self.expect(was_there)
            }
            Op::Part { key, total, bytes, .. } => {
                self.value.extend_from_slice(bytes);
                if self.value.len() as u64 == total {
                    let value = std::mem::take(&mut self.value);
                    self.txn.tree(&self.tree)?.insert(key, value)?;
                }
                Ok(())
            }
        }
    }

    /// Commits it all, durably, with the note of what the store is a copy of now.
    pub fn commit(mut self, origin: Origin) -> Result<Timestamp> {
        self.txn.set_origin_note(&origin.to_note())?;
        self.txn.set_durability(Durability::Sync)?;
        // Under the turn. Should the commit fail it is set again in any case.
        self.txn.handle.shared.is_copy.store(true, Ordering::Relaxed);
        self.txn.commit()
    }
}
