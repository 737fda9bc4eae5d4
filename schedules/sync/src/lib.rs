//! Locks, atomics, threads and clocks whose interleavings a test chooses, in the shape of those that the engine uses.
//!
//! The engine names all of these in two files, `storage/src/sync.rs` and `txn/src/sync.rs`. The packages beside this one compile the engine's sources, the
//! very files that ship, with the names pointing here: to [shuttle](https://docs.rs/shuttle), which runs the threads of a test one at a time and decides at each lock,
//! atomic and wait who goes on. It knows sequential consistency alone; what rests on weaker orderings is held by `../tests/orderings/`.
//!
//! Promises:
//! 1. Locks have the shape of `parking_lot`'s: no poison, and a guard that a wait borrows.
//! 2. A wait with a limit ends at any moment: woken for no reason, or too late. So a test meets every interleaving that a timely or an untimely clock allows, and
//!    nothing here waits for real time.
//! 3. The clock stands still but for jumps that the scheduler chooses, so a failing schedule can be run again.

mod clock;
mod locks;
pub mod thread;

pub use clock::Instant;
pub use locks::{Condvar, Mutex, MutexGuard, RwLock, WaitCell, WaitTimeoutResult};
pub use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
pub use shuttle::thread_local;
pub use std::sync::{Arc, OnceLock, Weak};
