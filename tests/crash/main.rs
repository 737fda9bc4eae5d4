//! Crash tests: random workloads on a simulated disk, a crash at every call, and a crash at every call of the recovery.
//!
//! `PENTIMENTO_CRASH_IMAGES` is the number of crash images to try, `PENTIMENTO_CRASH_SEED` the seed to begin with. A failure names its seed; a
//! run repeats as far as the engine is deterministic (it is not where a commit asks for durability within some time: every third seed).
//!
//! | file | what |
//! |---|---|
//! | `../simulated/` | the disk, its record, what a crash may leave |
//! | `opening.rs` | how a store on it is opened |
//! | `model.rs`, `changes.rs`, `session.rs` | a process that uses the store and knows what it should hold |
//! | `concurrent.rs` | a process with several writers |
//! | `runs.rs`, `explore.rs` | recording a workload, and crashing it everywhere: the invariants |
//! | `faults.rs` | workloads on a disk that fails |
//! | `found.rs` | cases that were found, as small tests of their own |
//! | `bites.rs` | what is broken on purpose, and who notices |

mod bites;
mod changes;
mod concurrent;
mod explore;
mod faults;
mod found;
mod model;
mod opening;
mod runs;
mod session;
#[path = "../simulated/mod.rs"]
mod simulated;
mod tally;
mod watchdog;

use explore::Tour;
use simulated::{Effort, Fault, Physics};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;
use tally::Tally;

/// Each test uses two threads, so one test runs at a time.
static MACHINE: Mutex<()> = Mutex::new(());

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Does jobs 0, 1, 2... on two threads while `more` says so; the first failure ends it all.
fn in_parallel(more: impl Fn(u64) -> bool + Sync, job: impl Fn(u64) -> Result<(), String> + Sync) {
    let watch = watchdog::Watch::begin();
    drop(watchdog::take_panics());
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if failed.load(Ordering::Relaxed) || !more(number) {
                        break;
                    }
                    let done = catch_unwind(AssertUnwindSafe(|| job(number)));
                    // What it said went to the standard error output.
                    let done = done.unwrap_or_else(|_| Err(format!("job {number} panicked")));
                    if let Err(wrong) = done {
                        failed.store(true, Ordering::Relaxed);
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push(wrong);
                    }
                }
            });
        }
    });
    drop(watch);
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.extend(watchdog::take_panics());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_crash_leaves_a_prefix_with_all_that_was_promised() {
    let _machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = number_from("PENTIMENTO_CRASH_IMAGES").unwrap_or(80_000);
    let first = number_from("PENTIMENTO_CRASH_SEED").unwrap_or(1);
    let (tally, started) = (Tally::default(), Instant::now());
    in_parallel(
        |_| tally.images() < wanted,
        |number| {
            let seed = first + number;
            let options = runs::options_of(seed, None);
            // One run in four is looked at from every side; for the others half of that must do, so that there are more of them.
            let exhaustive = if seed.is_multiple_of(4) { 10 } else { 6 };
            let effort = Effort { exhaustive, samples: 16, torn: 3 };
            let tour =
                Tour { options, physics: Physics::HONEST, effort, stride: 1, again: 160, deepest: 3, tally: &tally };
            let recorded = if seed % 5 == 4 {
                concurrent::record(seed, 10, options, &tally)
            } else {
                runs::record(seed, 40, options, &tally)
            };
            let explored = recorded.and_then(|run| tour.explore(&run, seed));
            explored.map_err(|wrong| format!("seed {seed}: {wrong}"))
        },
    );
    println!("{tally}in {:.1?}", started.elapsed());
    assert!(tally.images() >= wanted);
}

#[test]
fn a_crash_while_the_file_becomes_shorter_loses_nothing() {
    let _machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = number_from("PENTIMENTO_CRASH_IMAGES").map_or(12_000, |images| images / 8);
    let first = number_from("PENTIMENTO_CRASH_SEED").unwrap_or(1);
    let (tally, started) = (Tally::default(), Instant::now());
    in_parallel(
        |_| tally.images() < wanted,
        |number| {
            let seed = first + number;
            let options = runs::options_of(seed, None);
            let effort = Effort { exhaustive: 3, samples: 6, torn: 1 };
            let tour =
                Tour { options, physics: Physics::HONEST, effort, stride: 3, again: 400, deepest: 2, tally: &tally };
            let recorded = runs::record_shrinking(seed, options, &tally);
            let explored = recorded.and_then(|run| tour.explore(&run, seed));
            explored.map_err(|wrong| format!("seed {seed}: {wrong}"))
        },
    );
    println!("{tally}in {:.1?}", started.elapsed());
    assert!(tally.images() >= wanted);
    for (count, what) in [(&tally.moved, "moved"), (&tally.merged, "merged"), (&tally.cuts, "cut")] {
        assert!(count.load(Ordering::Relaxed) > 0, "nothing was {what}");
    }
}

#[test]
fn a_failing_disk_means_errors_and_nothing_worse() {
    let _machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let seeds = number_from("PENTIMENTO_CRASH_IMAGES").map_or(16, |images| (images / 5000).max(16));
    let first = number_from("PENTIMENTO_CRASH_SEED").unwrap_or(1);
    const STEPS: u32 = 16;
    /// More calls than a workload of so many steps makes.
    const CALLS_AT_MOST: u64 = 10_000;
    let (tally, started) = (Tally::default(), Instant::now());
    let effort = Effort { exhaustive: 1, samples: 3, torn: 1 };
    in_parallel(
        |number| number < seeds * 4,
        |number| {
            let seed = first + number / 4;
            let kind = [Fault::Once, Fault::Short, Fault::From, Fault::FullFrom][number as usize % 4];
            let options = runs::options_of(seed, None);
            let tour =
                Tour { options, physics: Physics::HONEST, effort, stride: 24, again: 0, deepest: 0, tally: &tally };
            for call in 0..CALLS_AT_MOST {
                let calls = faults::run(&tour, seed, STEPS, kind(call))
                    .map_err(|wrong| format!("seed {seed}, {:?}: {wrong}", kind(call)))?;
                watchdog::alive();
                if !kind(call).strikes_within(calls) {
                    return Ok(());
                }
            }
            Err(format!("seed {seed} makes more than {CALLS_AT_MOST} calls"))
        },
    );
    println!("{tally}in {:.1?}", started.elapsed());
}

#[test]
fn the_harness_notices_what_is_broken_on_purpose() {
    let _machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    bites::all().expect("each line of the table is noticed");
}
