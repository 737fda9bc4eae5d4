//! `pent stat`: the figures of each tree in short.

use super::info::{TreeLine, tree_lines, trees_text};
use super::{StoreArg, help, problem_lines, problems, survey, verdict};
use crate::inspect::{Problem, StoreFile};
use crate::output::Look;
use crate::{Context, Result};
use serde::Serialize;

const AFTER_HELP: &str = help!(
    "\
Examples:
  pent stat app.pent             a line for each tree
  pent stat app.pent --json      the same, for a program"
);

/// Count what each tree has: entries, levels, pages, bytes, fill.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,
}

/// What `pent stat` tells.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The commit that the trees are of.
    pub checkpoint: u64,
    /// The trees.
    pub trees: Vec<TreeLine>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Runs `pent stat`, and prints its report.
///
/// # Errors
/// When the file is no store or cannot be read, and if something is damaged, after the report.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let report = run(&args.store.open()?, context)?;
    context.print(&report, text)?;
    verdict(&report.problems)
}

/// The figures of each tree.
///
/// # Errors
/// When the file is no store or cannot be read.
pub fn run(file: &StoreFile, context: &Context) -> Result<Report> {
    let (survey, forest) = survey(file, false, context)?;
    Ok(Report {
        checkpoint: survey.checkpoint.timestamp().0,
        trees: tree_lines(&forest, survey.checkpoint.page_size()),
        problems: problems(&survey, &forest),
    })
}

fn text(report: &Report, look: Look) -> String {
    trees_text(&report.trees, look) + "\n" + &problem_lines(&report.problems, look)
}
