//! How a database is opened.

use crate::backup::StoreId;
use crate::catalog;
use crate::database::{Database, Handle};
use crate::old_readers::{Hook, OldReader};
use crate::optimistic;
use crate::pages::TxnPages;
use crate::write::check_durability;
use crate::{Durability, Error, Held, Result, Retention, Timestamp};
use pentimento_storage::{FileLogs, FileMedium, Logs, Medium, Options, Patience, Store};
use std::fs::{File, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Options for opening a [`Database`]. The defaults suit most.
///
/// ```
/// # use pentimento_txn as pentimento;
/// use pentimento::{Database, Durability};
/// use std::time::Duration;
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("app.pent");
/// let db = Database::builder()
///     .page_size(4096)
///     .durability(Durability::Interval(Duration::from_millis(50)))
///     .open(&path)?;
/// # Ok::<(), pentimento::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    options: Options,
    durability: Durability,
    segment_bytes: u64,
    checkpoint_interval: Duration,
    read_ahead: bool,
    publish_figures: bool,
    conflict_memory: usize,
    old_readers: Option<Hook>,
    retention: Option<Retention>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            options: Options::default(),
            durability: Durability::default(),
            segment_bytes: 64 << 20,
            checkpoint_interval: Duration::from_secs(30),
            read_ahead: true,
            publish_figures: true,
            conflict_memory: optimistic::DEFAULT_LIMIT,
            old_readers: None,
            retention: None,
        }
    }
}

/// The least and the greatest size of a journal's segment.
const MIN_SEGMENT_BYTES: u64 = 16 << 10;
pub(crate) const MAX_SEGMENT_BYTES: u64 = 1 << 30;

impl Builder {
    /// The size that pages aim at, in bytes: a power of two from 4096 to 65536, 8192 by default. Chosen when the store is created; when
    /// an existing one is opened the file tells, and this is ignored.
    pub fn page_size(mut self, bytes: usize) -> Builder {
        self.options.page_size = bytes;
        self
    }

    /// When commits are durable unless a transaction says otherwise. [`Durability::Sync`] by default.
    pub fn durability(mut self, durability: Durability) -> Builder {
        self.durability = durability;
        self
    }

    /// How much memory changed pages may take, in bytes: beyond `soft` a checkpoint starts, beyond `hard` writers wait for one before they
    /// begin. 256 and 512 MiB by default. Pages that only a snapshot keeps in memory do not count.
    pub fn memory_limits(mut self, soft: usize, hard: usize) -> Builder {
        self.options.frames_soft = soft;
        self.options.frames_hard = hard;
        self
    }

    /// How much memory one transaction may take, in bytes, before its pages go to free places in the file. 256 MiB by default.
    pub fn spill_limit(mut self, bytes: usize) -> Builder {
        self.options.spill = bytes;
        self
    }

    /// The size of one file of the journal, in bytes: 64 MiB by default, 16 KiB to 1 GiB. A checkpoint is made when as much has been written since the last; a
    /// transaction of more than a quarter of it becomes durable by a checkpoint of its own.
    pub fn journal_segment(mut self, bytes: u64) -> Builder {
        self.segment_bytes = bytes;
        self
    }

    /// After how long at most what was committed is in the data file itself, so that opening after a crash is quick. 30 seconds by default.
    pub fn checkpoint_interval(mut self, interval: Duration) -> Builder {
        self.checkpoint_interval = interval;
        self
    }

    /// Whether the system may read more of the file than is asked for, on by default: it makes scans and warming up fast. Switch it off when the
    /// store is much larger than the memory and is read here and there: then what is read ahead only drives out what is needed.
    pub fn read_ahead(mut self, yes: bool) -> Builder {
        self.read_ahead = yes;
        self
    }

    /// Whether the open store shows its readers and figures to tools such as `pent top` and `pent history`, on by default: in a file of
    /// `/dev/shm` that only the user of the process may read, written once a second at most by a background thread. It holds labels of
    /// snapshots, but no keys and no values. Without it such tools know what the store's file tells, and no more; a file that an earlier
    /// process left is removed. A store in memory, or open for reading only, never publishes.
    ///
    /// ```
    /// # use pentimento_txn as pentimento;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.pent");
    /// let db = pentimento::Database::builder().publish_figures(false).open(&path)?;
    /// # Ok::<(), pentimento::Error>(())
    /// ```
    pub fn publish_figures(mut self, yes: bool) -> Builder {
        self.publish_figures = yes;
        self
    }

