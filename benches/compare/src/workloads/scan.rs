//! Workload 4: ranges of ten entries, and all entries forwards and backwards.

use super::basic::Session;
use crate::context::{Context, expect_equal, timed};
use crate::data::{Key, digest};
use crate::engine::{Engine, Reader, View};
use crate::metric::Metric;
use anyhow::Result;

const TEN: Metric = Metric::nanoseconds("scan.ten", "range of 10");
const FORWARD: Metric = Metric::nanoseconds("scan.forward", "full scan forwards, an entry");
const BACKWARD: Metric = Metric::nanoseconds("scan.backward", "full scan backwards, an entry");
pub(super) const METRICS: &[Metric] = &[TEN, FORWARD, BACKWARD];

const LEN: usize = 10;

pub(super) fn run<E: Engine>(context: &mut Context<'_>, session: &Session<'_, E>) -> Result<()> {
    if !context.wants(&[&TEN, &FORWARD, &BACKWARD]) {
        return Ok(());
    }
    let view = session.engine.view()?;
    let reader = view.reader()?;
    // Checks that ranges begin where they should, that both directions see the same, and warms.
    let (mut up, mut down) = (0u64, 0u64);
    let count = reader.forward(&[], usize::MAX, |_, value| up = up.wrapping_add(digest(value)))?;
    expect_equal("entries of a scan", count as u64, session.count as u64)?;
    let back = reader.backward(|_, value| down = down.wrapping_add(digest(value)))?;
    expect_equal("entries of a scan backwards", back as u64, count as u64)?;
    expect_equal("the sum of a scan backwards", down, up)?;

    if context.wants(&[&TEN]) {
        context.say(TEN.title);
        let (keys, _) = session.data.probes((session.data.keys.len() / 2).clamp(1, 500_000), 77 + context.round as u64);
        check_ranges(&reader, &keys)?;
        let (seconds, seen) = timed(|| {
            let (mut sum, mut seen) = (0u64, 0);
            for key in &keys {
                seen += reader.forward(key, LEN, |_, value| sum = sum.wrapping_add(digest(value)))?;
            }
            Ok(std::hint::black_box((sum, seen)).1)
        })?;
        // Only those that begin at the last nine keys are shorter.
        expect_equal("ranges of ten", (seen / (LEN * keys.len() - keys.len() / 100 - LEN)) as u64, 1)?;
        context.record(&TEN, seconds * 1e9 / keys.len() as f64);
    }
    context.say(FORWARD.title);
    let (seconds, sum) = timed(|| {
        let mut sum = 0u64;
        reader.forward(&[], usize::MAX, |_, value| sum = sum.wrapping_add(digest(value)))?;
        Ok(sum)
    })?;
    expect_equal("the sum of a scan", sum, up)?;
    context.record(&FORWARD, seconds * 1e9 / count as f64);
    context.say(BACKWARD.title);
    let (seconds, sum) = timed(|| {
        let mut sum = 0u64;
        reader.backward(|_, value| sum = sum.wrapping_add(digest(value)))?;
        Ok(sum)
    })?;
    expect_equal("the sum of a scan backwards", sum, up)?;
    context.record(&BACKWARD, seconds * 1e9 / count as f64);
    Ok(())
}

/// A range begins with its key and goes on upwards.
fn check_ranges<R: Reader>(reader: &R, keys: &[Key]) -> Result<()> {
    let mut wrong = 0;
    for key in keys.iter().take(1_000) {
        let mut seen: Vec<Vec<u8>> = Vec::new();
        reader.forward(key, LEN, |key, _| seen.push(key.to_vec()))?;
        wrong += u64::from(seen.first().is_none_or(|first| first != key) || !seen.is_sorted());
    }
    expect_equal("ranges that begin or go on wrongly", wrong, 0)
}
