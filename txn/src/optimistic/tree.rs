//! A tree as a concurrent transaction reads and changes it.

use super::blind::{BlindOp, decode_counter};
use super::overlay::Overlay;
use super::range::ConcurrentRange;
use super::reads::ReadLog;
use super::span::Cut;
use crate::snapshot::Tree;
use crate::{Error, Key, KeyBounds, MAX_KEY_LEN, MAX_VALUE_LEN, Result};
use std::fmt;
use std::ops::Bound;

/// A tree in a concurrent transaction: an ordered map from byte strings to byte strings. Reads see the transaction's own changes.
///
/// Under [`Isolation::Serializable`](crate::Isolation::Serializable) each read is noted, to be validated at the commit: single keys, and ranges as far as they were walked.
/// [`insert`](ConcurrentTree::insert), [`add`](ConcurrentTree::add) and [`append`](ConcurrentTree::append) read nothing.
pub struct ConcurrentTree<'t> {
    name: &'t str,
    base: Option<Tree<'t>>,
    overlay: &'t mut Overlay,
    reads: &'t ReadLog,
}

impl<'t> ConcurrentTree<'t> {
    pub(super) fn new(
        name: &'t str,
        base: Option<Tree<'t>>,
        overlay: &'t mut Overlay,
        reads: &'t ReadLog,
    ) -> ConcurrentTree<'t> {
        ConcurrentTree { name, base, overlay, reads }
    }

    /// What the snapshot has.
    fn base(&self, key: &[u8]) -> Result<Option<&'t [u8]>> {
        self.base.map_or(Ok(None), |base| base.get(key))
    }

    /// The value of a key, borrowed from the transaction.
    ///
    /// # Errors
    /// When a page on the way is damaged; [`Error::NotACounter`] if this transaction added to something else.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<&[u8]>> {
        let key = key.as_ref();
        match self.overlay.get(key) {
            Some(change) => {
                if change.is_blind() {
                    self.reads.key(key);
                }
                change.value(self.name, key, || self.base(key))
            }
            None => {
                self.reads.key(key);
                self.base(key)
            }
        }
    }

    /// Whether there is an entry of this key.
    ///
    /// # Errors
    /// As for [`get`](ConcurrentTree::get).
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    /// The entry with the smallest key.
    ///
    /// # Errors
    /// As for [`get`](ConcurrentTree::get).
    pub fn first(&self) -> Result<Option<(Key<'_>, &[u8])>> {
        match self.overlay.ends().0.as_start() {
            Some(start) => self.walk(start, Bound::Unbounded)?.next().transpose(),
            None => Ok(None),
        }
    }

    /// The entry with the greatest key.
    ///
    /// # Errors
    /// As for [`get`](ConcurrentTree::get).
    pub fn last(&self) -> Result<Option<(Key<'_>, &[u8])>> {
        let end = self.overlay.ends().1;
        self.walk(Bound::Unbounded, end.as_end())?.next_back().transpose()
    }

    /// The entries whose keys lie in a range, in order, as for [`Tree::range`](crate::Tree::range).
    ///
    /// # Errors
    /// As for [`get`](ConcurrentTree::get).
    pub fn range(&self, bounds: impl KeyBounds) -> Result<ConcurrentRange<'_>> {
        self.walk(bounds.start(), bounds.end())
    }

    fn walk(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<ConcurrentRange<'_>> {
        let own = self.overlay.range(start, end);
        let base = self.base.map(|base| base.range((start, end))).transpose()?;
        Ok(ConcurrentRange::new(self.name, base, own, self.reads.scan(start, end)))
    }

    /// The entries whose keys begin with `prefix`, in order.
    ///
    /// # Errors
    /// As for [`get`](ConcurrentTree::get).
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<ConcurrentRange<'_>> {
        let prefix = prefix.as_ref();
        let end = match prefix.iter().rposition(|byte| *byte != u8::MAX) {
            Some(at) => {
                let mut end = prefix[..=at].to_vec();
                end[at] += 1;
                Bound::Excluded(end)
            }
            None => Bound::Unbounded,
        };
        self.range((Bound::Included(prefix.to_vec()), end))
    }

    /// All entries, in order.
    ///
    /// # Errors
    /// As for [`get`](ConcurrentTree::get).
    pub fn iter(&self) -> Result<ConcurrentRange<'_>> {
        self.range(..)
    }

    /// The number of entries. Costs a look-up for each key that this transaction changed; to a serializable transaction it counts as reading the whole tree.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn len(&self) -> Result<u64> {
        self.reads.whole();
        let mut len = self.base.map_or(Ok(0), |base| base.len())?;
        for (key, change) in self.overlay.iter() {
            let was_there = self.base(key)?.is_some();
            len = (len + u64::from(!change.is_removal()))
                .checked_sub(u64::from(was_there))
                .ok_or_else(|| Error::damaged("tree", "it has more entries than its register counts"))?;
        }
        Ok(len)
    }

    /// Whether there are no entries.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.first()?.is_none())
    }

    /// Sets the value of a key, without looking what it was.
    ///
    /// # Errors
    /// [`Error::KeyTooLong`], [`Error::ValueTooLong`].
    pub fn insert(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        check_sizes(key, value.len())?;
        self.overlay.put(key, value);
        Ok(())
    }

    /// Sets the value of a key, and returns what it was.
    ///
    /// # Errors
    /// As for [`insert`](ConcurrentTree::insert) and [`get`](ConcurrentTree::get).
    pub fn replace(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let key = key.as_ref();
        let old = self.get(key)?.map(<[u8]>::to_vec);
        self.insert(key, value)?;
        Ok(old)
    }

    /// Removes a key, without looking whether it was there: that is not read, so nobody's change of it before is a conflict of a serializable transaction's reads.
    /// Who else has changed the key since the snapshot is a conflict, as for [`insert`](ConcurrentTree::insert).
    ///
    /// # Errors
    /// None: it can be used where [`TreeMut::delete`](crate::TreeMut::delete) can.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        self.overlay.remove(key.as_ref());
        Ok(())
    }

    /// Removes a key; `false` if it was not there.
    ///
    /// # Errors
    /// As for [`get`](ConcurrentTree::get).
    pub fn remove(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        let key = key.as_ref();
        let was_there = self.contains_key(key)?;
        if was_there {
            self.overlay.remove(key);
        }
        Ok(was_there)
    }

    /// Removes a key, and returns its value.
    ///
    /// # Errors
    /// As for [`get`](ConcurrentTree::get).
    pub fn take(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let key = key.as_ref();
        let old = self.get(key)?.map(<[u8]>::to_vec);
        if old.is_some() {
            self.overlay.remove(key);
        }
        Ok(old)
    }

    /// Removes the entry with the smallest key, and returns it.
    ///
    /// # Errors
    /// As for [`get`](ConcurrentTree::get).
    pub fn pop_first(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let entry = self.first()?.map(|(key, value)| (key.into_vec(), value.to_vec()));
        let emptied_to = match &entry {
            Some((key, _)) => {
                self.overlay.remove(key);
                Cut::At(key.clone(), true)
            }
            None => Cut::Top,
        };
        self.overlay.note_empty(Cut::BOTTOM.to_owned(), emptied_to);
        Ok(entry)
    }

    /// Removes the entry with the greatest key, and returns it.
    ///
    /// # Errors
    /// As for [`get`](ConcurrentTree::get).
    pub fn pop_last(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let entry = self.last()?.map(|(key, value)| (key.into_vec(), value.to_vec()));
        let emptied_from = match &entry {
            Some((key, _)) => {
                self.overlay.remove(key);
                Cut::At(key.clone(), false)
            }
            None => Cut::BOTTOM.to_owned(),
        };
        self.overlay.note_empty(emptied_from, Cut::Top);
        Ok(entry)
    }

    /// Removes every entry whose key lies in a range, and tells how many. It reads the range: keys that others put there meanwhile are not removed
    /// ([`Isolation::Snapshot`](crate::Isolation::Snapshot)) or a conflict ([`Isolation::Serializable`](crate::Isolation::Serializable)).
    ///
    /// # Errors
    /// As for [`get`](ConcurrentTree::get).
    pub fn remove_range(&mut self, bounds: impl KeyBounds) -> Result<u64> {
        let (start, end) = (bounds.start(), bounds.end());
        let keys = self.walk(start, end)?.map(|entry| Ok(entry?.0.into_vec())).collect::<Result<Vec<_>>>()?;
        keys.iter().for_each(|key| self.overlay.remove(key));
        self.overlay.note_empty(Cut::of_start(start).to_owned(), Cut::of_end(end).to_owned());
        Ok(keys.len() as u64)
    }

    /// Removes every entry, and tells how many. As [`remove_range`](ConcurrentTree::remove_range).
    ///
    /// # Errors
    /// As for [`get`](ConcurrentTree::get).
    pub fn clear(&mut self) -> Result<u64> {
        self.remove_range(..)
    }

    /// Sets a key to `new` (`None`: removes it) if it is `expected` (`None`: missing) now; tells whether it was. An ordinary read and write.
    ///
    /// # Errors
    /// As for [`insert`](ConcurrentTree::insert) and [`get`](ConcurrentTree::get).
    pub fn compare_and_swap(
        &mut self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool> {
        let key = key.as_ref();
        if self.get(key)? != expected {
            return Ok(false);
        }
        match new {
            Some(value) => self.insert(key, value)?,
            None => drop(self.remove(key)?),
        }
        Ok(true)
    }

    /// The value of a counter: eight bytes, an `i64` in little-endian order; zero if it is missing.
    ///
    /// # Errors
    /// [`Error::NotACounter`] if it has another length, and as for [`get`](ConcurrentTree::get).
    pub fn counter(&self, key: impl AsRef<[u8]>) -> Result<i64> {
        let key = key.as_ref();
        decode_counter(self.name, key, self.get(key)?)
    }

    /// Adds to a [counter](ConcurrentTree::counter), and tells what it was before. An ordinary read and write, so two at once conflict: where the old
    /// value does not matter take [`add`](ConcurrentTree::add).
    ///
    /// # Errors
    /// As for [`counter`](ConcurrentTree::counter) and [`insert`](ConcurrentTree::insert).
    pub fn fetch_add(&mut self, key: impl AsRef<[u8]>, delta: i64) -> Result<i64> {
        let key = key.as_ref();
        let old = self.counter(key)?;
        self.insert(key, old.wrapping_add(delta).to_le_bytes())?;
        Ok(old)
    }

    /// Adds to a [counter](ConcurrentTree::counter) without looking at it: at the commit the newest value is taken, so transactions that add to or append to the
    /// same key do not conflict with each other; with those that set, remove or (if serializable) read it they do. Sums wrap around. Reading the key afterwards in
    /// the same transaction makes an ordinary read and write of it. Reading it *before* is noted by serializable transactions only: under
    /// [`Isolation::Snapshot`](crate::Isolation::Snapshot), where the addition depends on what was read, take [`fetch_add`](ConcurrentTree::fetch_add).
    ///
    /// # Errors
    /// [`Error::KeyTooLong`]; [`Error::NotACounter`], here or at the commit, if there is something else.
    pub fn add(&mut self, key: impl AsRef<[u8]>, delta: i64) -> Result<()> {
        let key = key.as_ref();
        check_sizes(key, size_of::<i64>())?;
        self.overlay.blind(self.name, key, BlindOp::Add(delta))
    }

    /// Appends bytes to a value, which is made if it is missing, without looking at it. Conflicts are as for [`add`](ConcurrentTree::add); the parts of
    /// several transactions stand in the order of their commits.
    ///
    /// # Errors
    /// [`Error::KeyTooLong`]; [`Error::ValueTooLong`], here or at the commit.
    pub fn append(&mut self, key: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> Result<()> {
        let (key, bytes) = (key.as_ref(), bytes.as_ref());
        check_sizes(key, bytes.len())?;
        self.overlay.blind(self.name, key, BlindOp::Append(bytes.to_vec()))
    }
}

/// Refuses now what a page would refuse at the commit.
fn check_sizes(key: &[u8], value_len: usize) -> Result<()> {
    if key.len() > MAX_KEY_LEN {
        return Err(Error::KeyTooLong { len: key.len(), max: MAX_KEY_LEN });
    }
    if value_len > MAX_VALUE_LEN {
        return Err(Error::ValueTooLong { len: value_len, max: MAX_VALUE_LEN });
    }
    Ok(())
}

impl fmt::Debug for ConcurrentTree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrentTree").field("name", &self.name).field("changes", &self.overlay.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::range::STEPS;
    use crate::{Database, Isolation};
    use quickcheck::quickcheck;
    use std::collections::BTreeMap;

    fn store(keys: impl Iterator<Item = u32>) -> Database {
        let db = Database::in_memory().unwrap();
        let mut txn = db.begin_write().unwrap();
        let mut tree = txn.tree("t").unwrap();
        keys.for_each(|key| tree.insert(key.to_be_bytes(), b"v").unwrap());
        txn.commit().unwrap();
        db
    }

    /// What removed changes lie before the end is not met again and again, also when keys come back there meanwhile.
    #[test]
    fn emptying_a_tree_from_an_end_takes_as_many_steps_as_there_are_entries() {
        const ENTRIES: u32 = 2000;
        let db = store(0..ENTRIES);
        for isolation in [Isolation::Snapshot, Isolation::Serializable] {
            for first in [true, false] {
                let mut txn = db.begin_concurrent(isolation).unwrap();
                let mut tree = txn.tree("t").unwrap();
                STEPS.set(0);
                for number in 0..ENTRIES {
                    let (key, _) = if first { tree.pop_first() } else { tree.pop_last() }.unwrap().unwrap();
                    assert_eq!(key, if first { number } else { ENTRIES - 1 - number }.to_be_bytes());
                    if number % 100 == 50 {
                        // A stack: what is put there comes back next.
                        tree.insert(&key, b"again").unwrap();
                        let (again, value) = if first { tree.pop_first() } else { tree.pop_last() }.unwrap().unwrap();
                        assert_eq!((again, value), (key, b"again".to_vec()));
                    }
                }
                assert_eq!((tree.pop_first().unwrap(), tree.pop_last().unwrap()), (None, None));
                assert!(tree.is_empty().unwrap());
                let steps = STEPS.get();
                assert!(steps < 3 * u64::from(ENTRIES), "{steps} steps for {ENTRIES} entries");
                txn.rollback();
            }
        }
    }

    /// Reads are claims also where the walk begins behind what was popped.
    #[test]
    fn what_was_popped_and_what_was_not_there_is_read() {
        for key in [0u32, 5, 9] {
            let db = store((0..10).filter(|other| *other != 9));
            let mut txn = db.begin_concurrent(Isolation::Serializable).unwrap();
            let mut tree = txn.tree("t").unwrap();
            while tree.pop_first().unwrap().is_some() {}
            let mut other = db.begin_write().unwrap();
            other.tree("t").unwrap().insert(key.to_be_bytes(), b"new").unwrap();
            other.commit().unwrap();
            assert!(txn.commit().unwrap_err().is_retryable(), "key {key}");
        }
    }

    quickcheck! {
        fn pops_agree_with_a_map(base: Vec<u8>, steps: Vec<(u8, u8)>) -> bool {
            let db = store(base.iter().map(|key| u32::from(*key)));
            let mut model: BTreeMap<u32, Vec<u8>> = base.iter().map(|key| (u32::from(*key), b"v".to_vec())).collect();
            let mut txn = db.begin_concurrent(Isolation::Serializable).unwrap();
            let mut tree = txn.tree("t").unwrap();
            let known = |entry: Option<(Vec<u8>, Vec<u8>)>| {
                entry.map(|(key, value)| (u32::from_be_bytes(key.try_into().unwrap()), value))
            };
            steps.into_iter().all(|(kind, key)| {
                let key = u32::from(key);
                match kind % 8 {
                    0 | 1 => known(tree.pop_first().unwrap()) == model.pop_first(),
                    2 | 3 => known(tree.pop_last().unwrap()) == model.pop_last(),
                    4 => {
                        tree.insert(key.to_be_bytes(), b"w").unwrap();
                        model.insert(key, b"w".to_vec());
                        true
                    }
                    5 => {
                        tree.append(key.to_be_bytes(), b"x").unwrap();
                        model.entry(key).or_default().push(b'x');
                        true
                    }
                    6 => tree.remove(key.to_be_bytes()).unwrap() == model.remove(&key).is_some(),
                    _ => {
                        let bounds = (key / 2).to_be_bytes()..=key.to_be_bytes();
                        let before = model.len();
                        model.retain(|other, _| !(key / 2..=key).contains(other));
                        tree.remove_range(bounds).unwrap() == (before - model.len()) as u64
                    }
                }
            }) && tree.iter().unwrap().map(|entry| entry.unwrap().0.into_vec()).eq(model.keys().map(|key| key.to_be_bytes().to_vec()))
        }
    }
}
