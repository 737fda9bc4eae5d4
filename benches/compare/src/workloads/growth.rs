//! Workload 11, growth: random get and single durable commit as the store grows from 10^4 entries to 10^7.
//!
//! Loaded sorted, in the way that each engine recommends; opened anew; warmed by one pass over the same gets.

use super::Workload;
use super::get::sum;
use crate::context::{Context, expect_equal, timed};
use crate::data::VALUE_LEN;
use crate::engine::{Durability, Engine, Reader, View};
use crate::metric::Metric;
use anyhow::Result;

const GETS: usize = 200_000;
const COMMITS: usize = 300;

/// The sizes with their two figures.
pub(crate) const SIZES: [(usize, Metric, Metric); 4] = [
    (
        10_000,
        get("growth.get.4", "random get, 10^4 entries"),
        commit("growth.commit.4", "durable commit, 10^4 entries"),
    ),
    (
        100_000,
        get("growth.get.5", "random get, 10^5 entries"),
        commit("growth.commit.5", "durable commit, 10^5 entries"),
    ),
    (
        1_000_000,
        get("growth.get.6", "random get, 10^6 entries"),
        commit("growth.commit.6", "durable commit, 10^6 entries"),
    ),
    (
        10_000_000,
        get("growth.get.7", "random get, 10^7 entries"),
        commit("growth.commit.7", "durable commit, 10^7 entries"),
    ),
];

const fn get(id: &'static str, title: &'static str) -> Metric {
    Metric::nanoseconds(id, title)
}

const fn commit(id: &'static str, title: &'static str) -> Metric {
    Metric::nanoseconds(id, title)
}

/// All its figures.
pub(super) const METRICS: &[Metric] =
    &[SIZES[0].1, SIZES[1].1, SIZES[2].1, SIZES[3].1, SIZES[0].2, SIZES[1].2, SIZES[2].2, SIZES[3].2];

pub(super) struct Growth;

impl Workload for Growth {
    fn run<E: Engine>(context: &mut Context<'_>) -> Result<()> {
        for (count, get, commit) in &SIZES {
            // The largest store takes longest by far: none of it in the quick mode, and one round of it otherwise.
            let is_too_large = *count > context.plan.entries.max(100_000) * 10
                || (context.plan.quick && *count > 100_000)
                || (*count > 1_000_000 && context.round > 0);
            if !is_too_large && context.wants(&[get, commit]) {
                one::<E>(context, *count, get, commit)?;
            }
        }
        Ok(())
    }
}

fn one<E: Engine>(context: &mut Context<'_>, count: usize, get: &Metric, commit: &Metric) -> Result<()> {
    context.say(get.title);
    let data = context.data(count, VALUE_LEN);
    let setup = context.setup(VALUE_LEN);
    let dir = context.dir.join(count.to_string());
    std::fs::create_dir(&dir)?;
    let engine = E::open(&dir, &setup)?;
    {
        let order = data.sorted();
        let entries: Vec<_> =
            order.iter().map(|number| (data.keys[*number].as_slice(), data.value(*number, 0))).collect();
        engine.load_sorted(entries.into_iter())?;
    }
    engine.close()?;
    let engine = E::open(&dir, &setup)?;
    {
        let (keys, expected) = data.probes(GETS, 7 + context.round as u64);
        let view = engine.view()?;
        let reader = view.reader()?;
        expect_equal("the sum over random gets", sum(&reader, &keys)?, expected)?;
        let (seconds, found) = timed(|| sum(&reader, &keys))?;
        expect_equal("the sum over random gets", found, expected)?;
        context.record(get, seconds * 1e9 / GETS as f64);
    }
    context.say(commit.title);
    let (keys, _) = data.probes(COMMITS, 99 + context.round as u64);
    let (seconds, ()) =
        timed(|| keys.iter().try_for_each(|key| engine.put_one(key, data.value(1, 1), Durability::Durable)))?;
    context.record(commit, seconds * 1e9 / COMMITS as f64);
    {
        let view = engine.view()?;
        let reader = view.reader()?;
        for key in &keys {
            let is_new = reader.get(key, |value| value == data.value(1, 1))?;
            expect_equal("an update that was committed", u64::from(is_new == Some(true)), 1)?;
        }
    }
    engine.close()?;
    std::fs::remove_dir_all(dir)?;
    Ok(())
}
