//! Workload 1: everything in one durable transaction, in random order by plain inserts, and sorted in the way that each engine recommends.

use super::basic::Session;
use crate::context::{Context, expect_equal, timed};
use crate::data::{Data, digest};
use crate::engine::{Durability, Engine, Reader, View};
use crate::metric::Metric;
use anyhow::Result;

pub(super) const RANDOM: Metric = Metric::seconds("load.random", "bulk load, random order, plain inserts");
const SORTED: Metric = Metric::seconds("load.sorted", "bulk load, sorted, as the engine recommends");
pub(super) const METRICS: &[Metric] = &[RANDOM, SORTED];

pub(super) fn random<E: Engine>(context: &mut Context<'_>, session: &mut Session<'_, E>) -> Result<()> {
    context.say(RANDOM.title);
    let (seconds, ()) = timed(|| session.engine.put_all(session.data.entries(0), Durability::Durable))?;
    context.record(&RANDOM, seconds);
    session.count = session.data.keys.len();
    check(&session.engine, session.data)
}

pub(super) fn sorted<E: Engine>(context: &mut Context<'_>, data: &Data) -> Result<()> {
    if !context.wants(&[&SORTED]) {
        return Ok(());
    }
    context.say(SORTED.title);
    let dir = context.dir.join("sorted");
    std::fs::create_dir(&dir)?;
    let engine = E::open(&dir, &context.setup(crate::data::VALUE_LEN))?;
    let order = data.sorted();
    let entries: Vec<(&[u8], &[u8])> =
        order.iter().map(|number| (data.keys[*number].as_slice(), data.value(*number, 0))).collect();
    let (seconds, ()) = timed(|| engine.load_sorted(entries.iter().copied()))?;
    context.record(&SORTED, seconds);
    check(&engine, data)?;
    engine.close()?;
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

/// Every entry is there, in order, with its value; and what is not there is not found.
pub(super) fn check<E: Engine>(engine: &E, data: &Data) -> Result<()> {
    let view = engine.view()?;
    let reader = view.reader()?;
    let (mut sum, mut last, mut is_sorted) = (0u64, Vec::new(), true);
    let count = reader.forward(&[], usize::MAX, |key, value| {
        sum = sum.wrapping_add(digest(value));
        is_sorted &= last.as_slice() < key;
        last.clear();
        last.extend_from_slice(key);
    })?;
    expect_equal("entries after the load", count as u64, data.keys.len() as u64)?;
    let expected = data.entries(0).fold(0u64, |sum, (_, value)| sum.wrapping_add(digest(value)));
    expect_equal("the sum over the values", sum, expected)?;
    expect_equal("whether the keys are in order", u64::from(is_sorted), 1)?;
    let mut wrong = 0;
    for (number, key) in data.keys.iter().enumerate().step_by(data.keys.len() / 1_000 + 1) {
        let is_right = reader.get(key, |value| value == data.value(number, 0))?;
        wrong += u64::from(is_right != Some(true));
    }
    for key in data.more_keys(100) {
        wrong += u64::from(reader.get(&key, |_| ())?.is_some());
    }
    expect_equal("wrong answers among 1,100 gets", wrong, 0)
}
