//! Workload 7, many readers: 16 views are opened one after another, and between them the writer overwrites the hot tenth of the entries; all are held. Then all
//! are closed, and the writer goes on for as many updates again.
//!
//! The hot tenth is spread over all keys. Updates come in random order, in transactions of 1,000 that nobody waits for. In the end each view must see the hot entries as they were when it was opened.

use super::Workload;
use crate::context::{Context, expect_equal, timed};
use crate::data::{Data, VALUE_LEN};
use crate::disk;
use crate::engine::{Durability, Engine, Reader, View};
use crate::metric::Metric;
use anyhow::Result;

const UPDATES: Metric = Metric::rate("held.updates", "16 held views, the hot tenth overwritten: updates");
const DISK: Metric = Metric::bytes("held.disk", "16 held views: disk held, logs included");
const FILE: Metric = Metric::bytes("held.file", "16 held views: data file");
const AFTER: Metric = Metric::bytes("held.after", "all closed, as many updates again: disk held, logs included");
pub(super) const METRICS: &[Metric] = &[UPDATES, DISK, FILE, AFTER];

const VIEWS: usize = 16;
const BATCH: usize = 1_000;

pub(super) struct HeldViews;

impl Workload for HeldViews {
    fn run<E: Engine>(context: &mut Context<'_>) -> Result<()> {
        work::<E::ManyViews>(context)
    }
}

fn work<E: Engine>(context: &mut Context<'_>) -> Result<()> {
    let data = context.data(context.plan.small_entries, VALUE_LEN);
    let setup = context.setup(VALUE_LEN);
    let dir = context.dir.to_owned();
    context.say("many readers: load");
    let engine = E::open(&dir, &setup)?;
    engine.put_all(data.entries(0), Durability::Durable)?;
    engine.close()?;
    let engine = E::open(&dir, &setup)?;
    let hot = data.keys.len() / 10;
    let orders: Vec<Vec<usize>> = (0..VIEWS)
        .map(|turn| {
            let mut order: Vec<usize> = (0..hot).collect();
            fastrand::Rng::with_seed(turn as u64).shuffle(&mut order);
            order
        })
        .collect();

    context.say(UPDATES.title);
    {
        let mut views = Vec::with_capacity(VIEWS);
        let (seconds, ()) = timed(|| {
            for (turn, order) in orders.iter().enumerate() {
                views.push(engine.view()?);
                overwrite(&engine, &data, order, turn + 1)?;
            }
            Ok(())
        })?;
        context.record(&UPDATES, (VIEWS * hot) as f64 / seconds);
        engine.settle()?;
        let usage = disk::usage::<E>(&dir)?;
        context.record(&DISK, usage.allocated as f64);
        context.record(&FILE, usage.data as f64);
        for (generation, view) in views.iter().enumerate() {
            check(&view.reader()?, &data, hot, generation)?;
        }
    }
    context.say(AFTER.title);
    for (turn, order) in orders.iter().enumerate() {
        overwrite(&engine, &data, order, VIEWS + turn + 1)?;
    }
    engine.settle()?;
    context.record(&AFTER, disk::usage::<E>(&dir)?.allocated as f64);
    check(&engine.view()?.reader()?, &data, hot, 2 * VIEWS)?;
    engine.close()
}

fn overwrite<E: Engine>(engine: &E, data: &Data, order: &[usize], generation: usize) -> Result<()> {
    order.chunks(BATCH).try_for_each(|batch| {
        let entries = batch.iter().map(|number| (data.keys[*number].as_slice(), data.value(*number, generation)));
        engine.put_all(entries, Durability::Relaxed)
    })
}

/// A view sees hot entries with their values of one generation, and cold ones as they were loaded.
fn check<R: Reader>(reader: &R, data: &Data, hot: usize, generation: usize) -> Result<()> {
    let mut wrong = 0;
    for number in (0..data.keys.len()).step_by(data.keys.len() / 5_000 + 1) {
        let generation = if number < hot { generation } else { 0 };
        let is_right = reader.get(&data.keys[number], |value| value == data.value(number, generation))?;
        wrong += u64::from(is_right != Some(true));
    }
    expect_equal(&format!("wrong entries of the view opened after {generation} overwrites"), wrong, 0)
}
