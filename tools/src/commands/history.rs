//! `pent history`: the versions that the newest checkpoint does not have, and who needs them.

use super::{StoreArg, help, problem_lines, verdict};
use crate::format::{bytes, count, seconds};
use crate::inspect::{LivePinReport, Past, PastState, PastVersion, Problem, StoreFile, Structure, quote};
use crate::output::{Look, Mood};
use crate::{Context, Error, Result};
use comfy_table::Cell;
use pentimento_storage::inspect::{Entry, NamedCheckpoint};
use pentimento_storage::{PageId, SLOT_BYTES};
use serde::Serialize;
use std::collections::BTreeMap;

const AFTER_HELP: &str = help!(
    "\
A version lives from its birth to the commit that superseded it. It is kept while
a pin lies in between: a snapshot, or the newest checkpoint. Each is charged to the
newest pin that needs it; without that pin it would be free, or charged to an older
one.

Pins are known of a store that is in use, if the process publishes them: it does
so once a second in /dev/shm. Ends and charges are worked out from the versions in
the file; what is in memory alone is counted by the process (`charged`).

What named snapshots need stands in the file, whoever has the store open.

States:
  named     only named snapshots need it, and readers perhaps
  retained  a pin needs it
  newer     the next checkpoint will have it
  free      nobody needs it, nobody has written over it yet
  unknown   the store is in use or was interrupted, and publishes nothing, or what
            its named snapshots need cannot be read

Examples:
  pent history app.pent             pins, and what each keeps
  pent history app.pent 12          every version of page 12 that the file has
  pent history app.pent --versions  every version, a line each"
);

/// Show old versions: birth, end, which pin each is charged to, and the pins of a store in use.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Only versions of this page
    #[arg(value_name = "PAGE")]
    page: Option<u32>,

    /// List the versions, not only how many there are
    #[arg(long)]
    versions: bool,
}

/// What `pent history` tells.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The newest commit of the checkpoint.
    pub checkpoint: u64,
    /// The process that has the store open, if it publishes.
    pub pid: Option<u32>,
    /// Slots that superseded versions occupy, as that process counts them.
    pub slots_retained: Option<u64>,
    /// The pins, oldest first.
    pub pins: Vec<PinReport>,
    /// The named snapshots, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<NamedReport>,
    /// What is wrong with named snapshots.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// Versions that the checkpoint does not have, by what they are there for.
    pub states: Vec<StateReport>,
    /// The versions, if they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<VersionLine>,
}

/// A pin, and what it keeps.
#[derive(Clone, Debug, Serialize)]
pub struct PinReport {
    /// What the process tells.
    #[serde(flatten)]
    pub live: LivePinReport,
    /// Versions in the file that are charged to it, as far as the file shows.
    pub versions_in_file: u64,
    /// Their bytes, in whole slots.
    pub bytes_in_file: u64,
}

/// A named snapshot, and what it keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedReport {
    /// Its name.
    pub name: String,
    /// The newest commit that it sees.
    pub timestamp: u64,
    /// Versions that it needs and the newest checkpoint does not have.
    pub versions: u64,
    /// Their bytes, in whole slots.
    pub bytes: u64,
    /// Those of the versions that no other named snapshot needs.
    pub versions_alone: u64,
    /// Their bytes, in whole slots.
    pub bytes_alone: u64,
}

/// Versions that are there for one reason.
#[derive(Clone, Debug, Serialize)]
pub struct StateReport {
    /// Why.
    pub state: PastState,
    /// How many.
    pub versions: u64,
    /// Their bytes, in whole slots.
    pub bytes: u64,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionLine {
    /// The page.
    pub page: u32,
    /// The commit that made it.
    pub birth: u64,
    /// The commit that superseded it, as far as is known; nothing for one that lives.
    pub end: Option<u64>,
    /// Its first slot.
    pub slot: u64,
    /// How many slots.
    pub slots: u64,
    /// Its used bytes.
    pub bytes: u64,
    /// What it is there for; nothing for the version that the checkpoint has.
    pub state: Option<PastState>,
    /// The newest pin that needs it.
    pub charged_to: Option<u64>,
    /// The named snapshots that need it, if the newest checkpoint does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept_for: Vec<String>,
}

/// Runs `pent history`, and prints its report.
///
/// # Errors
/// When the file is no store or cannot be read, or there is no such page, and if its named snapshots are damaged, after the report.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let report = run(&args.store.open()?, args.page.map(PageId), args.versions)?;
    context.print(&report, text)?;
    verdict(&report.problems)
}

