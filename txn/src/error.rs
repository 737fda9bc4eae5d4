//! The one error type of the engine.

use crate::Timestamp;
use crate::backup::StreamError;
use pentimento_btree::Fault;
use pentimento_storage as storage;
use std::io;
use std::path::PathBuf;

/// The result of an operation of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, with the evidence: which operation, page, slot, path.
///
/// ```
/// # use pentimento_txn as pentimento;
/// use pentimento::{Database, Error};
/// let db = Database::in_memory()?;
/// match db.snapshot()?.tree("orders") {
///     Err(Error::NoSuchTree { name }) => assert_eq!(name, "orders"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused or failed a call.
    #[error("cannot {operation} ({path}): {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full, or a quota is reached. The store stays usable for reading, and for writing once there is room.
    #[error("no room on the disk for {path} while trying to {operation}; make room and try again")]
    DiskFull {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
    },
    /// The file is not a Pentimento store.
    #[error("{path} is not a Pentimento store: {why}")]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What is missing.
        why: &'static str,
    },
    /// A journal file beside the store belongs to another store: it was copied, renamed or left there.
    #[error("{path} is the journal of another store; move it away if that is meant")]
    ForeignJournal {
        /// The journal's file.
        path: PathBuf,
    },
    /// The store was not closed cleanly, and its journal holds commits that only an opening for writing can bring back.
    #[error("{path} was not closed cleanly; open it once for writing, so that it can recover")]
    NeedsRecovery {
        /// The store's file.
        path: PathBuf,
    },
    /// The file was written by another version of the format.
    #[error("{path} has format version {found}; this program reads version {supported}")]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The version that this program knows.
        supported: u32,
    },
    /// The file is shorter than what it refers to.
    #[error("{path} is truncated: it refers to bytes up to {needed}, but has only {found}")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The end of what the file refers to, in bytes.
        needed: u64,
        /// The length of the file, in bytes.
        found: u64,
    },
    /// Bytes on disk contradict their checksum or the format.
    #[error("damaged {structure}{}{}: {what}", .page.map(|p| format!(", page {p}")).unwrap_or_default(), .slot.map(|s| format!(", slot {s}")).unwrap_or_default())]
    Damaged {
        /// Which structure.
        structure: &'static str,
        /// Which page, if the structure is one.
        page: Option<u32>,
        /// Where in the file, in slots of 2048 bytes.
        slot: Option<u64>,
        /// What is wrong.
        what: String,
    },
    /// Another process has the store open, or another handle in this one that is not a clone of it.
    #[error("{path} is in use by another process or handle; close it there, or clone that handle")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Another transaction has the writer's turn, or the store was busy for as long as you were willing to wait.
    #[error(
        "another write transaction has the turn, or memory is full of changes; wait with begin_write, or try again later"
    )]
    Busy,
    /// Another commit changed what this concurrent transaction wrote, or, if it is serializable, read. Nothing was committed; run the transaction again, as
    /// [`Database::transact`](crate::Database::transact) does.
    #[error("commit {at} changed {} of tree {tree:?} first; run the transaction again", .key.as_ref().map_or("the whole".to_owned(), |key| format!("key b\"{}\"", key.escape_ascii())))]
    Conflict {
        /// The tree.
        tree: String,
        /// The key; `None` if the other commit changed the tree as a whole, a stretch of it, its name, or more than is remembered.
        key: Option<Vec<u8>>,
        /// The other commit.
        at: Timestamp,
    },
    /// A counter must have eight bytes, an `i64` in little-endian order.
    #[error("the value of key b\"{}\" of tree {tree:?} has {len} bytes; a counter has 8", .key.escape_ascii())]
    NotACounter {
        /// The tree.
        tree: String,
        /// The key.
        key: Vec<u8>,
        /// The length of the value, in bytes.
        len: usize,
    },
    /// The store was opened for reading only.
    #[error("the store is open for reading only")]
    ReadOnly,
    /// An earlier failure of the disk leaves it unknown what is on it. Readers go on; to write, open the store again.
    #[error("the store takes no more writes until it is opened again: {0}")]
    Poisoned(String),
    /// The commit took place in memory, but making it durable failed: after a crash now it may be there or not. Readers do not see it
    /// unless a later checkpoint succeeds.
    #[error("it is unknown whether commit {at} would survive a crash: {source}")]
    OutcomeUnknown {
        /// The commit.
        at: Timestamp,
        /// What failed.
        source: Box<Error>,
    },
    /// An earlier operation of this transaction failed half-way, so it cannot be committed. Drop it, or roll back to a savepoint
    /// before the failure.
    #[error("the transaction cannot be committed: an earlier operation of it failed half-way")]
    Incomplete,
    /// There is no tree of this name.
    #[error("there is no tree named {name:?}")]
    NoSuchTree {
        /// The name.
        name: String,
    },
    /// There is a tree of this name already.
    #[error("there is a tree named {name:?} already")]
    TreeExists {
        /// The name.
        name: String,
    },
    /// There is a named snapshot of this name already.
    #[error("there is a snapshot named {0:?} already; choose another name, or drop that one first")]
    SnapshotExists(String),
    /// There is no named snapshot of this name.
    #[error("there is no snapshot named {0:?}")]
    NoSuchSnapshot(String),
    /// Something was changed before, in the same transaction.
    #[error("the transaction has changed something already; restore a snapshot first, and change it then")]
    NotTheFirst,
    /// A snapshot's name must have 1 to [`MAX_SNAPSHOT_NAME`](crate::MAX_SNAPSHOT_NAME) bytes.
    #[error("a snapshot's name must have 1 to {max} bytes, not {len}")]
    InvalidSnapshotName {
        /// The length of the name, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// The store has [`MAX_NAMED_SNAPSHOTS`](crate::MAX_NAMED_SNAPSHOTS) named snapshots.
    #[error("the store has {max} named snapshots, as many as it can; drop some first")]
    TooManySnapshots {
        /// The limit.
        max: usize,
    },
    /// A tree's name must have 1 to [`MAX_NAME_LEN`](crate::MAX_NAME_LEN) bytes.
    #[error("a tree's name must have 1 to {max} bytes, not {len}")]
    InvalidTreeName {
        /// The length of the name, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// A key is too long.
    #[error("a key of {len} bytes exceeds the limit of {max}")]
    KeyTooLong {
        /// The length of the key, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// A value is too long.
    #[error("a value of {len} bytes exceeds the limit of {max}")]
    ValueTooLong {
        /// The length of the value, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// Changes go from an older snapshot to a newer one.
    #[error(
        "the snapshot of {other} is younger than that of {asked}; ask the younger one what changed since the older"
    )]
    NotOlder {
        /// The timestamp of the snapshot that was asked.
        asked: Timestamp,
        /// The timestamp of the other one.
        other: Timestamp,
    },
    /// To watch since a timestamp the store as it was then must still be there.
    #[error(
        "no named snapshot has timestamp {at}, so it is not known any more what changed since; read everything once, and watch after that snapshot"
    )]
    NoSnapshotAt {
        /// The timestamp.
        at: Timestamp,
    },
    /// The two snapshots are of different stores, or of one that was opened twice for reading.
    #[error(
        "the snapshots are of different stores, or of one store opened twice; take both through clones of one handle"
    )]
    OtherStore,
    /// The savepoint is of another transaction, or was rolled back over.
    #[error("the savepoint is gone: it was rolled back over, or belongs to another transaction")]
    SavepointGone,
    /// All page numbers are in use.
    #[error("the store has no page number left (limit: 4,294,967,294 pages)")]
    OutOfPages,
    /// A backup cannot be made, or a stream cannot be received.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// An option has a value outside its range.
    #[error("{option}: {why}")]
    InvalidOption {
        /// The option.
        option: &'static str,
        /// What it must be.
        why: &'static str,
    },
}

