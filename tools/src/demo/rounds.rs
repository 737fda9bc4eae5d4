//! Measures the writer without and with a long snapshot, in turns, so that whatever else the machine does meets both alike.

use super::gauge::Gauge;
use super::progress::Progress;
use super::proof::Evidence;
use super::reader::read;
use super::report::{ComparedReport, RATIO_GOAL, RoundReport, SideReport};
use super::writer::{FILES_PER_COMMIT, Writer};
use crate::{Interrupt, Result};
use pentimento::{Database, Durability};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The label of the long snapshots.
const LABEL: &str = "long analysis";
/// Checkpoints are made this often in rounds of both kinds, so that the file takes part however relaxed the commits are.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);
/// How often the statistics are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A round that does not count, so that caches and memory are warm in all that do.
const WARM_UP: Duration = Duration::from_millis(500);

/// What came out of all rounds.
pub(crate) struct Compared {
    pub report: ComparedReport,
    /// What the gauge saw while a long snapshot was held.
    pub with: Gauge,
    pub evidence: Evidence,
}

/// One kind of rounds.
#[derive(Default)]
struct Side {
    sums: SideReport,
    gauge: Gauge,
    commit_rates: Vec<f64>,
    processor_rates: Vec<f64>,
    scan_rates: Vec<f64>,
}

impl Side {
    fn finish(&mut self) -> SideReport {
        SideReport {
            commits_per_second: median(&mut self.commit_rates),
            commits_per_processor_second: median(&mut self.processor_rates),
            entries_scanned_per_second: median(&mut self.scan_rates),
            used_bytes_max: self.gauge.used_bytes,
            frame_bytes_max: self.gauge.frame_bytes,
            versions_retained_max: self.gauge.versions_retained,
            ..self.sums.clone()
        }
    }
}

/// Runs rounds of both kinds in turns, `seconds` of each kind.
pub(crate) fn compare(
    db: &Database,
    keys: &[Box<[u8]>],
    durability: Durability,
    seconds: u64,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Result<Compared> {
    let rounds_each = rounds_each(seconds);
    let length = Duration::from_secs(seconds) / rounds_each;
    let mut bench = Bench { db, writer: Writer::new(db, keys, durability), evidence: Evidence::default(), interrupt };
    let mut sides = [Side::default(), Side::default()];
    let mut rounds = Vec::new();
    progress.step("warming up");
    bench.round(false, WARM_UP.min(length), &mut Side::default(), &|_| {})?;
    progress.measure(length * rounds_each * 2);
    for turn in 0..rounds_each * 2 {
        let is_long = is_long(turn);
        progress.step(if is_long { "writing beside a long snapshot" } else { "writing beside short snapshots" });
        let shown = |passed| progress.measured(length * turn + passed);
        rounds.push(bench.round(is_long, length, &mut sides[usize::from(is_long)], &shown)?);
    }
    progress.measured_all();
    let [mut without, mut with] = sides;
    let (without, with, gauge) = (without.finish(), with.finish(), with.gauge);
    let report = ComparedReport {
        files_per_commit: FILES_PER_COMMIT,
        rounds_each: u64::from(rounds_each),
        ratio: ratio_of_neighbours(&rounds, |round| round.commits_per_second),
        processor_ratio: ratio_of_neighbours(&rounds, |round| round.commits_per_processor_second),
        ratio_goal: RATIO_GOAL,
        without,
        with,
        rounds,
    };
    Ok(Compared { report, with: gauge, evidence: bench.evidence })
}

/// How many rounds of each kind: of two seconds if there is time, but at least two, so that they can take turns.
fn rounds_each(seconds: u64) -> u32 {
    (seconds / 2).clamp(2, 8) as u32
}

/// Whether a round has a long snapshot: without, with, with, without, and again; so a steady drift meets both kinds alike.
fn is_long(turn: u32) -> bool {
    matches!(turn % 4, 1 | 2)
}

/// Each round with a long snapshot against the round beside it without: what disturbs a machine for longer than a round disturbs both.
fn ratio_of_neighbours(rounds: &[RoundReport], rate: impl Fn(&RoundReport) -> f64) -> f64 {
    let ratio = |pair: &[RoundReport]| match pair {
        [with, without] if with.long_snapshot => rate(with) / rate(without),
        [without, with] => rate(with) / rate(without),
        _ => f64::NAN,
    };
    median(&mut rounds.chunks_exact(2).map(ratio).collect::<Vec<f64>>())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        len if len % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

struct Bench<'d> {
    db: &'d Database,
    writer: Writer<'d>,
    evidence: Evidence,
    interrupt: &'d Interrupt,
}

impl Bench<'_> {
    fn round(
        &mut self,
        is_long: bool,
        length: Duration,
        side: &mut Side,
        passed: &dyn Fn(Duration),
    ) -> Result<RoundReport> {
        let (db, interrupt) = (self.db, self.interrupt);
        let (writer, evidence) = (&mut self.writer, &mut self.evidence);
        let before = db.stats();
        let snapshot = if is_long { Some(db.snapshot()?.labelled(LABEL)) } else { None };
        let stop = AtomicBool::new(false);
        let mut gauge = Gauge::default();
        // Named for those who look with a profiler: which kind of round a sample belongs to is what they want to know.
        let (writer_name, reader_name) = if is_long { ("writer-long", "reader-long") } else { ("writer", "reader") };
        let (written, scanned, watched) = thread::scope(|scope| {
            let writer = spawn(scope, writer_name, || ending(&stop, || writer.run(&stop)));
            let reader =
                spawn(scope, reader_name, || ending(&stop, || read(db, snapshot.as_ref(), evidence, &stop, interrupt)));
            let watched = ending(&stop, || watch(db, &mut gauge, length, &stop, interrupt, passed));
            (join(writer), join(reader), watched)
        });
        let (written, scanned, ()) = (written?, scanned?, watched?);
        gauge.look(db, LABEL);
        let release = Instant::now();
        drop(snapshot);
        db.maintain()?;
        let release = release.elapsed();

        let after = db.stats();
        let versions_retained_max = gauge.versions_retained;
        let commits_per_second = written.commits as f64 / written.elapsed.as_secs_f64();
        let commits_per_processor_second = written.commits as f64 / written.busy.as_secs_f64();
        let entries_scanned_per_second = scanned.entries as f64 / scanned.elapsed.as_secs_f64();
        let slowest_commit_ms = milliseconds(written.slowest);
        let sums = &mut side.sums;
        sums.commits += written.commits;
        sums.passes += scanned.passes_long + scanned.passes_fresh;
        sums.slowest_commit_ms = sums.slowest_commit_ms.max(slowest_commit_ms);
        sums.versions_reclaimed += after.versions_reclaimed - before.versions_reclaimed;
        sums.history_lookups += after.history_lookups - before.history_lookups;
        sums.checkpoints += after.checkpoints - before.checkpoints;
        side.commit_rates.push(commits_per_second);
        side.processor_rates.push(commits_per_processor_second);
        side.scan_rates.push(entries_scanned_per_second);
        side.gauge.merge(gauge);
        Ok(RoundReport {
            long_snapshot: is_long,
            seconds: written.elapsed.as_secs_f64(),
            commits: written.commits,
            commits_per_second,
            commits_per_processor_second,
            slowest_commit_ms,
            passes_long: scanned.passes_long,
            passes_fresh: scanned.passes_fresh,
            entries_scanned_per_second,
            versions_retained_max,
            release_ms: milliseconds(release),
        })
    }
}

