//! What the tests of the public API share: models, contents that can be told apart, and the checker.
#![allow(dead_code, reason = "each test file uses its own part")]

use pentimento::{Database, Key, Result, Snapshot};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The entries of one tree, as the dumbest model has them.
pub type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// All trees by name. A copy of the whole state costs a pointer for each tree.
pub type State = BTreeMap<String, Arc<Entries>>;

/// How many cases to try; `PENTIMENTO_CASES` multiplies the default.
pub fn cases(default: u64) -> u64 {
    std::env::var("PENTIMENTO_CASES").ok().and_then(|factor| factor.parse::<u64>().ok()).unwrap_or(1) * default
}

/// Every law holds, every tree is in order, every checksum is right.
#[track_caller]
pub fn assert_clean(db: &Database) {
    let report = db.check();
    assert!(report.is_clean(), "the checker found: {:#?}", report.findings);
}

/// `len` bytes that differ from those of other seeds, and from position to position.
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random(seed ^ 0x9E37_79B9_7F4A_7C15);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Splitmix64: small, good enough to choose by, the same on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Everything that a snapshot sees, read entry by entry.
pub fn read_all(snapshot: &Snapshot) -> Result<BTreeMap<String, Entries>> {
    let mut all = BTreeMap::new();
    for name in snapshot.trees()? {
        let tree = snapshot.tree(&name)?;
        let entries = tree.iter()?.map(|entry| entry.map(|(key, value)| (key.into_vec(), value.to_vec())));
        let entries: Entries = entries.collect::<Result<_>>()?;
        assert_eq!(tree.len()?, entries.len() as u64, "the length of tree {name:?} is the number of its entries");
        all.insert(name, entries);
    }
    Ok(all)
}

/// A snapshot sees exactly this.
#[track_caller]
pub fn assert_sees(snapshot: &Snapshot, state: &State) {
    assert_eq!(snapshot.trees().unwrap(), state.keys().cloned().collect::<Vec<_>>(), "the names of the trees");
    for (name, entries) in state {
        let tree = snapshot.tree(name).unwrap();
        assert_eq!(tree.len().unwrap(), entries.len() as u64, "the length of tree {name:?}");
        assert_walk(tree.iter().unwrap(), entries.iter().map(|(k, v)| (k.as_slice(), v.as_slice())).collect(), 0);
    }
}

/// An iterator gives exactly these entries, taken from the front or the back as the bits of `turns` say.
#[track_caller]
pub fn assert_walk<'k, V: AsRef<[u8]>>(
    mut found: impl DoubleEndedIterator<Item = Result<(Key<'k>, V)>>,
    expected: Vec<(&[u8], &[u8])>,
    turns: u64,
) {
    let mut expected = expected.into_iter();
    for step in 0.. {
        let (found, expected) = match (turns >> (step % 64)) & 1 {
            0 => (found.next(), expected.next()),
            _ => (found.next_back(), expected.next_back()),
        };
        match (found.transpose().unwrap(), expected) {
            (None, None) => break,
            (Some((key, value)), Some(expected)) => {
                assert_eq!(key.as_slice(), expected.0, "key number {step} of the walk");
                assert!(value.as_ref() == expected.1, "the value of {key:?} is another");
            }
            (found, expected) => panic!("found {:?}, expected {:?}", found.map(|f| f.0), expected.map(|e| e.0)),
        }
    }
    assert!(found.next().is_none() && found.next_back().is_none(), "it stays at its end");
}

/// The length of a file, in bytes.
pub fn file_len(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}
