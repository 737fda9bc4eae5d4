//! A good checksum licenses nothing: files that were forged with care do not make the program crash either.
//!
//! Strategy: bytes of the meta slots, of the page table, of nodes and values are changed, and every checksum above them is made right again. Then the store is opened,
//! read in every way, checked, and written to. `PENTIMENTO_CASES` tries that many times as many changes.
//!
//! Invariants: it may have other data in it, or be refused with an error; nothing panics, nothing runs for ever, nothing reads outside of the file.

mod common;

use common::{Random, cases, pattern};
use pentimento::{Database, Error, MemoryMedium, Result, SLOT_BYTES};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

/// Where the format has what must be made right again: see `docs/design.md`.
const METAS: [usize; 2] = [0, 4096];
const META_CRC_AT: usize = 508;
const ROOT_AT: usize = 64;
const ROOT_CRC_AT: usize = 72;
const ITEMS_AT: usize = 32;
const ITEM_BYTES: usize = 24;
const KIND_VERSION: u32 = 2;
const LENGTH_AT: usize = 16;

/// No walk over these small stores is longer.
const STEPS_MAX: usize = 100_000;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn run_at(bytes: &[u8], at: usize) -> usize {
    let word = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    (word & ((1 << 48) - 1)) as usize * SLOT_BYTES
}

fn put(bytes: &mut [u8], at: usize, crc: u32) {
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// A closed store whose page table is one page, so that forging is simple.
fn sample() -> &'static [u8] {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("forged.pent");
        let db = Database::builder().page_size(4096).open(&path).unwrap();
        let mut txn = db.begin_write().unwrap();
        let mut tree = txn.tree("levels").unwrap();
        (0..300u64).for_each(|number| tree.insert(format!("key {number:05}"), pattern(number, 30)).unwrap());
        let mut tree = txn.tree("large").unwrap();
        tree.insert(b"value", pattern(7, 9000)).unwrap();
        (0..6u8).for_each(|number| tree.insert([vec![number], pattern(8, 3000)].concat(), b"a long key").unwrap());
        txn.tree("empty").unwrap();
        txn.commit().unwrap();
        db.close().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let table = run_at(&bytes, ROOT_AT);
        assert_eq!(&bytes[table..table + 4], b"PTBL");
        assert_eq!(u32_at(&bytes, table + 4), 0, "the table is one page");
        bytes
    })
}

/// The bytes of the table, which has one or two slots.
fn table(bytes: &[u8]) -> Option<Range<usize>> {
    let start = run_at(bytes, ROOT_AT);
    let slots = u16::from_le_bytes(bytes[ROOT_AT + 6..ROOT_AT + 8].try_into().expect("two bytes"));
    let end = start.saturating_add(usize::from(slots.clamp(1, 2)) * SLOT_BYTES);
    (end <= bytes.len()).then_some(start..end)
}

/// The slots of the versions in the table.
fn versions(bytes: &[u8]) -> Vec<usize> {
    let Some(table) = table(bytes) else { return Vec::new() };
    let items = bytes[table][ITEMS_AT..].chunks_exact(ITEM_BYTES);
    items.filter(|item| u32_at(item, 20) == KIND_VERSION).map(|item| run_at(item, 0)).collect()
}

/// Makes every checksum right, from the versions up to the meta slots.
fn seal(bytes: &mut [u8]) {
    if let Some(table) = table(bytes) {
        let items = (table.len() - ITEMS_AT) / ITEM_BYTES;
        for at in (0..items).map(|item| table.start + ITEMS_AT + item * ITEM_BYTES) {
            let start = run_at(bytes, at);
            if u32_at(bytes, at + 20) != KIND_VERSION || start + ITEM_BYTES > bytes.len() {
                continue;
            }
            let end = start.saturating_add(u32_at(bytes, start + LENGTH_AT) as usize);
            let Some(version) = bytes.get(start..end) else { continue };
            put(bytes, at + 16, crc32fast::hash(version));
        }
        let crc = crc32fast::hash(&bytes[table]);
        METAS.iter().for_each(|meta| put(bytes, meta + ROOT_CRC_AT, crc));
    }
    for meta in METAS {
        let crc = crc32fast::hash(&bytes[meta..meta + META_CRC_AT]);
        put(bytes, meta + META_CRC_AT, crc);
    }
}

fn open(bytes: &[u8], read_only: bool) -> Result<Database> {
    let medium = MemoryMedium::from_bytes(bytes, if read_only { bytes.len() } else { 2 << 20 });
    Database::builder().read_only(read_only).open_medium(Box::new(medium), false)
}

/// Walks, and stops at the first error; a walk that does not end is one.
fn walk<T>(entries: impl Iterator<Item = Result<T>>) -> Result<usize> {
    let mut steps = 0;
    for entry in entries {
        entry?;
        steps += 1;
        assert!(steps < STEPS_MAX, "the walk does not end");
    }
    Ok(steps)
}

/// Reads in every way.
fn read(bytes: &[u8]) -> Result<()> {
    let db = open(bytes, true)?;
    let snapshot = db.snapshot()?;
    let mut result = Ok(());
    for name in ["levels", "large", "empty"] {
        let Ok(tree) = snapshot.tree(name) else { continue };
        let tries = [
            tree.iter().and_then(walk),
            tree.iter().map(Iterator::rev).and_then(walk),
            tree.range(b"key 00100".as_slice()..b"key 00200".as_slice()).and_then(walk),
            walk(tree.range_owned(..)),
            tree.get(b"key 00150").map(|_| 0),
            tree.get_bytes(b"value").map(|_| 0),
            tree.first().and(tree.last()).map(|_| 0),
            tree.len().map(|_| 0),
        ];
        result = tries.into_iter().fold(result, |result, tried| result.and(tried.map(drop)));
    }
    let _ = (db.check(), db.stats(), db.readers());
    result
}

