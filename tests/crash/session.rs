//! A process that uses a store on a simulated disk, step by step, and knows what it should hold.

mod naming;

use crate::changes;
use crate::model::{Model, State, shows};
use crate::opening::{Options, open};
use crate::simulated::{Disk, Names, Random};
use pentimento::{Database, Durability, Error, Snapshot, Timestamp, WriteTransaction};
use std::sync::Arc;
use std::time::Duration;

/// Why a step did not go well.
#[derive(Debug)]
pub enum Trouble {
    /// The engine returned an error: fine if the disk failed.
    Refused(Error),
    /// Something is not as it should be, whatever the disk did.
    Broken(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Refused(error)
    }
}

pub type Outcome = Result<(), Trouble>;

fn broken(what: String) -> Outcome {
    Err(Trouble::Broken(what))
}

/// What a session did, to see that workloads reach what they are for.
#[derive(Default)]
pub struct Deeds {
    pub commits: u64,
    pub checkpoints: u64,
    pub spilled: u64,
    pub reopened: u64,
    pub felled: u64,
    /// Changes of names, and restored states.
    pub named: u64,
    pub restored: u64,
    /// Bytes that compactions moved and merged.
    pub moved: u64,
    pub merged: u64,
}

/// So many random changes.
fn many(count: u64) -> impl FnOnce(&mut WriteTransaction, &mut State, &mut Random) -> Result<(), Error> {
    move |txn, state, random| (0..count).try_for_each(|_| changes::change(txn, state, random))
}

pub struct Session {
    pub disk: Disk,
    pub db: Option<Database>,
    pub model: Model,
    options: Options,
    random: Random,
    /// Whether commits may ask for durability within some time: then the background thread writes when it likes.
    uses_intervals: bool,
    /// Whether there is a tree that is large.
    has_large: bool,
    /// Whether every fourth step or so is a compaction.
    compacts_often: bool,
    pub deeds: Deeds,
    /// The newest commit, and what it left.
    installed: u64,
    current: Arc<State>,
    held: Vec<(Snapshot, Arc<State>)>,
    /// The named snapshots that are there for sure, and those that may be.
    pub names: Names,
    /// Whether every fourth step or so is about names.
    names_often: bool,
}

impl Session {
    /// Opens the store on the disk. `model` knows its past, if it has one.
    pub fn begin(disk: &Disk, model: Model, options: Options, seed: u64) -> Result<Session, Trouble> {
        let mut session = Session {
            disk: disk.clone(),
            db: None,
            model,
            options,
            random: Random::new(seed),
            uses_intervals: seed.is_multiple_of(3),
            has_large: seed % 8 == 7,
            compacts_often: seed % 7 == 3,
            deeds: Deeds::default(),
            installed: 0,
            current: Arc::default(),
            held: Vec::new(),
            names: Names::default(),
            names_often: seed % 4 == 2,
        };
        session.open()?;
        Ok(session)
    }

    fn open(&mut self) -> Outcome {
        let db = open(&self.disk, self.options)?;
        let at = db.timestamp().0;
        self.model.reaches(at.min(1)); // the first commit makes the catalog
        self.settle_at(at);
        // What an open store shows may not be lost again.
        self.disk.promised(at);
        let watched = db.clone();
        self.disk.watch(Some(Box::new(move || watched.timestamp().0)));
        self.db = Some(db);
        self.settle_names()?;
        self.look()
    }

    /// The newest commit is `at`; what the model expected after it is not there.
    fn settle_at(&mut self, at: u64) {
        self.installed = at;
        self.current = self.model.state_at(at).clone();
    }

    fn db(&self) -> Result<Database, Trouble> {
        self.db.clone().ok_or_else(|| Trouble::Broken("the run goes on without a store".to_owned()))
    }

    /// The timestamp of the store now.
    pub fn timestamp(&self) -> Option<u64> {
        self.db.as_ref().map(|db| db.timestamp().0)
    }

