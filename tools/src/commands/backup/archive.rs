//! What can be done with an archive, or a stream, that is there.

use crate::commands::receive::Interruptible;
use crate::format::{bytes, count};
use crate::output::{Look, Mood};
use crate::{Context, Error, Result};
use pentimento::{Database, StoreId, StreamContents, Timestamp, verify_stream};
use pentimento_archive::{Archive, Keep, Point};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The store of an archive that is meant.
#[derive(Clone, Debug, clap::Args)]
struct SourceArg {
    /// The id of the store, if the archive has several
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    source: Option<StoreId>,
}

fn parse_id(text: &str) -> Result<StoreId, String> {
    text.parse().map_err(str::to_owned)
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let found = units.into_iter().find_map(|(unit, secs)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(secs).map(Duration::from_secs)
    });
    found.ok_or_else(|| "an age is a number and d, h, m or s: 30d, 12h".to_owned())
}

/// List the points of an archive.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ListArgs {
    /// The archive: a folder or a URL
    #[arg(value_name = "DEST")]
    destination: String,
}

/// Read everything back: the streams of an archive, or one stream.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// The archive, a stream's file, or - for a stream on the standard input
    #[arg(value_name = "DEST")]
    destination: String,
}

/// Restore a point into a store: a new one, or a copy of an older point, which receives what it lacks.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// The archive: a folder or a URL
    #[arg(value_name = "DEST")]
    destination: String,

    /// The file of the store, which is made if it is missing
    #[arg(value_name = "STORE")]
    store: PathBuf,

    #[command(flatten)]
    source: SourceArg,

    /// The timestamp to restore; the newest if none is given
    #[arg(long, value_name = "TIMESTAMP")]
    at: Option<u64>,
}

/// Remove old chains. The newest chain of each store always stays.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct PruneArgs {
    /// The archive: a folder or a URL
    #[arg(value_name = "DEST")]
    destination: String,

    /// Keep the newest so many chains of each store
    #[arg(long, value_name = "N")]
    chains: Option<usize>,

    /// Keep chains with a point that is not older than this: 30d, 12h
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    younger_than: Option<Duration>,

    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, Serialize)]
struct PointReport {
    source: String,
    timestamp: u64,
    base: Option<u64>,
    /// When it was made: seconds since 1970.
    made_unix_s: u64,
    bytes: u64,
    puts: u64,
    removes: u64,
    /// Whether what it is based on is there.
    restorable: bool,
    /// What is wrong with it, if it was read and something is.
    wrong: Option<String>,
}