/// Changes in every way, in transactions of their own.
fn write(bytes: &[u8]) -> Result<()> {
    let db = open(bytes, false)?;
    let mut result: Result<()> = Ok(());
    for number in 0..8 {
        let mut txn = db.begin_write()?;
        let changed = txn.existing_tree("levels").and_then(|mut tree| match number {
            0 => tree.insert(b"key 00150x", pattern(1, 500)),
            1 => tree.remove(b"key 00150").map(drop),
            2 => tree.pop_first().and(tree.pop_last()).map(drop),
            3 => (0..100).try_for_each(|n| tree.insert(format!("key {n:05}x"), pattern(n, 80))),
            4 => tree.remove_range(b"key 00050".as_slice()..b"key 00250".as_slice()).map(drop),
            5 => tree.bulk_load((0..200).map(|n| (format!("m {n:05}"), pattern(n, 50)))).map(drop),
            6 => tree.take(b"key 00151").map(drop),
            _ => tree.clear().map(drop),
        });
        let changed = changed.and_then(|()| match number {
            0 => txn.tree("large")?.insert(b"value", b"short"),
            1 => txn.tree("new")?.insert(b"k", b"v"),
            4 => txn.tree("large")?.remove_range(..).map(drop),
            6 => txn.drop_tree("large").map(drop),
            7 => txn.drop_tree("levels").map(drop),
            _ => Ok(()),
        });
        result = result.and(changed).and(txn.commit().map(drop));
        result = result.and(db.checkpoint().map(drop)).and(db.maintain().map(drop));
    }
    let _ = db.check();
    result.and(db.close())
}

/// Any error but one that blames somebody else.
fn assert_withstands(what: &str, bytes: &[u8], act: fn(&[u8]) -> Result<()>) -> bool {
    match catch_unwind(AssertUnwindSafe(|| act(bytes))) {
        Err(_) => panic!("{what}: it panics"),
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            let is_foreign = matches!(error, Error::Locked { .. } | Error::Busy | Error::ReadOnly | Error::Poisoned(_));
            assert!(!is_foreign, "{what}: {error:?}");
            false
        }
    }
}

/// Changes the bytes at `places` one by one, in a few ways each.
fn forge(what: &str, places: impl Iterator<Item = usize> + Clone, times: u64, act: fn(&[u8]) -> Result<()>) {
    let mut random = Random(3);
    let (mut whole, mut refused) = (0, 0);
    let mut bytes = sample().to_vec();
    for _ in 0..times {
        for at in places.clone() {
            // A byte, or the whole word that it is in: counts and timestamps as great as can be, lengths that wrap around.
            let width = [1, 1, 4, 8][random.below(4) as usize];
            let place = at - at % width..at - at % width + width;
            let before = sample()[at];
            let changed = match random.below(6) {
                0 => vec![0; width],
                1 => vec![0xFF; width],
                2 => [vec![0xFF; width - 1], vec![0x7F]].concat(),
                3 => [vec![before.wrapping_add(1)], sample()[place.clone()][1..].to_vec()].concat(),
                4 => [vec![before ^ 1 << random.below(8)], vec![0; width - 1]].concat(),
                _ => pattern(random.next(), width),
            };
            bytes[place.clone()].copy_from_slice(&changed);
            if METAS.iter().any(|meta| (*meta..meta + META_CRC_AT).contains(&at)) {
                // The other meta slot tells the same, or it would win.
                bytes[(place.start + 4096) % 8192..][..width].copy_from_slice(&changed);
            }
            seal(&mut bytes);
            match assert_withstands(&format!("{what}: bytes {place:?} became {changed:?}"), &bytes, act) {
                true => whole += 1,
                false => refused += 1,
            }
            bytes.copy_from_slice(sample());
        }
    }
    println!("{what}: {whole} passed, {refused} were refused");
    assert!(whole + refused > 0 && refused > 0);
}

#[test]
fn sealing_changes_nothing_that_is_whole() {
    let mut bytes = sample().to_vec();
    seal(&mut bytes);
    assert!(bytes == sample(), "the forger knows the format");
    read(&bytes).unwrap();
    write(&bytes).unwrap();
}

fn meta_bytes() -> impl Iterator<Item = usize> + Clone {
    0..META_CRC_AT.min(120)
}

fn table_bytes() -> impl Iterator<Item = usize> + Clone {
    let table = run_at(sample(), ROOT_AT);
    let pages = u32_at(sample(), 56) as usize;
    table..table + ITEMS_AT + (pages + 2) * ITEM_BYTES
}

/// The headers of versions and what their bodies begin with, and some of the rest.
fn node_bytes() -> impl Iterator<Item = usize> + Clone {
    versions(sample()).into_iter().flat_map(|start| {
        let used = u32_at(sample(), start + LENGTH_AT) as usize;
        (start..start + used.min(400)).chain((start + used.min(400)..start + used).step_by(13))
    })
}

#[test]
fn forged_meta_slots_are_withstood() {
    forge("meta, read", meta_bytes(), 20 * cases(1), read);
    forge("meta, write", meta_bytes(), 4 * cases(1), write);
}

#[test]
fn forged_page_tables_are_withstood() {
    forge("table, read", table_bytes(), 6 * cases(1), read);
    forge("table, write", table_bytes(), 2 * cases(1), write);
}

#[test]
fn forged_nodes_are_withstood_by_readers() {
    forge("nodes, read", node_bytes(), 2 * cases(1), read);
}

#[test]
fn forged_nodes_are_withstood_by_writers() {
    forge("nodes, write", node_bytes(), cases(1), write);
}
