//! What lies in the slots that the newest checkpoint does not refer to: versions that somebody still needs, versions for the next checkpoint, and
//! what nobody has written over yet.
//!
//! A version is kept exactly while a pin `p` with `birth <= p < end` exists. Births stand in the versions' headers; the end of one is the birth of the
//! next that is known; the pins are published by the process that has the store open. So this is right as far as all versions of a page
//! are in the file: one that lives in memory alone makes the one before it look needed for longer than it is.

use super::checkpoint::Checkpoint;
use super::file::StoreFile;
use super::live::LiveReport;
use super::names::read_names;
use super::slots::{Remain, SlotMap};
use crate::Result;
use pentimento_storage::inspect::{Entry, version_header};
use pentimento_storage::{PageId, Timestamp};
use serde::Serialize;
use std::collections::HashMap;

/// How often the file is looked through again because a newer checkpoint came.
const TRIES: u32 = 5;

/// What a version is there for that the newest checkpoint does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PastState {
    /// A pin needs it.
    Retained,
    /// It is younger than the newest checkpoint: the next one will have it, or a transaction put it there.
    Newer,
    /// Nobody needs it; nobody has written over it yet.
    Free,
    /// The store is in use, or was interrupted, and nothing is known of its readers.
    Unknown,
}

/// A version in slots that the newest checkpoint does not refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastVersion {
    /// Where and what it is.
    pub remain: Remain,
    /// The commit that superseded it, as far as the file shows.
    pub end: Option<Timestamp>,
    /// What it is there for.
    pub state: PastState,
    /// The newest pin that needs it.
    pub charged_to: Option<Timestamp>,
}

/// A checkpoint with everything beside it.
#[derive(Clone, Debug)]
pub struct Past {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Its slots.
    pub slots: SlotMap,
    /// What lies in those that it does not refer to, in the order of the file.
    pub versions: Vec<PastVersion>,
    /// What the process that has the store open publishes.
    pub live: Option<LiveReport>,
}

impl Past {
    /// Looks through the slots that the newest checkpoint does not refer to.
    ///
    /// # Errors
    /// When the file cannot be read or is no store.
    pub fn read(file: &StoreFile) -> Result<Past> {
        for _ in 1..TRIES {
            let checkpoint = Checkpoint::read(file)?;
            let past = Past::of(file, checkpoint)?;
            if Checkpoint::read(file)?.head.sequence() == past.checkpoint.head.sequence() {
                return Ok(past);
            }
        }
        // Newer ones come faster than that: what is found is of several moments, and says what it says.
        Past::of(file, Checkpoint::read(file)?)
    }

    /// The same beside a checkpoint that was read already.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of(file: &StoreFile, checkpoint: Checkpoint) -> Result<Past> {
        let live = LiveReport::read(file, &checkpoint)?;
        let slots = SlotMap::of(&checkpoint);
        // A commit may have made pages that no checkpoint counts yet.
        let pages = (checkpoint.entries.len() as u64 * 2 + 4096).min(u64::from(u32::MAX)) as u32;
        let newest = live.as_ref().map_or(checkpoint.timestamp().0, |live| live.figure("installed")) + 1_000_000;
        let remains = slots.remains(file, pages, Timestamp(newest))?;
        let named: Vec<Timestamp> =
            read_names(file, &checkpoint).unwrap_or_default().iter().map(|named| named.timestamp).collect();
        let versions = judge(remains, &checkpoint, live.as_ref(), &named);
        Ok(Past { checkpoint, slots, versions, live })
    }

    /// Slots of versions in a state.
    #[must_use]
    pub fn slots_in(&self, state: PastState) -> u64 {
        self.versions.iter().filter(|version| version.state == state).map(|version| version.remain.run.slots).sum()
    }
}

fn judge(
    remains: Vec<Remain>,
    checkpoint: &Checkpoint,
    live: Option<&LiveReport>,
    named: &[Timestamp],
) -> Vec<PastVersion> {
    let mut births: HashMap<PageId, Vec<Timestamp>> = HashMap::new();
    for remain in &remains {
        births.entry(remain.page).or_default().push(remain.birth);
    }
    for (page, births) in &mut births {
        match checkpoint.entry(*page) {
            Some(Entry::Version { birth, .. } | Entry::Register { birth, .. }) => births.push(birth),
            Some(Entry::Dead { since }) => births.push(since),
            _ => {}
        }
        births.sort_unstable();
        births.dedup();
    }
    // Named snapshots are pins whoever has the store open; of a closed store they are all that there are.
    let mut known_pins = named.to_vec();
    known_pins.extend(live.iter().flat_map(|live| &live.pins).map(|pin| Timestamp(pin.at)));
    known_pins.push(checkpoint.timestamp());
    known_pins.sort_unstable();
    let pins = (live.is_some() || !named.is_empty()).then_some(known_pins);
    let of = |remain: Remain| {
        let known = births.get(&remain.page).map(Vec::as_slice).unwrap_or_default();
        let end = known.get(known.partition_point(|birth| *birth <= remain.birth)).copied();
        let charged_to = pins.as_ref().and_then(|pins| {
            let newest = pins.iter().rev().find(|pin| end.is_none_or(|end| **pin < end));
            newest.copied().filter(|pin| *pin >= remain.birth && remain.is_whole())
        });
        let state = if remain.birth > checkpoint.timestamp() && !checkpoint.head.is_closed() {
            PastState::Newer
        } else if charged_to.is_some() {
            PastState::Retained
        } else if checkpoint.head.is_closed() || live.is_some() {
            PastState::Free
        } else {
            PastState::Unknown
        };
        PastVersion { remain, end, state, charged_to: charged_to.filter(|_| state == PastState::Retained) }
    };
    remains.into_iter().map(of).collect()
}

impl Remain {
    /// Whether all slots of the version are still there: they may have been reused in part.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let mut header = [0; pentimento_storage::HEADER_BYTES];
        header[16..20].copy_from_slice(&self.length.to_le_bytes());
        version_header(&header).is_some_and(|header| header.slots() == self.run.slots)
    }
}
