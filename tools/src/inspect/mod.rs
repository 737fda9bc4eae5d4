//! What is in a store's files, read without opening the store.
//!
//! Promises:
//! 1. Nothing is written and nothing is locked: a store that another process uses, and a damaged one, are read like any other.
//! 2. Nothing is believed before it is checked. Each page proves itself by checksum, number and birth. What does not is damage only if the
//!    newest checkpoint still refers to the very same version; else it was overwritten by the writer meanwhile, and is looked up again.
//! 3. What cannot be read is told as a [`Problem`], and reading goes on.

mod blob;
mod checkpoint;
mod decode;
mod facts;
mod file;
mod forest;
mod head;
mod journal;
mod live;
mod named;
mod names;
mod overlay;
mod past;
mod problem;
mod scan;
mod session;
mod slots;
mod survey;
mod view;

use pentimento_storage::PageId;

pub(crate) use blob::hex;
pub use blob::{Blob, Privacy};
pub use checkpoint::{Checkpoint, TableSlot};
pub use decode::{Decoded, EntryLine, Field, RegionLine, decode_meta, decode_table, decode_version};
pub use facts::{DeltaState, Ends, Kind, LargeRef, PageFacts, Sizes};
pub use file::StoreFile;
pub use forest::{Forest, LevelFacts, LostRange, Role, TreeFacts};
pub use head::{Head, hex_id};
pub use journal::{Journal, JournalFile, RecordFacts, RecordState, SegmentState, Tail};
pub use live::{LivePinReport, LiveReader, LiveReport};
pub use named::{Named, NamedTable, NamedVersion};
pub use names::read_names;
pub use overlay::Overlay;
pub use past::{Past, PastState, PastVersion};
pub(crate) use problem::quote;
pub use problem::{Problem, Structure};
pub use scan::Job;
pub(crate) use scan::read_version;
pub use session::{Entries, OwnedEntry, Session, with_session};
pub(crate) use session::{bounds, root_of};
pub use slots::{Remain, SlotMap, SlotUse, Stretch};
pub use survey::Survey;
pub use view::{View, ViewError};

/// The leaf that a page of this number may be the delta of.
pub(crate) fn leaf_of(delta: PageId) -> Option<PageId> {
    delta.0.checked_sub(1).map(PageId).filter(|leaf| leaf.beside() == Some(delta))
}
