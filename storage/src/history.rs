//! The history map: superseded versions that somebody still needs, by page.
//!
//! Promises:
//! 1. A version enters under its page's lock together with the reading of the place that it moves here, so that the checkpointer's change
//!    of that place is seen either in the entry or here, never in neither.
//! 2. A look-up is O(1) in the number of pages, and logarithmic in the versions of that one page.
//! 3. No lock here is ever held across I/O or a batch, and no two of them but a page's and, within it, one of the others.
//!
//! Each page has eight bytes of its own, its lock among them, so who supersedes a version meets one line of memory that he can [ask for](History::prefetch) ahead. The versions of a page are a chain,
//! the newest first, of nodes that are used again at once: the last ones to be given back are in the processor's cache. The few pages of which very many versions are kept have them in
//! a row, in order; so have registers, for one that counts changes with each commit: its values are judged many at a time, where they stand.

use crate::buckets::Buckets;
use crate::place::Place;
use crate::prefetch::line;
use crate::sync::{AtomicU32, AtomicU64, LONGEST_CHAIN, Mutex, Ordering, ShortGuard, ShortMutex};
use crate::table::Entry;
use crate::{PageId, Timestamp};
use std::mem;

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

/// A version in a chain. Whoever reads or writes one has the lock of its page; it is free, or another's, under no other.
#[derive(Default)]
struct Node {
    birth: AtomicU64,
    end: AtomicU64,
    place: AtomicU64,
    crc: AtomicU32,
    older: AtomicU32,
}

#[cfg(not(pentimento_schedules))]
const _: () = assert!(size_of::<Node>() == 32, "two lie in a line");

impl Node {
    fn version(&self) -> Version {
        Version {
            birth: Timestamp(self.birth.load(Ordering::Relaxed)),
            end: Timestamp(self.end.load(Ordering::Relaxed)),
            place: Place(self.place.load(Ordering::Relaxed)),
            crc: self.crc.load(Ordering::Relaxed),
        }
    }

    fn set(&self, version: Version, older: u32) {
        self.birth.store(version.birth.0, Ordering::Relaxed);
        self.end.store(version.end.0, Ordering::Relaxed);
        self.place.store(version.place.0, Ordering::Relaxed);
        self.crc.store(version.crc, Ordering::Relaxed);
        self.older.store(older, Ordering::Relaxed);
    }
}

/// The versions of one page: a chain of so many nodes; or, when that is [`CROWDED`], the row of this number.
#[derive(Clone, Copy, Default)]
#[repr(Rust, packed(2))]
struct Head {
    newest: u32,
    len: u16,
}

#[cfg(not(pentimento_schedules))]
const _: () = assert!(size_of::<ShortMutex<Head>>() == 8, "the design allows eight bytes a page");

const CROWDED: u16 = u16::MAX;

/// The versions of a page that has many, or of a register, by birth. Whoever looks at a row has the lock of its page.
#[derive(Default)]
struct Row {
    versions: Vec<Version>,
    /// None of the first so many is a value that waits to be judged.
    judged: usize,
    /// Whether reclamation knows that values wait here.
    is_known: bool,
}

impl Row {
    /// Whether a version waits to be judged together with others.
    fn waits(&self, index: usize) -> bool {
        index >= self.judged && self.versions[index].place.as_immediate().is_some()
    }
}

/// What a look at the values that wait in a row came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Judged {
    pub looked_at: usize,
    pub dropped: u64,
    /// When the first of those that still wait ended.
    pub waiting: Option<Timestamp>,
}

/// The nodes that no chain has, or the rows that no page has.
#[derive(Default)]
struct Spare {
    used_before: Vec<u32>,
    made: u32,
}

impl Spare {
    fn take(&mut self) -> u32 {
        self.used_before.pop().unwrap_or_else(|| {
            let at = self.made;
            // There are fewer versions than slots in a file and frames in memory.
            self.made = at.checked_add(1).expect("fewer than 2^32 versions are superseded");
            at
        })
    }
}

