//! Workload 8: YCSB A to F, by 2 threads, with values of 1 KiB and keys picked by a Zipf distribution with exponent 0.99.
//!
//! A: half reads, half updates. B: 95 % reads, 5 % updates. C: reads alone. D: 95 % reads of what came latest, 5 % inserts. E: 95 % ranges of up to 100 entries, 5 % inserts.
//! F: half reads, half reads followed by an update of the same key. (As in YCSB itself, whose description this follows, the two of F are separate calls.) Nobody waits for the disk. What
//! each thread does is drawn before the clock starts. Keys are random bytes, so that ranks are scattered over the tree without further scrambling.

use super::Workload;
use super::get::span;
use crate::context::{Context, expect_equal};
use crate::data::{Data, Key};
use crate::engine::{Durability, Engine, Reader, View};
use crate::metric::Metric;
use anyhow::{Result, anyhow};
use hdrhistogram::Histogram;
use rand::distr::Distribution;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::Zipf;
use std::sync::Barrier;
use std::time::Instant;

/// One of the six.
struct Mix {
    figures: [Metric; 4],
    updates: u32,
    inserts: u32,
    scans: bool,
    modifies: bool,
    latest: bool,
}

macro_rules! figures {
    ($id:literal, $title:literal) => {
        [
            Metric::rate(concat!("ycsb.", $id), concat!("YCSB ", $title, ": operations")),
            Metric::nanoseconds(concat!("ycsb.", $id, ".p50"), concat!("YCSB ", $title, ": latency, p50")),
            Metric::nanoseconds(concat!("ycsb.", $id, ".p99"), concat!("YCSB ", $title, ": latency, p99")),
            Metric::nanoseconds(concat!("ycsb.", $id, ".p999"), concat!("YCSB ", $title, ": latency, p99.9")),
        ]
    };
}

const READS: Mix =
    Mix { figures: figures!("c", "C (reads)"), updates: 0, inserts: 0, scans: false, modifies: false, latest: false };

const MIXES: &[Mix] = &[
    Mix { figures: figures!("a", "A (half updates)"), updates: 50, ..READS },
    Mix { figures: figures!("b", "B (5 % updates)"), updates: 5, ..READS },
    READS,
    Mix { figures: figures!("d", "D (reads of the latest)"), inserts: 5, latest: true, ..READS },
    Mix { figures: figures!("e", "E (ranges)"), inserts: 5, scans: true, ..READS },
    Mix { figures: figures!("f", "F (read, modify, write)"), updates: 50, modifies: true, ..READS },
];

/// All their figures.
pub(super) const METRICS: &[Metric] = &{
    let mut all = [MIXES[0].figures[0]; 4 * MIXES.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = MIXES[at / 4].figures[at % 4];
        at += 1;
    }
    all
};

const VALUE_LEN: usize = 1024;
const THREADS: usize = 2;
const EXPONENT: f64 = 0.99;
const LONGEST_RANGE: usize = 100;
/// A range does the work of many gets.
const SCANS_FOR: usize = 10;

#[derive(Clone, Copy)]
enum Action {
    Read(Key),
    Update(Key, usize),
    Modify(Key, usize),
    Range(Key, usize),
}

pub(super) struct Ycsb;

impl Workload for Ycsb {
    fn run<E: Engine>(context: &mut Context<'_>) -> Result<()> {
        let data = context.data(context.plan.small_entries, VALUE_LEN);
        context.say("YCSB: load");
        let engine = E::open(context.dir, &context.setup(VALUE_LEN))?;
        engine.put_all(data.entries(0), Durability::Durable)?;
        super::load::check(&engine, &data)?;
        let mut count = data.keys.len();
        for (number, mix) in MIXES.iter().enumerate() {
            if !context.wants(&mix.figures.each_ref()) {
                continue;
            }
            context.say(mix.figures[0].title);
            let actions = context.plan.small_entries / 2 / if mix.scans { SCANS_FOR } else { 1 };
            let seed = (context.round * MIXES.len() + number) as u64;
            let scripts = [0, 1].map(|thread| script(mix, &data, actions, seed * 2 + thread));
            count += scripts.iter().map(|(_, inserts)| inserts).sum::<usize>();
            let (seconds, latencies) = play(&engine, &data, &scripts.map(|(script, _)| script))?;
            context.record(&mix.figures[0], (THREADS * actions) as f64 / seconds);
            for (figure, quantile) in mix.figures[1..].iter().zip([0.5, 0.99, 0.999]) {
                context.record(figure, latencies.value_at_quantile(quantile) as f64);
            }
        }
        let found = engine.view()?.reader()?.forward(&[], usize::MAX, |_, _| ())?;
        expect_equal("entries after all inserts", found as u64, count as u64)?;
        engine.close()
    }
}

