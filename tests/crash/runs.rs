//! Recording runs: a seed makes a workload.

use crate::explore::Run;
use crate::model::Model;
use crate::opening::Options;
use crate::session::{Session, Trouble};
use crate::simulated::{Disk, Image, Names, Start};
use crate::tally::{Tally, add, count};
use pentimento::Bug;

/// The options that a seed stands for. Transactions that spill while another thread makes a checkpoint are seeds of their own.
pub fn options_of(seed: u64, bug: Option<Bug>) -> Options {
    let spill = if seed % 3 == 1 || seed % 10 == 4 { Some(48 << 10) } else { None };
    let memory = if seed % 5 == 2 { Some((256 << 10, 512 << 10)) } else { None };
    Options { spill, memory, without_journal: seed.is_multiple_of(6), bug }
}

/// Runs a workload on a disk that works, and records it.
pub fn record(seed: u64, steps: u32, options: Options, tally: &Tally) -> Result<Run, String> {
    let disk = Disk::holding(&Image::default());
    let model =
        work(&disk, seed, steps, options, tally).map_err(|trouble| format!("on a disk that works: {trouble:?}"))?;
    count(&tally.runs);
    Ok(Run { start: Start::default(), record: disk.record(), model, floor: 0, names: Names::default(), depth: 0 })
}

/// Runs a workload whose file becomes shorter, with commits in between, and records it.
pub fn record_shrinking(seed: u64, options: Options, tally: &Tally) -> Result<Run, String> {
    let disk = Disk::holding(&Image::default());
    let shrink = || -> Result<Model, Trouble> {
        let mut session = Session::begin(&disk, Model::default(), options, seed)?;
        for _ in 0..2 {
            session.autumn()?;
            for step in 0..10 {
                session.compact()?;
                session.check()?;
                if step % 3 == 2 {
                    session.step()?;
                }
            }
        }
        finish(&disk, session, tally)
    };
    let model = shrink().map_err(|trouble| format!("on a disk that works: {trouble:?}"))?;
    count(&tally.runs);
    Ok(Run { start: Start::default(), record: disk.record(), model, floor: 0, names: Names::default(), depth: 0 })
}

fn work(disk: &Disk, seed: u64, steps: u32, options: Options, tally: &Tally) -> Result<Model, Trouble> {
    let mut session = Session::begin(disk, Model::default(), options, seed)?;
    for _ in 0..steps {
        session.step()?;
    }
    finish(disk, session, tally)
}

fn finish(disk: &Disk, mut session: Session, tally: &Tally) -> Result<Model, Trouble> {
    session.look()?;
    session.check()?;
    session.close()?;
    add(&tally.commits, session.deeds.commits);
    add(&tally.checkpoints, session.deeds.checkpoints);
    add(&tally.spilled, session.deeds.spilled);
    add(&tally.reopened, session.deeds.reopened);
    add(&tally.felled, session.deeds.felled);
    add(&tally.moved, session.deeds.moved);
    add(&tally.merged, session.deeds.merged);
    add(&tally.named, session.deeds.named);
    add(&tally.restored, session.deeds.restored);
    add(&tally.cuts, disk.cuts());
    add(&tally.punches, disk.punches());
    Ok(std::mem::take(&mut session.model))
}