/// Old versions, and who needs them.
///
/// # Errors
/// When the file is no store or cannot be read, or there is no such page.
pub fn run(file: &StoreFile, page: Option<PageId>, all: bool) -> Result<Report> {
    let past = Past::read(file)?;
    if let Some(page) = page.filter(|page| page.0 as usize >= past.checkpoint.entries.len()) {
        let numbers = past.checkpoint.entries.len();
        return Err(Error::Usage(format!("there is no page {page}; numbers go up to {}", numbers.saturating_sub(1))));
    }
    let wanted = |version: &&PastVersion| page.is_none_or(|page| version.remain.page == page);
    let mut versions: Vec<VersionLine> = Vec::new();
    if all || page.is_some() {
        versions.extend(past.versions.iter().filter(wanted).map(|version| line(&past, version)));
        versions.extend(page.and_then(|page| current(&past, page)));
        versions.sort_by_key(|line| (line.page, line.birth));
    }
    let slot_bytes = |slots: u64| slots * SLOT_BYTES as u64;
    let mut states: BTreeMap<PastState, (u64, u64)> = BTreeMap::new();
    for version in past.versions.iter().filter(wanted) {
        let (versions, slots) = states.entry(version.state).or_default();
        *versions += 1;
        *slots += version.remain.run.slots;
    }
    let pins = past.live.iter().flat_map(|live| &live.pins).map(|pin| {
        let charged = past.versions.iter().filter(|version| version.charged_to.is_some_and(|at| at.0 == pin.at));
        let (mut versions_in_file, mut slots) = (0, 0);
        for version in charged {
            versions_in_file += 1;
            slots += version.remain.run.slots;
        }
        PinReport { live: pin.clone(), versions_in_file, bytes_in_file: slot_bytes(slots) }
    });
    let of_named = |problem: &&Problem| problem.structure == Structure::Named;
    let problems = past.checkpoint.problems.iter().filter(of_named).cloned().collect();
    Ok(Report {
        checkpoint: past.checkpoint.timestamp().0,
        pid: past.live.as_ref().map(|live| live.pid),
        slots_retained: past.live.as_ref().map(|live| live.figure("slots_retained")),
        pins: pins.collect(),
        named: named_reports(&past),
        problems,
        states: states
            .into_iter()
            .map(|(state, (versions, slots))| StateReport { state, versions, bytes: slot_bytes(slots) })
            .collect(),
        versions,
    })
}

fn named_reports(past: &Past) -> Vec<NamedReport> {
    let named = &past.checkpoint.named;
    let of = |snapshot: &NamedCheckpoint| {
        let at = snapshot.timestamp;
        let mut report = NamedReport {
            name: snapshot.name.clone(),
            timestamp: at.0,
            versions: 0,
            bytes: 0,
            versions_alone: 0,
            bytes_alone: 0,
        };
        for version in named.versions.iter().filter(|version| version.job.birth <= at && at <= version.newest) {
            report.versions += 1;
            report.bytes += version.job.run.bytes();
            if named.count_of(version) == 1 {
                report.versions_alone += 1;
                report.bytes_alone += version.job.run.bytes();
            }
        }
        report
    };
    named.snapshots.iter().map(of).collect()
}

fn line(past: &Past, version: &PastVersion) -> VersionLine {
    let remain = version.remain;
    let kept = past.checkpoint.named.version_at(remain.run.start).filter(|_| version.state == PastState::Named);
    VersionLine {
        page: remain.page.0,
        birth: remain.birth.0,
        end: version.end.map(|end| end.0),
        slot: remain.run.start,
        slots: remain.run.slots,
        bytes: u64::from(remain.length),
        state: Some(version.state),
        charged_to: version.charged_to.map(|at| at.0),
        kept_for: kept.map(|kept| past.checkpoint.named.names_of(kept)).unwrap_or_default(),
    }
}

fn current(past: &Past, page: PageId) -> Option<VersionLine> {
    let Some(Entry::Version { run, birth, .. }) = past.checkpoint.entry(page) else { return None };
    Some(VersionLine {
        page: page.0,
        birth: birth.0,
        end: None,
        slot: run.start,
        slots: run.slots,
        bytes: run.bytes(),
        state: None,
        charged_to: None,
        kept_for: Vec::new(),
    })
}

