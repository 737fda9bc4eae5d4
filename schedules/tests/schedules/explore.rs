//! How many schedules, by whom, and how a planted bug is noticed.

use pentimento_schedules_storage::Bug;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A few threads over one store, with a bug planted or not; it panics when it sees something wrong.
pub type Scenario = fn(Option<Bug>);

/// How many schedules each scenario gets when 100,000 are wanted: the cheap ones more.
const SHARES: [(&str, usize); 11] = [
    ("readers beside a writer", 24_000),
    ("page numbers beside readers", 12_000),
    ("many readers", 10_000),
    ("turns", 10_000),
    ("checkpoints beside everybody", 10_000),
    ("strict commits", 10_000),
    ("large commits", 10_000),
    ("commits that share syncs", 3_000),
    ("concurrent transactions", 6_000),
    ("conflicts", 10_000),
    ("hot readers", 8_000),
];

const _: () = {
    let (mut sum, mut index) = (0, 0);
    while index < SHARES.len() {
        sum += SHARES[index].1;
        index += 1;
    }
    assert!(sum >= 100_000, "together they make up what is wanted");
};

/// Of how many preemptions the schedules make sure.
const PREEMPTIONS: usize = 3;
/// A planted bug is noticed within so many schedules, or escapes.
const UNTIL_NOTICED: usize = 20_000;

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// How many schedules are wanted in all.
pub fn wanted() -> usize {
    number_from("PENTIMENTO_SCHEDULES").map_or(100_000, |wanted| wanted as usize)
}

fn seed() -> u64 {
    number_from("PENTIMENTO_SCHEDULES_SEED").unwrap_or(1)
}

fn config() -> Config {
    let mut config = Config::new();
    // The engine's paths are deep for coroutines.
    config.stack_size = 512 << 10;
    config.silence_warnings = true;
    config
}

/// Tries a scenario's share of the schedules, and tells the number.
pub fn explore(name: &str, scenario: Scenario) {
    let (_, share) = *SHARES.iter().find(|(known, _)| *known == name).expect("a scenario with a share");
    let (wanted, started) = ((wanted() * share).div_ceil(100_000), Instant::now());
    let random = RandomScheduler::new_from_seed(seed(), wanted.div_ceil(2));
    let mut tried = Runner::new(random, config()).run(move || scenario(None));
    let preempting = PctScheduler::new_from_seed(seed(), PREEMPTIONS, wanted.div_ceil(2));
    tried += Runner::new(preempting, config()).run(move || scenario(None));
    println!("{name}: {tried} schedules in {:.1?}", started.elapsed());
    assert!(tried >= wanted, "{tried} of {wanted} schedules were tried");
}

thread_local! {
    /// Whether what this thread's panics say is expected.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// The scenario notices each of these bugs, with either scheduler at the latest after a number of schedules.
pub fn notices(name: &str, scenario: Scenario, bugs: &[Bug]) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !EXPECTED.get() {
                before(panic);
            }
        }));
    });
    for &bug in bugs {
        let tried = std::sync::Arc::new(AtomicU64::new(0));
        let counted = tried.clone();
        let mut config = config();
        config.failure_persistence = FailurePersistence::None;
        let scheduler = PctScheduler::new_from_seed(seed(), PREEMPTIONS, UNTIL_NOTICED);
        EXPECTED.set(true);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            Runner::new(scheduler, config).run(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                scenario(Some(bug));
            })
        }));
        EXPECTED.set(false);
        let tried = tried.load(Ordering::Relaxed);
        assert!(outcome.is_err(), "{name} does not notice {bug:?} in {tried} schedules");
        println!("{name}: {bug:?} is noticed in schedule {tried}");
    }
}
