//! Concurrent transactions, a few at a time, beside exclusive writers that do everything that those can do.
//!
//! Strategy: one thread chooses at random who does what next, so a failing case is the same whenever it is run again. Each concurrent transaction notes what it asked for and what it
//! was told. The dumbest model, a map of maps, is asked the same afterwards.
//!
//! Invariants: what a transaction was told is what the state that it began with says, its own changes over it. When a serializable one commits, the state at that moment would
//! have told it the same, and what it leaves is what it would have done there. One that changed nothing always commits, and after a conflict nothing has changed.

mod common;

use common::{Entries, Random, assert_clean, cases, read_all};
use pentimento::{Bug, Builder, ConcurrentTransaction, Database, Durability, Error, Isolation, Result, Timestamp};
use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

type Model = BTreeMap<String, Entries>;
type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// What a transaction asks for; the tree is a number.
#[derive(Clone, Debug)]
enum Ask {
    Get(u8, Vec<u8>),
    Insert(u8, Vec<u8>, Vec<u8>),
    Replace(u8, Vec<u8>, Vec<u8>),
    Remove(u8, Vec<u8>),
    Take(u8, Vec<u8>),
    Append(u8, Vec<u8>, Vec<u8>),
    Add(u8, Vec<u8>, i64),
    FetchAdd(u8, Vec<u8>, i64),
    Swap(u8, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>),
    /// So many steps, from the back where the bits say so; at least one.
    Walk(u8, Bounds, u32, u64),
    RemoveRange(u8, Bounds),
    Clear(u8),
    Len(u8),
    IsEmpty(u8),
    PopFirst(u8),
    PopLast(u8),
    HasTree(u8),
    Trees,
}

impl Ask {
    fn tree(&self) -> Option<u8> {
        match self {
            Ask::Get(tree, ..)
            | Ask::Insert(tree, ..)
            | Ask::Replace(tree, ..)
            | Ask::Remove(tree, ..)
            | Ask::Take(tree, ..)
            | Ask::Append(tree, ..)
            | Ask::Add(tree, ..)
            | Ask::FetchAdd(tree, ..)
            | Ask::Swap(tree, ..)
            | Ask::Walk(tree, ..)
            | Ask::RemoveRange(tree, ..)
            | Ask::Clear(tree)
            | Ask::Len(tree)
            | Ask::IsEmpty(tree)
            | Ask::PopFirst(tree)
            | Ask::PopLast(tree) => Some(*tree),
            Ask::HasTree(_) | Ask::Trees => None,
        }
    }

    /// Whether it is a mere look, at a tree that is there.
    fn only_looks(&self, began: &Model) -> bool {
        let looks =
            matches!(self, Ask::Get(..) | Ask::Walk(..) | Ask::Len(_) | Ask::IsEmpty(_) | Ask::HasTree(_) | Ask::Trees);
        looks && self.tree().is_none_or(|tree| began.contains_key(&name(tree)))
    }
}

fn name(tree: u8) -> String {
    ["a", "b", "c"][usize::from(tree) % 3].to_owned()
}

/// Counters begin with `#`, so that additions meet nothing else.
fn counter(random: &mut Random) -> Vec<u8> {
    vec![b'#', b'0' + random.below(2) as u8]
}

fn plain(random: &mut Random) -> Vec<u8> {
    (0..random.below(3)).map(|_| b'k' + random.below(3) as u8).collect()
}

fn bounds(random: &mut Random) -> Bounds {
    let mut one = || match random.below(4) {
        0 => Bound::Unbounded,
        1 | 2 => Bound::Included(plain(random)),
        _ => Bound::Excluded(plain(random)),
    };
    (one(), one())
}