/// Memory for so many versions is kept with a row that no page has.
const KEPT_IN_ROW: usize = 128;

/// How many nodes are taken or given back at once.
const AT_ONCE: usize = 16;

/// Some nodes that no chain has, in the hands of somebody who adds or removes versions.
#[derive(Default)]
pub(crate) struct Nodes {
    some: [u32; AT_ONCE],
    len: usize,
}

/// The map.
pub(crate) struct History {
    heads: Buckets<ShortMutex<Head>>,
    nodes: Buckets<Node>,
    spare: Mutex<Spare>,
    rows: Buckets<ShortMutex<Row>>,
    spare_rows: Mutex<Spare>,
}

/// Which version of a page is looked for.
#[derive(Clone, Copy)]
enum Wanted {
    SeenBy(Timestamp),
    BornAt(Timestamp),
}

impl Wanted {
    fn is(self, version: &Version) -> bool {
        match self {
            Wanted::SeenBy(pin) => version.contains(pin),
            Wanted::BornAt(birth) => version.birth == birth,
        }
    }

    /// Where it is among versions by birth.
    fn among(self, versions: &[Version]) -> Option<usize> {
        let (Wanted::SeenBy(at) | Wanted::BornAt(at)) = self;
        let index = versions.partition_point(|version| version.birth <= at).checked_sub(1)?;
        self.is(&versions[index]).then_some(index)
    }
}

impl History {
    pub fn new() -> History {
        History {
            heads: Buckets::new(),
            nodes: Buckets::new(),
            spare: Mutex::default(),
            rows: Buckets::new(),
            spare_rows: Mutex::default(),
        }
    }

    /// Asks the processor to fetch what [`supersede`](History::supersede) needs of a page.
    #[inline]
    pub fn prefetch(&self, id: PageId) {
        if let Some(head) = self.heads.get(id.0 as usize) {
            line(std::ptr::from_ref(head).cast());
        }
    }

    /// Moves the newest version of a page into the history, ending at `end`. `crc` is its checksum in case it is unverified.
    /// Tells the version; `None` when there was none (a page that is new, or was dead). Only under the writer's turn.
    pub fn supersede(&self, id: PageId, entry: &Entry, end: Timestamp, crc: u32, nodes: &mut Nodes) -> Option<Version> {
        // Only who has the turn makes a place of nowhere.
        if entry.load().0.is_nowhere() {
            return None;
        }
        let node = self.take_node(nodes);
        let mut head = self.head(id);
        let (place, birth) = entry.load();
        let version = Version { birth, end, place, crc };
        self.push(&mut head, version, node, nodes);
        Some(version)
    }

    /// The same, of a register. Its values wait here to be [judged](History::judge), together: only the first of them is told, for somebody to do that.
    pub fn supersede_value(&self, id: PageId, entry: &Entry, end: Timestamp, nodes: &mut Nodes) -> Option<Version> {
        let mut head = self.head(id);
        let (place, birth) = entry.load();
        let version = Version { birth, end, place, crc: 0 };
        if head.len != CROWDED {
            self.crowd(&mut head, nodes);
        }
        let mut row = self.row(&head);
        row.versions.push(version);
        (!mem::replace(&mut row.is_known, true)).then_some(version)
    }

    /// Looks at values of a register that wait and ended by `published`, at most so many. `is_needed` tells which of them somebody needs; the others are dropped.
    pub fn judge(
        &self,
        id: PageId,
        published: Timestamp,
        most: usize,
        mut is_needed: impl FnMut(&Version) -> bool,
    ) -> Judged {
        let mut judged = Judged::default();
        let mut head = self.head(id);
        if head.len != CROWDED {
            return judged;
        }
        let mut row = self.row(&head);
        let (mut kept, mut next) = (row.judged, row.judged);
        while judged.looked_at < most
            && let Some(version) = row.versions.get(next).copied().filter(|version| version.end <= published)
        {
            let waits = row.waits(next);
            judged.looked_at += usize::from(waits);
            if waits && !is_needed(&version) {
                judged.dropped += 1;
            } else {
                row.versions[kept] = version;
                kept += 1;
            }
            next += 1;
        }
        row.versions.drain(kept..next);
        row.judged = kept;
        let waiting = (kept..row.versions.len()).find(|index| row.waits(*index));
        judged.waiting = waiting.map(|index| row.versions[index].end);
        row.is_known = judged.waiting.is_some();
        self.leave_if_empty(&mut head, row);
        judged
    }

