//! The whole store against the dumbest model: maps of the standard library, and for every snapshot a copy of all of them.
//!
//! Strategy: random histories of transactions (every operation on six trees with keys and values of every size; trees made, renamed and dropped; savepoints;
//! each durability; given up at times), with snapshots and what outlives them taken and dropped in any order, checkpoints and
//! maintenance in between, closing and opening again; every page size, in a file and in memory alone, also with so little memory that transactions spill and
//! writers wait. A history that fails is shrunk.
//!
//! Invariants: every answer is the model's; every snapshot, owned iterator and owned value keeps telling its moment; nothing is lost by closing; the
//! checker finds nothing.

#[path = "model/apply.rs"]
mod apply;
mod common;
#[path = "model/steps.rs"]
mod steps;

use bytes::Bytes;
use common::{State, assert_clean, assert_sees, assert_walk, cases};
use pentimento::{Database, Error, OwnedRange, Snapshot};
use quickcheck::QuickCheck;
use std::path::PathBuf;
use steps::{Case, Setup, Step};

/// How many snapshots are held at most.
const SNAPSHOTS: usize = 12;

/// What outlives the snapshot that it came from, with what it must tell.
enum Kept {
    Range(Box<OwnedRange>, Vec<(Vec<u8>, Vec<u8>)>, u64),
    Value(Bytes, Vec<u8>),
}

impl Kept {
    fn check(self) {
        match self {
            Kept::Range(range, expected, turns) => {
                assert_walk(range, expected.iter().map(|(k, v)| (k.as_slice(), v.as_slice())).collect(), turns);
            }
            Kept::Value(value, expected) => assert!(value == expected, "a value that was kept has changed"),
        }
    }
}

struct World {
    setup: Setup,
    _dir: tempfile::TempDir,
    path: PathBuf,
    /// Absent only while it is opened again.
    db: Option<Database>,
    now: State,
    snapshots: Vec<(Snapshot, State)>,
    kept: Vec<Kept>,
}

impl World {
    fn new(setup: Setup) -> World {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.pent");
        let db = Some(setup.open(&path));
        World { setup, _dir: dir, path, db, now: State::new(), snapshots: Vec::new(), kept: Vec::new() }
    }

    fn db(&self) -> &Database {
        self.db.as_ref().expect("the store is open between steps")
    }

    fn step(&mut self, number: usize, step: &Step) {
        match step {
            Step::Transaction { ops, lasting, commit } => {
                let mut txn = self.db().begin_write().unwrap();
                let base = txn.base();
                txn.set_durability(lasting.durability()).unwrap();
                let mut state = self.now.clone();
                apply::all(&mut txn, ops, &mut state);
                if *commit {
                    let at = txn.commit().unwrap();
                    assert!(at >= base);
                    assert_eq!(self.db().timestamp(), at, "a commit that has returned is what readers see");
                    self.now = state;
                } else if number.is_multiple_of(2) {
                    txn.rollback();
                }
                assert_sees(&self.db().snapshot().unwrap(), &self.now);
            }
            Step::Snapshot if self.snapshots.len() < SNAPSHOTS => {
                let snapshot = self.db().snapshot().unwrap().labelled("model");
                self.snapshots.push((snapshot, self.now.clone()));
            }
            Step::Snapshot => {}
            Step::DropSnapshot(which) => {
                if !self.snapshots.is_empty() {
                    let (snapshot, state) = self.snapshots.swap_remove(usize::from(*which) % self.snapshots.len());
                    // A clone is the same moment, whichever of the two goes first.
                    let clone = snapshot.clone();
                    drop(snapshot);
                    assert_sees(&clone, &state);
                }
            }
            Step::Keep(which, start, end, kind) => self.keep(*which, *start, *end, *kind),
            Step::DropKept(which) => {
                if !self.kept.is_empty() {
                    self.kept.swap_remove(usize::from(*which) % self.kept.len()).check();
                }
            }
            Step::Checkpoint => {
                let at = self.db().checkpoint().unwrap();
                assert_eq!(at, self.db().timestamp());
            }
            Step::Flush => {
                self.db().flush().unwrap();
                if !self.setup.in_memory {
                    assert!(self.db().stats().durable >= self.db().timestamp());
                }
            }
            Step::Maintain => {
                self.db().maintain().unwrap();
            }
            Step::Check => assert_clean(self.db()),
            Step::Reopen { read_only_first } => self.reopen(*read_only_first),
        }
        if !self.snapshots.is_empty() {
            let (snapshot, state) = &self.snapshots[number % self.snapshots.len()];
            assert_sees(snapshot, state);
        }
    }

    fn keep(&mut self, which: u8, start: u16, end: u16, kind: u8) {
        let Some((snapshot, state)) = self.snapshots.get(usize::from(which) % SNAPSHOTS) else { return };
        let Some(entries) = state.get(&steps::name(which)) else {
            assert!(matches!(snapshot.tree(&steps::name(which)), Err(Error::NoSuchTree { .. })));
            return;
        };
        let tree = snapshot.tree(&steps::name(which)).unwrap();
        if kind.is_multiple_of(2) {
            let bounds = steps::bounds(which, start, end, kind);
            let expected = apply::within(entries, &bounds);
            let expected = expected.into_iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
            self.kept.push(Kept::Range(Box::new(tree.range_owned(bounds)), expected, u64::from(start) * 0x5DEE_CE66D));
        } else if let Some((key, value)) = entries.iter().nth(usize::from(start) % entries.len().max(1)) {
            let found = tree.get_bytes(key).unwrap().expect("the model has the key");
            assert_eq!(tree.get(key).unwrap(), Some(found.as_ref()));
            self.kept.push(Kept::Value(found, value.clone()));
        }
    }

    /// What is left when the store is closed cleanly is exactly what was there.
    fn reopen(&mut self, read_only_first: bool) {
        if self.setup.in_memory {
            return;
        }
        self.release_all();
        self.db.take().expect("it is open").close().unwrap();
        if read_only_first {
            let db = self.setup.builder().read_only(true).open(&self.path).unwrap();
            assert_sees(&db.snapshot().unwrap(), &self.now);
            assert!(matches!(db.begin_write(), Err(Error::ReadOnly)));
            assert_clean(&db);
            db.close().unwrap();
        }
        // The page size is the file's, whatever is asked for.
        self.db = Some(Setup { page_size: 8192, ..self.setup }.builder().open(&self.path).unwrap());
        assert_sees(&self.db().snapshot().unwrap(), &self.now);
    }

    fn release_all(&mut self) {
        for (snapshot, state) in self.snapshots.drain(..) {
            assert_sees(&snapshot, &state);
        }
        self.kept.drain(..).for_each(Kept::check);
    }

    fn finish(mut self) {
        assert_clean(self.db());
        self.release_all();
        self.db().maintain().unwrap();
        self.db().checkpoint().unwrap();
        self.db().maintain().unwrap();
        assert_eq!(self.db().stats().versions_retained, 0, "nobody reads, so nothing old is kept");
        assert_clean(self.db());
        self.reopen(false);
        assert_clean(self.db());
    }
}

#[test]
fn every_answer_is_the_models() {
    fn property(case: Case) -> bool {
        let mut world = World::new(case.setup);
        for (number, step) in case.steps.iter().enumerate() {
            world.step(number, step);
        }
        world.finish();
        true
    }
    QuickCheck::new().tests(cases(60)).quickcheck(property as fn(Case) -> bool);
}