/// What one thread is to do, and how many entries are new. It reads what was loaded, or what it has inserted itself.
fn script(mix: &Mix, data: &Data, actions: usize, seed: u64) -> (Vec<Action>, usize) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let zipf = Zipf::new(data.keys.len() as f64, EXPONENT).expect("there are entries, and the exponent is positive");
    let mut inserted: Vec<Key> = Vec::new();
    let script = (0..actions)
        .map(|_| {
            let rank = (zipf.sample(&mut rng) as usize).clamp(1, data.keys.len()) - 1;
            let key = match mix.latest {
                true if rank < inserted.len() => inserted[inserted.len() - 1 - rank],
                true => data.keys[data.keys.len() - 1 - (rank - inserted.len())],
                false => data.keys[rank],
            };
            let dice = rng.random_range(0..100);
            if dice < mix.inserts {
                let key: Key = rng.random();
                inserted.push(key);
                Action::Update(key, inserted.len())
            } else if dice < mix.inserts + mix.updates {
                if mix.modifies { Action::Modify(key, rank) } else { Action::Update(key, rank) }
            } else if mix.scans {
                Action::Range(key, rng.random_range(1..=LONGEST_RANGE))
            } else {
                Action::Read(key)
            }
        })
        .collect();
    (script, inserted.len())
}

/// Both threads do what they are to do; tells the seconds until both are done, and all latencies in nanoseconds.
fn play<E: Engine>(engine: &E, data: &Data, scripts: &[Vec<Action>; THREADS]) -> Result<(f64, Histogram<u64>)> {
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        let threads = scripts.each_ref().map(|script| {
            let start = &start;
            scope.spawn(move || {
                let mut latencies = Histogram::<u64>::new(3)?;
                start.wait();
                let started = Instant::now();
                let mut last = started;
                for action in script {
                    act(engine, data, *action)?;
                    let now = Instant::now();
                    latencies.record((now - last).as_nanos() as u64)?;
                    last = now;
                }
                Ok::<_, anyhow::Error>((latencies, (started, last)))
            })
        });
        let (mut all, mut times) = (Histogram::<u64>::new(3)?, Vec::new());
        for thread in threads {
            let (latencies, time) = thread.join().map_err(|_| anyhow!("a thread of YCSB panicked"))??;
            all.add(latencies)?;
            times.push(time);
        }
        Ok((span(&times), all))
    })
}

/// Each action has a view or a transaction of its own.
fn act<E: Engine>(engine: &E, data: &Data, action: Action) -> Result<()> {
    match action {
        Action::Read(key) => read(engine, &key),
        Action::Update(key, number) => engine.put_one(&key, data.value(number, 1), Durability::Relaxed),
        Action::Modify(key, number) => {
            read(engine, &key)?;
            engine.put_one(&key, data.value(number, 1), Durability::Relaxed)
        }
        Action::Range(key, limit) => {
            let mut bytes = 0;
            let count = engine.view()?.reader()?.forward(&key, limit, |_, value| bytes += value.len())?;
            expect_equal("bytes of a range", bytes as u64, (count * VALUE_LEN) as u64)
        }
    }
}

fn read<E: Engine>(engine: &E, key: &Key) -> Result<()> {
    let len = engine.view()?.reader()?.get(key, <[u8]>::len)?;
    expect_equal("the length of a value", len.unwrap_or(0) as u64, VALUE_LEN as u64)
}
