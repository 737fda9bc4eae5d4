//! Making a stream of a snapshot, or of what changed between two.

use super::format::{CHUNK_BYTES, Identity, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES};
use super::packer::Packer;
use super::position::ResumePosition;
use super::walk::Place;
use super::{StreamError, increment};
use crate::{Database, Error, Result, Snapshot, Timestamp};
use std::fmt;
use std::io::Write;
use std::ops::Bound;

/// How far a backup is, told after each chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamProgress {
    /// Chunks so far, those before a resumption included.
    pub chunks: u64,
    /// Bytes that were written or read this time.
    pub bytes: u64,
    /// Entries so far that are set or removed, those before a resumption included.
    pub entries: u64,
    /// The tree that it is at.
    pub tree: String,
}

type Listener<'b> = Box<dyn FnMut(&StreamProgress) + 'b>;

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shipped {
    /// The moment that the stream leads to.
    pub timestamp: Timestamp,
    /// The moment that it is based on; `None` if it is whole.
    pub base: Option<Timestamp>,
    /// Chunks of the whole stream, without the end.
    pub chunks: u64,
    /// Bytes that were written this time.
    pub bytes: u64,
    /// The checksum of the end, which covers everything before it.
    pub checksum: u32,
    /// Entries that the whole stream sets.
    pub puts: u64,
    /// Entries that the whole stream removes.
    pub removes: u64,
}

/// A backup to be made: which snapshot, based on what, from where on. [`Database::backup_of`] begins one.
///
/// ```
/// # use pentimento_txn as pentimento;
/// # let db = pentimento::Database::in_memory()?;
/// # let change = |value: &str| {
/// #     let mut txn = db.begin_write()?;
/// #     txn.tree("orders")?.insert("1001", value)?;
/// #     txn.commit()
/// # };
/// # change("two chairs")?;
/// let monday = db.snapshot()?;
/// let mut whole = Vec::new();
/// db.backup_of(&monday).write_to(&mut whole)?;
///
/// let copy = pentimento::Database::in_memory()?;
/// copy.receive(whole.as_slice())?;
/// assert_eq!(copy.snapshot()?.tree("orders")?.get("1001")?, Some(b"two chairs".as_slice()));
/// # Ok::<(), pentimento::Error>(())
/// ```
#[must_use]
pub struct Backup<'b> {
    db: &'b Database,
    snapshot: &'b Snapshot,
    base: Option<&'b Snapshot>,
    from: Option<ResumePosition>,
    chunk_bytes: usize,
    progress: Option<Listener<'b>>,
}

impl Database {
    /// Streams everything that the newest snapshot holds, while writers go on. [`backup_of`](Database::backup_of) has the choices: another snapshot, only what
    /// changed, going on where a receiver stopped.
    ///
    /// # Errors
    /// As for [`Backup::write_to`].
    pub fn backup(&self, writer: impl Write) -> Result<Shipped> {
        self.backup_of(&self.snapshot()?).write_to(writer)
    }

    /// A backup of a snapshot of this store.
    pub fn backup_of<'b>(&'b self, snapshot: &'b Snapshot) -> Backup<'b> {
        Backup { db: self, snapshot, base: None, from: None, chunk_bytes: CHUNK_BYTES, progress: None }
    }
}

impl<'b> Backup<'b> {
    /// Only what changed since `base`, an older snapshot of the same store: an increment, for a receiver that holds the base. It costs what changed, not what there is
    /// ([`Snapshot::changes_since`]).
    ///
    /// ```
    /// # use pentimento_txn as pentimento;
    /// # let (db, copy) = (pentimento::Database::in_memory()?, pentimento::Database::in_memory()?);
    /// # let put = |key: &str| { let mut txn = db.begin_write()?; txn.tree("t")?.insert(key, "value")?; txn.commit() };
    /// put("a")?;
    /// let monday = db.snapshot()?;
    /// put("b")?;
    /// let tuesday = db.snapshot()?;
    /// let (mut whole, mut increment) = (Vec::new(), Vec::new());
    /// db.backup_of(&monday).write_to(&mut whole)?;
    /// db.backup_of(&tuesday).since(&monday).write_to(&mut increment)?;
    ///
    /// assert!(copy.receive(increment.as_slice()).is_err()); // it does not hold the base
    /// copy.receive(whole.as_slice())?;
    /// copy.receive(increment.as_slice())?;
    /// assert_eq!(copy.snapshot()?.tree("t")?.len()?, 2);
    /// # Ok::<(), pentimento::Error>(())
    /// ```
    pub fn since(mut self, base: &'b Snapshot) -> Backup<'b> {
        self.base = Some(base);
        self
    }

    /// Goes on where a receiver of the same backup stopped, as [`Receiver::position`](super::Receiver::position) told. What was sent already is not read again.
    pub fn resume_at(mut self, position: ResumePosition) -> Backup<'b> {
        self.from = Some(position);
        self
    }

