//! The command; see `--help`.

use anyhow::{Context, Result};
use clap::Parser;
use pentimento_compare::{cli::Cli, disk, limit, report, results, runner, workloads};
use std::path::Path;

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Some(turn) = &cli.limited_turn {
        if let Some(group) = &cli.join_group {
            limit::join(group)?;
        }
        println!("{}", workloads::memory::limited(turn)?);
        return Ok(());
    }
    if cli.list {
        for metric in workloads::metrics() {
            println!("{:<22} {}", metric.id, metric.title);
        }
        return Ok(());
    }
    let plan = cli.plan()?;
    let base = cli.dir.clone().unwrap_or_else(|| ".".into());
    disk::check_is_disk(&base)?;
    let dir = tempfile::Builder::new()
        .prefix("pentimento-compare-")
        .tempdir_in(&base)
        .with_context(|| format!("cannot make a folder in {}; name another with --dir", base.display()))?;
    let samples = runner::run(&plan, dir.path())?;
    let rows = results::rows(&samples);
    println!("{}", report::table::render(&rows));
    println!("{}", report::table::verdict(&rows));
    if plan.entries < 1_000_000 {
        println!("(the goals are meant for the full run: 1,000,000 entries)");
    }
    if let Some(path) = &cli.json {
        write(path, &report::json::render(&plan, &rows, &samples)?)?;
    }
    if let Some(dir) = &cli.svg {
        report::svg::draw(&rows, dir)?;
    }
    if let Some(path) = &cli.markdown {
        let page = report::markdown::render(
            &plan,
            &rows,
            &command(),
            cli.svg.as_deref().map(|dir| link(path, dir)).as_deref(),
        );
        write(path, &page)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// How this program was called, as others would call it.
fn command() -> String {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    format!("cargo run --release -p pentimento-compare -- {}", arguments.join(" "))
        .trim_end_matches([' ', '-'])
        .to_owned()
}

/// The folder of the plots as seen from the page.
fn link(page: &Path, plots: &Path) -> String {
    let parent = page.parent().unwrap_or(Path::new(""));
    plots.strip_prefix(parent).unwrap_or(plots).display().to_string()
}
