//! No damage to a file passes for data, and none makes the program crash: law 8, byte by byte.
//!
//! Strategy: a small store that has everything (trees of several levels, a large value, an empty tree, a dropped one, history), once closed cleanly and once
//! copied while it was open. Every byte of it is changed in turn, slots change places, the file is cut, made longer, and replaced by rubbish.
//! `PENTIMENTO_CASES` tries that many different changes of each byte.
//!
//! Invariants: opening and reading everything gives exactly what was written, or an error of the right kind that says where; never a panic, never
//! something else.

mod common;

use common::{Entries, Random, assert_clean, cases, pattern, read_all};
use pentimento::{Database, Durability, Error, MemoryMedium, Result, SLOT_BYTES};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

type Content = BTreeMap<String, Entries>;

/// The bytes of a store, and what is in it.
struct Sample {
    bytes: Vec<u8>,
    content: Content,
    /// The slots that something depends on.
    live: BTreeSet<usize>,
}

fn write(db: &Database, tree: &str, numbers: std::ops::Range<u64>, round: u64) {
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree(tree).unwrap();
    numbers.for_each(|number| tree.insert(format!("key {number:05}"), pattern(number ^ round, 30)).unwrap());
    txn.commit().unwrap();
}

impl Sample {
    fn make(is_closed: bool) -> Sample {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sample.pent");
        let db = Database::builder().page_size(4096).open(&path).unwrap();
        write(&db, "levels", 0..400, 0);
        write(&db, "dropped", 0..100, 0);
        write(&db, "levels", 100..150, 1);
        let mut txn = db.begin_write().unwrap();
        txn.tree("empty").unwrap();
        txn.tree("large").unwrap().insert(b"large", pattern(7, 9000)).unwrap();
        txn.tree("large").unwrap().insert(pattern(8, 5000), b"a long key").unwrap();
        txn.drop_tree("dropped").unwrap();
        txn.commit().unwrap();
        let snapshot = db.snapshot().unwrap();
        write(&db, "levels", 300..400, 2);
        db.checkpoint().unwrap();
        let content = read_all(&db.snapshot().unwrap()).unwrap();
        // What is not durable must not be looked for in a copy that is made now.
        assert_eq!(db.stats().durable, db.timestamp());
        assert_clean(&db);
        if is_closed {
            drop(snapshot);
            db.close().unwrap();
        }
        let bytes = std::fs::read(&path).unwrap();
        let mut sample = Sample { bytes, content, live: BTreeSet::new() };
        assert!(sample.read(&sample.bytes).unwrap(), "the sample itself is whole");
        for slot in 0..sample.slots() {
            let mut bytes = sample.bytes.clone();
            sample_slot(&mut bytes, slot).iter_mut().for_each(|byte| *byte ^= 0xA5);
            if sample.read(&bytes).is_err() {
                sample.live.insert(slot);
            }
        }
        // A few free slots at the end are as good as many, and sooner copied.
        let end = sample.live.last().expect("something is live") + 5;
        sample.bytes.truncate(end * SLOT_BYTES);
        sample
    }

    /// Made once for all tests: copied while it was open, or after it was closed.
    fn all() -> [&'static Sample; 2] {
        static SAMPLES: [OnceLock<Sample>; 2] = [OnceLock::new(), OnceLock::new()];
        [SAMPLES[0].get_or_init(|| Sample::make(false)), SAMPLES[1].get_or_init(|| Sample::make(true))]
    }

    fn slots(&self) -> usize {
        self.bytes.len() / SLOT_BYTES
    }

    /// Opens these bytes for reading, and reads all: whether it is what was written.
    fn read(&self, bytes: &[u8]) -> Result<bool> {
        let medium = MemoryMedium::from_bytes(bytes, bytes.len());
        let db = Database::builder().read_only(true).open_medium(Box::new(medium), false)?;
        Ok(read_all(&db.snapshot()?)? == self.content)
    }

