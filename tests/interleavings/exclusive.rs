//! An exclusive writer beside concurrent transactions, which does everything that those cannot do.

use crate::Model;
use crate::asks::{bounds, name, plain, within};
use crate::common::{Entries, Random};
use pentimento::{Database, Durability};

/// An exclusive writer does something and commits, or not.
pub fn write(db: &Database, model: &mut Model, random: &mut Random) {
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
