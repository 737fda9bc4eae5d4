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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Kind;

    fn plan(engines: &[Kind], only: &[&str]) -> Plan {
        Plan {
            entries: 2_000,
            small_entries: 2_000,
            rounds: 1,
            engines: engines.to_vec(),
            only: only.iter().map(|name| (*name).to_owned()).collect(),
            quick: true,
            memory: 1 << 30,
        }
    }

    #[test]
    fn each_round_another_engine_begins() {
        let plan = plan(&[Kind::Fjall, Kind::Lmdb, Kind::Pentimento], &[]);
        let of = |round| turns(&plan, &workloads::ALL[0], round);
        assert_eq!(of(0), [Kind::Pentimento, Kind::Lmdb, Kind::Fjall]);
        assert_eq!(of(1), [Kind::Lmdb, Kind::Fjall, Kind::Pentimento]);
        assert_eq!(of(3), of(0));
    }

    /// Small, but with every check: all engines do all of these, and every figure has a sample. The workload with limited memory starts this program
    /// itself, so it cannot run within a test.
    #[test]
    fn every_engine_does_every_workload() {
        let mut engines = Kind::MAPS.to_vec();
        engines.push(Kind::Rustdb);
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a folder");
        let only = ["load", "get", "scan", "remove", "long", "held", "ycsb", "sum"];
        let samples = run(&plan(&engines, &only), dir.path()).expect("a run");
        for metric in workloads::metrics().filter(|metric| only.contains(&metric.workload())) {
            for kind in Kind::MAPS {
                // SQLite has its language for the sum, and the maps have none.
                let is_absent = match metric.id {
                    "sum.query" => kind != Kind::Sqlite,
                    "sum.direct" => kind == Kind::Sqlite,
                    _ => false,
                };
                let count = samples.get(&(metric.id, kind)).map_or(0, Vec::len);
                assert_eq!(count, usize::from(!is_absent), "{} of {kind:?}", metric.id);
            }
        }
        assert!(samples.contains_key(&("sum.query", Kind::Rustdb)));
    }
}
