//! Watching a store: committed changes, in order, as they are published.
//!
//! Promises:
//! 1. Each batch is what changed between two moments; the next begins where the last ended, or later if nothing that is watched changed in between. Nothing
//!    is left out, nothing told twice.
//! 2. Only published commits are told: none that a crash could still take back, unless it asked for relaxed durability itself.
//! 3. While a subscriber keeps up each batch is one commit. One who falls behind too far is told several commits as one, their changes summed up; the
//!    writer never waits for him. What he holds back is one moment (as a snapshot does), and a bounded number of the newest commits.
//! 4. When the store is closed he is told what was committed, and then that this is the end.
//!
//! How: a commit that is watched registers its moment as a reader and notes which pages it touched ([`log`]). The subscriber compares the moments before and
//! after, by those pages alone ([`Changes`]): so he learns old and new values, whatever the transaction did, be it a bulk load or the removal of a range.

mod log;

use crate::changes::Scope;
use crate::sync::{Arc, Instant};
use crate::{Changes, Database, Error, KeyBounds, Result, Snapshot, Timestamp};
pub(crate) use log::Log;
use pentimento_btree::end_of_prefix;
use pentimento_storage::Store;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Bound;
use std::time::Duration;

/// How long to wait before looking again, just in case.
const WAIT: Duration = Duration::from_secs(60);

/// What to watch, and from when on.
///
/// ```
/// # use pentimento_txn as pentimento;
/// use pentimento::{Database, Watch};
/// let db = Database::in_memory()?;
/// # let mut txn = db.begin_write()?;
/// # txn.tree("orders")?;
/// # txn.commit()?;
/// let mut orders = db.watch(Watch::tree("orders").prefix("2026-"))?;
///
/// let mut txn = db.begin_write()?;
/// txn.tree("orders")?.insert("2026-11-20/1", "two chairs")?;
/// txn.tree("stock")?.insert("chairs", "10")?;
/// let at = txn.commit()?;
///
/// let batch = orders.recv()?.expect("the store is open");
/// assert_eq!((batch.to, batch.exact), (at, true));
/// for change in batch.changes {
///     let change = change?;
///     assert_eq!((&*change.key, change.after().unwrap().as_ref()), (b"2026-11-20/1".as_slice(), b"two chairs".as_slice()));
/// }
/// # Ok::<(), pentimento::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Watch {
    tree: Option<String>,
    bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    after: Option<Snapshot>,
    since: Option<Timestamp>,
}

impl Watch {
    fn new(tree: Option<String>) -> Watch {
        Watch { tree, bounds: (Bound::Unbounded, Bound::Unbounded), after: None, since: None }
    }

    /// Everything in the store.
    pub fn all() -> Watch {
        Watch::new(None)
    }

    /// One tree, which need not exist yet.
    pub fn tree(name: impl Into<String>) -> Watch {
        Watch::new(Some(name.into()))
    }

    /// Only keys that begin with `prefix`.
    pub fn prefix(self, prefix: impl AsRef<[u8]>) -> Watch {
        let prefix = prefix.as_ref();
        Watch { bounds: (Bound::Included(prefix.to_vec()), end_of_prefix(prefix)), ..self }
    }

    /// Only keys in this range.
    pub fn range(self, bounds: impl KeyBounds) -> Watch {
        let own = |bound: Bound<&[u8]>| bound.map(<[u8]>::to_vec);
        Watch { bounds: (own(bounds.start()), own(bounds.end())), ..self }
    }

    /// Begin with what was committed after this snapshot, instead of after now.
    pub fn after(self, snapshot: &Snapshot) -> Watch {
        Watch { after: Some(snapshot.clone()), since: None, ..self }
    }

    /// Begin with what was committed after this timestamp: that of a named snapshot that exists, for instance of a [bookmark](Subscriber::bookmark).
    pub fn since(self, at: Timestamp) -> Watch {
        Watch { since: Some(at), after: None, ..self }
    }

