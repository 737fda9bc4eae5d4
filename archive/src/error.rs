//! What can go wrong with an archive.

use pentimento_txn::{StoreId, Timestamp};
use std::io;

/// The result of an operation on an archive.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on an archive did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The place failed: the disk, the network, or whoever is at its other end.
    #[error("cannot {operation} {name}: {source}")]
    Place {
        /// What was tried.
        operation: &'static str,
        /// On what, within the place.
        name: String,
        /// What was said.
        source: io::Error,
    },
    /// The destination is not one that this program knows.
    #[error("{destination} is no place for an archive: {why}")]
    UnknownPlace {
        /// The destination.
        destination: String,
        /// What is wrong with it.
        why: String,
    },
    /// A manifest is not one.
    #[error("the manifest {name} is damaged: {why}; the point is of no use, back up anew")]
    DamagedManifest {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The point is there already.
    #[error("the archive has timestamp {timestamp} of store {source_id} already")]
    PointExists {
        /// The store.
        source_id: StoreId,
        /// The moment.
        timestamp: Timestamp,
    },
    /// An increment needs its base in the archive.
    #[error(
        "the archive does not have timestamp {base} of store {source_id}, on which the increment is based; back up the whole"
    )]
    NoBase {
        /// The store.
        source_id: StoreId,
        /// The moment that is missing.
        base: Timestamp,
    },
    /// There is nothing of this store, or no such moment of it.
    #[error("the archive has {} of store {source_id}; `list` shows what there is", .timestamp.map_or("nothing".to_owned(), |at| format!("no restorable timestamp {at}")))]
    NoSuchPoint {
        /// The store.
        source_id: StoreId,
        /// The moment, if one was asked for.
        timestamp: Option<Timestamp>,
    },
    /// A stream is another than its manifest says.
    #[error("{name} is not what its manifest says: {what}; it is of no use, nor is what is based on it")]
    WrongStream {
        /// The stream.
        name: String,
        /// What is different.
        what: String,
    },
    /// The store refused or failed, or a stream is damaged.
    #[error(transparent)]
    Store(#[from] pentimento_txn::Error),
}

impl Error {
    pub(crate) fn place(operation: &'static str, name: &str) -> impl Fn(io::Error) -> Error {
        let name = name.to_owned();
        move |source| Error::Place { operation, name: name.clone(), source }
    }
}
