//! The command line.

use crate::context::Plan;
use crate::engine::Kind;
use crate::workloads;
use anyhow::{Result, ensure};
use clap::Parser;
use std::path::PathBuf;

/// Pentimento and its peers, side by side on the same work in the same run.
///
/// Engines take turns within each round; medians and spreads are shown, with the ratio of Pentimento's cost to that of the best peer (below one is ahead) and
/// to the goals of the project.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  pentimento-compare --quick\n  pentimento-compare --only get,scan.forward --engines pentimento,lmdb --rounds 5\n  pentimento-compare --json run.json --markdown docs/benchmarks.md --svg docs/benchmarks"
)]
pub struct Cli {
    /// Be done within three minutes: 200,000 entries, one round
    #[arg(long)]
    pub quick: bool,
    /// Workloads (`get`) or single figures (`get.view`), with commas between; see --list
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    pub only: Vec<String>,
    /// Engines that take part, with commas between
    #[arg(long, value_delimiter = ',', value_name = "ENGINE,..")]
    pub engines: Vec<Kind>,
    /// How often each engine takes its turn
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,
    /// How many entries the workloads have
    #[arg(long, value_name = "N")]
    pub entries: Option<usize>,
    /// Where the stores lie while they are measured; not a file system in memory. The current folder if none is given
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Write everything measured into a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the page with tables into a file, as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Draw plots into a folder, as SVG
    #[arg(long, value_name = "DIR")]
    pub svg: Option<PathBuf>,
    /// Tell the workloads and their figures, and end
    #[arg(long)]
    pub list: bool,
    /// The control group that the process within the limit joins
    #[arg(long, hide = true, value_name = "DIR")]
    pub join_group: Option<PathBuf>,
    /// What the process within the limit is to do
    #[arg(long, hide = true, value_name = "JSON")]
    pub limited_turn: Option<String>,
}

impl Cli {
    /// What is to be run.
    ///
    /// # Errors
    /// When a name is unknown or a number makes no sense.
    pub fn plan(&self) -> Result<Plan> {
        for name in &self.only {
            let is_known = workloads::metrics().any(|metric| metric.id == name || metric.workload() == name);
            ensure!(is_known, "there is no workload or figure {name:?}; --list tells them all");
        }
        let entries = self.entries.unwrap_or(if self.quick { 200_000 } else { 1_000_000 });
        ensure!(entries >= 2_000, "--entries {entries}: there must be at least 2,000 for the checks to mean anything");
        let rounds = self.rounds.unwrap_or(if self.quick { 1 } else { 3 });
        ensure!(rounds > 0, "--rounds 0: there must be at least one");
        let info = rustix::system::sysinfo();
        let memory = info.totalram as u64 * u64::from(info.mem_unit);
        let mut engines = self.engines.clone();
        if engines.is_empty() {
            engines.extend(Kind::MAPS);
            engines.push(Kind::Rustdb);
        }
        let small_entries = if self.quick { entries / 4 } else { entries / 5 };
        Ok(Plan { entries, small_entries, rounds, engines, only: self.only.clone(), quick: self.quick, memory })
    }
}
