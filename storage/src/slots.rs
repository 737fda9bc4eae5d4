//! Which slots of the file are free, and handing them out as runs.
//!
//! Promises:
//! 1. A run is handed out to one owner at a time; giving back what is free already is a broken invariant and panics.
//! 2. Low slots before high ones: of all free stretches that fit, the one nearest the start of the file. So runs handed out one after
//!    another lie together, and the tail of the file empties.
//! 3. No run crosses a multiple of the medium's segment.
//! 4. Nothing of this is stored: at opening, free is what nothing refers to.

use crate::layout::{Run, SLOT_BYTES};
use crate::medium::SEGMENT_BYTES;
use std::collections::{BTreeMap, BTreeSet};

const SEGMENT_SLOTS: u64 = SEGMENT_BYTES / SLOT_BYTES as u64;

/// The file grows by multiples of this many slots (256 KiB): smaller pieces cost several times as much for each byte.
const GROWTH_SLOTS: u64 = 128;

/// While the store is open a shorter free tail than this is left: what was cut too eagerly must grow again.
pub(crate) const CUT_SLOTS: u64 = 2 * GROWTH_SLOTS;

/// Stretches up to this length have a class of their own.
const EXACT: u64 = 32;

/// The length class of a stretch: exact up to 32 slots, then by powers of two.
fn class_of(slots: u64) -> usize {
    if slots <= EXACT { slots as usize - 1 } else { (EXACT - 1 + (slots / EXACT).ilog2() as u64) as usize + 1 }
}

/// The free slots of a file.
#[derive(Debug)]
pub(crate) struct Slots {
    end: u64,
    free_slots: u64,
    /// How many slots were given back since the free stretches were last looked through for blocks to give back.
    released: u64,
    /// Length by start.
    stretches: BTreeMap<u64, u64>,
    /// Starts by length class, and which classes are not empty.
    classes: [BTreeSet<u64>; 64],
    occupied: u64,
}

impl Slots {
    /// A file of `end` slots of which `used` are taken.
    ///
    /// # Errors
    /// The first two runs that overlap, or a run that lies past the end, twice.
    pub fn new(end: u64, mut used: Vec<Run>) -> Result<Slots, (Run, Run)> {
        let mut slots = Slots {
            end,
            free_slots: 0,
            released: 0,
            stretches: BTreeMap::new(),
            classes: [const { BTreeSet::new() }; 64],
            occupied: 0,
        };
        used.sort_unstable();
        let mut previous = Run { start: 0, slots: 0 };
        for run in used {
            if run.start < previous.end() {
                return Err((previous, run));
            }
            if run.end() > end {
                return Err((run, run));
            }
            slots.add(previous.end(), run.start);
            previous = run;
        }
        slots.add(previous.end(), end);
        Ok(slots)
    }

    /// How many slots the file has.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How many of them are free.
    pub fn free_slots(&self) -> u64 {
        self.free_slots
    }

    /// Free stretches in order, for the checker and for maps of the file.
    pub fn free_stretches(&self) -> impl Iterator<Item = Run> {
        self.stretches.iter().map(|(&start, &slots)| Run { start, slots })
    }

    /// Adds the free slots `[start, end)`, cut at segments.
    fn add(&mut self, mut start: u64, end: u64) {
        while start < end {
            let cut = end.min((start / SEGMENT_SLOTS + 1) * SEGMENT_SLOTS);
            self.insert(start, cut - start);
            start = cut;
        }
    }

    fn insert(&mut self, start: u64, slots: u64) {
        self.free_slots += slots;
        self.stretches.insert(start, slots);
        let class = class_of(slots);
        self.classes[class].insert(start);
        self.occupied |= 1 << class;
    }

    fn remove(&mut self, start: u64) -> u64 {
        let slots = self.stretches.remove(&start).expect("classes and stretches agree");
        self.free_slots -= slots;
        let class = class_of(slots);
        self.classes[class].remove(&start);
        if self.classes[class].is_empty() {
            self.occupied &= !(1 << class);
        }
        slots
    }

    /// Takes a run of `slots` slots, the lowest there is; `None` when the file must grow first.
    pub fn allocate(&mut self, slots: u64) -> Option<Run> {
        self.allocate_below(slots, u64::MAX)
    }

    /// Takes a run of `slots` slots, the lowest there is, if it begins below `limit`.
    pub fn allocate_below(&mut self, slots: u64, limit: u64) -> Option<Run> {
        let start = self.lowest(slots).filter(|start| *start < limit)?;
        let available = self.remove(start);
        if available > slots {
            self.insert(start + slots, available - slots);
        }
        Some(Run { start, slots })
    }

    /// Whether a run of `slots` slots could be taken that begins below `limit`.
    pub fn has_room_below(&self, slots: u64, limit: u64) -> bool {
        self.lowest(slots).is_some_and(|start| start < limit)
    }

