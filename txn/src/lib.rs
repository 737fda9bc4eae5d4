//! Databases, snapshots and transactions: the public face of the Pentimento store, re-exported by the `pentimento` crate.
#![forbid(unsafe_code)]

mod background;
mod builder;
mod catalog;
mod check;
mod commit;
mod database;
mod durability;
mod error;
pub mod inspect;
mod journal;
mod owned;
mod pages;
mod recovery;
mod redo;
mod sidecar;
mod snapshot;
mod tree_mut;
mod write;

const _: () = {
    const fn is_shareable<T: Send + Sync>() {}
    const fn is_movable<T: Send>() {}
    is_shareable::<Database>();
    is_shareable::<Snapshot>();
    is_shareable::<OwnedRange>();
    is_shareable::<Error>();
    is_movable::<WriteTransaction>();
};

pub use builder::Builder;
pub use catalog::MAX_NAME_LEN;
pub use check::{CheckReport, Finding};
pub use database::Database;
pub use durability::Durability;
pub use error::{Error, Result};
pub use journal::JournalStats;
pub use owned::OwnedRange;
pub use pages::TxnPages;
pub use pentimento_btree::{Census, Key, KeyBounds, MAX_KEY_LEN, MAX_VALUE_LEN};
#[cfg(feature = "planted-bugs")]
#[doc(hidden)]
pub use pentimento_storage::Bug;
pub use pentimento_storage::{
    DEFAULT_PAGE_SIZE, FileLogs, FileMedium, Held, Log, Logs, MAX_PAGE_SIZE, MIN_PAGE_SIZE, Medium, MemoryMedium,
    Progress, ReaderInfo, ReaderKind, SLOT_BYTES, Stats, Summary, Timestamp,
};
pub use snapshot::{Range, Snapshot, Tree};
pub use tree_mut::{TreeMut, TxnRange};
pub use write::{Savepoint, WriteTransaction};
