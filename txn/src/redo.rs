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
//! origin        8  note          what the store is a copy of: see `backup/origin.rs`
//! ```
//!
//! Names, keys and values are a length (LEB128) followed by bytes. Operations are *logical*: replaying them makes the same entries, on whatever pages.
//!
//! Promises: a transaction too large for one record stops gathering, and says so; rolling back to a savepoint forgets what came after it; what waits
//! to be applied can be read back, gathered or not, until it is; bytes from a journal give an error, never a panic, when they are not operations.

use crate::names::Names;
use crate::pages::TxnPages;
use crate::write::WriteTransaction;
use crate::{Error, KeyBounds, Result};
use pentimento_btree as btree;
use pentimento_storage::{PageId, prepare_room};
use std::ops::Bound;
use std::sync::Arc;

const TREE: u8 = 1;
const INSERT: u8 = 2;
const REMOVE: u8 = 3;
const REMOVE_RANGE: u8 = 4;
const CLEAR: u8 = 5;
const DROP_TREE: u8 = 6;
const RENAME_TREE: u8 = 7;
const ORIGIN: u8 = 8;

/// The memory that operations get at first.
const FIRST_BYTES: usize = 512;
/// Where as much as this waits already much more is likely to; memory that was filled this far is of use to others. (Of less an allocator may keep some for the next transaction: the GNU C library's gives back
/// to the system at once what is larger than this.)
const LARGE: usize = 32 << 20;

const WRITTEN: &str = "what waits was written here";

/// A place in the operations to go back to.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    len: usize,
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
    /// What is in `bytes` nobody needs any more.
    is_spent: bool,
    /// How many bytes may come to wait.
    waiting_max: usize,
    /// 0: nothing is gathered. What is in `bytes` then, or when it is too long, waits to be applied.
    limit: usize,
    is_too_long: bool,
    /// Inserts or removals in `bytes` wait to be applied.
    has_pending: bool,
    /// The root of the tree that operations are on, if it was named.
    tree: Option<PageId>,
    reserved: Option<Reserved>,
    /// Trees that were entered, dropped or renamed, and those that were made, whatever was rolled back or not gathered since.
    touched: Names,
    created: Names,
}

impl Redo {
    /// Gathers up to `limit` bytes; nothing if that is 0.
    #[cfg(test)]
    pub fn up_to(limit: usize) -> Redo {
        Redo { limit, ..Redo::default() }
    }

    /// Gathers up to `limit` bytes, nothing if that is 0, in the memory of operations that nobody needs any more.
    pub fn begin_anew(&mut self, limit: usize) {
        self.bytes.clear();
        (self.limit, self.is_too_long, self.has_pending, self.is_spent) = (limit, false, false, false);
        (self.tree, self.reserved) = (None, None);
        self.touched.clear();
        self.created.clear();
    }

    /// So many bytes may come to wait.
    pub fn expect_waiting(&mut self, bytes: usize) {
        self.waiting_max = bytes;
    }

    /// Nobody needs the operations any more, and what is kept for others is no more memory than this. If there is much of it, it is given away, with what was written there last.
    pub fn limit_memory(&mut self, bytes: usize) -> Option<Vec<u8>> {
        self.is_spent = false;
        if self.bytes.len() >= LARGE {
            return Some(std::mem::take(&mut self.bytes));
        }
        self.bytes.clear();
        self.bytes.shrink_to(bytes);
        None
    }

    /// The operations, unless they are too many for a record.
    pub fn body(&self) -> Option<&[u8]> {
        (!self.is_too_long).then_some(if self.is_spent { &[] } else { &self.bytes })
    }

    /// Whether the operations are gathered at all, so that an empty body means that there are none.
    pub fn is_gathered(&self) -> bool {
        self.limit > 0
    }

    /// The trees that were entered, dropped or renamed; some may be as they were.
    pub fn touched(&self) -> &Names {
        &self.touched
    }

    /// The trees that were made; some may be gone again.
    pub fn created(&self) -> &Names {
        &self.created
    }

    /// A tree was made. Its being entered says so in the record.
    pub fn created_tree(&mut self, name: &str) {
        self.created.insert(name);
    }

