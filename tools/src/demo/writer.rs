//! The writer: one small commit after the other, each of which changes a few files and their totals together.

use super::load::TREE;
use super::random::Random;
use super::record::Record;
use super::totals::Changes;
use crate::{Error, Result};
use pentimento::{Database, Durability};
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How many files one commit changes.
pub(crate) const FILES_PER_COMMIT: u64 = 4;
/// By how much a file grows or shrinks at most, in bytes.
const MAX_STEP: u64 = 4_096;

/// What the writer did in one round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub commits: u64,
    pub elapsed: Duration,
    /// The processor time of the thread: what else runs on the machine matters little to it.
    pub busy: Duration,
    /// The longest that a commit took, from waiting for the writer's turn to the return of the commit.
    pub slowest: Duration,
}

/// Changes files at random, the same in each run.
pub(crate) struct Writer<'d> {
    db: &'d Database,
    keys: &'d [Box<[u8]>],
    durability: Durability,
    random: Random,
    changes: Changes,
}

impl<'d> Writer<'d> {
    /// A writer on these keys, of which there must be at least one.
    pub fn new(db: &'d Database, keys: &'d [Box<[u8]>], durability: Durability) -> Writer<'d> {
        Writer { db, keys, durability, random: Random::new(20_260_101), changes: Changes::default() }
    }

    /// Commits until told to stop, at least once.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<Written> {
        let mut written = Written::default();
        let busy = processor_time();
        let began = Instant::now();
        let mut last = began;
        loop {
            self.commit()?;
            let now = Instant::now();
            written.commits += 1;
            written.slowest = written.slowest.max(now - last);
            last = now;
            if stop.load(Ordering::Relaxed) {
                written.elapsed = now - began;
                written.busy = processor_time() - busy;
                return Ok(written);
            }
        }
    }

    fn commit(&mut self) -> Result<()> {
        let mut txn = self.db.begin_write()?;
        txn.set_durability(self.durability)?;
        let mut files = txn.tree(TREE)?;
        for _ in 0..FILES_PER_COMMIT {
            let path = &self.keys[self.random.below(self.keys.len() as u64) as usize];
            let stored = files.get(path)?.and_then(Record::decode);
            let mut record = stored.ok_or_else(|| {
                Error::Proof(vec![format!("the record of {:?} is gone", path.escape_ascii().to_string())])
            })?;
            let old_size = record.size;
            record.size = step(old_size, &mut self.random);
            files.insert(path, record.encode())?;
            self.changes.resized(path, old_size, record.size);
        }
        self.changes.store(&mut txn)?;
        txn.commit()?;
        Ok(())
    }
}

/// The processor time of this thread so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // It starts at zero and only grows.
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Another size, not far from this one.
fn step(size: u64, random: &mut Random) -> u64 {
    let by = 1 + random.below(MAX_STEP);
    // Not above half the range, so that totals of many files cannot overflow either.
    if random.below(2) == 0 || size > u64::MAX >> 32 { size.saturating_sub(by) } else { size + by }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interrupt;
    use crate::demo::analysis::analyse;
    use crate::demo::record::{FileTime, Kind};
    use std::thread;

    #[test]
    fn totals_equal_the_sums_at_each_moment_and_files_do_change() {
        let db = Database::in_memory().unwrap();
        let keys: Vec<Box<[u8]>> = (0..50).map(|i| format!("{i}.e{}", i % 4).into_bytes().into()).collect();
        let mut txn = db.begin_write().unwrap();
        let mut changes = Changes::default();
        for key in &keys {
            let time = FileTime::default();
            let record = Record { size: 3, modified: time, changed: time, crc: 0, kind: Kind::Regular };
            txn.tree(TREE).unwrap().insert(key, record.encode()).unwrap();
            changes.added(key, 3);
        }
        changes.store(&mut txn).unwrap();
        txn.commit().unwrap();
        let before = analyse(&db.snapshot().unwrap(), &Interrupt::default()).unwrap();

        let stop = AtomicBool::new(false);
        let written = thread::scope(|scope| {
            let writer = scope.spawn(|| Writer::new(&db, &keys, Durability::None).run(&stop).unwrap());
            for _ in 0..50 {
                let answer = analyse(&db.snapshot().unwrap(), &Interrupt::default()).unwrap();
                assert_eq!((answer.entries, answer.disagreement()), (50, None));
            }
            stop.store(true, Ordering::Relaxed);
            writer.join().unwrap()
        });
        assert!(written.commits >= 1 && written.slowest <= written.elapsed && !written.busy.is_zero());
        let after = analyse(&db.snapshot().unwrap(), &Interrupt::default()).unwrap();
        assert_ne!(before.summed, after.summed);
    }

    #[test]
    fn a_step_always_changes_what_can_change() {
        let mut random = Random::new(1);
        for size in [1, 5_000, u64::MAX] {
            assert!((0..100).all(|_| step(size, &mut random) != size));
        }
    }
}
