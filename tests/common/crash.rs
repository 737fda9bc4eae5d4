//! What a crash of the process leaves: copies of the files of a store that is open.
#![allow(dead_code, reason = "each test file uses its own part")]

use pentimento::{Database, Durability, Timestamp};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The files of a store's journal, by name.
pub fn journals(store: &Path) -> Vec<PathBuf> {
    let folder = fs::read_dir(store.parent().unwrap()).unwrap();
    let mut found: Vec<PathBuf> =
        folder.map(|entry| entry.unwrap().path()).filter(|path| path.to_string_lossy().contains("-journal-")).collect();
    found.sort();
    found
}

/// Copies a store and its journal, as a crash of the process would leave them. A store in another medium than a file has only the journal.
/// A copy is not made at one moment: when a checkpoint ended meanwhile, in the background, it is made again.
pub fn crash(store: &Path, to: &Path) -> PathBuf {
    let copy = to.join(store.file_name().unwrap());
    let state = || (journals(store), metas(store));
    loop {
        let _ = fs::remove_dir_all(to);
        fs::create_dir_all(to).unwrap();
        let before = state();
        if store.exists() {
            fs::copy(store, &copy).unwrap();
        }
        // A segment that is reused has another name.
        let copied = before.0.iter().all(|journal| fs::copy(journal, to.join(journal.file_name().unwrap())).is_ok());
        if copied && state() == before {
            return copy;
        }
    }
}

/// The bytes at the beginning of a store that every checkpoint changes; none if there is no file.
fn metas(store: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(store) {
        file.take(2 * 4096).read_to_end(&mut bytes).unwrap();
    }
    bytes
}

/// Commits one entry of tree "t".
pub fn put(db: &Database, key: u32, value: &[u8], durability: Durability) -> Timestamp {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(durability).unwrap();
    txn.tree("t").unwrap().insert(key.to_be_bytes(), value).unwrap();
    txn.commit().unwrap()
}

/// The entries of tree "t".
pub fn contents(db: &Database) -> Vec<(u32, Vec<u8>)> {
    let snapshot = db.snapshot().unwrap();
    let Ok(tree) = snapshot.tree("t") else { return Vec::new() };
    let entries = tree.iter().unwrap().map(|entry| entry.unwrap());
    entries.map(|(key, value)| (u32::from_be_bytes(key[..].try_into().unwrap()), value.to_vec())).collect()
}

/// The keys of tree "t".
pub fn keys(db: &Database) -> Vec<u32> {
    contents(db).into_iter().map(|(key, _)| key).collect()
}
