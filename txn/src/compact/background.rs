//! Compacting in a thread of its own, within a budget.
//!
//! Promises: over any second it writes about as much as it may (a checkpoint now and then comes on top); it stops when it is told to, within one step; it ends by itself when there is nothing
//! left to win.

use super::{Compaction, Compactor};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, Condvar, Instant, Mutex};
use crate::{Error, Result};
use std::fmt;
use std::time::Duration;

/// Steps are a twentieth of a second's budget, within these limits, in bytes.
const LEAST_STEP: u64 = 16 << 10;
const GREATEST_STEP: u64 = 4 << 20;

#[derive(Default)]
struct State {
    report: Compaction,
    stop: bool,
}

#[derive(Default)]
struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

/// A compaction that runs in a thread of its own. Dropping it stops it.
pub struct BackgroundCompaction {
    meeting: Arc<Meeting>,
    thread: Option<JoinHandle<Result<Compaction>>>,
}

impl BackgroundCompaction {
    pub(super) fn begin(compactor: Compactor, bytes_per_second: u64) -> Result<BackgroundCompaction> {
        if bytes_per_second == 0 {
            return Err(Error::InvalidOption { option: "compaction budget", why: "it must be more than zero" });
        }
        let path = compactor.shared().store.path().to_owned();
        let meeting = Arc::new(Meeting::default());
        meeting.state.lock().report = compactor.progress().clone();
        let for_thread = meeting.clone();
        let thread = thread::Builder::new()
            .name("pentimento-compact".to_owned())
            .spawn(move || run(compactor, bytes_per_second, &for_thread))
            .map_err(|source| Error::Io { operation: "start a background thread", path, source })?;
        Ok(BackgroundCompaction { meeting, thread: Some(thread) })
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Compaction {
        self.meeting.state.lock().report.clone()
    }

    /// Stops it after the step that it is at, and tells what was done.
    ///
    /// # Errors
    /// Why it ended before, if something went wrong: as for [`Compactor::step`].
    pub fn stop(mut self) -> Result<Compaction> {
        self.ask_to_stop();
        self.join()
    }

    /// Waits until there is nothing left to win.
    ///
    /// # Errors
    /// As for [`Compactor::step`].
    pub fn wait(mut self) -> Result<Compaction> {
        self.join()
    }

    fn ask_to_stop(&self) {
        self.meeting.state.lock().stop = true;
        self.meeting.changed.notify_all();
    }

    fn join(&mut self) -> Result<Compaction> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(self.progress()),
        }
    }
}

impl Drop for BackgroundCompaction {
    fn drop(&mut self) {
        self.ask_to_stop();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the runtime.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for BackgroundCompaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundCompaction").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

fn run(mut compactor: Compactor, bytes_per_second: u64, meeting: &Meeting) -> Result<Compaction> {
    let step = (bytes_per_second / 20).clamp(LEAST_STEP, GREATEST_STEP);
    let written = |report: &Compaction| report.bytes_moved + report.bytes_merged;
    loop {
        let (started, before) = (Instant::now(), written(compactor.progress()));
        let report = compactor.step(step)?.clone();
        // Looking costs something as well, even where nothing is written.
        let due = (written(&report) - before).max(step / 16) as f64 / bytes_per_second as f64;
        let until = started.checked_add(Duration::from_secs_f64(due));
        let mut state = meeting.state.lock();
        state.report = report;
        if state.report.is_done {
            break;
        }
        while !state.stop && until.is_some_and(|until| Instant::now() < until) {
            let Some(until) = until else { break };
            meeting.changed.wait_until(&mut state, until);
        }
        if state.stop {
            break;
        }
    }
    Ok(compactor.progress().clone())
}
