//! The disk gets full while inserts or removals wait, are applied or are written out, beside savepoints.
//!
//! Strategy: random transactions of long runs of inserts, removals and loads, with savepoints in between, in stores whose transactions spill early, with and without a journal whose records
//! are short. Now and then the medium refuses to grow beyond some length. A map of maps says what should be there.
//!
//! Invariants: a full disk is told by the operation that met it or by a later one, and the transaction is committed no more, unless it goes back to a savepoint: then it has exactly
//! what it had there. Whatever is not committed leaves no trace, and the checker finds nothing.

mod common;
#[path = "common/frail.rs"]
mod frail;

use common::{Entries, Random, assert_clean, cases, pattern, read_all};
use frail::FrailMedium;
use pentimento::{Database, Durability, Error, FileLogs, Logs, Medium, Savepoint, WriteTransaction};
use std::collections::BTreeMap;
use std::path::Path;

type Model = BTreeMap<String, Entries>;

/// A transaction, what it should have, and where it may go back to.
struct Work<'r> {
    txn: WriteTransaction,
    now: Model,
    savepoint: Option<(Savepoint, Model)>,
    random: &'r mut Random,
}

impl Work<'_> {
    fn entries(&mut self, name: &str) -> &mut Entries {
        self.now.entry(name.to_owned()).or_default()
    }

    fn some_entries(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (count, kind, start) = (self.random.below(400), self.random.below(3), self.random.below(60_000));
        let mut entry = |n: u64| {
            let number = match kind {
                0 => start + n,
                1 => start + 60_000 - n,
                _ => self.random.below(60_000),
            };
            let len = match self.random.below(40) {
                0 => 3000,
                1 => 20_000,
                _ => self.random.below(120),
            };
            (((number % 60_000) as u16).to_be_bytes().to_vec(), pattern(self.random.next(), len as usize))
        };
        (0..count).map(&mut entry).collect()
    }

    fn step(&mut self) -> Result<(), Error> {
        let name = ["a", "b"][self.random.below(2) as usize];
        match self.random.below(12) {
            0 => self.savepoint = Some((self.txn.savepoint()?, self.now.clone())),
            1 => drop(self.go_back()),
            2 => {
                let was_there = self.now.remove(name).is_some();
                assert_eq!(self.txn.drop_tree(name)?, was_there);
            }
            3 => {
                let start = vec![self.random.below(256) as u8];
                let gone = self.entries(name).split_off(&start).len();
                assert_eq!(self.txn.tree(name)?.remove_range(start..)?, gone as u64);
            }
            4 | 5 => {
                let load = self.some_entries();
                self.txn.tree(name)?.bulk_load(load.iter().map(|(key, value)| (key, value)))?;
                self.entries(name).extend(load);
            }
            6 => {
                let keys: Vec<_> = self.some_entries().into_iter().map(|(key, _)| key).collect();
                for key in keys {
                    let was_there = self.entries(name).remove(&key).is_some();
                    assert_eq!(self.txn.tree(name)?.remove(&key)?, was_there);
                }
            }
            _ => {
                for (key, value) in self.some_entries() {
                    self.txn.tree(name)?.insert(&key, &value)?;
                    self.entries(name).insert(key, value);
                }
                if self.random.below(2) == 0 {
                    let expected = self.entries(name).len() as u64;
                    let tree = self.txn.tree(name)?;
                    let len = tree.len();
                    // If they could not be applied this tells.
                    tree.get(b"")?;
                    assert_eq!(len, expected);
                }
            }
        }
        Ok(())
    }

    /// Goes back to the savepoint, if there is one.
    fn go_back(&mut self) -> bool {
        let Some((savepoint, was)) = &self.savepoint else { return false };
        self.txn.rollback_to(*savepoint).unwrap();
        self.now = was.clone();
        true
    }

    fn assert_has_it_all(&mut self) {
        for (name, entries) in &self.now {
            let tree = self.txn.existing_tree(name).unwrap();
            assert_eq!(tree.len(), entries.len() as u64);
            let found = tree.iter().unwrap().map(|entry| entry.map(|(key, value)| (key.into_vec(), value.to_vec())));
            assert!(found.collect::<Result<Entries, _>>().unwrap() == *entries, "tree {name} after going back");
        }
    }
}

fn history(seed: u64, logs: Option<&Path>) -> u64 {
    let random = &mut Random(seed);
    let medium = FrailMedium::with_limit(u64::MAX);
    let builder = Database::builder()
        .page_size(4096)
        .memory_limits(128 << 10, 256 << 10)
        .spill_limit([16 << 10, 64 << 10, 1 << 20][random.below(3) as usize])
        .journal_segment([16 << 10, 1 << 20][random.below(2) as usize]);
    let open = |create| {
        let logs = logs.map(|path| Box::new(FileLogs::beside(path, false)) as Box<dyn Logs>);
        builder.open_on(Box::new(medium.clone()), logs, create).unwrap()
    };
    let (mut db, mut model, mut failures) = (open(true), Model::new(), 0);
    for _ in 0..12 {
        let mut txn = db.begin_write().unwrap();
        txn.set_durability([Durability::Sync, Durability::None][random.below(2) as usize]).unwrap();
        let mut work = Work { txn, now: model.clone(), savepoint: None, random };
        if work.random.below(2) == 0 {
            medium.set_limit(medium.len() + work.random.below(600 << 10));
        }
        let mut is_whole = true;
        for _ in 0..1 + work.random.below(12) {
            match work.step() {
                Ok(()) => {}
                Err(Error::DiskFull { .. }) => {
                    failures += 1;
                    is_whole = work.random.below(3) > 0 && work.go_back();
                    if !is_whole {
                        break;
                    }
                    work.assert_has_it_all();
                    if work.random.below(2) == 0 {
                        medium.set_limit(u64::MAX);
                    }
                }
                Err(error) => panic!("{error}"),
            }
        }
        let Work { txn, now, .. } = work;
        match txn.commit() {
            Ok(_) => {
                assert!(is_whole, "it was incomplete");
                model = now;
            }
            Err(Error::Incomplete) => assert!(!is_whole),
            Err(Error::DiskFull { .. }) => failures += 1,
            // It is there, and no checkpoint could make it durable so far.
            Err(Error::OutcomeUnknown { .. }) => model = now,
            Err(error) => panic!("{error}"),
        }
        medium.set_limit(u64::MAX);
        db.flush().unwrap();
        if random.below(4) == 0 {
            db.close().unwrap();
            db = open(false);
        }
        assert!(read_all(&db.snapshot().unwrap()).unwrap() == model, "seed {seed}");
        assert_clean(&db);
    }
    failures
}

#[test]
fn whatever_waits_a_full_disk_leaves_all_or_nothing_of_it() {
    let count = cases(20);
    let mut failures = 0;
    for seed in 0..count {
        let dir = tempfile::tempdir().unwrap();
        failures += history(seed, None) + history(seed ^ 0xFEED_0000, Some(&dir.path().join("store.pent")));
    }
    assert!(failures > count, "{failures} failures in {count} histories");
}