    fn is_off(&self) -> bool {
        self.limit == 0 || self.is_too_long
    }

    #[inline]
    fn put(&mut self, kind: u8, fields: &[&[u8]]) {
        if self.is_off() {
            return;
        }
        let len: usize = 1 + fields.iter().map(|field| 10 + field.len()).sum::<usize>();
        if self.bytes.len() + len > self.limit {
            self.is_too_long = true;
            if !self.has_pending {
                self.bytes = Vec::new();
            }
            return;
        }
        if self.bytes.is_empty() {
            // Most transactions are small: one piece of memory will do.
            self.bytes.reserve((2 * len).max(FIRST_BYTES));
        }
        self.bytes.push(kind);
        for field in fields {
            put_len(&mut self.bytes, field.len());
            self.bytes.extend_from_slice(field);
        }
    }

    /// An insert that waits to be applied: it can be read back from where it begins, which is told, until [`applied`](Redo::applied).
    #[inline]
    pub fn insert_pending(&mut self, key: &[u8], value: &[u8]) -> u32 {
        let at = self.begin_pending(21 + key.len() + value.len());
        self.bytes.push(INSERT);
        put_len(&mut self.bytes, key.len());
        self.bytes.extend_from_slice(key);
        put_len(&mut self.bytes, value.len());
        self.bytes.extend_from_slice(value);
        at as u32
    }

    /// A removal that waits to be applied, likewise.
    #[inline]
    pub fn remove_pending(&mut self, key: &[u8]) -> u32 {
        let at = self.begin_pending(11 + key.len());
        self.bytes.push(REMOVE);
        put_len(&mut self.bytes, key.len());
        self.bytes.extend_from_slice(key);
        at as u32
    }

    /// An operation of `len` bytes at most that waits begins here.
    #[inline]
    fn begin_pending(&mut self, len: usize) -> usize {
        if self.is_spent {
            self.bytes.clear();
            self.is_spent = false;
        }
        let at = self.bytes.len();
        self.has_pending = true;
        if at >= LARGE && at + len > self.bytes.capacity() && at + len <= self.waiting_max {
            self.make_much_room();
        }
        if !self.is_off() && at + len > self.limit {
            // Those before it may be waiting as well.
            self.is_too_long = true;
        }
        at
    }

    /// Room for all that may come to wait, instead of moving what there is again and again.
    #[cold]
    fn make_much_room(&mut self) {
        if self.bytes.try_reserve_exact(self.waiting_max - self.bytes.len()).is_ok() {
            let before = self.bytes.len();
            prepare_room(before, self.bytes.spare_capacity_mut());
        }
    }

    /// The key and the value of the insert that begins at `at`, or the key of the removal and no value.
    #[inline]
    pub fn pending_at(&self, at: u32) -> (&[u8], &[u8]) {
        let (kind, bytes) = self.bytes[at as usize..].split_first().expect(WRITTEN);
        let mut reader = Reader { bytes };
        let key = reader.field().expect(WRITTEN);
        (key, if *kind == INSERT { reader.field().expect(WRITTEN) } else { &[] })
    }

    /// The bytes of the operation that begins at `at`, which are `len`.
    #[inline]
    pub fn bytes_at(&self, at: u32, len: u32) -> &[u8] {
        &self.bytes[at as usize..][..len as usize]
    }

    /// How many bytes the operations have.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Nothing is waiting any more.
    pub fn applied(&mut self) {
        self.has_pending = false;
        self.is_spent |= self.is_off();
    }

    /// Whether a value is being built in place.
    #[inline]
    pub fn has_reserved(&self) -> bool {
        self.reserved.is_some()
    }

    /// The operations that follow are on the tree of this name and root.
    #[inline]
    pub fn enter(&mut self, name: &Arc<str>, root: PageId) {
        if self.tree != Some(root) {
            self.touched.insert_shared(name);
            self.put(TREE, &[name.as_bytes()]);
            self.tree = Some(root);
        }
    }

