//! Notices what a test cannot: threads that hang, and panics of threads that are not the test's own.

use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::thread;
use std::time::Duration;

const PATIENCE_S: u64 = 60;

static STARTED: Once = Once::new();
static PROGRESS: AtomicU64 = AtomicU64::new(0);
static AT_WORK: AtomicU64 = AtomicU64::new(0);
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// While it lives, somebody must call [`alive`] every minute.
pub struct Watch;

impl Watch {
    pub fn begin() -> Watch {
        STARTED.call_once(|| {
            let usual = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if thread::current().name() == Some("pentimento") {
                    PANICS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(info.to_string());
                }
                usual(info);
            }));
            thread::spawn(stand_guard);
        });
        AT_WORK.fetch_add(1, Ordering::SeqCst);
        Watch
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        AT_WORK.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Says that a run came to its end.
pub fn alive() {
    PROGRESS.fetch_add(1, Ordering::Relaxed);
}

/// The panics of the engine's own threads since the last call.
pub fn take_panics() -> Vec<String> {
    std::mem::take(&mut PANICS.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn stand_guard() {
    let (mut last, mut idle_s) = (0, 0);
    loop {
        thread::sleep(Duration::from_secs(1));
        let now = PROGRESS.load(Ordering::Relaxed);
        idle_s = if now == last && AT_WORK.load(Ordering::SeqCst) > 0 { idle_s + 1 } else { 0 };
        last = now;
        if idle_s > PATIENCE_S {
            eprintln!("nothing has moved for {PATIENCE_S} seconds: a hang");
            std::process::abort();
        }
    }
}
