//! What a store is a copy of.
//!
//! ```text
//! note     0 version u8, 1   1 flags u8 (1: changed here since)   2 zero   8 timestamp of the source u64   16 id of the source, 16 bytes
//! ```
//!
//! It stands in the catalog under a name that no tree can have, and changes in the transaction that applies a stream. The first other transaction
//! that changes trees sets the flag.

use crate::{Error, Result, Snapshot, Timestamp, catalog};
use std::fmt;
use std::str::FromStr;

const VERSION: u8 = 1;
const CHANGED: u8 = 1;
const BYTES: usize = 32;

/// Tells a store from all others. It prints as 32 hexadecimal digits, and is read back from them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StoreId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<StoreId, &'static str> {
        let is_hex = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let id = if is_hex { u128::from_str_radix(text, 16).ok() } else { None };
        id.map(|id| StoreId(id.to_be_bytes())).ok_or("a store's id has 32 hexadecimal digits")
    }
}

/// What a store is a copy of: it received everything that `source` had at `timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The store that it is a copy of.
    pub source: StoreId,
    /// The moment of that store, by its own count.
    pub timestamp: Timestamp,
    /// Whether this copy was changed by others than a receiver since.
    pub is_changed: bool,
}

impl Origin {
    pub(crate) fn to_note(self) -> [u8; BYTES] {
        let mut note = [0; BYTES];
        note[0] = VERSION;
        note[1] = if self.is_changed { CHANGED } else { 0 };
        note[8..16].copy_from_slice(&self.timestamp.0.to_le_bytes());
        note[16..].copy_from_slice(&self.source.0);
        note
    }

    pub(crate) fn of_note(note: &[u8]) -> Result<Origin> {
        let wrong = || Error::damaged("catalog", "the note of what the store is a copy of is not one");
        let note: &[u8; BYTES] = note.try_into().map_err(|_| wrong())?;
        if note[0] != VERSION || note[1] & !CHANGED != 0 {
            return Err(wrong());
        }
        let timestamp = u64::from_le_bytes(note[8..16].try_into().map_err(|_| wrong())?);
        let source = StoreId(note[16..].try_into().map_err(|_| wrong())?);
        Ok(Origin { source, timestamp: Timestamp(timestamp), is_changed: note[1] & CHANGED != 0 })
    }
}

/// What a store is a copy of, from the note that its catalog or its journal keeps of it.
///
/// # Errors
/// When the bytes are no such note.
pub fn origin_of_note(note: &[u8]) -> Result<Origin> {
    Origin::of_note(note)
}

impl Snapshot {
    /// What the store was a copy of at this moment: which other store, at which timestamp of that one. `None` if it never received anything.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn origin(&self) -> Result<Option<Origin>> {
        catalog::origin(self)?.map(Origin::of_note).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back() {
        let origin = Origin { source: StoreId(*b"sixteen letters!"), timestamp: Timestamp(77), is_changed: true };
        assert_eq!(Origin::of_note(&origin.to_note()).unwrap(), origin);
        assert_eq!(origin.source.to_string().parse(), Ok(origin.source));
        for len in 0..BYTES {
            assert!(Origin::of_note(&origin.to_note()[..len]).is_err());
        }
        let mut note = origin.to_note();
        note[1] = 2;
        assert!(Origin::of_note(&note).is_err(), "a flag of the future means something");
        assert!("+123456789012345678901234567890ab".parse::<StoreId>().is_err());
    }
}
