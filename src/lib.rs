//! Pentimento is an embedded, ordered key-value store whose readers never block writers, and whose long snapshots cost only what they can
//! still see.
//!
//! # A tour
//!
//! A [`Database`] is a file (or memory) with any number of named trees, each an ordered map from byte strings to byte strings.
//!
//! ```
//! use pentimento::{Database, Durability, Error};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("app.pent");
//! let db = Database::open(&path)?;               // created if missing; cheap to clone, the last clone closes it
//!
//! let mut txn = db.begin_write()?;               // waits its turn
//! let mut orders = txn.tree("orders")?;          // created if missing
//! orders.insert(b"1001", b"two chairs")?;
//! orders.insert(b"1002", b"a table")?;
//! assert!(orders.remove(b"1001")?);
//! txn.commit()?;                                 // durable when it returns; dropped instead = rolled back
//!
//! let snapshot = db.snapshot()?;                 // no lock, no wait
//! let orders = snapshot.tree("orders")?;
//! assert_eq!(orders.get(b"1002")?, Some(b"a table".as_slice())); // borrowed, not copied
//! assert_eq!(orders.len()?, 1);
//! # Ok::<(), Error>(())
//! ```
//!
//! # Reading
//!
//! A [`Snapshot`] is the whole store at one moment. Take one for each request, or keep one for a day of analytics: neither slows a writer down.
//! It is `Send + Sync + Clone`. Values are borrowed from it; [`Tree::get_bytes`] and [`Tree::range_owned`] give owners instead that keep it alive, for
//! other threads and streams. Ranges run in both directions:
//!
//! ```
//! # let db = pentimento::Database::in_memory()?;
//! # let mut txn = db.begin_write()?;
//! let mut log = txn.tree("log")?;
//! for hour in 0..24u8 {
//!     log.insert([hour], format!("entry of {hour} o'clock"))?;
//! }
//! txn.commit()?;
//!
//! let snapshot = db.snapshot()?;
//! let log = snapshot.tree("log")?;
//! let mut afternoon = log.range([12].as_slice()..[18].as_slice())?;
//! let (first, _) = afternoon.next().unwrap()?;
//! let (last, _) = afternoon.next_back().unwrap()?;
//! assert_eq!((&*first, &*last), (&[12][..], &[17][..]));
//! # Ok::<(), pentimento::Error>(())
//! ```
//!
//! # Writing
//!
//! One [`WriteTransaction`] at a time changes the store. It sees its own changes; others see them when it has committed. [`Durability`] says when a commit survives a crash.
//! [`savepoint`](WriteTransaction::savepoint) and [`rollback_to`](WriteTransaction::rollback_to) undo a part of it.
//!
//! Several threads that think for longer than they write need not wait for each other: a [`ConcurrentTransaction`] is checked when it commits, and
//! [`Database::transact`] runs it again if another was first. The project's page on transactions tells which kind to take.
//!
//! ```
//! # let db = pentimento::Database::in_memory()?;
//! use pentimento::Isolation;
//! let done = db.transact(Isolation::Serializable, |txn| {
//!     let mut seats = txn.tree("seats")?;
//!     seats.compare_and_swap("12a", None, Some(b"Ada")) // true if the seat was free
//! })?;
//! assert!(done.value && done.retries == 0);
//! # Ok::<(), pentimento::Error>(())
//! ```
//!
//! # Hot paths
//!
//! A [`HotReader`] belongs to one thread and gives the newest snapshot again and again: a load and a comparison when nothing has changed.
//!
//! # Who holds what
//!
//! The store keeps an old page exactly while somebody can see it. [`Database::readers`] tells who, since when, and how much; give long snapshots a
//! [label](Snapshot::set_label). [`Database::stats`] has the numbers, [`Database::maintain`] finishes what commits left to do, and [`Database::check`] proves that the store is whole.
//!
//! ```
//! # let db = pentimento::Database::in_memory()?;
//! # let put = |value: &str| { let mut txn = db.begin_write()?; txn.tree("t")?.insert("key", value)?; txn.commit() };
//! put("old")?;
//! let report = db.snapshot()?.labelled("nightly report");
//! put("new")?;
//! db.maintain()?;
//! let held = &db.readers()[0];
//! assert_eq!(held.readers[0].label.as_deref(), Some("nightly report"));
//! assert_eq!(held.versions, 1); // one old page is kept for it
//! # drop(report);
//! # Ok::<(), pentimento::Error>(())
//! ```
//!
//! # The file
//!
//! What is given back is used again, and a free tail is cut off. After much was removed [`Database::compact`] does the rest while the store is in use: it fills pages that have become
//! thin, and moves what lies high in the file down. [`Database::compactor`] does it in steps, [`Database::compact_in_background`] slowly.
#![forbid(unsafe_code)]

pub use bytes::Bytes;
pub use pentimento_txn::*;

/// The README's program is compiled and run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
