//! What the store keeps of a file.
//!
//! ```text
//! offset  0      8        16         24         32          36     40    41
//!         | size | mtime  | ctime    | (ns of)  | (ns of)   | crc  | kind |
//!         | u64  | i64 s  | i64 s    | mtime u32, ctime u32 | u32  | u8   |
//! ```
//! All numbers are little-endian.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

const SIZE: usize = 0;
const MTIME: usize = SIZE + 8;
const CTIME: usize = MTIME + 8;
const MTIME_NS: usize = CTIME + 8;
const CTIME_NS: usize = MTIME_NS + 4;
const CRC: usize = CTIME_NS + 4;
const KIND: usize = CRC + 4;
/// The length of an encoded record.
pub(crate) const RECORD_BYTES: usize = KIND + 1;

/// What sort of thing a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Regular = 0,
    Symlink = 1,
    /// A pipe, a socket or a device: never opened, for that may wait for ever.
    Other = 2,
}

/// A moment as file systems tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct FileTime {
    pub seconds: i64,
    pub nanoseconds: u32,
}

/// A file, without its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub size: u64,
    pub modified: FileTime,
    pub changed: FileTime,
    /// Of the first 64 KiB; of the target, if it is a symbolic link.
    pub crc: u32,
    pub kind: Kind,
}

impl Record {
    pub fn new(metadata: &Metadata, crc: u32) -> Record {
        // The kernel keeps nanoseconds below a second, so they always fit.
        let nanoseconds = |ns: i64| u32::try_from(ns).unwrap_or(0);
        Record {
            size: metadata.size(),
            modified: FileTime { seconds: metadata.mtime(), nanoseconds: nanoseconds(metadata.mtime_nsec()) },
            changed: FileTime { seconds: metadata.ctime(), nanoseconds: nanoseconds(metadata.ctime_nsec()) },
            crc,
            kind: match metadata.file_type() {
                kind if kind.is_file() => Kind::Regular,
                kind if kind.is_symlink() => Kind::Symlink,
                _ => Kind::Other,
            },
        }
    }

    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut out = [0; RECORD_BYTES];
        out[SIZE..MTIME].copy_from_slice(&self.size.to_le_bytes());
        out[MTIME..CTIME].copy_from_slice(&self.modified.seconds.to_le_bytes());
        out[CTIME..MTIME_NS].copy_from_slice(&self.changed.seconds.to_le_bytes());
        out[MTIME_NS..CTIME_NS].copy_from_slice(&self.modified.nanoseconds.to_le_bytes());
        out[CTIME_NS..CRC].copy_from_slice(&self.changed.nanoseconds.to_le_bytes());
        out[CRC..KIND].copy_from_slice(&self.crc.to_le_bytes());
        out[KIND] = self.kind as u8;
        out
    }

    /// The record in these bytes; `None` if they are not one.
    pub fn decode(bytes: &[u8]) -> Option<Record> {
        let bytes: &[u8; RECORD_BYTES] = bytes.try_into().ok()?;
        let eight = |at: usize| bytes[at..at + 8].try_into().expect("eight bytes");
        let four = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        Some(Record {
            size: u64::from_le_bytes(eight(SIZE)),
            modified: FileTime { seconds: i64::from_le_bytes(eight(MTIME)), nanoseconds: four(MTIME_NS) },
            changed: FileTime { seconds: i64::from_le_bytes(eight(CTIME)), nanoseconds: four(CTIME_NS) },
            crc: four(CRC),
            kind: match bytes[KIND] {
                0 => Kind::Regular,
                1 => Kind::Symlink,
                2 => Kind::Other,
                _ => return None,
            },
        })
    }
}

/// The extension of a path's last part, as `rs` in `src/lib.rs`; empty if it has none. A dot in front hides a file, and begins none.
pub(crate) fn extension(path: &[u8]) -> &[u8] {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    match name.iter().rposition(|byte| *byte == b'.') {
        None | Some(0) => &[],
        Some(dot) => &name[dot + 1..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(kind: Kind) -> Record {
        Record {
            size: u64::MAX - 1,
            modified: FileTime { seconds: -2, nanoseconds: 999_999_999 },
            changed: FileTime { seconds: i64::MAX, nanoseconds: 1 },
            crc: 0xDEAD_BEEF,
            kind,
        }
    }

    #[test]
    fn a_record_survives_encoding() {
        for kind in [Kind::Regular, Kind::Symlink, Kind::Other] {
            assert_eq!(Record::decode(&sample(kind).encode()), Some(sample(kind)));
        }
    }

    #[test]
    fn bytes_of_another_length_or_kind_are_no_record() {
        let mut bytes = sample(Kind::Regular).encode();
        assert_eq!(Record::decode(&bytes[1..]), None);
        assert_eq!(Record::decode(&[&bytes[..], &[0]].concat()), None);
        bytes[KIND] = 3;
        assert_eq!(Record::decode(&bytes), None);
    }

    #[test]
    fn every_field_has_bytes_of_its_own() {
        let base = sample(Kind::Regular);
        let mut changed = [base; 6];
        changed[0].size = 7;
        changed[1].modified.seconds = 7;
        changed[2].modified.nanoseconds = 7;
        changed[3].changed.seconds = 7;
        changed[4].changed.nanoseconds = 7;
        changed[5].crc = 7;
        for record in changed {
            assert_eq!(Record::decode(&record.encode()), Some(record));
            assert_ne!(record.encode(), base.encode());
        }
    }

    #[test]
    fn extensions_are_those_of_the_last_part() {
        let cases: [(&[u8], &[u8]); 7] = [
            (b"src/lib.rs", b"rs"),
            (b"a.b/c", b""),
            (b".gitignore", b""),
            (b"x/.a.b", b"b"),
            (b"x.tar.gz", b"gz"),
            (b"trailing.", b""),
            (b"\xff.\xfe", b"\xfe"),
        ];
        for (path, expected) in cases {
            assert_eq!(extension(path), expected, "{}", path.escape_ascii());
        }
    }
}
