//! The load: threads that append to lists and replace registers, in all kinds of transactions, and note what they saw.
//!
//! The keys move on: at each time a few are in use, so transactions meet, and no list grows without end.

use crate::check::Level;
use crate::record::{Element, History, Key, Kind, Op, Outcome, Transaction};
use pentimento::{
    ConcurrentTransaction, Database, Durability, Error, Isolation, Result, RetryPolicy, Snapshot, WriteTransaction,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const LISTS: &str = "lists";
const REGISTERS: &str = "registers";
/// Registers are told apart from lists by this bit of their key.
const REGISTER: Key = 1 << 31;
/// How many keys are in use at a time, and after how many transactions the oldest gives way to a new one.
const IN_USE: u32 = 12;
const MOVES_AFTER: u32 = 50;

/// What is run.
#[derive(Clone, Copy)]
pub struct Load {
    pub level: Level,
    pub threads: u32,
    pub transactions: u32,
    /// Of a hundred transactions so many are to be durable when they commit; the others at some time.
    pub durable: u32,
    pub seed: u64,
}

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    fn below(&mut self, end: u32) -> u32 {
        (self.next() % u64::from(end)) as u32
    }
}

/// Where a transaction reads and writes.
enum Place<'t> {
    Concurrent(&'t mut ConcurrentTransaction),
    Exclusive(&'t mut WriteTransaction),
    Snapshot(&'t Snapshot),
}

impl Place<'_> {
    fn get(&mut self, tree: &str, key: Key) -> Result<Option<Vec<u8>>> {
        let key = key.to_be_bytes();
        Ok(match self {
            Place::Concurrent(txn) => txn.tree(tree)?.get(key)?.map(<[u8]>::to_vec),
            Place::Exclusive(txn) => txn.tree(tree)?.get(key)?.map(<[u8]>::to_vec),
            Place::Snapshot(snapshot) => snapshot.tree(tree)?.get(key)?.map(<[u8]>::to_vec),
        })
    }

    fn range(&mut self, tree: &str, from: Key, to: Key) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let (from, to) = (from.to_be_bytes(), to.to_be_bytes());
        let bounds = from.as_slice()..to.as_slice();
        macro_rules! entries {
            ($tree:expr) => {
                $tree.range(bounds)?.map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
            };
        }
        match self {
            Place::Concurrent(txn) => entries!(txn.tree(tree)?),
            Place::Exclusive(txn) => entries!(txn.tree(tree)?),
            Place::Snapshot(snapshot) => entries!(snapshot.tree(tree)?),
        }
    }

    fn insert(&mut self, tree: &str, key: Key, value: &[u8]) -> Result<()> {
        match self {
            Place::Concurrent(txn) => txn.tree(tree)?.insert(key.to_be_bytes(), value),
            Place::Exclusive(txn) => txn.tree(tree)?.insert(key.to_be_bytes(), value),
            Place::Snapshot(_) => unreachable!("snapshots only read"),
        }
    }

    /// Appends without looking, where that is offered.
    fn append(&mut self, tree: &str, key: Key, bytes: &[u8]) -> Result<()> {
        match self {
            Place::Concurrent(txn) => txn.tree(tree)?.append(key.to_be_bytes(), bytes),
            _ => {
                let mut value = self.get(tree, key)?.unwrap_or_default();
                value.extend_from_slice(bytes);
                self.insert(tree, key, &value)
            }
        }
    }

    fn only_reads(&self) -> bool {
        matches!(self, Place::Snapshot(_))
    }
}

fn elements(value: Option<&[u8]>) -> Vec<Element> {
    let (elements, rest) = value.unwrap_or_default().as_chunks();
    assert!(rest.is_empty(), "a list is whole elements");
    elements.iter().map(|element| Element::from_le_bytes(*element)).collect()
}

/// One thread of the load.
struct Worker<'w> {
    db: &'w Database,
    load: Load,
    begun: &'w AtomicU32,
    clock: Instant,
    random: Random,
    next_element: Element,
    history: History,
}

