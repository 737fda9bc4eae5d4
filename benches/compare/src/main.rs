//! The command; see `--help`.

use anyhow::{Context, Result};
use clap::Parser;
use pentimento_compare::{cli::Cli, report, results, runner, workloads};

fn main() -> Result<()> {
    let cli = Cli::parse();
    if cli.list {
        for metric in workloads::metrics() {
            println!("{:<22} {}", metric.id, metric.title);
        }
        return Ok(());
    }
    let plan = cli.plan()?;
    let base = cli.dir.clone().unwrap_or_else(|| ".".into());
    let dir = tempfile::Builder::new()
        .prefix("pentimento-compare-")
        .tempdir_in(&base)
        .with_context(|| format!("cannot make a folder in {}; name another with --dir", base.display()))?;
    let samples = runner::run(&plan, dir.path())?;
    let rows = results::rows(&samples);
    println!("{}", report::table::render(&rows));
    println!("{}", report::table::verdict(&rows));
    Ok(())
}