    /// Finds the snapshot that it is to begin after.
    pub(crate) fn find(self, db: &Database) -> Result<Watch> {
        let Some(at) = self.since else { return Ok(self) };
        let newest = db.snapshot()?;
        let snapshot = if newest.timestamp() == at {
            newest
        } else {
            let named = db.named_snapshots()?.into_iter().find(|named| named.timestamp == at);
            db.open_snapshot(&named.ok_or(Error::NoSnapshotAt { at })?.name)?
        };
        Ok(Watch { after: Some(snapshot), since: None, ..self })
    }
}

/// What changed from one moment to another.
#[derive(Debug)]
pub struct Batch {
    /// The moment before the changes.
    pub from: Timestamp,
    /// The moment after them.
    pub to: Timestamp,
    /// Whether this is one commit. Else the changes of several are summed up: of a key that changed several times only the first and the last value are told.
    pub exact: bool,
    /// The changes, in the order of the trees' names and then of the keys. There is at least one.
    pub changes: Changes,
}

/// Receives committed changes. Get one with [`Database::watch`](crate::Database::watch). It may go to another thread; several are independent of each other.
///
/// It does not keep the store open: when the last [`Database`](crate::Database) handle goes it is told the rest, and then the end.
pub struct Subscriber {
    store: Arc<Store>,
    log: Arc<Log>,
    number: u64,
    watch: Watch,
    /// What was delivered last; `None` when it is over.
    snapshot: Option<Snapshot>,
    delivered: Timestamp,
    /// Moments that no batch may cross, in order.
    bookmarks: Vec<Snapshot>,
}

impl Subscriber {
    pub(crate) fn new(store: &Arc<Store>, log: &Arc<Log>, mut watch: Watch) -> Result<Subscriber> {
        let newest = Snapshot::new(store.pin()).labelled("change feed");
        let snapshot = match watch.after.take() {
            Some(snapshot) if !snapshot.pin().is_of_same_store(newest.pin()) => return Err(Error::OtherStore),
            Some(snapshot) => snapshot,
            None => newest,
        };
        let delivered = snapshot.timestamp();
        let number = log.enter(delivered);
        Ok(Subscriber {
            store: store.clone(),
            log: log.clone(),
            number,
            watch,
            snapshot: Some(snapshot),
            delivered,
            bookmarks: Vec::new(),
        })
    }

    /// Everything up to this commit was delivered, or is of no interest here.
    #[must_use]
    pub fn delivered(&self) -> Timestamp {
        self.delivered
    }

    /// How many commits are published that were not looked at yet.
    #[must_use]
    pub fn behind(&self) -> u64 {
        if self.snapshot.is_none() { 0 } else { self.store.published().0.saturating_sub(self.delivered.0) }
    }

    /// The next batch; waits until there is one. `None` when the store was closed and everything is delivered.
    ///
    /// # Errors
    /// When a page is damaged, or [`Error::Poisoned`] when the store will publish nothing more. The end comes after an error.
    pub fn recv(&mut self) -> Result<Option<Batch>> {
        self.recv_until(None)
    }

    /// As [`recv`](Subscriber::recv), but gives `None` also when nothing came within about this long; [`is_over`](Subscriber::is_over) tells which it was.
    ///
    /// # Errors
    /// The same.
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<Option<Batch>> {
        // A limit beyond what the clock can tell is none.
        self.recv_until(Instant::now().checked_add(limit))
    }

    /// The next batch if there is one now.
    ///
    /// # Errors
    /// As for [`recv`](Subscriber::recv).
    pub fn try_recv(&mut self) -> Result<Option<Batch>> {
        let result = self.next_batch();
        if result.is_err() {
            self.end();
        }
        result
    }

