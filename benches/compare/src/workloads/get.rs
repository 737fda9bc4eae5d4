//! Workload 3: random gets in one open view, by two threads, and with a view opened for each.

use super::basic::Session;
use crate::context::{Context, expect_equal, timed};
use crate::data::{Key, digest};
use crate::engine::{Engine, Reader, View};
use crate::metric::Metric;
use anyhow::{Result, anyhow};
use std::sync::Barrier;
use std::time::Instant;

const VIEW: Metric = Metric::nanoseconds("get.view", "random get, one view");
const THREADS: Metric = Metric::nanoseconds("get.threads", "random get, 2 threads (time over gets of both)");
const OPEN: Metric = Metric::nanoseconds("get.open", "view + get + close");
pub(super) const METRICS: &[Metric] = &[VIEW, THREADS, OPEN];

/// The sum over the values of these keys.
pub(super) fn sum<R: Reader>(reader: &R, keys: &[Key]) -> Result<u64> {
    let mut sum = 0u64;
    for key in keys {
        sum = sum.wrapping_add(reader.get(key, digest)?.ok_or_else(|| anyhow!("a key is gone"))?);
    }
    Ok(sum)
}

pub(super) fn run<E: Engine>(context: &mut Context<'_>, session: &Session<'_, E>) -> Result<()> {
    if !context.wants(&[&VIEW, &THREADS, &OPEN]) {
        return Ok(());
    }
    let count = session.data.keys.len().clamp(1, 1_000_000);
    let (keys, expected) = session.data.probes(count, 1 + context.round as u64);
    let engine = &session.engine;
    context.say(VIEW.title);
    {
        let view = engine.view()?;
        let reader = view.reader()?;
        // Checks, and warms whatever there is to warm.
        expect_equal("the sum over random gets", sum(&reader, &keys)?, expected)?;
        let (seconds, found) = timed(|| sum(&reader, &keys))?;
        expect_equal("the sum over random gets", found, expected)?;
        context.record(&VIEW, seconds * 1e9 / count as f64);
    }
    if context.wants(&[&THREADS]) {
        context.say(THREADS.title);
        let seconds = by_threads(engine, &keys, expected)?;
        context.record(&THREADS, seconds * 1e9 / (2 * count) as f64);
    }
    if context.wants(&[&OPEN]) {
        context.say(OPEN.title);
        let (seconds, found) = timed(|| {
            let mut total = 0u64;
            for key in &keys {
                let view = engine.view()?;
                let reader = view.reader()?;
                total = total.wrapping_add(reader.get(key, digest)?.ok_or_else(|| anyhow!("a key is gone"))?);
            }
            Ok(total)
        })?;
        expect_equal("the sum over gets in views of their own", found, expected)?;
        context.record(&OPEN, seconds * 1e9 / count as f64);
    }
    Ok(())
}

/// Two threads get the same keys, one of them from the middle on. Tells the seconds from the first start to the last end, as the threads themselves saw them: a third thread that
/// held the clock might be woken late.
fn by_threads<E: Engine>(engine: &E, keys: &[Key], expected: u64) -> Result<f64> {
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        let (first, second) = keys.split_at(keys.len() / 2);
        let threads = [[first, second], [second, first]].map(|parts| {
            let start = &start;
            scope.spawn(move || {
                let opened = engine.view();
                start.wait();
                let started = Instant::now();
                let view = opened?;
                let reader = view.reader()?;
                let found = sum(&reader, parts[0])?.wrapping_add(sum(&reader, parts[1])?);
                expect_equal("the sum over gets of a thread", found, expected)?;
                Ok::<_, anyhow::Error>((started, Instant::now()))
            })
        });
        let mut times = Vec::new();
        for thread in threads {
            times.push(thread.join().map_err(|_| anyhow!("a reading thread panicked"))??);
        }
        Ok(span(&times))
    })
}

/// The seconds from the first start to the last end.
pub(super) fn span(times: &[(Instant, Instant)]) -> f64 {
    let started = times.iter().map(|(started, _)| *started).min();
    let ended = times.iter().map(|(_, ended)| *ended).max();
    started.zip(ended).map_or(0.0, |(started, ended)| (ended - started).as_secs_f64())
}