    /// One random step.
    pub fn step(&mut self) -> Outcome {
        if self.has_large && self.random.one_in(8) {
            let mut fells = false;
            self.commit_changes(Durability::None, |txn, state, random| {
                fells = changes::grow_or_fell(txn, state, random)?;
                Ok(())
            })?;
            self.deeds.felled += u64::from(fells);
            return Ok(());
        }
        if self.compacts_often && self.random.one_in(4) {
            return self.compact();
        }
        if self.names_often && self.random.one_in(4) {
            return self.name();
        }
        match self.random.below(100) {
            0..64 => self.commit(),
            64..69 => self.think_better(),
            69..75 => self.checkpoint(),
            75..77 => self.flush(),
            77..79 => self.compact(),
            79..83 => self.maintain(),
            83..91 => self.hold(),
            91..94 => self.release(),
            94..96 => self.look(),
            _ => self.reopen(),
        }
    }

    fn durability(&mut self) -> Durability {
        match self.random.below(10) {
            0..4 => Durability::Sync,
            4 if self.uses_intervals => Durability::Interval(Duration::from_micros(self.random.within(1, 3000))),
            _ => Durability::None,
        }
    }

    /// A transaction with random changes.
    pub fn commit(&mut self) -> Outcome {
        let durability = self.durability();
        let count = changes::how_many(&mut self.random);
        self.commit_changes(durability, many(count))
    }

    /// A small transaction that is durable when it returns.
    pub fn commit_durably(&mut self) -> Outcome {
        self.commit_changes(Durability::Sync, many(2))
    }

    fn commit_changes(
        &mut self,
        durability: Durability,
        changes: impl FnOnce(&mut WriteTransaction, &mut State, &mut Random) -> Result<(), Error>,
    ) -> Outcome {
        let db = self.db()?;
        let mut txn = db.begin_write()?;
        let base = txn.base().0;
        if base != self.installed {
            return broken(format!("a transaction began after commit {base}, the newest was {}", self.installed));
        }
        txn.set_durability(durability)?;
        let mut state = (*self.current).clone();
        changes(&mut txn, &mut state, &mut self.random)?;
        let state = Arc::new(state);
        let strict = durability == Durability::Sync;
        self.model.expect(base + 1, state.clone(), strict);
        let result = txn.commit();
        match result {
            Ok(Timestamp(at)) if at == base + 1 => {
                self.settle_at(at);
                if strict {
                    self.disk.promised(at);
                    if db.timestamp().0 != at {
                        return broken(format!(
                            "commit {at} was acknowledged, but readers see only {}",
                            db.timestamp()
                        ));
                    }
                }
                Ok(())
            }
            Ok(Timestamp(at)) if at == base && state == self.current => {
                self.model.retract(base + 1);
                Ok(())
            }
            Ok(at) => broken(format!("commit {} was acknowledged as {at}", base + 1)),
            // It changed nothing, and what it began after would not become durable.
            Err(error @ Error::OutcomeUnknown { at: Timestamp(at), .. }) if at == base && state == self.current => {
                self.model.retract(base + 1);
                Err(error.into())
            }
            Err(Error::OutcomeUnknown { at, source }) => {
                if at.0 != base + 1 {
                    return broken(format!("commit {} failed as {at}", base + 1));
                }
                self.settle_at(at.0);
                Err(Error::OutcomeUnknown { at, source }.into())
            }
            Err(error) => {
                self.model.retract(base + 1);
                Err(error.into())
            }
        }
    }

    /// A tree grows, which does not go into the journal if it is large, and loses nine in ten of its entries.
    pub fn autumn(&mut self) -> Outcome {
        self.commit_changes(Durability::None, changes::grow_needles)?;
        self.checkpoint()?;
        self.commit_changes(Durability::None, changes::drop_needles)
    }

    /// A transaction that is rolled back.
    fn think_better(&mut self) -> Outcome {
        let mut txn = self.db()?.begin_write()?;
        let mut state = (*self.current).clone();
        many(changes::how_many(&mut self.random))(&mut txn, &mut state, &mut self.random)?;
        txn.rollback();
        Ok(())
    }

    fn checkpoint(&mut self) -> Outcome {
        let at = self.db()?.checkpoint()?.0;
        self.disk.promised(at);
        if at == self.installed { Ok(()) } else { broken(format!("the checkpoint is of {at}, not {}", self.installed)) }
    }

