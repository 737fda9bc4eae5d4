//! What a concurrent transaction asks for, and what the store and the model tell it.

use crate::common::{Entries, Random};
use crate::{Bounds, Model};
use pentimento::{ConcurrentTransaction, Result};
use std::ops::{Bound, RangeBounds};

/// What a transaction asks for; the tree is a number.
#[derive(Clone, Debug)]
pub enum Ask {
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
    pub fn only_looks(&self, began: &Model) -> bool {
        let looks =
            matches!(self, Ask::Get(..) | Ask::Walk(..) | Ask::Len(_) | Ask::IsEmpty(_) | Ask::HasTree(_) | Ask::Trees);
        looks && self.tree().is_none_or(|tree| began.contains_key(&name(tree)))
    }
}

pub fn name(tree: u8) -> String {
    ["a", "b", "c"][usize::from(tree) % 3].to_owned()
}

/// Counters begin with `#`, so that additions meet nothing else.
fn counter(random: &mut Random) -> Vec<u8> {
    vec![b'#', b'0' + random.below(2) as u8]
}

pub fn plain(random: &mut Random) -> Vec<u8> {
    (0..random.below(3)).map(|_| b'k' + random.below(3) as u8).collect()
}

pub fn bounds(random: &mut Random) -> Bounds {
    let mut one = || match random.below(4) {
        0 => Bound::Unbounded,
        1 | 2 => Bound::Included(plain(random)),
        _ => Bound::Excluded(plain(random)),
    };
    (one(), one())
}

pub fn within(entries: &Entries, bounds: &Bounds) -> Vec<(Vec<u8>, Vec<u8>)> {
    entries.iter().filter(|(key, _)| bounds.contains(*key)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

pub fn ask(random: &mut Random) -> Ask {
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
pub fn of_store(txn: &mut ConcurrentTransaction, ask: &Ask) -> Result<String> {
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
pub fn of_model(model: &mut Model, ask: &Ask) -> String {
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
