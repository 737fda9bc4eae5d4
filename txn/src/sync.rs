//! The one place that names locks, threads and the clock that waits are measured by, so that a model checker's can be put in their stead: see
//! `sync.rs` of the storage crate.

#[cfg(pentimento_schedules)]
pub(crate) use pentimento_schedules_sync::{
    Arc, AtomicBool, AtomicU64, AtomicUsize, Condvar, Instant, Mutex, MutexGuard, OnceLock, Ordering, WaitCell, thread,
};

#[cfg(not(pentimento_schedules))]
pub(crate) use {
    parking_lot::{Condvar, Mutex, MutexGuard},
    std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    std::sync::{Arc, OnceLock, OnceLock as WaitCell},
    std::thread,
    std::time::Instant,
};

/// A count of events, for people: no decision rests on it, so a model need not try its interleavings.
pub(crate) type Count = std::sync::atomic::AtomicU64;
/// A note that something had better be done soon, likewise.
pub(crate) type Flag = std::sync::atomic::AtomicBool;