fn within(entries: &Entries, bounds: &Bounds) -> Vec<(Vec<u8>, Vec<u8>)> {
    entries.iter().filter(|(key, _)| bounds.contains(*key)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn ask(random: &mut Random) -> Ask {
    let tree = random.below(3) as u8;
    let key = plain(random);
    let value = format!("v{}", random.below(1000)).into_bytes();
    match random.below(26) {
        0..4 => Ask::Get(tree, key),
        4 => Ask::Get(tree, counter(random)),
        5..8 => Ask::Insert(tree, key, value),
        8 => Ask::Replace(tree, key, value),
        9 => Ask::Remove(tree, key),
        10 => Ask::Take(tree, key),
        11 | 12 => Ask::Append(tree, key, b"+".to_vec()),
        13..15 => Ask::Add(tree, counter(random), random.below(9) as i64 - 4),
        15 => Ask::FetchAdd(tree, counter(random), 1),
        16 => {
            let other = |random: &mut Random| (random.below(2) == 0).then(|| b"v1".to_vec());
            Ask::Swap(tree, key, other(random), other(random))
        }
        17..20 => Ask::Walk(tree, bounds(random), 1 + random.below(4) as u32, random.next()),
        20 => Ask::RemoveRange(tree, bounds(random)),
        21 if random.below(4) == 0 => Ask::Clear(tree),
        22 if random.below(2) == 0 => [Ask::Len(tree), Ask::IsEmpty(tree)][random.below(2) as usize].clone(),
        23 => [Ask::PopFirst(tree), Ask::PopLast(tree)][random.below(2) as usize].clone(),
        24 => Ask::HasTree(tree),
        25 if random.below(2) == 0 => Ask::Trees,
        _ => Ask::Get(tree, key),
    }
}

fn number(value: Option<&[u8]>) -> i64 {
    value.map_or(0, |value| i64::from_le_bytes(value.try_into().expect("a counter")))
}

/// What the store tells.
fn of_store(txn: &mut ConcurrentTransaction, ask: &Ask) -> Result<String> {
    let text = |answer: &dyn std::fmt::Debug| format!("{answer:?}");
    let vec = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
    Ok(match ask {
        Ask::Get(tree, key) => text(&vec(txn.tree(&name(*tree))?.get(key)?)),
        Ask::Insert(tree, key, value) => text(&txn.tree(&name(*tree))?.insert(key, value)?),
        Ask::Replace(tree, key, value) => text(&txn.tree(&name(*tree))?.replace(key, value)?),
        Ask::Remove(tree, key) => text(&txn.tree(&name(*tree))?.remove(key)?),
        Ask::Take(tree, key) => text(&txn.tree(&name(*tree))?.take(key)?),
        Ask::Append(tree, key, bytes) => text(&txn.tree(&name(*tree))?.append(key, bytes)?),
        Ask::Add(tree, key, delta) => text(&txn.tree(&name(*tree))?.add(key, *delta)?),
        Ask::FetchAdd(tree, key, delta) => text(&txn.tree(&name(*tree))?.fetch_add(key, *delta)?),
        Ask::Swap(tree, key, old, new) => {
            text(&txn.tree(&name(*tree))?.compare_and_swap(key, old.as_deref(), new.as_deref())?)
        }
        Ask::Walk(tree, bounds, steps, turns) => {
            let tree = txn.tree(&name(*tree))?;
            let mut range = tree.range(bounds.clone())?;
            let mut found = Vec::new();
            for step in 0..*steps {
                let entry = if turns >> step & 1 == 0 { range.next() } else { range.next_back() };
                found.push(entry.transpose()?.map(|(key, value)| (key.into_vec(), value.to_vec())));
            }
            text(&found)
        }
        Ask::RemoveRange(tree, bounds) => text(&txn.tree(&name(*tree))?.remove_range(bounds.clone())?),
        Ask::Clear(tree) => text(&txn.tree(&name(*tree))?.clear()?),
        Ask::Len(tree) => text(&txn.tree(&name(*tree))?.len()?),
        Ask::IsEmpty(tree) => text(&txn.tree(&name(*tree))?.is_empty()?),
        Ask::PopFirst(tree) => text(&txn.tree(&name(*tree))?.pop_first()?),
        Ask::PopLast(tree) => text(&txn.tree(&name(*tree))?.pop_last()?),
        Ask::HasTree(tree) => text(&txn.has_tree(&name(*tree))?),
        Ask::Trees => text(&txn.trees()?),
    })
}

/// What the model tells.
fn of_model(model: &mut Model, ask: &Ask) -> String {
    let text = |answer: &dyn std::fmt::Debug| format!("{answer:?}");
    match ask {
        Ask::HasTree(tree) => return text(&model.contains_key(&name(*tree))),
        Ask::Trees => return text(&model.keys().collect::<Vec<_>>()),
        _ => {}
    }
    let entries = model.entry(name(ask.tree().expect("all others are on a tree"))).or_default();
    match ask {
        Ask::Get(_, key) => text(&entries.get(key)),
        Ask::Insert(_, key, value) => text(&drop(entries.insert(key.clone(), value.clone()))),
        Ask::Replace(_, key, value) => text(&entries.insert(key.clone(), value.clone())),
        Ask::Remove(_, key) => text(&entries.remove(key).is_some()),
        Ask::Take(_, key) => text(&entries.remove(key)),
        Ask::Append(_, key, bytes) => text(&entries.entry(key.clone()).or_default().extend_from_slice(bytes)),
        Ask::Add(_, key, delta) | Ask::FetchAdd(_, key, delta) => {
            let old = number(entries.get(key).map(Vec::as_slice));
            entries.insert(key.clone(), old.wrapping_add(*delta).to_le_bytes().to_vec());
            if matches!(ask, Ask::Add(..)) { text(&()) } else { text(&old) }
        }
        Ask::Swap(_, key, old, new) => {
            let is_same = entries.get(key) == old.as_ref();
            match new {
                Some(new) if is_same => drop(entries.insert(key.clone(), new.clone())),
                None if is_same => drop(entries.remove(key)),
                _ => {}
            }
            text(&is_same)
        }
        Ask::Walk(_, bounds, steps, turns) => {
            let all = within(entries, bounds);
            let mut left = all.into_iter();
            let found = (0..*steps).map(|step| if turns >> step & 1 == 0 { left.next() } else { left.next_back() });
            text(&found.collect::<Vec<_>>())
        }
        Ask::RemoveRange(_, bounds) => {
            let gone = within(entries, bounds);
            gone.iter().for_each(|(key, _)| drop(entries.remove(key)));
            text(&gone.len())
        }
        Ask::Clear(_) => text(&std::mem::take(entries).len()),
        Ask::Len(_) => text(&entries.len()),
        Ask::IsEmpty(_) => text(&entries.is_empty()),
        Ask::PopFirst(_) => text(&entries.pop_first()),
        Ask::PopLast(_) => text(&entries.pop_last()),
        Ask::HasTree(_) | Ask::Trees => unreachable!("told above"),
    }
}

/// An exclusive writer does something and commits, or not.
fn write(db: &Database, model: &mut Model, random: &mut Random) {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(Durability::None).unwrap();
    let before = model.clone();
    let mut savepoint = None;
    for _ in 0..1 + random.below(3) {
        let tree = name(random.below(3) as u8);
        let other = name(random.below(3) as u8);
        match random.below(12) {
            0 => assert_eq!(txn.drop_tree(&tree).unwrap(), model.remove(&tree).is_some()),
            1 if model.contains_key(&tree) && !model.contains_key(&other) => {
                txn.rename_tree(&tree, &other).unwrap();
                let entries = model.remove(&tree).unwrap();
                model.insert(other, entries);
            }
            2 => {
                let bounds = bounds(random);
                let entries = model.entry(tree.clone()).or_default();
                let gone = within(entries, &bounds);
                gone.iter().for_each(|(key, _)| drop(entries.remove(key)));
                assert_eq!(txn.tree(&tree).unwrap().remove_range(bounds).unwrap(), gone.len() as u64);
            }
            3 if random.below(3) == 0 => {
                let entries = model.entry(tree.clone()).or_default();
                assert_eq!(txn.tree(&tree).unwrap().clear().unwrap(), std::mem::take(entries).len() as u64);
            }
            4 => {
                let load: Entries = (0..3).map(|_| (plain(random), b"bulk".to_vec())).collect();
                txn.tree(&tree).unwrap().bulk_load(&load).unwrap();
                model.entry(tree).or_default().extend(load);
            }
            5 => {
                // Enough to wait.
                for n in 0..12u8 {
                    txn.tree(&tree).unwrap().insert([b'w', n], [n; 60]).unwrap();
                    model.entry(tree.clone()).or_default().insert(vec![b'w', n], vec![n; 60]);
                }
            }
            6 => savepoint = Some((txn.savepoint().unwrap(), model.clone())),
            7 => {
                if let Some((savepoint, was)) = &savepoint {
                    txn.rollback_to(*savepoint).unwrap();
                    *model = was.clone();
                }
            }
            8 => {
                let key = plain(random);
                txn.tree(&tree).unwrap().insert_reserve(&key, 3).unwrap().copy_from_slice(b"abc");
                model.entry(tree).or_default().insert(key, b"abc".to_vec());
            }
            9 => {
                let key = plain(random);
                let was_there = model.entry(tree.clone()).or_default().remove(&key).is_some();
                assert_eq!(txn.tree(&tree).unwrap().remove(&key).unwrap(), was_there);
            }
            _ => {
                let key = plain(random);
                txn.tree(&tree).unwrap().insert(&key, b"exclusive").unwrap();
                model.entry(tree).or_default().insert(key, b"exclusive".to_vec());
            }
        }
    }
    if random.below(8) == 0 {
        *model = before;
    } else {
        txn.commit().unwrap();
    }
}

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
            0 | 1 => write(db, &mut model, random),
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
