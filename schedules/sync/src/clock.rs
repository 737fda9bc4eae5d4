//! A clock that the scheduler advances.

use shuttle::rand::{Rng, thread_rng};
use std::cell::Cell;
use std::time::Duration;

thread_local! {
    /// One run of a test happens on one thread of the system, so this is the run's clock. In nanoseconds.
    static NOW: Cell<u64> = const { Cell::new(1) };
}

/// How far a jump goes: beyond every short wait of the engine.
const JUMP: Duration = Duration::from_millis(2);

/// A moment of the test's clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Instant(u64);

impl Instant {
    /// The time; one look in eight finds that much of it has passed.
    #[must_use]
    pub fn now() -> Instant {
        if thread_rng().gen_range(0..8) == 0 {
            NOW.with(|now| now.set(now.get() + JUMP.as_nanos() as u64));
        }
        Instant(NOW.with(Cell::get))
    }

    /// Nothing that ends then has not ended.
    pub(crate) fn has_come(self) {
        NOW.with(|now| now.set(now.get().max(self.0)));
    }

    /// The time since then.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Instant::now().saturating_duration_since(self)
    }

    /// The time from `earlier` until then, if it is earlier; else none.
    #[must_use]
    pub fn saturating_duration_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// As [`saturating_duration_since`](Instant::saturating_duration_since).
    #[must_use]
    pub fn duration_since(self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }

    /// That much later, if there is such a time.
    #[must_use]
    pub fn checked_add(self, duration: Duration) -> Option<Instant> {
        self.0.checked_add(u64::try_from(duration.as_nanos()).ok()?).map(Instant)
    }
}
