//! Several threads that commit at once, each with its own durability, and one that makes checkpoints: the leaders and followers of a group.
//!
//! Writers take turns, so the states still follow one after another; but promises are made in any order, and while others write.

use crate::changes;
use crate::explore::Run;
use crate::model::Model;
use crate::opening::{Options, open};
use crate::simulated::{Disk, Image, Random, Start};
use crate::tally::{Tally, add, count};
use pentimento::{Database, Durability, Error};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

const WRITERS: u32 = 3;

struct Shared<'d> {
    db: Database,
    disk: &'d Disk,
    model: Mutex<Model>,
    writing: AtomicU32,
}

impl Shared<'_> {
    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, writer: u32, commits: u32, mut random: Random) -> Result<(), Error> {
        for number in 0..commits {
            let strict = random.one_in(2);
            let mut txn = self.db.begin_write()?;
            txn.set_durability(if strict { Durability::Sync } else { Durability::None })?;
            let base = txn.base().0;
            let mut state = (**self.model().state_at(base)).clone();
            for _ in 0..random.within(1, 5) {
                changes::change(&mut txn, &mut state, &mut random)?;
            }
            // Something that is surely new, so that there is a commit.
            let (key, value) = ([writer as u8], number.to_be_bytes());
            txn.tree("stamps")?.insert(key, value)?;
            Arc::make_mut(state.entry("stamps".to_owned()).or_default()).insert(key.to_vec(), value.to_vec());
            self.model().expect(base + 1, Arc::new(state), strict);
            let at = txn.commit()?.0;
            assert_eq!(at, base + 1, "commits are numbered in the order of their turns");
            if strict {
                self.disk.promised(at);
            }
        }
        Ok(())
    }

    fn make_checkpoints(&self) -> Result<(), Error> {
        while self.writing.load(Ordering::Relaxed) > 0 {
            let at = self.db.checkpoint()?.0;
            self.disk.promised(at);
            thread::yield_now();
        }
        Ok(())
    }
}

/// Runs such a workload on a disk that works, and records it.
pub fn record(seed: u64, commits: u32, options: Options, tally: &Tally) -> Result<Run, String> {
    let disk = Disk::holding(&Image::default());
    let model = work(&disk, seed, commits, options).map_err(|error| format!("on a disk that works: {error}"))?;
    count(&tally.concurrent);
    add(&tally.commits, u64::from(WRITERS * commits));
    Ok(Run { start: Start::default(), record: disk.record(), model, floor: 0, depth: 0 })
}

fn work(disk: &Disk, seed: u64, commits: u32, options: Options) -> Result<Model, Error> {
    let db = open(disk, options)?;
    let mut model = Model::default();
    model.reaches(db.timestamp().0);
    disk.promised(db.timestamp().0);
    let watched = db.clone();
    disk.watch(Some(Box::new(move || watched.timestamp().0)));
    let mut random = Random::new(seed);
    let shared = Shared { db, disk, model: Mutex::new(model), writing: AtomicU32::new(WRITERS) };
    let worked = thread::scope(|scope| {
        let shared = &shared;
        let writers = (0..WRITERS).map(|writer| {
            let random = Random::new(random.next());
            scope.spawn(move || {
                let result = shared.write(writer, commits, random);
                shared.writing.fetch_sub(1, Ordering::Relaxed);
                result
            })
        });
        let writers: Vec<_> = writers.collect();
        let checkpoints = seed.is_multiple_of(2).then(|| scope.spawn(|| shared.make_checkpoints()));
        let threads = writers.into_iter().chain(checkpoints);
        threads.map(|thread| thread.join().expect("no panic")).collect::<Result<Vec<()>, Error>>()
    });
    disk.watch(None);
    worked?;
    let Shared { db, model, .. } = shared;
    db.close()?;
    let model = model.into_inner().unwrap_or_else(PoisonError::into_inner);
    disk.promised(model.newest());
    Ok(model)
}