    /// Right data or an error that says where; tells the error.
    fn judge(&self, what: &str, bytes: &[u8]) -> Option<Error> {
        let read = catch_unwind(AssertUnwindSafe(|| self.read(bytes)));
        match read.unwrap_or_else(|_| panic!("{what}: it panics")) {
            Ok(is_right) => {
                assert!(is_right, "{what}: wrong data without an error");
                None
            }
            Err(error) => {
                assert_tells_where(what, &error);
                Some(error)
            }
        }
    }
}

fn sample_slot(bytes: &mut [u8], slot: usize) -> &mut [u8] {
    &mut bytes[slot * SLOT_BYTES..(slot + 1) * SLOT_BYTES]
}

/// Opens these bytes for writing, with room to grow.
fn open(bytes: &[u8]) -> Result<Database> {
    Database::builder().open_medium(Box::new(MemoryMedium::from_bytes(bytes, 2 << 20)), false)
}

fn assert_tells_where(what: &str, error: &Error) {
    assert!(!error.is_retryable(), "{what}: {error}");
    let text = error.to_string();
    match error {
        Error::Damaged { page, slot, what: why, .. } => {
            assert!(page.is_some() || slot.is_some(), "{what}: {error:?}");
            assert!(!why.is_empty());
            page.iter().for_each(|page| assert!(text.contains(&format!("page {page}")), "{text}"));
            slot.iter().for_each(|slot| assert!(text.contains(&format!("slot {slot}")), "{text}"));
        }
        Error::Truncated { path, needed, found } => {
            assert!(needed > found, "{what}: {error:?}");
            assert!(text.contains(path.to_str().unwrap()) && text.contains(&needed.to_string()), "{text}");
        }
        Error::NotAStore { path, .. } | Error::UnsupportedVersion { path, .. } => {
            assert!(text.contains(path.to_str().unwrap()), "{text}");
        }
        other => panic!("{what}: an error of another kind: {other:?}"),
    }
}

/// Changes each byte in turn, those of live slots all, others now and then.
fn change_every_byte(sample: &Sample) {
    let mut noticed = 0;
    let mut bytes = sample.bytes.clone();
    let mut random = Random(1);
    let mut elsewhere = Vec::new();
    for round in 0..cases(1) {
        for at in 0..bytes.len() {
            let slot = at / SLOT_BYTES;
            let is_live = sample.live.contains(&slot);
            if !is_live && !(at as u64 + round).is_multiple_of(16) {
                continue;
            }
            let change = 1 + random.below(255) as u8;
            bytes[at] ^= change;
            let error = sample.judge(&format!("byte {at} (slot {slot}) changed by {change:#x}"), &bytes);
            bytes[at] ^= change;
            assert!(error.is_none() || is_live, "byte {at}: nothing depends on its slot, but {error:?}");
            // The error names the slot, or the first slot of the run that it is in.
            match error {
                Some(Error::Damaged { slot: Some(named), .. }) if named <= slot as u64 && slot as u64 <= named + 8 => {}
                Some(error) => elsewhere.push((at, error)),
                None => continue,
            }
            noticed += 1;
        }
    }
    println!("{} of {} slots are live; {noticed} changes were noticed", sample.live.len(), sample.slots());
    assert!(noticed as usize > sample.live.len() * 200, "only {noticed} changes were noticed");
    // Only the magic bytes have an error that does not name a slot.
    for (at, error) in elsewhere {
        assert!(matches!(error, Error::NotAStore { .. }) && (at < 8 || (4096..4104).contains(&at)), "{at}: {error:?}");
    }
}

#[test]
fn every_byte_of_an_open_store_is_checked() {
    change_every_byte(Sample::all()[0]);
}

#[test]
fn every_byte_of_a_closed_store_is_checked() {
    change_every_byte(Sample::all()[1]);
}

