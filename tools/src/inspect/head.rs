//! The two meta slots, and which of them wins.

use super::file::StoreFile;
use crate::{Error, Result};
use pentimento_storage::inspect::{META_BYTES, META_OFFSETS, META_SLOTS, Meta, choose_meta, meta};
use pentimento_storage::{MAGIC, SLOT_BYTES};
use std::thread;
use std::time::Duration;

/// How often a meta that does not check out is read again: somebody may be writing it.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(2);

/// What the beginning of a file says.
#[derive(Clone, Debug)]
pub struct Head {
    /// Each meta, or what is wrong with it.
    pub slots: [Result<Meta, String>; 2],
    /// The one that tells the newest checkpoint, as far as that can be known.
    pub chosen: Option<Meta>,
    /// Why that one.
    pub why: String,
    /// Why the engine would refuse to open the store, if it would because of the metas.
    pub refusal: Option<String>,
    /// The length of the file, in bytes.
    pub file_bytes: u64,
}

impl Head {
    /// Reads the metas of a file.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a Pentimento store at all.
    pub fn read(file: &StoreFile) -> Result<Head> {
        for _ in 1..TRIES {
            let head = Head::read_once(file)?;
            if head.slots.iter().all(Result::is_ok) {
                return Ok(head);
            }
            thread::sleep(PAUSE);
        }
        let head = Head::read_once(file)?;
        if head.chosen.is_none() && !has_magic(file)? {
            let why = "neither of its meta slots begins with the magic bytes";
            return Err(Error::Unreadable(format!("{} is not a Pentimento store: {why}", file.name())));
        }
        Ok(head)
    }

    /// As [`read`](Head::read), for whoever can do without any meta.
    pub(crate) fn read_whatever(file: &StoreFile) -> Result<Head> {
        Head::read(file).or_else(|_| Head::read_once(file))
    }

    fn read_once(file: &StoreFile) -> Result<Head> {
        let mut bytes = vec![0; META_SLOTS as usize * SLOT_BYTES];
        let len = file.read(0, &mut bytes).map_err(Error::io("read", file.path()))?;
        bytes.truncate(len);
        let slots = [0, 1].map(|slot| {
            let at = META_OFFSETS[slot] as usize;
            match bytes.get(at..).and_then(|rest| rest.first_chunk::<META_BYTES>()) {
                Some(sector) => meta(sector, slot, file.path()).map_err(|error| reason(&error)),
                None => Err("the file is too short for it".to_owned()),
            }
        });
        let (chosen, why, refusal) = match choose_meta(&bytes, file.path()) {
            Ok(meta) => {
                let why = why(&slots, &meta);
                (Some(meta), why, None)
            }
            Err(error) => {
                let newest = slots.iter().flatten().max_by_key(|meta| meta.sequence).cloned();
                let why = match &newest {
                    Some(_) => "it is the only one that is whole, but nothing proves that it is the newest".to_owned(),
                    None => "neither is whole".to_owned(),
                };
                (newest, why, Some(reason(&error)))
            }
        };
        Ok(Head { slots, chosen, why, refusal, file_bytes: file.len()? })
    }

    /// The sequence of the chosen meta: it grows with each checkpoint.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.chosen.as_ref().map_or(0, |meta| meta.sequence)
    }

    /// Whether the store was closed cleanly, so that nobody is writing to it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.chosen.as_ref().is_some_and(|meta| meta.twin)
    }
}

fn reason(error: &pentimento_storage::Error) -> String {
    match error {
        pentimento_storage::Error::Damaged { what, .. } => what.clone(),
        pentimento_storage::Error::NotAStore { why, .. } => (*why).to_owned(),
        other => other.to_string(),
    }
}

fn why(slots: &[Result<Meta, String>; 2], chosen: &Meta) -> String {
    match slots {
        [Ok(a), Ok(b)] => {
            let (newer, older) = (a.sequence.max(b.sequence), a.sequence.min(b.sequence));
            if chosen.twin && a.timestamp == b.timestamp {
                format!("its sequence {newer} is above {older}; both are twins of a clean close")
            } else {
                format!("its sequence {newer} is above {older}")
            }
        }
        _ if chosen.twin => {
            "the other is damaged, but this one is a twin of a clean close, so it is the newest".to_owned()
        }
        _ => "the other is damaged, but the first two metas of a store tell the same".to_owned(),
    }
}

fn has_magic(file: &StoreFile) -> Result<bool> {
    let mut found = false;
    for offset in META_OFFSETS {
        let mut bytes = [0; MAGIC.len()];
        let len = file.read(offset, &mut bytes).map_err(Error::io("read", file.path()))?;
        found |= &bytes[..len] == MAGIC;
    }
    Ok(found)
}

/// The id of a store as people compare it.
#[must_use]
pub fn hex_id(id: &[u8; 16]) -> String {
    super::blob::hex(id)
}
