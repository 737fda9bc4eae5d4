//! Hot readers: the newest snapshot, again and again, for next to nothing.
//!
//! Promises: while nothing was published, [`HotReader::current`] costs one load and one comparison; when something was, it lets the old moment go and takes the newest, without a lock. What
//! it gives is an ordinary snapshot: it does not change while it is borrowed. A reader that is slow, or forgets to look again, delays nobody; it keeps what it can see.

use crate::catalog::{self, TreeRecord};
use crate::snapshot::Tree;
use crate::{Error, Result, Snapshot, Timestamp};
use pentimento_storage::Store;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// No timestamp is this: nothing is held.
const QUIESCENT: Timestamp = Timestamp::MAX;

/// A handle of one thread for reading the newest snapshot over and over. Get one for each thread with [`Database::hot_reader`](crate::Database::hot_reader).
///
/// ```
/// # use pentimento_txn as pentimento;
/// use pentimento::Database;
/// let db = Database::in_memory()?;
/// let set = |hop: &str| {
///     let mut txn = db.begin_write()?;
///     txn.tree("routes")?.insert("10.0.0.0/8", hop)?;
///     txn.commit()
/// };
/// set("eth0")?;
/// let mut reader = db.hot_reader();
/// assert_eq!(reader.tree("routes")?.get("10.0.0.0/8")?, Some(b"eth0".as_slice()));
/// set("eth1")?;
/// assert_eq!(reader.tree("routes")?.get("10.0.0.0/8")?, Some(b"eth1".as_slice()));
/// reader.quiescent(); // idle: holds nothing back
/// # Ok::<(), pentimento::Error>(())
/// ```
pub struct HotReader {
    store: Arc<Store>,
    snapshot: Option<Snapshot>,
    /// The timestamp of the snapshot.
    seen: Timestamp,
    /// Trees that were looked up in this snapshot.
    trees: Vec<(Box<str>, TreeRecord)>,
    label: Option<Box<str>>,
    /// It may go to another thread, but two cannot use it at once.
    _one_thread: PhantomData<Cell<()>>,
}

impl HotReader {
    pub(crate) fn new(store: Arc<Store>) -> HotReader {
        HotReader { store, snapshot: None, seen: QUIESCENT, trees: Vec::new(), label: None, _one_thread: PhantomData }
    }

    /// Names the reader in statistics.
    #[must_use]
    pub fn labelled(mut self, label: &str) -> HotReader {
        self.label = Some(label.into());
        if let Some(snapshot) = &self.snapshot {
            snapshot.set_label(label);
        }
        self
    }

    /// The newest published snapshot. Clone it to keep it for longer than until the next call.
    ///
    /// # Errors
    /// None today.
    #[inline]
    pub fn current(&mut self) -> Result<&Snapshot> {
        if self.store.published() != self.seen {
            self.renew();
        }
        match &self.snapshot {
            Some(snapshot) => Ok(snapshot),
            None => Err(nothing_held()),
        }
    }

    /// A tree of the newest published snapshot. The catalog is looked into once for each name and snapshot.
    ///
    /// # Errors
    /// [`Error::NoSuchTree`] if there is none at this moment.
    #[inline]
    pub fn tree(&mut self, name: &str) -> Result<Tree<'_>> {
        if self.store.published() != self.seen {
            self.renew();
        }
        let known = self.trees.iter().find(|(known, _)| **known == *name).map(|(_, record)| *record);
        let record = match known {
            Some(record) => record,
            None => self.meet(name)?,
        };
        match &self.snapshot {
            Some(snapshot) => Ok(Tree::new(snapshot, record)),
            None => Err(nothing_held()),
        }
    }

    #[cold]
    fn meet(&mut self, name: &str) -> Result<TreeRecord> {
        let no_such_tree = || Error::NoSuchTree { name: name.to_owned() };
        let snapshot = self.snapshot.as_ref().ok_or_else(nothing_held)?;
        let record = catalog::find(snapshot, name)?.ok_or_else(no_such_tree)?;
        self.trees.push((name.into(), record));
        Ok(record)
    }

    /// Lets the old moment go and takes the newest.
    #[inline(never)]
    fn renew(&mut self) {
        self.quiescent();
        let snapshot = Snapshot::new(self.store.pin());
        if let Some(label) = &self.label {
            snapshot.set_label(label);
        }
        self.seen = snapshot.timestamp();
        self.snapshot = Some(snapshot);
    }

    /// Lets the snapshot go, so that an idle reader holds nothing back. The next look takes the newest. (Dropping the reader lets go too.)
    pub fn quiescent(&mut self) {
        self.trees.clear();
        self.seen = QUIESCENT;
        self.snapshot = None;
    }

    /// Whether it holds a snapshot now.
    #[must_use]
    pub fn is_quiescent(&self) -> bool {
        self.snapshot.is_none()
    }
}

/// Cannot be: whoever looks has renewed before. An error all the same, not a panic in a hot path.
#[cold]
fn nothing_held() -> Error {
    Error::damaged("hot reader", "it holds no snapshot; this is a bug")
}

impl fmt::Debug for HotReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HotReader")
            .field("snapshot", &self.snapshot)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}
