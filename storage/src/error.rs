//! What can go wrong below the trees, each with the evidence.

use crate::{PageId, Timestamp};
use std::io;
use std::path::PathBuf;

/// The result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the storage layer.
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
    /// The disk is full (or a quota is reached). The store stays usable for reading, and for writing once there is room.
    #[error("no room on the disk for {path} while trying to {operation}")]
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
    #[error("{path} is truncated: it refers to byte {needed}, but has only {found}")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The end of the farthest run that the file refers to, in bytes.
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
        page: Option<PageId>,
        /// Where in the file, in slots.
        slot: Option<u64>,
        /// What is wrong.
        what: String,
    },
    /// A page was asked for that does not exist at that moment.
    #[error("page {page} does not exist at timestamp {at}")]
    NoSuchPage {
        /// The page.
        page: PageId,
        /// The moment.
        at: Timestamp,
    },
    /// Another process has the store open (or another handle in this one).
    #[error("{path} is in use by another process or handle")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The store was opened for reading only.
    #[error("the store is open for reading only")]
    ReadOnly,
    /// An earlier failure of the medium leaves it unknown what is on the disk; readers go on, writers must open the store again.
    #[error("the store takes no more writes until it is opened again: {0}")]
    Poisoned(String),
    /// A commit was installed, but what makes it durable failed: after a crash now it may be there or not.
    #[error("it is unknown whether commit {at} would survive a crash: {source}")]
    OutcomeUnknown {
        /// The commit.
        at: Timestamp,
        /// What failed.
        source: Box<Error>,
    },
    /// All page numbers are in use.
    #[error("the store has no page number left (limit: 4,294,967,294 pages)")]
    OutOfPages,
    /// The file has reached the greatest size that the format allows.
    #[error("the file cannot grow beyond {max} bytes")]
    FileTooLarge {
        /// The limit, in bytes.
        max: u64,
    },
    /// A page larger than the format allows.
    #[error("a page of {len} bytes exceeds the limit of {max}")]
    PageTooLarge {
        /// What was asked for, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// There is a named snapshot of this name already.
    #[error("there is a snapshot named {0:?} already")]
    SnapshotExists(String),
    /// There is no named snapshot of this name.
    #[error("there is no snapshot named {0:?}")]
    NoSuchSnapshot(String),
    /// The name of a snapshot is empty or too long.
    #[error("a snapshot's name must have 1 to {max} bytes, not {len}")]
    InvalidSnapshotName {
        /// The length of the name, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// The store has as many named snapshots as it can have.
    #[error("the store has {max} named snapshots, as many as it can; drop some first")]
    TooManySnapshots {
        /// The limit.
        max: usize,
    },
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
    /// The error of a call that the operating system failed: [`Error::DiskFull`] has a kind of its own.
    #[must_use]
    pub fn from_io(operation: &'static str, path: &std::path::Path, source: io::Error) -> Error {
        Error::io(operation, path, source)
    }

    pub(crate) fn io(operation: &'static str, path: &std::path::Path, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::DiskFull { operation, path: path.to_owned() }
            }
            _ => Error::Io { operation, path: path.to_owned(), source },
        }
    }

    pub(crate) fn damaged_page(page: PageId, slot: Option<u64>, what: impl Into<String>) -> Error {
        Error::Damaged { structure: "page", page: Some(page), slot, what: what.into() }
    }
}
