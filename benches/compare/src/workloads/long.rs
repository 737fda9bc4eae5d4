//! Workload 6, the long reader: load; overwrite everything 4 times without a reader; then open a view and overwrite everything 8 times.
//!
//! Updates come in random order, in transactions of 1,000 that nobody waits for. Sizes are given in loaded sizes: what the folder takes after the load and a clean close is one. The data file is
//! the folder without its logs. At the end the old view must still see the old values, every one of them.

use super::Workload;
use crate::context::{Context, expect_equal, timed};
use crate::data::{Data, VALUE_LEN, digest};
use crate::disk;
use crate::engine::{Durability, Engine, Reader, View};
use crate::metric::{Better, Metric};
use anyhow::Result;

const WITHOUT: Metric = Metric::rate("long.without", "long reader: updates without it");
const WITH: Metric = Metric::rate("long.with", "long reader: updates with it");
const RATIO: Metric = Metric::times("long.ratio", "long reader: updates with it over without", Better::Higher);
const BEFORE: Metric =
    Metric::times("long.before", "data file after 4 overwrites without it, in loaded sizes", Better::Lower);
const FILE: Metric = Metric::times("long.file", "data file after 8 overwrites with it, in loaded sizes", Better::Lower);
const DISK: Metric = Metric::times("long.disk", "the same with all logs", Better::Lower);
const SCAN: Metric = Metric::nanoseconds("long.scan", "long reader: scan of the old view at the end, an entry");
pub(super) const METRICS: &[Metric] = &[WITHOUT, WITH, RATIO, BEFORE, FILE, DISK, SCAN];

const WITHOUT_TIMES: usize = 4;
const WITH_TIMES: usize = 8;
const BATCH: usize = 1_000;

pub(super) struct Long;

impl Workload for Long {
    fn run<E: Engine>(context: &mut Context<'_>) -> Result<()> {
        work::<E::ManyViews>(context)
    }
}

fn work<E: Engine>(context: &mut Context<'_>) -> Result<()> {
    let data = context.data(context.plan.small_entries, VALUE_LEN);
    let setup = context.setup(VALUE_LEN);
    let dir = context.dir.to_owned();
    context.say("long reader: load");
    let engine = E::open(&dir, &setup)?;
    engine.put_all(data.entries(0), Durability::Durable)?;
    engine.close()?;
    let loaded = disk::usage::<E>(&dir)?.allocated as f64;
    let engine = E::open(&dir, &setup)?;

    context.say(WITHOUT.title);
    let orders = orders(&data, 1..=WITHOUT_TIMES);
    let (without, ()) = timed(|| overwrite(&engine, &data, &orders, 1))?;
    let without = (orders.len() * data.keys.len()) as f64 / without;
    context.record(&WITHOUT, without);
    engine.settle()?;
    context.record(&BEFORE, disk::usage::<E>(&dir)?.data as f64 / loaded);

    context.say(WITH.title);
    {
        let view = engine.view()?;
        let reader = view.reader()?;
        let orders = self::orders(&data, WITHOUT_TIMES + 1..=WITHOUT_TIMES + WITH_TIMES);
        let (with, ()) = timed(|| overwrite(&engine, &data, &orders, WITHOUT_TIMES + 1))?;
        let with = (orders.len() * data.keys.len()) as f64 / with;
        context.record(&WITH, with);
        context.record(&RATIO, with / without);
        engine.settle()?;
        let usage = disk::usage::<E>(&dir)?;
        context.record(&FILE, usage.data as f64 / loaded);
        context.record(&DISK, usage.allocated as f64 / loaded);

        context.say(SCAN.title);
        let sorted = data.sorted();
        check("the old view", &reader, &data, &sorted, WITHOUT_TIMES)?;
        let (seconds, _) = timed(|| {
            let mut sum = 0u64;
            reader.forward(&[], usize::MAX, |_, value| sum = sum.wrapping_add(digest(value)))?;
            Ok(std::hint::black_box(sum))
        })?;
        context.record(&SCAN, seconds * 1e9 / data.keys.len() as f64);
        let now = engine.view()?;
        check("a new view", &now.reader()?, &data, &sorted, WITHOUT_TIMES + WITH_TIMES)?;
    }
    engine.close()
}

/// The order of updates of each generation.
fn orders(data: &Data, generations: impl Iterator<Item = usize>) -> Vec<Vec<usize>> {
    generations.map(|generation| data.shuffled(generation as u64)).collect()
}

/// Overwrites everything once for each order, the first time with the values of generation `first`.
fn overwrite<E: Engine>(engine: &E, data: &Data, orders: &[Vec<usize>], first: usize) -> Result<()> {
    for (generation, order) in (first..).zip(orders) {
        for batch in order.chunks(BATCH) {
            let entries = batch.iter().map(|number| (data.keys[*number].as_slice(), data.value(*number, generation)));
            engine.put_all(entries, Durability::Relaxed)?;
        }
    }
    Ok(())
}

/// A view sees every entry with its value of one generation, and no other.
fn check<R: Reader>(whose: &str, reader: &R, data: &Data, sorted: &[usize], generation: usize) -> Result<()> {
    let (mut at, mut wrong) = (0, 0u64);
    reader.forward(&[], usize::MAX, |key, value| {
        let number = sorted.get(at);
        wrong += u64::from(
            number.is_none_or(|number| data.keys[*number] != key || data.value(*number, generation) != value),
        );
        at += 1;
    })?;
    expect_equal(&format!("entries of {whose}"), at as u64, data.keys.len() as u64)?;
    expect_equal(&format!("wrong entries of {whose}"), wrong, 0)
}
