//! What a workload asks of an engine.
//!
//! Promises: everything here is monomorphised, so no call of a timed loop goes through a table of functions; each engine's settings and idioms stand in
//! one file of `engines/`; values are handed to a closure, so that whoever could put off reading them gains nothing.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The engines that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// This project's own.
    Pentimento,
    /// LMDB, through `heed`.
    Lmdb,
    /// `redb`.
    Redb,
    /// `canopydb`.
    Canopydb,
    /// `fjall`.
    Fjall,
    /// SQLite, through `rusqlite`, with a write-ahead log.
    Sqlite,
    /// `rustdb`, which only takes part in the sum over a table.
    Rustdb,
}

impl Kind {
    /// Those that are ordered maps from bytes to bytes, or serve as one.
    pub const MAPS: [Kind; 6] = [Kind::Pentimento, Kind::Lmdb, Kind::Redb, Kind::Canopydb, Kind::Fjall, Kind::Sqlite];

    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Pentimento => "pentimento",
            Kind::Lmdb => "LMDB",
            Kind::Redb => "redb",
            Kind::Canopydb => "canopydb",
            Kind::Fjall => "fjall",
            Kind::Sqlite => "SQLite",
            Kind::Rustdb => "rustdb",
        }
    }
}

/// When a transaction is to be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Before the call returns.
    Durable,
    /// Whenever the engine likes; the application does not wait.
    Relaxed,
}

/// What an engine is told about its task when it is opened.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The memory of the machine, or what is allowed of it, in bytes. Engines with a cache of their own get the share that their documentation advises.
    pub memory: u64,
    /// The length of the values, in bytes.
    pub value_len: usize,
    /// Whether the data is larger than the memory.
    pub is_tight: bool,
}

/// One open store: an ordered map from bytes to bytes.
pub trait Engine: Sized + Send + Sync {
    /// Which engine this is.
    const KIND: Kind;
    /// The same engine, opened so that one thread may hold many views.
    type ManyViews: Engine;
    /// All entries at one moment.
    type View<'a>: View
    where
        Self: 'a;

    /// Opens the store in a folder, which is empty the first time.
    ///
    /// # Errors
    /// Whatever the engine says; so for every function here.
    fn open(dir: &Path, setup: &Setup) -> Result<Self>;

    /// Sets one key in a transaction of its own.
    fn put_one(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<()>;

    /// Sets many keys in one transaction.
    fn put_all<'e>(
        &self,
        entries: impl ExactSizeIterator<Item = (&'e [u8], &'e [u8])>,
        durability: Durability,
    ) -> Result<()>;

    /// Fills an empty store from sorted entries, durably and at once, in the way that the engine recommends.
    fn load_sorted<'e>(&self, entries: impl ExactSizeIterator<Item = (&'e [u8], &'e [u8])>) -> Result<()> {
        self.put_all(entries, Durability::Durable)
    }

    /// Removes many keys in one transaction.
    fn remove_all<'e>(&self, keys: impl ExactSizeIterator<Item = &'e [u8]>, durability: Durability) -> Result<()>;

    /// Whether a file of this name belongs to the log, not to the data.
    #[must_use]
    fn is_log(_name: &str) -> bool {
        false
    }

    /// A view of the store as it is now.
    fn view(&self) -> Result<Self::View<'_>>;

    /// Brings what was committed into the data files, as far as views let it: so that sizes are compared of files that hold the same. Never timed.
    fn settle(&self) -> Result<()>;

    /// Makes the files as small as the engine can and closes the store; `false` if it has no such thing (it is closed then too).
    fn compact(self, dir: &Path) -> Result<bool>;

    /// Closes the store cleanly.
    fn close(self) -> Result<()>;
}

/// A read transaction, snapshot or whatever else an engine calls it.
pub trait View {
    /// What reads in it.
    type Reader<'r>: Reader
    where
        Self: 'r;

    /// Opens the map for reading.
    ///
    /// # Errors
    /// Whatever the engine says.
    fn reader(&self) -> Result<Self::Reader<'_>>;
}

/// Reads entries within a view.
pub trait Reader {
    /// Looks a key up, and lets `read` see the value.
    ///
    /// # Errors
    /// Whatever the engine says; so for every function here.
    fn get<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>>;

    /// Shows up to `limit` entries from `from` on, upwards; tells how many there were.
    fn forward(&self, from: &[u8], limit: usize, each: impl FnMut(&[u8], &[u8])) -> Result<usize>;

    /// Shows all entries from the greatest down; tells how many there were.
    fn backward(&self, each: impl FnMut(&[u8], &[u8])) -> Result<usize>;
}