    /// Adds a superseded version that is younger than all that are there of its page, and judged. While the store is being opened.
    pub fn insert(&self, id: PageId, version: Version, nodes: &mut Nodes) {
        let node = self.take_node(nodes);
        let mut head = self.head(id);
        self.push(&mut head, version, node, nodes);
        if head.len == CROWDED {
            let mut row = self.row(&head);
            row.judged = row.versions.len();
        }
    }

    fn push(&self, head: &mut ShortGuard<'_, Head>, version: Version, node: u32, nodes: &mut Nodes) {
        if head.len == LONGEST_CHAIN {
            self.crowd(head, nodes);
        }
        if head.len == CROWDED {
            self.row(head).versions.push(version);
            self.put_node(node, nodes);
        } else {
            self.node(node).set(version, head.newest);
            **head = Head { newest: node, len: head.len + 1 };
        }
    }

    /// Moves the versions of a page into a row.
    #[cold]
    fn crowd(&self, head: &mut ShortGuard<'_, Head>, nodes: &mut Nodes) {
        let number = self.spare_rows.lock().take();
        let mut row = self.rows.grow_to(number as usize).lock();
        for at in self.chain(**head) {
            row.versions.push(self.node(at).version());
            self.put_node(at, nodes);
        }
        row.versions.reverse();
        row.judged = row.versions.len();
        **head = Head { newest: number, len: CROWDED };
    }

    /// A page that has no versions any more needs no row.
    fn leave_if_empty(&self, head: &mut ShortGuard<'_, Head>, mut row: ShortGuard<'_, Row>) {
        if row.versions.is_empty() && !row.is_known {
            row.versions.shrink_to(KEPT_IN_ROW);
            drop(row);
            self.spare_rows.lock().used_before.push(head.newest);
            **head = Head::default();
        }
    }

    /// The superseded version that a pin sees.
    pub fn find(&self, id: PageId, pin: Timestamp) -> Option<Version> {
        self.look(id, Wanted::SeenBy(pin))
    }

    /// The version with this birth.
    pub fn get(&self, id: PageId, birth: Timestamp) -> Option<Version> {
        self.look(id, Wanted::BornAt(birth))
    }

    fn look(&self, id: PageId, wanted: Wanted) -> Option<Version> {
        let head = self.head(id);
        if head.len == CROWDED {
            let row = self.row(&head);
            return Some(row.versions[wanted.among(&row.versions)?]);
        }
        self.chain(*head).map(|at| self.node(at).version()).find(|version| wanted.is(version))
    }

    /// Changes the place of the version with this birth, if it is here.
    pub fn replace_place(&self, id: PageId, birth: Timestamp, change: impl FnOnce(Place) -> Place) -> bool {
        let wanted = Wanted::BornAt(birth);
        let head = self.head(id);
        if head.len == CROWDED {
            let mut row = self.row(&head);
            let Some(index) = wanted.among(&row.versions) else { return false };
            row.versions[index].place = change(row.versions[index].place);
            return true;
        }
        let Some(at) = self.chain(*head).find(|at| wanted.is(&self.node(*at).version())) else { return false };
        let place = &self.node(at).place;
        place.store(change(Place(place.load(Ordering::Relaxed))).0, Ordering::Relaxed);
        true
    }

