//! The thread that makes checkpoints when commits do not wait for them.
//!
//! Promises: a checkpoint that was asked for within some time begins by then; one that failed is tried again, ever more slowly, and the next writer that
//! needs it is told why; stopping waits for a running checkpoint.

use crate::database::Shared;
use crate::{Error, Result};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the thread looks for versions that wait to be given back.
const TIDY_EVERY: Duration = Duration::from_millis(200);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(10);

#[derive(Default)]
struct State {
    /// When the next checkpoint is due.
    due: Option<Instant>,
    /// When the journal must be synced.
    sync_due: Option<Instant>,
    stop: bool,
    thread: Option<JoinHandle<()>>,
}

/// The requests to the background thread.
#[derive(Default)]
pub(crate) struct Background {
    state: Mutex<State>,
    changed: Condvar,
}

impl Background {
    /// Starts the thread.
    pub fn start(shared: &Arc<Shared>) -> Result<()> {
        let for_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("pentimento".to_owned())
            .spawn(move || for_thread.background.run(&for_thread))
            .map_err(|source| Error::Io {
                operation: "start the background thread",
                path: shared.store.path().to_owned(),
                source,
            })?;
        shared.background.state.lock().thread = Some(thread);
        Ok(())
    }

    /// Asks for a checkpoint at once.
    pub fn checkpoint_now(&self) {
        self.checkpoint_within(Duration::ZERO);
    }

    /// Asks for a checkpoint at most this much later.
    pub fn checkpoint_within(&self, limit: Duration) {
        let Some(at) = Instant::now().checked_add(limit) else { return };
        let mut state = self.state.lock();
        if state.due.is_none_or(|due| at < due) {
            state.due = Some(at);
            self.changed.notify_one();
        }
    }

    /// Asks for a sync of the journal at most this much later.
    pub fn sync_within(&self, limit: Duration) {
        let Some(at) = Instant::now().checked_add(limit) else { return };
        let mut state = self.state.lock();
        if state.sync_due.is_none_or(|due| at < due) {
            state.sync_due = Some(at);
            self.changed.notify_one();
        }
    }

    /// Ends the thread, after the checkpoint that it may be making.
    pub fn stop(&self) {
        let thread = {
            let mut state = self.state.lock();
            state.stop = true;
            self.changed.notify_one();
            state.thread.take()
        };
        if let Some(thread) = thread {
            // A panic there has been reported by the runtime already.
            let _ = thread.join();
        }
    }

    fn run(&self, shared: &Shared) {
        let _armed = PoisonOnPanic(shared);
        let mut retry = FIRST_RETRY;
        let mut tidy_every = TIDY_EVERY;
        loop {
            let (is_due, sync_is_due) = {
                let mut state = self.state.lock();
                let next = state.due.into_iter().chain(state.sync_due).min();
                if !state.stop && next.is_none_or(|due| due > Instant::now()) {
                    let wake = Instant::now() + tidy_every;
                    self.changed.wait_until(&mut state, next.map_or(wake, |due| due.min(wake)));
                }
                if state.stop {
                    return;
                }
                let now = Instant::now();
                (state.due.take_if(|due| *due <= now).is_some(), state.sync_due.take_if(|due| *due <= now).is_some())
            };
            if sync_is_due {
                // A failure poisons the store, so every writer is told.
                let _ = shared.flush();
            }
            if is_due {
                match shared.checkpoint() {
                    Ok(_) => retry = FIRST_RETRY,
                    Err(_) if shared.store.check_writable().is_ok() => {
                        self.checkpoint_within(retry);
                        retry = (retry * 2).min(LAST_RETRY);
                    }
                    // Poisoned: every writer is told so.
                    Err(_) => {}
                }
            }
            let progress = shared.store.reclaim(4096);
            tidy_every = if progress.waiting > 0 { Duration::from_millis(1) } else { TIDY_EVERY };
        }
    }
}

/// A thread that died would leave commits without the durability that they were promised, in silence.
struct PoisonOnPanic<'s>(&'s Shared);

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store.poison_because("the background thread panicked; this is a bug");
        }
    }
}