pub(crate) fn state_name(state: Option<PastState>) -> &'static str {
    match state {
        None => "current",
        Some(PastState::Named) => "named",
        Some(PastState::Retained) => "retained",
        Some(PastState::Newer) => "newer",
        Some(PastState::Free) => "free",
        Some(PastState::Unknown) => "unknown",
    }
}

fn text(report: &Report, look: Look) -> String {
    let mut out = match report.pid {
        Some(pid) => format!("Checkpoint {}, in use by process {pid}\n", report.checkpoint),
        None => format!("Checkpoint {}; no process publishes readers of it\n", report.checkpoint),
    };
    if !report.pins.is_empty() {
        let mut table = look.table();
        let mut headings = look.headings(&["Pins", "age", "charged", "bytes", "in the file", "bytes", "who"]);
        headings[6] = look.heading("who");
        table.set_header(headings);
        for pin in &report.pins {
            let oldest = pin.live.readers.iter().map(|reader| reader.age_ms).max();
            let mut who: Vec<String> = Vec::new();
            who.extend(pin.live.is_checkpoint.then(|| "the durable checkpoint".to_owned()));
            who.extend(pin.live.readers.iter().map(|reader| match &reader.label {
                Some(label) => format!("{label:?}"),
                None => "a snapshot".to_owned(),
            }));
            table.add_row(vec![
                Cell::new(format!("@{}", pin.live.at)),
                look.figure(oldest.map_or_else(|| "-".to_owned(), |ms| seconds(ms as f64 / 1e3)), Mood::Plain),
                look.figure(count(pin.live.versions), Mood::Plain),
                look.figure(bytes(pin.live.bytes), Mood::Plain),
                look.figure(count(pin.versions_in_file), Mood::Plain),
                look.figure(bytes(pin.bytes_in_file), Mood::Plain),
                Cell::new(who.join(", ")),
            ]);
        }
        out += &format!("\n{}\n", table.trim_fmt());
    }
    if !report.named.is_empty() {
        let mut table = look.table();
        table.set_header(look.headings(&["Named snapshots", "commit", "old versions", "bytes", "its alone", "bytes"]));
        for named in &report.named {
            table.add_row(vec![
                Cell::new(crate::format::text(named.name.as_bytes())),
                look.figure(format!("@{}", named.timestamp), Mood::Plain),
                look.figure(count(named.versions), Mood::Plain),
                look.figure(bytes(named.bytes), Mood::Plain),
                look.figure(count(named.versions_alone), Mood::Plain),
                look.figure(bytes(named.bytes_alone), Mood::Plain),
            ]);
        }
        out += &format!("\n{}\n", table.trim_fmt());
    }
    let mut states = look.facts("Old versions in the file");
    for state in &report.states {
        states.row(state_name(Some(state.state)), count(state.versions), &bytes(state.bytes));
    }
    if report.states.is_empty() {
        states.row("none", "0", "");
    }
    out += &format!("\n{}\n", states.finish());
    if let Some(slots) = report.slots_retained {
        out += &format!("\nThe process counts {} in slots of superseded versions.\n", bytes(slots * SLOT_BYTES as u64));
    }
    if !report.versions.is_empty() {
        let mut table = look.table();
        table.set_header(look.headings(&["page", "birth", "end", "slots", "bytes", "state", "charged to"]));
        let with_names = report.versions.iter().any(|version| !version.kept_for.is_empty());
        if with_names {
            let mut headings = look.headings(&["page", "birth", "end", "slots", "bytes", "state", "charged to", ""]);
            headings[7] = look.heading("kept for");
            table.set_header(headings);
        }
        for version in &report.versions {
            let or_none = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
            let mut row = vec![
                Cell::new(version.page),
                look.figure(version.birth.to_string(), Mood::Plain),
                look.figure(or_none(version.end), Mood::Plain),
                look.figure(format!("{}+{}", version.slot, version.slots), Mood::Plain),
                look.figure(count(version.bytes), Mood::Plain),
                look.figure(state_name(version.state), Mood::Plain),
                look.figure(version.charged_to.map_or_else(|| "-".to_owned(), |at| format!("@{at}")), Mood::Plain),
            ];
            if with_names {
                row.push(Cell::new(if version.kept_for.is_empty() {
                    "-".to_owned()
                } else {
                    quote(&version.kept_for)
                }));
            }
            table.add_row(row);
        }
        out += &format!("\n{}\n", table.trim_fmt());
    }
    out + &problem_lines(&report.problems, look)
}
