//! The list of named snapshots, as it stands in the file: checkpoints that are kept, by name.
//!
//! ```text
//! list:    0 "PNAM"   4 number of entries u32   8 zero (8)   16 entries, one after another
//! entry:   0 timestamp u64   8 time of its creation, ms since 1970, u64   16 root of its page table (run) u64   24 its CRC-32
//!         28 number of pages u32   32 table levels u32   36 length of the name, u8   37 zero (3)   40 name, UTF-8
//! ```
//!
//! Promises:
//! 1. The list lies in one run of its own, which a meta names together with its checksum: so each list belongs to exactly one meta, and a crash leaves
//!    the list before a change or the one after it. It is never changed in place; creating or dropping a name writes it anew, whole
//!    (40 bytes and the name for each entry: 1,000 names are some 60 KiB).
//! 2. Entries stand in the order of their timestamps, then of their creation. Names are unique, and have 1 to 255 bytes. Several may share a timestamp.
//! 3. Bytes of any content give a list that keeps promise 2, or an error.

use crate::layout::{Run, SLOT_BYTES, get_u32, get_u64, slots_for};
use crate::medium::Medium;
use crate::meta::META_SLOTS;
use crate::table_page::level_sizes;
use crate::{Error, Result, Timestamp};
use std::collections::HashSet;
use std::sync::Arc;

const MAGIC: &[u8; 4] = b"PNAM";
const HEADER_BYTES: usize = 16;
const ENTRY_BYTES: usize = 40;

/// The longest name of a snapshot, in bytes.
pub const MAX_SNAPSHOT_NAME: usize = 255;
/// How many named snapshots a store can have.
pub const MAX_NAMED_SNAPSHOTS: usize = 65_536;

const _: () = assert!(MAX_NAMED_SNAPSHOTS * (ENTRY_BYTES + MAX_SNAPSHOT_NAME) < 0x7FFF * SLOT_BYTES, "it fits a run");

/// Where a list is, as a meta tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListRef {
    pub run: Run,
    pub crc: u32,
    /// Its used bytes.
    pub len: u32,
}

/// A checkpoint that is kept under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub name: Arc<str>,
    pub at: Timestamp,
    /// When it was made, in milliseconds since 1970. For people and for retention; nothing else rests on it.
    pub created_ms: u64,
    pub pages: u32,
    pub levels: u32,
    /// No slots if the store was empty.
    pub root: Run,
    pub root_crc: u32,
}

/// Whether a snapshot may have this name.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_SNAPSHOT_NAME {
        return Err(Error::InvalidSnapshotName { len: name.len(), max: MAX_SNAPSHOT_NAME });
    }
    Ok(())
}

/// The bytes of a list.
pub(crate) fn encode(list: &[Named]) -> Vec<u8> {
    let mut bytes =
        Vec::with_capacity(HEADER_BYTES + list.iter().map(|named| ENTRY_BYTES + named.name.len()).sum::<usize>());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(list.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    for named in list {
        bytes.extend_from_slice(&named.at.0.to_le_bytes());
        bytes.extend_from_slice(&named.created_ms.to_le_bytes());
        bytes.extend_from_slice(&named.root.encode().to_le_bytes());
        bytes.extend_from_slice(&named.root_crc.to_le_bytes());
        bytes.extend_from_slice(&named.pages.to_le_bytes());
        bytes.extend_from_slice(&named.levels.to_le_bytes());
        bytes.extend_from_slice(&[named.name.len() as u8, 0, 0, 0]);
        bytes.extend_from_slice(named.name.as_bytes());
    }
    bytes
}

/// Decodes the list that `list_ref` names, from its used bytes; `at` is the checkpoint whose meta names it.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn decode(bytes: &[u8], list_ref: &ListRef, at: Timestamp) -> Result<Vec<Named>> {
    let damaged = |what: String| Err(damaged(list_ref, what));
    if bytes.len() != list_ref.len as usize || crc32fast::hash(bytes) != list_ref.crc {
        return damaged("its checksum does not match".to_owned());
    }
    if bytes.len() < HEADER_BYTES || &bytes[..4] != MAGIC {
        return damaged("it is no list of named snapshots".to_owned());
    }
    let count = get_u32(bytes, 4) as usize;
    let mut rest = &bytes[HEADER_BYTES..];
    if count > rest.len() / ENTRY_BYTES {
        return damaged(format!("it counts {count} snapshots, more than it has room for"));
    }
    let mut list: Vec<Named> = Vec::with_capacity(count);
    let mut names = HashSet::new();
    for number in 0..count {
        let name_len = rest.get(36).copied().unwrap_or(0) as usize;
        let Some((entry, behind)) = rest.split_at_checked(ENTRY_BYTES + name_len) else {
            return damaged(format!("it ends within entry {number}"));
        };
        rest = behind;
        let Some(name) = std::str::from_utf8(&entry[ENTRY_BYTES..]).ok().filter(|name| !name.is_empty()) else {
            return damaged(format!("entry {number} has no name, or one that is not UTF-8"));
        };
        let named = Named {
            name: name.into(),
            at: Timestamp(get_u64(entry, 0)),
            created_ms: get_u64(entry, 8),
            root: Run::decode(get_u64(entry, 16)),
            root_crc: get_u32(entry, 24),
            pages: get_u32(entry, 28),
            levels: get_u32(entry, 32),
        };
        if !names.insert(named.name.clone()) {
            return damaged(format!("the name {name:?} is there twice"));
        }
        if named.at > at || list.last().is_some_and(|before| before.at > named.at) {
            return damaged(format!("the snapshot {name:?} is out of order"));
        }
        if level_sizes(named.pages).len() != named.levels as usize {
            return damaged(format!("the number of levels of {name:?} does not fit its number of pages"));
        }
        // A table has a page of its own unless the store was empty; whoever follows the root relies on it.
        let Run { start, slots } = named.root;
        // One that is of level 0 may have a second slot.
        let possible = if named.levels == 1 { 1..=2 } else { u64::from(named.pages > 0)..=u64::from(named.pages > 0) };
        if !possible.contains(&slots) || (slots > 0 && start < META_SLOTS) {
            return damaged(format!("the page table of {name:?} is said to be in an impossible run of slots"));
        }
        list.push(named);
    }
    if !rest.is_empty() {
        return damaged("there is something behind its last entry".to_owned());
    }
    Ok(list)
}

