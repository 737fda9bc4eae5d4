//! How many files of each extension there are, and how many bytes: kept in a tree of their own, changed in the same transaction as the
//! files that they count, so that in every snapshot they must equal the sums.

use super::record::extension;
use crate::{Error, Result};
use pentimento::{Snapshot, WriteTransaction};
use std::collections::BTreeMap;

/// The tree of the totals.
pub(crate) const TREE: &str = "totals";
const TOTAL_BYTES: usize = 16;

/// The files of one extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Total {
    pub files: u64,
    pub bytes: u64,
}

impl Total {
    pub fn encode(self) -> [u8; TOTAL_BYTES] {
        let mut out = [0; TOTAL_BYTES];
        out[..8].copy_from_slice(&self.files.to_le_bytes());
        out[8..].copy_from_slice(&self.bytes.to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8]) -> Option<Total> {
        let (files, bytes) = bytes.split_at_checked(8)?;
        Some(Total {
            files: u64::from_le_bytes(files.try_into().ok()?),
            bytes: u64::from_le_bytes(bytes.try_into().ok()?),
        })
    }

    fn apply(&mut self, change: Change) -> Option<()> {
        self.files = self.files.checked_add_signed(change.files)?;
        self.bytes = u64::try_from(i128::from(self.bytes) + change.bytes).ok()?;
        Some(())
    }
}

/// By how much a total differs from what it was. Sizes are `u64`, so their differences need more than `i64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Change {
    files: i64,
    bytes: i128,
}

/// Totals of all extensions, in the order of the extensions.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Totals(BTreeMap<Vec<u8>, Total>);

impl Totals {
    pub fn add(&mut self, path: &[u8], size: u64) {
        let extension = extension(path);
        // Most extensions have been met before: no key is allocated for them.
        match self.0.get_mut(extension) {
            Some(total) => {
                total.files += 1;
                total.bytes += size;
            }
            None => {
                self.0.insert(extension.to_vec(), Total { files: 1, bytes: size });
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Total)> {
        self.0.iter().map(|(extension, total)| (extension.as_slice(), *total))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What the store's tree of totals says in a snapshot.
    pub fn read(snapshot: &Snapshot) -> Result<Totals> {
        let mut totals = BTreeMap::new();
        for entry in snapshot.tree(TREE)?.iter()? {
            let (extension, value) = entry?;
            let total = Total::decode(value).ok_or_else(|| not_a_total(&extension))?;
            totals.insert(extension.into_vec(), total);
        }
        Ok(Totals(totals))
    }

    /// The first extension for which the two differ, in words.
    pub fn difference(&self, recorded: &Totals) -> Option<String> {
        let extensions = self.0.keys().chain(recorded.0.keys());
        let differing = extensions.filter(|extension| self.0.get(*extension) != recorded.0.get(*extension)).min()?;
        let tell = |total: Option<&Total>| {
            total.map_or("nothing".to_owned(), |total| format!("{} files, {} bytes", total.files, total.bytes))
        };
        Some(format!(
            "for the extension {:?} the files add up to {}, but the totals say {}",
            differing.escape_ascii().to_string(),
            tell(self.0.get(differing)),
            tell(recorded.0.get(differing))
        ))
    }
}

/// Changes that a transaction has made to files, and owes to their totals.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Few extensions are touched by one commit, so a list is enough. Emptied, not dropped, so that it is allocated once.
    list: Vec<(Vec<u8>, Change)>,
}

impl Changes {
    fn of(&mut self, path: &[u8]) -> &mut Change {
        let extension = extension(path);
        let index = self.list.iter().position(|(known, _)| known == extension).unwrap_or_else(|| {
            self.list.push((extension.to_vec(), Change::default()));
            self.list.len() - 1
        });
        &mut self.list[index].1
    }

    pub fn added(&mut self, path: &[u8], size: u64) {
        let change = self.of(path);
        change.files += 1;
        change.bytes += i128::from(size);
    }

    pub fn resized(&mut self, path: &[u8], from: u64, to: u64) {
        self.of(path).bytes += i128::from(to) - i128::from(from);
    }

    /// Brings the tree of totals up to date.
    pub fn store(&mut self, txn: &mut WriteTransaction) -> Result<()> {
        let mut tree = txn.tree(TREE)?;
        for (extension, change) in self.list.drain(..) {
            let mut total = match tree.get(&extension)? {
                Some(value) => Total::decode(value).ok_or_else(|| not_a_total(&extension))?,
                None => Total::default(),
            };
            total.apply(change).ok_or_else(|| out_of_range(&extension))?;
            tree.insert(&extension, total.encode())?;
        }
        Ok(())
    }
}

fn out_of_range(extension: &[u8]) -> Error {
    let what = format!("the total of the extension {:?} would leave its range", extension.escape_ascii().to_string());
    Error::Proof(vec![what])
}

fn not_a_total(extension: &[u8]) -> Error {
    Error::Proof(vec![format!(
        "the total of the extension {:?} is not what was stored",
        extension.escape_ascii().to_string()
    )])
}

#[cfg(test)]
mod tests {
    use super::*;
    use pentimento::Database;

    #[test]
    fn a_total_survives_encoding() {
        let total = Total { files: 3, bytes: u64::MAX };
        assert_eq!(Total::decode(&total.encode()), Some(total));
        assert_eq!(Total::decode(&total.encode()[1..]), None);
        assert_eq!(Total::decode(&[0; 7]), None);
    }

    #[test]
    fn a_total_that_would_fall_below_zero_is_refused() {
        let mut total = Total { files: 1, bytes: 10 };
        assert_eq!(total.apply(Change { files: 0, bytes: -11 }), None);
        let mut total = Total { files: 1, bytes: 10 };
        assert_eq!(total.apply(Change { files: -2, bytes: 0 }), None);
        let mut total = Total { files: 1, bytes: 10 };
        assert_eq!(total.apply(Change { files: 2, bytes: i128::from(u64::MAX) - 10 }), Some(()));
        assert_eq!(total, Total { files: 3, bytes: u64::MAX });
    }

    #[test]
    fn stored_changes_equal_sums_over_the_files() {
        let db = Database::in_memory().unwrap();
        let mut files: Vec<(&[u8], u64)> = vec![(b"a.rs", 10), (b"b.rs", 20), (b"c", 30), (b"d/e.md", 0)];
        let mut changes = Changes::default();
        let mut txn = db.begin_write().unwrap();
        for (path, size) in &files {
            changes.added(path, *size);
        }
        changes.store(&mut txn).unwrap();
        txn.commit().unwrap();
        for (index, size) in [(0, 5), (1, u64::from(u32::MAX)), (0, 7), (3, 1)] {
            let mut txn = db.begin_write().unwrap();
            let (path, old) = files[index];
            changes.resized(path, old, size);
            files[index].1 = size;
            changes.store(&mut txn).unwrap();
            txn.commit().unwrap();
        }

        let mut sums = Totals::default();
        files.iter().for_each(|(path, size)| sums.add(path, *size));
        let recorded = Totals::read(&db.snapshot().unwrap()).unwrap();
        assert_eq!(sums.difference(&recorded), None);
        assert_eq!(recorded.len(), 3);

        sums.add(b"z.toml", 1);
        let difference = sums.difference(&recorded).unwrap();
        assert!(difference.contains("toml") && difference.contains("nothing"), "{difference}");
    }
}