    #[inline]
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
        self.touched.insert(name);
        self.put(DROP_TREE, &[name.as_bytes()]);
        self.tree = None;
    }

    pub fn rename_tree(&mut self, from: &str, to: &str) {
        self.touched.insert(from);
        self.touched.insert(to);
        self.put(RENAME_TREE, &[from.as_bytes(), to.as_bytes()]);
        self.tree = None;
    }

    /// What the store is a copy of has changed.
    pub fn origin(&mut self, note: &[u8]) {
        self.put(ORIGIN, &[note]);
    }

    /// A value of this tree is being built in place.
    pub fn reserve(&mut self, tree: &Arc<str>, root: PageId, key: &[u8]) {
        if !self.is_off() {
            self.reserved = Some(Reserved { tree: tree.clone(), root, key: key.to_vec() });
        }
    }

    /// Reads the value that was built in place, if there is one. Called before anything else is noted: its tree may get another name then.
    #[inline]
    pub fn finish_reserved(&mut self, pages: &TxnPages) -> Result<()> {
        if self.reserved.is_some() { self.note_reserved(pages) } else { Ok(()) }
    }

    #[cold]
    fn note_reserved(&mut self, pages: &TxnPages) -> Result<()> {
        if let Some(Reserved { tree, root, key }) = self.reserved.take() {
            let value = btree::Tree::new(pages, root).get(&key)?;
            let value = value.ok_or_else(|| Error::damaged("tree", "a value that was being built is gone"))?;
            self.enter(&tree, root);
            self.put(INSERT, &[&key, value]);
        }
        Ok(())
    }

    pub fn mark(&self) -> Mark {
        Mark { len: if self.is_spent { 0 } else { self.bytes.len() } }
    }

    pub fn go_back(&mut self, mark: &Mark) {
        self.reserved = None;
        self.has_pending = false;
        // What was too long stays too long: the operations before the mark are gone too.
        self.bytes.truncate(mark.len);
        // Whichever it was, its root may be another tree's now.
        self.tree = None;
    }
}

#[inline]
fn put_len(bytes: &mut Vec<u8>, mut len: usize) {
    while len >= 0x80 {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
}

/// Reads operations back.
struct Reader<'b> {
    bytes: &'b [u8],
}

fn damaged(what: &str) -> Error {
    Error::damaged("journal record", what)
}

impl<'b> Reader<'b> {
    #[inline]
    fn byte(&mut self) -> Result<u8> {
        let (&first, rest) = self.bytes.split_first().ok_or_else(|| damaged("it ends within an operation"))?;
        self.bytes = rest;
        Ok(first)
    }

    #[inline]
    fn field(&mut self) -> Result<&'b [u8]> {
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

    fn name(&mut self) -> Result<&'b str> {
        std::str::from_utf8(self.field()?).map_err(|_| damaged("a tree's name is not UTF-8"))
    }

    fn bound(&mut self) -> Result<Bound<&'b [u8]>> {
        match self.byte()? {
            0 => Ok(Bound::Unbounded),
            1 => Ok(Bound::Included(self.field()?)),
            2 => Ok(Bound::Excluded(self.field()?)),
            _ => Err(damaged("a bound has an unknown kind")),
        }
    }
}

