//! What a workload is given for one turn of one engine, and where its samples go.

use crate::data::Data;
use crate::engine::{Kind, Setup};
use crate::metric::Metric;
use anyhow::{Result, ensure};
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many entries the workloads of the full size have.
    pub entries: usize,
    /// How many entries the long reader, the held views and YCSB have.
    pub small_entries: usize,
    /// How often each engine takes its turn.
    pub rounds: usize,
    /// Which engines take part.
    pub engines: Vec<Kind>,
    /// Names of workloads or ids of figures; empty for all.
    pub only: Vec<String>,
    /// Whether to be done in a few minutes.
    pub quick: bool,
    /// The memory of the machine, in bytes, or what is allowed of it.
    pub memory: u64,
}

impl Plan {
    /// Whether a figure is asked for.
    #[must_use]
    pub fn wants(&self, metric: &Metric) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == metric.id || name == metric.workload())
    }
}

/// All samples so far.
pub type Samples = BTreeMap<(&'static str, Kind), Vec<f64>>;

/// One turn of one engine.
pub struct Context<'a> {
    /// What the user asked for.
    pub plan: &'a Plan,
    /// The engine whose turn it is.
    pub kind: Kind,
    /// A folder for the store, empty at first.
    pub dir: &'a Path,
    /// Which round this is, from 0.
    pub round: usize,
    /// Where to tell how far it is.
    pub progress: &'a ProgressBar,
    /// Data that was made already, by number of entries and length of values.
    pub cache: &'a mut BTreeMap<(usize, usize), Rc<Data>>,
    /// Where samples go.
    pub samples: &'a mut Samples,
}

impl Context<'_> {
    /// Data of this size; made once.
    pub fn data(&mut self, count: usize, value_len: usize) -> Rc<Data> {
        let data = self.cache.entry((count, value_len)).or_insert_with(|| Rc::new(Data::new(count, value_len)));
        data.clone()
    }

    /// What engines are told when they are opened.
    #[must_use]
    pub fn setup(&self, value_len: usize) -> Setup {
        Setup { memory: self.plan.memory, value_len, is_tight: false }
    }

    /// Whether any of these figures is asked for.
    #[must_use]
    pub fn wants(&self, metrics: &[&Metric]) -> bool {
        metrics.iter().any(|metric| self.plan.wants(metric))
    }

    /// Takes a sample down, if the figure is asked for.
    pub fn record(&mut self, metric: &Metric, value: f64) {
        if self.plan.wants(metric) {
            self.samples.entry((metric.id, self.kind)).or_default().push(value);
        }
    }

    /// Tells what is going on: in the line that a terminal keeps, or else in a line of its own.
    pub fn say(&self, what: &str) {
        let message = format!("round {}: {}: {what}", self.round + 1, self.kind.name());
        if self.progress.is_hidden() {
            eprintln!("{:>5} s  {message}", self.progress.elapsed().as_secs());
        }
        self.progress.set_message(message);
        self.progress.tick();
    }
}

/// The seconds that something takes.
///
/// # Errors
/// Its own.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let started = Instant::now();
    let result = work()?;
    Ok((started.elapsed().as_secs_f64(), result))
}

/// Ends the run if what was read is not what must be there: a figure for wrong results would mean nothing.
///
/// # Errors
/// When the two differ.
pub fn expect_equal(what: &str, found: u64, expected: u64) -> Result<()> {
    ensure!(found == expected, "{what}: found {found}, but it must be {expected}; the engine or its adapter is wrong");
    Ok(())
}
