//! The anomalies of Hermitage (Martin Kleppmann's collection after Adya's definitions), each played step by step with each kind of transaction.
//!
//! Strategy: two rows, 1 -> 10 and 2 -> 20, as in Hermitage. A scenario tells whether the anomaly *happened*. Where a scenario needs two writers at once the exclusive kind cannot even
//! begin the second one: that is asserted, and the anomaly cannot happen. Whoever only reads takes a snapshot beside an exclusive writer.
//! The table in `docs/transactions.md` says the same as these tests, which is checked too.

mod common;

use common::assert_clean;
use pentimento::{ConcurrentTransaction, Database, Error, Isolation, Snapshot, WriteTransaction};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Exclusive,
    Snapshot,
    Serializable,
}

const KINDS: [Kind; 3] = [Kind::Exclusive, Kind::Snapshot, Kind::Serializable];

/// Whoever reads or writes.
enum Txn {
    Exclusive(WriteTransaction),
    Concurrent(ConcurrentTransaction),
    Reader(Snapshot),
}

impl Kind {
    fn isolation(self) -> Isolation {
        if self == Kind::Snapshot { Isolation::Snapshot } else { Isolation::Serializable }
    }

    fn begin(self, db: &Database) -> Txn {
        match self {
            Kind::Exclusive => Txn::Exclusive(db.begin_write().unwrap()),
            _ => Txn::Concurrent(db.begin_concurrent(self.isolation()).unwrap()),
        }
    }

    /// Someone who only reads.
    fn reader(self, db: &Database) -> Txn {
        match self {
            Kind::Exclusive => Txn::Reader(db.snapshot().unwrap()),
            _ => self.begin(db),
        }
    }

    /// Two who write at once; not with exclusive transactions.
    fn two(self, db: &Database) -> Option<(Txn, Txn)> {
        let one = self.begin(db);
        if self == Kind::Exclusive {
            assert!(matches!(db.try_begin_write(), Err(Error::Busy)), "the second waits until the first has ended");
            return None;
        }
        Some((one, self.begin(db)))
    }
}

fn number(value: &[u8]) -> u32 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

impl Txn {
    fn get(&mut self, key: u32) -> Option<u32> {
        let key = key.to_be_bytes();
        match self {
            Txn::Exclusive(txn) => txn.tree("test").unwrap().get(key).unwrap().map(number),
            Txn::Concurrent(txn) => txn.tree("test").unwrap().get(key).unwrap().map(number),
            Txn::Reader(snapshot) => snapshot.tree("test").unwrap().get(key).unwrap().map(number),
        }
    }

    fn set(&mut self, key: u32, value: u32) {
        let (key, value) = (key.to_be_bytes(), value.to_string());
        match self {
            Txn::Exclusive(txn) => txn.tree("test").unwrap().insert(key, value).unwrap(),
            Txn::Concurrent(txn) => txn.tree("test").unwrap().insert(key, value).unwrap(),
            Txn::Reader(_) => unreachable!("it only reads"),
        }
    }

    fn remove(&mut self, key: u32) {
        let key = key.to_be_bytes();
        match self {
            Txn::Exclusive(txn) => drop(txn.tree("test").unwrap().remove(key).unwrap()),
            Txn::Concurrent(txn) => drop(txn.tree("test").unwrap().remove(key).unwrap()),
            Txn::Reader(_) => unreachable!("it only reads"),
        }
    }

