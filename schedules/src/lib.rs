//! Tests that explore the interleavings of the store's threads; there is no code here.
//!
//! | folder | what |
//! |---|---|
//! | `sync/` | locks, atomics, threads and clocks that a test schedules |
//! | `storage/`, `btree/`, `txn/` | the engine's own sources, compiled with them: manifests alone |
//! | `tests/schedules/` | whole stores under a scheduler that chooses who runs: `cargo test --test schedules` |