    /// Where the lowest free stretch of at least `slots` slots begins.
    fn lowest(&self, slots: u64) -> Option<u64> {
        let own = class_of(slots);
        let mut lowest = if slots > EXACT {
            self.classes[own].iter().copied().find(|start| self.stretches[start] >= slots)
        } else {
            self.classes[own].first().copied()
        };
        let mut larger = self.occupied & (u64::MAX << own << 1);
        while larger != 0 {
            let class = larger.trailing_zeros() as usize;
            larger &= larger - 1;
            let first = self.classes[class].first().copied();
            lowest = match (lowest, first) {
                (Some(lowest), Some(first)) => Some(lowest.min(first)),
                (lowest, first) => lowest.or(first),
            };
        }
        lowest
    }

    /// How many runs of `slots` slots could be taken before the file must grow; counted up to `most`.
    pub fn room_for(&self, slots: u64, most: u64) -> u64 {
        let mut room = 0;
        let mut classes = self.occupied & (u64::MAX << class_of(slots));
        while classes != 0 && room < most {
            let class = classes.trailing_zeros() as usize;
            classes &= classes - 1;
            for start in &self.classes[class] {
                room += self.stretches[start] / slots;
                if room >= most {
                    break;
                }
            }
        }
        room.min(most)
    }

    /// How many slots the file must have so that a run of `slots` fits at its end.
    pub fn end_for(&self, slots: u64) -> u64 {
        let tail = self.free_tail().map_or(self.end, |run| run.start);
        let segment_end = (tail / SEGMENT_SLOTS + 1) * SEGMENT_SLOTS;
        let start = if tail + slots > segment_end { segment_end } else { tail };
        (start + slots).next_multiple_of(GROWTH_SLOTS)
    }

    /// The file now has `end` slots, more than before.
    pub fn extend(&mut self, end: u64) {
        let from = self.end;
        self.end = end;
        if let Some(tail) = self.stretch_ending_at(from).filter(|_| !from.is_multiple_of(SEGMENT_SLOTS)) {
            self.remove(tail.start);
            self.add(tail.start, end);
        } else {
            self.add(from, end);
        }
    }

    fn stretch_ending_at(&self, end: u64) -> Option<Run> {
        let (&start, &slots) = self.stretches.range(..end).next_back()?;
        (start + slots == end).then_some(Run { start, slots })
    }

    fn free_tail(&self) -> Option<Run> {
        self.stretch_ending_at(self.end)
    }

    /// Gives a run back.
    pub fn release(&mut self, run: Run) {
        self.released += run.slots;
        self.put_back(run);
    }

    /// How many free slots may still have blocks that nobody was told to give back, at most.
    pub fn unpunched(&self) -> u64 {
        self.released.min(self.free_slots)
    }

    /// From here on what is free now counts as looked through. The longest free stretches of at least `least` slots, `most` of them; those of similar length by place.
    pub fn look_through(&mut self, least: u64, most: usize) -> Vec<Run> {
        self.released = 0;
        let classes = (class_of(least)..self.classes.len()).rev();
        let starts = classes.flat_map(|class| self.classes[class].iter());
        let stretches = starts.map(|start| Run { start: *start, slots: self.stretches[start] });
        stretches.filter(|run| run.slots >= least).take(most).collect()
    }

    /// Takes a whole free stretch; `false` if it is none any more.
    pub fn take_stretch(&mut self, run: Run) -> bool {
        let is_there = self.stretches.get(&run.start) == Some(&run.slots);
        if is_there {
            self.remove(run.start);
        }
        is_there
    }

    /// Puts back what [`take_stretch`](Slots::take_stretch) took, looked through.
    pub fn put_back(&mut self, run: Run) {
        let (mut start, mut end) = (run.start, run.end());
        assert!(end <= self.end, "slots {run:?} are given back past the end of the file");
        if let Some((&before, &slots)) = self.stretches.range(..end).next_back() {
            assert!(before + slots <= start, "slots {run:?} are given back twice");
            if before + slots == start && !start.is_multiple_of(SEGMENT_SLOTS) {
                self.remove(before);
                start = before;
            }
        }
        if !end.is_multiple_of(SEGMENT_SLOTS) && self.stretches.contains_key(&end) {
            end += self.remove(end);
        }
        self.insert(start, end - start);
    }

    /// Whether a run is wholly in use. For the checker.
    pub fn is_used(&self, run: Run) -> bool {
        run.end() <= self.end
            && self.stretches.range(..run.end()).next_back().is_none_or(|(&start, &slots)| start + slots <= run.start)
    }

    /// Where the file can be cut, if at least `least` slots of its tail are free.
    pub fn cut_at(&self, least: u64) -> Option<u64> {
        let tail = self.free_tail()?;
        (tail.slots >= least).then_some(tail.start)
    }

