//! Locks of shuttle's in the shape of `parking_lot`'s.

use crate::{Instant, thread};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync as scheduled;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

/// A lock for one at a time.
#[derive(Default)]
pub struct Mutex<T: ?Sized>(scheduled::Mutex<T>);

/// What holds a [`Mutex`].
pub struct MutexGuard<'m, T: ?Sized> {
    mutex: &'m Mutex<T>,
    /// `None` only while a wait has let go.
    held: Option<scheduled::MutexGuard<'m, T>>,
}

impl<T> Mutex<T> {
    /// A lock around a value.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(scheduled::Mutex::new(value))
    }
}

impl<T: ?Sized> Mutex<T> {
    fn take(&self) -> scheduled::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, held: Some(self.take()) }
    }

    /// The lock, if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let held = match self.0.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(MutexGuard { mutex: self, held: Some(held) })
    }

    /// The value, of a lock that nobody else knows.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

impl<T: ?Sized> MutexGuard<'_, T> {
    /// Does something without the lock.
    pub fn unlocked<R>(guard: &mut Self, work: impl FnOnce() -> R) -> R {
        guard.held = None;
        let result = work();
        guard.held = Some(guard.mutex.take());
        result
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.held.as_ref().expect("held outside of waits")
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("held outside of waits")
    }
}

/// A lock for several who read, or one who writes.
#[derive(Default)]
pub struct RwLock<T: ?Sized>(scheduled::RwLock<T>);

impl<T> RwLock<T> {
    /// A lock around a value.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock(scheduled::RwLock::new(value))
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits for the lock, for reading.
    pub fn read(&self) -> scheduled::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the lock, for writing.
    pub fn write(&self) -> scheduled::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, of a lock that nobody else knows.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place to wait at.
#[derive(Debug)]
pub struct Condvar(scheduled::Condvar);

/// How a wait with a limit ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether it lasted too long.
    #[must_use]
    pub fn timed_out(self) -> bool {
        self.0
    }
}

impl Default for Condvar {
    fn default() -> Condvar {
        Condvar::new()
    }
}

impl Condvar {
    /// Nobody waits yet.
    pub const fn new() -> Condvar {
        Condvar(scheduled::Condvar::new())
    }

    /// Lets go of the lock until somebody notifies.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().expect("held outside of waits");
        guard.held = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets go of the lock for others to run, and then returns: for no reason, or because it is too late.
    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, deadline: Instant) -> WaitTimeoutResult {
        MutexGuard::unlocked(guard, thread::yield_now);
        let too_late = thread_rng().gen_range(0..3) == 0;
        if too_late {
            deadline.has_come();
        }
        WaitTimeoutResult(too_late)
    }

    /// As [`wait_until`](Condvar::wait_until).
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, limit: Duration) -> WaitTimeoutResult {
        match Instant::now().checked_add(limit) {
            Some(deadline) => self.wait_until(guard, deadline),
            None => {
                self.wait(guard);
                WaitTimeoutResult(false)
            }
        }
    }

    /// Wakes one of those who wait without a limit.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all who wait without a limit.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// What is set once, and waited for: the part of `std::sync::OnceLock` that the engine waits with.
#[derive(Debug)]
pub struct WaitCell<T> {
    value: std::sync::OnceLock<T>,
    is_set: Mutex<bool>,
    told: Condvar,
}

impl<T> Default for WaitCell<T> {
    fn default() -> Self {
        WaitCell { value: std::sync::OnceLock::new(), is_set: Mutex::new(false), told: Condvar::new() }
    }
}

impl<T> WaitCell<T> {
    /// As `OnceLock::set`.
    ///
    /// # Errors
    /// The value, if there was one already.
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut is_set = self.is_set.lock();
        self.value.set(value)?;
        *is_set = true;
        self.told.notify_all();
        Ok(())
    }

    /// As `OnceLock::wait`.
    pub fn wait(&self) -> &T {
        let mut is_set = self.is_set.lock();
        while !*is_set {
            self.told.wait(&mut is_set);
        }
        self.value.get().expect("it was set")
    }
}
