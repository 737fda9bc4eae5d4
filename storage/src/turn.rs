//! The writer's turn: one at a time changes pages, nearly in the order in which they asked.
//!
//! Promises:
//! 1. One holder at a time, who may be another thread than the one that took it.
//! 2. Whoever finds the turn free takes it, even if others are being woken: a hand-over to a sleeping thread costs more than a small commit. But
//!    once the first in line has waited for a tenth of a millisecond the turn is handed to it and to nobody else: nobody starves.
//! 3. Passing the turn wakes one thread at most.
//! 4. Who comes alone looks again for some microseconds before he goes to sleep: a small commit takes less than falling asleep and waking up.
//!
//! While nobody is in line one word says all, and taking the turn is one exchange, as passing it is. Whoever finds it held takes the lock of the line, and says in the word that
//! the line must be asked, until it is empty again.

use crate::sync::{Arc, AtomicU32, Condvar, Instant, Mutex, MutexGuard, Ordering, TURN_LOOKS};
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// Longer than this nobody waits at the head of the line while others overtake.
const OVERTAKING: Duration = Duration::from_micros(100);

/// How long to wait between two looks, in pauses of the processor (some ten to forty nanoseconds each).
const PAUSES: usize = 8;

struct Waiter {
    since: Instant,
    woken: Condvar,
}

/// What the word says: nobody has the turn; somebody has it; [`State`] tells. In the first two cases nobody is in line. From the third to the others, and the other way, it goes only under the lock of the state.
const FREE: u32 = 0;
const HELD: u32 = 1;
const ASK: u32 = 2;

#[derive(Default)]
struct State {
    held: bool,
    /// The turn was handed to the first in line, who has not woken up yet.
    handed_over: bool,
    line: VecDeque<Arc<Waiter>>,
}

/// A lock whose holder may be another thread than the one that took it.
#[derive(Default)]
pub(crate) struct Turn {
    word: AtomicU32,
    state: Mutex<State>,
}

/// The state, which tells as long as this lives, and as long as somebody is in line.
struct Line<'t> {
    word: &'t AtomicU32,
    state: MutexGuard<'t, State>,
}

impl Line<'_> {
    fn begin<'t>(word: &'t AtomicU32, mut state: MutexGuard<'t, State>) -> Line<'t> {
        let said = word.swap(ASK, Ordering::Acquire);
        if said != ASK {
            state.held = said == HELD;
        }
        Line { word, state }
    }
}