    /// Whether nothing will come any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.snapshot.is_none()
    }

    /// Makes a moment from which watching can be [resumed](Watch::since) after a restart, and tells its timestamp: what is newest now, kept as a named snapshot. No
    /// batch crosses it. Note the timestamp with your own progress once [`delivered`](Subscriber::delivered) has reached it and you have dealt with what came.
    ///
    /// The bookmark before stays until the first call after that one was reached: so at any time there is one from which nothing is missed. They are called
    /// `NAME/1` and `NAME/2` among the [named snapshots](Database::named_snapshots); drop them when they are not wanted any more.
    ///
    /// ```
    /// # use pentimento_txn as pentimento;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.pent");
    /// use pentimento::{Database, Watch};
    /// # let put = |db: &Database, key: &str| { let mut txn = db.begin_write()?; txn.tree("orders")?.insert(key, "")?; txn.commit() };
    /// let db = Database::open(&path)?;
    /// let mut feed = db.watch(Watch::tree("orders"))?;
    /// put(&db, "1")?;
    /// let bookmark = feed.bookmark(&db, "shipping")?;
    /// while feed.delivered() < bookmark {
    ///     let batch = feed.recv()?.expect("the store is open");
    ///     // ... do what is to be done, and note `batch.to` as done
    /// }
    /// put(&db, "2")?;
    /// drop(feed);
    /// db.close()?;
    ///
    /// let db = Database::open(&path)?;
    /// let mut feed = db.watch(Watch::tree("orders").since(bookmark))?;
    /// let batch = feed.recv()?.expect("the store is open");
    /// assert_eq!(batch.changes.map(|change| change.unwrap().key.into_vec()).collect::<Vec<_>>(), [b"2"]);
    /// # Ok::<(), pentimento::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OtherStore`] if the handle is another store's, and as for [`Database::snapshot_named`].
    pub fn bookmark(&mut self, db: &Database, name: &str) -> Result<Timestamp> {
        if !Arc::ptr_eq(db.store(), &self.store) {
            return Err(Error::OtherStore);
        }
        let names = [format!("{name}/1"), format!("{name}/2")];
        // The youngest that was reached is the one to keep.
        let known = db.named_snapshots()?;
        let reached = known.iter().filter(|named| names.contains(&named.name) && named.timestamp <= self.delivered);
        let keep = reached.max_by_key(|named| named.timestamp).map(|named| named.name.as_str());
        let [one, two] = &names;
        let target = if keep == Some(one.as_str()) { two } else { one };
        let at = db.replace_snapshot(target)?;
        if at > self.delivered {
            self.bookmarks.push(db.open_snapshot(target)?);
        }
        Ok(at)
    }

    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<Option<Batch>> {
        loop {
            // Looked at first: what was published before the end is delivered before it.
            let is_closed = self.log.is_closed();
            if let Some(batch) = self.try_recv()? {
                return Ok(Some(batch));
            }
            if self.is_over() {
                return Ok(None);
            }
            if is_closed {
                self.end();
                return Ok(None);
            }
            let left = deadline.map_or(WAIT, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            let (delivered, log) = (self.delivered, &self.log);
            let has_stopped = self.store.wait_unless(left, |published| published > delivered || log.is_closed());
            if has_stopped && self.store.published() <= delivered {
                self.end();
                self.store.check_writable()?;
            }
        }
    }

    fn next_batch(&mut self) -> Result<Option<Batch>> {
        while let Some(older) = self.snapshot.as_ref().filter(|_| self.store.published() > self.delivered) {
            let next = self.delivered.next();
            let (newer, pages) = match self.log.get(next) {
                Some(commit) => (commit.snapshot, Some(commit.pages)),
                None => match self.bookmarks.first() {
                    Some(bookmark) => (bookmark.clone(), None),
                    None => (Snapshot::new(self.store.pin()).labelled("change feed"), None),
                },
            };
            let scope = Scope { tree: self.watch.tree.as_deref(), bounds: &self.watch.bounds, pages: pages.as_deref() };
            let mut changes = Changes::between(older, &newer, &scope)?;
            let is_empty = changes.is_empty()?;
            let (from, to) = (self.delivered, newer.timestamp());
            self.delivered = to;
            self.snapshot = Some(newer);
            self.log.advance(self.number, to);
            self.bookmarks.retain(|bookmark| bookmark.timestamp() > to);
            if !is_empty {
                return Ok(Some(Batch { from, to, exact: to == next, changes }));
            }
        }
        Ok(None)
    }

    fn end(&mut self) {
        self.snapshot = None;
        self.bookmarks.clear();
        self.log.leave(self.number);
    }
}

impl Iterator for Subscriber {
    type Item = Result<Batch>;

    /// As [`recv`](Subscriber::recv).
    fn next(&mut self) -> Option<Result<Batch>> {
        self.recv().transpose()
    }
}

impl FusedIterator for Subscriber {}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("watch", &self.watch)
            .field("delivered", &self.delivered)
            .finish_non_exhaustive()
    }
}
