//! A question that needs every entry: totals of each extension, the largest files, and duplicates.

use super::load::TREE;
use super::record::{Kind, Record};
use super::totals::Totals;
use crate::{Error, Interrupt, Result};
use pentimento::Snapshot;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How many of the largest files are told.
pub(crate) const LARGEST: usize = 10;
/// How many entries are read between two looks at the clock and the user.
const ENTRIES_PER_LOOK: u64 = 4_096;

/// Files that look alike: of one size, with the same checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duplicates {
    pub size: u64,
    pub crc: u32,
    pub files: u64,
}

/// The answer, for one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub entries: u64,
    pub bytes: u64,
    /// Summed over the entries.
    pub summed: Totals,
    /// What the tree of totals says.
    pub recorded: Totals,
    /// Largest first; of equals, by path.
    pub largest: Vec<(u64, Vec<u8>)>,
    /// By size and checksum.
    pub duplicates: Vec<Duplicates>,
}

impl Answer {
    /// In which way totals and entries disagree, if they do.
    pub fn disagreement(&self) -> Option<String> {
        self.summed.difference(&self.recorded)
    }

    /// The answer in bytes, each answer in only one way: numbers in little-endian, byte strings with their lengths first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let number = |out: &mut Vec<u8>, number: u64| out.extend(number.to_le_bytes());
        number(&mut out, self.entries);
        number(&mut out, self.bytes);
        for totals in [&self.summed, &self.recorded] {
            number(&mut out, totals.len() as u64);
            for (extension, total) in totals.iter() {
                number(&mut out, extension.len() as u64);
                out.extend(extension);
                out.extend(total.encode());
            }
        }
        number(&mut out, self.largest.len() as u64);
        for (size, path) in &self.largest {
            number(&mut out, *size);
            number(&mut out, path.len() as u64);
            out.extend(path);
        }
        number(&mut out, self.duplicates.len() as u64);
        for group in &self.duplicates {
            number(&mut out, group.size);
            number(&mut out, u64::from(group.crc));
            number(&mut out, group.files);
        }
        out
    }
}

/// Reads all entries of a snapshot, and answers. Fails at once if the user asks to stop.
pub(crate) fn analyse(snapshot: &Snapshot, interrupt: &Interrupt) -> Result<Answer> {
    let (mut entries, mut bytes) = (0, 0_u64);
    let mut summed = Totals::default();
    // The smallest of the largest so far is on top.
    let mut largest: BinaryHeap<Reverse<(u64, Reverse<Vec<u8>>)>> = BinaryHeap::with_capacity(LARGEST + 1);
    let mut contents = Vec::new();
    for entry in snapshot.tree(TREE)?.iter()? {
        let (path, value) = entry?;
        let record = Record::decode(value).ok_or_else(|| {
            Error::Proof(vec![format!("the record of {:?} is not what was stored", path.escape_ascii().to_string())])
        })?;
        entries += 1;
        bytes = bytes.saturating_add(record.size);
        summed.add(&path, record.size);
        if record.kind == Kind::Regular && record.size > 0 {
            contents.push((record.size, record.crc));
        }
        if largest.len() < LARGEST || largest.peek().is_some_and(|Reverse((least, _))| record.size >= *least) {
            largest.push(Reverse((record.size, Reverse(path.into_vec()))));
            if largest.len() > LARGEST {
                largest.pop();
            }
        }
        if entries % ENTRIES_PER_LOOK == 0 {
            interrupt.check()?;
        }
    }
    let largest = largest.into_sorted_vec().into_iter().map(|Reverse((size, Reverse(path)))| (size, path)).collect();
    let recorded = Totals::read(snapshot)?;
    Ok(Answer { entries, bytes, summed, recorded, largest, duplicates: groups(contents) })
}

