//! The commits of new entries that `pentimento-compare` makes.

use crate::profile::{VALUE, key};
use pentimento::{Database, Durability};

// Functions of their own, so that a profile tells them apart.

#[inline(never)]
pub fn batches(db: &Database, first: u64) {
    for batch in 0..100 {
        let mut txn = db.begin_write().expect("the turn");
        let mut tree = txn.tree("entries").expect("the tree");
        let numbers = first + batch * 1_000..first + (batch + 1) * 1_000;
        numbers.for_each(|number| tree.insert(key(number), VALUE).expect("an insert"));
        txn.commit().expect("a commit");
    }
}

#[inline(never)]
pub fn unsynced(db: &Database, first: u64) {
    for number in first..first + 50_000 {
        let mut txn = db.begin_write().expect("the turn");
        txn.set_durability(Durability::None).expect("a durability");
        txn.tree("entries").expect("the tree").insert(key(number), VALUE).expect("an insert");
        txn.commit().expect("a commit");
    }
}