impl PointReport {
    fn of(point: &Point, restorable: bool) -> PointReport {
        let made = point.made.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        PointReport {
            source: point.source.to_string(),
            timestamp: point.timestamp.0,
            base: point.base.map(|base| base.0),
            made_unix_s: made.as_secs(),
            bytes: point.bytes,
            puts: point.puts,
            removes: point.removes,
            restorable,
            wrong: None,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
struct ListReport {
    points: Vec<PointReport>,
    damaged_manifests: Vec<String>,
    unfinished: Vec<String>,
}

fn table(points: &[PointReport], look: Look) -> String {
    if points.is_empty() {
        return "The archive is empty.\n".to_owned();
    }
    let mut table = look.table();
    table.set_header(look.headings(&["store", "timestamp", "based on", "age", "set", "removed", "size", ""]));
    for point in points {
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(point.made_unix_s));
        let (remark, mood) = match &point.wrong {
            Some(wrong) => (wrong.clone(), Mood::Bad),
            None if !point.restorable => ("its base is not there".to_owned(), Mood::Bad),
            None => (String::new(), Mood::Plain),
        };
        table.add_row(vec![
            comfy_table::Cell::new(&point.source),
            look.figure(point.timestamp.to_string(), Mood::Plain),
            look.figure(point.base.map_or("-".to_owned(), |base| base.to_string()), Mood::Plain),
            look.figure(age.map_or("-".to_owned(), in_words), Mood::Plain),
            look.figure(count(point.puts), Mood::Plain),
            look.figure(count(point.removes), Mood::Plain),
            look.figure(bytes(point.bytes), Mood::Plain),
            look.remark(remark, mood),
        ]);
    }
    table.trim_fmt() + "\n"
}

fn in_words(age: Duration) -> String {
    let secs = age.as_secs();
    match secs {
        0..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        7200..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86_400),
    }
}

fn restorable(archive: &Archive, points: &[Point]) -> Result<BTreeSet<(StoreId, Timestamp)>> {
    let sources: BTreeSet<StoreId> = points.iter().map(|point| point.source).collect();
    let mut all = BTreeSet::new();
    for source in sources {
        all.extend(archive.restorable(source)?.into_iter().map(|at| (source, at)));
    }
    Ok(all)
}

pub(super) fn list(args: &ListArgs, context: &Context) -> Result<()> {
    let archive = Archive::at(&args.destination)?;
    let points = archive.points()?;
    let can = restorable(&archive, &points)?;
    let points = points.iter().map(|point| {
        let has_base = point.base.is_none_or(|base| can.contains(&(point.source, base)));
        PointReport::of(point, has_base)
    });
    let report = ListReport { points: points.collect(), damaged_manifests: Vec::new(), unfinished: Vec::new() };
    context.print(&report, |report, look| table(&report.points, look))
}

pub(super) fn verify(args: &VerifyArgs, context: &Context) -> Result<()> {
    let path = Path::new(&args.destination);
    if args.destination == "-" {
        return verify_one(io::stdin().lock(), context);
    }
    if path.is_file() {
        return verify_one(File::open(path).map_err(Error::io("open", path))?, context);
    }
    let archive = Archive::at(&args.destination)?;
    let flow = context.flow("reading back");
    let mut done = 0;
    let verified = archive.verify(|point| {
        flow.at(done, &format!("timestamp {}", point.timestamp));
        done += point.bytes;
    })?;
    drop(flow);
    let mut points = Vec::new();
    for checked in &verified.points {
        let wrong = checked.wrong.as_ref().map(ToString::to_string);
        points.push(PointReport { wrong, ..PointReport::of(&checked.point, true) });
    }
    let damaged_manifests = verified.damaged_manifests.iter().map(ToString::to_string).collect();
    let report = ListReport { points, damaged_manifests, unfinished: verified.unfinished.clone() };
    context.print(&report, |report, look| {
        let mut out = table(&report.points, look);
        for damaged in &report.damaged_manifests {
            out += &format!("{}\n", look.bad(damaged));
        }
        for name in &report.unfinished {
            out += &format!("{name} is of an upload that was cut, or is going on\n");
        }
        out + &format!("{} read\n", bytes(verified.bytes))
    })?;
    let wrong =
        verified.points.iter().filter(|checked| checked.wrong.is_some()).count() + report.damaged_manifests.len();
    if wrong == 0 { Ok(()) } else { Err(Error::Found(format!("{wrong} points cannot be restored"))) }
}

#[derive(Clone, Debug, Serialize)]
struct TreeReport {
    name: String,
    is_dropped: bool,
    puts: u64,
    removes: u64,
    bytes: u64,
}

#[derive(Clone, Debug, Serialize)]
struct StreamReport {
    source: String,
    timestamp: u64,
    base: Option<u64>,
    chunks: u64,
    bytes: u64,
    trees: Vec<TreeReport>,
}

fn verify_one(input: impl Read, context: &Context) -> Result<()> {
    let input = Interruptible { inner: input, interrupt: context.interrupt.clone() };
    let StreamContents { source, timestamp, base, chunks, bytes: length, trees, .. } =
        verify_stream(BufReader::with_capacity(1 << 20, input))?;
    let trees = trees.into_iter().map(|tree| TreeReport {
        name: tree.name,
        is_dropped: tree.is_dropped,
        puts: tree.puts,
        removes: tree.removes,
        bytes: tree.bytes,
    });
    let report = StreamReport {
        source: source.to_string(),
        timestamp: timestamp.0,
        base: base.map(|base| base.0),
        chunks,
        bytes: length,
        trees: trees.collect(),
    };
    context.print(&report, |report, look| {
        let what = report.base.map_or("everything".to_owned(), |base| format!("what changed since timestamp {base}"));
        let mut out = format!(
            "whole: {what} at timestamp {} of store {}, in {} chunks, {}\n\n",
            report.timestamp,
            report.source,
            count(report.chunks),
            bytes(report.bytes)
        );
        let mut table = look.table();
        table.set_header(look.headings(&["tree", "set", "removed", "bytes", ""]));
        for tree in &report.trees {
            table.add_row(vec![
                comfy_table::Cell::new(crate::format::text(tree.name.as_bytes())),
                look.figure(count(tree.puts), Mood::Plain),
                look.figure(count(tree.removes), Mood::Plain),
                look.figure(count(tree.bytes), Mood::Plain),
                look.remark(if tree.is_dropped { "dropped first" } else { "" }, Mood::Plain),
            ]);
        }
        out += &table.trim_fmt();
        out + "\n"
    })
}

#[derive(Clone, Debug, Serialize)]
struct RestoreReport {
    source: String,
    timestamp: u64,
    points: usize,
    bytes: u64,
}

/// The store that is meant, if the archive has only one.
fn source_of(archive: &Archive, asked: Option<StoreId>, copy: Option<StoreId>) -> Result<StoreId> {
    let sources: BTreeSet<StoreId> = archive.points()?.iter().map(|point| point.source).collect();
    match (asked, copy, sources.len()) {
        (Some(source), ..) => Ok(source),
        (None, Some(source), _) if sources.contains(&source) => Ok(source),
        (None, _, 1) => Ok(*sources.first().expect("there is one")),
        (None, _, 0) => Err(Error::Usage("the archive is empty".to_owned())),
        (None, _, found) => {
            let which = "`pent backup list` shows them, name one with --source";
            Err(Error::Usage(format!("the archive has points of {found} stores; {which}")))
        }
    }
}

pub(super) fn restore(args: &RestoreArgs, context: &Context) -> Result<()> {
    let archive = Archive::at(&args.destination)?;
    let is_new = !args.store.exists();
    if is_new {
        // Before a store is made: is there anything for it?
        source_of(&archive, args.source.source, None)?;
    }
    let db = Database::open(&args.store)?;
    let copy_of = db.snapshot()?.origin()?.map(|origin| origin.source);
    let source = source_of(&archive, args.source.source, copy_of)?;
    let flow = context.flow("restoring");
    let restored = archive.restore_with(&db, source, args.at.map(Timestamp), move |progress| {
        flow.at(progress.bytes, &format!("{} entries", count(progress.entries)));
    });
    db.close()?;
    if is_new && restored.is_err() {
        // We made it, and it has nothing, or not all that was asked for; what was received can be kept by naming a store that is there.
        for left in ["", "-receiving"] {
            let mut path = args.store.clone().into_os_string();
            path.push(left);
            let _ = std::fs::remove_file(path);
        }
    }
    let restored = restored?;
    let report = RestoreReport {
        source: source.to_string(),
        timestamp: restored.timestamp.0,
        points: restored.points.len(),
        bytes: restored.bytes,
    };
    context.print(&report, |report, _| match report.points {
        0 => format!("the store holds timestamp {} already\n", report.timestamp),
        points => format!(
            "timestamp {} of store {}, from {points} streams of {}\n",
            report.timestamp,
            report.source,
            bytes(report.bytes)
        ),
    })
}

#[derive(Clone, Debug, Serialize)]
struct PruneReport {
    is_rehearsal: bool,
    points: Vec<PointReport>,
    abandoned: Vec<String>,
    bytes: u64,
}

pub(super) fn prune(args: &PruneArgs, context: &Context) -> Result<()> {
    let mut keep = Keep::newest();
    if let Some(chains) = args.chains {
        keep = keep.chains(chains);
    }
    if let Some(age) = args.younger_than {
        keep = keep.younger_than(age);
    }
    if args.chains.is_none() && args.younger_than.is_none() {
        return Err(Error::Usage("say what to keep: --chains 3, --younger-than 30d, or both".to_owned()));
    }
    let pruned = Archive::at(&args.destination)?.prune(keep, args.dry_run)?;
    let points = pruned.points.iter().map(|point| PointReport::of(point, true)).collect();
    let report =
        PruneReport { is_rehearsal: args.dry_run, points, abandoned: pruned.abandoned.clone(), bytes: pruned.bytes };
    context.print(&report, |report, look| {
        let points = if report.points.is_empty() { String::new() } else { table(&report.points, look) };
        let verb = if report.is_rehearsal { "would go" } else { "are gone" };
        let (count, cut) = (report.points.len(), report.abandoned.len());
        format!("{points}{count} points and {cut} uploads that were cut {verb}: {}\n", bytes(report.bytes))
    })
}
