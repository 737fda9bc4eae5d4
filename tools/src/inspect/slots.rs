//! The file as slots: what each is used for.
//!
//! Promises: every slot of the file is in exactly one stretch; two users of one slot are a problem. What no checkpoint refers to, neither the newest nor a named
//! snapshot, is *unreferenced*: free, or kept
//! in memory's books for somebody who still reads it, or being written for the next checkpoint. What lies there is told by the headers found
//! in it, which no checksum covers.

use super::checkpoint::Checkpoint;
use super::file::StoreFile;
use super::problem::{Problem, Structure};
use crate::Result;
use pentimento_btree::inspect::{BodyKind, body_kind};
use pentimento_storage::inspect::{META_SLOTS, version_header};
use pentimento_storage::{HEADER_BYTES, MAX_VERSION_BYTES, PageId, Run, SLOT_BYTES, Timestamp};
use serde::Serialize;

/// How many bytes one read takes.
const WINDOW: usize = 1 << 20;

/// What a slot is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotUse {
    /// The metas.
    Meta,
    /// A page of the page table.
    Table,
    /// The version of a page that the newest checkpoint has.
    Current(u32),
    /// A version of a page that only named snapshots have.
    Named(u32),
    /// A page of the page table that only named snapshots have.
    NamedTable,
    /// The list of named snapshots.
    NamedList,
    /// Nothing that the newest checkpoint or a named snapshot knows of.
    Unreferenced,
}

/// Adjacent slots with one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The slots.
    pub run: Run,
    /// Their use.
    pub usage: SlotUse,
}

/// A version whose header was found in unreferenced slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remain {
    /// Its slots.
    pub run: Run,
    /// The page.
    pub page: PageId,
    /// The root of the page's tree.
    pub owner: PageId,
    /// The commit that made it.
    pub birth: Timestamp,
    /// Its used bytes.
    pub length: u32,
}

/// All slots of a file.
#[derive(Clone, Debug)]
pub struct SlotMap {
    /// Stretches that follow each other without a gap.
    pub stretches: Vec<Stretch>,
    /// Slots that two users claim, and a length that is no number of slots.
    pub problems: Vec<Problem>,
}

impl SlotMap {
    /// The slots of a file, as its newest checkpoint and its named snapshots use them.
    #[must_use]
    pub fn of(checkpoint: &Checkpoint) -> SlotMap {
        let named = &checkpoint.named;
        let mut claims = SlotMap::claims(checkpoint);
        claims.extend(named.list.map(|run| Stretch { run, usage: SlotUse::NamedList }));
        claims.extend(named.tables.iter().map(|table| Stretch { run: table.slot.run, usage: SlotUse::NamedTable }));
        let versions = named.versions.iter().map(|version| version.job);
        claims.extend(versions.map(|job| Stretch { run: job.run, usage: SlotUse::Named(job.page.0) }));
        SlotMap::from_claims(checkpoint, claims)
    }

    /// The same, but what only named snapshots have counts as unreferenced: for whoever looks for versions wherever they may be.
    #[must_use]
    pub fn without_named(checkpoint: &Checkpoint) -> SlotMap {
        SlotMap::from_claims(checkpoint, SlotMap::claims(checkpoint))
    }

    /// What the newest checkpoint uses.
    fn claims(checkpoint: &Checkpoint) -> Vec<Stretch> {
        let mut claims = vec![Stretch { run: Run { start: 0, slots: META_SLOTS }, usage: SlotUse::Meta }];
        claims.extend(checkpoint.table_pages.iter().map(|page| Stretch { run: page.run, usage: SlotUse::Table }));
        claims.extend(checkpoint.jobs().map(|job| Stretch { run: job.run, usage: SlotUse::Current(job.page.0) }));
        claims
    }

    fn from_claims(checkpoint: &Checkpoint, mut claims: Vec<Stretch>) -> SlotMap {
        // The versions are in order already, and this kind of sort makes use of that.
        claims.sort_by_key(|claim| claim.run);
        let file_slots = checkpoint.head.file_bytes / SLOT_BYTES as u64;
        let mut map = SlotMap { stretches: Vec::with_capacity(claims.len()), problems: Vec::new() };
        let mut next = 0;
        for mut claim in claims {
            if claim.run.start >= file_slots || claim.run.slots == 0 {
                // A reference past the end: whoever followed it has told.
                continue;
            }
            claim.run.slots = claim.run.slots.min(file_slots - claim.run.start);
            if claim.run.start < next {
                let what = format!("{} and {} share slots", describe(claim.usage), map.who_has(claim.run.start));
                map.problems.push(Problem::new(Structure::Slots, what).slot(claim.run.start));
                if claim.run.end() <= next {
                    continue;
                }
                claim.run = Run { start: next, slots: claim.run.end() - next };
            }
            map.leave(next, claim.run.start);
            map.stretches.push(claim);
            next = claim.run.end();
        }
        map.leave(next, file_slots);
        if !checkpoint.head.file_bytes.is_multiple_of(SLOT_BYTES as u64) {
            let what = format!("the file has {} bytes, which is no number of slots", checkpoint.head.file_bytes);
            map.problems.push(Problem::new(Structure::Slots, what).slot(file_slots));
        }
        map
    }