    fn flush(&mut self) -> Outcome {
        self.db()?.flush()?;
        self.disk.promised(self.installed);
        Ok(())
    }

    fn maintain(&mut self) -> Outcome {
        let db = self.db()?;
        let result = db.maintain();
        // It may have made commits of its own, which change nothing that can be read.
        let installed = db.stats().installed.0;
        self.model.reaches(installed);
        self.settle_at(installed);
        result?;
        Ok(())
    }

    /// Some steps of a compaction, perhaps all of it. Its commits change nothing that can be read.
    pub fn compact(&mut self) -> Outcome {
        let db = self.db()?;
        let (steps, budget) = (self.random.within(1, 12), self.random.within(1, 200_000));
        let result = db.compactor().and_then(|compactor| {
            let mut compactor = compactor.patience(Duration::ZERO);
            for _ in 0..steps {
                compactor.step(budget)?;
            }
            Ok((compactor.progress().bytes_moved, compactor.progress().bytes_merged))
        });
        let installed = db.stats().installed.0;
        self.model.reaches(installed);
        self.settle_at(installed);
        let (moved, merged) = result?;
        self.deeds.moved += moved;
        self.deeds.merged += merged;
        Ok(())
    }

    fn hold(&mut self) -> Outcome {
        let snapshot = self.db()?.snapshot()?;
        let state = self.model.state_at(snapshot.timestamp().0).clone();
        self.held.push((snapshot, state));
        self.look()
    }

    fn release(&mut self) -> Outcome {
        self.look()?;
        if !self.held.is_empty() {
            let index = self.random.below(self.held.len() as u64) as usize;
            self.held.swap_remove(index);
        }
        Ok(())
    }

    /// Readers, those of long ago included, see what they should.
    pub fn look(&self) -> Outcome {
        for (snapshot, state) in &self.held {
            shows(snapshot, state).map_err(|wrong| Trouble::Broken(format!("a held snapshot {wrong}")))?;
        }
        if let Some(db) = &self.db {
            for named in db.named_snapshots()? {
                let state = self.model.state_at(named.timestamp.0);
                let shown = shows(&db.open_snapshot(&named.name)?, state);
                shown.map_err(|wrong| Trouble::Broken(format!("the snapshot {:?} {wrong}", named.name)))?;
            }
            let snapshot = db.snapshot()?;
            let at = snapshot.timestamp().0;
            if at > self.model.newest() {
                return broken(format!("readers see {at}, the newest commit is {}", self.model.newest()));
            }
            let state = self.model.state_at(at);
            shows(&snapshot, state).map_err(|wrong| Trouble::Broken(format!("a new snapshot {wrong}")))?;
        }
        Ok(())
    }

    /// Whether the store takes writes.
    pub fn is_writable(&self) -> bool {
        self.db.as_ref().is_some_and(|db| db.begin_write().is_ok())
    }

    /// Every law of the store, by its own checker.
    pub fn check(&self) -> Outcome {
        let report = self.db()?.check();
        if report.is_clean() {
            return Ok(());
        }
        let first: Vec<String> = report.findings.iter().take(8).map(ToString::to_string).collect();
        broken(format!("the checker has {} findings; the first: {}", report.findings.len(), first.join("; ")))
    }

    /// Closes the store; what it holds is durable then.
    pub fn close(&mut self) -> Outcome {
        self.held.clear();
        self.disk.watch(None);
        if let Some(db) = self.db.take() {
            let stats = db.stats();
            self.deeds.commits += stats.commits;
            self.deeds.checkpoints += stats.checkpoints;
            self.deeds.spilled += stats.versions_spilled;
            db.close()?;
            self.disk.promised(self.installed);
        }
        Ok(())
    }

    fn reopen(&mut self) -> Outcome {
        let before = self.installed;
        self.close()?;
        self.open()?;
        self.deeds.reopened += 1;
        if self.installed == before {
            Ok(())
        } else {
            broken(format!("the store was closed at {before} and opened at {}", self.installed))
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Else the disk would keep the store open, and the store the disk.
        self.disk.watch(None);
    }
}
