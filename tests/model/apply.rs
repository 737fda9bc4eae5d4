//! Doing to the model what a transaction does, and comparing each answer.

use crate::common::{Entries, State, assert_walk, pattern};
use crate::steps::{Op, TreeOp, bounds, key, name, value_len};
use pentimento::{Error, MAX_KEY_LEN, TreeMut, WriteTransaction};
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

/// Does all of `ops` in the transaction and in `state`.
pub fn all(txn: &mut WriteTransaction, ops: &[Op], state: &mut State) {
    let mut savepoints = Vec::new();
    for (number, op) in ops.iter().enumerate() {
        match op {
            Op::In(tree, op) => {
                let mut handle = txn.tree(&name(*tree)).unwrap();
                let entries = Arc::make_mut(state.entry(name(*tree)).or_default());
                apply(&mut handle, entries, *tree, op, number as u64);
                assert_eq!(handle.len(), entries.len() as u64, "the length after {op:?}");
                assert_eq!(handle.is_empty(), entries.is_empty());
            }
            Op::Burst { trees, start, count, kind } => {
                burst(txn, state, *trees, *start, *count, *kind, number as u64);
                // Whatever comes next finds inserts or removals that wait.
                if kind % 4 != 0 {
                    continue;
                }
            }
            Op::DropTree(tree) => {
                assert_eq!(txn.drop_tree(&name(*tree)).unwrap(), state.remove(&name(*tree)).is_some());
                assert!(matches!(txn.existing_tree(&name(*tree)), Err(Error::NoSuchTree { .. })));
            }
            Op::Rename(from, to) => rename(txn, state, &name(*from), &name(*to)),
            Op::Savepoint => savepoints.push((txn.savepoint().unwrap(), state.clone())),
            Op::RollBack(which) => {
                if savepoints.is_empty() {
                    continue;
                }
                let index = usize::from(*which) % savepoints.len();
                txn.rollback_to(savepoints[index].0).unwrap();
                *state = savepoints[index].1.clone();
                if let Some((gone, _)) = savepoints.get(index + 1) {
                    assert!(matches!(txn.rollback_to(*gone), Err(Error::SavepointGone)));
                }
                savepoints.truncate(index + 1);
            }
        }
        assert_eq!(txn.trees().unwrap(), state.keys().cloned().collect::<Vec<_>>(), "the trees after {op:?}");
    }
    for (name, entries) in state.iter() {
        assert!(txn.has_tree(name).unwrap());
        let tree = txn.existing_tree(name).unwrap();
        assert_walk(tree.iter().unwrap(), entries.iter().map(|(k, v)| (k.as_slice(), v.as_slice())).collect(), 0);
    }
}

/// Inserts, removals or deletes that follow one another: keys in order, backwards or scattered, some of them more than once, values small and at
/// times too large for a leaf.
fn burst(txn: &mut WriteTransaction, state: &mut State, trees: (u8, u8), start: u16, count: u8, kind: u8, seed: u64) {
    for step in 0..u16::from(count) * 2 {
        let number = match kind / 4 % 4 {
            0 => start.saturating_add(step),
            1 => start.saturating_sub(step),
            2 => start.wrapping_add(step % 32),
            _ => start.wrapping_add(step.wrapping_mul(2917)),
        };
        let family = if kind >= 128 && step % 3 == 0 { trees.1 } else { trees.0 };
        if kind & 32 != 0 {
            let key = key(family, number);
            let entries = Arc::make_mut(state.entry(name(family)).or_default());
            let mut tree = txn.tree(&name(family)).unwrap();
            let was_there = entries.remove(&key).is_some();
            if kind & 16 != 0 {
                tree.delete(&key).unwrap();
            } else {
                assert_eq!(tree.remove(&key).unwrap(), was_there);
            }
            continue;
        }
        let len = if kind & 64 != 0 { value_len(number.wrapping_add(step)) } else { usize::from(step % 150) };
        let (key, value) = (key(family, number), pattern(seed << 16 | u64::from(step), len));
        txn.tree(&name(family)).unwrap().insert(&key, &value).unwrap();
        Arc::make_mut(state.entry(name(family)).or_default()).insert(key, value);
    }
}

fn rename(txn: &mut WriteTransaction, state: &mut State, from: &str, to: &str) {
    let renamed = txn.rename_tree(from, to);
    if !state.contains_key(from) {
        assert!(matches!(renamed, Err(Error::NoSuchTree { .. })), "{renamed:?}");
    } else if state.contains_key(to) {
        assert!(matches!(renamed, Err(Error::TreeExists { .. })), "{renamed:?}");
    } else {
        renamed.unwrap();
        let entries = state.remove(from).expect("it was there");
        state.insert(to.to_owned(), entries);
    }
}

/// The entries of the model within bounds, which may begin beyond their end.
pub fn within<'e>(entries: &'e Entries, bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> Vec<(&'e [u8], &'e [u8])> {
    entries.iter().filter(|(key, _)| bounds.contains(*key)).map(|(k, v)| (k.as_slice(), v.as_slice())).collect()
}

