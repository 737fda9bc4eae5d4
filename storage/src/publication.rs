//! Which commits are installed, and which of them readers may see.
//!
//! Promises:
//! 1. `published <= installed`, and both only grow. Timestamps are published in order.
//! 2. A commit that was promised durable (*strict*) is not published before it is; what follows it waits with it.
//! 3. Whoever publishes carries on through the relaxed commits that follow directly: when all is quiet and durable, everything is published.
//! 4. After a failure of the medium publication stops for ever; nothing is un-installed.

use crate::Timestamp;
use crate::sync::{AtomicU64, Condvar, Mutex, Ordering};
use std::collections::VecDeque;
use std::time::Duration;

#[derive(Default)]
struct State {
    /// Strict commits that are not durable yet, in order.
    strict: VecDeque<Timestamp>,
    durable: Timestamp,
    /// A commit that no journal holds, installed but not durable yet. No journal speaks for it or for what follows.
    unjournaled: Option<Timestamp>,
    stopped: bool,
}

pub(crate) struct Publication {
    installed: AtomicU64,
    published: AtomicU64,
    /// What `durable` of the state was a moment ago, or is.
    durable_at_least: AtomicU64,
    /// Whoever changes one of those has its lock.
    state: Mutex<State>,
    moved: Condvar,
}

impl Publication {
    /// A store whose newest commit, durable and published, is `at`.
    pub fn starting_at(at: Timestamp) -> Publication {
        Publication {
            installed: AtomicU64::new(at.0),
            published: AtomicU64::new(at.0),
            durable_at_least: AtomicU64::new(at.0),
            state: Mutex::new(State { durable: at, ..State::default() }),
            moved: Condvar::new(),
        }
    }

    pub fn installed(&self) -> Timestamp {
        Timestamp(self.installed.load(Ordering::Acquire))
    }

    #[inline]
    pub fn published(&self) -> Timestamp {
        Timestamp(self.published.load(Ordering::Acquire))
    }

    pub fn published_cell(&self) -> &AtomicU64 {
        &self.published
    }

    /// All versions of commit `at` are in the page table. Only under the writer's turn.
    pub fn install(&self, at: Timestamp, strict: bool) {
        let mut state = self.state.lock();
        if strict {
            state.strict.push_back(at);
        }
        self.installed.store(at.0, Ordering::Release);
        self.publish(&state);
    }

    /// As a strict commit, but one that only a checkpoint makes durable.
    pub fn install_unjournaled(&self, at: Timestamp) {
        self.state.lock().unjournaled = Some(at);
        self.install(at, true);
    }

    /// A journal holds everything up to `at`. Tells what is durable by that: nothing from an unjournaled commit on.
    pub fn journal_is_durable(&self, at: Timestamp) -> Timestamp {
        let limit = self.state.lock().unjournaled.map_or(at, |unjournaled| at.min(Timestamp(unjournaled.0 - 1)));
        self.durable_up_to(limit);
        limit
    }

    /// Everything up to `at` would survive a crash.
    pub fn durable_up_to(&self, at: Timestamp) {
        let mut state = self.state.lock();
        state.durable = state.durable.max(at);
        self.durable_at_least.store(state.durable.0, Ordering::Relaxed);
        state.unjournaled.take_if(|unjournaled| *unjournaled <= at);
        while state.strict.front().is_some_and(|strict| *strict <= at) {
            state.strict.pop_front();
        }
        self.publish(&state);
        self.moved.notify_all();
    }

    fn publish(&self, state: &State) {
        if state.stopped {
            return;
        }
        let limit = state.strict.front().map_or(self.installed().0, |strict| strict.0 - 1);
        if self.published.load(Ordering::Relaxed) < limit {
            self.published.store(limit, Ordering::Release);
            // Whoever waits for commits looks under the lock that we hold. With nobody waiting this is a load.
            self.moved.notify_all();
        }
    }

    /// The newest installed timestamp, which `pin` is told while nothing can be installed or published: so no version that it needs
    /// can be given back before the pin is known.
    pub fn pin_installed(&self, pin: impl FnOnce(Timestamp)) -> Timestamp {
        let _state = self.state.lock();
        let at = self.installed();
        pin(at);
        at
    }

    /// Publishes nothing more, ever.
    pub fn stop(&self) {
        self.state.lock().stopped = true;
        self.moved.notify_all();
    }

    /// Everything up to here would survive a crash. Whoever finds his commit durable finds it published, and the other way round.
    pub fn durable(&self) -> Timestamp {
        self.state.lock().durable
    }

    /// Everything up to here would survive a crash; some more may, and nothing is said of what is published.
    pub fn durable_at_least(&self) -> Timestamp {
        Timestamp(self.durable_at_least.load(Ordering::Relaxed))
    }

    /// Waits until something was published, became durable or was [woken](Publication::wake), at most `limit`; not at all if `is_over` says so of what is published, or
    /// publication has stopped for ever. Tells whether it has.
    pub fn wait_unless(&self, limit: Duration, is_over: impl FnOnce(Timestamp) -> bool) -> bool {
        let mut state = self.state.lock();
        if !state.stopped && !is_over(self.published()) {
            self.moved.wait_for(&mut state, limit);
        }
        state.stopped
    }

    /// Has everybody who waits look again.
    pub fn wake(&self) {
        let _state = self.state.lock();
        self.moved.notify_all();
    }

    /// Waits until something became durable or publication stopped, at most `limit`.
    pub fn wait_for_progress(&self, limit: Duration) {
        let mut state = self.state.lock();
        self.moved.wait_for(&mut state, limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line: what happens, and what is published then.
    #[test]
    fn publication_is_in_order_and_carries_relaxed_commits() {
        let clock = Publication::starting_at(Timestamp(5));
        let install = |at, strict| clock.install(Timestamp(at), strict);
        let durable = |at| clock.durable_up_to(Timestamp(at));
        for (step, published) in [
            (Box::new(|| install(6, false)) as Box<dyn Fn()>, 6),
            (Box::new(|| install(7, true)), 6),
            (Box::new(|| install(8, false)), 6),
            (Box::new(|| install(9, true)), 6),
            (Box::new(|| install(10, false)), 6),
            (Box::new(|| durable(7)), 8),
            (Box::new(|| durable(6)), 8),
            (Box::new(|| durable(9)), 10),
            (Box::new(|| install(11, false)), 11),
            (Box::new(|| install(12, true)), 11),
            (Box::new(|| clock.stop()), 11),
            (Box::new(|| durable(12)), 11),
        ] {
            step();
            assert_eq!(clock.published(), Timestamp(published));
        }
    }
}
