//! Workload 2: 1,000 single durable commits, 100 durable batches of 1,000, 50,000 single commits that nobody waits for. All of new keys.

use super::basic::Session;
use crate::context::{Context, expect_equal, timed};
use crate::engine::{Durability, Engine, Reader, View};
use crate::metric::Metric;
use anyhow::Result;

const SINGLE: Metric = Metric::seconds("commit.durable", "1,000 single durable commits");
const BATCH: Metric = Metric::seconds("commit.batch", "100 durable batches of 1,000");
const RELAXED: Metric = Metric::seconds("commit.unsynced", "50,000 single commits without sync");
pub(super) const METRICS: &[Metric] = &[SINGLE, BATCH, RELAXED];

const SINGLES: usize = 1_000;
const BATCHES: usize = 100;
const BATCH_LEN: usize = 1_000;
const RELAXEDS: usize = 50_000;

pub(super) fn run<E: Engine>(context: &mut Context<'_>, session: &mut Session<'_, E>) -> Result<()> {
    // The size on disk is defined with these entries in it.
    let is_size_wanted = super::remove::METRICS.iter().any(|metric| context.plan.wants(metric));
    if !is_size_wanted && !context.wants(&[&SINGLE, &BATCH, &RELAXED]) {
        return Ok(());
    }
    let (engine, data) = (&session.engine, session.data);
    let keys = data.more_keys(SINGLES + BATCHES * BATCH_LEN + RELAXEDS);
    let (singles, others) = keys.split_at(SINGLES);
    let (batches, relaxed) = others.split_at(BATCHES * BATCH_LEN);

    context.say(SINGLE.title);
    let (seconds, ()) = timed(|| {
        singles
            .iter()
            .enumerate()
            .try_for_each(|(number, key)| engine.put_one(key, data.value(number, 0), Durability::Durable))
    })?;
    context.record(&SINGLE, seconds);

    context.say(BATCH.title);
    let (seconds, ()) = timed(|| {
        batches.chunks(BATCH_LEN).try_for_each(|batch| {
            let entries = batch.iter().enumerate().map(|(number, key)| (key.as_slice(), data.value(number, 0)));
            engine.put_all(entries, Durability::Durable)
        })
    })?;
    context.record(&BATCH, seconds);

    context.say(RELAXED.title);
    let (seconds, ()) = timed(|| {
        relaxed
            .iter()
            .enumerate()
            .try_for_each(|(number, key)| engine.put_one(key, data.value(number, 0), Durability::Relaxed))
    })?;
    context.record(&RELAXED, seconds);
    session.count += keys.len();

    let view = session.engine.view()?;
    let reader = view.reader()?;
    let mut missing = 0;
    for key in &keys {
        missing += u64::from(reader.get(key, <[u8]>::len)? != Some(crate::data::VALUE_LEN));
    }
    expect_equal("commits that left nothing", missing, 0)
}
