//! Workloads on a disk that fails: at each call in turn, in each way.
//!
//! 1. The process sees errors, of the kinds that speak of the disk; it does not panic, hang, or read anything wrong.
//! 2. Held and new snapshots go on reading what they should, after every error.
//! 3. Once there is room again after a full disk, the store takes durable commits without being opened again, unless it said that it would not.
//! 4. What a crash then leaves, or the process itself, holds the invariants of every crash.

use crate::concurrent;
use crate::explore::{Run, Tour};
use crate::model::Model;
use crate::session::{Outcome, Session, Trouble};
use crate::simulated::{Disk, Fault, Image, Names, Start};
use crate::tally::count;
use pentimento::Error;

/// How many more steps a store is given that takes no writes any more.
const STEPS_WHEN_POISONED: u32 = 3;

const COMMITS_OF_EACH: u32 = 4;

/// Runs one workload with one fault, and crashes what it left. Tells how many calls there were.
pub fn run(tour: &Tour<'_>, seed: u64, steps: u32, fault: Fault) -> Result<u64, String> {
    let disk = Disk::holding(&Image::default());
    disk.fail(fault);
    let done = if seed % 5 == 4 { several(&disk, seed, fault, tour) } else { one(&disk, seed, steps, fault, tour) };
    let model = done.map_err(|wrong| explain(wrong, &disk))?;
    let calls = disk.calls();
    count(match fault {
        Fault::Once(_) => &tour.tally.faulty_once,
        Fault::Short(_) => &tour.tally.faulty_short,
        Fault::From(_) => &tour.tally.faulty_from,
        Fault::FullFrom(_) => &tour.tally.faulty_full,
        Fault::None => &tour.tally.runs,
    });
    let run =
        Run { start: Start::default(), record: disk.record(), model, floor: 0, names: Names::default(), depth: 0 };
    tour.explore(&run, seed)?;
    // The process died, the machine did not: a run whose start is what the process saw, and in which nothing happens.
    let floor = run.record.iter().filter_map(|event| event.promised()).max().unwrap_or(0);
    let start = Start { durable: disk.live().into(), outstanding: Vec::new() };
    let names = run.record.iter().rev().find_map(|event| event.names()).cloned().unwrap_or_default();
    let afterwards = Run { start, record: Vec::new(), model: run.model, floor, names, depth: 0 };
    let tour = Tour { stride: 1, ..*tour };
    tour.explore(&afterwards, seed)
        .map_err(|wrong| explain(format!("opened again without a crash: {wrong}"), &disk))?;
    Ok(calls)
}

/// A process with one thread.
fn one(disk: &Disk, seed: u64, steps: u32, fault: Fault, tour: &Tour<'_>) -> Result<Model, String> {
    let begun = Session::begin(disk, Model::default(), tour.options, seed);
    let Some(mut session) = tolerate(begun, fault)? else {
        // Its creation got as far as the first commit, or not.
        let mut model = Model::default();
        model.reaches(1);
        return Ok(model);
    };
    work(&mut session, steps, fault, tour)?;
    let closed = session.close();
    tolerate(closed, fault)?;
    Ok(std::mem::take(&mut session.model))
}

/// A process with several threads that commit.
fn several(disk: &Disk, seed: u64, fault: Fault, tour: &Tour<'_>) -> Result<Model, String> {
    let (model, refusals) = concurrent::work(disk, seed, COMMITS_OF_EACH, tour.options)?;
    for error in refusals {
        tolerate::<()>(Err(Trouble::Refused(error)), fault)?;
    }
    Ok(model)
}

fn explain(wrong: String, disk: &Disk) -> String {
    let record = disk.record();
    let first = record.len().saturating_sub(30);
    let recent: Vec<String> = record[first..].iter().map(|event| format!("  {event}")).collect();
    format!("{wrong}\n(calls: {}; the last events:\n{})", disk.calls(), recent.join("\n"))
}

fn work(session: &mut Session, steps: u32, fault: Fault, tour: &Tour<'_>) -> Result<(), String> {
    let mut left = steps;
    while left > 0 && session.db.is_some() {
        left -= 1;
        let outcome = session.step();
        let failed = outcome.is_err();
        if is_poisoned(&outcome) {
            left = left.min(STEPS_WHEN_POISONED);
        }
        tolerate(outcome, fault)?;
        if failed {
            is_sound(session)?;
        }
    }
    if let Fault::FullFrom(at) = fault {
        session.disk.fail(Fault::None);
        if session.db.is_some() && session.disk.calls() > at {
            let outcome = session.commit_durably();
            if !is_poisoned(&outcome) {
                outcome.map_err(|trouble| format!("there is room again, but: {trouble:?}"))?;
                session.check().map_err(|trouble| format!("there is room again, but: {trouble:?}"))?;
                count(&tour.tally.roomy_again);
            }
        }
    }
    is_sound(session)
}

fn is_sound(session: &Session) -> Result<(), String> {
    session.look().map_err(|trouble| format!("reading after the fault: {trouble:?}"))?;
    // A store that takes no more writes also stops to give slots back. The background thread may find out any time, even during the check.
    match session.check() {
        Err(trouble) if session.is_writable() => Err(format!("checking after the fault: {trouble:?}")),
        _ => Ok(()),
    }
}

fn is_poisoned(outcome: &Outcome) -> bool {
    fn speaks_of_poison(error: &Error) -> bool {
        match error {
            Error::Poisoned(_) => true,
            Error::OutcomeUnknown { source, .. } => speaks_of_poison(source),
            _ => false,
        }
    }
    matches!(outcome, Err(Trouble::Refused(error)) if speaks_of_poison(error))
}

/// Errors that a failing disk explains are none; `None` then.
fn tolerate<T>(outcome: Result<T, Trouble>, fault: Fault) -> Result<Option<T>, String> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(Trouble::Broken(wrong)) => Err(wrong),
        Err(Trouble::Refused(error)) if is_explained(&error, fault) => Ok(None),
        Err(Trouble::Refused(error)) => Err(format!("{fault:?} does not explain the error: {error}")),
    }
}

fn is_explained(error: &Error, fault: Fault) -> bool {
    match error {
        Error::DiskFull { .. } => matches!(fault, Fault::FullFrom(_)),
        Error::Io { .. } | Error::Poisoned(_) => fault != Fault::None,
        Error::OutcomeUnknown { source, .. } => is_explained(source, fault),
        _ => false,
    }
}
