//! `pent backup`: a snapshot of a store as a stream, or as a point of an archive.

mod archive;
mod base;

use super::help;
use super::receive::Interruptible;
use crate::format::{bytes, count};
use crate::{Context, Error, Result};
use clap::Subcommand;
use pentimento::{Backup, Database, ResumePosition, Shipped, Snapshot};
use pentimento_archive::Archive;
use serde::Serialize;
use std::io::{self, BufWriter, IsTerminal};
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = help!(
    "\
DEST is a folder, a URL of an object store (s3://bucket/prefix, gs://..., az://...,
if this program was built with them), or - for the standard output. A folder or an
object store becomes an archive: each backup is a point in it, which `restore`
leads back to. A stream on the standard output is for `pent receive`.

A store that another process has open cannot be backed up from outside; that
process can do it itself (Database::backup), while it goes on writing. `pent copy`
needs no lock.

Examples:
  pent backup app.pent /mnt/backups              a point in an archive
  pent backup app.pent /mnt/backups --incremental-from auto
                                                 only what changed since the last
  pent backup app.pent - > app.stream            a stream, in a file
  pent backup list /mnt/backups                  what is there?
  pent backup verify /mnt/backups                is all of it whole?
  pent backup verify app.stream                  is this stream?
  pent backup restore /mnt/backups new.pent      the newest point, into a store
  pent backup prune /mnt/backups --chains 3      let old ones go
A store that is called list, verify, restore or prune is named ./list, ..."
);

/// Back a store up: to an archive in a folder or an object store, or as a stream.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// The file of the store; nobody else may have it open for writing
    #[arg(value_name = "STORE", required = true)]
    store: Option<PathBuf>,

    /// A folder, a URL, or - for the standard output
    #[arg(value_name = "DEST", required = true)]
    destination: Option<String>,

    /// Only what changed since a snapshot that the store keeps under this name (it must be a point of the archive, or what the receiver holds); or `auto`: since the newest point of
    /// the archive that the store still has a snapshot of, everything if there is none, and keep a snapshot for the next time
    #[arg(long, value_name = "NAME|auto")]
    incremental_from: Option<String>,

    /// What the names of the snapshots begin with that `auto` keeps in the store; one word for each archive
    #[arg(long, value_name = "WORD", default_value = "pent-backup")]
    label: String,

    /// Go on with a stream from the position that `pent receive --position` printed; only to the standard output
    #[arg(long, value_name = "WORD")]
    resume_at: Option<ResumePosition>,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    List(archive::ListArgs),
    Verify(archive::VerifyArgs),
    Restore(archive::RestoreArgs),
    Prune(archive::PruneArgs),
}

/// What was backed up.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The store.
    pub source: String,
    /// The moment that the backup leads to.
    pub timestamp: u64,
    /// The moment that it is based on; none if it is whole.
    pub base: Option<u64>,
    /// The length of the stream.
    pub bytes: u64,
    /// Entries that it sets.
    pub puts: u64,
    /// Entries that it removes.
    pub removes: u64,
    /// Its name in the archive; none for the standard output.
    pub name: Option<String>,
}

/// Runs `pent backup`, and says what it did.
///
/// # Errors
/// When the store cannot be opened or is damaged, or the destination fails.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    match (&args.command, &args.store, &args.destination) {
        (Some(Command::List(args)), ..) => archive::list(args, context),
        (Some(Command::Verify(args)), ..) => archive::verify(args, context),
        (Some(Command::Restore(args)), ..) => archive::restore(args, context),
        (Some(Command::Prune(args)), ..) => archive::prune(args, context),
        (None, Some(store), Some(destination)) => back_up(args, store, destination, context),
        (None, ..) => Err(Error::Usage("name a store and a destination, or a subcommand".to_owned())),
    }
}

