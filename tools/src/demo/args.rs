//! The arguments of `pent demo`.

use clap::ValueEnum;
use pentimento::Durability;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(50);

const AFTER_HELP: &str = "\
What happens:
  1. The path, size, kind, times and a CRC-32 of each file in DIR go into a
     tree \"files\"; how many files and bytes each extension has, into a tree
     \"totals\", in the same transactions. DIR itself is only read; symbolic
     links are not followed, and other file systems not entered.
  2. A writer changes the sizes of a few random entries, and their totals, in
     one small commit after the other. Beside it, a reader computes totals, the
     largest files and the duplicates from all entries, over and over: in some
     rounds in a new snapshot for each pass, in others in one long snapshot for
     all passes. The reader's work is the same in both, and rounds take turns,
     so the ratio of commits per second is what holding the snapshot costs.
  3. Every pass must find that totals and entries agree; every pass over one
     long snapshot must give the same answer, to the byte; the store's checker
     must find nothing; and the store must read the same after it was closed
     and opened again.

Examples:
  pent demo                              files that cargo has fetched, or else /usr/share
  pent demo ~/src --seconds 20           another folder, and a longer look
  pent demo --durability sync            every commit reaches the disk before the next
  pent demo --store /tmp/demo.pent       keep the store, to look at it afterwards
  pent demo --json | jq .compared.ratio  one figure of many

Exit codes:
  0    all proofs held
  1    a proof failed, or the store or the disk did: the message says which
  2    the command line cannot be carried out as it was given
  130  interrupted; the store is closed and temporary files are removed";

/// Store a folder's files, change them under a long-lived reader, and prove that both see what they should.
///
/// The demo measures what a snapshot costs that is held for long while a writer goes on, and checks everything that the store
/// promises meanwhile. It takes about half a minute, and leaves nothing behind. It measures best when nothing else runs.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP, after_help = "`pent help demo` tells what is measured, with examples and exit codes.")]
pub struct Args {
    /// The folder to store: by default cargo's registry ($CARGO_HOME/registry, or ~/.cargo/registry), or else /usr/share
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,

    /// Keep the store in this file, which must not exist yet; by default it is temporary
    #[arg(long, value_name = "PATH")]
    pub(crate) store: Option<PathBuf>,

    /// How long to measure without, and how long with the long snapshot
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,

    /// Stop reading the folder after this many files
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) files: u64,

    /// When the writer's commits are durable
    #[arg(long, value_enum, default_value_t = DurabilityArg::None)]
    pub(crate) durability: DurabilityArg,
}

/// When the writer's commits are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityArg {
    /// Each before the next begins
    Sync,
    /// At most 50 ms later
    Interval,
    /// At the next checkpoint: the demo makes two a second
    None,
}

impl DurabilityArg {
    pub fn to_durability(self) -> Durability {
        match self {
            DurabilityArg::Sync => Durability::Sync,
            DurabilityArg::Interval => Durability::Interval(INTERVAL),
            DurabilityArg::None => Durability::None,
        }
    }
}

impl fmt::Display for DurabilityArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DurabilityArg::Sync => "sync",
            DurabilityArg::Interval => "interval",
            DurabilityArg::None => "none",
        })
    }
}
