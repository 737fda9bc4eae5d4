//! Workload 5: the size after the loads and a clean close; half removed in one durable transaction; the size then, and after compaction where an engine has it.

use super::basic::Session;
use crate::context::{Context, expect_equal, timed};
use crate::disk;
use crate::engine::{Durability, Engine, Reader, View};
use crate::metric::Metric;
use anyhow::Result;
use std::path::Path;

const HALF: Metric = Metric::seconds("remove.half", "remove half, one durable transaction");
const CLOSED: Metric = Metric::bytes("remove.size", "size on disk before, clean close, allocated");
const APPARENT: Metric = Metric::bytes("remove.apparent", "the same, apparent length");
const REMOVED: Metric = Metric::bytes("remove.after", "size on disk after removing half, clean close");
const COMPACTED: Metric = Metric::bytes("remove.compacted", "size on disk after compaction");
pub(super) const METRICS: &[Metric] = &[HALF, CLOSED, APPARENT, REMOVED, COMPACTED];

/// The store in this folder was just closed.
pub(super) fn size_closed<E: Engine>(context: &mut Context<'_>, dir: &Path) -> Result<()> {
    let usage = disk::usage::<E>(dir)?;
    context.record(&CLOSED, usage.allocated as f64);
    context.record(&APPARENT, usage.apparent as f64);
    Ok(())
}

pub(super) fn run<E: Engine>(context: &mut Context<'_>, session: Session<'_, E>) -> Result<()> {
    let Session { engine, dir, data, count } = session;
    if !context.wants(&[&HALF, &REMOVED, &COMPACTED]) {
        return engine.close();
    }
    context.say(HALF.title);
    let order = data.shuffled(0xDEAD);
    let (gone, kept) = order.split_at(order.len() / 2);
    let keys: Vec<_> = gone.iter().map(|number| data.keys[*number]).collect();
    let (seconds, ()) = timed(|| engine.remove_all(keys.iter().map(<[u8; _]>::as_slice), Durability::Durable))?;
    context.record(&HALF, seconds);
    check(&engine, |number| data.keys[number].as_slice(), gone, kept, count - gone.len())?;
    engine.close()?;
    context.record(&REMOVED, disk::usage::<E>(&dir)?.allocated as f64);
    if context.wants(&[&COMPACTED]) {
        context.say(COMPACTED.title);
        let setup = context.setup(crate::data::VALUE_LEN);
        if E::open(&dir, &setup)?.compact(&dir)? {
            let size = disk::usage::<E>(&dir)?.allocated;
            let engine = E::open(&dir, &setup)?;
            check(&engine, |number| data.keys[number].as_slice(), gone, kept, count - gone.len())?;
            engine.close()?;
            context.record(&COMPACTED, size as f64);
        }
    }
    Ok(())
}

/// What was removed is gone, all else is there.
fn check<'d, E: Engine>(
    engine: &E,
    key: impl Fn(usize) -> &'d [u8],
    gone: &[usize],
    kept: &[usize],
    count: usize,
) -> Result<()> {
    let view = engine.view()?;
    let reader = view.reader()?;
    let left = reader.forward(&[], usize::MAX, |_, _| ())?;
    expect_equal("entries left", left as u64, count as u64)?;
    let mut wrong = 0;
    for number in gone.iter().step_by(gone.len() / 1_000 + 1) {
        wrong += u64::from(reader.get(key(*number), |_| ())?.is_some());
    }
    for number in kept.iter().step_by(kept.len() / 1_000 + 1) {
        wrong += u64::from(reader.get(key(*number), |_| ())?.is_none());
    }
    expect_equal("wrong answers after the removal", wrong, 0)
}
