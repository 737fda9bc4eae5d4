//! What a transaction did, as a journal record will tell it: operations on trees by name, in order.
//!
//! ```text
//! tree          1  name          the operations that follow are on this tree, which is made if it is missing
//! insert        2  key  value
//! remove        3  key
//! remove range  4  bound  bound  each: 0 unbounded, 1 included + key, 2 excluded + key
//! clear         5
//! drop tree     6  name
//! rename tree   7  name  name
//! ```
//!
//! Names, keys and values are a length (LEB128) followed by bytes. Operations are *logical*: replaying them makes the same entries, on whatever pages.
//!
//! Promises: a transaction too large for one record stops gathering, and says so; rolling back to a savepoint forgets what came after it; bytes
//! from a journal give an error, never a panic, when they are not operations.

use crate::pages::TxnPages;
use crate::write::WriteTransaction;
use crate::{Error, KeyBounds, Result};
use pentimento_btree as btree;
use pentimento_storage::PageId;
use std::ops::Bound;
use std::sync::Arc;

pub(crate) const TREE: u8 = 1;
pub(crate) const INSERT: u8 = 2;
pub(crate) const REMOVE: u8 = 3;
pub(crate) const REMOVE_RANGE: u8 = 4;
pub(crate) const CLEAR: u8 = 5;
pub(crate) const DROP_TREE: u8 = 6;
pub(crate) const RENAME_TREE: u8 = 7;

/// A place in the operations to go back to.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    len: usize,
    tree: Option<String>,
}

/// A value that its user is building in place: it is read when the next operation begins.
#[derive(Debug)]
struct Reserved {
    tree: Arc<str>,
    root: PageId,
    key: Vec<u8>,
}

/// The operations of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Redo {
    bytes: Vec<u8>,
    /// 0: nothing is gathered.
    limit: usize,
    is_too_long: bool,
    tree: Option<String>,
    reserved: Option<Reserved>,
}

impl Redo {
    /// Gathers up to `limit` bytes; nothing if that is 0.
    pub fn up_to(limit: usize) -> Redo {
        Redo { limit, ..Redo::default() }
    }

    /// The operations, unless they are too many for a record.
    pub fn body(&self) -> Option<&[u8]> {
        (!self.is_too_long).then_some(&self.bytes)
    }

    fn is_off(&self) -> bool {
        self.limit == 0 || self.is_too_long
    }

    fn put(&mut self, kind: u8, fields: &[&[u8]]) {
        if self.is_off() {
            return;
        }
        let len: usize = 1 + fields.iter().map(|field| 10 + field.len()).sum::<usize>();
        if self.bytes.len() + len > self.limit {
            self.is_too_long = true;
            self.bytes = Vec::new();
            return;
        }
        self.bytes.push(kind);
        for field in fields {
            put_len(&mut self.bytes, field.len());
            self.bytes.extend_from_slice(field);
        }
    }

    /// The operations that follow are on this tree.
    pub fn enter(&mut self, name: &str) {
        if !self.is_off() && self.tree.as_deref() != Some(name) {
            self.put(TREE, &[name.as_bytes()]);
            self.tree = Some(name.to_owned());
        }
    }

