//! Random transactions against a map.

use crate::common::{Entries, Random, assert_walk, cases, pattern};
use crate::{BOTH, on_each_store, put};
use pentimento::{ConcurrentTransaction, Result};
use std::ops::Bound;

fn random_key(random: &mut Random) -> Vec<u8> {
    let len = random.below(3) as usize;
    (0..len).map(|_| random.below(6) as u8).collect()
}

fn random_bound(random: &mut Random) -> Bound<Vec<u8>> {
    match random.below(3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(random_key(random)),
        _ => Bound::Excluded(random_key(random)),
    }
}

fn within<'m>(model: &'m Entries, bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> Vec<(&'m [u8], &'m [u8])> {
    let starts = |key: &Vec<u8>| match &bounds.0 {
        Bound::Unbounded => true,
        Bound::Included(start) => key >= start,
        Bound::Excluded(start) => key > start,
    };
    let ends = |key: &Vec<u8>| match &bounds.1 {
        Bound::Unbounded => true,
        Bound::Included(end) => key <= end,
        Bound::Excluded(end) => key < end,
    };
    model.iter().filter(|(key, _)| starts(key) && ends(key)).map(|(k, v)| (k.as_slice(), v.as_slice())).collect()
}

/// One change or look, in the transaction and in the model.
fn step(txn: &mut ConcurrentTransaction, model: &mut Entries, random: &mut Random) -> Result<()> {
    let mut tree = txn.tree("t")?;
    let key = random_key(random);
    match random.below(14) {
        0..=2 => {
            let value = pattern(random.next(), random.below(20) as usize);
            tree.insert(&key, &value)?;
            model.insert(key, value);
        }
        3 => assert_eq!(tree.replace(&key, b"replaced")?, model.insert(key, b"replaced".to_vec())),
        4 if random.below(2) == 0 => {
            tree.delete(&key)?;
            model.remove(&key);
        }
        4 => assert_eq!(tree.remove(&key)?, model.remove(&key).is_some()),
        5 => assert_eq!(tree.take(&key)?, model.remove(&key)),
        6 => {
            tree.append(&key, b"+")?;
            model.entry(key).or_default().push(b'+');
        }
        7 => assert_eq!(tree.get(&key)?, model.get(&key).map(Vec::as_slice)),
        8 => assert_eq!(tree.len()?, model.len() as u64),
        9 => assert_eq!(tree.is_empty()?, model.is_empty()),
        10 => {
            let bounds = (random_bound(random), random_bound(random));
            assert_walk(tree.range(bounds.clone())?, within(model, &bounds), random.next());
        }
        11 => {
            let bounds = (random_bound(random), random_bound(random));
            let gone: Vec<Vec<u8>> = within(model, &bounds).into_iter().map(|(key, _)| key.to_vec()).collect();
            assert_eq!(tree.remove_range(bounds)?, gone.len() as u64);
            gone.iter().for_each(|key| drop(model.remove(key)));
        }
        12 => {
            let (first, last) = (model.pop_first(), model.pop_last());
            assert_eq!((tree.pop_first()?, tree.pop_last()?), (first, last));
        }
        _ => {
            let old = model.get(&key).cloned();
            assert!(!tree.compare_and_swap(&key, Some(b"never there"), None)?);
            assert!(tree.compare_and_swap(&key, old.as_deref(), Some(b"swapped"))?);
            model.insert(key, b"swapped".to_vec());
        }
    }
    Ok(())
}

#[test]
fn a_transaction_sees_what_a_map_would_and_commits_it() {
    on_each_store(|db| {
        put(db, "t", b"begin", b"here");
        let mut committed = Entries::from([(b"begin".to_vec(), b"here".to_vec())]);
        let mut random = Random(11);
        for _ in 0..150 * cases(1) {
            let isolation = BOTH[random.below(2) as usize];
            let mut txn = db.begin_concurrent(isolation).unwrap();
            let mut model = committed.clone();
            for _ in 0..random.below(40) {
                step(&mut txn, &mut model, &mut random).unwrap();
            }
            if random.below(4) > 0 {
                txn.commit().unwrap();
                committed = model;
            }
            let snapshot = db.snapshot().unwrap();
            let tree = snapshot.tree("t").unwrap();
            assert_eq!(tree.len().unwrap(), committed.len() as u64);
            assert_walk(tree.iter().unwrap(), within(&committed, &(Bound::Unbounded, Bound::Unbounded)), 0);
        }
    });
}
