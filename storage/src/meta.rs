//! The two meta slots: what the newest checkpoint is, and where its page table begins.
//!
//! ```text
//! slot 0: meta A   slot 1: reserved   slot 2: meta B   slot 3: reserved   slot 4: the first of a run
//!
//!   0 magic "PENTIMNT"      8 format version   12 page size     16 slot size      20 flags
//!  24 id of the store (16)                     40 sequence                        48 timestamp
//!  56 number of pages      60 table levels     64 root of the table (run)         72 its checksum
//!  76 zero                 80 list of named snapshots (run)             88 its checksum      92 its length in bytes
//!  96 for the layer above (112)                                        208 zero            508 CRC-32 of bytes 0..508
//! ```
//!
//! Promises:
//! 1. A meta is 512 bytes, one sector, written by one call: after a crash it is the old one or the new one.
//! 2. Sequence *n* is written to slot A if *n* is even, to slot B otherwise, so the newest checkpoint's meta is never overwritten.
//! 3. Since writing is atomic, a meta that does not check out is *damage*. The other one is then believed only if it is known to be
//!    the newest: a clean close writes both with the `twin` flag set. Else opening fails: what the older checkpoint
//!    refers to may have been reused since, under perfect checksums.
//! 4. Only format version 3 is read and written. Before there were pages beside others the page table was another, and pages meant something else.

use crate::layout::{MAX_PAGE_SIZE, MIN_PAGE_SIZE, Run, SLOT_BYTES, get_u32, get_u64};
use crate::named::ListRef;
use crate::{Error, Result, Timestamp};
use std::path::Path;

/// The first bytes of a store.
pub const MAGIC: &[u8; 8] = b"PENTIMNT";
/// The version of the format that this program writes and reads.
pub const FORMAT_VERSION: u32 = 3;

/// The size of a meta, one sector.
pub(crate) const META_BYTES: usize = 512;
/// Where the two metas stand: the first two pages of 4096 bytes.
pub(crate) const META_OFFSETS: [u64; 2] = [0, 4096];
/// The slots before the first run.
pub(crate) const META_SLOTS: u64 = 4;
const CRC_AT: usize = META_BYTES - 4;
const FLAG_TWIN: u32 = 1;

/// Bytes in each meta that belong to the layer above.
pub const USER_BYTES: usize = 112;

/// A checkpoint, as its meta slot tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub page_size: u32,
    /// Both slots describe this checkpoint: the store was closed cleanly.
    pub twin: bool,
    pub store_id: [u8; 16],
    pub sequence: u64,
    pub timestamp: Timestamp,
    /// One more than the greatest page number ever used.
    pub pages: u32,
    pub levels: u32,
    pub root: Run,
    pub root_crc: u32,
    /// The list of named snapshots, if there are any.
    pub list: Option<ListRef>,
    pub user: [u8; USER_BYTES],
}

impl Meta {
    /// The slot, 0 or 1, that this meta belongs in.
    pub fn slot(&self) -> usize {
        (self.sequence % 2) as usize
    }

