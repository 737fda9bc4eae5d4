//! Going back to what a name shows.

use crate::common::{Random, assert_clean};
use crate::gate::GateMedium;
use crate::{Map, builder};
use pentimento::{Database, Error, Snapshot};
use std::collections::BTreeMap;

/// Going back to any of several states, in any order, with trees that come and go.
#[test]
fn restoring_makes_the_present_what_was() {
    let db = builder().open_medium(Box::new(GateMedium::default()), true).unwrap();
    let mut random = Random(0xB5297A4D);
    let mut copies: Vec<(String, BTreeMap<String, Map>)> = Vec::new();
    let read_all = |snapshot: &Snapshot| -> BTreeMap<String, Map> {
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        let tree_of = |name: &String| {
            let tree = snapshot.tree(name).unwrap();
            tree.iter().unwrap().map(|entry| entry.map(|(key, value)| (number(&key), number(value))).unwrap()).collect()
        };
        snapshot.trees().unwrap().into_iter().map(|name| (name.clone(), tree_of(&name))).collect()
    };
    for step in 0..60 {
        let mut txn = db.begin_write().unwrap();
        for _ in 0..random.below(40) {
            let name = format!("tree {}", random.below(4));
            match random.below(30) {
                0 => drop(txn.drop_tree(&name).unwrap()),
                1 => txn.tree(&name).unwrap().clear().map(drop).unwrap(),
                2..8 => drop(txn.tree(&name).unwrap().remove((random.below(500) as u32).to_be_bytes()).unwrap()),
                _ => {
                    let (key, value) = (random.below(500) as u32, random.below(1 << 20) as u32);
                    txn.tree(&name).unwrap().insert(key.to_be_bytes(), value.to_be_bytes()).unwrap();
                }
            }
        }
        txn.commit().unwrap();
        if random.below(3) == 0 {
            let name = format!("step {step}");
            db.snapshot_named(&name).unwrap();
            copies.push((name, read_all(&db.snapshot().unwrap())));
        } else if !copies.is_empty() && random.below(2) == 0 {
            let (name, copy) = &copies[random.below(copies.len() as u64) as usize];
            let at = db.restore(name).unwrap();
            let restored = db.snapshot().unwrap();
            assert_eq!((restored.timestamp(), &read_all(&restored)), (at, copy));
            assert_eq!(db.restore(name).unwrap(), at, "once more changes nothing");
        }
    }
    assert!(copies.len() > 10);
    for (name, copy) in &copies {
        assert_eq!(read_all(&db.open_snapshot(name).unwrap()), *copy);
    }
    let then = db.open_snapshot(&copies[0].0).unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.tree("new").unwrap().insert("a", "b").unwrap();
    assert!(matches!(txn.restore(&then), Err(Error::NotTheFirst)));
    drop(txn);
    assert!(matches!(db.restore("nothing"), Err(Error::NoSuchSnapshot(_))));
    let other = Database::in_memory().unwrap();
    assert!(matches!(other.begin_write().unwrap().restore(&then), Err(Error::OtherStore)));
    assert_clean(&db);
}
