//! The threads that make commits durable when nobody waits for it: one makes checkpoints and gives back what nobody needs, one syncs the journal, one writes what has gathered for it;
//! and one that has memory ready for writers who need more and more of it.
//!
//! Promises: what was asked for within some time begins by then, a sync also while a checkpoint runs; a checkpoint that failed is tried again, ever more
//! slowly, and the next writer that needs it is told why; stopping waits for what is running.

use crate::database::Shared;
use crate::journal::Journal;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, AtomicU64, Condvar, Instant, Mutex, Ordering};
use crate::{Error, Result, Timestamp};
use pentimento_storage::{fence_after_exchange, stand_back};
use std::time::{Duration, SystemTime};

/// How often the checkpointer looks for versions that wait to be given back, and how soon again while there are many.
const TIDY_EVERY: Duration = Duration::from_millis(200);
const TIDY_SOON: Duration = Duration::from_millis(1);
/// How often it looks whether a snapshot is due.
const RETAIN_EVERY: Duration = Duration::from_secs(1);
/// After so long without commits a store gives back what it keeps on the disk for later.
const REST_AFTER: Duration = Duration::from_secs(2);
/// How often whoever was just asked to write looks whether he should again, and how long he goes on looking.
const LOOK_EVERY: Duration = Duration::from_micros(200);
const LOOK_FOR: Duration = Duration::from_millis(5);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// Why a worker wakes up.
#[derive(PartialEq, Eq)]
enum Wake {
    Due,
    Idle,
    Stop,
}

#[derive(Default)]
struct State {
    due: Option<Instant>,
    stop: bool,
    /// The thread looks by itself now and then: nobody needs to wake it.
    is_looking: bool,
    thread: Option<JoinHandle<()>>,
}

/// A thread that does one thing when it is due.
#[derive(Default)]
struct Worker {
    state: Mutex<State>,
    /// How long after it was asked for the thing is due that is due next, in nanoseconds and one more; 0 if nothing is due. Changed under the lock of the state.
    limit: AtomicU64,
    changed: Condvar,
}

impl Worker {
    fn start(&self, name: &str, shared: &Arc<Shared>, run: fn(&Shared)) -> Result<()> {
        let for_thread = shared.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _armed = PoisonOnPanic(&for_thread);
            run(&for_thread);
        });
        let path = || shared.store.path().to_owned();
        let thread =
            thread.map_err(|source| Error::Io { operation: "start a background thread", path: path(), source })?;
        self.state.lock().thread = Some(thread);
        Ok(())
    }

    fn ask_within(&self, limit: Duration) {
        // Whoever is served looks at what there is after he has taken the request: either he sees what we ask for, or we see that nothing is due any more. (A commit passes the
        // turn, or something else under a lock, on its way here.)
        fence_after_exchange();
        let nanoseconds = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX - 1) + 1;
        // What was asked for earlier, and to be done as soon, is due earlier.
        if (1..=nanoseconds).contains(&self.limit.load(Ordering::Relaxed)) {
            return;
        }
        let Some(at) = Instant::now().checked_add(limit) else { return };
        let mut state = self.state.lock();
        if state.due.is_none_or(|due| at < due) {
            state.due = Some(at);
            self.limit.store(nanoseconds, Ordering::Relaxed);
            if !state.is_looking {
                self.changed.notify_one();
            }
        }
    }

    /// As [`wait`](Worker::wait), for what may be done a little later than it is due, and is asked for again and again: to wake a sleeping thread costs who asks more than anything else that he does. So
    /// who was served a moment ago need not be woken.
    fn wait_looking(&self) -> Wake {
        let until = Instant::now().checked_add(LOOK_FOR);
        self.state.lock().is_looking = true;
        let wake = loop {
            match self.wait(Some(LOOK_EVERY)) {
                Wake::Idle if until.is_some_and(|until| Instant::now() < until) => {}
                wake => break wake,
            }
        };
        self.state.lock().is_looking = false;
        if wake == Wake::Idle { self.wait(None) } else { wake }
    }

    /// Waits until something is due, or `idle` is over.
    fn wait(&self, idle: Option<Duration>) -> Wake {
        let idle = idle.and_then(|idle| Instant::now().checked_add(idle));
        let mut state = self.state.lock();
        loop {
            let now = Instant::now();
            if state.stop {
                return Wake::Stop;
            }
            if state.due.take_if(|due| *due <= now).is_some() {
                self.limit.swap(0, Ordering::Relaxed);
                fence_after_exchange();
                return Wake::Due;
            }
            if idle.is_some_and(|idle| idle <= now) {
                return Wake::Idle;
            }
            match state.due.into_iter().chain(idle).min() {
                Some(wake) => {
                    self.changed.wait_until(&mut state, wake);
                }
                None => self.changed.wait(&mut state),
            }
        }
    }

    fn stop(&self) {
        let thread = {
            let mut state = self.state.lock();
            state.stop = true;
            self.changed.notify_one();
            state.thread.take()
        };
        if let Some(thread) = thread {
            // A panic there has been reported by the runtime, and has poisoned the store.
            let _ = thread.join();
        }
    }
}

