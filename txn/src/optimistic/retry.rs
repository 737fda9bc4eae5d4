//! Running a transaction again until it commits.
//!
//! Promises: a bounded number of tries; between tries a wait that grows and differs from thread to thread; and if asked for (it is, by default), a last try that
//! has the writer's turn from its start, so that nobody can commit beside it: it cannot meet a conflict. The turn is handed on in order, so neither
//! such a try nor an exclusive writer starves.

use super::conflicts::Counters;
use super::transaction::{ConcurrentTransaction, Isolation};
use crate::sync::thread;
use crate::{Database, Durability, Error, Result, Timestamp};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Shorter waits are not worth sleeping for.
const YIELD_BELOW: Duration = Duration::from_micros(50);

/// How a transaction is tried again after conflicts.
///
/// ```
/// # use pentimento_txn as pentimento;
/// use pentimento::{Database, Error, Isolation, RetryPolicy};
/// use std::time::Duration;
/// let db = Database::in_memory()?;
/// let policy = RetryPolicy::new(Isolation::Snapshot).tries(10).backoff(Duration::from_micros(100), Duration::from_millis(20));
/// let visits = policy.run(&db, |txn| -> Result<i64, Error> { txn.tree("counters")?.fetch_add("visits", 1) })?;
/// assert_eq!((visits.value, visits.retries), (0, 0));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct RetryPolicy {
    isolation: Isolation,
    tries: u32,
    first_wait: Duration,
    longest_wait: Duration,
    last_try_holds_turn: bool,
    durability: Option<Durability>,
}

/// What became of a transaction that was tried until it committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transacted<T> {
    /// What the last run of the closure returned.
    pub value: T,
    /// The commit; for a transaction without changes, the one that it read.
    pub at: Timestamp,
    /// How often it had to be tried again.
    pub retries: u32,
    /// Whether the last try had the writer's turn from its start.
    pub held_turn: bool,
}

impl RetryPolicy {
    /// Eight optimistic tries with waits of up to 10 milliseconds between them, then a last one that holds the writer's turn.
    pub fn new(isolation: Isolation) -> RetryPolicy {
        RetryPolicy {
            isolation,
            tries: 8,
            first_wait: Duration::from_micros(50),
            longest_wait: Duration::from_millis(10),
            last_try_holds_turn: true,
            durability: None,
        }
    }

    /// How many optimistic tries there are at most. With 0 the only try holds the turn.
    pub fn tries(mut self, tries: u32) -> RetryPolicy {
        self.tries = tries;
        self
    }

    /// The wait before the second retry (the first comes at once), which doubles with each further one up to `longest`. Each wait is a random part of that.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> RetryPolicy {
        (self.first_wait, self.longest_wait) = (first, longest);
        self
    }

    /// Whether, when all optimistic tries met conflicts, one follows that holds the writer's turn and cannot. Otherwise the last conflict is the result.
    pub fn last_try_holds_turn(mut self, yes: bool) -> RetryPolicy {
        self.last_try_holds_turn = yes;
        self
    }

    /// When the commit is to be durable, instead of the database's choice.
    pub fn durability(mut self, durability: Durability) -> RetryPolicy {
        self.durability = Some(durability);
        self
    }

    /// Runs `work` in a transaction and commits it; after a conflict again, in a new one.
    ///
    /// The closure may run several times: whatever it does besides reading and changing the store happens as often. It must not begin a write transaction of its own: the last
    /// try has the writer's turn already. If it returns an error the transaction is dropped, and the error is the result.
    ///
    /// # Errors
    /// The closure's own; [`Error::Conflict`] when the tries are used up and no last try holds the turn; others as for [`ConcurrentTransaction::commit`].
    pub fn run<T, E: From<Error>>(
        &self,
        db: &Database,
        mut work: impl FnMut(&mut ConcurrentTransaction) -> Result<T, E>,
    ) -> Result<Transacted<T>, E> {
        let conflicts = db.conflicts();
        let mut retries = 0;
        loop {
            let held_turn = retries >= self.tries && self.last_try_holds_turn;
            let mut txn = if held_turn {
                Counters::count(&conflicts.counters.turns_held);
                ConcurrentTransaction::holding(db.begin_write()?, self.isolation)
            } else {
                db.begin_concurrent(self.isolation)?
            };
            if let Some(durability) = self.durability {
                txn.set_durability(durability)?;
            }
            let value = work(&mut txn)?;
            match txn.commit() {
                Ok(at) => return Ok(Transacted { value, at, retries, held_turn }),
                Err(Error::Conflict { .. }) if retries + 1 < self.tries || self.last_try_holds_turn => {}
                Err(error) => return Err(error.into()),
            }
            retries += 1;
            Counters::count(&conflicts.counters.retries);
            self.wait(retries);
        }
    }

    fn wait(&self, retries: u32) {
        let doublings = retries.saturating_sub(2).min(31);
        let longest = match retries {
            0 | 1 => Duration::ZERO,
            _ => self.first_wait.saturating_mul(1 << doublings).min(self.longest_wait),
        };
        // The standard library's hashers are seeded at random: good enough to keep threads apart.
        let part = RandomState::new().hash_one(retries) as u32;
        let wait = longest.mul_f64(f64::from(part) / f64::from(u32::MAX));
        if wait < YIELD_BELOW { thread::yield_now() } else { thread::sleep(wait) }
    }
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy::new(Isolation::default())
    }
}