    /// How much memory may be taken, in bytes, to remember which keys recent commits wrote while concurrent transactions run: 64 MiB by default. Beyond it only
    /// the trees of the oldest commits are remembered, so that a transaction that has run for long may meet a conflict that is none. An eighth of it may
    /// be taken by what one serializable transaction has read: beyond that, ranges and at last whole trees count as read.
    pub fn conflict_memory(mut self, bytes: usize) -> Builder {
        self.conflict_memory = bytes;
        self
    }

    /// Has `callback` told of snapshots that are older than `age`: what is held for them, and by whom, in [`Held::readers`](crate::Held::readers). Each reader is told of once, within about a
    /// fifth of a second, from a background thread, which the callback should not hold up; [`Database::maintain`] looks at once. A store in memory, or open for
    /// reading only, has such a thread for this alone. The callback must not own a [`Database`]: the store would never be closed.
    ///
    /// ```
    /// # use pentimento_txn as pentimento;
    /// use pentimento::{Database, OldReader};
    /// use std::time::Duration;
    /// let db = Database::builder()
    ///     .on_old_reader(Duration::from_millis(20), |held| {
    ///         eprintln!("{:?} has held {} bytes for long", held.readers[0].label, held.bytes);
    ///         OldReader::AskToStop
    ///     })
    ///     .in_memory()?;
    /// let snapshot = db.snapshot()?.labelled("report");
    /// std::thread::sleep(Duration::from_millis(40));
    /// db.maintain()?;
    /// assert!(snapshot.is_asked_to_stop()); // and decides itself what to do
    /// # Ok::<(), pentimento::Error>(())
    /// ```
    pub fn on_old_reader(
        mut self,
        age: Duration,
        callback: impl Fn(&Held) -> OldReader + Send + Sync + 'static,
    ) -> Builder {
        self.old_readers = Some(Hook { age, callback: Arc::new(callback) });
        self
    }

    /// Has snapshots made and dropped by themselves, as the rules say: named `auto-2026-11-20T13:00:00Z`, by the time (UTC) at which they were made. All other names are left alone. A background thread looks once a second; a store in
    /// memory has none: there [`Database::apply_retention`] does it.
    ///
    /// ```
    /// # use pentimento_txn as pentimento;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.pent");
    /// use pentimento::{Database, Retention};
    /// let db = Database::builder().retention(Retention::new().hourly(24).daily(7).weekly(4)).open(&path)?;
    /// # Ok::<(), pentimento::Error>(())
    /// ```
    pub fn retention(mut self, retention: Retention) -> Builder {
        self.retention = Some(retention);
        self
    }

    /// Open for reading only: nothing is written, and others may read beside it, but nobody may write.
    pub fn read_only(mut self, yes: bool) -> Builder {
        self.options.read_only = yes;
        self
    }

    /// Breaks a law of the engine, to see that a test notices.
    #[cfg(feature = "planted-bugs")]
    #[doc(hidden)]
    pub fn plant(mut self, bug: Option<crate::Bug>) -> Builder {
        self.options.planted = bug;
        self
    }

