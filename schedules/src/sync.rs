//! The names that the engine's files import, in a model of weak memory.
//!
//! loom runs a model again and again, each time with another interleaving, and with another of the values that a load may see under the orderings that were
//! given, until there are none left (within a bound on preemptions). What it does not know: it treats an access that is `SeqCst` as `AcqRel` (fences it
//! knows), and a `SeqCst` fence synchronises with every earlier one, which is more than the language promises.

use crate::weaken::{Access, ordering};
use loom::sync as model;
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
pub(crate) use std::sync::Arc;
use std::sync::PoisonError;
pub(crate) use std::sync::atomic::Ordering;
use std::time::Duration;

pub(crate) const FIRST_BUCKET_BITS: u32 = 0;
pub(crate) const PROBES: usize = 1;
pub(crate) const LONGEST_CHAIN: u16 = 1;
pub(crate) const TURN_LOOKS: usize = 1;

/// loom's has no pattern for constant values.
macro_rules! local_to_thread {
    ($(#[$attribute:meta])* static $name:ident: $type:ty = const { $value:expr };) => {
        loom::thread_local! { $(#[$attribute])* static $name: $type = $value; }
    };
}
pub(crate) use local_to_thread as thread_local;

/// A fence, unless it is weakened to none.
#[track_caller]
pub(crate) fn fence(wanted: Ordering) {
    if let Some(ordering) = ordering(Location::caller(), Access::Fence, wanted) {
        model::atomic::fence(ordering);
    }
}

/// What is a full fence by itself on some processors is one that is asked for here.
#[track_caller]
pub(crate) fn fence_after_exchange() {
    fence(Ordering::SeqCst);
}

/// Nothing of a model depends on the time.
pub(crate) fn coarse_ms() -> u64 {
    0
}

/// A moment: here no time passes.
#[derive(Clone, Copy)]
pub(crate) struct Instant;

impl Instant {
    pub fn now() -> Instant {
        Instant
    }

    pub fn elapsed(self) -> Duration {
        Duration::ZERO
    }

    pub fn checked_add(self, _: Duration) -> Option<Instant> {
        Some(self)
    }
}

/// A note about something that is changed by one at a time.
pub(crate) type Flag = std::sync::atomic::AtomicBool;
pub(crate) type Mark = std::sync::atomic::AtomicU8;

/// The ordering of an access that is not a fence.
#[track_caller]
fn of(access: Access, wanted: Ordering) -> Ordering {
    ordering(Location::caller(), access, wanted).expect("accesses are weakened to relaxed ones")
}

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        /// An atomic number whose accesses are noted, and weakened.
        #[derive(Default)]
        pub(crate) struct $name(model::atomic::$name);

        impl $name {
            pub fn new(value: $value) -> $name {
                $name(model::atomic::$name::new(value))
            }

            #[track_caller]
            pub fn load(&self, ordering: Ordering) -> $value {
                self.0.load(of(Access::Load, ordering))
            }

            #[track_caller]
            pub fn store(&self, value: $value, ordering: Ordering) {
                // Not a store: loom lets a store and an exchange that run side by side come in no order, and then shows the exchange's value to who has
                // seen the store's. The language does not: an exchange follows at once what it read. Two exchanges loom orders.
                self.0.swap(value, of(Access::Store, ordering));
            }

            #[track_caller]
            pub fn compare_exchange(
                &self,
                from: $value,
                to: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.0.compare_exchange(from, to, of(Access::Exchange, success), failure)
            }

            #[track_caller]
            pub fn swap(&self, value: $value, ordering: Ordering) -> $value {
                self.0.swap(value, of(Access::Exchange, ordering))
            }

            #[track_caller]
            pub fn fetch_add(&self, value: $value, ordering: Ordering) -> $value {
                self.0.fetch_add(value, of(Access::Exchange, ordering))
            }

            #[track_caller]
            pub fn fetch_sub(&self, value: $value, ordering: Ordering) -> $value {
                self.0.fetch_sub(value, of(Access::Exchange, ordering))
            }

            #[track_caller]
            pub fn fetch_max(&self, value: $value, ordering: Ordering) -> $value {
                self.0.fetch_max(value, of(Access::Exchange, ordering))
            }
        }
    };
}

atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);

/// A value that is made once. The model knows that whoever finds it sees how it was made.
pub(crate) struct OnceLock<T> {
    is_made: model::atomic::AtomicBool,
    making: model::Mutex<()>,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is written once, under the lock and before `is_made` is set; it is read only after that was seen.
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}

impl<T> OnceLock<T> {
    pub fn new() -> OnceLock<T> {
        OnceLock {
            is_made: model::atomic::AtomicBool::new(false),
            making: model::Mutex::new(()),
            value: UnsafeCell::new(None),
        }
    }

    pub fn get(&self) -> Option<&T> {
        if !self.is_made.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: it was made, and nobody changes it any more.
        unsafe { (*self.value.get()).as_ref() }
    }

    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if self.get().is_none() {
            let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
            if self.get().is_none() {
                // SAFETY: nobody reads it before `is_made`, and nobody else has the lock.
                unsafe { *self.value.get() = Some(make()) };
                self.is_made.store(true, Ordering::Release);
            }
        }
        self.get().expect("made above")
    }
}

/// A lock in the shape of the engine's.
#[derive(Default)]
pub(crate) struct Mutex<T>(model::Mutex<T>);

pub(crate) struct MutexGuard<'m, T>(Option<model::MutexGuard<'m, T>>);

pub(crate) use Mutex as ShortMutex;
pub(crate) use MutexGuard as ShortGuard;

impl<T> Mutex<T> {
    pub fn new(value: T) -> Mutex<T> {
        Mutex(model::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok().map(|held| MutexGuard(Some(held)))
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.as_ref().expect("held outside of waits")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("held outside of waits")
    }
}

/// How every wait ends.
pub(crate) struct InTime;

impl InTime {
    pub fn timed_out(&self) -> bool {
        false
    }
}

/// A place to wait at, in the shape of the engine's.
#[derive(Default)]
pub(crate) struct Condvar(model::Condvar);

impl Condvar {
    pub fn new() -> Condvar {
        Condvar(model::Condvar::new())
    }

    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _limit: Duration) {
        self.wait(guard);
    }

    /// No limit is ever reached.
    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _deadline: Instant) -> InTime {
        self.wait(guard);
        InTime
    }

    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect("held outside of waits");
        guard.0 = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}