    /// About how many bytes a chunk has: 256 KiB by default, 1 KiB to 8 MiB. A resumed backup keeps those that it began with.
    pub fn chunk_bytes(mut self, bytes: usize) -> Backup<'b> {
        self.chunk_bytes = bytes;
        self
    }

    /// Has `progress` told after each chunk how far it is.
    pub fn on_progress(mut self, progress: impl FnMut(&StreamProgress) + 'b) -> Backup<'b> {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Writes the stream. Before that, it makes durable what the snapshot shows: a receiver must not hold what a crash here could take back. The same pair of snapshots
    /// gives the same bytes each time.
    ///
    /// # Errors
    /// [`StreamError::Io`] when the writer fails, [`StreamError::InvalidPosition`] (as [`Error::Stream`]); [`Error::NotOlder`] and
    /// [`Error::OtherStore`], when the base is none of this snapshot; when a page is damaged; [`Error::Poisoned`] when a relaxed commit that the snapshot shows cannot be made durable any more.
    pub fn write_to(mut self, writer: impl Write) -> Result<Shipped> {
        let identity = self.identity()?;
        self.check_snapshots()?;
        let from = self.from.take();
        if let Some(from) = &from {
            self.check_position(from, &identity)?;
        }
        let chunk_bytes = from.as_ref().map_or(identity.chunk_bytes, |from| from.identity.chunk_bytes);
        let identity = Identity { chunk_bytes, ..identity };
        self.make_durable()?;
        let mut progress = self.progress.take();
        let progress = progress.as_mut().map(|progress| &mut **progress as &mut dyn FnMut(&StreamProgress));
        let mut packer = Packer::new(writer, identity, from.as_ref(), progress)?;
        match self.base {
            Some(base) => increment::send(&mut packer, self.snapshot, base)?,
            None => self.send_all(&mut packer)?,
        }
        Ok(packer.finish()?)
    }

    fn identity(&self) -> Result<Identity> {
        if !(MIN_CHUNK_BYTES..=MAX_CHUNK_BYTES).contains(&self.chunk_bytes) {
            return Err(Error::InvalidOption { option: "chunk_bytes", why: "it must be 1 KiB to 8 MiB" });
        }
        Ok(Identity {
            chunk_bytes: self.chunk_bytes as u32,
            source: self.db.id(),
            timestamp: self.snapshot.timestamp(),
            base: self.base.map(Snapshot::timestamp),
            page_size: self.db.store().options().page_size as u32,
        })
    }

    /// The stream names the store and the moments: they must be those that it is made of.
    fn check_snapshots(&self) -> Result<()> {
        let now = self.db.snapshot()?;
        for snapshot in std::iter::once(self.snapshot).chain(self.base) {
            if !now.pin().is_of_same_store(snapshot.pin()) {
                return Err(Error::OtherStore);
            }
        }
        let (asked, base) = (self.snapshot.timestamp(), self.base.map(Snapshot::timestamp));
        base.filter(|base| *base > asked).map_or(Ok(()), |other| Err(Error::NotOlder { asked, other }))
    }

    fn check_position(&self, from: &ResumePosition, identity: &Identity) -> Result<(), StreamError> {
        let why = if from.identity.source != identity.source {
            "is of another store"
        } else if (from.identity.timestamp, from.identity.base) != (identity.timestamp, identity.base) {
            "is of a backup of other moments"
        } else {
            return Ok(());
        };
        Err(StreamError::InvalidPosition { why })
    }

    /// What a crash could take back would be another state under the same timestamp afterwards.
    fn make_durable(&self) -> Result<()> {
        let store = self.db.store();
        if store.is_in_memory() || store.options().read_only {
            return Ok(());
        }
        self.db.shared().make_durable(self.snapshot.timestamp())
    }

    fn send_all<W: Write>(&self, packer: &mut Packer<'_, W>) -> Result<()> {
        // Where it begins: nothing, or what the receiver has.
        let start = packer.walk().clone();
        for name in self.snapshot.trees()? {
            if start.place != Place::Start && name < start.tree {
                continue;
            }
            let tree = self.snapshot.tree(&name)?;
            packer.tree(&name)?;
            let is_begun = start.place != Place::Start && name == start.tree;
            let (from, mut offset) = match start.place {
                Place::Done if is_begun => (Bound::Excluded(start.key.as_slice()), 0),
                Place::Within { offset, .. } if is_begun => (Bound::Included(start.key.as_slice()), offset),
                _ => (Bound::Unbounded, 0),
            };
            for entry in tree.range((from, Bound::Unbounded))? {
                let (key, value) = entry?;
                if offset > 0 && (*key != *start.key || offset > value.len() as u64) {
                    return Err(StreamError::InvalidPosition { why: "is within a value that is not there" }.into());
                }
                packer.put(&key, value, std::mem::take(&mut offset))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Backup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backup").field("snapshot", self.snapshot).field("base", &self.base).finish_non_exhaustive()
    }
}
