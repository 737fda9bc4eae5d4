//! The writer's turn: one at a time changes pages, first come, first served.

use crate::sync::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

#[derive(Default)]
struct State {
    held: bool,
    waiting: VecDeque<u64>,
    next_ticket: u64,
}

/// A fair lock whose holder may be another thread than the one that took it.
#[derive(Default)]
pub(crate) struct Turn {
    state: Mutex<State>,
    passed: Condvar,
}

/// How long to wait for the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until it comes.
    Forever,
    /// Not at all, if somebody has it.
    None,
    /// At most this long.
    For(Duration),
}

impl Turn {
    /// Takes the turn; `false` when patience ran out.
    pub fn take(&self, patience: Patience) -> bool {
        let mut state = self.state.lock();
        if !state.held && state.waiting.is_empty() {
            state.held = true;
            return true;
        }
        let deadline = match patience {
            Patience::None => return false,
            Patience::Forever => None,
            // Too far away to be represented is for ever.
            Patience::For(wait) => Instant::now().checked_add(wait),
        };
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(ticket);
        while state.held || state.waiting.front() != Some(&ticket) {
            let timed_out = match deadline {
                None => {
                    self.passed.wait(&mut state);
                    false
                }
                Some(deadline) => self.passed.wait_until(&mut state, deadline).timed_out(),
            };
            if timed_out && (state.held || state.waiting.front() != Some(&ticket)) {
                state.waiting.retain(|waiting| *waiting != ticket);
                // Whoever stood behind may be first now.
                self.passed.notify_all();
                return false;
            }
        }
        state.waiting.pop_front();
        state.held = true;
        true
    }

    /// Passes the turn on.
    pub fn pass(&self) {
        let mut state = self.state.lock();
        debug_assert!(state.held, "only a holder passes the turn");
        state.held = false;
        if !state.waiting.is_empty() {
            self.passed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Arc;

    #[test]
    fn the_turn_is_passed_in_order_and_patience_ends() {
        let turn = Arc::new(Turn::default());
        assert!(turn.take(Patience::None));
        assert!(!turn.take(Patience::None));
        assert!(!turn.take(Patience::For(Duration::from_millis(5))));
        let order = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (thread_turn, order) = (turn.clone(), order.clone());
                let thread = std::thread::spawn(move || {
                    assert!(thread_turn.take(Patience::Forever));
                    order.lock().push(number);
                    thread_turn.pass();
                });
                while turn.state.lock().waiting.len() <= number {
                    std::thread::yield_now();
                }
                thread
            })
            .collect();
        turn.pass();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*order.lock(), [0, 1, 2, 3]);
    }
}