    /// The file now has only `end` slots; the rest was free.
    pub fn cut(&mut self, end: u64) {
        while let Some(tail) = self.free_tail().filter(|_| self.end > end) {
            self.remove(tail.start);
            self.end = tail.start.max(end);
            if tail.start < end {
                self.add(tail.start, end);
            }
        }
        assert_eq!(self.end, end, "the file is cut only where it is free");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::{QuickCheck, TestResult};

    /// Against a bitmap: which slots are free, and that the lowest fitting stretch is taken.
    #[test]
    fn agrees_with_a_bitmap() {
        fn property(steps: Vec<(u8, u16)>) -> TestResult {
            let mut slots = Slots::new(4, vec![Run { start: 0, slots: 4 }]).unwrap();
            let mut used = vec![true; 4];
            let mut held: Vec<Run> = Vec::new();
            for (what, number) in steps {
                if what % 3 == 0 && !held.is_empty() {
                    let run = held.swap_remove(number as usize % held.len());
                    slots.release(run);
                    used[run.start as usize..run.end() as usize].fill(false);
                } else if what % 16 == 2 {
                    // Some of the longest are taken out, and put back.
                    let least = u64::from(number % 4) + 1;
                    let mut expected: Vec<Run> = slots.free_stretches().filter(|run| run.slots >= least).collect();
                    expected.sort_by_key(|run| (std::cmp::Reverse(class_of(run.slots)), run.start));
                    expected.truncate(3);
                    let longest = slots.look_through(least, 3);
                    assert_eq!(longest, expected);
                    assert_eq!(slots.unpunched(), 0);
                    assert!(longest.iter().all(|run| slots.take_stretch(*run) && !slots.take_stretch(*run)));
                    assert!(longest.iter().all(|run| slots.is_used(*run)));
                    longest.into_iter().for_each(|run| slots.put_back(run));
                    assert_eq!(slots.unpunched(), 0, "what is put back has been looked through");
                } else if what % 16 == 1 {
                    if let Some(end) = slots.cut_at(CUT_SLOTS) {
                        slots.cut(end);
                        used.truncate(end as usize);
                    }
                } else {
                    let want =
                        if number.is_multiple_of(7) { u64::from(number % 300) + 1 } else { u64::from(number % 5) + 1 };
                    let expected = (0..used.len()).find(|&start| {
                        used.get(start..start + want as usize).is_some_and(|stretch| stretch.iter().all(|used| !used))
                    });
                    let run = match slots.allocate(want) {
                        Some(run) => {
                            assert_eq!(Some(run.start as usize), expected);
                            run
                        }
                        None => {
                            assert_eq!(expected, None);
                            let end = slots.end_for(want);
                            slots.extend(end);
                            used.resize(end as usize, false);
                            slots.allocate(want).expect("it fits now")
                        }
                    };
                    used[run.start as usize..run.end() as usize].fill(true);
                    held.push(run);
                }
                assert_eq!(slots.end() as usize, used.len());
                assert_eq!(slots.free_slots() as usize, used.iter().filter(|used| !**used).count());
                assert!(held.iter().all(|run| slots.is_used(*run)));
                let room: u64 = slots.free_stretches().map(|run| run.slots / 3).sum();
                assert_eq!(slots.room_for(3, u64::MAX), room);
                assert_eq!(slots.room_for(3, 2), room.min(2));
            }
            let mut all = held.clone();
            all.push(Run { start: 0, slots: 4 });
            let again = Slots::new(slots.end(), all).unwrap();
            assert!(again.free_stretches().eq(slots.free_stretches()), "opening finds the same free slots");
            TestResult::passed()
        }
        QuickCheck::new()
            .tests(if cfg!(miri) { 5 } else { 300 })
            .quickcheck(property as fn(Vec<(u8, u16)>) -> TestResult);
    }

    #[test]
    fn runs_do_not_cross_segments() {
        let mut slots = Slots::new(SEGMENT_SLOTS - 2, vec![Run { start: 0, slots: SEGMENT_SLOTS - 2 }]).unwrap();
        slots.extend(slots.end_for(4));
        let run = slots.allocate(4).unwrap();
        assert_eq!(run.start, SEGMENT_SLOTS);
        let gap = slots.allocate(2).unwrap();
        assert_eq!(gap.start, SEGMENT_SLOTS - 2);
        slots.release(gap);
        slots.release(run);
        assert_eq!(slots.allocate(4).unwrap().start, SEGMENT_SLOTS, "not coalesced across the boundary");
    }

    #[test]
    fn nothing_is_taken_from_above_a_limit() {
        let mut slots = Slots::new(20, vec![Run { start: 0, slots: 8 }, Run { start: 9, slots: 3 }]).unwrap();
        assert_eq!(slots.allocate_below(2, 12), None, "the only stretch of two begins at 12");
        assert_eq!(slots.allocate_below(2, 13), Some(Run { start: 12, slots: 2 }));
        assert_eq!(slots.allocate_below(1, 12), Some(Run { start: 8, slots: 1 }));
        assert_eq!((slots.free_slots(), slots.room_for(4, 9)), (6, 1));
    }

    #[test]
    fn overlapping_runs_are_told() {
        let (one, two) = (Run { start: 4, slots: 3 }, Run { start: 6, slots: 1 });
        assert_eq!(Slots::new(10, vec![two, one]).unwrap_err(), (one, two));
        assert_eq!(Slots::new(6, vec![two]).unwrap_err(), (two, two));
    }

    #[test]
    #[should_panic(expected = "given back twice")]
    fn a_double_release_panics() {
        let mut slots = Slots::new(10, vec![]).unwrap();
        let run = slots.allocate(2).unwrap();
        slots.release(run);
        slots.release(run);
    }
}
