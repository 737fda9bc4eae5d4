//! Rounds and turns.
//!
//! Promises: within a round each engine has its turn, and each round another one begins; every turn has an empty folder of its own, which is removed afterwards.

use crate::context::{Context, Plan, Samples};
use crate::workloads::{self, Entry};
use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Runs what the plan asks for, with stores below `dir`.
///
/// # Errors
/// When an engine fails or answers wrongly.
pub fn run(plan: &Plan, dir: &Path) -> Result<Samples> {
    let progress = ProgressBar::new_spinner();
    progress.set_style(ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}")?);
    progress.enable_steady_tick(Duration::from_millis(500));
    let mut samples = Samples::new();
    for entry in workloads::ALL {
        // The data of a workload is let go before the next.
        let mut cache = BTreeMap::new();
        let metrics = || entry.metrics.iter().copied().flatten();
        if !metrics().any(|metric| plan.wants(metric)) {
            continue;
        }
        for round in 0..plan.rounds {
            for kind in turns(plan, entry, round) {
                let turn = tempfile::tempdir_in(dir)?;
                let mut context = Context {
                    plan,
                    kind,
                    dir: turn.path(),
                    round,
                    progress: &progress,
                    cache: &mut cache,
                    samples: &mut samples,
                };
                (entry.run)(&mut context).with_context(|| {
                    let names: Vec<_> = entry.metrics.iter().filter_map(|metrics| metrics.first()).collect();
                    let names: Vec<_> = names.iter().map(|metric| metric.workload()).collect();
                    format!("{} failed in {}", kind.name(), names.join(", "))
                })?;
            }
        }
    }
    progress.finish_and_clear();
    Ok(samples)
}

/// The engines of a round, in the order of their turns.
fn turns(plan: &Plan, entry: &Entry, round: usize) -> Vec<crate::engine::Kind> {
    let mut kinds: Vec<_> = entry.engines.iter().copied().filter(|kind| plan.engines.contains(kind)).collect();
    if !kinds.is_empty() {
        let by = round % kinds.len();
        kinds.rotate_left(by);
    }
    kinds
}