fn apply(tree: &mut TreeMut<'_>, entries: &mut Entries, family: u8, op: &TreeOp, seed: u64) {
    let key = |number| key(family, number);
    let value = |number| pattern(seed << 16 | u64::from(number), value_len(number));
    // Many entries at once stay small.
    let small = |number: u16| pattern(seed << 16 | u64::from(number), usize::from(number % 150));
    match op {
        TreeOp::Insert(k, v) => {
            tree.insert(key(*k), value(*v)).unwrap();
            entries.insert(key(*k), value(*v));
            assert_eq!(tree.get(key(*k)).unwrap(), Some(value(*v).as_slice()));
        }
        TreeOp::Replace(k, v) => {
            assert!(
                tree.replace(key(*k), value(*v)).unwrap() == entries.insert(key(*k), value(*v)),
                "what was replaced"
            );
        }
        TreeOp::Reserve(k, v) => {
            let value = value(*v);
            let room = tree.insert_reserve(key(*k), value.len()).unwrap();
            assert!(room.len() == value.len() && room.iter().all(|byte| *byte == 0), "the room is zeroed");
            room.copy_from_slice(&value);
            entries.insert(key(*k), value);
        }
        TreeOp::Remove(k) => assert_eq!(tree.remove(key(*k)).unwrap(), entries.remove(&key(*k)).is_some()),
        TreeOp::Delete(k) => {
            tree.delete(key(*k)).unwrap();
            entries.remove(&key(*k));
        }
        TreeOp::Take(k) => assert!(tree.take(key(*k)).unwrap() == entries.remove(&key(*k)), "what was taken"),
        TreeOp::Get(k) => {
            assert!(tree.get(key(*k)).unwrap() == entries.get(&key(*k)).map(Vec::as_slice), "the value of {k}");
            assert_eq!(tree.contains_key(key(*k)).unwrap(), entries.contains_key(&key(*k)));
        }
        TreeOp::PopFirst => assert!(tree.pop_first().unwrap() == entries.pop_first(), "the first entry"),
        TreeOp::PopLast => assert!(tree.pop_last().unwrap() == entries.pop_last(), "the last entry"),
        TreeOp::Ascending(start, count) => {
            for number in *start..start.saturating_add(u16::from(*count)) {
                tree.insert(key(number), small(number)).unwrap();
                entries.insert(key(number), small(number));
            }
        }
        TreeOp::Bulk { start, count, order } => {
            let numbers = *start..start.saturating_add(u16::from(*count) * 2);
            let mut load: Vec<_> = numbers.map(|number| (key(number), small(number))).collect();
            match order % 4 {
                0 => load.reverse(),
                1 => load.sort_by_key(|(_, value)| value.len()),
                _ => load.sort_by(|one, other| one.0.cmp(&other.0)),
            }
            let before = entries.len();
            let new = tree.bulk_load(load.iter().map(|(k, v)| (k, v))).unwrap();
            entries.extend(load);
            assert_eq!(new, (entries.len() - before) as u64, "how many keys of the load are new");
        }
        TreeOp::RemoveRange(a, b, kind) => {
            let bounds = bounds(family, *a, *b, *kind);
            let gone: Vec<_> = within(entries, &bounds).iter().map(|(key, _)| key.to_vec()).collect();
            assert_eq!(tree.remove_range(bounds).unwrap(), gone.len() as u64);
            gone.iter().for_each(|key| assert!(entries.remove(key).is_some()));
        }
        TreeOp::Clear => {
            assert_eq!(tree.clear().unwrap(), entries.len() as u64);
            entries.clear();
        }
        TreeOp::Walk(a, b, kind, turns) => {
            let bounds = bounds(family, *a, *b, *kind);
            assert_walk(tree.range(bounds.clone()).unwrap(), within(entries, &bounds), *turns);
            let ends = |entry: Option<(pentimento::Key<'_>, &[u8])>| entry.map(|(k, v)| (k.into_vec(), v.to_vec()));
            let model = |entry: Option<(&Vec<u8>, &Vec<u8>)>| entry.map(|(k, v)| (k.clone(), v.clone()));
            assert!(ends(tree.first().unwrap()) == model(entries.first_key_value()), "the first entry");
            assert!(ends(tree.last().unwrap()) == model(entries.last_key_value()), "the last entry");
        }
        TreeOp::Prefix(k, cut) => {
            let key = key(*k);
            let prefix = &key[..usize::from(*cut) % (key.len() + 1)];
            let expected = entries.iter().filter(|(key, _)| key.starts_with(prefix));
            let expected = expected.map(|(k, v)| (k.as_slice(), v.as_slice())).collect();
            assert_walk(tree.prefix(prefix).unwrap(), expected, u64::from(*k));
        }
        TreeOp::TooLong => {
            let refused = tree.insert(vec![1; MAX_KEY_LEN + 1], b"");
            assert!(matches!(refused, Err(Error::KeyTooLong { len, max: MAX_KEY_LEN }) if len == MAX_KEY_LEN + 1));
        }
    }
}