    /// Opens the store in a file. It is created if it is missing, unless it is to be read only.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process (or another handle in this one) has it open, [`Error::NotAStore`],
    /// [`Error::UnsupportedVersion`], [`Error::Truncated`], [`Error::Damaged`], [`Error::Io`].
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Database> {
        let path = path.as_ref();
        let io_error = |operation| move |source| Error::Io { operation, path: path.to_owned(), source };
        let read_only = self.options.read_only;
        self.check()?;
        if !read_only && !path.exists() {
            self.check_no_logs(&FileLogs::beside(path, read_only))?;
        }
        let file = File::options()
            .read(true)
            .write(!read_only)
            .create(!read_only)
            .truncate(false)
            .open(path)
            .map_err(io_error("open"))?;
        let lock = if read_only { file.try_lock_shared() } else { file.try_lock() };
        match lock {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io_error("lock")(source)),
        }
        let is_blank = is_blank(&file).map_err(io_error("read"))?;
        // The journal lies beside the file itself, whatever name it was opened by and whatever folder the process goes to later.
        let path = &path.canonicalize().map_err(io_error("resolve the path"))?;
        let medium = FileMedium::with_read_ahead(file, path, self.read_ahead).map_err(io_error("map"))?;
        let logs = FileLogs::beside(path, read_only);
        let database = self.open_on(Box::new(medium), Some(Box::new(logs)), is_blank && !read_only)?;
        database.shared().stage_beside(path);
        if is_blank {
            sync_directory_of(path).map_err(io_error("sync the folder"))?;
        }
        Ok(database)
    }

    /// Opens, or with `create` makes, the store in another medium than a file, without a journal: durable commits make checkpoints.
    ///
    /// # Errors
    /// As for [`open`](Builder::open).
    pub fn open_medium(&self, medium: Box<dyn Medium>, create: bool) -> Result<Database> {
        self.open_on(medium, None, create)
    }

    /// Opens, or with `create` makes, the store in another medium than a file, with its journal in other logs than files. With `create`
    /// there must be none yet.
    ///
    /// # Errors
    /// As for [`open`](Builder::open).
    pub fn open_on(&self, medium: Box<dyn Medium>, logs: Option<Box<dyn Logs>>, create: bool) -> Result<Database> {
        self.check()?;
        if create && let Some(logs) = &logs {
            self.check_no_logs(logs.as_ref())?;
        }
        let store =
            if create { Store::create(medium, self.options, new_id())? } else { Store::open(medium, self.options)? };
        self.start(store, logs)
    }

    /// Checks the options before anything is touched.
    fn check(&self) -> Result<()> {
        check_durability(self.durability)?;
        self.options.check()?;
        if !(MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&self.segment_bytes) {
            return Err(Error::InvalidOption { option: "journal_segment", why: "it must have 16 KiB to 1 GiB" });
        }
        Ok(())
    }

    /// A new store finds no journal: what lies there belongs to one that was moved away or lost, and may be all that is left of it.
    fn check_no_logs(&self, logs: &dyn Logs) -> Result<()> {
        let files = logs.list().map_err(|source| Error::Io {
            operation: "list the journals beside the store",
            path: logs.path(0),
            source,
        })?;
        files.first().map_or(Ok(()), |&number| Err(Error::ForeignJournal { path: logs.path(number) }))
    }

    /// A store in memory alone. It has no limits on memory, no durability, and goes with the process.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn in_memory(&self) -> Result<Database> {
        check_durability(self.durability)?;
        self.start(Store::in_memory(self.options)?, None)
    }

    fn start(&self, store: Arc<Store>, logs: Option<Box<dyn Logs>>) -> Result<Database> {
        if store.installed() == Timestamp::ZERO {
            if self.options.read_only {
                let why = "its creation was interrupted; open it once for writing";
                return Err(Error::NotAStore { path: store.path().to_owned(), why });
            }
            let set = store.begin(Patience::Forever)?.expect("nobody else knows the store yet");
            let mut pages = TxnPages(set);
            catalog::create(&mut pages)?;
            let _ = pages.0.install(true);
            store.checkpoint()?;
        }
        // A store in memory has no file to keep an id in.
        let id = StoreId(if store.is_in_memory() { new_id() } else { store.store_id() });
        let handle = Handle::new(
            store,
            id,
            self.durability,
            self.checkpoint_interval,
            self.conflict_memory,
            self.old_readers.clone(),
            self.retention.clone(),
        );
        if let Some(logs) = logs {
            handle.recover(logs, self.segment_bytes)?;
        }
        handle.start(self.publish_figures)?;
        Ok(Database::new(handle))
    }
}

/// Whether a file holds nothing yet: no bytes, or what a creation that was interrupted at once leaves.
fn is_blank(file: &File) -> io::Result<bool> {
    let len = file.metadata()?.len();
    if len > 8192 {
        return Ok(false);
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

/// Makes a new file's name durable.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// An id that tells stores apart. The standard library seeds its hashers at random for each process, and differently each time.
fn new_id() -> [u8; 16] {
    let mut id = [0; 16];
    for half in id.chunks_mut(8) {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u128(std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_nanos()));
        half.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    id
}