/// One operation, as a record tells it.
#[derive(Debug)]
pub(crate) enum Op<'b> {
    Tree(&'b str),
    Insert(&'b [u8], &'b [u8]),
    Remove(&'b [u8]),
    RemoveRange(Bound<&'b [u8]>, Bound<&'b [u8]>),
    Clear,
    DropTree(&'b str),
    RenameTree(&'b str, &'b str),
    Origin(&'b [u8]),
}

/// The operations of a record, in order; after an error there are no more. One on entries comes after the tree that it is on.
pub(crate) fn ops(body: &[u8]) -> impl Iterator<Item = Result<Op<'_>>> {
    let (mut reader, mut in_tree) = (Reader { bytes: body }, false);
    std::iter::from_fn(move || {
        if reader.bytes.is_empty() {
            return None;
        }
        let op = reader.op(&mut in_tree);
        if op.is_err() {
            reader.bytes = &[];
        }
        Some(op)
    })
}

impl<'b> Reader<'b> {
    fn op(&mut self, in_tree: &mut bool) -> Result<Op<'b>> {
        let kind = self.byte()?;
        let op = match kind {
            TREE => Op::Tree(self.name()?),
            DROP_TREE => Op::DropTree(self.name()?),
            RENAME_TREE => Op::RenameTree(self.name()?, self.name()?),
            ORIGIN => Op::Origin(self.field()?),
            _ if !*in_tree => return Err(damaged("an operation names no tree")),
            INSERT => Op::Insert(self.field()?, self.field()?),
            REMOVE => Op::Remove(self.field()?),
            REMOVE_RANGE => Op::RemoveRange(self.bound()?, self.bound()?),
            CLEAR => Op::Clear,
            _ => return Err(damaged("an operation has an unknown kind")),
        };
        match op {
            Op::Tree(_) => *in_tree = true,
            Op::DropTree(_) | Op::RenameTree(..) => *in_tree = false,
            _ => {}
        }
        Ok(op)
    }
}

/// Does again what a record tells.
///
/// # Errors
/// When the bytes are not operations, or an operation cannot be done.
pub(crate) fn replay(txn: &mut WriteTransaction, body: &[u8]) -> Result<()> {
    let mut name = "";
    for op in ops(body) {
        match op? {
            Op::Tree(entered) => {
                txn.tree(entered)?;
                name = entered;
            }
            Op::Insert(key, value) => txn.tree(name)?.insert(key, value)?,
            Op::Remove(key) => txn.tree(name)?.delete(key)?,
            Op::RemoveRange(start, end) => drop(txn.tree(name)?.remove_range((start, end))?),
            Op::Clear => drop(txn.tree(name)?.clear()?),
            Op::DropTree(dropped) => drop(txn.drop_tree(dropped)?),
            Op::RenameTree(from, to) => txn.rename_tree(from, to)?,
            Op::Origin(note) => txn.set_origin_note(note)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_what_waited_is_given_away_if_it_is_much() {
        let value = vec![7; 1 << 20];
        let wait = |redo: &mut Redo, count: usize| {
            (0..count)
                .for_each(|number| assert_eq!(redo.insert_pending(b"key", &value) as usize / value.len(), number));
            redo.applied();
        };
        let (mut redo, most) = (Redo::default(), 64 << 20);
        redo.expect_waiting(most);
        wait(&mut redo, 33);
        assert!(redo.bytes.capacity() >= most, "more may come");
        assert_eq!((redo.body(), redo.mark().len), (Some([].as_slice()), 0), "but nothing of it is left");
        wait(&mut redo, 1);
        assert!(redo.limit_memory(4096).is_none() && redo.bytes.capacity() < 8192, "what was written last is little");
        wait(&mut redo, 33);
        let given = redo.limit_memory(4096).unwrap();
        assert!(given.len() >= 33 * value.len() && redo.bytes.capacity() == 0);
        wait(&mut redo, 1);
        redo.begin_anew(1 << 10);
        redo.remove(b"key");
        assert_eq!(redo.body(), Some([REMOVE, 3, b'k', b'e', b'y'].as_slice()));
    }

    #[test]
    fn nothing_of_a_transaction_is_left_to_the_next() {
        let mut redo = Redo::up_to(64);
        redo.created_tree("made");
        redo.enter(&"met".into(), PageId(2));
        redo.reserve(&"met".into(), PageId(2), b"key");
        redo.insert(b"key", &[0; 64]);
        assert_eq!(redo.body(), None, "too long");
        redo.begin_anew(32);
        assert_eq!(redo.body(), Some([].as_slice()));
        assert!(redo.touched().is_empty() && redo.created().is_empty() && !redo.has_reserved());
        // The tree is named again, and the limit is the new one.
        redo.enter(&"met".into(), PageId(2));
        assert_eq!(redo.body(), Some([TREE, 3, b'm', b'e', b't'].as_slice()));
        assert!(redo.touched().iter().eq(["met"]));
        redo.insert(b"key", &[0; 32]);
        assert_eq!(redo.body(), None);
    }
}
