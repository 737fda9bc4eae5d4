//! What all commands share: how to show things, and when to stop.

use crate::inspect::{Blob, Privacy};
use crate::output::{self, Look};
use crate::{Interrupt, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::time::Duration;

/// How a command is to work and to show its report.
#[derive(Clone, Debug)]
pub struct Context {
    /// Reports are printed as JSON.
    pub json: bool,
    /// Whether keys and values may be shown.
    pub privacy: Privacy,
    /// Whether the user asked to stop.
    pub interrupt: Interrupt,
    pub(crate) look: Look,
}

impl Context {
    /// A context for the standard output.
    #[must_use]
    pub fn new(json: bool, redact: bool, interrupt: Interrupt) -> Context {
        Context { json, privacy: Privacy { redact }, interrupt, look: Look::of_stdout() }
    }

    /// Prints a report: as JSON if that is asked for, else as `text` shows it.
    pub(crate) fn print<R: Serialize>(&self, report: &R, text: impl FnOnce(&R, Look) -> String) -> Result<()> {
        if self.json { output::print_json(report) } else { output::print(&text(report, self.look)) }
    }

    pub(crate) fn show(&self, bytes: &[u8]) -> Blob {
        self.privacy.show(bytes)
    }

    /// A bar on the standard error, if that is a terminal, for work that takes more than a moment.
    pub(crate) fn meter(&self, what: &'static str) -> Meter {
        Meter::new(what, !self.json)
    }

    /// The same for work whose length is not known.
    pub(crate) fn flow(&self, what: &'static str) -> Flow {
        let bar = if self.json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        let style = ProgressStyle::with_template("{spinner} {msg}: {bytes} ({bytes_per_sec}), {prefix}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(100));
        Flow { bar }
    }
}

/// Shows what has come by of something whose length nobody knows.
pub(crate) struct Flow {
    bar: ProgressBar,
}

impl Flow {
    /// So many bytes have come by.
    pub fn at(&self, bytes: u64, remark: &str) {
        self.bar.set_position(bytes);
        self.bar.set_prefix(remark.to_owned());
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Shows how far long work is.
pub(crate) struct Meter {
    bar: ProgressBar,
}

impl Meter {
    fn new(what: &'static str, is_shown: bool) -> Meter {
        // Without a terminal on the standard error the bar hides itself.
        let bar = if is_shown { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(100));
        Meter { bar }
    }

    /// More bytes were read, of a total that may change.
    pub fn seen(&self, bytes: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.inc(bytes);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