    /// Takes a version out that nobody needs any more.
    pub fn remove(&self, id: PageId, birth: Timestamp, nodes: &mut Nodes) -> Option<Version> {
        let wanted = Wanted::BornAt(birth);
        let mut head = self.head(id);
        if head.len == CROWDED {
            let mut row = self.row(&head);
            let index = wanted.among(&row.versions)?;
            let version = row.versions.remove(index);
            row.judged -= usize::from(index < row.judged);
            self.leave_if_empty(&mut head, row);
            return Some(version);
        }
        let mut younger = None;
        for at in self.chain(*head) {
            let node = self.node(at);
            let version = node.version();
            if !wanted.is(&version) {
                younger = Some(node);
                continue;
            }
            let older = node.older.load(Ordering::Relaxed);
            let newest = match younger {
                None => older,
                Some(younger) => {
                    younger.older.store(older, Ordering::Relaxed);
                    head.newest
                }
            };
            *head = Head { newest, len: head.len - 1 };
            drop(head);
            self.put_node(at, nodes);
            return Some(version);
        }
        None
    }

    /// All versions, page by page, by birth. For the checker and for closing.
    pub fn for_each(&self, mut visit: impl FnMut(PageId, &Version)) {
        for id in (0..).map(PageId) {
            let Some(head) = self.heads.get(id.0 as usize).map(ShortMutex::lock) else { return };
            if head.len == CROWDED {
                self.row(&head).versions.iter().for_each(|version| visit(id, version));
                continue;
            }
            let mut versions: Vec<Version> = self.chain(*head).map(|at| self.node(at).version()).collect();
            versions.reverse();
            versions.iter().for_each(|version| visit(id, version));
        }
    }

    /// The values of registers that wait to be judged. For the checker.
    pub fn for_each_waiting(&self, mut visit: impl FnMut(PageId, &Version)) {
        for id in (0..).map(PageId) {
            let Some(head) = self.heads.get(id.0 as usize).map(ShortMutex::lock) else { return };
            if head.len == CROWDED {
                let row = self.row(&head);
                let waiting = (row.judged..row.versions.len()).filter(|index| row.waits(*index));
                waiting.for_each(|index| visit(id, &row.versions[index]));
            }
        }
    }