/// Reads the list that the meta of checkpoint `at` names.
///
/// # Errors
/// When it does not lie in the medium, or is damaged.
pub(crate) fn read(medium: &dyn Medium, list_ref: &ListRef, at: Timestamp) -> Result<Vec<Named>> {
    let ListRef { run, len, .. } = *list_ref;
    if run.start < META_SLOTS || run.slots != slots_for(len as usize) {
        return Err(damaged(list_ref, "the meta names an impossible run of slots for it".to_owned()));
    }
    let address = medium.address(run.offset(), run.bytes()).ok_or_else(|| Error::Truncated {
        path: medium.path().to_owned(),
        needed: run.offset() + run.bytes(),
        found: medium.len(),
    })?;
    // SAFETY: the medium vouches for the whole run, which has at least `len` bytes. Nobody writes it: it is what the newest meta names, and this is
    // called while the store is being opened, or under the claim that keeps that from changing.
    let bytes = unsafe { std::slice::from_raw_parts(address.as_ptr(), len as usize) };
    decode(bytes, list_ref, at)
}

fn damaged(list_ref: &ListRef, what: String) -> Error {
    Error::Damaged { structure: "list of named snapshots", page: None, slot: Some(list_ref.run.start), what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, at: u64) -> Named {
        Named {
            name: name.into(),
            at: Timestamp(at),
            created_ms: 1_700_000_000_000 + at,
            pages: 200,
            levels: 2,
            root: Run { start: 40 + at, slots: 1 },
            root_crc: 7,
        }
    }

    fn refer(bytes: &[u8]) -> ListRef {
        let run = Run { start: 9, slots: slots_for(bytes.len()) };
        ListRef { run, crc: crc32fast::hash(bytes), len: bytes.len() as u32 }
    }

    #[test]
    fn a_list_survives_its_encoding() {
        let long = "ü".repeat(127);
        let list = vec![named("a", 3), named(&long, 3), named("nightly 1", 9)];
        let bytes = encode(&list);
        assert_eq!(decode(&bytes, &refer(&bytes), Timestamp(9)).unwrap(), list);
        let none = encode(&[]);
        assert_eq!(decode(&none, &refer(&none), Timestamp(0)).unwrap(), []);
    }

    #[test]
    fn what_breaks_the_order_is_refused() {
        for (list, at, what) in [
            (vec![named("a", 3), named("a", 4)], 9, "twice"),
            (vec![named("a", 5), named("b", 4)], 9, "out of order"),
            (vec![named("a", 5)], 4, "out of order"),
            (vec![Named { pages: 1, ..named("a", 5) }], 9, "levels"),
            (vec![named("", 5)], 9, "no name"),
            // A root without a page, pages without a root, one that is too long, and one where the metas are.
            (vec![Named { pages: 0, levels: 0, ..named("a", 5) }], 9, "impossible run"),
            (vec![Named { root: Run { start: 0, slots: 0 }, ..named("a", 5) }], 9, "impossible run"),
            (vec![Named { root: Run { start: 40, slots: 2 }, ..named("a", 5) }], 9, "impossible run"),
            (vec![Named { root: Run { start: 0, slots: 1 }, ..named("a", 5) }], 9, "impossible run"),
        ] {
            let bytes = encode(&list);
            let error = decode(&bytes, &refer(&bytes), Timestamp(at)).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    /// Every byte changed, under a checksum that fits: an error or a list, never a panic.
    #[test]
    fn arbitrary_bytes_cause_no_panic() {
        let bytes = encode(&[named("one", 3), named("two", 5)]);
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xFF] {
                let mut forged = bytes.clone();
                forged[at] ^= flip;
                assert!(decode(&forged, &refer(&bytes), Timestamp(9)).is_err(), "the checksum is looked at");
                let _ = decode(&forged, &refer(&forged), Timestamp(9));
            }
            assert!(decode(&bytes[..at], &refer(&bytes[..at]), Timestamp(9)).is_err());
        }
    }
}
