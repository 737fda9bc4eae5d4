//! Loading many entries.
//!
//! Promises: entries are taken in one pass as long as their keys ascend, and as long as no older key comes between them
//! they are packed into full leaves, with the branches built over these afterwards. From the first key that does not
//! ascend, the rest is collected, sorted (stably, so that the last of equal keys wins) and taken in the same way. What falls among
//! older keys is inserted one by one.

use std::vec;

use pentimento_storage::PageId;

use crate::edit::Fill;
use crate::layout::{LARGE_HEADER, LEAF_CELL, inline_max, stride};
use crate::node::{Node, damaged};
use crate::pages::WritePages;
use crate::parts::{Parts, separator};
use crate::path::{Path, Way};
use crate::run::{Run, size};
use crate::splice::Children;
use crate::tree_mut::{TreeMut, check_key, check_value};
use crate::value::large_value_mut;

/// How many entries may be inserted one by one before the next look for a gap.
const MOST_PATIENCE: usize = 64;

impl<P: WritePages> TreeMut<'_, P> {
    /// Inserts all entries, in any order, and says how many keys are new. Of equal keys the last one wins.
    ///
    /// Entries whose keys ascend are taken as they come; those after the first key that does not are held in memory
    /// all at once, as they are (`(K, V)`), to be sorted.
    ///
    /// # Errors
    /// When a key or a value is too long, a page is damaged or cannot be had. In the first case some of the other
    /// entries have been inserted.
    pub fn bulk_load<K, V>(&mut self, entries: impl IntoIterator<Item = (K, V)>) -> Result<u64, P::Error>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut feed = Feed::new(entries.into_iter());
        let capacity = self.capacity();
        let mut new = 0;
        let (mut patience, mut backoff) = (0, 1);
        while let Some((key, value)) = feed.next() {
            let (key, value) = (key.as_ref(), value.as_ref());
            check_key(key)?;
            if patience > 0 {
                patience -= 1;
                new += u64::from(self.insert(key, value)?);
                continue;
            }
            let upper = self.end_of_gap(key)?;
            let mut chunk = vec![(key.to_vec(), value.to_vec())];
            let mut bytes = key.len() + value.len();
            let within = |key: &[u8]| upper.as_ref().is_none_or(|upper| key < upper.as_slice());
            let mut is_gap = within(key);
            while is_gap && bytes < 2 * capacity {
                is_gap = feed.peek_in_order().is_some_and(|(key, _)| within(key.as_ref()));
                if is_gap && let Some((key, value)) = feed.next() {
                    bytes += key.as_ref().len() + value.as_ref().len();
                    chunk.push((key.as_ref().to_vec(), value.as_ref().to_vec()));
                }
            }
            if is_gap {
                new += self.fill_gap(chunk, &mut feed, within)?;
                backoff = 1;
            } else {
                for (key, value) in chunk {
                    new += u64::from(self.insert(&key, &value)?);
                }
                patience = backoff;
                backoff = (backoff * 2).min(MOST_PATIENCE);
            }
        }
        Ok(new)
    }

    /// Where the gap ends into which `key` falls: at the next key, or at the separator behind the leaf. A key that
    /// is there falls into no gap, and `key` itself is given.
    fn end_of_gap(&self, key: &[u8]) -> Result<Option<Vec<u8>>, P::Error> {
        let (path, leaf) = Path::seek(self.pages, self.root, Way::Key(key))?;
        let (index, _) = leaf.find(key)?;
        if index < leaf.count() {
            return Ok(Some(leaf.key(index)?.to_vec()));
        }
        for depth in (0..path.len()).rev() {
            let (page, number) = path.step(depth);
            let branch = Node::read(self.pages, page)?;
            if number < branch.count() {
                return Ok(Some(branch.key(number)?.to_vec()));
            }
        }
        Ok(None)
    }

    /// Builds leaves from `chunk` and what follows it in order up to the end of the gap, between the entries of the
    /// leaf where the gap is. Gives the number of keys.
    fn fill_gap<I, K, V>(
        &mut self,
        chunk: Vec<(Vec<u8>, Vec<u8>)>,
        feed: &mut Feed<I, K, V>,
        within: impl Fn(&[u8]) -> bool,
    ) -> Result<u64, P::Error>
    where
        I: Iterator<Item = (K, V)>,
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let Some((key, _)) = chunk.first() else {
            return Ok(0);
        };
        let (path, leaf) = Path::seek(self.pages, self.root, Way::Key(key))?;
        let (index, _) = leaf.find(key)?;
        let mut before = Run::from_node(&leaf)?;
        let above = path.len().checked_sub(1);
        let mut loader = Loader::new(leaf.page, above.is_some());
        let after = before.split_off(index);
        for index in 0..before.len() {
            loader.push(self, &before.key(index).to_vec(), before.fill(index))?;
        }
        let mut count = 0;
        let mut failure = None;
        for (key, value) in &chunk {
            match check_value(value.len()) {
                Ok(()) => count += loader.add(self, key, value)?,
                Err(fault) => failure = Some(fault),
            }
        }
        while failure.is_none() && feed.peek_in_order().is_some_and(|(key, _)| within(key.as_ref())) {
            let Some((key, value)) = feed.next() else {
                break;
            };
            let (key, value) = (key.as_ref(), value.as_ref());
            match check_key(key).and_then(|()| check_value(value.len())) {
                Ok(()) => count += loader.add(self, key, value)?,
                Err(fault) => failure = Some(fault),
            }
        }
        for index in 0..after.len() {
            loader.push(self, &after.key(index).to_vec(), after.fill(index))?;
        }
        match above {
            None => loader.finish_root(self)?,
            Some(above) => {
                let rest = loader.finish(self)?;
                let number = path.step(above).1;
                self.splice(&path, above, number..number, rest)?;
            }
        }
        match failure {
            Some(fault) => Err(fault.into()),
            None => Ok(count),
        }
    }
}

