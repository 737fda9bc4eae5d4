//! What lies in the slots that the newest checkpoint does not refer to: versions that somebody still needs, versions for the next checkpoint, and
//! what nobody has written over yet.
//!
//! What only named snapshots need is told by their page tables. Any other version is kept exactly while a pin `p` with `birth <= p < end` exists. Births stand in the versions' headers; the end of one is the birth of the
//! next that is known; the pins are published by the process that has the store open. So this is right as far as all versions of a page
//! are in the file: one that lives in memory alone makes the one before it look needed for longer than it is.

use super::checkpoint::Checkpoint;
use super::file::StoreFile;
use super::live::LiveReport;
use super::slots::{Remain, SlotMap, SlotUse};
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
    /// Named snapshots need it, whoever else does.
    Named,
    /// A pin needs it.
    Retained,
    /// It is younger than the newest checkpoint: the next one will have it, or a transaction put it there.
    Newer,
    /// Nobody needs it; nobody has written over it yet.
    Free,
    /// The store is in use, or was interrupted, and nothing is known of its readers; or what its named snapshots need is not known, being damaged.
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
        let mut versions = kept_by_name(file, &slots, &checkpoint, live.as_ref());
        let named = versions.len();
        versions.extend(remains.into_iter().map(PastVersion::unknown));
        judge(&mut versions, named, &checkpoint, live.as_ref());
        versions.sort_by_key(|version| version.remain.run.start);
        Ok(Past { checkpoint, slots, versions, live })
    }

    /// Whether it is known who needs what: then whatever nobody is known to need is free.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.checkpoint.named.is_whole && (self.checkpoint.head.is_closed() || self.live.is_some())
    }

    /// Slots of versions in a state.
    #[must_use]
    pub fn slots_in(&self, state: PastState) -> u64 {
        self.versions.iter().filter(|version| version.state == state).map(|version| version.remain.run.slots).sum()
    }
}

impl PastVersion {
    fn unknown(remain: Remain) -> PastVersion {
        PastVersion { remain, end: None, state: PastState::Unknown, charged_to: None }
    }
}

/// The pins that the process publishes, oldest first.
fn live_pins(live: Option<&LiveReport>) -> Vec<Timestamp> {
    let mut pins: Vec<Timestamp> = live.iter().flat_map(|live| &live.pins).map(|pin| Timestamp(pin.at)).collect();
    pins.sort_unstable();
    pins
}

/// The versions that only named snapshots have, as their tables tell.
fn kept_by_name(
    file: &StoreFile,
    slots: &SlotMap,
    checkpoint: &Checkpoint,
    live: Option<&LiveReport>,
) -> Vec<PastVersion> {
    let pins = live_pins(live);
    let own = slots.stretches.iter().filter(|stretch| matches!(stretch.usage, SlotUse::Named(_)));
    let of = |stretch: &super::Stretch| {
        let version = checkpoint.named.version_at(stretch.run.start)?;
        let job = version.job;
        // Only the owner and the length are taken from the header; of one that cannot be read nothing is.
        let mut header = [0; pentimento_storage::HEADER_BYTES];
        let read = file.read(job.run.offset(), &mut header).ok();
        let header = read.and_then(|_| version_header(&header)).filter(|header| header.page == job.page);
        let remain = Remain {
            run: stretch.run,
            page: job.page,
            owner: header.map_or(PageId::NONE, |header| header.owner),
            birth: job.birth,
            length: header.map_or(0, |header| header.length),
        };
        // A reader may be younger than the youngest named snapshot that needs it.
        let reader = pins.iter().rev().find(|pin| version.end.is_some_and(|end| **pin < end)).copied();
        let charged_to = Some(version.newest).max(reader);
        Some(PastVersion { remain, end: version.end, state: PastState::Named, charged_to })
    };
    own.filter_map(of).collect()
}

/// Judges what was found by its header alone: all but the first `named`.
fn judge(versions: &mut [PastVersion], named: usize, checkpoint: &Checkpoint, live: Option<&LiveReport>) {
    let mut births: HashMap<PageId, Vec<Timestamp>> = HashMap::new();
    for version in versions.iter() {
        let births = births.entry(version.remain.page).or_default();
        births.extend([version.remain.birth].into_iter().chain(version.end));
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
    let pins: Option<Vec<Timestamp>> = live.map(|live| {
        let mut pins = live_pins(Some(live));
        pins.push(checkpoint.timestamp());
        pins.sort_unstable();
        // What named snapshots need is known from their tables, so what is judged here is none of it.
        let is_named = |pin: Timestamp| checkpoint.named.snapshots.iter().any(|named| named.timestamp == pin);
        pins.retain(|pin| !checkpoint.named.is_whole || !is_named(*pin));
        pins
    });
    for version in &mut versions[named..] {
        let remain = version.remain;
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
        } else if checkpoint.named.is_whole && (checkpoint.head.is_closed() || pins.is_some()) {
            PastState::Free
        } else {
            PastState::Unknown
        };
        version.end = end;
        version.state = state;
        version.charged_to = charged_to.filter(|_| state == PastState::Retained);
    }
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
