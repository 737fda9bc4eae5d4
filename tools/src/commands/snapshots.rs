//! `pent snapshots`: named snapshots, listed, made, dropped, gone back to, and kept by rules.

use super::help;
use crate::format::{bytes, count, utc};
use crate::inspect::{Checkpoint, StoreFile, read_names};
use crate::output::{Look, Mood};
use crate::{Context, Error, Result};
use comfy_table::Cell;
use pentimento::{Database, NamedSnapshot, Retention};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const AFTER_HELP: &str = help!(
    "\
A named snapshot is a moment of the store that is kept until it is dropped,
through restarts and crashes. It costs what has changed since, and no more:
`alone` is what dropping it would free, `shared` are older versions that it needs
together with other snapshots.

The list can be seen while another process has the store open; then what each one
costs is that process's to tell (`Database::named_snapshots`). Everything else opens
the store, so it must not be open elsewhere; in a program, use the functions of the
same names.

`restore` makes the present what was, as one transaction. To keep the present,
give it a name first, or with --keep.

`apply` makes and drops snapshots by rules, once: their names begin with auto- and
tell the time (UTC). Names of any other form are never touched. In a program that
has the store open, `Builder::retention` does the same by itself.

Examples:
  pent snapshots app.pent                               which are there?
  pent snapshots app.pent create 'before the sale'      keep this moment
  pent snapshots app.pent restore 'before the sale' --keep 'the sale'
  pent snapshots app.pent drop 'the sale'
  pent snapshots app.pent apply --hourly 24 --daily 7 --weekly 4"
);

/// List, make, drop and restore named snapshots, or keep so many of the last hours, days and weeks.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    /// The file of the store
    #[arg(value_name = "STORE")]
    store: PathBuf,

    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Tell which there are, and what each costs (the default)
    List,
    /// Keep the present under a name
    Create {
        /// 1 to 255 bytes
        name: String,
    },
    /// Forget a snapshot, and give back what nobody else needs
    Drop {
        /// Its name
        name: String,
    },
    /// Make the present what it was
    Restore {
        /// The name of the snapshot
        name: String,
        /// Keep the present under this name first
        #[arg(long, value_name = "NEW")]
        keep: Option<String>,
    },
    /// Make the snapshot that is due by these rules, and drop those that are not needed any more
    Apply {
        /// One for each of the last N hours
        #[arg(long, value_name = "N", default_value_t = 0)]
        hourly: usize,
        /// One for each of the last N days
        #[arg(long, value_name = "N", default_value_t = 0)]
        daily: usize,
        /// One for each of the last N weeks
        #[arg(long, value_name = "N", default_value_t = 0)]
        weekly: usize,
    },
}

/// What `pent snapshots` tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The names that were made.
    pub created: Vec<String>,
    /// The names that were dropped.
    pub dropped: Vec<String>,
    /// The commit that went back.
    pub restored_as: Option<u64>,
    /// All that are there now, oldest first.
    pub snapshots: Vec<Line>,
}

/// One named snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// The newest commit that it sees.
    pub timestamp: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// What dropping it would free; nothing if the store could not be opened.
    pub bytes_alone: Option<u64>,
    /// What it needs together with others.
    pub bytes_shared: Option<u64>,
}

impl Line {
    fn of(named: NamedSnapshot) -> Line {
        Line {
            name: named.name,
            timestamp: named.timestamp.0,
            created_ms: named.created.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64),
            bytes_alone: Some(named.bytes_alone),
            bytes_shared: Some(named.bytes_shared),
        }
    }
}

/// Runs `pent snapshots`, and prints its report.
///
/// # Errors
/// When the file is no store, or the store refuses or fails.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let report = match &args.action {
        None | Some(Action::List) => Report { snapshots: list(&args.store)?, ..Report::default() },
        Some(action) => change(&args.store, action)?,
    };
    context.print(&report, text)
}

/// The named snapshots of a store: with what they cost, if it can be opened for reading beside whoever uses it.
///
/// # Errors
/// When the file is no store, or the list is damaged.
pub fn list(path: &Path) -> Result<Vec<Line>> {
    let file = StoreFile::open(path)?;
    match Database::builder().read_only(true).open(path) {
        Ok(db) => Ok(db.named_snapshots()?.into_iter().map(Line::of).collect()),
        Err(pentimento::Error::Locked { .. } | pentimento::Error::NeedsRecovery { .. }) => {
            let checkpoint = Checkpoint::read(&file)?;
            let names = read_names(&file, &checkpoint).map_err(Error::Unreadable)?;
            let line = |named: pentimento_storage::inspect::NamedCheckpoint| Line {
                name: named.name,
                timestamp: named.timestamp.0,
                created_ms: named.created_ms,
                bytes_alone: None,
                bytes_shared: None,
            };
            Ok(names.into_iter().map(line).collect())
        }
        Err(error) => Err(error.into()),
    }
}