/// Whoever may write takes no more for granted, and what it writes then does not make matters worse.
#[test]
fn damaged_stores_that_open_for_writing_stay_safe() {
    for sample in Sample::all() {
        let mut bytes = sample.bytes.clone();
        let (mut opened, mut committed) = (0, 0);
        for at in (0..bytes.len()).step_by(if cases(1) > 1 { 5 } else { 61 }) {
            if !sample.live.contains(&(at / SLOT_BYTES)) {
                continue;
            }
            bytes[at] ^= 0x10;
            let tried = catch_unwind(AssertUnwindSafe(|| write_to_damaged(&bytes, &sample.content)));
            bytes[at] ^= 0x10;
            match tried.unwrap_or_else(|_| panic!("byte {at}: it panics")) {
                Err(error) => assert_tells_where(&format!("byte {at}"), &error),
                Ok(true) => (opened, committed) = (opened + 1, committed + 1),
                Ok(false) => opened += 1,
            }
        }
        println!("{opened} damaged stores were opened for writing, {committed} took a commit");
        assert!(opened > 50 && committed > 10 && committed < opened);
    }
}

/// Whether a damaged store took a commit. What could be read before can be read after it.
fn write_to_damaged(bytes: &[u8], content: &Content) -> Result<bool> {
    let db = open(bytes)?;
    let old = db.snapshot()?;
    let is_readable = read_all(&old).is_ok();
    let mut txn = db.begin_write()?;
    txn.set_durability(Durability::None)?;
    let changed = txn.tree("levels").and_then(|mut tree| {
        tree.insert(b"key 00350", b"after the damage")?;
        tree.remove_range(b"key 00010".as_slice()..b"key 00040".as_slice())
    });
    let added = changed.and_then(|_| txn.tree("new")?.insert(b"k", b"v"));
    let committed = match added {
        Ok(()) => txn.commit().is_ok(),
        Err(error) => {
            assert_tells_where("a write", &error);
            assert!(matches!(txn.commit(), Err(Error::Incomplete)) || !is_readable);
            false
        }
    };
    if committed {
        db.checkpoint()?;
        assert_eq!(db.snapshot()?.tree("new")?.get(b"k")?, Some(b"v".as_slice()));
    }
    if is_readable {
        assert!(read_all(&old)? == *content, "wrong data without an error");
        assert!(committed);
        drop(old);
        assert_clean(&db);
    } else {
        assert!(!db.check().is_clean(), "the checker does not see what readers stumble over");
    }
    Ok(committed)
}

#[test]
fn slots_that_changed_places_are_noticed() {
    for sample in Sample::all() {
        let mut noticed = 0;
        for one in 0..sample.slots() {
            for other in one + 1..sample.slots() {
                if !sample.live.contains(&one) && (!sample.live.contains(&other) || (one + other) % 8 != 0) {
                    continue;
                }
                let mut bytes = sample.bytes.clone();
                let moved = sample_slot(&mut bytes, one).to_vec();
                bytes.copy_within(other * SLOT_BYTES..(other + 1) * SLOT_BYTES, one * SLOT_BYTES);
                sample_slot(&mut bytes, other).copy_from_slice(&moved);
                let error = sample.judge(&format!("slots {one} and {other} swapped"), &bytes);
                noticed += u32::from(error.is_some());
                // And the one over the other: a write that went astray.
                sample_slot(&mut bytes, one).copy_from_slice(&moved);
                sample.judge(&format!("slot {one} written over {other}"), &bytes);
            }
        }
        assert!(noticed > 100, "only {noticed} swaps were noticed");
    }
}

#[test]
fn a_file_that_was_cut_is_truncated() {
    for sample in Sample::all() {
        let end_of_live = (sample.live.last().unwrap() + 1) * SLOT_BYTES;
        for len in (0..sample.bytes.len()).step_by(SLOT_BYTES / 2).chain(sample.bytes.len() - 40..sample.bytes.len()) {
            let error = sample.judge(&format!("cut to {len} bytes"), &sample.bytes[..len]);
            match error {
                Some(Error::Truncated { found, .. }) => assert_eq!(found, len as u64),
                Some(Error::NotAStore { .. }) => assert!(len < 4096 + 512, "{len}"),
                Some(other) => panic!("cut to {len} bytes: {other:?}"),
                None => assert!(len >= end_of_live, "cut to {len} bytes, it needs {end_of_live}"),
            }
        }
    }
}

