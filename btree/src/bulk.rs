//! Loading many entries.
//!
//! Promises: entries are taken in one pass as long as their keys ascend, and as long as no older key comes between them
//! they are packed into full leaves, with the branches built over these afterwards. From the first key that does not
//! ascend, the rest is collected, sorted and taken in the same way; of equal keys the last one wins. What falls among
//! older keys is inserted one by one.

use crate::feed::Feed;
use crate::loader::Loader;
use crate::node::Node;
use crate::pages::WritePages;
use crate::path::{Path, Way};
use crate::run::Run;
use crate::tree_mut::{TreeMut, check_key, check_value};

/// How many entries may be inserted one by one before the next look for a gap.
const MOST_PATIENCE: usize = 64;

impl<P: WritePages> TreeMut<'_, P> {
    /// Inserts all entries, in any order, and says how many keys are new. Of equal keys the last one wins.
    ///
    /// Entries whose keys ascend are taken as they come; those after the first key that does not are held in memory
    /// all at once, as they are (`(K, V)`) and with 16 to 24 bytes more for each, to be sorted.
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
            check_key(key.as_ref())?;
            if patience > 0 {
                patience -= 1;
                new += u64::from(self.insert(key.as_ref(), value.as_ref())?);
                continue;
            }
            let upper = self.end_of_gap(key.as_ref())?;
            let within = |key: &[u8]| upper.as_ref().is_none_or(|upper| key < upper.as_slice());
            let mut is_gap = within(key.as_ref());
            let mut bytes = key.as_ref().len() + value.as_ref().len();
            let mut chunk = vec![(key, value)];
            while is_gap && bytes < 2 * capacity {
                match feed.next_within(within) {
                    Some((key, value)) => {
                        bytes += key.as_ref().len() + value.as_ref().len();
                        chunk.push((key, value));
                    }
                    None => is_gap = false,
                }
            }
            if is_gap {
                new += self.fill_gap(chunk, &mut feed, within)?;
                backoff = 1;
            } else {
                for (key, value) in chunk {
                    new += u64::from(self.insert(key.as_ref(), value.as_ref())?);
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
        chunk: Vec<(K, V)>,
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
        let (path, leaf) = Path::seek(self.pages, self.root, Way::Key(key.as_ref()))?;
        let (index, _) = leaf.find(key.as_ref())?;
        let mut before = Run::from_node(&leaf)?;
        let above = path.len().checked_sub(1);
        let mut loader = Loader::new(leaf.page, above.is_some());
        let after = before.split_off(index);
        for index in 0..before.len() {
            loader.push(self, &before.key(index).to_vec(), before.fill(index))?;
        }
        let mut count = 0;
        let mut failure = None;
        let mut chunk = chunk.into_iter();
        while let Some((key, value)) = chunk.next().or_else(|| feed.next_within(&within)) {
            let (key, value) = (key.as_ref(), value.as_ref());
            if let Err(fault) = check_key(key).and_then(|()| check_value(value.len())) {
                // The tree is made whole before this is told.
                failure = Some(fault);
                break;
            }
            count += loader.add(self, key, value)?;
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
