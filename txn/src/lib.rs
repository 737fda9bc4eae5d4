//! Databases, snapshots and transactions: the public face of the Pentimento store, re-exported by the `pentimento` crate.
#![forbid(unsafe_code)]

mod background;
mod backup;
mod builder;
mod catalog;
mod changes;
mod check;
mod commit;
mod compact;
mod database;
mod deferred;
mod durability;
mod error;
mod feed;
mod hot;
pub mod inspect;
mod journal;
mod last_tree;
mod named;
mod names;
mod old_readers;
mod optimistic;
mod owned;
mod pages;
mod pending;
mod recent;
mod recovery;
mod redo;
mod restore;
mod retention;
mod sidecar;
mod snapshot;
mod sync;
mod tree_mut;
mod work;
mod write;

const _: () = {
    const fn is_shareable<T: Send + Sync>() {}
    const fn is_movable<T: Send>() {}
    is_shareable::<Database>();
    is_shareable::<Snapshot>();
    is_shareable::<OwnedRange>();
    is_shareable::<Changes>();
    is_shareable::<Error>();
    is_movable::<WriteTransaction>();
    is_movable::<ConcurrentTransaction>();
    is_movable::<HotReader>();
    is_movable::<Subscriber>();
    is_movable::<Compactor>();
    is_shareable::<BackgroundCompaction>();
};

pub use backup::{
    Backup, Origin, Received, Receiver, ResumePosition, STREAM_HEAD_BYTES, Shipped, StoreId, StreamContents,
    StreamError, StreamHead, StreamProgress, TreeContents, stream_head, verify_stream,
};
pub use builder::Builder;
pub use catalog::MAX_NAME_LEN;
pub use changes::{Change, ChangeKind, Changes};
pub use check::{CheckReport, Finding};
pub use compact::{BackgroundCompaction, Compaction, Compactor, HeldBack};
pub use database::Database;
pub use durability::Durability;
pub use error::{Error, Result};
pub use feed::{Batch, Subscriber, Watch};
pub use hot::HotReader;
pub use journal::JournalStats;
pub use named::NamedSnapshot;
pub use old_readers::OldReader;
pub use optimistic::{
    ConcurrencyStats, ConcurrentRange, ConcurrentTransaction, ConcurrentTree, Isolation, RetryPolicy, Transacted,
};
pub use owned::OwnedRange;
pub use pages::TxnPages;
pub use pentimento_btree::{Census, Key, KeyBounds, MAX_KEY_LEN, MAX_VALUE_LEN};
#[cfg(feature = "planted-bugs")]
#[doc(hidden)]
pub use pentimento_storage::Bug;
pub use pentimento_storage::{
    DEFAULT_PAGE_SIZE, FileLogs, FileMedium, Held, Log, Logs, MAX_NAMED_SNAPSHOTS, MAX_PAGE_SIZE, MAX_SNAPSHOT_NAME,
    MIN_PAGE_SIZE, Medium, MemoryMedium, Progress, ReaderId, ReaderInfo, ReaderKind, SLOT_BYTES, Stats, Summary,
    Timestamp,
};
pub use retention::{Retention, RetentionPlan};
pub use snapshot::{Range, Snapshot, Tree};
pub use tree_mut::{TreeMut, TxnRange};
pub use write::{Savepoint, WriteTransaction};