#[test]
fn a_file_that_grew_reads_as_before() {
    for sample in Sample::all() {
        for more in [1, 2047, 2048, 4096, 100_000] {
            for filling in [vec![0; more], pattern(more as u64, more)] {
                let bytes = [sample.bytes.as_slice(), &filling].concat();
                assert!(sample.judge("longer", &bytes).is_none());
                let db = open(&bytes).unwrap();
                write(&db, "after", 0..50, 0);
                assert_clean(&db);
            }
        }
    }
}

#[test]
fn rubbish_is_not_a_store() {
    let sample = Sample::all()[1];
    for seed in 0..200 * cases(1) {
        let len = Random(seed).below(40_000) as usize;
        for bytes in [pattern(seed, len), vec![0; len], vec![0xFF; len]] {
            match sample.judge("rubbish", &bytes) {
                Some(Error::NotAStore { .. }) => {}
                other => panic!("{len} bytes of rubbish: {other:?}"),
            }
        }
    }
}

/// The bytes of both meta slots, changed under right checksums.
fn with_metas(sample: &Sample, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut bytes = sample.bytes.clone();
    for at in [0, 4096] {
        change(&mut bytes[at..at + 508]);
        let crc = crc32fast::hash(&bytes[at..at + 508]);
        bytes[at + 508..at + 512].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

#[test]
fn foreign_files_and_newer_formats_have_their_own_errors() {
    for sample in Sample::all() {
        let magic = with_metas(sample, |meta| meta[..8].copy_from_slice(b"ANOTHER!"));
        assert!(matches!(sample.judge("another magic", &magic), Some(Error::NotAStore { .. })));
        let newer = with_metas(sample, |meta| meta[8..12].copy_from_slice(&77u32.to_le_bytes()));
        match sample.judge("a newer format", &newer) {
            Some(error @ Error::UnsupportedVersion { found: 77, .. }) => {
                assert!(error.to_string().contains("77"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        assert!(sample.judge("nothing changed", &with_metas(sample, |_| {})).is_none());
    }
}

/// One meta slot alone is believed only where it is known to be the newest.
#[test]
fn a_lost_meta_slot_is_made_up_for_only_after_a_clean_close() {
    for (sample, is_closed) in Sample::all().into_iter().zip([false, true]) {
        for at in [0, 4096] {
            let mut bytes = sample.bytes.clone();
            bytes[at..at + 512].fill(0);
            match sample.judge("a meta slot is lost", &bytes) {
                None => assert!(is_closed),
                Some(Error::Damaged { slot: Some(slot), .. }) => {
                    assert_eq!((slot, is_closed), (at as u64 / SLOT_BYTES as u64, false));
                }
                Some(other) => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn files_tell_their_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.pent");
    let sample = Sample::all()[1];
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let opened = Database::open(&path).and_then(|db| read_all(&db.snapshot()?).map(drop));
        let error = opened.unwrap_err();
        assert_tells_where("a file", &error);
        error
    };
    assert!(matches!(refused(&pattern(1, 9000)), Error::NotAStore { path: named, .. } if named == path));
    assert!(matches!(refused(b"short"), Error::NotAStore { path: named, .. } if named == path));
    let cut = (sample.live.last().unwrap() + 1) * SLOT_BYTES - 1;
    assert!(matches!(refused(&sample.bytes[..cut]), Error::Truncated { path: named, .. } if named == path));
    let newer = with_metas(sample, |meta| meta[8] = 9);
    assert!(matches!(refused(&newer), Error::UnsupportedVersion { path: named, .. } if named == path));

    // A file without any bytes is not damaged: it is a store that is yet to be made; but not by those who only read.
    std::fs::write(&path, b"").unwrap();
    let read_only = Database::builder().read_only(true).open(&path);
    assert!(matches!(read_only, Err(Error::NotAStore { path: named, .. }) if named == path));
    let db = Database::open(&path).unwrap();
    write(&db, "t", 0..5, 0);
    assert_clean(&db);
}
