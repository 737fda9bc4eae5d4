//! fjall.
//!
//! From its documentation: a block cache of 20 to 25 % of the memory (README, "Memory usage"); `PersistMode::SyncData` for durable writes, the journal's default
//! (to the operating system, not to the disk) for the others; write batches for many keys at once; `Keyspace::start_ingestion` for sorted data;
//! `expect_point_read_hits`, as the reads here do hit. Compression stays at its default.

use crate::engine::{Durability, Engine, Kind, Reader, Setup, View};
use anyhow::Result;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};
use std::path::Path;

/// An open store.
pub struct Fjall {
    db: Database,
    map: Keyspace,
}

fn mode(durability: Durability) -> Option<PersistMode> {
    (durability == Durability::Durable).then_some(PersistMode::SyncData)
}

impl Engine for Fjall {
    const KIND: Kind = Kind::Fjall;
    type ManyViews = Fjall;
    type View<'a> = FjallView<'a>;

    fn open(dir: &Path, setup: &Setup) -> Result<Self> {
        let db = Database::builder(dir).cache_size(setup.memory / 4).open()?;
        // "Recommended size 8 - 64 MiB, depending on how much memory is available."
        let memtable = if setup.is_tight { (setup.memory / 8).clamp(8 << 20, 64 << 20) } else { 64 << 20 };
        let options = || KeyspaceCreateOptions::default().expect_point_read_hits(true).max_memtable_size(memtable);
        let map = db.keyspace("entries", options)?;
        Ok(Fjall { db, map })
    }

    fn put_one(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<()> {
        self.map.insert(key, value)?;
        if let Some(mode) = mode(durability) {
            self.db.persist(mode)?;
        }
        Ok(())
    }

    fn put_all<'e>(
        &self,
        entries: impl ExactSizeIterator<Item = (&'e [u8], &'e [u8])>,
        durability: Durability,
    ) -> Result<()> {
        let batch = fjall::OwnedWriteBatch::with_capacity(self.db.clone(), entries.len());
        let mut batch = batch.durability(mode(durability));
        for (key, value) in entries {
            batch.insert(&self.map, key, value);
        }
        Ok(batch.commit()?)
    }

    fn load_sorted<'e>(&self, entries: impl ExactSizeIterator<Item = (&'e [u8], &'e [u8])>) -> Result<()> {
        let mut ingestion = self.map.start_ingestion()?;
        for (key, value) in entries {
            ingestion.write(key, value)?;
        }
        ingestion.finish()?;
        Ok(self.db.persist(PersistMode::SyncData)?)
    }

    fn remove_all<'e>(&self, keys: impl ExactSizeIterator<Item = &'e [u8]>, durability: Durability) -> Result<()> {
        let batch = fjall::OwnedWriteBatch::with_capacity(self.db.clone(), keys.len());
        let mut batch = batch.durability(mode(durability));
        for key in keys {
            batch.remove(&self.map, key);
        }
        Ok(batch.commit()?)
    }

    fn is_log(name: &str) -> bool {
        name.ends_with(".jnl")
    }

    fn view(&self) -> Result<FjallView<'_>> {
        Ok(FjallView { snapshot: self.db.snapshot(), map: &self.map })
    }

    fn settle(&self) -> Result<()> {
        Ok(self.map.rotate_memtable_and_wait()?)
    }

    fn compact(self, _: &Path) -> Result<bool> {
        // What still lies in memory takes part too.
        self.map.rotate_memtable_and_wait()?;
        self.map.major_compact()?;
        self.close()?;
        Ok(true)
    }

    fn close(self) -> Result<()> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }
}

/// A snapshot.
pub struct FjallView<'a> {
    snapshot: Snapshot,
    map: &'a Keyspace,
}

/// The keyspace as a snapshot sees it.
pub struct FjallReader<'r>(&'r Snapshot, &'r Keyspace);

impl View for FjallView<'_> {
    type Reader<'r>
        = FjallReader<'r>
    where
        Self: 'r;

    fn reader(&self) -> Result<FjallReader<'_>> {
        Ok(FjallReader(&self.snapshot, self.map))
    }
}

impl Reader for FjallReader<'_> {
    #[inline]
    fn get<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        Ok(self.0.get(self.1, key)?.map(|value| read(&value)))
    }

    fn forward(&self, from: &[u8], limit: usize, mut each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut count = 0;
        for guard in self.0.range(self.1, from..).take(limit) {
            let (key, value) = guard.into_inner()?;
            each(&key, &value);
            count += 1;
        }
        Ok(count)
    }

    fn backward(&self, mut each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut count = 0;
        for guard in self.0.iter(self.1).rev() {
            let (key, value) = guard.into_inner()?;
            each(&key, &value);
            count += 1;
        }
        Ok(count)
    }
}
