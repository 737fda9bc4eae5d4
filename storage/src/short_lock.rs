//! A lock for what takes a few loads and stores: taken by one exchange, released by a plain store.
//!
//! A commit takes several such locks, and hardly ever meets anybody there. What it costs then is the read-modify-writes, of which each is waited for: a lock that others can sleep on needs two, this one
//! needs one. The price: who does meet somebody looks again and again, then leaves the processor to others, and at last sleeps for a while; nobody wakes him.
//!
//! Promises: one holder at a time; whoever waits takes hardly any of the processor's time, even where the holder has been interrupted, and none that the holder needs, whatever their priorities are.

use parking_lot::lock_api::{self, GuardSend, RawMutex};
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A value under such a lock. Never hold it across anything that may take long.
pub(crate) type ShortMutex<T> = lock_api::Mutex<RawShort, T>;

/// What holds a [`ShortMutex`].
pub(crate) type ShortGuard<'m, T> = lock_api::MutexGuard<'m, RawShort, T>;

/// How often to look, and then how often to let others go first, before sleeping.
const LOOKS: usize = 64;
const YIELDS: usize = 8;
const SLEEP: Duration = Duration::from_micros(50);

/// Whether somebody has the lock.
pub(crate) struct RawShort(AtomicBool);

impl RawShort {
    #[inline]
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::Acquire)
    }

    #[cold]
    #[inline(never)]
    fn wait(&self) {
        let is_taken = || !self.0.load(Ordering::Relaxed) && self.take();
        for _ in 0..LOOKS {
            if is_taken() {
                return;
            }
            spin_loop();
        }
        for _ in 0..YIELDS {
            if is_taken() {
                return;
            }
            thread::yield_now();
        }
        while !is_taken() {
            thread::sleep(SLEEP);
        }
    }
}

// SAFETY: the flag goes from false to true by one exchange, so one at a time finds that it was false; only the holder sets it to false again. What the holder did before that is seen by whoever finds it.
unsafe impl RawMutex for RawShort {
    #[allow(clippy::declare_interior_mutable_const, reason = "what the trait asks for: each use is a new lock")]
    const INIT: RawShort = RawShort(AtomicBool::new(false));
    type Guard = GuardSend;

    #[inline]
    fn lock(&self) -> GuardSend {
        if !self.take() {
            self.wait();
        }
        GuardSend::new()
    }

    #[inline]
    fn try_lock(&self) -> Option<GuardSend> {
        self.take().then(GuardSend::new)
    }

    #[inline]
    unsafe fn unlock(&self, _: GuardSend) {
        self.0.store(false, Ordering::Release);
    }

    fn is_locked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_also_where_the_holder_sleeps() {
        let (threads, rounds) = (4, if cfg!(miri) { 10 } else { 2_000 });
        let sum = ShortMutex::new(0_u64);
        thread::scope(|scope| {
            for thread in 0..threads {
                let sum = &sum;
                scope.spawn(move || {
                    for round in 0..rounds {
                        let mut sum = sum.lock();
                        let before = *sum;
                        if (round + thread) % 500 == 0 {
                            thread::sleep(2 * SLEEP);
                        }
                        *sum = before + 1;
                    }
                });
            }
        });
        assert_eq!(*sum.lock(), threads * rounds);
        let held = sum.lock();
        assert!(sum.try_lock().is_none());
        drop(held);
        assert!(sum.try_lock().is_some());
    }
}