fn back_up(args: &Args, store: &Path, destination: &str, context: &Context) -> Result<()> {
    let is_stream = destination == "-";
    if !is_stream && args.resume_at.is_some() {
        return Err(Error::Usage("--resume-at goes on with a stream; the destination must be -".to_owned()));
    }
    if is_stream && io::stdout().is_terminal() {
        let why = "a stream is not for people: send the standard output to a file or a pipe";
        return Err(Error::Usage(why.to_owned()));
    }
    let is_automatic = args.incremental_from.as_deref() == Some("auto");
    if is_automatic && is_stream {
        let why = "--incremental-from auto asks an archive what it has; for a stream name the snapshot that the receiver holds";
        return Err(Error::Usage(why.to_owned()));
    }
    // Who keeps a snapshot writes to the store.
    let db = open(store, !is_automatic)?;
    if is_stream {
        let report = to_stdout(args, &db, context)?;
        // The standard output has the stream.
        eprint!("{}", text(&report));
        return Ok(());
    }
    let archive = Archive::at(destination)?;
    let report = match args.incremental_from.as_deref() {
        Some("auto") => base::follow(&db, &archive, &args.label, context)?,
        name => {
            let base = name.map(|name| db.open_snapshot(name)).transpose()?;
            to_archive(&db, &archive, &db.snapshot()?, base.as_ref(), context)?
        }
    };
    db.close()?;
    context.print(&report, |report, _| text(report))
}

/// Opens a store that is there, for reading if that will do.
fn open(store: &Path, read_only: bool) -> Result<Database> {
    if !store.exists() {
        return Err(Error::Unreadable(format!("{} does not exist", store.display())));
    }
    let opened = match Database::builder().read_only(read_only).open(store) {
        // What only the journal has must be backed up, too.
        Err(pentimento::Error::NeedsRecovery { .. }) => Database::open(store),
        opened => opened,
    };
    match opened {
        Err(pentimento::Error::Locked { .. }) => {
            let why = "another process has it open for writing; let that process back it up (Database::backup), close it there, or take a copy with `pent copy`";
            Err(Error::Unreadable(format!("{}: {why}", store.display())))
        }
        opened => Ok(opened?),
    }
}

fn to_stdout(args: &Args, db: &Database, context: &Context) -> Result<Report> {
    let snapshot = db.snapshot()?;
    let base = args.incremental_from.as_deref().map(|name| db.open_snapshot(name)).transpose()?;
    let flow = context.flow("sending");
    let backup = db.backup_of(&snapshot).on_progress(|progress| {
        flow.at(progress.bytes, &format!("{} entries", count(progress.entries)));
    });
    let backup = if let Some(base) = &base { backup.since(base) } else { backup };
    let backup = match &args.resume_at {
        Some(position) => backup.resume_at(position.clone()),
        None => backup,
    };
    let out = Interruptible { inner: io::stdout().lock(), interrupt: context.interrupt.clone() };
    let shipped = write(backup, BufWriter::with_capacity(1 << 20, out), context)?;
    Ok(report(db, &shipped, None))
}

fn write(backup: Backup<'_>, out: impl io::Write, context: &Context) -> Result<Shipped> {
    match backup.write_to(out) {
        Err(_) if context.interrupt.is_asked() => {
            Err(Error::Interrupted("the stream was cut; what came of it can be used".to_owned()))
        }
        shipped => Ok(shipped?),
    }
}

fn to_archive(
    db: &Database,
    archive: &Archive,
    snapshot: &Snapshot,
    base: Option<&Snapshot>,
    context: &Context,
) -> Result<Report> {
    let flow = context.flow("backing up");
    let point = archive.back_up_with(db, snapshot, base, |progress| {
        flow.at(progress.bytes, &format!("{} entries", count(progress.entries)));
    })?;
    Ok(Report {
        source: db.id().to_string(),
        timestamp: point.timestamp.0,
        base: point.base.map(|base| base.0),
        bytes: point.bytes,
        puts: point.puts,
        removes: point.removes,
        name: Some(point.stream_name()),
    })
}

fn report(db: &Database, shipped: &Shipped, name: Option<String>) -> Report {
    Report {
        source: db.id().to_string(),
        timestamp: shipped.timestamp.0,
        base: shipped.base.map(|base| base.0),
        bytes: shipped.bytes,
        puts: shipped.puts,
        removes: shipped.removes,
        name,
    }
}

fn text(report: &Report) -> String {
    let Report { source, timestamp, base, bytes: length, puts, removes, .. } = report;
    let what = match base {
        Some(base) => format!("what changed from timestamp {base} to {timestamp}"),
        None => format!("everything at timestamp {timestamp}"),
    };
    let (set, removed) = (count(*puts), count(*removes));
    format!("{what} of store {source}: {set} entries set, {removed} removed, {}\n", bytes(*length))
}
