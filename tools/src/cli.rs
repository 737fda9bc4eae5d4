//! The command line: which commands there are, and how each ends.

use crate::{Interrupt, demo};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  pent demo                  see the store work on files of this machine
  pent demo ~/src --json     the same on another folder, for a program to read
  pent help demo             everything about one command

Exit codes:
  0    everything went well
  1    a check or proof failed, or the store or the disk did
  2    the command line cannot be carried out as it was given
  130  interrupted, by Ctrl-C for example

Environment:
  NO_COLOR    if set and not empty, nothing is coloured";

/// The command line of the Pentimento store.
///
/// Pentimento is an embedded, ordered key-value store with versioned pages: writers never wait for readers, readers never wait for
/// anybody, and however long a reader stays, the file holds only what some reader can still see.
#[derive(Debug, Parser)]
#[command(name = "pent", version, after_long_help = AFTER_HELP, after_help = "`pent --help` tells more.", max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
}

impl Cli {
    /// Carries the command out, prints what it found, and tells how the process should end.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let done = Interrupt::install().and_then(|interrupt| match self.command {
            Command::Demo(args) => demo::main(&args, &interrupt),
        });
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("pent: {error}");
                ExitCode::from(error.exit_code())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_teaches_by_example() {
        let mut cli = Cli::command();
        assert!(cli.render_long_help().to_string().contains("Exit codes:"));
        for command in cli.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{}", command.get_name());
        }
    }
}
