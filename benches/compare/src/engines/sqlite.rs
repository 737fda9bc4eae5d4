//! SQLite, through `rusqlite`, with a write-ahead log.
//!
//! From its documentation:
//! - `journal_mode = WAL`, so that readers and the writer do not wait for each other (wal.html);
//! - `synchronous = FULL` for durable commits; `NORMAL` for the others: "WAL mode is safe from corruption with synchronous=NORMAL", but "does lose durability" (pragma.html);
//! - `WITHOUT ROWID` for a key that is not an integer, where rows are small: "less than about 1/20th the size of a database page" (withoutrowid.html);
//! - `mmap_size`, so that pages are read without a copy (mmap.html), except where the data is larger than the memory: there its default, none; and a page cache of a quarter of the memory, shared out over the connections that it will have;
//! - prepared statements, kept; one connection for each thread that reads;
//! - `VACUUM` for making the file small.

use crate::engine::{Durability, Engine, Kind, Reader, Setup, View};
use anyhow::Result;
use rusqlite::{CachedStatement, Connection, params};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const PUT: &str =
    "INSERT INTO entries (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const REMOVE: &str = "DELETE FROM entries WHERE key = ?1";
const GET: &str = "SELECT value FROM entries WHERE key = ?1";
const FORWARD: &str = "SELECT key, value FROM entries WHERE key >= ?1 ORDER BY key LIMIT ?2";
const BACKWARD: &str = "SELECT key, value FROM entries ORDER BY key DESC";
/// A view sees the moment of its first read, so it reads at once.
const LOOK: &str = "SELECT 1 FROM entries LIMIT 1";

/// A small row: this is a twentieth of a page of 4 KiB.
const SMALL_ROW: usize = 4096 / 20;

/// An open store.
pub struct Sqlite {
    path: PathBuf,
    writer: Mutex<(Connection, Durability)>,
    /// Connections of views that are closed, for others.
    readers: Mutex<Vec<Connection>>,
    cache: u64,
    is_mapped: bool,
}

fn connect(path: &Path, cache: u64, is_mapped: bool) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "mmap_size", if is_mapped { 64i64 << 30 } else { 0 })?;
    // Negative: in KiB.
    connection.pragma_update(None, "cache_size", -i64::try_from(cache / 1024)?)?;
    Ok(connection)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sqlite {
    fn write(&self, durability: Durability, work: impl FnOnce(&Connection) -> Result<()>) -> Result<()> {
        let mut writer = lock(&self.writer);
        let (connection, last) = &mut *writer;
        if *last != durability {
            let level = if durability == Durability::Durable { "FULL" } else { "NORMAL" };
            connection.pragma_update(None, "synchronous", level)?;
            *last = durability;
        }
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        work(connection)?;
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Engine for Sqlite {
    const KIND: Kind = Kind::Sqlite;
    type ManyViews = Sqlite;
    type View<'a> = SqliteView<'a>;

    fn open(dir: &Path, setup: &Setup) -> Result<Self> {
        let path = dir.join("store.sqlite");
        let (cache, is_mapped) = (setup.memory / 16, !setup.is_tight);
        let connection = connect(&path, cache, is_mapped)?;
        let without = if setup.value_len + crate::data::KEY_LEN <= SMALL_ROW { "WITHOUT ROWID" } else { "" };
        let table = format!("CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) {without}");
        connection.execute_batch(&table)?;
        Ok(Sqlite {
            path,
            writer: Mutex::new((connection, Durability::Durable)),
            readers: Mutex::default(),
            cache,
            is_mapped,
        })
    }

    fn put_one(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<()> {
        self.put_all(std::iter::once((key, value)), durability)
    }

    fn put_all<'e>(
        &self,
        entries: impl ExactSizeIterator<Item = (&'e [u8], &'e [u8])>,
        durability: Durability,
    ) -> Result<()> {
        self.write(durability, |connection| {
            let mut put = connection.prepare_cached(PUT)?;
            for (key, value) in entries {
                put.execute(params![key, value])?;
            }
            Ok(())
        })
    }

    fn remove_all<'e>(&self, keys: impl ExactSizeIterator<Item = &'e [u8]>, durability: Durability) -> Result<()> {
        self.write(durability, |connection| {
            let mut remove = connection.prepare_cached(REMOVE)?;
            for key in keys {
                remove.execute(params![key])?;
            }
            Ok(())
        })
    }

    fn is_log(name: &str) -> bool {
        name.ends_with("-wal") || name.ends_with("-shm")
    }

    fn view(&self) -> Result<SqliteView<'_>> {
        let idle = lock(&self.readers).pop();
        let connection = idle.map_or_else(|| connect(&self.path, self.cache, self.is_mapped), Ok)?;
        connection.prepare_cached("BEGIN")?.execute([])?;
        connection.prepare_cached(LOOK)?.exists([])?;
        Ok(SqliteView { connection: Some(connection), readers: &self.readers })
    }

    fn settle(&self) -> Result<()> {
        let writer = lock(&self.writer);
        writer.0.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(())
    }

    fn compact(self, _: &Path) -> Result<bool> {
        lock(&self.writer).0.execute_batch("VACUUM")?;
        self.close()?;
        Ok(true)
    }

    // The last connection that closes takes the log into the file and removes it.
    fn close(self) -> Result<()> {
        for connection in self.readers.into_inner().unwrap_or_else(PoisonError::into_inner) {
            connection.close().map_err(|(_, error)| error)?;
        }
        let (connection, _) = self.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(connection.close().map_err(|(_, error)| error)?)
    }
}

/// A read transaction on a connection of its own.
pub struct SqliteView<'a> {
    /// Always there until the view is dropped.
    connection: Option<Connection>,
    readers: &'a Mutex<Vec<Connection>>,
}

impl Drop for SqliteView<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let ended = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
            if ended.is_ok() {
                lock(self.readers).push(connection);
            }
        }
    }
}

/// The prepared statements of a view.
pub struct SqliteReader<'r> {
    get: RefCell<CachedStatement<'r>>,
    forward: RefCell<CachedStatement<'r>>,
    backward: RefCell<CachedStatement<'r>>,
}

impl View for SqliteView<'_> {
    type Reader<'r>
        = SqliteReader<'r>
    where
        Self: 'r;

    fn reader(&self) -> Result<SqliteReader<'_>> {
        let connection = self.connection.as_ref().expect("it is taken when the view is dropped");
        Ok(SqliteReader {
            get: RefCell::new(connection.prepare_cached(GET)?),
            forward: RefCell::new(connection.prepare_cached(FORWARD)?),
            backward: RefCell::new(connection.prepare_cached(BACKWARD)?),
        })
    }
}

impl Reader for SqliteReader<'_> {
    fn get<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        let mut get = self.get.borrow_mut();
        let mut rows = get.query(params![key])?;
        let row = rows.next()?;
        row.map(|row| Ok(read(row.get_ref(0)?.as_blob()?))).transpose()
    }

    fn forward(&self, from: &[u8], limit: usize, each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        walk(self.forward.borrow_mut().query(params![from, limit])?, each)
    }

    fn backward(&self, each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        walk(self.backward.borrow_mut().query([])?, each)
    }
}

fn walk(mut rows: rusqlite::Rows<'_>, mut each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
    let mut count = 0;
    while let Some(row) = rows.next()? {
        each(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
        count += 1;
    }
    Ok(count)
}
