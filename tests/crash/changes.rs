//! Random changes, made to a transaction and to its model alike.

use crate::model::{Entries, State};
use crate::simulated::Random;
use pentimento::{Error, WriteTransaction};
use std::sync::Arc;

const NAMES: [&str; 4] = ["ash", "birch", "cedar", "dogwood"];
const KEYS: u64 = 240;

fn key(random: &mut Random) -> Vec<u8> {
    format!("key {:04}", random.below(KEYS)).into_bytes()
}

/// Mostly short, sometimes longer than a page.
fn value(random: &mut Random) -> Vec<u8> {
    let len = match random.below(40) {
        0 => random.within(4000, 14_000),
        1..4 => random.within(500, 2500),
        _ => random.within(0, 120),
    };
    let stamp = random.next().to_le_bytes();
    (0..len as usize).map(|at| stamp[at % 8] ^ at as u8).collect()
}

fn entries<'s>(state: &'s mut State, name: &str) -> &'s mut Entries {
    Arc::make_mut(state.entry(name.to_owned()).or_default())
}

/// Makes one change. Only an error of the engine is an error; `state` is then useless, like the transaction.
pub fn change(txn: &mut WriteTransaction, state: &mut State, random: &mut Random) -> Result<(), Error> {
    let name = NAMES[random.below(NAMES.len() as u64) as usize];
    match random.below(100) {
        0..66 => {
            let (key, value) = (key(random), value(random));
            txn.tree(name)?.insert(&key, &value)?;
            entries(state, name).insert(key, value);
        }
        66..86 => {
            let key = key(random);
            let was_there = txn.tree(name)?.remove(&key)?;
            assert_eq!(was_there, entries(state, name).remove(&key).is_some(), "a removal tells what was there");
        }
        86..90 => {
            let mut bounds = [key(random), key(random)];
            bounds.sort();
            let [from, to] = bounds;
            let removed = txn.tree(name)?.remove_range(from.as_slice()..to.as_slice())?;
            let model = entries(state, name);
            let before = model.len();
            model.retain(|key, _| *key < from || *key >= to);
            assert_eq!(removed, (before - model.len()) as u64, "a removal counts what it removes");
        }
        90..94 => {
            let first = random.below(KEYS);
            let loaded: Vec<(Vec<u8>, Vec<u8>)> =
                (first..first + 40).map(|number| (format!("load {number:04}").into_bytes(), value(random))).collect();
            txn.tree(name)?.bulk_load(loaded.iter().map(|(key, value)| (key, value)))?;
            entries(state, name).extend(loaded);
        }
        94..96 => {
            let was_there = txn.drop_tree(name)?;
            assert_eq!(was_there, state.remove(name).is_some(), "dropping tells whether there was a tree");
        }
        96..98 => {
            let to = NAMES[random.below(NAMES.len() as u64) as usize];
            if state.contains_key(name) && !state.contains_key(to) {
                txn.rename_tree(name, to)?;
                let moved = state.remove(name).expect("it was just there");
                state.insert(to.to_owned(), moved);
            }
        }
        _ => {
            // A part that is thought better of.
            let savepoint = txn.savepoint()?;
            let mut undone = state.clone();
            for _ in 0..random.within(1, 12) {
                let (key, value) = (key(random), value(random));
                txn.tree(name)?.insert(&key, &value)?;
                entries(&mut undone, name).insert(key, value);
            }
            if random.one_in(3) {
                *state = undone;
            } else {
                txn.rollback_to(savepoint)?;
            }
        }
    }
    Ok(())
}

/// A tree that is too large to be given back with its drop: made if it is not there, dropped if it is. Tells whether it was dropped.
pub fn grow_or_fell(txn: &mut WriteTransaction, state: &mut State, random: &mut Random) -> Result<bool, Error> {
    const TREE: &str = "sequoia";
    if state.remove(TREE).is_some() {
        txn.drop_tree(TREE)?;
        return Ok(true);
    }
    let stamp = random.next().to_le_bytes();
    let leaf = |number: u32| (number.to_be_bytes().to_vec(), stamp.repeat(110));
    let leaves: Entries = (0..1400).map(leaf).collect();
    txn.tree(TREE)?.bulk_load(&leaves)?;
    state.insert(TREE.to_owned(), Arc::new(leaves));
    Ok(false)
}

/// A tree that loses its needles.
const LARCH: &str = "larch";

/// Puts entries into a tree of their own, a few of them large.
pub fn grow_needles(txn: &mut WriteTransaction, state: &mut State, random: &mut Random) -> Result<(), Error> {
    for _ in 0..random.within(300, 1200) {
        let key = format!("needle {:05}", random.below(100_000)).into_bytes();
        let value = value(random);
        txn.tree(LARCH)?.insert(&key, &value)?;
        entries(state, LARCH).insert(key, value);
    }
    Ok(())
}

/// Removes nine in ten of them.
pub fn drop_needles(txn: &mut WriteTransaction, state: &mut State, random: &mut Random) -> Result<(), Error> {
    let mut tree = txn.tree(LARCH)?;
    let needles = entries(state, LARCH);
    let falling: Vec<Vec<u8>> = needles.keys().filter(|_| !random.one_in(10)).cloned().collect();
    for key in falling {
        assert!(tree.remove(&key)?, "a removal tells what was there");
        needles.remove(&key);
    }
    Ok(())
}

/// How many changes the next transaction has: mostly few, sometimes so many that they spill.
pub fn how_many(random: &mut Random) -> u64 {
    match random.below(20) {
        0 => random.within(150, 400),
        1..5 => random.within(20, 60),
        _ => random.within(1, 6),
    }
}