fn change(path: &Path, action: &Action) -> Result<Report> {
    // What is not there must not be made: the name may be mistyped.
    StoreFile::open(path)?;
    let db = Database::open(path)?;
    let mut report = Report::default();
    match action {
        Action::List => {}
        Action::Create { name } => {
            db.snapshot_named(name)?;
            report.created.push(name.clone());
        }
        Action::Drop { name } => {
            db.drop_snapshot(name)?;
            db.maintain()?;
            report.dropped.push(name.clone());
        }
        Action::Restore { name, keep } => {
            if let Some(keep) = keep {
                db.open_snapshot(name)?;
                db.snapshot_named(keep)?;
                report.created.push(keep.clone());
            }
            report.restored_as = Some(db.restore(name)?.0);
        }
        Action::Apply { hourly, daily, weekly } => {
            if hourly + daily + weekly == 0 {
                return Err(Error::Usage("say how many to keep: --hourly N, --daily N, --weekly N".to_owned()));
            }
            let retention = Retention::new().hourly(*hourly).daily(*daily).weekly(*weekly);
            let done = db.apply_retention_of(&retention, SystemTime::now())?;
            db.maintain()?;
            report.created.extend(done.create);
            report.dropped = done.drop;
        }
    }
    report.snapshots = db.named_snapshots()?.into_iter().map(Line::of).collect();
    db.close()?;
    Ok(report)
}

fn text(report: &Report, look: Look) -> String {
    let mut out = String::new();
    let quoted = |name: &String| crate::format::text(name.as_bytes());
    for name in &report.created {
        out += &format!("made {}\n", quoted(name));
    }
    for name in &report.dropped {
        out += &format!("dropped {}\n", quoted(name));
    }
    if let Some(at) = report.restored_as {
        out += &format!("went back, as commit {at}\n");
    }
    if report.snapshots.is_empty() {
        return out + "no named snapshots\n";
    }
    if !out.is_empty() {
        out.push('\n');
    }
    let mut table = look.table();
    table.set_header(look.headings(&["Snapshots", "commit", "made (UTC)", "alone", "shared"]));
    for line in &report.snapshots {
        let or_unknown = |size: Option<u64>| size.map_or_else(|| "?".to_owned(), bytes);
        table.add_row(vec![
            Cell::new(quoted(&line.name)),
            look.figure(count(line.timestamp), Mood::Plain),
            look.figure(utc(line.created_ms), Mood::Plain),
            look.figure(or_unknown(line.bytes_alone), Mood::Plain),
            look.figure(or_unknown(line.bytes_shared), Mood::Plain),
        ]);
    }
    out + &table.trim_fmt() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.pent");
        assert!(change(&path, &Action::Create { name: "a".into() }).is_err(), "a store that is not there is not made");
        let db = Database::open(&path).unwrap();
        let put = |value: &str| {
            let mut txn = db.begin_write().unwrap();
            txn.tree("t").unwrap().insert("key", value).unwrap();
            txn.commit().unwrap();
        };
        put("old");
        db.snapshot_named("old").unwrap();
        put("new");
        // In use: the list is there, what it costs is not.
        let lines = list(&path).unwrap();
        assert_eq!((lines.len(), &*lines[0].name, lines[0].bytes_alone), (1, "old", None));
        assert!(change(&path, &Action::Drop { name: "old".into() }).is_err(), "somebody has the store open");
        db.close().unwrap();
        let report = change(&path, &Action::Restore { name: "old".into(), keep: Some("new".into()) }).unwrap();
        assert_eq!(report.snapshots.iter().map(|line| &*line.name).collect::<Vec<_>>(), ["old", "new"]);
        assert!(list(&path).unwrap().iter().all(|line| line.bytes_alone.is_some()));
        let report = change(&path, &Action::Apply { hourly: 1, daily: 0, weekly: 0 }).unwrap();
        assert_eq!((report.created.len(), report.dropped.len(), report.snapshots.len()), (1, 0, 3));
        let shown = text(&change(&path, &Action::Drop { name: "new".into() }).unwrap(), Look::of_stdout());
        assert!(shown.contains("dropped new") && shown.contains("auto-20"), "{shown}");
        let db = Database::builder().read_only(true).open(&path).unwrap();
        assert_eq!(db.snapshot().unwrap().tree("t").unwrap().get("key").unwrap(), Some(b"old".as_slice()));
    }
}
