//! redb.
//!
//! From its documentation: one table, kept open for the length of a transaction; `Durability::None` for commits that nobody waits for
//! ("will not be persisted to disk unless followed by a commit with `Durability::Immediate`"); `Builder::set_cache_size`, a quarter of the memory where the
//! default is 1 GiB; `Database::compact` for making the file small.

use crate::engine::{Durability, Engine, Kind, Reader, Setup, View};
use anyhow::Result;
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};
use std::path::Path;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");

/// An open store.
pub struct Redb(Database);

impl Redb {
    fn begin(&self, durability: Durability) -> Result<WriteTransaction> {
        let mut txn = self.0.begin_write()?;
        txn.set_durability(match durability {
            Durability::Durable => redb::Durability::Immediate,
            Durability::Relaxed => redb::Durability::None,
        })?;
        Ok(txn)
    }
}

impl Engine for Redb {
    const KIND: Kind = Kind::Redb;
    type ManyViews = Redb;
    type View<'a> = RedbView;

    fn open(dir: &Path, setup: &Setup) -> Result<Self> {
        let cache = usize::try_from(setup.memory / 4)?;
        let db = Database::builder().set_cache_size(cache).create(dir.join("store.redb"))?;
        let txn = db.begin_write()?;
        txn.open_table(TABLE)?;
        txn.commit()?;
        Ok(Redb(db))
    }

    fn put_one(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<()> {
        self.put_all(std::iter::once((key, value)), durability)
    }

    fn put_all<'e>(
        &self,
        entries: impl ExactSizeIterator<Item = (&'e [u8], &'e [u8])>,
        durability: Durability,
    ) -> Result<()> {
        let txn = self.begin(durability)?;
        let mut table = txn.open_table(TABLE)?;
        for (key, value) in entries {
            table.insert(key, value)?;
        }
        drop(table);
        Ok(txn.commit()?)
    }

    fn remove_all<'e>(&self, keys: impl ExactSizeIterator<Item = &'e [u8]>, durability: Durability) -> Result<()> {
        let txn = self.begin(durability)?;
        let mut table = txn.open_table(TABLE)?;
        for key in keys {
            table.remove(key)?;
        }
        drop(table);
        Ok(txn.commit()?)
    }

    fn view(&self) -> Result<RedbView> {
        Ok(RedbView(self.0.begin_read()?))
    }

    fn settle(&self) -> Result<()> {
        // What was committed with `Durability::None` is written by the next commit that is durable.
        let txn = self.begin(Durability::Durable)?;
        Ok(txn.commit()?)
    }

    fn compact(mut self, _: &Path) -> Result<bool> {
        self.0.compact()?;
        self.close()?;
        Ok(true)
    }

    fn close(self) -> Result<()> {
        drop(self.0);
        Ok(())
    }
}

/// A read transaction.
pub struct RedbView(ReadTransaction);

/// The table within it.
pub struct RedbReader(ReadOnlyTable<&'static [u8], &'static [u8]>);

impl View for RedbView {
    type Reader<'r> = RedbReader;

    fn reader(&self) -> Result<RedbReader> {
        Ok(RedbReader(self.0.open_table(TABLE)?))
    }
}

impl Reader for RedbReader {
    #[inline]
    fn get<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        Ok(self.0.get(key)?.map(|value| read(value.value())))
    }

    fn forward(&self, from: &[u8], limit: usize, mut each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut count = 0;
        for entry in self.0.range::<&[u8]>(from..)?.take(limit) {
            let (key, value) = entry?;
            each(key.value(), value.value());
            count += 1;
        }
        Ok(count)
    }

    fn backward(&self, mut each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut count = 0;
        for entry in self.0.iter()?.rev() {
            let (key, value) = entry?;
            each(key.value(), value.value());
            count += 1;
        }
        Ok(count)
    }
}
