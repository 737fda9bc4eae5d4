//! The handle that users hold, and what its clones share.

use crate::background::Background;
use crate::backup::StoreId;
use crate::builder::Builder;
use crate::catalog;
use crate::feed::{Log, Subscriber, Watch};
use crate::hot::HotReader;
use crate::journal::{Journal, JournalStats};
use crate::old_readers::{Hook, LookOut};
use crate::optimistic::{ConcurrencyStats, ConcurrentTransaction, Conflicts, Isolation, RetryPolicy, Transacted};
use crate::retention::Retention;
use crate::sidecar::Sidecar;
use crate::snapshot::Snapshot;
use crate::sync::{Arc, AtomicBool, Instant, OnceLock, Ordering};
use crate::write::WriteTransaction;
use crate::{Durability, Error, Held, Progress, ReaderId, Result, Stats, Timestamp};
use pentimento_storage::{self as storage, Patience, Store};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the background thread and the handles share.
pub(crate) struct Shared {
    pub store: Arc<Store>,
    pub durability: Durability,
    pub background: Background,
    pub sidecar: Sidecar,
    /// Set when the store has been recovered; never for a store in memory, or one without log files.
    pub journal: OnceLock<Journal>,
    /// After this long at most a commit is in the data file itself.
    pub checkpoint_interval: Duration,
    /// Whether dropped trees may wait to be dismantled.
    pub has_doomed: AtomicBool,
    /// Whether the store may be a copy of another one that nobody changed here.
    pub is_copy: AtomicBool,
    /// Whether somebody is receiving.
    pub is_receiving: AtomicBool,
    /// Tells this store from others.
    pub id: StoreId,
    /// Where what is being received is kept until it is whole; `None`: in memory.
    pub staging: OnceLock<PathBuf>,
    /// What concurrent transactions are validated against.
    pub conflicts: Arc<Conflicts>,
    /// The newest commits, for those who watch.
    pub feed: Arc<Log>,
    /// One compaction at a time.
    pub is_compacting: AtomicBool,
    /// Who wants to know of old readers.
    pub look_out: Option<LookOut>,
    /// Which snapshots come and go by themselves.
    pub retention: Option<Retention>,
}

impl Shared {
    /// Waits until there is room in memory for another transaction: before it takes its turn, so that others can finish.
    pub(crate) fn wait_for_room(&self, deadline: Option<Instant>) -> Result<()> {
        while self.store.is_over_limit() {
            self.store.check_writable()?;
            self.store.maintain();
            if !self.store.is_over_limit() {
                break;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Error::Busy);
            }
            // Waits for the one that is running, or makes one: so a full disk is this caller's error, not a silent wait.
            self.checkpoint()?;
            self.store.maintain();
            if self.store.is_over_limit() {
                self.store.wait_for_progress(Duration::from_millis(5));
            }
        }
        Ok(())
    }
}

/// What clones of a [`Database`] share; when the last goes, the store is closed.
pub(crate) struct Handle {
    pub shared: Arc<Shared>,
    /// Whether the store has been recovered, and not been closed. A store that could not be opened must stay as it was found.
    is_open: AtomicBool,
}

impl Handle {
    pub fn new(
        store: Arc<Store>,
        id: StoreId,
        durability: Durability,
        checkpoint_interval: Duration,
        conflict_memory: usize,
        old_readers: Option<Hook>,
        retention: Option<Retention>,
    ) -> Arc<Handle> {
        let shared = Arc::new(Shared {
            durability,
            background: Background::default(),
            sidecar: Sidecar::default(),
            journal: OnceLock::new(),
            checkpoint_interval,
            // Cheap to find out at the first commit.
            has_doomed: AtomicBool::new(true),
            is_copy: AtomicBool::new(true),
            is_receiving: AtomicBool::new(false),
            id,
            staging: OnceLock::new(),
            conflicts: Arc::new(Conflicts::new(conflict_memory)),
            feed: Arc::new(Log::new(store.page_size())),
            is_compacting: AtomicBool::new(false),
            look_out: old_readers.map(LookOut::new),
            retention,
            store,
        });
        Arc::new(Handle { shared, is_open: AtomicBool::new(false) })
    }

