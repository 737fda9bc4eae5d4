//! What the user sees while the demo works: one line on the standard error, none if that is no terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// The line.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub fn shown() -> Progress {
        let bar = ProgressBar::no_length();
        bar.set_style(style("{spinner} {msg}"));
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress { bar }
    }

    pub fn hidden() -> Progress {
        Progress { bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()) }
    }

    /// A step of unknown length has begun.
    pub fn step(&self, message: &str) {
        self.bar.set_message(message.to_owned());
    }

    /// So many files are stored.
    pub fn loaded(&self, files: u64) {
        self.bar.set_message(format!("storing files: {}", crate::format::count(files)));
    }

    /// Measuring begins, and will take this long.
    pub fn measure(&self, length: Duration) {
        self.bar.set_style(style("{spinner} {msg} {bar:30} {percent:>3}%"));
        self.bar.set_length(length.as_millis() as u64);
        self.bar.set_position(0);
    }

    /// So much of it has passed.
    pub fn measured(&self, passed: Duration) {
        self.bar.set_position(passed.as_millis() as u64);
    }

    /// Measuring is over.
    pub fn measured_all(&self) {
        self.bar.set_style(style("{spinner} {msg}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates here are well formed")
}