impl Worker<'_> {
    fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    fn element(&mut self) -> Element {
        self.next_element += 1;
        self.next_element
    }

    fn key(&mut self) -> Key {
        self.begun.load(Ordering::Relaxed) / MOVES_AFTER + self.random.below(IN_USE)
    }

    /// A few operations, noted as they are done.
    fn work(&mut self, place: &mut Place<'_>, ops: &mut Vec<Op>) -> Result<()> {
        for _ in 0..=self.random.below(4) {
            let key = self.key();
            let what = self.random.below(if place.only_reads() { 4 } else { 10 });
            match what {
                0 | 1 => ops.push(Op::Read(key, elements(place.get(LISTS, key)?.as_deref()))),
                2 => {
                    let register = key | REGISTER;
                    let value = elements(place.get(REGISTERS, register)?.as_deref());
                    ops.push(Op::Get(register, value.last().copied().unwrap_or(0)));
                }
                3 => {
                    // What is missing in the range was read, too.
                    let keys = key..key + 1 + self.random.below(4);
                    let found = place.range(LISTS, keys.start, keys.end)?;
                    ops.extend(keys.map(|key| {
                        let value = found.iter().find(|(found, _)| found[..] == key.to_be_bytes());
                        Op::Read(key, elements(value.map(|(_, value)| value.as_slice())))
                    }));
                }
                4..=6 => {
                    let element = self.element();
                    place.append(LISTS, key, &element.to_le_bytes())?;
                    let is_blind = matches!(place, Place::Concurrent(_));
                    ops.push(if is_blind { Op::Blind(key, element) } else { Op::Append(key, element) });
                }
                7 | 8 => {
                    let (element, mut value) = (self.element(), place.get(LISTS, key)?.unwrap_or_default());
                    ops.push(Op::Read(key, elements(Some(&value))));
                    value.extend_from_slice(&element.to_le_bytes());
                    place.insert(LISTS, key, &value)?;
                    ops.push(Op::Append(key, element));
                }
                _ => {
                    let (new, key) = (self.element(), key | REGISTER);
                    let old = elements(place.get(REGISTERS, key)?.as_deref()).last().copied().unwrap_or(0);
                    place.insert(REGISTERS, key, &new.to_le_bytes())?;
                    ops.push(Op::Replace { key, old, new });
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, begun: u64, kind: Kind, outcome: Outcome, ops: Vec<Op>) {
        let ended = self.now();
        self.history.push(Transaction { begun, ended, kind, outcome, ops });
    }

    fn isolation(&self) -> Isolation {
        match self.load.level {
            Level::Snapshot => Isolation::Snapshot,
            Level::Serializable => Isolation::Serializable,
        }
    }

    /// One transaction, of a kind that is drawn.
    fn step(&mut self) -> Result<()> {
        let is_durable = self.random.below(100) < self.load.durable;
        let (durability, kind) = match is_durable {
            true => (Durability::Sync, Kind::Transaction),
            // Nothing is ever waited for by readers if nothing is durable at once.
            false if self.load.durable == 0 => (Durability::None, Kind::Transaction),
            false => (Durability::None, Kind::Relaxed),
        };
        let (begun, mut ops) = (self.now(), Vec::new());
        match self.random.below(20) {
            0..3 => {
                let snapshot = self.db.snapshot()?;
                self.work(&mut Place::Snapshot(&snapshot), &mut ops)?;
                self.note(begun, Kind::Snapshot, Outcome::Committed, ops);
            }
            3..5 => {
                let mut txn = self.db.begin_write()?;
                txn.set_durability(durability)?;
                self.work(&mut Place::Exclusive(&mut txn), &mut ops)?;
                let is_kept = self.random.below(8) > 0;
                if is_kept {
                    txn.commit()?;
                } else {
                    txn.rollback();
                }
                self.note(begun, kind, if is_kept { Outcome::Committed } else { Outcome::Aborted }, ops);
            }
            5..7 => self.step_until_done(durability, kind)?,
            _ => {
                let mut txn = self.db.begin_concurrent(self.isolation())?;
                txn.set_durability(durability)?;
                self.work(&mut Place::Concurrent(&mut txn), &mut ops)?;
                let outcome = match txn.commit() {
                    Ok(_) => Outcome::Committed,
                    Err(Error::Conflict { .. }) => Outcome::Aborted,
                    Err(error) => return Err(error),
                };
                self.note(begun, kind, outcome, ops);
            }
        }
        Ok(())
    }

    /// A transaction that is tried again, at last with the turn held; every try is one of the history.
    fn step_until_done(&mut self, durability: Durability, kind: Kind) -> Result<()> {
        let db = self.db;
        // A try begins before it is run: at the latest moment that we know of before that, which is the end of the try before it.
        let (mut begun, mut worked) = (self.now(), 0);
        let policy = RetryPolicy::new(self.isolation()).tries(2).durability(durability);
        let policy = policy.backoff(Duration::from_micros(10), Duration::from_micros(100));
        let mut last: Option<Vec<Op>> = None;
        policy.run(db, |txn| -> Result<()> {
            if let Some(ops) = last.take() {
                self.note(begun, kind, Outcome::Aborted, ops);
                begun = worked;
            }
            let mut ops = Vec::new();
            self.work(&mut Place::Concurrent(txn), &mut ops)?;
            (last, worked) = (Some(ops), self.now());
            Ok(())
        })?;
        self.note(begun, kind, Outcome::Committed, last.unwrap_or_default());
        Ok(())
    }
}

/// Runs the load, and reads everything at the end.
pub fn run(db: &Database, load: Load) -> Result<History> {
    let mut txn = db.begin_write()?;
    txn.tree(LISTS)?;
    txn.tree(REGISTERS)?;
    txn.commit()?;
    let (begun, clock) = (AtomicU32::new(0), Instant::now());
    let work = |thread: u32| -> Result<History> {
        let random = Random(load.seed << 8 | u64::from(thread));
        let next_element = thread << 24;
        let mut worker = Worker { db, load, begun: &begun, clock, random, next_element, history: History::new() };
        while begun.fetch_add(1, Ordering::Relaxed) < load.transactions {
            worker.step()?;
        }
        Ok(worker.history)
    };
    let histories: Vec<Result<History>> = thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..load.threads).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread of the load")).collect()
    });
    let mut history = History::new();
    for part in histories {
        history.extend(part?);
    }
    // One transaction that sees it all; one element each, so that reports stay short.
    let mut txn = db.begin_write()?;
    for key in 0..load.transactions / MOVES_AFTER + IN_USE + 4 {
        let (list, at) = (elements(txn.tree(LISTS)?.get(key.to_be_bytes())?), clock.elapsed().as_nanos() as u64);
        let kind = Kind::Transaction;
        let ops = vec![Op::Read(key, list)];
        history.push(Transaction { begun: at, ended: at, kind, outcome: Outcome::Committed, ops });
    }
    drop(txn);
    Ok(history)
}
