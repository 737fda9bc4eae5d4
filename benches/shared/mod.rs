//! What several benches begin with.

use pentimento::Database;

/// A store of so many entries, loaded in the order of their keys.
pub fn store(dir: &tempfile::TempDir, entries: u64) -> Database {
    let db = Database::open(dir.path().join(format!("{entries}.pent"))).expect("a store");
    let mut txn = db.begin_write().expect("the turn");
    let load = (0..entries).map(|number| (number.to_be_bytes(), [number as u8; 100]));
    txn.tree("entries").expect("the tree").bulk_load(load).expect("a load");
    txn.commit().expect("a commit");
    db
}
