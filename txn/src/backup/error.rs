//! Why a backup is not made, or a stream not received.

use super::StoreId;
use crate::Timestamp;
use std::io;

/// What is wrong with a stream, or keeps a store from receiving it. Nothing in the store was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The stream, or the file that it is staged in, could not be written or read.
    #[error("cannot {operation}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// What the system, or the caller's reader or writer, said.
        source: io::Error,
    },
    /// These bytes do not begin as a backup stream does.
    #[error("this is not a Pentimento backup stream: {why}")]
    NotAStream {
        /// What is missing.
        why: &'static str,
    },
    /// The stream was written in another version of the format.
    #[error("the backup stream has format version {found}; this program reads version {supported}")]
    UnsupportedVersion {
        /// The version of the stream.
        found: u32,
        /// The version that this program knows.
        supported: u32,
    },
    /// The stream contradicts its checksums or its format.
    #[error(
        "the backup stream is damaged at chunk {chunk}: {what}; send it again, the {chunk} chunks before it can be kept"
    )]
    Damaged {
        /// The number of the chunk; those before it are whole.
        chunk: u64,
        /// What is wrong.
        what: String,
    },
    /// The stream stops before its end.
    #[error("the backup stream was cut after {chunks} whole chunks; go on from there, or send it again")]
    Cut {
        /// How many whole chunks there are.
        chunks: u64,
    },
    /// The stream is an increment, and the store does not hold what it is based on.
    #[error("the increment leads from timestamp {base} to {to}, but the store {}; send what leads there from it, or a whole backup to a new store",
        .holds.map_or("is no copy of that source".to_owned(), |at| format!("holds timestamp {at} of that source")))]
    WrongBase {
        /// The base of the increment.
        base: Timestamp,
        /// Where it leads.
        to: Timestamp,
        /// What the store holds of that source.
        holds: Option<Timestamp>,
    },
    /// The stream comes from another store than the one that this store is a copy of.
    #[error(
        "the stream comes from store {stream}, but this store is a copy of store {copy_of}; receive it into a store of its own"
    )]
    OtherSource {
        /// The store that the stream comes from.
        stream: StoreId,
        /// The store that this one is a copy of.
        copy_of: StoreId,
    },
    /// The store holds what the stream brings, or more.
    #[error(
        "the store holds timestamp {holds} of that source already; there is nothing to receive in a stream that leads to {to}"
    )]
    AlreadyReceived {
        /// Where the stream leads.
        to: Timestamp,
        /// What the store holds.
        holds: Timestamp,
    },
    /// Somebody else than a receiver changed this copy.
    #[error(
        "this copy was changed after it had received timestamp {holds}; accept its local changes, or receive a whole backup into a new store"
    )]
    ChangedLocally {
        /// What it received last.
        holds: Timestamp,
    },
    /// A whole backup is received into a store without trees, unless it may replace everything.
    #[error(
        "the store has {trees} trees, and a whole backup would mix with them; receive it into a new store, or allow it to replace everything"
    )]
    NotEmpty {
        /// How many trees there are.
        trees: usize,
    },
    /// The increment speaks of something that this copy does not have, though it seemed to hold the base.
    #[error(
        "tree {tree:?} of this store is not what the increment is based on; receive a whole backup into a new store"
    )]
    Diverged {
        /// The tree.
        tree: String,
    },
    /// The stream goes on from another place than the one that was reached here.
    #[error("the stream goes on at chunk {found}, but {expected} chunks of it are here; ask for the rest from there")]
    WrongResume {
        /// The first chunk of the stream.
        found: u64,
        /// How many chunks are here.
        expected: u64,
    },
    /// The position to go on from is not one of this backup.
    #[error("the position to resume from {why}; ask the receiver for a new one, or send the stream from its beginning")]
    InvalidPosition {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Somebody is receiving into this store.
    #[error("somebody is receiving into this store already; wait for the other receiver")]
    Receiving,
}

impl StreamError {
    pub(crate) fn io(operation: &'static str) -> impl Fn(io::Error) -> StreamError {
        move |source| StreamError::Io { operation, source }
    }

    pub(crate) fn damaged(chunk: u64, what: impl Into<String>) -> StreamError {
        StreamError::Damaged { chunk, what: what.into() }
    }
}
