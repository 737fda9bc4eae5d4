//! The harness proves itself: each line breaks one thing, in the engine or in the disk, and some run must notice.

use crate::explore::Tour;
use crate::runs;
use crate::simulated::{Effort, Physics};
use crate::tally::Tally;
use crate::watchdog::{Watch, alive, take_panics};
use pentimento::Bug;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is broken.
enum Broken {
    Engine(Bug),
    Disk(Physics),
}

/// Enough seeds that chance does not decide.
const SEEDS: u64 = 16;
const STEPS: u32 = 40;

/// To add a bug, add a line: what is broken, and what notices.
const TABLE: &[(Broken, &str)] = &[
    (Broken::Engine(Bug::ForgetCheckpoint), "an image in which the checkpoint's pages were reused"),
    (Broken::Engine(Bug::PublishBeforeDurable), "an image without a commit that readers saw"),
    (Broken::Engine(Bug::ReuseRetainedSlots), "a held snapshot, or the checker"),
    (Broken::Engine(Bug::ForgetReaders), "a held snapshot, or the checker"),
    (Broken::Engine(Bug::LeakSlots), "the checker"),
    (Broken::Engine(Bug::PunchTooFar), "a held snapshot, the checker, or an image"),
    (Broken::Engine(Bug::SkipDataSync), "an image whose meta names what is not there"),
    (Broken::Engine(Bug::SkipJournalSync), "an image without what was promised"),
    (Broken::Engine(Bug::SkipRecordChecksum), "an image with a torn record"),
    (Broken::Engine(Bug::TakeRecycledRecords), "an image with records of an earlier life"),
    (Broken::Engine(Bug::ForgetJournalEarly), "an image of a recovery"),
    (Broken::Disk(Physics { obeys_syncs_of_names: false, ..Physics::HONEST }), "an image without its journal"),
    (Broken::Disk(Physics { obeys_syncs: false, ..Physics::HONEST }), "an image without what was promised"),
    (Broken::Disk(Physics { sector: 64, ..Physics::HONEST }), "an image with a torn meta"),
];

impl Broken {
    fn name(&self) -> String {
        match self {
            Broken::Engine(bug) => format!("{bug:?}"),
            Broken::Disk(physics) if !physics.obeys_syncs => "a disk that ignores syncs".to_owned(),
            Broken::Disk(physics) if !physics.obeys_syncs_of_names => "a disk that ignores syncs of names".to_owned(),
            Broken::Disk(physics) => format!("a disk with sectors of {} bytes", physics.sector),
        }
    }

    /// What the first run that notices says.
    fn caught(&self) -> Option<(u64, String)> {
        let (bug, physics) = match self {
            Broken::Engine(bug) => (Some(*bug), Physics::HONEST),
            Broken::Disk(physics) => (None, *physics),
        };
        (0..SEEDS).find_map(|seed| {
            let options = runs::options_of(seed, bug);
            let tally = Tally::default();
            let effort = Effort { exhaustive: 6, samples: 12, torn: 4 };
            let tour = Tour { options, physics, effort, stride: 1, again: 160, deepest: 1, tally: &tally };
            let noticed = catch_unwind(AssertUnwindSafe(|| {
                runs::record(seed, STEPS, options, &tally).and_then(|run| tour.explore(&run, seed))
            }));
            alive();
            // Of the engine's own threads: a bug that was planted may show there.
            let panics = take_panics();
            match noticed {
                Ok(Ok(())) if !panics.is_empty() => Some((seed, "a panic of the engine's own thread".to_owned())),
                Ok(Ok(())) => None,
                Ok(Err(wrong)) => Some((seed, wrong.lines().next().unwrap_or_default().to_owned())),
                Err(_) => Some((seed, "a panic of the engine".to_owned())),
            }
        })
    }
}

/// Goes through the table; says what escaped.
pub fn all() -> Result<(), String> {
    let _watch = Watch::begin();
    let mut escaped = Vec::new();
    println!("{:<32} {:<56} noticed as", "broken", "who should notice");
    for (broken, by) in TABLE {
        match broken.caught() {
            Some((seed, wrong)) => println!("{:<32} {by:<56} seed {seed}: {wrong}", broken.name()),
            None => escaped.push(broken.name()),
        }
    }
    if escaped.is_empty() { Ok(()) } else { Err(format!("nobody noticed {escaped:?}")) }
}
