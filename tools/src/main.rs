//! `pent`: looks at Pentimento stores, and shows what they promise.

use clap::Parser;
use pentimento_tools::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    Cli::parse().run()
}
