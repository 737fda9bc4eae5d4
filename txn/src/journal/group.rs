//! Group commit: those who wait for durability share syncs.
//!
//! Promises:
//! 1. One sync at a time. It serves whoever was there when it began; whoever comes while it runs waits for the next, which the first of them leads.
//! 2. Whoever waits goes to sleep once for each sync, and one call wakes all who shared it: they take no lock on their way out.
//! 3. A lone committer leads at once. A leader lets those append first who shared the last sync or came while it ran, as long as they keep coming, and for no
//!    longer than [`LET_APPEND`].
//! 4. A failed sync is told to all who wait, and to whoever comes later.

use crate::sync::{Arc, Instant, Mutex, MutexGuard, WaitCell, thread};
use crate::{Error, Result, Timestamp};
use std::time::Duration;

/// For how long a leader lets others append, and for how long after each who did.
const LET_APPEND: Duration = Duration::from_micros(80);
const LET_NEXT_APPEND: Duration = Duration::from_micros(20);

/// One sync: what is durable by it, `None` if it failed.
type Round = Arc<WaitCell<Option<Timestamp>>>;

#[derive(Default)]
struct State {
    /// The sync that runs.
    running: Option<Round>,
    /// The next one, if somebody waits for it already.
    next: Option<Round>,
    /// How many wait for the next one, its leader among them.
    gathered: usize,
    /// How many may want another sync in a moment: those whom the last one served, and those who came while it ran.
    company: usize,
    durable: Timestamp,
    has_failed: bool,
}

pub(super) struct Group {
    state: Mutex<State>,
}

impl Group {
    pub fn new(durable: Timestamp) -> Group {
        Group { state: Mutex::new(State { durable, ..State::default() }) }
    }

    /// Whoever comes from now on is refused.
    pub fn fail(&self) {
        self.state.lock().has_failed = true;
    }

    /// Returns what is durable when a sync is over that began after the call, or at once if `at` is durable. `sync` is called by whoever leads one, and tells what is durable then.
    pub fn wait(&self, at: Timestamp, sync: impl FnOnce() -> Result<Timestamp>) -> Result<Timestamp> {
        let failed = || Error::Poisoned("the journal could not be written".to_owned());
        let mut state = self.state.lock();
        if state.durable >= at {
            return Ok(state.durable);
        }
        if state.has_failed {
            return Err(failed());
        }
        state.gathered += 1;
        if let Some(next) = state.next.clone() {
            drop(state);
            return next.wait().ok_or_else(failed);
        }
        let round = Round::default();
        state.next = Some(round.clone());
        if let Some(running) = state.running.clone() {
            MutexGuard::unlocked(&mut state, || _ = running.wait());
        }
        Self::let_others_append(&mut state);
        let served = std::mem::take(&mut state.gathered);
        state.running = state.next.take();
        let result = if state.has_failed { Err(failed()) } else { MutexGuard::unlocked(&mut state, sync) };
        state.running = None;
        match &result {
            Ok(durable) => state.durable = state.durable.max(*durable),
            Err(_) => state.has_failed = true,
        }
        state.company = served + state.gathered;
        drop(state);
        // A leader is the only one who tells, and tells once.
        _ = round.set(result.as_ref().ok().copied());
        result
    }

    /// Committers who were served by the last sync will want another in a moment: this one, if they append first. So a leader lets them run, for
    /// a part of what a sync costs. Whoever was alone last time does not wait.
    fn let_others_append(state: &mut MutexGuard<'_, State>) {
        let started = Instant::now();
        let (mut gathered, mut since) = (state.gathered, started);
        while state.gathered < state.company && since.elapsed() < LET_NEXT_APPEND && started.elapsed() < LET_APPEND {
            MutexGuard::unlocked(state, thread::yield_now);
            if state.gathered > gathered {
                (gathered, since) = (state.gathered, Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    fn wait_for(group: &Group, gathered: usize) {
        while group.state.lock().gathered < gathered {
            thread::yield_now();
        }
    }

    /// One sync runs while seven others come: they share the next, and nobody comes back before the sync that he waited for.
    #[test]
    fn whoever_comes_during_a_sync_shares_the_next() {
        let (group, syncs) = (Group::new(Timestamp(0)), AtomicU64::new(0));
        let sync = || Ok(Timestamp(100 + syncs.fetch_add(1, Ordering::SeqCst)));
        thread::scope(|scope| {
            let others = || {
                for _ in 0..7 {
                    scope.spawn(|| assert_eq!(group.wait(Timestamp(101), sync).unwrap(), Timestamp(101)));
                }
                wait_for(&group, 7);
                sync()
            };
            assert_eq!(group.wait(Timestamp(1), others).unwrap(), Timestamp(100));
        });
        assert_eq!(syncs.load(Ordering::SeqCst), 2);
        assert_eq!(group.state.lock().company, 7);
    }

    #[test]
    fn a_failure_is_told_to_those_who_wait_and_to_those_who_come() {
        let group = Group::new(Timestamp(3));
        let never = || unreachable!("nothing is synced after a failure");
        thread::scope(|scope| {
            let fail = || {
                for _ in 0..3 {
                    scope.spawn(|| assert!(matches!(group.wait(Timestamp(5), never), Err(Error::Poisoned(_)))));
                }
                wait_for(&group, 3);
                Err(Error::Poisoned("a disk".to_owned()))
            };
            assert!(group.wait(Timestamp(4), fail).is_err());
        });
        assert!(group.wait(Timestamp(6), never).is_err());
        assert_eq!(group.wait(Timestamp(3), never).unwrap(), Timestamp(3), "what was durable before stays so");
    }

    /// Those who shared a sync do not come again: the next leader waits for them, but not for long.
    #[test]
    fn nobody_waits_long_for_company_that_does_not_come() {
        let group = Group::new(Timestamp(0));
        group.state.lock().company = 16;
        let started = Instant::now();
        assert_eq!(group.wait(Timestamp(1), || Ok(Timestamp(1))).unwrap(), Timestamp(1));
        assert!(started.elapsed() >= LET_NEXT_APPEND);
        assert_eq!(group.state.lock().company, 1, "and the one after him is alone");
    }
}
