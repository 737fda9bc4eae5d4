//! The command line: which commands there are, and how each ends.

use crate::commands::{
    backup, check, compact, copy, diff, dump, entries, history, info, journal, load, map, page, pages, path, receive,
    snapshots, stat, top, tree,
};
use crate::{Context, Interrupt, Result, demo};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Commands that look into a store never change a byte of it. They need no lock:
the store may be in use by another process, or damaged; then they go as far as
they can, and say what they could not read. The exceptions are `load`, `receive`,
`backup`, `compact` and `snapshots`, which open the store as a program does, and
those that make a new file, which must not exist yet.

Examples:
  pent demo --store demo.pent        make a store to look at
  pent info demo.pent                what is it?
  pent check demo.pent               is it whole?
  pent path demo.pent totals rs      how is a key found?
  pent help page                     everything about one command

Exit codes:
  0    everything went well
  1    damage or a difference was found, or what was asked for is not there;
       a proof failed, or the store or the disk did
  2    the command line cannot be carried out: no such file, not a store, ...
  130  interrupted, by Ctrl-C for example

Environment:
  NO_COLOR    if set and not empty, nothing is coloured
  COLUMNS     how wide lines may be when the output is no terminal";

/// The command line of the Pentimento store.
///
/// Pentimento is an embedded, ordered key-value store with versioned pages: writers never wait for readers, readers never wait for
/// anybody, and however long a reader stays, the file holds only what some reader can still see.
#[derive(Debug, Parser)]
#[command(name = "pent", version, after_long_help = AFTER_HELP, after_help = "`pent --help` tells more.", max_term_width = 110)]
pub struct Cli {
    /// Print reports as JSON, for programs to read
    #[arg(long, global = true)]
    json: bool,

    /// Hide keys and values, and show the structure alone, so that a report can be shared
    #[arg(long, global = true)]
    redact: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Info(info::Args),
    Check(check::Args),
    Stat(stat::Args),
    Pages(pages::Args),
    Page(page::Args),
    Tree(tree::Args),
    Path(path::Args),
    History(history::Args),
    Map(map::Args),
    Journal(journal::Args),
    Top(top::Args),
    Get(entries::GetArgs),
    Scan(entries::ScanArgs),
    Count(entries::CountArgs),
    Diff(diff::Args),
    Dump(dump::Args),
    Load(load::Args),
    Copy(copy::Args),
    Compact(compact::Args),
    Backup(Box<backup::Args>),
    Receive(receive::Args),
    Snapshots(snapshots::Args),
    Demo(demo::Args),
}

impl Cli {
    /// Carries the command out, prints what it found, and tells how the process should end.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let done = Interrupt::install().and_then(|interrupt| {
            let context = Context::new(self.json, self.redact, interrupt);
            self.command.run(&context)
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

impl Command {
    fn run(&self, context: &Context) -> Result<()> {
        match self {
            Command::Info(args) => info::main(args, context),
            Command::Check(args) => check::main(args, context),
            Command::Stat(args) => stat::main(args, context),
            Command::Pages(args) => pages::main(args, context),
            Command::Page(args) => page::main(args, context),
            Command::Tree(args) => tree::main(args, context),
            Command::Path(args) => path::main(args, context),
            Command::History(args) => history::main(args, context),
            Command::Map(args) => map::main(args, context),
            Command::Top(args) => top::main(args, context),
            Command::Journal(args) => journal::main(args, context),
            Command::Get(args) => entries::get(args, context),
            Command::Scan(args) => entries::scan(args, context),
            Command::Count(args) => entries::count(args, context),
            Command::Diff(args) => diff::main(args, context),
            Command::Dump(args) => dump::main(args, context),
            Command::Load(args) => load::main(args, context),
            Command::Copy(args) => copy::main(args, context),
            Command::Compact(args) => compact::main(args, context),
            Command::Backup(args) => backup::main(args, context),
            Command::Receive(args) => receive::main(args, context),
            Command::Snapshots(args) => snapshots::main(args, context),
            Command::Demo(args) => demo::main(args, context),
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