/// Entries in the order in which they come, sorted from where that order breaks.
struct Feed<I, K, V> {
    source: Source<I, K, V>,
    ahead: Option<(K, V)>,
    /// The key that was taken last.
    last: Option<Vec<u8>>,
}

enum Source<I, K, V> {
    Stream(I),
    Sorted(vec::IntoIter<(K, V)>),
}

impl<I: Iterator<Item = (K, V)>, K: AsRef<[u8]>, V: AsRef<[u8]>> Feed<I, K, V> {
    fn new(entries: I) -> Self {
        Feed { source: Source::Stream(entries), ahead: None, last: None }
    }

    fn ascends(&self, key: &[u8]) -> bool {
        self.last.as_ref().is_none_or(|last| last.as_slice() <= key)
    }

    fn look_ahead(&mut self) {
        if self.ahead.is_some() {
            return;
        }
        match &mut self.source {
            Source::Sorted(entries) => self.ahead = entries.next(),
            Source::Stream(entries) => {
                let Some((key, value)) = entries.next() else {
                    return;
                };
                if self.last.as_ref().is_none_or(|last| last.as_slice() <= key.as_ref()) {
                    self.ahead = Some((key, value));
                    return;
                }
                let mut all = vec![(key, value)];
                all.extend(entries);
                all.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
                let mut sorted = all.into_iter();
                self.ahead = sorted.next();
                self.source = Source::Sorted(sorted);
            }
        }
    }

    /// The next entry, unless its key is less than the last one's.
    fn peek_in_order(&mut self) -> Option<&(K, V)> {
        self.look_ahead();
        let ascends = self.ahead.as_ref().is_some_and(|(key, _)| self.ascends(key.as_ref()));
        self.ahead.as_ref().filter(|_| ascends)
    }

