//! What is measured: its name, unit, and which way is better.

use serde::Serialize;

/// One figure of a workload. Its id is `workload.figure`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Metric {
    /// `workload.figure`.
    pub id: &'static str,
    /// What it says in a table.
    pub title: &'static str,
    /// The unit of the samples.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
}

/// The unit of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nanoseconds.
    Nanoseconds,
    /// Seconds.
    Seconds,
    /// How many in a second.
    PerSecond,
    /// Bytes.
    Bytes,
    /// A ratio: times something that the title names.
    Times,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Less is.
    Lower,
    /// More is.
    Higher,
}

impl Metric {
    /// A time in nanoseconds.
    #[must_use]
    pub const fn nanoseconds(id: &'static str, title: &'static str) -> Metric {
        Metric { id, title, unit: Unit::Nanoseconds, better: Better::Lower }
    }

    /// A time in seconds.
    #[must_use]
    pub const fn seconds(id: &'static str, title: &'static str) -> Metric {
        Metric { id, title, unit: Unit::Seconds, better: Better::Lower }
    }

    /// A rate.
    #[must_use]
    pub const fn rate(id: &'static str, title: &'static str) -> Metric {
        Metric { id, title, unit: Unit::PerSecond, better: Better::Higher }
    }

    /// A size.
    #[must_use]
    pub const fn bytes(id: &'static str, title: &'static str) -> Metric {
        Metric { id, title, unit: Unit::Bytes, better: Better::Lower }
    }

    /// A ratio.
    #[must_use]
    pub const fn times(id: &'static str, title: &'static str, better: Better) -> Metric {
        Metric { id, title, unit: Unit::Times, better }
    }

    /// The workload that it belongs to.
    #[must_use]
    pub fn workload(&self) -> &'static str {
        self.id.split('.').next().unwrap_or(self.id)
    }

    /// What `ours` costs in terms of `theirs`: below one is ahead, whichever way is better.
    #[must_use]
    pub fn cost(&self, ours: f64, theirs: f64) -> f64 {
        match self.better {
            Better::Lower => ours / theirs,
            Better::Higher => theirs / ours,
        }
    }
}

impl Unit {
    /// A value with its unit, three digits or so.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        const MIB: f64 = 1_048_576.0;
        match self {
            Unit::Nanoseconds if value >= 1e6 => format!("{:.1} ms", value / 1e6),
            Unit::Nanoseconds if value >= 1e4 => format!("{:.1} us", value / 1e3),
            Unit::Nanoseconds => format!("{value:.0} ns"),
            Unit::Seconds if value < 1.0 => format!("{:.1} ms", value * 1e3),
            Unit::Seconds => format!("{value:.2} s"),
            Unit::PerSecond if value >= 1e6 => format!("{:.2} M/s", value / 1e6),
            Unit::PerSecond if value >= 1e4 => format!("{:.0} k/s", value / 1e3),
            Unit::PerSecond => format!("{value:.0} /s"),
            Unit::Bytes => format!("{:.1} MiB", value / MIB),
            Unit::Times => format!("{value:.2} x"),
        }
    }
}
