//! Pages with history: the storage layer of the Pentimento store.
//!
//! A *page* has a stable number and a chain of immutable *versions*, each valid from the commit that made it until the one that
//! superseded it. A reader pins a timestamp and sees, of each page, the version that was current then; a writer makes new versions and never touches old
//! ones; what no pin needs is given back. Versions live in memory (*frames*) until a checkpoint writes them to the file.
//!
//! This crate knows nothing of trees or keys. What it promises is listed at the top of each module; the laws behind the promises are
//! in the project's design page.
//!
//! All unsafe code of the project is in this crate: where memory is made addressable (`medium`, `frame`, `place`), and wherever a place is followed,
//! settled or given back. Each block says why it is sound.

mod buckets;
mod charges;
mod check;
mod checkpoint;
mod difference;
mod error;
mod frame;
mod history;
mod ids;
pub mod inspect;
mod install;
mod layout;
mod medium;
mod meta;
mod named;
mod naming;
mod open;
mod page_map;
mod past;
mod pins;
mod place;
mod planted;
mod prefetch;
mod publication;
mod read;
mod reclaim;
mod relocate;
mod reserve;
mod run_writer;
mod sharers;
#[cfg(not(pentimento_schedules))]
mod short_lock;
mod shrink;
mod slab;
mod slots;
mod stats;
mod store;
mod sync;
mod table;
mod table_differences;
mod table_page;
mod table_update;
mod turn;
mod write_set;

pub use check::{Finding, Summary};
pub use difference::{PageDifference, PageDifferences};
pub use error::{Error, Result};
pub use ids::{PageId, Timestamp};
pub use layout::{DEFAULT_PAGE_SIZE, HEADER_BYTES, MAX_PAGE_SIZE, MAX_VERSION_BYTES, MIN_PAGE_SIZE, Run, SLOT_BYTES};
pub use medium::{FileLogs, FileMedium, Log, Logs, Medium, MemoryMedium, SEGMENT_BYTES};
pub use meta::{FORMAT_VERSION, MAGIC, USER_BYTES};
pub use named::{MAX_NAMED_SNAPSHOTS, MAX_SNAPSHOT_NAME};
pub use naming::NamedInfo;
pub use page_map::{PageHasher, PageMap};
pub use pins::{ReaderId, ReaderInfo, ReaderKind};
pub use place::MAX_REGISTER;
#[doc(hidden)]
pub use planted::Bug;
pub use prefetch::{CACHE_LINE, Hint, prefetch, prefetch_line};
pub use read::{Pin, VersionId};
pub use reclaim::Progress;
pub use relocate::{Copied, Extent, Moved, Placed, Tail, slots_of_body};
pub use reserve::prepare_room;
pub use stats::{Held, Stats};
pub use store::{Options, Store};
pub use sync::{fence_after_exchange, stand_back};
pub use turn::Patience;
pub use write_set::{Blank, BodyMut, Left, Savepoint, WriteSet};
