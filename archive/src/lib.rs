//! Chains of backups: a whole one and increments, in a folder or an object store, each point of which can be restored.
//!
//! ```text
//! PLACE/SOURCE/TIMESTAMP-whole.stream        a backup stream, as `Database::backup` writes it
//! PLACE/SOURCE/TIMESTAMP-whole.json          its manifest, written when the stream is there whole
//! PLACE/SOURCE/TIMESTAMP-from-BASE.stream    an increment, and its manifest
//! ```
//!
//! SOURCE is the store's id, 32 hexadecimal digits; timestamps have 20 decimal digits, so that names sort as time goes.
//!
//! Promises:
//! 1. A point is in the archive when its manifest is; that is written last, in one piece. An upload that was cut is not in the archive, and is taken away by a later
//!    [`prune`](Archive::prune).
//! 2. Whatever is pruned, and whenever that is interrupted, every point that is left can be restored: manifests go before their streams, and newer points before those that they are based on.
//! 3. A stream is read back with all its checksums: [`verify`](Archive::verify) reads everything, and [`restore`](Archive::restore) applies nothing that is not whole.
//!
//! The feature `object-store` adds the stores of the `object_store` crate, `cloud` those of Amazon, Google and Microsoft by URL. Without them there are folders only, and none of those
//! libraries is built.
//!
//! ```
//! use pentimento_archive::Archive;
//! # use pentimento_txn as pentimento;
//! # let dir = tempfile::tempdir().unwrap();
//! # let (place, path) = (dir.path().join("backups"), dir.path().join("restored.pent"));
//! # let db = pentimento::Database::in_memory().unwrap();
//! # let put = |key: &str| { let mut txn = db.begin_write()?; txn.tree("t")?.insert(key, "value")?; txn.commit() };
//! # put("a").unwrap();
//! let archive = Archive::in_folder(&place)?;
//! let monday = db.snapshot()?;
//! archive.back_up(&db, &monday, None)?;
//! # put("b").unwrap();
//! let tuesday = db.snapshot()?;
//! archive.back_up(&db, &tuesday, Some(&monday))?;
//!
//! let copy = pentimento::Database::open(&path)?;
//! archive.restore(&copy, db.id(), Some(monday.timestamp()))?;
//! assert_eq!(copy.snapshot()?.tree("t")?.len()?, 1);
//! archive.restore(&copy, db.id(), None)?; // goes on to the newest
//! assert_eq!(copy.snapshot()?.tree("t")?.len()?, 2);
//! # Ok::<(), pentimento_archive::Error>(())
//! ```
#![forbid(unsafe_code)]

mod archive;
mod chain;
mod error;
mod folder;
mod manifest;
#[cfg(feature = "object-store")]
mod objects;
mod place;
mod prune;
mod restore;
mod verify;

pub use archive::Archive;
pub use error::{Error, Result};
pub use folder::Folder;
pub use manifest::Point;
#[cfg(feature = "object-store")]
pub use object_store;
#[cfg(feature = "object-store")]
pub use objects::Objects;
pub use place::{Item, Place, Upload};
pub use prune::{Keep, Pruned};
pub use restore::Restored;
pub use verify::{Checked, Verified};
