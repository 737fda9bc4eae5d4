//! LMDB, through `heed`.
//!
//! From its documentation (`lmdb.h`, and the pages of `heed`):
//! - the map is made as large as the store may ever get: it costs address space alone (`mdb_env_set_mapsize`);
//! - `MDB_APPEND` for loading sorted entries (`mdb_put`);
//! - `MDB_NOSYNC` for commits that nobody waits for: "don't flush system buffers to disk when committing a transaction";
//! - reader slots tied to threads, the default, except where one thread holds many views: `MDB_NOTLS` is there for that;
//! - `MDB_NORDAHEAD` where the data is larger than the memory: reading ahead is "harmful when the DB is larger than RAM and system RAM is full" for random reads;
//! - compaction is a copy with `MDB_CP_COMPACT`.
//!
//! `MDB_WRITEMAP` is left out: the documentation warns that it loses the protection from stray writes.

#![allow(unsafe_code)] // a memory-mapped environment is opened by an unsafe function, whoever calls it

use crate::engine::{Durability, Engine, Kind, Reader, Setup, View};
use anyhow::Result;
use heed::types::Bytes;
use heed::{
    CommitOrAbort, CompactionOption, Database, Env, EnvFlags, EnvOpenOptions, FlagSetMode, PutFlags, RoTxn, RwTxn,
    TlsUsage, WithTls, WithoutTls,
};
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const MAP_BYTES: usize = 64 << 30;

/// An open environment; `T` says whether readers are tied to threads.
pub struct Lmdb<T> {
    env: Env<T>,
    map: Database<'static, Bytes, Bytes>,
    is_relaxed: AtomicBool,
}

impl<T: TlsUsage> Lmdb<T> {
    fn with(env: Env<T>) -> Result<Self> {
        let map = env
            .create_databases_and_commit(env.write_txn()?, |opener, txn| {
                opener.create_database::<Bytes, Bytes>(txn, None).map(CommitOrAbort::<_, ()>::Commit)
            })?
            .unwrap_commit();
        Ok(Lmdb { env, map, is_relaxed: AtomicBool::new(false) })
    }

    fn begin(&self, durability: Durability) -> Result<RwTxn<'_>> {
        let relaxed = durability == Durability::Relaxed;
        let txn = self.env.write_txn()?;
        // Under the writer's lock, and only when it changes.
        if self.is_relaxed.swap(relaxed, Ordering::Relaxed) != relaxed {
            let mode = if relaxed { FlagSetMode::Enable } else { FlagSetMode::Disable };
            // SAFETY: the flag decides about syncing alone, and the files of a comparison need not survive a crash.
            unsafe { self.env.set_flags(EnvFlags::NO_SYNC, mode)? };
            if !relaxed {
                self.env.force_sync()?;
            }
        }
        Ok(txn)
    }

    fn put_flagged<'e>(
        &self,
        entries: impl Iterator<Item = (&'e [u8], &'e [u8])>,
        durability: Durability,
        flags: PutFlags,
    ) -> Result<()> {
        let mut txn = self.begin(durability)?;
        for (key, value) in entries {
            self.map.put_with_flags(&mut txn, flags, key, value)?;
        }
        Ok(txn.commit()?)
    }
}

macro_rules! engine {
    ($tls:ty, $without_or_with:ident) => {
        impl Engine for Lmdb<$tls> {
            const KIND: Kind = Kind::Lmdb;
            type ManyViews = Lmdb<WithoutTls>;
            type View<'a> = LmdbView<'a, $tls>;

            fn open(dir: &Path, setup: &Setup) -> Result<Self> {
                let mut options = EnvOpenOptions::new().$without_or_with();
                options.map_size(MAP_BYTES);
                if setup.is_tight {
                    // SAFETY: reading ahead changes nothing but speed.
                    unsafe { options.flags(EnvFlags::NO_READ_AHEAD) };
                }
                // SAFETY: the folder was made for this run, and nobody else opens or changes the files in it.
                Lmdb::with(unsafe { options.open(dir)? })
            }

            fn put_one(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<()> {
                let mut txn = self.begin(durability)?;
                self.map.put(&mut txn, key, value)?;
                Ok(txn.commit()?)
            }

            fn put_all<'e>(
                &self,
                entries: impl ExactSizeIterator<Item = (&'e [u8], &'e [u8])>,
                durability: Durability,
            ) -> Result<()> {
                self.put_flagged(entries, durability, PutFlags::empty())
            }

            fn load_sorted<'e>(&self, entries: impl ExactSizeIterator<Item = (&'e [u8], &'e [u8])>) -> Result<()> {
                self.put_flagged(entries, Durability::Durable, PutFlags::APPEND)
            }

            fn remove_all<'e>(
                &self,
                keys: impl ExactSizeIterator<Item = &'e [u8]>,
                durability: Durability,
            ) -> Result<()> {
                let mut txn = self.begin(durability)?;
                for key in keys {
                    self.map.delete(&mut txn, key)?;
                }
                Ok(txn.commit()?)
            }

            fn view(&self) -> Result<LmdbView<'_, $tls>> {
                Ok(LmdbView { txn: self.env.read_txn()?, map: self.map })
            }

            fn settle(&self) -> Result<()> {
                Ok(self.env.force_sync()?)
            }

            fn compact(self, dir: &Path) -> Result<bool> {
                let copy = dir.join("copy.mdb");
                self.env.copy_to_path(&copy, CompactionOption::Enabled)?;
                self.close()?;
                std::fs::rename(copy, dir.join("data.mdb"))?;
                Ok(true)
            }

            fn close(self) -> Result<()> {
                self.env.force_sync()?;
                self.env.prepare_for_closing().wait();
                Ok(())
            }
        }

        impl View for LmdbView<'_, $tls> {
            type Reader<'r>
                = LmdbReader<'r>
            where
                Self: 'r;

            fn reader(&self) -> Result<LmdbReader<'_>> {
                Ok(LmdbReader { txn: &self.txn, map: self.map })
            }
        }
    };
}

engine!(WithTls, read_txn_with_tls);
engine!(WithoutTls, read_txn_without_tls);

/// A read transaction.
pub struct LmdbView<'a, T> {
    txn: RoTxn<'a, T>,
    map: Database<'static, Bytes, Bytes>,
}

/// The map within a read transaction.
pub struct LmdbReader<'r> {
    txn: &'r RoTxn<'r>,
    map: Database<'static, Bytes, Bytes>,
}

impl Reader for LmdbReader<'_> {
    #[inline]
    fn get<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        Ok(self.map.get(self.txn, key)?.map(read))
    }

    fn forward(&self, from: &[u8], limit: usize, mut each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut count = 0;
        // An empty key is refused, even as a bound.
        let start = if from.is_empty() { Bound::Unbounded } else { Bound::Included(from) };
        let bounds = (start, Bound::Unbounded);
        for entry in self.map.range(self.txn, &bounds)?.take(limit) {
            let (key, value) = entry?;
            each(key, value);
            count += 1;
        }
        Ok(count)
    }

    fn backward(&self, mut each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut count = 0;
        for entry in self.map.rev_iter(self.txn)? {
            let (key, value) = entry?;
            each(key, value);
            count += 1;
        }
        Ok(count)
    }
}