    fn next(&mut self) -> Option<(K, V)> {
        self.look_ahead();
        let entry = self.ahead.take()?;
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(entry.0.as_ref());
        Some(entry)
    }
}

/// Packs ascending entries into leaves.
struct Loader {
    run: Run,
    weight: usize,
    /// A page to use for the first leaf.
    reuse: Option<PageId>,
    first: Option<PageId>,
    rest: Children,
    /// The last key of the leaf written last.
    previous: Vec<u8>,
}

impl Loader {
    fn new(leaf: PageId, reuse: bool) -> Loader {
        Loader {
            run: Run::new(0, leaf),
            weight: 0,
            reuse: reuse.then_some(leaf),
            first: None,
            rest: Children::new(),
            previous: Vec::new(),
        }
    }

    /// Adds an entry that may have the same key as the last one; gives the number of new keys.
    fn add<P: WritePages>(&mut self, tree: &mut TreeMut<'_, P>, key: &[u8], value: &[u8]) -> Result<u64, P::Error> {
        let last = self.run.len().checked_sub(1);
        let repeated = last.filter(|last| self.run.key(*last).cmp(&Parts::whole(key)).is_eq());
        if let Some(last) = repeated {
            self.weight -= self.run.weight(last);
            if let Fill::Large(page, _) = self.run.split_off_last() {
                tree.pages.free(page)?;
            }
        }
        if value.len() <= inline_max(tree.capacity()) {
            self.push(tree, key, Fill::Bytes(value))?;
        } else {
            let page = tree.pages.allocate(tree.root, LARGE_HEADER + value.len())?;
            large_value_mut(tree.pages, page, value.len())?.copy_from_slice(value);
            self.push(tree, key, Fill::Large(page, value.len()))?;
        }
        Ok(u64::from(repeated.is_none()))
    }

    fn push<P: WritePages>(&mut self, tree: &mut TreeMut<'_, P>, key: &[u8], fill: Fill<'_>) -> Result<(), P::Error> {
        let weight = stride(0) + LEAF_CELL + key.len() + fill.cell_len();
        let count = self.run.len();
        if let Some(last) = count.checked_sub(1) {
            if self.run.key(last).cmp(&Parts::whole(key)).is_ge() {
                return Err(damaged(self.run.page, "keys do not ascend").into());
            }
            let shared = self.run.key(0).shared(&Parts::whole(key));
            if size(count + 1, shared, self.weight + weight) > tree.capacity() {
                self.flush(tree)?;
            }
        }
        self.run.insert(self.run.len(), key, fill);
        self.weight += weight;
        Ok(())
    }

    fn flush<P: WritePages>(&mut self, tree: &mut TreeMut<'_, P>) -> Result<(), P::Error> {
        let Some(last) = self.run.len().checked_sub(1) else {
            return Ok(());
        };
        let reuse = self.reuse.take();
        let (page, _) = tree.write_pieces(&self.run, &[self.run.all()], reuse.as_slice())?;
        if self.first.is_none() {
            self.first = Some(page);
        } else {
            self.rest.push((separator(&Parts::whole(&self.previous), &self.run.key(0)), page));
        }
        self.previous = self.run.key(last).to_vec();
        self.run.clear();
        self.weight = 0;
        Ok(())
    }

    /// Writes what is left, and gives all leaves but the first.
    fn finish<P: WritePages>(mut self, tree: &mut TreeMut<'_, P>) -> Result<Children, P::Error> {
        self.flush(tree)?;
        Ok(self.rest)
    }

    /// Writes what is left as the whole tree.
    fn finish_root<P: WritePages>(mut self, tree: &mut TreeMut<'_, P>) -> Result<(), P::Error> {
        if self.first.is_none() {
            self.reuse = Some(tree.root);
            return self.flush(tree);
        }
        self.flush(tree)?;
        match self.first {
            Some(first) => tree.grow_root(0, first, self.rest),
            None => Ok(()),
        }
    }
}
