//! Ctrl-C: long work looks here now and then, and ends by itself, so that stores are closed and temporary files go.

use crate::{Error, Result};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the user asked to stop. Clones share the answer.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens for the signals that ask a process to end. The second one ends it at once, without cleaning up.
    ///
    /// # Errors
    /// [`Error::Signals`] when the handler cannot be installed, for example because there is one.
    pub fn install() -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        let asked = interrupt.asked.clone();
        ctrlc::set_handler(move || {
            if asked.swap(true, Ordering::Relaxed) {
                process::exit(130);
            }
        })?;
        Ok(interrupt)
    }

    /// Asks to stop, as Ctrl-C does.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Fails if somebody asked.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_asked() { Err(Error::Interrupted("the work was stopped".to_owned())) } else { Ok(()) }
    }
}
