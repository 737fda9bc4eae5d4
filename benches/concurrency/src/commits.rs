//! Durable transactions of one key by 1 to 16 threads: each reads a key and sets it. On keys that no two threads share, and on 100 keys that all share.
//!
//! `canopydb`'s concurrent transactions have snapshot isolation, so its row stands beside ours of that kind; the serializable one has no counterpart there. Both engines sync their
//! log before a commit returns. Whoever meets a conflict tries again at once (ours: as `RetryPolicy::new` does).

use crate::{Effort, Goal, median, next_random};
use canopydb::{DbOptions, EnvOptions, Environment};
use comfy_table::Table as Grid;
use pentimento::{Database, Isolation, RetryPolicy};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const THREADS: [u64; 5] = [1, 2, 4, 8, 16];
const HOT_KEYS: u64 = 100;
/// Keys of each thread where none are shared.
const OWN_KEYS: u64 = 1000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Job {
    Disjoint,
    Hot,
}

impl Job {
    fn name(self) -> &'static str {
        match self {
            Job::Disjoint => "disjoint keys",
            Job::Hot => "100 hot keys",
        }
    }

    fn key(self, thread: u64, random: &mut u64) -> [u8; 8] {
        let dice = next_random(random);
        let number = match self {
            Job::Disjoint => thread * OWN_KEYS + dice % OWN_KEYS,
            Job::Hot => dice % HOT_KEYS,
        };
        number.to_be_bytes()
    }
}

/// Transactions a second, and how many tries in a hundred met a conflict.
#[derive(Clone, Copy)]
struct Rate {
    commits: f64,
    conflicts: f64,
}

/// Has `threads` threads do transactions for a while; `transact` tells how often it had to try again.
fn run(threads: u64, length: Duration, job: Job, transact: impl Fn([u8; 8]) -> u64 + Sync) -> Rate {
    let started = Instant::now();
    let counts: Vec<(u64, u64)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let transact = &transact;
                scope.spawn(move || {
                    let (mut random, mut commits, mut retries) = (thread * 77 + 5, 0, 0);
                    while started.elapsed() < length {
                        retries += transact(job.key(thread, &mut random));
                        commits += 1;
                    }
                    (commits, retries)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker")).collect()
    });
    let (commits, retries) = counts.into_iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    let conflicts = 100.0 * retries as f64 / (commits + retries) as f64;
    Rate { commits: commits as f64 / started.elapsed().as_secs_f64(), conflicts }
}

fn next_value(old: Option<&[u8]>) -> [u8; 8] {
    let old = old.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
    (old + 1).to_le_bytes()
}

fn concurrent(db: &Database, policy: &RetryPolicy, key: [u8; 8]) -> u64 {
    let done = policy.run(db, |txn| {
        let mut tree = txn.tree("entries")?;
        let value = next_value(tree.get(key)?);
        tree.insert(key, value)
    });
    let done: Result<_, pentimento::Error> = done;
    u64::from(done.expect("a commit").retries)
}

fn exclusive(db: &Database, key: [u8; 8]) -> u64 {
    let mut txn = db.begin_write().expect("the turn");
    let mut tree = txn.tree("entries").expect("the tree");
    let value = next_value(tree.get(key).expect("a look"));
    tree.insert(key, value).expect("an insert");
    txn.commit().expect("a commit");
    0
}