    pub fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.put(INSERT, &[key, value]);
    }

    pub fn remove(&mut self, key: &[u8]) {
        self.put(REMOVE, &[key]);
    }

    pub fn remove_range(&mut self, bounds: &impl KeyBounds) {
        self.put(REMOVE_RANGE, &[]);
        for bound in [bounds.start(), bounds.end()] {
            match bound {
                Bound::Unbounded => self.put(0, &[]),
                Bound::Included(key) => self.put(1, &[key]),
                Bound::Excluded(key) => self.put(2, &[key]),
            }
        }
    }

    pub fn clear(&mut self) {
        self.put(CLEAR, &[]);
    }

    pub fn drop_tree(&mut self, name: &str) {
        self.put(DROP_TREE, &[name.as_bytes()]);
        self.tree = None;
    }

    pub fn rename_tree(&mut self, from: &str, to: &str) {
        self.put(RENAME_TREE, &[from.as_bytes(), to.as_bytes()]);
        self.tree = None;
    }

    /// A value of this tree is being built in place.
    pub fn reserve(&mut self, tree: &Arc<str>, root: PageId, key: &[u8]) {
        if !self.is_off() {
            self.reserved = Some(Reserved { tree: tree.clone(), root, key: key.to_vec() });
        }
    }

    /// Reads the value that was built in place, if there is one. Called before anything else is noted: its tree may get another name then.
    pub fn finish_reserved(&mut self, pages: &TxnPages) -> Result<()> {
        if let Some(Reserved { tree, root, key }) = self.reserved.take() {
            let value = btree::Tree::new(pages, root).get(&key)?;
            let value = value.ok_or_else(|| Error::damaged("tree", "a value that was being built is gone"))?;
            self.enter(&tree);
            self.put(INSERT, &[&key, value]);
        }
        Ok(())
    }

    pub fn mark(&self) -> Mark {
        Mark { len: self.bytes.len(), tree: self.tree.clone() }
    }

    pub fn go_back(&mut self, mark: &Mark) {
        self.reserved = None;
        // What was too long stays too long: the operations before the mark are gone too.
        self.bytes.truncate(mark.len);
        self.tree.clone_from(&mark.tree);
    }
}

fn put_len(bytes: &mut Vec<u8>, mut len: usize) {
    while len >= 0x80 {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
}

/// Reads operations back.
pub(crate) struct Reader<'b> {
    pub bytes: &'b [u8],
}

pub(crate) fn damaged(what: &str) -> Error {
    Error::damaged("journal record", what)
}

impl<'b> Reader<'b> {
    pub fn byte(&mut self) -> Result<u8> {
        let (&first, rest) = self.bytes.split_first().ok_or_else(|| damaged("it ends within an operation"))?;
        self.bytes = rest;
        Ok(first)
    }

    pub fn field(&mut self) -> Result<&'b [u8]> {
        let mut len = 0usize;
        for shift in (0..).step_by(7) {
            let byte = self.byte()?;
            if shift > 35 {
                return Err(damaged("a length is too long"));
            }
            len |= usize::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                break;
            }
        }
        let (field, rest) = self.bytes.split_at_checked(len).ok_or_else(|| damaged("a field ends past the record"))?;
        self.bytes = rest;
        Ok(field)
    }

    pub fn name(&mut self) -> Result<&'b str> {
        std::str::from_utf8(self.field()?).map_err(|_| damaged("a tree's name is not UTF-8"))
    }

    pub fn bound(&mut self) -> Result<Bound<&'b [u8]>> {
        match self.byte()? {
            0 => Ok(Bound::Unbounded),
            1 => Ok(Bound::Included(self.field()?)),
            2 => Ok(Bound::Excluded(self.field()?)),
            _ => Err(damaged("a bound has an unknown kind")),
        }
    }
}

/// Does again what a record tells.
///
/// # Errors
/// When the bytes are not operations, or an operation cannot be done.
pub(crate) fn replay(txn: &mut WriteTransaction, body: &[u8]) -> Result<()> {
    let mut reader = Reader { bytes: body };
    let mut name = None;
    while !reader.bytes.is_empty() {
        let kind = reader.byte()?;
        match kind {
            TREE => {
                let entered = reader.name()?;
                txn.tree(entered)?;
                name = Some(entered);
                continue;
            }
            DROP_TREE => {
                txn.drop_tree(reader.name()?)?;
                name = None;
                continue;
            }
            RENAME_TREE => {
                let (from, to) = (reader.name()?, reader.name()?);
                txn.rename_tree(from, to)?;
                name = None;
                continue;
            }
            _ => {}
        }
        let mut tree = txn.tree(name.ok_or_else(|| damaged("an operation names no tree"))?)?;
        match kind {
            INSERT => {
                let (key, value) = (reader.field()?, reader.field()?);
                tree.insert(key, value)?;
            }
            REMOVE => {
                tree.remove(reader.field()?)?;
            }
            REMOVE_RANGE => {
                let bounds = (reader.bound()?, reader.bound()?);
                tree.remove_range(bounds)?;
            }
            CLEAR => {
                tree.clear()?;
            }
            _ => return Err(damaged("an operation has an unknown kind")),
        }
    }
    Ok(())
}