    fn leave(&mut self, from: u64, to: u64) {
        if to > from {
            let run = Run { start: from, slots: to - from };
            self.stretches.push(Stretch { run, usage: SlotUse::Unreferenced });
        }
    }

    fn who_has(&self, slot: u64) -> String {
        self.at(slot).map_or_else(String::new, |stretch| describe(stretch.usage))
    }

    /// The stretch that a slot lies in.
    #[must_use]
    pub fn at(&self, slot: u64) -> Option<&Stretch> {
        let after = self.stretches.partition_point(|stretch| stretch.run.start <= slot);
        self.stretches.get(after.checked_sub(1)?).filter(|stretch| slot < stretch.run.end())
    }

    /// How many slots have a use that `of` says yes to.
    pub fn count(&self, of: impl Fn(SlotUse) -> bool) -> u64 {
        self.stretches.iter().filter(|stretch| of(stretch.usage)).map(|stretch| stretch.run.slots).sum()
    }

    /// The unreferenced stretches.
    pub fn unreferenced(&self) -> impl Iterator<Item = Run> {
        let unused = self.stretches.iter().filter(|stretch| stretch.usage == SlotUse::Unreferenced);
        unused.map(|stretch| stretch.run)
    }

    /// Looks for versions in the unreferenced slots, in their order. Of page numbers from `pages` on, and commits after `newest`, there are none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn remains(&self, file: &StoreFile, pages: u32, newest: Timestamp) -> Result<Vec<Remain>> {
        let mut remains = Vec::new();
        let mut buffer = vec![0; WINDOW];
        for run in self.unreferenced() {
            let mut slot = run.start;
            while slot < run.end() {
                let wanted = ((run.end() - slot) as usize).saturating_mul(SLOT_BYTES).min(WINDOW);
                let read = file.read(slot * SLOT_BYTES as u64, &mut buffer[..wanted]);
                let len = read.map_err(crate::Error::io("read", file.path()))?;
                if len < SLOT_BYTES {
                    break;
                }
                let mut within = 0;
                let slots = (len / SLOT_BYTES) as u64;
                while within < slots {
                    let bytes = &buffer[within as usize * SLOT_BYTES..][..SLOT_BYTES];
                    let room = run.end() - slot - within;
                    match remain(bytes, slot + within, room, pages, newest) {
                        Some(found) => {
                            remains.push(found);
                            within += found.run.slots;
                        }
                        None => within += 1,
                    }
                }
                slot += within;
            }
        }
        Ok(remains)
    }
}

/// The version that seems to begin in a slot. Chance alone makes one in about 2^40 slots look like one.
fn remain(bytes: &[u8], slot: u64, room: u64, pages: u32, newest: Timestamp) -> Option<Remain> {
    let header = version_header(bytes)?;
    let length = header.length as usize;
    let is_plausible = header.page.0 < pages
        && (header.owner.0 < pages || header.owner == PageId::NONE)
        && header.birth > Timestamp::ZERO
        && header.birth <= newest
        && length > HEADER_BYTES
        && length <= MAX_VERSION_BYTES
        && bytes[20..24] == [0; 4]
        && body_kind(&bytes[HEADER_BYTES..length.min(SLOT_BYTES)]) != BodyKind::Unknown;
    let slots = if is_plausible { header.slots() } else { return None };
    // Slots may be reused in part: what follows the header need not all be there any more.
    let run = Run { start: slot, slots: slots.min(room) };
    Some(Remain { run, page: header.page, owner: header.owner, birth: header.birth, length: header.length })
}

fn describe(usage: SlotUse) -> String {
    match usage {
        SlotUse::Meta => "the meta slots".to_owned(),
        SlotUse::Table => "a table page".to_owned(),
        SlotUse::Current(page) => format!("page {page}"),
        SlotUse::Named(page) => format!("an older version of page {page}, which a named snapshot needs,"),
        SlotUse::NamedTable => "a table page of a named snapshot".to_owned(),
        SlotUse::NamedList => "the list of named snapshots".to_owned(),
        SlotUse::Unreferenced => "free space".to_owned(),
    }
}
