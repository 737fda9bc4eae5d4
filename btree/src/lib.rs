//! An ordered map over pages.
//!
//! The map is a B+tree: branches lead to leaves, leaves hold the entries. It knows pages only through the traits in
//! [`pages`], so it knows nothing of versions, transactions or files. The root keeps its [`PageId`] for ever, whatever
//! the tree grows to, so changing one entry changes one page, unless a node splits or merges.
//!
//! ```
//! use pentimento_btree::{TreeMut, create, memory::MemoryPages};
//!
//! let mut pages = MemoryPages::new(8192);
//! let root = create(&mut pages)?;
//! let mut tree = TreeMut::new(&mut pages, root);
//! tree.insert(b"1001", b"two chairs")?;
//! tree.insert(b"1002", b"a table")?;
//! assert_eq!(tree.as_tree().get(b"1001")?, Some(b"two chairs".as_slice()));
//! for entry in tree.as_tree().range(b"10".as_slice()..)? {
//!     let (key, value) = entry?;
//!     println!("{key:?}: {} bytes", value.len());
//! }
//! # Ok::<(), pentimento_btree::memory::MemoryError>(())
//! ```
//!
//! What the crate promises:
//!
//! - Bytes from pages are not believed: a body of any content gives a [`Fault`] or some data, never a panic, never an
//!   endless loop.
//! - A node has at most the pager's capacity, unless it cannot be split further.
//! - An operation that is refused because of its arguments changes nothing. When a page cannot be had in the middle of
//!   a change, the change is left unfinished, and the transaction must be abandoned.
//!
//! [`PageId`]: pentimento_storage::PageId
#![forbid(unsafe_code)]

mod balance;
mod batch;
mod bounds;
mod bulk;
mod check;
mod condense;
mod cursor;
mod delta;
mod difference;
mod dismantle;
mod divide;
mod edit;
mod feed;
mod fold;
mod insert;
pub mod inspect;
mod key;
mod layout;
mod leaf_writer;
mod loader;
mod lookup;
mod marks;
pub mod memory;
mod node;
pub mod pages;
mod parts;
mod path;
mod plan;
mod range;
mod remove;
mod remove_marked;
mod remove_range;
mod run;
mod search;
mod splice;
mod summary;
mod tree;
mod tree_mut;
mod value;

pub use batch::{Filling, SortedEntries};
pub use bounds::{KeyBounds, end_of_prefix};
pub use check::{Census, Finding, Problem, check};
pub use condense::{Condensed, Keeper, find_thin};
pub use cursor::Cursor;
pub use delta::leaf_of_delta;
pub use difference::{Difference, Differing, Leaves, Side, Views};
pub use dismantle::dismantle;
pub use insert::WayIn;
pub use key::Key;
pub use layout::{MAX_KEY_LEN, MAX_VALUE_LEN};
pub use marks::Marks;
pub use pages::{Fault, PageMut, ReadPages, WritePages};
pub use range::{Entry, Range};
pub use remove::OwnedEntry;
pub use summary::{PageSummary, SummaryEntry, summarize_page};
pub use tree::Tree;
pub use tree_mut::{TreeMut, check_entry, create, create_beside};
pub use value::ValueLocation;
