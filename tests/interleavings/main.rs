//! Concurrent transactions, a few at a time, beside exclusive writers that do everything that those can do.
//!
//! Strategy: one thread chooses at random who does what next, so a failing case is the same whenever it is run again. Each concurrent transaction notes what it asked for and what it
//! was told. The dumbest model, a map of maps, is asked the same afterwards.
//!
//! Invariants: what a transaction was told is what the state that it began with says, its own changes over it. When a serializable one commits, the state at that moment would
//! have told it the same, and what it leaves is what it would have done there. One that changed nothing always commits, and after a conflict nothing has changed.

mod asks;
#[path = "../common/mod.rs"]
mod common;
mod exclusive;

use asks::{Ask, ask, of_model, of_store};
use common::{Entries, Random, assert_clean, cases, read_all};
use pentimento::{Bug, Builder, ConcurrentTransaction, Database, Durability, Error, Isolation, Timestamp};
use std::collections::BTreeMap;
use std::ops::Bound;

type Model = BTreeMap<String, Entries>;
type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

struct Running {
    txn: ConcurrentTransaction,
    began: Model,
    /// The state that it began with and its own changes over it.
    own: Model,
    asked: Vec<(Ask, String)>,
}

#[derive(Default, Debug)]
struct Tally {
    commits: u64,
    conflicts: u64,
}

fn interleave(db: &Database, random: &mut Random, steps: u32, tally: &mut Tally) {
    let mut model = Model::new();
    let mut running: Vec<Running> = Vec::new();
    for _ in 0..steps {
        match random.below(16) {
            0 | 1 => exclusive::write(db, &mut model, random),
            2 | 3 if running.len() < 4 => {
                let isolation = if random.below(3) == 0 { Isolation::Snapshot } else { Isolation::Serializable };
                let mut txn = db.begin_concurrent(isolation).unwrap();
                txn.set_durability(Durability::None).unwrap();
                let (began, own) = (model.clone(), model.clone());
                running.push(Running { txn, began, own, asked: Vec::new() });
            }
            4 | 5 if !running.is_empty() => {
                let one = running.swap_remove(random.below(running.len() as u64) as usize);
                if random.below(8) != 0 {
                    finish(db, one, &mut model, tally);
                }
            }
            _ if !running.is_empty() => {
                let at = random.below(running.len() as u64) as usize;
                let one = &mut running[at];
                let ask = ask(random);
                let told = of_store(&mut one.txn, &ask).unwrap();
                assert_eq!(told, of_model(&mut one.own, &ask), "{ask:?} after {:?}", one.asked);
                one.asked.push((ask, told));
            }
            _ => {}
        }
    }
    running.into_iter().for_each(|one| finish(db, one, &mut model, tally));
    assert_eq!(read_all(&db.snapshot().unwrap()).unwrap(), model);
    let stats = db.concurrency_stats();
    assert_eq!(
        (stats.running, stats.footprints, stats.footprint_bytes, stats.oldest_base),
        (0, 0, 0, None::<Timestamp>)
    );
}

fn finish(db: &Database, one: Running, model: &mut Model, tally: &mut Tally) {
    let Running { txn, began, own, asked } = one;
    let (isolation, writes) = (txn.isolation(), own != began);
    match txn.commit() {
        Ok(_) => {
            tally.commits += 1;
            let mut then = model.clone();
            for (ask, told) in &asked {
                let again = of_model(&mut then, ask);
                if isolation == Isolation::Serializable && writes {
                    assert_eq!(*told, again, "{ask:?} when it committed; in all: {asked:#?}");
                }
            }
            let left = read_all(&db.snapshot().unwrap()).unwrap();
            if !writes {
                assert_eq!(left, *model, "it changed nothing: {asked:#?}");
            } else if isolation == Isolation::Serializable {
                assert_eq!(left, then, "what it left: {asked:#?}");
            }
            *model = left;
        }
        Err(Error::Conflict { .. }) => {
            tally.conflicts += 1;
            assert!(!asked.iter().all(|(ask, _)| ask.only_looks(&began)), "it only looked: {asked:#?}");
            assert_eq!(read_all(&db.snapshot().unwrap()).unwrap(), *model, "a conflict leaves no trace");
        }
        Err(error) => panic!("{error}: {asked:#?}"),
    }
}

/// Runs so many histories, in memory and with long and short journal records, and with more and less memory for what others wrote.
fn run(count: u64, builder: impl Fn() -> Builder) -> Tally {
    let dir = tempfile::tempdir().unwrap();
    let mut tally = Tally::default();
    for case in 0..count {
        let builder = builder().conflict_memory([64 << 20, 2000, 300, 0][case as usize % 4]);
        let path = dir.path().join(format!("{case}.pent"));
        let db = match case % 3 {
            0 => builder.in_memory().unwrap(),
            1 => builder.journal_segment(16 << 10).open(&path).unwrap(),
            _ => builder.open(&path).unwrap(),
        };
        interleave(&db, &mut Random(0xC0FFEE + case), 400, &mut tally);
        assert_clean(&db);
        db.close().unwrap();
        let _ = std::fs::remove_file(&path);
    }
    tally
}

#[test]
fn whatever_happens_beside_them_transactions_have_an_order() {
    let count = cases(100);
    let tally = run(count, Database::builder);
    assert!(tally.commits > 10 * count && tally.conflicts > count, "{tally:?} in {count} histories");
}

#[test]
fn a_planted_bug_is_found() {
    for bug in [Bug::SkipReadValidation, Bug::SkipValidation, Bug::ReadAnew] {
        // The panic that is expected is printed, too.
        let found = std::panic::catch_unwind(|| run(100, || Database::builder().plant(Some(bug))));
        assert!(found.is_err(), "{bug:?} escapes");
    }
}