fn canopy(db: &canopydb::Database, is_concurrent: bool, key: [u8; 8]) -> u64 {
    let mut retries = 0;
    loop {
        let txn = db.begin_write_with(is_concurrent).expect("a transaction");
        let mut tree = txn.get_or_create_tree(b"entries").expect("the tree");
        let value = next_value(tree.get(&key).expect("a look").as_ref().map(|value| value.as_ref()));
        tree.insert(&key, &value).expect("an insert");
        drop(tree);
        match txn.commit_with(true) {
            Ok(_) => return retries,
            Err(canopydb::Error::WriteConflict) => retries += 1,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Stores that are open for the whole run.
struct Stores {
    ours: Database,
    canopy: canopydb::Database,
}

impl Stores {
    fn open(dir: &Path) -> Stores {
        let ours = Database::open(dir.join("ours.pent")).expect("our store");
        std::fs::create_dir(dir.join("canopy")).expect("a folder");
        let environment = Environment::with_options(EnvOptions::new(dir.join("canopy"))).expect("an environment");
        let canopy = environment.get_or_create_database_with("db", DbOptions::new()).expect("its database");
        // The same tree on both sides, so that no run starts with an empty one.
        let keys = || (0..16 * OWN_KEYS).map(u64::to_be_bytes);
        let mut txn = ours.begin_write().expect("the turn");
        txn.tree("entries").expect("the tree").bulk_load(keys().map(|key| (key, [0; 8]))).expect("a load");
        txn.commit().expect("a commit");
        let txn = canopy.begin_write().expect("a transaction");
        let mut tree = txn.get_or_create_tree(b"entries").expect("the tree");
        keys().for_each(|key| tree.insert(&key, &[0; 8]).expect("an insert"));
        drop(tree);
        txn.commit_with(true).expect("a commit");
        Stores { ours, canopy }
    }
}

type Measure = fn(&Stores, u64, Duration, Job) -> Rate;

const SNAPSHOT: &str = "ours, Snapshot";
const SERIALIZABLE: &str = "ours, Serializable";
const EXCLUSIVE: &str = "ours, exclusive";
const CANOPY: &str = "canopydb, concurrent";
const CANOPY_EXCLUSIVE: &str = "canopydb, exclusive";

const KINDS: [(&str, Measure); 5] = [
    (SNAPSHOT, |stores, threads, length, job| {
        let policy = RetryPolicy::new(Isolation::Snapshot);
        run(threads, length, job, |key| concurrent(&stores.ours, &policy, key))
    }),
    (SERIALIZABLE, |stores, threads, length, job| {
        let policy = RetryPolicy::new(Isolation::Serializable);
        run(threads, length, job, |key| concurrent(&stores.ours, &policy, key))
    }),
    (EXCLUSIVE, |stores, threads, length, job| run(threads, length, job, |key| exclusive(&stores.ours, key))),
    (CANOPY, |stores, threads, length, job| run(threads, length, job, |key| canopy(&stores.canopy, true, key))),
    (CANOPY_EXCLUSIVE, |stores, threads, length, job| {
        run(threads, length, job, |key| canopy(&stores.canopy, false, key))
    }),
];

/// What was found in one job: for each number of threads, for each kind, a rate of each round. The kinds take short turns, so that those of a
/// round met the same machine.
struct Found(Vec<Vec<Vec<Rate>>>);

impl Found {
    fn measure(stores: &Stores, effort: Effort, job: Job) -> Found {
        let mut samples = vec![vec![Vec::new(); KINDS.len()]; THREADS.len()];
        for _ in 0..effort.commit_rounds {
            for (threads, samples) in THREADS.iter().zip(&mut samples) {
                for ((_, measure), samples) in KINDS.iter().zip(samples) {
                    samples.push(measure(stores, *threads, effort.commit_turn, job));
                }
            }
        }
        Found(samples)
    }

    /// The medians of one row.
    fn middles(&self, row: usize) -> impl Iterator<Item = Rate> {
        self.0[row].iter().map(|rates| Rate {
            commits: median(rates.iter().map(|rate| rate.commits).collect()),
            conflicts: median(rates.iter().map(|rate| rate.conflicts).collect()),
        })
    }

    /// How many times as fast one is as another, in the middle one of all rounds. Each is a row and the name of a kind.
    fn ratio(&self, one: (usize, &str), other: (usize, &str)) -> f64 {
        let index = |name: &str| KINDS.iter().position(|(kind, _)| *kind == name).expect("a kind of that name");
        let rates = |(row, name): (usize, &str)| self.0[row][index(name)].iter().map(|rate| rate.commits);
        median(rates(one).zip(rates(other)).map(|(one, other)| one / other).collect())
    }
}

fn print(job: Job, found: &Found) {
    let mut grid = Grid::new();
    let title = format!("commits a second, {} (conflicts in 100 tries)", job.name());
    grid.set_header(std::iter::once(title).chain(KINDS.iter().map(|(name, _)| (*name).to_owned())));
    for (row, threads) in THREADS.iter().enumerate() {
        let cell = |rate: Rate| format!("{:.0} ({:.1})", rate.commits, rate.conflicts);
        grid.add_row(std::iter::once(format!("{threads} threads")).chain(found.middles(row).map(cell)));
    }
    println!("{grid}");
}

/// Prints the tables of commits, and tells the goals.
pub fn measure(effort: Effort) -> Vec<Goal> {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let stores = Stores::open(dir.path());
    let mut goals = Vec::new();
    for job in [Job::Disjoint, Job::Hot] {
        let found = Found::measure(&stores, effort, job);
        print(job, &found);
        if job == Job::Disjoint {
            for name in [SNAPSHOT, SERIALIZABLE] {
                let gain = found.ratio((THREADS.len() - 1, name), (0, name));
                goals.push(Goal {
                    what: format!("{name}: 16 threads on disjoint keys at least 6 times one"),
                    found: format!("{gain:.1} times"),
                    is_met: gain >= 6.0,
                });
            }
        }
        for (ours, theirs) in [(SNAPSHOT, CANOPY), (EXCLUSIVE, CANOPY_EXCLUSIVE)] {
            for (row, threads) in THREADS.iter().enumerate() {
                let ratio = found.ratio((row, ours), (row, theirs));
                goals.push(Goal {
                    what: format!("{ours} ahead of {theirs}, {}, {threads} threads", job.name()),
                    found: format!("{ratio:.3} times"),
                    is_met: ratio > 1.0,
                });
            }
        }
    }
    goals
}
