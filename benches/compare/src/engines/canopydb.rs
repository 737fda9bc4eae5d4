//! canopydb.
//!
//! From its documentation: the write-ahead log on (the default), `commit_with(sync)` to choose for each commit whether it waits for the disk; a page cache of a quarter of the memory (its own benchmarks
//! give it 4 GB where the default is 1 GB); a checkpoint before closing, for those who want a fast start ("Applications interested in this may want to perform the checkpoint
//! manually", `DbOptions::checkpoint_db_on_drop`); `Database::compact` for making the file small.

use crate::engine::{Durability, Engine, Kind, Reader, Setup, View};
use anyhow::{Result, anyhow};
use canopydb::{Database, DbOptions, EnvOptions, ReadTransaction, Tree};
use std::path::Path;

const TREE: &[u8] = b"entries";

/// An open store.
pub struct Canopydb(Database);

impl Engine for Canopydb {
    const KIND: Kind = Kind::Canopydb;
    type ManyViews = Canopydb;
    type View<'a> = ReadTransaction;

    fn open(dir: &Path, setup: &Setup) -> Result<Self> {
        let mut options = EnvOptions::new(dir);
        options.page_cache_size = usize::try_from(setup.memory / 4)?;
        let mut db_options = DbOptions::new();
        if setup.is_tight {
            // "When expecting a small database, consider lowering this value"; what is committed and not yet in the file counts as memory.
            db_options.checkpoint_target_size = usize::try_from(setup.memory / 8)?;
            db_options.throttle_memory_limit = usize::try_from(setup.memory / 4)?;
            db_options.stall_memory_limit = usize::try_from(setup.memory / 4)?;
        }
        let db = Database::with_options(options, db_options)?;
        let txn = db.begin_write()?;
        txn.get_or_create_tree(TREE)?;
        txn.commit()?;
        Ok(Canopydb(db))
    }

    fn put_one(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<()> {
        self.put_all(std::iter::once((key, value)), durability)
    }

    fn put_all<'e>(
        &self,
        entries: impl ExactSizeIterator<Item = (&'e [u8], &'e [u8])>,
        durability: Durability,
    ) -> Result<()> {
        let txn = self.0.begin_write()?;
        let mut tree = txn.get_or_create_tree(TREE)?;
        for (key, value) in entries {
            tree.insert(key, value)?;
        }
        drop(tree);
        txn.commit_with(durability == Durability::Durable)?;
        Ok(())
    }

    fn remove_all<'e>(&self, keys: impl ExactSizeIterator<Item = &'e [u8]>, durability: Durability) -> Result<()> {
        let txn = self.0.begin_write()?;
        let mut tree = txn.get_or_create_tree(TREE)?;
        for key in keys {
            tree.delete(key)?;
        }
        drop(tree);
        txn.commit_with(durability == Durability::Durable)?;
        Ok(())
    }

    fn is_log(name: &str) -> bool {
        name.to_ascii_lowercase().contains("wal")
    }

    fn view(&self) -> Result<ReadTransaction> {
        Ok(self.0.begin_read()?)
    }

    fn settle(&self) -> Result<()> {
        Ok(self.0.checkpoint()?)
    }

    fn compact(self, _: &Path) -> Result<bool> {
        self.0.compact()?;
        self.close()?;
        Ok(true)
    }

    fn close(self) -> Result<()> {
        Ok(self.0.checkpoint()?)
    }
}

impl View for ReadTransaction {
    type Reader<'r> = Tree<'r>;

    fn reader(&self) -> Result<Tree<'_>> {
        self.get_tree(TREE)?.ok_or_else(|| anyhow!("canopydb has lost the tree"))
    }
}

impl Reader for Tree<'_> {
    #[inline]
    fn get<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        Ok(Tree::get(self, key)?.map(|value| read(&value)))
    }

    fn forward(&self, from: &[u8], limit: usize, mut each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut count = 0;
        for entry in self.range(from..)?.take(limit) {
            let (key, value) = entry?;
            each(&key, &value);
            count += 1;
        }
        Ok(count)
    }

    fn backward(&self, mut each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut count = 0;
        for entry in self.iter()?.rev() {
            let (key, value) = entry?;
            each(&key, &value);
            count += 1;
        }
        Ok(count)
    }
}