    /// The versions of a page that the table has. Whoever comes first makes room for it: who has seen that a version is not the newest any more, and nothing else, need not see that
    /// there is room, but he sees what was done under its lock.
    #[inline]
    fn head(&self, id: PageId) -> ShortGuard<'_, Head> {
        self.heads.grow_to(id.0 as usize).lock()
    }

    /// The row of a page that is crowded.
    #[inline]
    fn row(&self, head: &Head) -> ShortGuard<'_, Row> {
        self.rows.get(head.newest as usize).expect("a row that was taken is there").lock()
    }

    fn take_node(&self, nodes: &mut Nodes) -> u32 {
        if nodes.len == 0 {
            self.take_some(nodes);
        }
        nodes.len -= 1;
        nodes.some[nodes.len]
    }

    #[cold]
    fn take_some(&self, nodes: &mut Nodes) {
        let mut spare = self.spare.lock();
        // The last of them is the next to be used, and was the last to be given back.
        nodes.some.iter_mut().rev().for_each(|node| *node = spare.take());
        drop(spare);
        nodes.some.iter().for_each(|node| _ = self.nodes.grow_to(*node as usize));
        nodes.len = AT_ONCE;
    }

    fn put_node(&self, node: u32, nodes: &mut Nodes) {
        if nodes.len == AT_ONCE {
            self.spare.lock().used_before.extend_from_slice(&nodes.some);
            nodes.len = 0;
        }
        nodes.some[nodes.len] = node;
        nodes.len += 1;
    }

    fn node(&self, at: u32) -> &Node {
        self.nodes.get(at as usize).expect("a node that was taken is there")
    }

    /// The nodes of a chain, the newest first.
    fn chain(&self, head: Head) -> impl Iterator<Item = u32> {
        let mut next = head.newest;
        (0..head.len).map(move |_| {
            let at = next;
            next = self.node(at).older.load(Ordering::Relaxed);
            at
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the dumbest model: a list of all intervals. Some runs are long enough for the map.
    #[test]
    fn finds_what_a_list_finds() {
        fn property(steps: Vec<(u8, bool)>) -> bool {
            let (history, entry, id) = (History::new(), Entry::default(), PageId(7));
            let mut nodes = Nodes::default();
            let mut model: Vec<(u64, u64)> = Vec::new();
            let (mut birth, mut now) = (1, 1);
            entry.install(Timestamp(1), Place::immediate(1));
            for (step, remove) in steps {
                if remove && !model.is_empty() {
                    let (birth, end) = model.remove(step as usize % model.len());
                    let version = history.remove(id, Timestamp(birth), &mut nodes).unwrap();
                    assert_eq!((version.end.0, version.place.as_immediate()), (end, Some(birth)));
                } else {
                    now += u64::from(step) % 3 + 1;
                    history.supersede(id, &entry, Timestamp(now), 0, &mut nodes);
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
    /// Values of a register, some of them needed, against a list; between them a page may have the number.
    #[test]
    fn values_are_judged_together_and_once() {
        fn property(steps: Vec<(u8, u8)>) -> bool {
            let (history, entry, id) = (History::new(), Entry::default(), PageId(7));
            let mut nodes = Nodes::default();
            // Birth, end, and whether it waits.
            let mut model: Vec<(u64, u64, bool)> = Vec::new();
            let (mut now, mut is_known) = (1, false);
            let is_needed = |birth: u64| birth.is_multiple_of(3);
            entry.install(Timestamp(1), Place::immediate(1));
            for (step, kind) in steps {
                let birth = now;
                match kind % 8 {
                    next @ 0..6 => {
                        now += u64::from(step) % 3 + 1;
                        let end = Timestamp(now);
                        let is_value = entry.load().0.as_immediate().is_some();
                        if is_value {
                            let told = history.supersede_value(id, &entry, end, &mut nodes);
                            assert_eq!(told.is_some(), !is_known, "told once for all that wait");
                            is_known = true;
                        } else {
                            assert!(history.supersede(id, &entry, end, 0, &mut nodes).is_some());
                        }
                        model.push((birth, now, is_value));
                        let place = if next < 5 { Place::immediate(now) } else { Place(now << 6) };
                        entry.install(end, place);
                    }
                    6 => {
                        let (published, most) = (now - u64::from(step) % now, usize::from(step) % 9);
                        let judged =
                            history.judge(id, Timestamp(published), most, |version| is_needed(version.birth.0));
                        let before = model.len();
                        let mut left = most;
                        model.retain_mut(|(birth, end, waits)| {
                            if !*waits || left == 0 || *end > published {
                                return true;
                            }
                            left -= 1;
                            *waits = false;
                            is_needed(*birth)
                        });
                        assert_eq!(judged.dropped as usize, before - model.len());
                        assert_eq!(judged.waiting.is_some(), model.iter().any(|(.., waits)| *waits));
                        is_known = judged.waiting.is_some();
                    }
                    _ => {
                        let Some(at) = model.iter().position(|(.., waits)| !waits) else { continue };
                        let (birth, end, _) = model.remove(at);
                        assert_eq!(history.remove(id, Timestamp(birth), &mut nodes).unwrap().end.0, end);
                    }
                }
                for pin in 0..now + 2 {
                    let expected = model.iter().find(|(birth, end, _)| *birth <= pin && pin < *end);
                    let found = history.find(id, Timestamp(pin)).map(|version| version.birth.0);
                    assert_eq!(found, expected.map(|(birth, ..)| *birth));
                }
                let mut waiting = Vec::new();
                history.for_each_waiting(|_, version| waiting.push(version.birth.0));
                assert!(waiting.iter().eq(model.iter().filter(|(.., waits)| *waits).map(|(birth, ..)| birth)));
            }
            true
        }
        quickcheck::QuickCheck::new()
            .tests(if cfg!(miri) { 5 } else { 300 })
            .quickcheck(property as fn(Vec<(u8, u8)>) -> bool);
    }
}