    /// The store is ready for use: starts the background threads if it has any.
    pub fn start(&self, publish_figures: bool) -> Result<()> {
        self.is_open.store(true, Ordering::Relaxed);
        if self.shared.store.options().read_only || self.shared.store.is_in_memory() {
            return if self.shared.look_out.is_some() { Background::start_look_out(&self.shared) } else { Ok(()) };
        }
        self.shared.sidecar.start(self.shared.store.path(), publish_figures);
        Background::start(&self.shared)
    }

    fn close(&self) -> Result<()> {
        if !self.is_open.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let result = self.close_store();
        // Whatever became of it: no commit will follow.
        self.shared.feed.close(&self.shared.store);
        result
    }

    fn close_store(&self) -> Result<()> {
        self.shared.background.stop();
        self.shared.sidecar.remove();
        match self.shared.store.check_writable() {
            Ok(()) => {}
            Err(storage::Error::ReadOnly) => return Ok(()),
            // Relaxed commits may be lost: whoever closes explicitly is told.
            Err(error) => return Err(error.into()),
        }
        // First in the journal, whose room is there already: should the data file find none, nothing is lost.
        self.shared.flush()?;
        self.shared.store.close()?;
        if let Some(journal) = self.shared.journal.get() {
            journal.remove()?;
        }
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Nobody is left to hear of an error; `Database::close` is for those who want to. What was durable stays durable.
        let _ = self.close();
    }
}

/// An open store. Clones are siblings over the same store; the last one closes it.
///
/// ```
/// # use pentimento_txn as pentimento;
/// use pentimento::Database;
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("app.pent");
/// let db = Database::open(&path)?; // created if missing
///
/// let mut txn = db.begin_write()?;
/// txn.tree("orders")?.insert(b"1001", b"two chairs")?;
/// txn.commit()?; // durable when it returns
///
/// let snapshot = db.snapshot()?;
/// assert_eq!(snapshot.tree("orders")?.get(b"1001")?, Some(b"two chairs".as_slice()));
/// # Ok::<(), pentimento::Error>(())
/// ```
#[derive(Clone)]
pub struct Database {
    handle: Arc<Handle>,
}

impl Database {
    pub(crate) fn new(handle: Arc<Handle>) -> Database {
        Database { handle }
    }

