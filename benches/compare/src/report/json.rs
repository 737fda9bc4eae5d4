//! Everything that was measured, as JSON.

use super::machine::{Machine, versions};
use crate::context::{Plan, Samples};
use crate::engine::Kind;
use crate::results::Row;
use anyhow::Result;
use serde::Serialize;

#[derive(Serialize)]
struct Report<'a> {
    machine: Machine,
    versions: Vec<(String, String)>,
    entries: usize,
    rounds: usize,
    quick: bool,
    figures: &'a [Row],
    samples: Vec<Sample<'a>>,
}

#[derive(Serialize)]
struct Sample<'a> {
    id: &'a str,
    engine: Kind,
    values: &'a [f64],
}

/// The whole of a run: medians, verdicts, and every sample. Units are those of the figures.
///
/// # Errors
/// When a figure is not a number that JSON has.
pub fn render(plan: &Plan, rows: &[Row], samples: &Samples) -> Result<String> {
    let samples = samples.iter().map(|((id, engine), values)| Sample { id, engine: *engine, values }).collect();
    let report = Report {
        machine: Machine::this(plan.memory),
        versions: versions(),
        entries: plan.entries,
        rounds: plan.rounds,
        quick: plan.quick,
        figures: rows,
        samples,
    };
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}
