//! Workload 9: data four times larger than the memory that the process is allowed, its share of the page cache included: random gets, and updates in durable transactions of 100.
//!
//! Loaded without the limit by this process, closed, and dropped from the page cache; then opened by a process of its own within the limit. Engines are told of the limit, and
//! set their caches by it. Values have 1 KiB. Each of the two parts ends after some seconds, and the mean is of what was done by then.

use super::Workload;
use crate::context::{Context, expect_equal};
use crate::data::{Data, KEY_LEN, Key, digest};
use crate::engine::{Durability, Engine, Kind, Reader, Setup, View};
use crate::limit::Limit;
use crate::metric::Metric;
use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

const GET: Metric = Metric::nanoseconds("memory.get", "a quarter fits into memory: random get");
const UPDATE: Metric = Metric::nanoseconds("memory.update", "a quarter fits into memory: update, durable in hundreds");
pub(super) const METRICS: &[Metric] = &[GET, UPDATE];

const VALUE_LEN: usize = 1024;
const BATCH: usize = 100;
/// How many times the data is larger than the memory.
const TIMES: u64 = 4;

/// What the process within the limit is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Turn {
    kind: Kind,
    dir: PathBuf,
    entries: usize,
    memory: u64,
    /// The most gets and updates, and the most seconds for each of the two.
    gets: usize,
    updates: usize,
    seconds: f64,
}

/// What it answers, in nanoseconds.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    get: f64,
    update: f64,
}

struct Load;

impl Workload for Load {
    fn run<E: Engine>(context: &mut Context<'_>) -> Result<()> {
        let data = context.data(context.plan.entries, VALUE_LEN);
        let engine = E::open(context.dir, &context.setup(VALUE_LEN))?;
        for start in (0..data.keys.len()).step_by(10_000) {
            let end = data.keys.len().min(start + 10_000);
            let entries = (start..end).map(|number| (data.keys[number].as_slice(), data.value(number, 0)));
            engine.put_all(entries, Durability::Relaxed)?;
        }
        // What is left in a log would be read into memory when the store is opened within the limit.
        engine.settle()?;
        engine.close()
    }
}

/// One turn.
pub(super) fn run(context: &mut Context<'_>) -> Result<()> {
    let entries = context.plan.entries;
    let memory = (entries * (KEY_LEN + VALUE_LEN)) as u64 / TIMES;
    let skip = |context: &Context<'_>, why: String| {
        context.progress.suspend(|| eprintln!("SKIPPED: {} with limited memory: {why}", context.kind.name()));
    };
    let limit = match Limit::new(memory) {
        Ok(limit) => limit,
        Err(error) => {
            skip(context, format!("{error:#}"));
            return Ok(());
        }
    };
    context.say("limited memory: load");
    super::dispatch::<Load>(context)?;
    forget(context.dir)?;
    context.say(GET.title);
    let (gets, updates, seconds) = if context.plan.quick { (5_000, 1_000, 1.5) } else { (20_000, 5_000, 8.0) };
    let turn = Turn { kind: context.kind, dir: context.dir.canonicalize()?, entries, memory, gets, updates, seconds };
    let mut command = limit.command()?;
    command.arg("--limited-turn").arg(serde_json::to_string(&turn)?).stderr(Stdio::piped());
    let output = command.output().context("cannot start the process within the limit")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or("it said nothing").to_owned();
        // An engine that does not fit is a result as well.
        skip(context, format!("its process ended with {} ({said})", output.status));
        return Ok(());
    }
    let answer: Answer =
        serde_json::from_slice(&output.stdout).context("the process within the limit gave no answer")?;
    context.record(&GET, answer.get);
    context.record(&UPDATE, answer.update);
    Ok(())
}

/// Drops the files of a folder from the page cache: what is cached already is charged to nobody's limit.
fn forget(dir: &Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(dir) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let file = File::open(entry.path())?;
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// The part that runs within the limit; gives the answer as JSON.
///
/// # Errors
/// When the engine fails or answers wrongly.
pub fn limited(turn: &str) -> Result<String> {
    let turn: Turn = serde_json::from_str(turn).context("--limited-turn is for this program's own use")?;
    let answer = match turn.kind {
        Kind::Pentimento => within::<crate::engines::pentimento::Pentimento>(&turn),
        Kind::Lmdb => within::<crate::engines::lmdb::Lmdb<heed::WithTls>>(&turn),
        Kind::Redb => within::<crate::engines::redb::Redb>(&turn),
        Kind::Canopydb => within::<crate::engines::canopydb::Canopydb>(&turn),
        Kind::Fjall => within::<crate::engines::fjall::Fjall>(&turn),
        Kind::Sqlite => within::<crate::engines::sqlite::Sqlite>(&turn),
        Kind::Rustdb => Err(anyhow!("rustdb takes no part in this")),
    }?;
    Ok(serde_json::to_string(&answer)?)
}

fn within<E: Engine>(turn: &Turn) -> Result<Answer> {
    let mut data = Data::new(turn.entries, VALUE_LEN);
    let mut rng = fastrand::Rng::with_seed(3);
    let gets: Vec<(Key, u64)> = (0..turn.gets)
        .map(|_| rng.usize(..turn.entries))
        .map(|number| (data.keys[number], digest(data.value(number, 0))))
        .collect();
    let (updates, _) = data.probes(turn.updates, 4);
    // The memory is for the engine.
    data.keys = Vec::new();
    let setup = Setup { memory: turn.memory, value_len: VALUE_LEN, is_tight: true };
    let engine = E::open(&turn.dir, &setup)?;
    let (mut read, mut sum, mut expected) = (0usize, 0u64, 0u64);
    let started = Instant::now();
    {
        let view = engine.view()?;
        let reader = view.reader()?;
        while read < gets.len() && started.elapsed().as_secs_f64() < turn.seconds {
            let (key, digest_of_it) = &gets[read];
            sum = sum.wrapping_add(reader.get(key, digest)?.ok_or_else(|| anyhow!("a key is gone"))?);
            expected = expected.wrapping_add(*digest_of_it);
            read += 1;
        }
    }
    let get = started.elapsed().as_secs_f64() * 1e9 / read as f64;
    expect_equal("the sum over random gets", sum, expected)?;
    let started = Instant::now();
    let mut written = 0;
    for batch in updates.chunks(BATCH) {
        engine.put_all(batch.iter().map(|key| (key.as_slice(), data.value(1, 1))), Durability::Durable)?;
        written += batch.len();
        if started.elapsed().as_secs_f64() >= turn.seconds {
            break;
        }
    }
    let update = started.elapsed().as_secs_f64() * 1e9 / written as f64;
    {
        let view = engine.view()?;
        let reader = view.reader()?;
        for key in updates[..written].iter().step_by(written / 50 + 1) {
            let is_new = reader.get(key, |value| value == data.value(1, 1))?;
            expect_equal("an update that was committed", u64::from(is_new == Some(true)), 1)?;
        }
    }
    engine.close()?;
    Ok(Answer { get, update })
}
