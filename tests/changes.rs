//! What changed between two snapshots, against the full comparison of both.
//!
//! Strategy: the random histories of the model tests (every operation on six trees, values up to many pages, trees made, renamed and dropped, savepoints), with
//! snapshots taken and dropped in any order; after each transaction some pairs of snapshots are compared, at the end all. Then the cases that the
//! argument for comparing changed leaves alone rests on, one by one; what a comparison costs; and what damage does.
//!
//! Invariants: the changes are exactly those of the model, in order; applied to a copy of the older state they give the newer; pages touched follow the difference.

#[path = "model/apply.rs"]
mod apply;
#[path = "changes/arguments.rs"]
mod arguments;
mod common;
#[path = "changes/costs.rs"]
mod costs;
#[path = "changes/expected.rs"]
mod expected;
#[path = "model/steps.rs"]
mod steps;

use common::{State, assert_clean, cases};
use expected::{assert_changes, assert_changes_in};
use pentimento::{Database, Snapshot};
use quickcheck::QuickCheck;
use steps::{Case, Step};

/// How many snapshots are held at most.
const SNAPSHOTS: usize = 12;

struct World {
    db: Database,
    now: State,
    snapshots: Vec<(Snapshot, State)>,
}

impl World {
    fn step(&mut self, number: usize, step: &Step) {
        match step {
            Step::Transaction { ops, lasting, commit } => {
                let mut txn = self.db.begin_write().unwrap();
                txn.set_durability(lasting.durability()).unwrap();
                let mut state = self.now.clone();
                apply::all(&mut txn, ops, &mut state);
                if *commit {
                    txn.commit().unwrap();
                    self.now = state;
                }
                if let Some((older, before)) = self.snapshots.get(number % SNAPSHOTS) {
                    assert_changes(&self.db.snapshot().unwrap(), older, before, &self.now);
                }
            }
            Step::Snapshot if self.snapshots.len() < SNAPSHOTS => {
                self.snapshots.push((self.db.snapshot().unwrap(), self.now.clone()));
            }
            Step::DropSnapshot(which) | Step::DropKept(which) if !self.snapshots.is_empty() => {
                self.snapshots.remove(usize::from(*which) % self.snapshots.len());
            }
            // What outlives a snapshot is the other tests' concern; here its numbers choose a range.
            Step::Keep(which, start, end, kind) => {
                if let Some((older, before)) = self.snapshots.get(usize::from(*which) % SNAPSHOTS) {
                    let bounds = steps::bounds(*which, *start, *end, *kind);
                    let newer = self.db.snapshot().unwrap();
                    assert_changes_in(&newer, older, before, &self.now, &steps::name(*which), &bounds);
                }
            }
            Step::Maintain | Step::Reopen { read_only_first: true } => drop(self.db.maintain().unwrap()),
            Step::Checkpoint | Step::Reopen { .. } => drop(self.db.checkpoint().unwrap()),
            // Moves pages and merges leaves, and changes no entry.
            Step::Flush => drop(self.db.compact().unwrap()),
            _ => {}
        }
    }
}

#[test]
fn changes_are_what_comparing_everything_gives() {
    fn property(case: Case) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let db = case.setup.open(&dir.path().join("changes.pent"));
        let mut world = World { db, now: State::new(), snapshots: Vec::new() };
        for (number, step) in case.steps.iter().enumerate() {
            world.step(number, step);
        }
        world.snapshots.push((world.db.snapshot().unwrap(), world.now.clone()));
        for (index, (newer, after)) in world.snapshots.iter().enumerate() {
            for (older, before) in &world.snapshots[..=index] {
                assert_changes(newer, older, before, after);
            }
        }
        assert_clean(&world.db);
        true
    }
    QuickCheck::new().tests(cases(25)).quickcheck(property as fn(Case) -> bool);
}