/// The background threads of an open store.
#[derive(Default)]
pub(crate) struct Background {
    checkpoints: Worker,
    syncs: Worker,
    writes: Worker,
    frames: Worker,
}

impl Background {
    pub fn start(shared: &Arc<Shared>) -> Result<()> {
        shared.background.checkpoints.start("pentimento", shared, make_checkpoints)?;
        shared.background.syncs.start("pentimento-sync", shared, sync_journal)?;
        shared.background.writes.start("pentimento-write", shared, write_journal)?;
        shared.background.frames.start("pentimento-frames", shared, prepare_frames)
    }

    /// Only looks for old readers: for a store that has nothing to write.
    pub fn start_look_out(shared: &Arc<Shared>) -> Result<()> {
        shared.background.checkpoints.start("pentimento-readers", shared, look_for_old_readers)
    }

    /// Asks for a checkpoint at once.
    pub fn checkpoint_now(&self) {
        self.checkpoint_within(Duration::ZERO);
    }

    /// Asks for a checkpoint at most this much later.
    pub fn checkpoint_within(&self, limit: Duration) {
        self.checkpoints.ask_within(limit);
    }

    /// Asks for a sync of the journal at most this much later.
    pub fn sync_within(&self, limit: Duration) {
        self.syncs.ask_within(limit);
    }

    /// Asks for what has gathered for the journal to be written.
    pub fn write_journal(&self) {
        self.writes.ask_within(Duration::ZERO);
    }

    /// Asks for memory to be prepared.
    pub fn prepare_frames(&self) {
        self.frames.ask_within(Duration::ZERO);
    }

    /// Ends the threads, after what they may be doing.
    pub fn stop(&self) {
        self.checkpoints.stop();
        self.syncs.stop();
        self.writes.stop();
        self.frames.stop();
    }
}

fn make_checkpoints(shared: &Shared) {
    // Nobody waits for it, or whoever does leaves it the processor.
    stand_back();
    let (mut retry, mut idle) = (FIRST_RETRY, TIDY_EVERY);
    let mut retain_at = Instant::now();
    let mut rest = Rest::new(shared);
    loop {
        match shared.background.checkpoints.wait(Some(idle)) {
            Wake::Stop => return,
            Wake::Idle => {}
            Wake::Due => match shared.checkpoint() {
                Ok(_) => retry = FIRST_RETRY,
                Err(_) if shared.store.check_writable().is_ok() => {
                    shared.background.checkpoint_within(retry);
                    retry = (retry * 2).min(LAST_RETRY);
                }
                // Poisoned: every writer is told so.
                Err(_) => {}
            },
        }
        if let Some(retention) = shared.retention.as_ref().filter(|_| retain_at <= Instant::now()) {
            // A failure that matters poisons the store; after any other it is tried again, but not at once.
            let done = shared.retain(retention, SystemTime::now());
            let pause = if done.is_ok() { RETAIN_EVERY } else { LAST_RETRY };
            retain_at = Instant::now().checked_add(pause).unwrap_or(retain_at);
        }
        rest.look(shared);
        shared.sidecar.tick(shared);
        shared.look_out.iter().for_each(|look_out| look_out.look(&shared.store));
        idle = if shared.store.reclaim(4096).waiting > 0 { TIDY_SOON } else { TIDY_EVERY };
    }
}

/// Whether commits still come.
struct Rest {
    newest: Timestamp,
    since: Instant,
    is_trimmed: bool,
}

impl Rest {
    fn new(shared: &Shared) -> Rest {
        Rest { newest: shared.store.installed(), since: Instant::now(), is_trimmed: true }
    }

    /// Once after each pause that began with a checkpoint of everything, gives back what is kept for later.
    fn look(&mut self, shared: &Shared) {
        let newest = shared.store.installed();
        if newest != self.newest {
            *self = Rest { newest, since: Instant::now(), is_trimmed: false };
        } else if !self.is_trimmed && self.since.elapsed() >= REST_AFTER && shared.store.checkpointed() == newest {
            // Nothing is left to be written, so this fails only if the store is poisoned: every writer is told so.
            self.is_trimmed = shared.checkpoint_and_trim().is_ok();
        }
    }
}

/// Whoever asks for a checkpoint of such a store asks in vain.
fn look_for_old_readers(shared: &Shared) {
    while shared.background.checkpoints.wait(Some(TIDY_EVERY)) != Wake::Stop {
        shared.look_out.iter().for_each(|look_out| look_out.look(&shared.store));
    }
}

fn sync_journal(shared: &Shared) {
    while shared.background.syncs.wait(None) == Wake::Due {
        // A failure poisons the store, so every writer is told.
        let _ = shared.flush();
    }
}

fn write_journal(shared: &Shared) {
    while shared.background.writes.wait_looking() == Wake::Due {
        // Here, too.
        let _ = shared.journal.get().map(Journal::write_full);
    }
}

fn prepare_frames(shared: &Shared) {
    stand_back();
    while shared.background.frames.wait(None) == Wake::Due {
        shared.store.prepare_frames();
    }
}

/// A thread that died would leave commits without the durability that they were promised, in silence.
struct PoisonOnPanic<'s>(&'s Shared);

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store.poison_because("a background thread panicked; this is a bug");
        }
    }
}