    /// The rows whose values satisfy a predicate.
    fn select(&mut self, predicate: impl Fn(u32) -> bool) -> Vec<(u32, u32)> {
        fn collect<'k, E: std::fmt::Debug>(
            rows: impl Iterator<Item = Result<(pentimento::Key<'k>, &'k [u8]), E>>,
        ) -> Vec<(u32, u32)> {
            rows.map(Result::unwrap)
                .map(|(key, value)| (u32::from_be_bytes(key.as_slice().try_into().unwrap()), number(value)))
                .collect()
        }
        let mut rows = match self {
            Txn::Exclusive(txn) => collect(txn.tree("test").unwrap().iter().unwrap()),
            Txn::Concurrent(txn) => collect(txn.tree("test").unwrap().iter().unwrap()),
            Txn::Reader(snapshot) => collect(snapshot.tree("test").unwrap().iter().unwrap()),
        };
        rows.retain(|(_, value)| predicate(*value));
        rows
    }

    /// Whether it could commit.
    fn commit(self) -> bool {
        let result = match self {
            Txn::Exclusive(txn) => txn.commit(),
            Txn::Concurrent(txn) => txn.commit(),
            Txn::Reader(snapshot) => Ok(snapshot.timestamp()),
        };
        match result {
            Ok(_) => true,
            Err(Error::Conflict { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn rows(db: &Database) -> Vec<(u32, u32)> {
    Txn::Reader(db.snapshot().unwrap()).select(|_| true)
}

/// Plays a scenario with each kind, in memory and in a file: `allowed` says with which kinds the anomaly may happen, which it then must.
fn play(scenario: fn(&Database, Kind) -> bool, allowed: &[Kind]) {
    let dir = tempfile::tempdir().unwrap();
    for kind in KINDS {
        for db in [Database::in_memory().unwrap(), Database::open(dir.path().join(format!("{kind:?}"))).unwrap()] {
            let mut txn = db.begin_write().unwrap();
            let mut test = txn.tree("test").unwrap();
            test.insert(1u32.to_be_bytes(), "10").unwrap();
            test.insert(2u32.to_be_bytes(), "20").unwrap();
            txn.commit().unwrap();
            assert_eq!(scenario(&db, kind), allowed.contains(&kind), "with {kind:?} transactions");
            assert_eq!(db.concurrency_stats().running, 0);
            assert_clean(&db);
        }
    }
}

/// Two write the same rows in turns: the result is one's rows or the other's, not some of each.
#[test]
fn g0_write_cycles() {
    play(
        |db, kind| {
            let Some((mut t1, mut t2)) = kind.two(db) else { return false };
            t1.set(1, 11);
            t2.set(1, 12);
            t1.set(2, 21);
            assert!(t1.commit());
            t2.set(2, 22);
            assert!(!t2.commit());
            rows(db) != [(1, 11), (2, 21)]
        },
        &[],
    );
}

/// Nobody sees what is rolled back afterwards.
#[test]
fn g1a_aborted_reads() {
    play(
        |db, kind| {
            let (mut t1, mut t2) = (kind.begin(db), kind.reader(db));
            t1.set(1, 101);
            let before = t2.get(1);
            drop(t1);
            let after = t2.get(1);
            assert!(t2.commit());
            (before, after) != (Some(10), Some(10)) || rows(db) != [(1, 10), (2, 20)]
        },
        &[],
    );
}

/// Nobody sees what was written in between.
#[test]
fn g1b_intermediate_reads() {
    play(
        |db, kind| {
            let (mut t1, mut t2) = (kind.begin(db), kind.reader(db));
            t1.set(1, 101);
            let before = t2.get(1);
            t1.set(1, 11);
            assert!(t1.commit());
            let after = t2.get(1);
            assert!(t2.commit());
            let later = kind.reader(db).get(1);
            (before, after, later) != (Some(10), Some(10), Some(11))
        },
        &[],
    );
}

/// Two do not see each other's changes both ways. (That neither sees the other's is write skew, see G2.)
#[test]
fn g1c_circular_information_flow() {
    play(
        |db, kind| {
            let Some((mut t1, mut t2)) = kind.two(db) else { return false };
            t1.set(1, 11);
            t2.set(2, 22);
            let (sees_2, sees_1) = (t1.get(2), t2.get(1));
            assert!(t1.commit());
            assert_eq!(t2.commit(), kind == Kind::Snapshot);
            sees_2 == Some(22) || sees_1 == Some(11)
        },
        &[],
    );
}

/// What was seen of a transaction does not vanish again.
#[test]
fn otv_observed_transaction_vanishes() {
    play(
        |db, kind| {
            let Some((mut t1, mut t2)) = kind.two(db) else { return false };
            t1.set(1, 11);
            t1.set(2, 19);
            t2.set(1, 12);
            assert!(t1.commit());
            let mut t3 = kind.reader(db);
            let first = t3.get(1);
            t2.set(2, 18);
            let second = t3.get(2);
            assert!(!t2.commit());
            let again = (t3.get(2), t3.get(1));
            assert!(t3.commit());
            (first, second, again) != (Some(11), Some(19), (Some(19), Some(11)))
        },
        &[],
    );
}

/// A predicate gives the same rows twice, whoever puts in what satisfies it.
#[test]
fn pmp_predicate_many_preceders() {
    play(
        |db, kind| {
            let (mut t1, mut t2) = (kind.reader(db), kind.begin(db));
            let before = t1.select(|value| value == 30);
            t2.set(3, 30);
            assert!(t2.commit());
            let after = t1.select(|value| value % 3 == 0);
            assert!(t1.commit());
            !before.is_empty() || !after.is_empty()
        },
        &[],
    );
}

/// The same with changes: one raises every row, the other removes those that are 20 now.
#[test]
fn pmp_with_write_predicates() {
    play(
        |db, kind| {
            let Some((mut t1, mut t2)) = kind.two(db) else { return false };
            t1.select(|_| true).into_iter().for_each(|(key, value)| t1.set(key, value + 10));
            t2.select(|value| value == 20).into_iter().for_each(|(key, _)| t2.remove(key));
            assert!(t1.commit());
            // It would remove row 2, which is 30 now, or miss row 1, which is 20.
            let removed = t2.commit();
            removed || rows(db) != [(1, 20), (2, 30)]
        },
        &[],
    );
}

/// Of two that read a row and write what follows from it, none overwrites the other unseen.
#[test]
fn p4_lost_update() {
    play(
        |db, kind| {
            let Some((mut t1, mut t2)) = kind.two(db) else { return false };
            let (one, two) = (t1.get(1).unwrap(), t2.get(1).unwrap());
            t1.set(1, one + 1);
            t2.set(1, two + 1);
            assert!(t1.commit());
            t2.commit()
        },
        &[],
    );
}

/// A reader sees two rows of one moment.
#[test]
fn g_single_read_skew() {
    play(
        |db, kind| {
            let (mut t1, mut t2) = (kind.reader(db), kind.begin(db));
            let first = t1.get(1);
            t2.set(1, 12);
            t2.set(2, 18);
            assert!(t2.commit());
            let second = t1.get(2);
            assert!(t1.commit());
            (first, second) != (Some(10), Some(20))
        },
        &[],
    );
}

/// The same where what was read decides about a change: removing the row that is 20 must not remove one that has become 18.
#[test]
fn g_single_with_a_write() {
    play(
        |db, kind| {
            let Some((mut t1, mut t2)) = kind.two(db) else { return false };
            let first = t1.get(1);
            t2.set(1, 12);
            t2.set(2, 18);
            assert!(t2.commit());
            t1.select(|value| value == 20).into_iter().for_each(|(key, _)| t1.remove(key));
            let removed = t1.commit();
            first != Some(10) || removed || rows(db) != [(1, 12), (2, 18)]
        },
        &[],
    );
}

/// Two read both rows, and each changes the one that the other does not.
#[test]
fn g2_item_write_skew() {
    play(
        |db, kind| {
            let Some((mut t1, mut t2)) = kind.two(db) else { return false };
            let read = [t1.get(1), t1.get(2), t2.get(1), t2.get(2)];
            assert_eq!(read, [Some(10), Some(20), Some(10), Some(20)]);
            t1.set(1, 11);
            t2.set(2, 21);
            assert!(t1.commit());
            t2.commit()
        },
        &[Kind::Snapshot],
    );
}

/// Two look for rows that satisfy a predicate, find none, and each puts one in.
#[test]
fn g2_anti_dependency_cycles_with_ranges() {
    play(
        |db, kind| {
            let Some((mut t1, mut t2)) = kind.two(db) else { return false };
            let found = (t1.select(|value| value % 3 == 0), t2.select(|value| value % 3 == 0));
            assert!(found.0.is_empty() && found.1.is_empty());
            t1.set(3, 30);
            t2.set(4, 42);
            assert!(t1.commit());
            t2.commit()
        },
        &[Kind::Snapshot],
    );
}

/// Fekete's: a third who only reads sees a state that no order of the other two explains.
#[test]
fn g2_read_only_anomaly() {
    play(
        |db, kind| {
            let Some((mut t1, mut t2)) = kind.two(db) else { return false };
            let seen = t1.select(|_| true);
            t2.set(2, 25);
            assert!(t2.commit());
            let mut t3 = kind.reader(db);
            let told = t3.select(|_| true);
            assert!(t3.commit());
            assert_eq!((seen, told), (vec![(1, 10), (2, 20)], vec![(1, 10), (2, 25)]));
            t1.set(1, 0);
            t1.commit()
        },
        &[Kind::Snapshot],
    );
}

/// The table that users read says what the tests above hold.
#[test]
fn the_table_in_the_docs_is_true() {
    let page = include_str!("../docs/transactions.md");
    let rows: Vec<[&str; 4]> = page
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ").map(|cell| cell.trim_matches(['|', ' ']));
            Some([cells.next()?, cells.next()?, cells.next()?, cells.next()?])
        })
        .filter(|[name, ..]| ["G0", "G1", "OTV", "PMP", "P4", "G-", "G2"].iter().any(|start| name.starts_with(start)))
        .collect();
    let names: Vec<&str> = rows.iter().map(|[name, ..]| name.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["G0", "G1a", "G1b", "G1c", "OTV", "PMP", "P4", "G-single", "G2-item", "G2"]);
    for [name, exclusive, snapshot, serializable] in rows {
        let skew = if name.starts_with("G2") { "allowed" } else { "prevented" };
        assert_eq!([exclusive, snapshot, serializable], ["prevented", skew, "prevented"], "{name}");
    }
}
