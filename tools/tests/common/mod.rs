//! Stores that are the same each time they are made, to the byte, and ways to damage them.
#![allow(dead_code, reason = "each test uses a part of it")]

use pentimento::{Database, Durability};
use pentimento_storage::Run;
use pentimento_tools::inspect::{Checkpoint, Job, StoreFile};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

pub const SLOT: u64 = 2048;

/// A folder with stores.
pub struct Stores {
    dir: tempfile::TempDir,
}

impl Stores {
    pub fn new() -> Stores {
        Stores { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A store with a tree of some levels, one with large values, an empty one, and one with keys that are not text; closed.
    pub fn closed(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fill(&path).close().unwrap();
        settle_ids(&path);
        path
    }

    /// The same with named snapshots: two of one commit, one of a later commit, and one of the newest. A tree was dropped since; closed.
    pub fn named(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let db = fill(&path);
        db.snapshot_named("before the sale").unwrap();
        db.snapshot_named("nightly").unwrap();
        let change = |keys: std::ops::Range<u32>, what: &str| {
            let mut txn = db.begin_write().unwrap();
            let mut orders = txn.tree("orders").unwrap();
            keys.for_each(|number| orders.insert(key(number), format!("{} {what}", value(number))).unwrap());
            txn.commit().unwrap();
        };
        change(500..540, "in the sale");
        db.snapshot_named("the sale").unwrap();
        change(520..560, "after the sale");
        let mut txn = db.begin_write().unwrap();
        txn.drop_tree("notes").unwrap();
        txn.commit().unwrap();
        db.checkpoint().unwrap();
        change(0..1, "at the end");
        db.snapshot_named("now").unwrap();
        db.close().unwrap();
        settle_ids(&path);
        settle_times(&path);
        path
    }

    /// A store with one tree, whose leaves have got a few small commits each since they were written, so that they have deltas: every thirtieth key has
    /// another value, the one after it is gone, and there is a new one behind that. Before half of the commits a snapshot is named; closed.
    pub fn with_deltas(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let db = Database::builder()
            .durability(Durability::None)
            .checkpoint_interval(Duration::from_secs(3600))
            .open(&path)
            .unwrap();
        let mut txn = db.begin_write().unwrap();
        let mut orders = txn.tree("orders").unwrap();
        let numbers = (0..1500).map(|number| number * 7919 % 1500);
        numbers.for_each(|number| orders.insert(key(number), long(&value(number))).unwrap());
        txn.commit().unwrap();
        db.checkpoint().unwrap();
        for number in (0..1500).step_by(30) {
            if number == 750 {
                db.snapshot_named("halfway").unwrap();
            }
            // All over the tree both before and after that.
            let number = (number * 7) % 1500;
            let mut txn = db.begin_write().unwrap();
            let mut orders = txn.tree("orders").unwrap();
            orders.insert(key(number), long(&format!("changed {number}"))).unwrap();
            orders.remove(key(number + 1)).unwrap();
            orders.insert(format!("{}-new", key(number + 2)), long("new")).unwrap();
            txn.commit().unwrap();
        }
        db.close().unwrap();
        settle_ids(&path);
        settle_times(&path);
        path
    }

    /// The first again, but as a crash leaves it: three commits are in the journal alone.
    pub fn crashed(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let original = self.path("original");
        let db = fill(&original);
        db.checkpoint().unwrap();
        for round in 0..3_u32 {
            let mut txn = db.begin_write().unwrap();
            let mut orders = txn.tree("orders").unwrap();
            orders.insert(key(round * 100), format!("changed in round {round}")).unwrap();
            orders.remove(key(round * 100 + 1)).unwrap();
            orders.insert(format!("order-9000{round}"), b"new").unwrap();
            txn.commit().unwrap();
        }
        fs::copy(&original, &path).unwrap();
        for number in 1..=2 {
            let journal = |store: &Path| PathBuf::from(format!("{}-journal-{number}", store.display()));
            if journal(&original).exists() {
                fs::copy(journal(&original), journal(&path)).unwrap();
            }
        }
        drop(db);
        fs::remove_file(original).unwrap();
        settle_ids(&path);
        path
    }
}

pub fn key(number: u32) -> String {
    format!("order-{number:05}")
}

pub fn value(number: u32) -> String {
    format!("{} of item {}", 1 + number % 9, number * 7919 % 1000)
}

/// A text made long enough that a leaf has some dozens of such.
pub fn long(text: &str) -> String {
    format!("{text:.<100}")
}

fn fill(path: &Path) -> Database {
    // Nothing happens behind the test's back: no checkpoint before it is asked for.
    let db = Database::builder()
        .page_size(4096)
        .durability(Durability::Sync)
        .checkpoint_interval(Duration::from_secs(3600))
        .journal_segment(1 << 20)
        .open(path)
        .unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.tree("orders").unwrap().bulk_load((0..2000).map(|number| (key(number), value(number)))).unwrap();
    txn.tree("empty").unwrap();
    let mut notes = txn.tree("notes").unwrap();
    for number in 0..5_u8 {
        notes.insert([0, number, 255], vec![number; 100 + usize::from(number) * 3000]).unwrap();
    }
    txn.commit().unwrap();
    db.checkpoint().unwrap();
    for round in 0..2_u32 {
        let mut txn = db.begin_write().unwrap();
        let mut orders = txn.tree("orders").unwrap();
        for number in (round..2000).step_by(97) {
            orders.insert(key(number), format!("{} (round {round})", value(number))).unwrap();
        }
        txn.commit().unwrap();
        db.checkpoint().unwrap();
    }
    db
}

/// Gives a store, and its journal, an id that is the same each time.
pub fn settle_ids(path: &Path) {
    let id = *b"a store of tests";
    let patch = |path: &Path, sector: u64, at: u64| {
        let file = fs::File::options().read(true).write(true).open(path).unwrap();
        let mut bytes = [0; 512];
        file.read_exact_at(&mut bytes, sector).unwrap();
        if bytes.iter().all(|byte| *byte == 0) {
            return;
        }
        bytes[at as usize..at as usize + 16].copy_from_slice(&id);
        let crc = crc32fast::hash(&bytes[..508]);
        bytes[508..].copy_from_slice(&crc.to_le_bytes());
        file.write_all_at(&bytes, sector).unwrap();
    };
    patch(path, 0, 24);
    patch(path, 4096, 24);
    for number in 1..=3 {
        let journal = PathBuf::from(format!("{}-journal-{number}", path.display()));
        if journal.exists() {
            patch(&journal, 0, 16);
        }
    }
}

/// Gives the named snapshots of a closed store times that are the same each time.
fn settle_times(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let start = u64::from_le_bytes(bytes[80..88].try_into().unwrap()) & ((1 << 48) - 1);
    let (list, len) = ((start * SLOT) as usize, word(&bytes, 92) as usize);
    assert_eq!(&bytes[list..list + 4], b"PNAM");
    let mut at = list + 16;
    for number in 0..u64::from(word(&bytes, list + 4)) {
        let time = 1_700_000_000_000 + number * 3_600_000;
        bytes[at + 8..at + 16].copy_from_slice(&time.to_le_bytes());
        at += 40 + usize::from(bytes[at + 36]);
    }
    let crc = crc32fast::hash(&bytes[list..list + len]);
    for meta in [0, 4096] {
        bytes[meta + 88..meta + 92].copy_from_slice(&crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[meta..meta + 508]);
        bytes[meta + 508..meta + 512].copy_from_slice(&crc.to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

/// Changes one byte of a file.
pub fn flip(path: &Path, offset: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0xFF], offset).unwrap();
}

/// Runs `pent` in the folder of a store.
pub fn pent(store: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pent"))
        .args(args)
        .current_dir(store.parent().unwrap())
        .env_remove("RUST_BACKTRACE")
        .env("COLUMNS", "120")
        .output()
        .unwrap()
}

/// What `pent` printed, and how it ended, as one text.
pub fn shown(store: &Path, args: &[&str]) -> String {
    let output = pent(store, args);
    let mut text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    if !errors.is_empty() {
        text += &format!("--- standard error\n{errors}");
    }
    match output.status.code() {
        Some(0) => {}
        code => text += &format!("--- exit code {}\n", code.unwrap()),
    }
    text
}

pub fn json(store: &Path, args: &[&str]) -> serde_json::Value {
    let output = pent(store, args);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {output:?}"))
}

/// Changes the version of a page in place, and every checksum that hangs on it, so that only the contents tell: those of the table pages that refer to it,
/// of the list of named snapshots, and of the metas. For stores whose page tables have one level.
pub fn forge(path: &Path, job: &Job, change: impl FnOnce(&mut [u8])) {
    let checkpoint = Checkpoint::read(&StoreFile::open(path).unwrap()).unwrap();
    let mut bytes = fs::read(path).unwrap();
    let at = job.run.offset() as usize;
    let length = u32::from_le_bytes(bytes[at + 16..at + 20].try_into().unwrap()) as usize;
    change(&mut bytes[at..at + length]);
    let crc = crc32fast::hash(&bytes[at..at + length]);
    let named = checkpoint.named.tables.iter().map(|table| table.slot.run);
    for table in checkpoint.table_pages.iter().map(|table| table.run).chain(named) {
        retable(&mut bytes, &checkpoint, table, |table| {
            for item in table[32..].chunks_exact_mut(24).filter(|item| item[16..20] == job.crc.to_le_bytes()) {
                item[16..20].copy_from_slice(&crc.to_le_bytes());
            }
        });
    }
    fs::write(path, bytes).unwrap();
}

/// Changes a table page in place, and the checksums that hang on it.
pub fn retable(bytes: &mut [u8], checkpoint: &Checkpoint, table: Run, change: impl FnOnce(&mut [u8])) {
    let range = table.offset() as usize..(table.offset() + table.bytes()) as usize;
    let before = crc32fast::hash(&bytes[range.clone()]);
    change(&mut bytes[range.clone()]);
    let after = crc32fast::hash(&bytes[range]);
    if after == before {
        return;
    }
    let mut list = None;
    if let (Some(run), Some(names)) = (checkpoint.named.list, checkpoint.meta().unwrap().names) {
        let range = run.offset() as usize..run.offset() as usize + names.len as usize;
        // Snapshots of one commit have one table.
        while let Some(found) = bytes[range.clone()].windows(4).position(|word| word == before.to_le_bytes()) {
            bytes[range.start + found..][..4].copy_from_slice(&after.to_le_bytes());
        }
        list = Some(crc32fast::hash(&bytes[range]));
    }
    for meta in [0, 4096] {
        if bytes[meta + 72..meta + 76] == before.to_le_bytes() {
            bytes[meta + 72..meta + 76].copy_from_slice(&after.to_le_bytes());
        }
        if let Some(list) = list {
            bytes[meta + 88..meta + 92].copy_from_slice(&list.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes[meta..meta + 508]);
        bytes[meta + 508..meta + 512].copy_from_slice(&crc.to_le_bytes());
    }
}
