//! Tests that explore the interleavings of the store's threads.
//!
//! | folder | what |
//! |---|---|
//! | `sync/` | locks, atomics, threads and clocks that a test schedules |
//! | `storage/`, `btree/`, `txn/` | the engine's own sources, compiled with them: manifests alone |
//! | `tests/schedules/` | whole stores under a scheduler that chooses who runs: `cargo test --test schedules` |
//! | `src/`, `tests/orderings.rs` | the protocols that take no lock, under a model of weak memory, each ordering weakened in turn: `cargo test --test orderings` |
//!
//! This library is the last of these: the files of storage that take no lock, exactly as they ship, between atomics and locks of
//! [loom](https://docs.rs/loom) (see `sync.rs`), and the [`models`] that use them. It is a library because a test target would compile their unit tests, too.
#![cfg(not(test))] // the unit tests of the engine's files are theirs
#![allow(dead_code, reason = "the models use a part of what the engine's files offer")]
#![allow(missing_docs, reason = "what the engine's files call public is private here")]

#[path = "../../storage/src/buckets.rs"]
mod buckets;
#[path = "../../storage/src/charges.rs"]
mod charges;
#[path = "../../storage/src/history.rs"]
mod history;
#[path = "../../storage/src/ids.rs"]
mod ids;
#[path = "../../storage/src/layout.rs"]
mod layout;
pub mod models;
#[path = "../../storage/src/pins.rs"]
mod pins;
#[path = "../../storage/src/place.rs"]
mod place;
#[path = "../../storage/src/prefetch.rs"]
mod prefetch;
#[path = "../../storage/src/publication.rs"]
mod publication;
#[path = "../../storage/src/sharers.rs"]
mod sharers;
#[path = "../../storage/src/slab.rs"]
mod slab;
mod sync;
#[path = "../../storage/src/table.rs"]
mod table;
#[path = "../../storage/src/turn.rs"]
mod turn;
pub mod weaken;

use ids::{PageId, Timestamp};