impl Error {
    /// Whether the same call can succeed later without any change by the caller: somebody else must finish, or the disk must get room. After
    /// [`Error::Conflict`] the whole transaction is to be run again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Busy | Error::Conflict { .. } | Error::Locked { .. } | Error::DiskFull { .. })
    }

    pub(crate) fn damaged(structure: &'static str, what: impl Into<String>) -> Error {
        Error::Damaged { structure, page: None, slot: None, what: what.into() }
    }

    /// Whether the operation was refused before it changed anything.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Error::KeyTooLong { .. }
                | Error::ValueTooLong { .. }
                | Error::NoSuchTree { .. }
                | Error::TreeExists { .. }
                | Error::InvalidTreeName { .. }
        )
    }
}

impl From<storage::Error> for Error {
    #[cold]
    fn from(error: storage::Error) -> Error {
        match error {
            storage::Error::Io { operation, path, source } => Error::Io { operation, path, source },
            storage::Error::DiskFull { operation, path } => Error::DiskFull { operation, path },
            storage::Error::NotAStore { path, why } => Error::NotAStore { path, why },
            storage::Error::UnsupportedVersion { path, found, supported } => {
                Error::UnsupportedVersion { path, found, supported }
            }
            storage::Error::Truncated { path, needed, found } => Error::Truncated { path, needed, found },
            storage::Error::Damaged { structure, page, slot, what } => {
                Error::Damaged { structure, page: page.map(|page| page.0), slot, what }
            }
            storage::Error::NoSuchPage { page, at } => Error::Damaged {
                structure: "page",
                page: Some(page.0),
                slot: None,
                what: format!("something refers to it, but it does not exist at timestamp {at}"),
            },
            storage::Error::Locked { path } => Error::Locked { path },
            storage::Error::ReadOnly => Error::ReadOnly,
            storage::Error::Poisoned(why) => Error::Poisoned(why),
            storage::Error::OutcomeUnknown { at, source } => {
                Error::OutcomeUnknown { at, source: Box::new((*source).into()) }
            }
            storage::Error::OutOfPages => Error::OutOfPages,
            storage::Error::PageTooLarge { len, max } => Error::ValueTooLong { len, max },
            storage::Error::SnapshotExists(name) => Error::SnapshotExists(name),
            storage::Error::NoSuchSnapshot(name) => Error::NoSuchSnapshot(name),
            storage::Error::InvalidSnapshotName { len, max } => Error::InvalidSnapshotName { len, max },
            storage::Error::TooManySnapshots { max } => Error::TooManySnapshots { max },
            storage::Error::InvalidOption { option, why } => Error::InvalidOption { option, why },
            other => Error::damaged("store", other.to_string()),
        }
    }
}

impl From<Fault> for Error {
    #[cold]
    fn from(fault: Fault) -> Error {
        match fault {
            Fault::Damaged { page, what } => {
                Error::Damaged { structure: "page", page: Some(page.0), slot: None, what: what.to_owned() }
            }
            Fault::KeyTooLong { len, max } => Error::KeyTooLong { len, max },
            Fault::ValueTooLong { len, max } => Error::ValueTooLong { len, max },
            other => Error::damaged("page", other.to_string()),
        }
    }
}