    /// Opens the store in a file, which is created if it is missing, with the default options.
    ///
    /// # Errors
    /// As for [`Builder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Database> {
        Builder::default().open(path)
    }

    /// A store in memory alone, which goes with its last handle.
    ///
    /// # Errors
    /// None today.
    pub fn in_memory() -> Result<Database> {
        Builder::default().in_memory()
    }

    /// Options for opening.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn conflicts(&self) -> &Arc<Conflicts> {
        &self.handle.shared.conflicts
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.handle.shared.store
    }

    /// The whole store at this moment, for reading. Takes no lock and waits for nobody.
    ///
    /// # Errors
    /// None today.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::new(self.store().pin()))
    }

    /// A handle for one thread that reads the newest snapshot over and over: looking whether there is a newer one costs a load and a comparison.
    #[must_use]
    pub fn hot_reader(&self) -> HotReader {
        HotReader::new(self.store().clone())
    }

    /// Watches the store, a tree, or a range of one: committed changes come in order, commit by commit for a subscriber who keeps up, summed up for one who
    /// does not. Writers wait for no subscriber. What was delivered last is kept readable for him, as a snapshot would be.
    ///
    /// # Errors
    /// [`Error::OtherStore`] if it is to begin after a snapshot of another store, [`Error::NoSnapshotAt`] if it is to begin after a timestamp that no named snapshot has.
    pub fn watch(&self, watch: Watch) -> Result<Subscriber> {
        Subscriber::new(self.store(), &self.handle.shared.feed, watch.find(self)?)
    }

    /// Begins the one transaction that may change the store; waits until it is its turn. A thread that has a write transaction already
    /// would wait for itself: see [`try_begin_write`](Database::try_begin_write). It reads the newest commits, those too that are
    /// just becoming durable and that no snapshot shows yet.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Poisoned`], or [`Error::DiskFull`] if memory is full and cannot be written out.
    pub fn begin_write(&self) -> Result<WriteTransaction> {
        self.begin(Patience::Forever)
    }

    /// Begins a write transaction if nobody else has one.
    ///
    /// # Errors
    /// [`Error::Busy`] if somebody has, and as for [`begin_write`](Database::begin_write).
    pub fn try_begin_write(&self) -> Result<WriteTransaction> {
        self.begin(Patience::None)
    }

    /// Begins a write transaction, waiting at most about this long for the turn (and not much longer for a checkpoint, if memory is full).
    ///
    /// # Errors
    /// [`Error::Busy`] if it did not come, and as for [`begin_write`](Database::begin_write).
    pub fn begin_write_within(&self, limit: Duration) -> Result<WriteTransaction> {
        self.begin(Patience::For(limit))
    }

    /// Begins a transaction that runs beside others, and is checked when it commits. Waits for nobody. While it runs the store remembers what others commit:
    /// drop it soon.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Poisoned`].
    pub fn begin_concurrent(&self, isolation: Isolation) -> Result<ConcurrentTransaction> {
        self.store().check_writable()?;
        Ok(ConcurrentTransaction::begin(self.handle.clone(), isolation))
    }

    /// Runs a closure in a concurrent transaction and commits it; after a conflict again, as [`RetryPolicy::new`] says. So the closure may run several times, and must
    /// not begin a write transaction of its own: after several conflicts it is run with the writer's turn held. [`RetryPolicy::run`] has more choices.
    ///
    /// ```
    /// # use pentimento_txn as pentimento;
    /// use pentimento::{Database, Isolation};
    /// let db = Database::in_memory()?;
    /// let done = db.transact(Isolation::Serializable, |txn| {
    ///     let mut stock = txn.tree("stock")?;
    ///     stock.add("chairs", -2)?;
    ///     stock.counter("chairs")
    /// })?;
    /// assert_eq!((done.value, done.retries), (-2, 0));
    /// # Ok::<(), pentimento::Error>(())
    /// ```
    ///
    /// # Errors
    /// The closure's own, and as for [`ConcurrentTransaction::commit`].
    pub fn transact<T>(
        &self,
        isolation: Isolation,
        work: impl FnMut(&mut ConcurrentTransaction) -> Result<T>,
    ) -> Result<Transacted<T>> {
        RetryPolicy::new(isolation).run(self, work)
    }

    fn begin(&self, patience: Patience) -> Result<WriteTransaction> {
        let deadline = match patience {
            Patience::Forever => None,
            Patience::None => Some(Instant::now()),
            Patience::For(limit) => Instant::now().checked_add(limit),
        };
        self.handle.shared.wait_for_room(deadline)?;
        let patience = match (patience, deadline) {
            (Patience::For(_), Some(deadline)) => Patience::For(deadline.saturating_duration_since(Instant::now())),
            (patience, _) => patience,
        };
        let set = self.store().begin(patience)?.ok_or(Error::Busy)?;
        // Those who waited in line before us may have filled the memory. Making room does not need the turn.
        self.handle.shared.wait_for_room(deadline)?;
        Ok(WriteTransaction::new(set, self.handle.clone()))
    }

    /// Makes every commit so far durable, and returns when it is. The data file then holds the whole state of the timestamp that is returned. Whoever asks for this wants
    /// little left beside it: room on the disk that is kept for later, but holds nothing, is given back, in the journal and, where it is much, within the data file. A
    /// store that nothing is committed to for some seconds does the same in the background.
    ///
    /// # Errors
    /// [`Error::DiskFull`] leaves everything as it was; other failures of the disk may end writing until the store is opened again.
    pub fn checkpoint(&self) -> Result<Timestamp> {
        self.handle.shared.checkpoint_and_trim()
    }

    /// Makes every commit so far durable, whatever durability they asked for.
    ///
    /// # Errors
    /// As for [`checkpoint`](Database::checkpoint).
    pub fn flush(&self) -> Result<()> {
        self.handle.shared.flush()
    }

    /// Finishes the work that commits leave for later: gives back what nobody needs, trees dropped long ago included. What it cannot give back is
    /// told by [`readers`](Database::readers): who holds it, since when, and how much.
    ///
    /// # Errors
    /// When the store is damaged or the disk fails.
    pub fn maintain(&self) -> Result<Progress> {
        self.handle.shared.look_out.iter().for_each(|look_out| look_out.look(self.store()));
        let mut progress = self.store().maintain();
        if self.store().check_writable().is_ok() {
            while !catalog::doomed(&self.snapshot()?)?.is_empty() {
                let mut txn = self.begin_write()?;
                txn.set_durability(Durability::None)?;
                catalog::dismantle_doomed(txn.pages_mut()?, 4096)?;
                let at = txn.commit()?;
                if self.store().published() < at {
                    // It stands behind a commit that is still becoming durable.
                    self.flush()?;
                }
            }
            let again = self.store().maintain();
            progress.freed += again.freed;
            progress.waiting = again.waiting;
        }
        Ok(progress)
    }

    /// The store's numbers now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.store().stats()
    }

    /// What the journal did since the store was opened; all zero without one.
    #[must_use]
    pub fn journal_stats(&self) -> JournalStats {
        self.handle.shared.journal.get().map(Journal::stats).unwrap_or_default()
    }

    /// What concurrent transactions did and do, and the memory that finding their conflicts takes.
    #[must_use]
    pub fn concurrency_stats(&self) -> ConcurrencyStats {
        self.conflicts().stats()
    }

    /// Which timestamps are kept readable, by whom, since when, and at what cost; oldest first.
    #[must_use]
    pub fn readers(&self) -> Vec<Held> {
        self.store().held()
    }

    /// Asks a reader to stop: [`Snapshot::is_asked_to_stop`] tells it so from then on; nothing else happens to it.
    ///
    /// ```
    /// # use pentimento_txn as pentimento;
    /// # let db = pentimento::Database::in_memory()?;
    /// let snapshot = db.snapshot()?.labelled("report");
    /// for reader in db.readers().iter().flat_map(|held| &held.readers) {
    ///     if reader.label.as_deref() == Some("report") {
    ///         db.ask_to_stop(reader.id);
    ///     }
    /// }
    /// assert!(snapshot.is_asked_to_stop());
    /// # Ok::<(), pentimento::Error>(())
    /// ```
    pub fn ask_to_stop(&self, reader: ReaderId) {
        self.store().ask_to_stop(reader);
    }

    /// Tells this store from all others, however it is named. Copying its file copies the id.
    #[must_use]
    pub fn id(&self) -> StoreId {
        self.handle.shared.id
    }

    /// The newest timestamp that a snapshot taken now would see.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.store().published()
    }

    /// Closes this handle, and the store if it was the last (a write transaction counts as one): a last checkpoint is made, so that one file is left. Snapshots that are still held go
    /// on reading, and keep the file locked. Dropping the handle does the same, but cannot tell of errors.
    ///
    /// # Errors
    /// When the last checkpoint fails. What was durable before still is.
    pub fn close(self) -> Result<()> {
        // Of several that close at once exactly one gets it.
        Arc::into_inner(self.handle).map_or(Ok(()), |handle| handle.close())
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.store().path()).finish_non_exhaustive()
    }
}
