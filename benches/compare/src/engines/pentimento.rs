//! Pentimento, with the defaults that a user gets: `Database::open`, nothing else. Only where the memory is limited for all is it told so, by
//! `Builder::memory_limits`, `Builder::spill_limit` and `Builder::read_ahead` (whose docs recommend it for data larger than memory).

use crate::engine::{Durability, Engine, Kind, Reader, Setup, View};
use anyhow::Result;
use pentimento::{Database, Snapshot, Tree, WriteTransaction};
use std::path::Path;

const TREE: &str = "entries";

/// An open store.
pub struct Pentimento(Database);

impl Pentimento {
    fn begin(&self, durability: Durability) -> Result<WriteTransaction> {
        let mut txn = self.0.begin_write()?;
        if durability == Durability::Relaxed {
            txn.set_durability(pentimento::Durability::None)?;
        }
        Ok(txn)
    }
}

impl Engine for Pentimento {
    const KIND: Kind = Kind::Pentimento;
    type ManyViews = Pentimento;
    type View<'a> = Snapshot;

    fn open(dir: &Path, setup: &Setup) -> Result<Self> {
        let path = dir.join("store.pent");
        let db = if setup.is_tight {
            let part = usize::try_from(setup.memory / 16)?;
            Database::builder().memory_limits(part, 2 * part).spill_limit(2 * part).read_ahead(false).open(path)?
        } else {
            Database::open(path)?
        };
        let mut txn = db.begin_write()?;
        txn.tree(TREE)?;
        txn.commit()?;
        Ok(Pentimento(db))
    }

    fn put_one(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<()> {
        let mut txn = self.begin(durability)?;
        txn.tree(TREE)?.insert(key, value)?;
        txn.commit()?;
        Ok(())
    }

    fn put_all<'e>(
        &self,
        entries: impl ExactSizeIterator<Item = (&'e [u8], &'e [u8])>,
        durability: Durability,
    ) -> Result<()> {
        let mut txn = self.begin(durability)?;
        let mut tree = txn.tree(TREE)?;
        for (key, value) in entries {
            tree.insert(key, value)?;
        }
        txn.commit()?;
        Ok(())
    }

    // `TreeMut::bulk_load`: "Into an empty tree […] the pages are built full, from the bottom up."
    fn load_sorted<'e>(&self, entries: impl ExactSizeIterator<Item = (&'e [u8], &'e [u8])>) -> Result<()> {
        let mut txn = self.begin(Durability::Durable)?;
        txn.tree(TREE)?.bulk_load(entries)?;
        txn.commit()?;
        Ok(())
    }

    // `TreeMut::delete`: "Removes a key, without saying whether it was there". Nobody asks here.
    fn remove_all<'e>(&self, keys: impl ExactSizeIterator<Item = &'e [u8]>, durability: Durability) -> Result<()> {
        let mut txn = self.begin(durability)?;
        let mut tree = txn.tree(TREE)?;
        for key in keys {
            tree.delete(key)?;
        }
        txn.commit()?;
        Ok(())
    }

    fn is_log(name: &str) -> bool {
        name.contains("-journal-")
    }

    fn view(&self) -> Result<Snapshot> {
        Ok(self.0.snapshot()?)
    }

    fn settle(&self) -> Result<()> {
        self.0.checkpoint()?;
        Ok(())
    }

    fn compact(self, _: &Path) -> Result<bool> {
        self.0.compact()?;
        self.close()?;
        Ok(true)
    }

    fn close(self) -> Result<()> {
        Ok(self.0.close()?)
    }
}

impl View for Snapshot {
    type Reader<'r> = Tree<'r>;

    fn reader(&self) -> Result<Tree<'_>> {
        Ok(self.tree(TREE)?)
    }
}

impl Reader for Tree<'_> {
    #[inline]
    fn get<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        Ok(Tree::get(self, key)?.map(read))
    }

    fn forward(&self, from: &[u8], limit: usize, mut each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut count = 0;
        for entry in self.range(from..)?.take(limit) {
            let (key, value) = entry?;
            each(&key, value);
            count += 1;
        }
        Ok(count)
    }

    fn backward(&self, mut each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut count = 0;
        for entry in self.iter()?.rev() {
            let (key, value) = entry?;
            each(&key, value);
            count += 1;
        }
        Ok(count)
    }
}