/// Which of these occur more than once.
fn groups(mut contents: Vec<(u64, u32)>) -> Vec<Duplicates> {
    contents.sort_unstable();
    let groups = contents.chunk_by(|one, other| one == other).filter(|group| group.len() > 1);
    groups.map(|group| Duplicates { size: group[0].0, crc: group[0].1, files: group.len() as u64 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::record::FileTime;
    use crate::demo::totals::{Changes, Total};
    use pentimento::Database;

    fn file(size: u64, crc: u32, kind: Kind) -> Record {
        Record { size, modified: FileTime::default(), changed: FileTime::default(), crc, kind }
    }

    fn store(files: &[(&str, Record)]) -> Database {
        let db = Database::in_memory().unwrap();
        let mut txn = db.begin_write().unwrap();
        let mut changes = Changes::default();
        let mut tree = txn.tree(TREE).unwrap();
        for (path, record) in files {
            tree.insert(path, record.encode()).unwrap();
            changes.added(path.as_bytes(), record.size);
        }
        changes.store(&mut txn).unwrap();
        txn.commit().unwrap();
        db
    }

    fn answer(db: &Database) -> Answer {
        analyse(&db.snapshot().unwrap(), &Interrupt::default()).unwrap()
    }

    #[test]
    fn a_tiny_tree_is_told_as_it_is() {
        let db = store(&[
            ("a.rs", file(10, 1, Kind::Regular)),
            ("b.rs", file(10, 1, Kind::Regular)),
            ("c.rs", file(10, 2, Kind::Regular)),
            ("link.rs", file(10, 1, Kind::Symlink)),
            ("none", file(0, 0, Kind::Regular)),
            ("nothing", file(0, 0, Kind::Regular)),
        ]);
        let answer = answer(&db);
        assert_eq!((answer.entries, answer.bytes), (6, 40));
        let totals: Vec<_> = answer.summed.iter().collect();
        assert_eq!(totals, [(b"".as_slice(), Total { files: 2, bytes: 0 }), (b"rs", Total { files: 4, bytes: 40 })]);
        assert_eq!(answer.disagreement(), None);
        // Neither links nor empty files count as duplicates.
        assert_eq!(answer.duplicates, [Duplicates { size: 10, crc: 1, files: 2 }]);
        assert_eq!(answer.largest[0], (10, b"a.rs".to_vec()));
        assert_eq!(answer.largest[5], (0, b"nothing".to_vec()));
    }

    #[test]
    fn the_largest_are_the_largest_and_equals_come_by_path() {
        let names: Vec<String> = (0..40).map(|index| format!("{index:02}")).collect();
        let files: Vec<_> =
            names.iter().enumerate().map(|(i, name)| (name.as_str(), file(i as u64 % 8, 0, Kind::Regular))).collect();
        let largest = answer(&store(&files)).largest;
        let expected = ["07", "15", "23", "31", "39", "06", "14", "22", "30", "38"];
        let paths: Vec<&[u8]> = largest.iter().map(|(_, path)| path.as_slice()).collect();
        assert_eq!(paths, expected.map(str::as_bytes));
    }

    #[test]
    fn a_total_that_is_off_by_one_is_found_and_changes_the_bytes() {
        let db = store(&[("a.rs", file(10, 1, Kind::Regular))]);
        let before = answer(&db);
        let mut txn = db.begin_write().unwrap();
        txn.tree("totals").unwrap().insert(b"rs", Total { files: 1, bytes: 11 }.encode()).unwrap();
        txn.commit().unwrap();
        let after = answer(&db);
        assert!(after.disagreement().is_some_and(|what| what.contains("rs")));
        assert_ne!(before.to_bytes(), after.to_bytes());
    }

    #[test]
    fn each_part_of_the_answer_is_in_its_bytes() {
        let base = answer(&store(&[("a", file(5, 1, Kind::Regular)), ("b", file(5, 1, Kind::Regular))]));
        let mut others = vec![base.clone(); 4];
        others[0].entries += 1;
        others[1].bytes += 1;
        others[2].largest[1].1.push(b'x');
        others[3].duplicates[0].files += 1;
        for other in others {
            assert_ne!(base.to_bytes(), other.to_bytes());
        }
    }
}
