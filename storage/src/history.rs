//! The history map: superseded versions that somebody still needs, by page.
//!
//! Promises:
//! 1. A version enters under its page's lock together with the reading of the place that it moves here, so that the checkpointer's change
//!    of that place is seen either in the entry or here, never in neither.
//! 2. A look-up is O(1) in the size of the map and logarithmic in the versions of that one page.
//! 3. No lock here is ever held across I/O, another lock, or a batch.

use crate::place::Place;
use crate::sync::{HISTORY_SHARDS as SHARDS, Mutex};
use crate::table::Entry;
use crate::{PageId, PageMap, Timestamp};

/// A superseded version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub birth: Timestamp,
    pub end: Timestamp,
    pub place: Place,
    /// The checksum, when the place is not verified yet; else of no meaning.
    pub crc: u32,
}

impl Version {
    pub fn contains(&self, pin: Timestamp) -> bool {
        self.birth <= pin && pin < self.end
    }
}

/// The versions of one page, by birth. Most pages have one, which needs no allocation of its own.
#[derive(Default)]
struct Versions {
    oldest: Option<Version>,
    younger: Vec<Version>,
}

impl Versions {
    fn push(&mut self, version: Version) {
        if self.oldest.is_none() {
            self.oldest = Some(version);
        } else {
            self.younger.push(version);
        }
    }

    fn find(&self, pin: Timestamp) -> Option<Version> {
        let oldest = self.oldest?;
        if oldest.end > pin {
            return oldest.contains(pin).then_some(oldest);
        }
        let after = self.younger.partition_point(|version| version.end <= pin);
        self.younger.get(after).copied().filter(|version| version.contains(pin))
    }

    fn at_birth(&mut self, birth: Timestamp) -> Option<&mut Version> {
        if self.oldest.is_some_and(|version| version.birth == birth) {
            return self.oldest.as_mut();
        }
        let index = self.younger.binary_search_by_key(&birth, |version| version.birth).ok()?;
        self.younger.get_mut(index)
    }

    fn remove(&mut self, birth: Timestamp) -> Option<Version> {
        if let Some(oldest) = self.oldest.filter(|version| version.birth == birth) {
            self.oldest = (!self.younger.is_empty()).then(|| self.younger.remove(0));
            return Some(oldest);
        }
        let index = self.younger.binary_search_by_key(&birth, |version| version.birth).ok()?;
        Some(self.younger.remove(index))
    }

    fn iter(&self) -> impl Iterator<Item = &Version> {
        self.oldest.iter().chain(&self.younger)
    }
}

/// The map, in shards so that readers of different pages do not meet.
pub(crate) struct History {
    shards: Box<[Mutex<PageMap<Versions>>]>,
}

impl History {
    pub fn new() -> History {
        History { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    fn shard(&self, id: PageId) -> &Mutex<PageMap<Versions>> {
        &self.shards[id.0 as usize % SHARDS]
    }

    /// Moves the newest version of a page into the history, ending at `end`. `crc` is its checksum in case it is unverified.
    /// Tells the version; `None` when there was none (a page that is new, or was dead).
    pub fn supersede(&self, id: PageId, entry: &Entry, end: Timestamp, crc: u32) -> Option<Version> {
        let mut shard = self.shard(id).lock();
        let (place, birth) = entry.load();
        if place.is_nowhere() {
            return None;
        }
        let version = Version { birth, end, place, crc };
        shard.entry(id).or_default().push(version);
        Some(version)
    }

    /// Adds a superseded version that is younger than all that are there of its page. While the store is being opened.
    pub fn insert(&self, id: PageId, version: Version) {
        self.shard(id).lock().entry(id).or_default().push(version);
    }

    /// The superseded version that a pin sees.
    pub fn find(&self, id: PageId, pin: Timestamp) -> Option<Version> {
        self.shard(id).lock().get(&id)?.find(pin)
    }

    /// Changes the place of the version with this birth, if it is here.
    pub fn replace_place(&self, id: PageId, birth: Timestamp, change: impl FnOnce(Place) -> Place) -> bool {
        let mut shard = self.shard(id).lock();
        let Some(version) = shard.get_mut(&id).and_then(|versions| versions.at_birth(birth)) else { return false };
        version.place = change(version.place);
        true
    }

    /// The version with this birth.
    pub fn get(&self, id: PageId, birth: Timestamp) -> Option<Version> {
        self.shard(id).lock().get_mut(&id)?.at_birth(birth).copied()
    }

    /// Takes a version out that nobody needs any more.
    pub fn remove(&self, id: PageId, birth: Timestamp) -> Option<Version> {
        let mut shard = self.shard(id).lock();
        let versions = shard.get_mut(&id)?;
        let version = versions.remove(birth);
        if versions.oldest.is_none() {
            shard.remove(&id);
        }
        version
    }

    /// All versions, shard by shard. For the checker and for closing.
    pub fn for_each(&self, mut visit: impl FnMut(PageId, &Version)) {
        for shard in &self.shards {
            for (&id, versions) in shard.lock().iter() {
                versions.iter().for_each(|version| visit(id, version));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the dumbest model: a list of all intervals.
    #[test]
    fn finds_what_a_list_finds() {
        fn property(steps: Vec<(u8, bool)>) -> bool {
            let (history, entry, id) = (History::new(), Entry::default(), PageId(7));
            let mut model: Vec<(u64, u64)> = Vec::new();
            let (mut birth, mut now) = (1, 1);
            entry.install(Timestamp(1), Place::immediate(1));
            for (step, remove) in steps {
                if remove && !model.is_empty() {
                    let (birth, end) = model.remove(step as usize % model.len());
                    let version = history.remove(id, Timestamp(birth)).unwrap();
                    assert_eq!((version.end.0, version.place.as_immediate()), (end, Some(birth)));
                } else {
                    now += u64::from(step) % 3 + 1;
                    history.supersede(id, &entry, Timestamp(now), 0);
                    entry.install(Timestamp(now), Place::immediate(now));
                    model.push((birth, now));
                    birth = now;
                }
                for pin in 0..now + 2 {
                    let expected =
                        model.iter().find(|(birth, end)| *birth <= pin && pin < *end).map(|(birth, _)| *birth);
                    assert_eq!(history.find(id, Timestamp(pin)).map(|version| version.birth.0), expected);
                }
            }
            true
        }
        quickcheck::QuickCheck::new()
            .tests(if cfg!(miri) { 5 } else { 200 })
            .quickcheck(property as fn(Vec<(u8, bool)>) -> bool);
    }
}