impl Deref for Line<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Line<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.state.line.is_empty() {
            self.word.store(if self.state.held { HELD } else { FREE }, Ordering::Release);
        }
    }
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
    #[inline]
    pub fn take(&self, patience: Patience) -> bool {
        self.turn_word(FREE, HELD) || self.wait(patience)
    }

    /// Changes the word, if it says this.
    #[inline]
    fn turn_word(&self, from: u32, to: u32) -> bool {
        self.word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn line(&self) -> Line<'_> {
        Line::begin(&self.word, self.state.lock())
    }

    #[cold]
    #[inline(never)]
    fn wait(&self, patience: Patience) -> bool {
        let mut state = self.line();
        if !state.held {
            state.held = true;
            return true;
        }
        if patience != Patience::None && state.line.is_empty() {
            drop(state);
            if self.look_again() {
                return true;
            }
            state = self.line();
        }
        let since = Instant::now();
        let deadline = match patience {
            Patience::None => return false,
            Patience::Forever => None,
            // Too far away to be represented is for ever.
            Patience::For(wait) => since.checked_add(wait),
        };
        let me = Arc::new(Waiter { since, woken: Condvar::new() });
        state.line.push_back(me.clone());
        let is_first = |state: &State| state.line.front().is_some_and(|first| Arc::ptr_eq(first, &me));
        loop {
            if is_first(&state) && (state.handed_over || !state.held) {
                state.line.pop_front();
                (state.held, state.handed_over) = (true, false);
                break;
            }
            let timed_out = match deadline {
                None => {
                    me.woken.wait(&mut state.state);
                    false
                }
                Some(deadline) => me.woken.wait_until(&mut state.state, deadline).timed_out(),
            };
            if timed_out && !(is_first(&state) && (state.handed_over || !state.held)) {
                state.line.retain(|waiter| !Arc::ptr_eq(waiter, &me));
                return false;
            }
        }
        true
    }

    /// Looks whether the turn has become free, for as long as a small commit takes; takes it then.
    fn look_again(&self) -> bool {
        for _ in 0..TURN_LOOKS {
            (0..PAUSES).for_each(|_| std::hint::spin_loop());
            match self.word.load(Ordering::Relaxed) {
                FREE if self.turn_word(FREE, HELD) => return true,
                ASK => {
                    if let Some(state) = self.state.try_lock()
                        && let mut state = Line::begin(&self.word, state)
                        && !state.held
                    {
                        state.held = true;
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }

    /// Passes the turn on.
    #[inline]
    pub fn pass(&self) {
        if !self.turn_word(HELD, FREE) {
            self.pass_in_line();
        }
    }

    #[cold]
    #[inline(never)]
    fn pass_in_line(&self) {
        let mut state = self.line();
        debug_assert!(state.held, "only a holder passes the turn");
        let Some(first) = state.line.front().cloned() else {
            state.held = false;
            return;
        };
        // Handed over it stays held, so that nobody overtakes.
        state.handed_over = first.since.elapsed() >= OVERTAKING;
        state.held = state.handed_over;
        first.woken.notify_one();
    }

    /// How many wait.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.state.lock().line.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{AtomicUsize, Ordering};

    fn wait_for_line(turn: &Turn, len: usize) {
        while turn.waiting() < len {
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_turn_is_passed_in_order_and_patience_ends() {
        let turn = Arc::new(Turn::default());
        assert!(turn.take(Patience::None));
        assert!(!turn.take(Patience::None));
        assert!(!turn.take(Patience::For(Duration::from_millis(5))));
        let order = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (for_thread, order) = (turn.clone(), order.clone());
                let thread = std::thread::spawn(move || {
                    assert!(for_thread.take(Patience::Forever));
                    order.lock().push(number);
                    for_thread.pass();
                });
                wait_for_line(&turn, number + 1);
                thread
            })
            .collect();
        turn.pass();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*order.lock(), [0, 1, 2, 3]);
        assert!(turn.take(Patience::None), "nobody holds it in the end");
    }

    #[test]
    fn whoever_waited_long_is_not_overtaken() {
        let turn = Arc::new(Turn::default());
        assert!(turn.take(Patience::None));
        let waiter = std::thread::spawn({
            let turn = turn.clone();
            move || turn.take(Patience::Forever)
        });
        wait_for_line(&turn, 1);
        std::thread::sleep(2 * OVERTAKING);
        turn.pass();
        // Whether or not the waiter has woken up, the turn is its own.
        assert!(!turn.take(Patience::None));
        assert!(waiter.join().unwrap());
        turn.pass();
        assert!(turn.take(Patience::None));
    }

    /// Many threads, some impatient, count under the turn: nobody is lost and nobody comes in twice.
    #[test]
    fn one_at_a_time_whoever_gives_up() {
        let (turn, inside) = (Turn::default(), AtomicUsize::new(0));
        let rounds = if cfg!(miri) { 20 } else { 2000 };
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|thread| {
                    let (turn, inside) = (&turn, &inside);
                    scope.spawn(move || {
                        let impatient = Patience::For(Duration::from_micros(50));
                        let patience = if thread % 2 == 0 { Patience::Forever } else { impatient };
                        let mut taken = 0;
                        for _ in 0..rounds {
                            if turn.take(patience) {
                                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                                inside.fetch_sub(1, Ordering::SeqCst);
                                turn.pass();
                                taken += 1;
                            }
                        }
                        taken
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(taken >= 4 * rounds, "the patient ones all came in");
        assert!(turn.take(Patience::None));
        assert_eq!(turn.waiting(), 0);
    }
}
