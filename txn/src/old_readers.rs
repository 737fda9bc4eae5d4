//! Telling of readers that have been there for long.
//!
//! Promises: each reader is told of once, by one call for all that read the same moment; a reader is never ended: it may be asked, and looks itself whether it was. A callback that panics
//! is not called again.

use crate::Held;
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};
use pentimento_storage::{ReaderId, ReaderKind, Store};
use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// What is to be done about an old reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OldReader {
    /// Nothing more.
    Keep,
    /// It is asked to stop: [`Snapshot::is_asked_to_stop`](crate::Snapshot::is_asked_to_stop) tells it so from then on.
    AskToStop,
}

type Callback = dyn Fn(&Held) -> OldReader + Send + Sync;

/// What the builder was told.
#[derive(Clone)]
pub(crate) struct Hook {
    pub age: Duration,
    pub callback: Arc<Callback>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("age", &self.age).finish_non_exhaustive()
    }
}

/// The look-out for old readers of an open store.
#[derive(Debug)]
pub(crate) struct LookOut {
    hook: Hook,
    told: Mutex<HashSet<ReaderId>>,
    is_broken: AtomicBool,
}

impl LookOut {
    pub fn new(hook: Hook) -> LookOut {
        LookOut { hook, told: Mutex::default(), is_broken: AtomicBool::new(false) }
    }

    /// Tells of readers that have become old since the last look.
    pub fn look(&self, store: &Arc<Store>) {
        if self.is_broken.load(Ordering::Relaxed) {
            return;
        }
        let age_ms = u64::try_from(self.hook.age.as_millis()).unwrap_or(u64::MAX);
        let is_old = |reader: &crate::ReaderInfo| reader.kind == ReaderKind::Snapshot && reader.age_ms >= age_ms;
        let old: HashSet<ReaderId> =
            store.readers().iter().filter(|reader| is_old(reader)).map(|reader| reader.id).collect();
        let new = {
            let mut told = self.told.lock();
            // Those who have gone are forgotten.
            told.retain(|id| old.contains(id));
            let new: HashSet<ReaderId> = old.difference(&told).copied().collect();
            told.extend(&new);
            new
        };
        if new.is_empty() {
            return;
        }
        for mut held in store.held() {
            held.readers.retain(|reader| new.contains(&reader.id));
            if held.readers.is_empty() {
                continue;
            }
            // Its panic must not end the thread that makes checkpoints; the panic's own message has been printed.
            match catch_unwind(AssertUnwindSafe(|| (self.hook.callback)(&held))) {
                Ok(OldReader::Keep) => {}
                Ok(OldReader::AskToStop) => held.readers.iter().for_each(|reader| store.ask_to_stop(reader.id)),
                Err(_) => self.is_broken.store(true, Ordering::Relaxed),
            }
        }
    }
}
