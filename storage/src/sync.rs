//! The one place that names atomics, locks, threads and the clock that decisions rest on, so that a model checker's can be put in their stead.
//!
//! The tests in `schedules/` compile these very sources under `cfg(pentimento_schedules)`, which their own build script sets; nobody else can. The sizes are
//! smaller there, so that growth and collisions happen within a few steps.
//!
//! What only counts ([`Count`], [`Flag`]) is never replaced: no decision rests on it, and a model need not try its interleavings.

#[cfg(not(pentimento_schedules))]
mod real {
    pub(crate) use crate::short_lock::{ShortGuard, ShortMutex};
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use std::sync::{Arc, OnceLock};
    pub(crate) use std::thread;
    pub(crate) use std::thread_local;
    pub(crate) use std::time::Instant;

    /// The first bucket of a growing array has two to this many elements.
    pub(crate) const FIRST_BUCKET_BITS: u32 = 10;
    /// How many registrations a reader looks at before the array of registrations grows; it grows by as many.
    pub(crate) const PROBES: usize = 64;
    /// How many old versions of a page are a chain; more are a row.
    pub(crate) const LONGEST_CHAIN: u16 = 24;
    /// How often somebody looks for the writer's turn before he goes to sleep.
    pub(crate) const TURN_LOOKS: usize = 32;

    /// A sequentially consistent fence behind a read-modify-write that follows what is to be ordered. On x86-64 each of these is a full fence in itself ("locked instructions
    /// have a total order", and loads and stores are not reordered with them: Intel SDM 3A 9.2.3, AMD APM 2 7.4.2), so only the compiler must be kept from reordering.
    #[inline(always)]
    pub fn fence_after_exchange() {
        if cfg!(target_arch = "x86_64") {
            std::sync::atomic::compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    /// Has this thread stand back behind those who work for somebody who waits. Only where a thread has a niceness of its own.
    pub fn stand_back() {
        // A part of what the others get, so that what it holds is not held for long.
        #[cfg(target_os = "linux")]
        const NICENESS: i32 = 5;
        // Whoever may not, or need not, goes on as before.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::nice(NICENESS);
    }

    /// Releases a lock to whoever waits for it, if somebody does: for a thread that will soon ask for it again.
    pub(crate) fn pass_on<T>(guard: MutexGuard<'_, T>) {
        MutexGuard::unlock_fair(guard);
    }

    /// Milliseconds since some moment, for people: cheap to ask, and a few milliseconds late.
    pub(crate) fn coarse_ms() -> u64 {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::MonotonicCoarse;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(CLOCK);
        now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
    }
}

#[cfg(pentimento_schedules)]
mod real {
    pub(crate) use pentimento_schedules_sync::{
        Arc, AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Condvar, Instant, Mutex, MutexGuard, OnceLock, Ordering,
        RwLock, fence, thread, thread_local,
    };

    pub(crate) use Mutex as ShortMutex;
    pub(crate) use MutexGuard as ShortGuard;

    pub(crate) const FIRST_BUCKET_BITS: u32 = 2;
    pub(crate) const PROBES: usize = 2;
    pub(crate) const LONGEST_CHAIN: u16 = 2;
    pub(crate) const TURN_LOOKS: usize = 1;

    /// A sequentially consistent fence.
    pub fn fence_after_exchange() {
        fence(Ordering::SeqCst);
    }

    /// Under a schedule anybody may be next.
    pub(crate) fn pass_on<T>(guard: MutexGuard<'_, T>) {
        drop(guard);
    }

    /// Under a schedule nobody stands back.
    pub fn stand_back() {}

    pub(crate) fn coarse_ms() -> u64 {
        0
    }
}

pub(crate) use real::*;
pub use real::{fence_after_exchange, stand_back};

/// A count of events, for people.
pub(crate) type Count = std::sync::atomic::AtomicU64;
/// A note about something that is changed by one at a time.
pub(crate) type Flag = std::sync::atomic::AtomicBool;
/// The same, of more than two kinds.
pub(crate) type Mark = std::sync::atomic::AtomicU8;