    pub fn encode(&self) -> [u8; META_BYTES] {
        let mut bytes = [0; META_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, MAGIC);
        put(8, &FORMAT_VERSION.to_le_bytes());
        put(12, &self.page_size.to_le_bytes());
        put(16, &(SLOT_BYTES as u32).to_le_bytes());
        put(20, &(if self.twin { FLAG_TWIN } else { 0 }).to_le_bytes());
        put(24, &self.store_id);
        put(40, &self.sequence.to_le_bytes());
        put(48, &self.timestamp.0.to_le_bytes());
        put(56, &self.pages.to_le_bytes());
        put(60, &self.levels.to_le_bytes());
        put(64, &self.root.encode().to_le_bytes());
        put(72, &self.root_crc.to_le_bytes());
        if let Some(ListRef { run, crc, len }) = self.list {
            put(80, &run.encode().to_le_bytes());
            put(88, &crc.to_le_bytes());
            put(92, &len.to_le_bytes());
        }
        put(96, &self.user);
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; META_BYTES], slot: usize, path: &Path) -> Result<Meta> {
        if &bytes[..8] != MAGIC {
            return Err(Error::NotAStore { path: path.to_owned(), why: "it does not begin with the magic bytes" });
        }
        let damaged = |what: &str| Error::Damaged {
            structure: "meta slot",
            page: None,
            slot: Some(META_OFFSETS[slot] / SLOT_BYTES as u64),
            what: what.to_owned(),
        };
        let checked = get_u32(bytes, CRC_AT) == crc32fast::hash(&bytes[..CRC_AT]);
        let version = get_u32(bytes, 8);
        if version != FORMAT_VERSION {
            // A version that is only a flipped bit must not be taken for another format.
            return Err(if checked {
                Error::UnsupportedVersion { path: path.to_owned(), found: version, supported: FORMAT_VERSION }
            } else {
                damaged("its checksum does not match, and its format version is unknown")
            });
        }
        if !checked {
            return Err(damaged("its checksum does not match"));
        }
        let has_list = bytes[80..96] != [0; 16];
        let meta = Meta {
            page_size: get_u32(bytes, 12),
            twin: get_u32(bytes, 20) & FLAG_TWIN != 0,
            store_id: bytes[24..40].try_into().expect("sixteen bytes"),
            sequence: get_u64(bytes, 40),
            timestamp: Timestamp(get_u64(bytes, 48)),
            pages: get_u32(bytes, 56),
            levels: get_u32(bytes, 60),
            root: Run::decode(get_u64(bytes, 64)),
            root_crc: get_u32(bytes, 72),
            list: has_list.then(|| ListRef {
                run: Run::decode(get_u64(bytes, 80)),
                crc: get_u32(bytes, 88),
                len: get_u32(bytes, 92),
            }),
            user: bytes[96..96 + USER_BYTES].try_into().expect("the user's bytes"),
        };
        let size = meta.page_size as usize;
        if !size.is_power_of_two() || !(MIN_PAGE_SIZE..=MAX_PAGE_SIZE).contains(&size) {
            return Err(damaged("its page size is not a power of two from 4096 to 65536"));
        }
        if get_u32(bytes, 16) as usize != SLOT_BYTES {
            return Err(damaged("its slot size is not 2048"));
        }
        // Nobody counts that far, and what is added to either must not overflow.
        if meta.timestamp.0 > u64::MAX / 2 || meta.sequence > u64::MAX / 2 {
            return Err(damaged("its timestamp or sequence is out of range"));
        }
        if meta.slot() != slot {
            return Err(damaged("it belongs in the other meta slot"));
        }
        Ok(meta)
    }

    /// Chooses between the two meta slots of a file, whose first bytes are `head`.
    ///
    /// # Errors
    /// When neither is good, or when the only good one is not known to be the newest.
    pub fn choose(head: &[u8], path: &Path) -> Result<Meta> {
        let decode = |slot: usize| -> Result<Meta> {
            let at = META_OFFSETS[slot] as usize;
            let Some(bytes) = head.get(at..).and_then(|rest| rest.first_chunk()) else {
                return Err(Error::NotAStore { path: path.to_owned(), why: "it is too short" });
            };
            Meta::decode(bytes, slot, path)
        };
        match (decode(0), decode(1)) {
            (Ok(a), Ok(b)) => {
                if a.store_id != b.store_id {
                    return Err(Error::Damaged {
                        structure: "meta slots",
                        page: None,
                        slot: Some(0),
                        what: "they belong to different stores".to_owned(),
                    });
                }
                Ok(if a.sequence > b.sequence { a } else { b })
            }
            // The first two metas of a store's life tell the same, so either proves itself.
            (Ok(meta), Err(_)) | (Err(_), Ok(meta)) if meta.twin || meta.sequence <= 2 => Ok(meta),
            (Ok(good), Err(other)) | (Err(other), Ok(good)) => Err(Error::Damaged {
                structure: "meta slot",
                page: None,
                slot: Some(META_OFFSETS[1 - good.slot()] / SLOT_BYTES as u64),
                what: format!(
                    "{other}; the other meta slot is whole, but nothing proves that its checkpoint {} is the newest",
                    good.timestamp
                ),
            }),
            (Err(error @ (Error::UnsupportedVersion { .. } | Error::Damaged { .. })), Err(_)) => Err(error),
            (Err(_), Err(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(sequence: u64, twin: bool) -> Meta {
        Meta {
            page_size: 8192,
            twin,
            store_id: *b"sixteen letters!",
            sequence,
            timestamp: Timestamp(sequence * 10),
            pages: 3,
            levels: 1,
            root: Run { start: 9, slots: 1 },
            root_crc: 77,
            list: None,
            user: [5; USER_BYTES],
        }
    }

    fn head(a: &Meta, b: &Meta) -> Vec<u8> {
        let mut head = vec![0; 8192];
        for meta in [a, b] {
            let at = META_OFFSETS[meta.slot()] as usize;
            head[at..at + META_BYTES].copy_from_slice(&meta.encode());
        }
        head
    }

    /// What is on disk, and what must win.
    #[test]
    fn the_newest_wins_or_nothing_does() {
        let path = Path::new("store");
        let flip = |head: &mut Vec<u8>, slot: usize| head[META_OFFSETS[slot] as usize + 50] ^= 1;
        for (a, b, twin, damaged, wins) in [
            (4, 3, false, None, Some(4)),
            (4, 5, false, None, Some(5)),
            (4, 5, false, Some(0), None), // the newer is whole, but the older cannot prove that it was the older
            (4, 5, false, Some(1), None), // the newer is damaged
            (4, 5, true, Some(0), Some(5)),
            (4, 5, true, Some(1), Some(4)),
        ] {
            let mut head = head(&meta(a, twin), &meta(b, twin));
            if let Some(slot) = damaged {
                flip(&mut head, slot);
            }
            let chosen = Meta::choose(&head, path);
            assert_eq!(chosen.as_ref().ok().map(|meta| meta.sequence), wins, "{a} {b} {twin} {damaged:?}: {chosen:?}");
        }
    }

    #[test]
    fn foreign_files_have_their_own_errors() {
        let path = Path::new("store");
        assert!(matches!(Meta::choose(b"", path), Err(Error::NotAStore { .. })));
        assert!(matches!(Meta::choose(&[7; 8192], path), Err(Error::NotAStore { .. })));
        let mut newer = head(&meta(4, false), &meta(5, false));
        for at in META_OFFSETS.map(|at| at as usize) {
            newer[at + 8] = 9;
            let crc = crc32fast::hash(&newer[at..at + CRC_AT]);
            newer[at + CRC_AT..at + META_BYTES].copy_from_slice(&crc.to_le_bytes());
        }
        assert!(matches!(Meta::choose(&newer, path), Err(Error::UnsupportedVersion { found: 9, .. })));
    }

    #[test]
    fn a_meta_survives_its_encoding() {
        let list = ListRef { run: Run { start: 70, slots: 2 }, crc: 1234, len: 3000 };
        for list in [None, Some(list)] {
            let meta = Meta { list, ..meta(7, true) };
            assert_eq!(Meta::decode(&meta.encode(), 1, Path::new("")).unwrap(), meta);
        }
    }
}
