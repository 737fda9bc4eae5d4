//! The tree that a thread asked for last.
//!
//! Whoever opens a snapshot for each look-up asks for the same tree again and again, and to find it in the catalog takes 380 instructions, where the look-up takes 900.
//!
//! Promises: tells what the catalog would tell: the catalog's root is the same version as it was, and was all of it. What is remembered is a few words of each thread, whatever becomes of the store.

use crate::catalog::{self, CATALOG, TreeRecord};
use crate::snapshot::Snapshot;
use crate::{Error, Result};
use pentimento_btree as btree;
use pentimento_storage::VersionId;
use std::cell::Cell;

/// Longer names are not remembered.
const NAME_BYTES: usize = 24;

#[derive(Clone, Copy)]
struct Met {
    catalog: VersionId,
    name: [u8; NAME_BYTES],
    len: usize,
    record: TreeRecord,
}

thread_local! {
    static LAST: Cell<Option<Met>> = const { Cell::new(None) };
}

/// The tree of this name as a snapshot sees it.
///
/// # Errors
/// [`Error::NoSuchTree`] if there is none, or when the catalog is damaged.
#[inline]
pub(crate) fn find(snapshot: &Snapshot, name: &str) -> Result<TreeRecord> {
    if let Some(met) = LAST.get()
        && Some(met.catalog) == snapshot.pin().version_id(CATALOG)
        && met.name[..met.len] == *name.as_bytes()
    {
        return Ok(met.record);
    }
    meet(snapshot, name)
}

#[inline(never)]
fn meet(snapshot: &Snapshot, name: &str) -> Result<TreeRecord> {
    let record = catalog::find(snapshot, name)?.ok_or_else(|| Error::NoSuchTree { name: name.to_owned() })?;
    if let Some(catalog) = snapshot.pin().version_id(CATALOG)
        && name.len() <= NAME_BYTES
        && btree::Tree::new(snapshot, CATALOG).is_one_page()?
    {
        let mut bytes = [0; NAME_BYTES];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        LAST.set(Some(Met { catalog, name: bytes, len: name.len(), record }));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Database;

    fn commit(db: &Database, change: impl FnOnce(&mut crate::WriteTransaction)) {
        let mut txn = db.begin_write().unwrap();
        change(&mut txn);
        txn.commit().unwrap();
    }

    fn remembers(name: &str) -> bool {
        LAST.get().is_some_and(|met| met.name[..met.len] == *name.as_bytes())
    }

    #[test]
    fn what_is_remembered_is_what_the_catalog_says() {
        let (db, other) = (Database::in_memory().unwrap(), Database::in_memory().unwrap());
        for db in [&db, &other] {
            commit(db, |txn| txn.tree("a").unwrap().insert(b"k", b"old").unwrap());
        }
        let before = db.snapshot().unwrap();
        let value = |snapshot: &Snapshot, name: &str| {
            snapshot.tree(name).ok().map(|tree| tree.get(b"k").unwrap().unwrap_or_default().to_vec())
        };
        assert_eq!(value(&before, "a").as_deref(), Some(&b"old"[..]));
        assert!(remembers("a"));
        // Another tree under the same name, in this store alone; another store has its commits at the same timestamps.
        commit(&db, |txn| assert!(txn.drop_tree("a").unwrap()));
        commit(&db, |txn| txn.tree("b").unwrap().insert(b"k", b"b").unwrap());
        commit(&db, |txn| txn.tree("a").unwrap().insert(b"k", b"new").unwrap());
        commit(&other, |txn| txn.rename_tree("a", "b").unwrap());
        let after = db.snapshot().unwrap();
        for _ in 0..2 {
            assert_eq!(value(&before, "a").as_deref(), Some(&b"old"[..]));
            assert_eq!(value(&after, "a").as_deref(), Some(&b"new"[..]));
            assert_eq!((value(&before, "b"), value(&after, "b")), (None, Some(b"b".to_vec())));
            let other = other.snapshot().unwrap();
            assert_eq!((value(&other, "a"), value(&other, "b")), (None, Some(b"old".to_vec())));
        }
    }

    #[test]
    fn a_catalog_of_several_pages_is_asked_itself() {
        let db = Database::in_memory().unwrap();
        let name = |number: usize| format!("tree {number:03}");
        let long = "n".repeat(NAME_BYTES + 1);
        commit(&db, |txn| {
            (0..1000).for_each(|number| txn.tree(&name(number)).unwrap().insert(b"k", b"v").unwrap());
            txn.tree(&long).unwrap().insert(b"k", b"v").unwrap();
        });
        let snapshot = db.snapshot().unwrap();
        (0..1000).for_each(|number| snapshot.tree(&name(number)).map(|_| ()).unwrap());
        snapshot.tree(&long).unwrap();
        assert!(!remembers(&name(999)) && LAST.get().is_none_or(|met| met.len <= NAME_BYTES));
    }
}
