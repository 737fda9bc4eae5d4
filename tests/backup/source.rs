//! A source with a random history, and what it held at each moment.

use crate::changes::{change, grow_or_fell};
use crate::model::{Model, State, shows};
use crate::simulated::Random;
use pentimento::{Database, Durability, Snapshot, Timestamp};
use std::sync::Arc;

/// Small chunks, so that little makes many.
pub const CHUNK: usize = 2048;

pub struct Source {
    pub db: Database,
    pub model: Model,
    pub random: Random,
    now: State,
}

impl Source {
    pub fn new(seed: u64) -> Source {
        let db = Database::builder().page_size(4096).durability(Durability::None).in_memory().unwrap();
        Source { db, model: Model::default(), random: Random::new(seed), now: State::new() }
    }

    /// Commits some random changes.
    pub fn work(&mut self, commits: u64) {
        for _ in 0..commits {
            let mut txn = self.db.begin_write().unwrap();
            for _ in 0..self.random.within(1, 60) {
                change(&mut txn, &mut self.now, &mut self.random).unwrap();
            }
            if self.random.one_in(12) {
                grow_or_fell(&mut txn, &mut self.now, &mut self.random).unwrap();
            }
            let at = txn.commit().unwrap();
            self.model.expect(at.0, Arc::new(self.now.clone()), false);
        }
    }

    pub fn whole(&self, snapshot: &Snapshot) -> Vec<u8> {
        let mut stream = Vec::new();
        self.db.backup_of(snapshot).chunk_bytes(CHUNK).write_to(&mut stream).unwrap();
        stream
    }

    pub fn increment(&self, base: &Snapshot, snapshot: &Snapshot) -> Vec<u8> {
        let mut stream = Vec::new();
        self.db.backup_of(snapshot).since(base).chunk_bytes(CHUNK).write_to(&mut stream).unwrap();
        stream
    }

    /// A store holds exactly what this one had at `at`, and says so.
    #[track_caller]
    pub fn assert_copy(&self, copy: &Database, at: Timestamp) {
        let snapshot = copy.snapshot().unwrap();
        shows(&snapshot, self.model.state_at(at.0)).unwrap();
        let origin = snapshot.origin().unwrap().unwrap();
        assert_eq!((origin.source, origin.timestamp, origin.is_changed), (self.db.id(), at, false));
        crate::common::assert_clean(copy);
    }
}

/// What a store holds, and whether anything of it is another one afterwards.
#[track_caller]
pub fn assert_unchanged<T>(copy: &Database, during: impl FnOnce() -> T) -> T {
    let before = crate::common::read_all(&copy.snapshot().unwrap()).unwrap();
    let (at, origin) = (copy.timestamp(), copy.snapshot().unwrap().origin().unwrap());
    let done = during();
    assert_eq!(crate::common::read_all(&copy.snapshot().unwrap()).unwrap(), before);
    assert_eq!((copy.timestamp(), copy.snapshot().unwrap().origin().unwrap()), (at, origin));
    done
}
