//! Several threads that commit at once, each with its own durability, and one that makes checkpoints: the leaders and followers of a group.
//!
//! Writers take turns, so the states still follow one after another; but promises are made in any order, and while others write.

use crate::changes;
use crate::explore::Run;
use crate::model::{Model, shows};
use crate::opening::{Options, open};
use crate::simulated::{Disk, Image, Names, Random, Start};
use crate::tally::{Tally, add, count};
use pentimento::{Database, Durability, Error};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

const WRITERS: u32 = 3;

struct Shared<'d> {
    db: Database,
    disk: &'d Disk,
    model: Mutex<Model>,
    writing: AtomicU32,
}

/// A thread that was refused so often gives up.
const REFUSALS: usize = 3;

impl Shared<'_> {
    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, writer: u32, commits: u32, mut random: Random) -> Vec<Error> {
        let refusals = (0..commits).filter_map(|number| self.commit(writer, number, &mut random).err());
        let refusals = refusals.take(REFUSALS).collect();
        self.writing.fetch_sub(1, Ordering::Relaxed);
        refusals
    }

    fn commit(&self, writer: u32, number: u32, random: &mut Random) -> Result<(), Error> {
        let strict = random.one_in(2);
        let mut txn = self.db.begin_write()?;
        txn.set_durability(if strict { Durability::Sync } else { Durability::None })?;
        let base = txn.base().0;
        let mut state = (**self.model().state_at(base)).clone();
        for _ in 0..changes::how_many(random) {
            changes::change(&mut txn, &mut state, random)?;
        }
        // Something that is surely new, so that there is a commit.
        let (key, value) = ([writer as u8], number.to_be_bytes());
        txn.tree("stamps")?.insert(key, value)?;
        Arc::make_mut(state.entry("stamps".to_owned()).or_default()).insert(key.to_vec(), value.to_vec());
        // If the commit fails and takes no place, the next one that takes it will say so.
        self.model().expect(base + 1, Arc::new(state), strict);
        let at = txn.commit()?.0;
        assert_eq!(at, base + 1, "commits are numbered in the order of their turns");
        if strict {
            self.disk.promised(at);
        }
        Ok(())
    }

    fn make_checkpoints(&self) -> Vec<Error> {
        let mut refusals = Vec::new();
        while self.writing.load(Ordering::Relaxed) > 0 && refusals.len() < REFUSALS {
            match self.db.checkpoint() {
                Ok(at) => self.disk.promised(at.0),
                Err(error) => refusals.push(error),
            }
            thread::yield_now();
        }
        refusals
    }
}

/// Runs such a workload on a disk that works, and records it.
pub fn record(seed: u64, commits: u32, options: Options, tally: &Tally) -> Result<Run, String> {
    let disk = Disk::holding(&Image::default());
    let (model, refusals) = work(&disk, seed, commits, options)?;
    if let Some(error) = refusals.first() {
        return Err(format!("on a disk that works: {error}"));
    }
    count(&tally.concurrent);
    add(&tally.commits, u64::from(WRITERS * commits));
    Ok(Run { start: Start::default(), record: disk.record(), model, floor: 0, names: Names::default(), depth: 0 })
}

/// The workload; tells what was expected, and every error. Fails if readers do not see what they should.
pub fn work(disk: &Disk, seed: u64, commits: u32, options: Options) -> Result<(Model, Vec<Error>), String> {
    let mut model = Model::default();
    model.reaches(1); // the first commit makes the catalog
    let db = match open(disk, options) {
        Ok(db) => db,
        Err(error) => return Ok((model, vec![error])),
    };
    disk.promised(db.timestamp().0);
    disk.let_syncs_take(Duration::from_micros(50));
    let watched = db.clone();
    disk.watch(Some(Box::new(move || watched.timestamp().0)));
    let mut random = Random::new(seed);
    let shared = Shared { db, disk, model: Mutex::new(model), writing: AtomicU32::new(WRITERS) };
    let mut refusals: Vec<Error> = thread::scope(|scope| {
        let shared = &shared;
        let writers = (0..WRITERS).map(|writer| {
            let random = Random::new(random.next());
            scope.spawn(move || shared.write(writer, commits, random))
        });
        let mut threads: Vec<_> = writers.collect();
        if seed.is_multiple_of(2) {
            threads.push(scope.spawn(|| shared.make_checkpoints()));
        }
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    disk.watch(None);
    let Shared { db, model, .. } = shared;
    let model = model.into_inner().unwrap_or_else(PoisonError::into_inner);
    let snapshot = db.snapshot().map_err(|error| error.to_string())?;
    shows(&snapshot, model.state_at(snapshot.timestamp().0))?;
    drop(snapshot);
    let installed = db.stats().installed.0;
    match db.close() {
        Ok(()) => disk.promised(installed),
        Err(error) => refusals.push(error),
    }
    Ok((model, refusals))
}