/// Does a part of a round; however it ends, the others end too.
fn ending<T>(stop: &AtomicBool, work: impl FnOnce() -> T) -> T {
    struct Ending<'s>(&'s AtomicBool);
    impl Drop for Ending<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let _ending = Ending(stop);
    work()
}

fn spawn<'s, T: Send + 's>(
    scope: &'s thread::Scope<'s, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 's,
) -> thread::ScopedJoinHandle<'s, T> {
    // As the standard library does for threads without a name: nothing can be measured without them.
    thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work).expect("the system gives two threads")
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Keeps the time of a round, makes its checkpoints, and reads the statistics.
fn watch(
    db: &Database,
    gauge: &mut Gauge,
    length: Duration,
    stop: &AtomicBool,
    interrupt: &Interrupt,
    passed: &dyn Fn(Duration),
) -> Result<()> {
    let began = Instant::now();
    // In the middle of each span, so that rounds of any length have as many.
    let mut next_checkpoint = CHECKPOINT_EVERY.min(length) / 2;
    while began.elapsed() < length && !stop.load(Ordering::Relaxed) {
        interrupt.check()?;
        if began.elapsed() >= next_checkpoint {
            db.checkpoint()?;
            next_checkpoint += CHECKPOINT_EVERY;
        }
        gauge.look(db, LABEL);
        passed(began.elapsed());
        thread::sleep(LOOK_EVERY.min(length.saturating_sub(began.elapsed())));
    }
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&mut []), 0.0);
    }

    #[test]
    fn the_ratio_is_that_of_rounds_side_by_side() {
        let rounds: Vec<RoundReport> =
            [(false, 100.0), (true, 90.0), (true, 40.0), (false, 50.0), (false, 10.0), (true, 20.0)]
                .map(|(long_snapshot, commits_per_second)| RoundReport {
                    long_snapshot,
                    commits_per_second,
                    ..Default::default()
                })
                .into();
        assert_eq!(ratio_of_neighbours(&rounds, |round| round.commits_per_second), 0.9);
    }

    #[test]
    fn both_kinds_have_as_many_rounds_and_take_turns() {
        for seconds in [1, 3, 8, 9, 10, 3600] {
            let turns: Vec<bool> = (0..rounds_each(seconds) * 2).map(is_long).collect();
            assert_eq!(turns.iter().filter(|long| **long).count() * 2, turns.len(), "{seconds}");
            assert!(turns.windows(3).all(|three| three.contains(&true) && three.contains(&false)));
        }
    }

    #[test]
    fn the_end_of_one_part_ends_the_others() {
        let stop = AtomicBool::new(false);
        assert_eq!(ending(&stop, || Err::<(), _>("failed")), Err("failed"));
        assert!(stop.load(Ordering::Relaxed));
    }
}
