//! Frames: the memory that holds versions until a checkpoint has given them slots.
//!
//! Promises:
//! 1. A frame has one owner at a time: a write transaction (as [`Frame`]), then, once handed over, the place in the table or the
//!    history, until reclamation or the checkpointer gives it back.
//! 2. Frames of the page size, and of a quarter and an eighth of it, are recycled; the first touch of fresh memory costs more than the copy
//!    into it. Where many are in use, others are cut from slabs by whoever has time for it, before those that are spare have gone ([`FramePool::prepare`]). What is not needed any more goes: a slab when all of it has come back.
//! 3. `counted` is the memory that limits count: versions that are newest, or that will be freed without any snapshot's help.
//!    What only snapshots keep is uncounted, or one snapshot taken at the limit would block writers for ever.

use crate::layout::{HEADER_BYTES, SMALL_FRAMES};
use crate::place::Place;
use crate::prefetch::{CACHE_LINE, line};
use crate::reserve::{RESERVE_BYTES, Reserve};
use crate::slab::{SLAB_BYTES, Slab};
use crate::sync::{AtomicUsize, Flag, Mutex, Ordering, ShortMutex};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::BTreeMap;
use std::ptr::NonNull;

/// So many bytes of frames are many.
const MANY: usize = 512 << 10;
/// Frames are prepared when less memory than this is spare in those of their size, until there is as much as that: what a busy writer takes while a slab is made, and no more. Where a system below has to find the
/// memory first all of it is waited for by somebody.
const PREPARE_BELOW: usize = 2 << 20;
const PREPARE_UP_TO: usize = 4 << 20;
/// Of each of the smaller sizes so many times less is kept.
const SMALL_SHARE: usize = 2;
/// Smaller pages than this have no smaller frames.
const LEAST_DIVIDED: usize = 4096;
/// How many lines of a frame are asked for before it is taken.
const ASKED_LINES: usize = 12;
/// How many frames are released under one lock.
const RELEASED_AT_ONCE: usize = 64;

/// What stands before the data of every frame, out of a reader's sight. It also shifts frames apart by a cache line. What is not constant is changed under the reclaimer's lock.
#[repr(C, align(64))]
struct Prefix {
    capacity: usize,
    /// Whether its memory is not counted any more, although it was handed over.
    is_uncounted: Flag,
    /// Whether it was cut from a slab.
    is_cut: bool,
}

const PREFIX_BYTES: usize = size_of::<Prefix>();
const _: () = assert!(PREFIX_BYTES == 64, "data begins at a multiple of 64");

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(PREFIX_BYTES + capacity, 64).expect("a frame's size is far below the address space")
}

/// A frame in the hands of a write transaction. It must be given back to its pool, or handed over as a place.
#[derive(Debug)]
#[must_use]
pub(crate) struct Frame {
    data: NonNull<u8>,
    capacity: usize,
}

// SAFETY: a frame is owned memory.
unsafe impl Send for Frame {}
// SAFETY: shared access only reads.
unsafe impl Sync for Frame {}

impl Frame {
    /// All of the frame, the room for the version's header first.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `capacity` initialised bytes that this frame owns.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.capacity) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: `capacity` initialised bytes that this frame owns.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.capacity) }
    }

    pub fn body(&self) -> &[u8] {
        &self.bytes()[HEADER_BYTES..]
    }

    pub fn body_mut(&mut self) -> &mut [u8] {
        &mut self.bytes_mut()[HEADER_BYTES..]
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

/// A slab that frames were cut from.
struct Cut {
    /// Dropped with the last of them.
    slab: Slab,
    frames: usize,
    /// Those that nobody needs.
    idle: Vec<Frame>,
}

/// Frames of one size.
struct Class {
    capacity: usize,
    spare: ShortMutex<Vec<Frame>>,
    /// How many there are, spare ones included, those that slabs have back not. Of those that are made to be spare it learns under their lock.
    made: AtomicUsize,
    slabs: Mutex<BTreeMap<usize, Cut>>,
    /// How many frames slabs have back.
    idle: AtomicUsize,
    /// How many are kept for reuse, at most.
    spare_max: usize,
    /// Frames are prepared when fewer than the first are spare, until there are as many as the second.
    prepared: [usize; 2],
    /// Whether so few are spare that some had better be prepared. Changed under the lock of the spare ones.
    is_low: Flag,
}

impl Class {
    fn new(capacity: usize, spare_bytes: usize) -> Class {
        let spare_max = spare_bytes / capacity;
        // None where a slab would be more than half of what may be spare: it would come and go.
        let is_enough = spare_bytes >= 2 * SLAB_BYTES;
        let prepared = [PREPARE_BELOW, PREPARE_UP_TO].map(|bytes| if is_enough { bytes / capacity } else { 0 });
        Class {
            capacity,
            spare: ShortMutex::default(),
            made: AtomicUsize::new(0),
            slabs: Mutex::default(),
            idle: AtomicUsize::new(0),
            spare_max,
            prepared,
            is_low: Flag::new(is_enough),
        }
    }

    /// Where few frames were ever needed none are prepared.
    fn wants_more(&self) -> bool {
        self.is_low.load(Ordering::Relaxed) && self.made.load(Ordering::Relaxed) * self.capacity >= MANY
    }

    fn prepare(&self, slab: impl Fn() -> Option<Slab>) {
        while self.spare.lock().len() < self.prepared[1] {
            let Some(slab) = slab() else {
                // Not to be asked again by every commit: when so few are spare the next time.
                let _spare = self.spare.lock();
                return self.is_low.store(false, Ordering::Relaxed);
            };
            self.add_spare(self.cut(slab));
        }
    }

    /// Frames from a slab.
    fn cut(&self, slab: Slab) -> Vec<Frame> {
        // SAFETY: each part is ours, and has room for a whole frame.
        let cut = |base| unsafe { FramePool::begin(base, self.capacity, true) };
        let frames: Vec<Frame> = slab.parts(layout(self.capacity).size()).map(cut).collect();
        self.slabs.lock().insert(slab.start(), Cut { slab, frames: frames.len(), idle: Vec::new() });
        frames
    }

    fn add_spare(&self, mut frames: Vec<Frame>) {
        let mut spare = self.spare.lock();
        self.made.fetch_add(frames.len(), Ordering::Relaxed);
        spare.append(&mut frames);
        self.is_low.store(spare.len() < self.prepared[0], Ordering::Relaxed);
    }

    /// A frame that was made before.
    fn take_again(&self) -> Option<Frame> {
        let mut spare = self.spare.lock();
        if let Some(frame) = spare.pop() {
            if spare.len() + 1 == self.prepared[0] {
                self.is_low.store(true, Ordering::Relaxed);
            }
            // Most likely the next one to be taken, which nobody has used for long, or ever.
            if let Some(next) = spare.last() {
                (0..ASKED_LINES).for_each(|number| line(next.data.as_ptr().wrapping_add(number * CACHE_LINE)));
            }
            return Some(frame);
        }
        drop(spare);
        if self.idle.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut slabs = self.slabs.lock();
        let mut frames = std::mem::take(&mut slabs.values_mut().find(|cut| !cut.idle.is_empty())?.idle);
        self.idle.fetch_sub(frames.len(), Ordering::Relaxed);
        drop(slabs);
        let frame = frames.pop();
        self.made.fetch_add(1, Ordering::Relaxed);
        self.add_spare(frames);
        frame
    }

    /// A slab all of whose frames are spare, if more are than are ever prepared: another size needs it more.
    fn give_up_slab(&self) -> Option<Slab> {
        let mut spare = self.spare.lock();
        if spare.len() < self.prepared[1] + SLAB_BYTES / self.capacity {
            return None;
        }
        let mut found: BTreeMap<usize, usize> = BTreeMap::new();
        spare.iter().for_each(|frame| *found.entry(Slab::start_of(frame.data)).or_default() += 1);
        let mut slabs = self.slabs.lock();
        let is_spare = |(start, count): &(usize, usize)| slabs.get(start).is_some_and(|cut| cut.frames == *count);
        let (start, count) = found.into_iter().find(is_spare)?;
        spare.retain(|frame| Slab::start_of(frame.data) != start);
        self.made.fetch_sub(count, Ordering::Relaxed);
        slabs.remove(&start).map(|cut| cut.slab)
    }

    /// Lets go of frames that nobody needs.
    fn let_go(&self, frames: Vec<Frame>) {
        self.made.fetch_sub(frames.len(), Ordering::Relaxed);
        // Given back to the system when no lock is held.
        let mut gone = Vec::new();
        for frame in frames {
            // SAFETY: the frame is ours.
            if !unsafe { FramePool::prefix(frame.data) }.is_cut {
                FramePool::free(frame);
                continue;
            }
            let start = Slab::start_of(frame.data);
            let mut slabs = self.slabs.lock();
            let Some(cut) = slabs.get_mut(&start) else { unreachable!("a slab stays until all of it has come back") };
            cut.idle.push(frame);
            if cut.idle.len() < cut.frames {
                self.idle.fetch_add(1, Ordering::Relaxed);
            } else {
                self.idle.fetch_sub(cut.frames - 1, Ordering::Relaxed);
                gone.extend(slabs.remove(&start));
            }
        }
    }

    /// Memory in frames that are not spare, in bytes.
    fn in_use(&self) -> usize {
        let spare = self.spare.lock();
        (self.made.load(Ordering::Relaxed) - spare.len()) * self.capacity
    }

    /// Keeps frames for reuse, as long as there are not enough; the others go.
    fn take_back(&self, frames: impl Iterator<Item = Frame>) {
        let mut frames = frames.peekable();
        if frames.peek().is_none() {
            return;
        }
        let mut superfluous = Vec::new();
        {
            let mut spare = self.spare.lock();
            for frame in frames {
                if spare.len() < self.spare_max {
                    spare.push(frame);
                } else {
                    superfluous.push(frame);
                }
            }
            if spare.len() >= self.prepared[0] && self.is_low.load(Ordering::Relaxed) {
                self.is_low.store(false, Ordering::Relaxed);
            }
        }
        self.let_go(superfluous);
    }
}

/// Makes, counts and recycles frames.
pub(crate) struct FramePool {
    /// The sizes that are recycled, the smallest first. A whole frame and what stands before it take a power of two where pages are divided.
    classes: Vec<Class>,
    /// Slabs that were not cut.
    pub reserve: Reserve,
    /// Memory in frames of other sizes, in bytes.
    odd: AtomicUsize,
    /// What was ever counted, changed under the writer's turn, and what is not any more, under the reclaimer's lock: by plain stores.
    counted: AtomicUsize,
    uncounted: AtomicUsize,
}

/// Adds to what only one at a time changes.
fn add(sum: &AtomicUsize, more: usize) {
    sum.store(sum.load(Ordering::Relaxed).wrapping_add(more), Ordering::Release);
}

impl FramePool {
    /// A pool that keeps at most `spare_bytes` of frames for reuse, as much in smaller ones, and half as much again in slabs that were not cut.
    pub fn new(page_size: usize, spare_bytes: usize) -> FramePool {
        let small = SMALL_FRAMES.into_iter().filter(|_| page_size >= LEAST_DIVIDED);
        let small = small.map(|parts| Class::new(page_size / parts - PREFIX_BYTES, spare_bytes / SMALL_SHARE));
        let classes = small.chain([Class::new(page_size, spare_bytes)]).collect();
        FramePool {
            classes,
            reserve: Reserve::of((3 * spare_bytes / 2).min(RESERVE_BYTES)),
            odd: AtomicUsize::new(0),
            counted: AtomicUsize::new(0),
            uncounted: AtomicUsize::new(0),
        }
    }

    /// A frame for a version of at least `len` bytes, header included. Its contents are arbitrary.
    pub fn take(&self, len: usize) -> Frame {
        let Some(class) = self.classes.iter().find(|class| class.capacity >= len) else {
            let capacity = len.next_multiple_of(64);
            self.odd.fetch_add(capacity, Ordering::Relaxed);
            return Self::make(capacity);
        };
        if let Some(frame) = class.take_again() {
            return frame;
        }
        class.made.fetch_add(1, Ordering::Relaxed);
        Self::make(class.capacity)
    }

    /// A slab that is at hand, or that another size has too many of, or a new one. (A size that wants one has too few itself.)
    fn slab(&self) -> Option<Slab> {
        let given_up = || self.classes.iter().find_map(Class::give_up_slab);
        self.reserve.take().or_else(given_up).or_else(Slab::make)
    }

    fn make(capacity: usize) -> Frame {
        let layout = layout(capacity);
        // SAFETY: the layout's size is not zero.
        let Some(base) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: allocated with this layout, all of it zero.
        unsafe { Self::begin(base, capacity, false) }
    }

    /// Makes a frame of memory.
    ///
    /// # Safety
    /// There are as many bytes at `base` as [`layout`] says, initialised and aligned, and they are the caller's.
    unsafe fn begin(base: NonNull<u8>, capacity: usize, is_cut: bool) -> Frame {
        // SAFETY: they begin with room for the prefix, aligned for it, followed by the data.
        let data = unsafe {
            base.cast::<Prefix>().write(Prefix { capacity, is_uncounted: Flag::new(false), is_cut });
            base.add(PREFIX_BYTES)
        };
        Frame { data, capacity }
    }

    /// Whether frames had better be prepared.
    pub fn wants_more(&self) -> bool {
        self.classes.iter().any(Class::wants_more)
    }

    /// Makes spare frames where many were needed, and touches their memory.
    pub fn prepare(&self) {
        self.classes.iter().filter(|class| class.wants_more()).for_each(|class| class.prepare(|| self.slab()));
    }

    /// Takes a frame back that was never handed over.
    pub fn give_back(&self, frame: Frame) {
        match self.classes.iter().find(|class| class.capacity == frame.capacity) {
            Some(class) => class.take_back(std::iter::once(frame)),
            None => {
                self.odd.fetch_sub(frame.capacity, Ordering::Relaxed);
                Self::free(frame);
            }
        }
    }

    fn free(frame: Frame) {
        // SAFETY: allocated in `take` with this layout; the frame is consumed, so it is freed once.
        unsafe { dealloc(frame.data.sub(PREFIX_BYTES).as_ptr(), layout(frame.capacity)) };
    }

    /// Turns a frame into the place of a version of `len` bytes, which from now on owns it. Tells how much memory is to be [counted](FramePool::count) for it.
    pub fn hand_over(frame: Frame, len: usize) -> (Place, usize) {
        (Place::in_frame(frame.data, len), frame.capacity)
    }

    /// Counts the memory of frames that were handed over. Only under the writer's turn.
    pub fn count(&self, bytes: usize) {
        add(&self.counted, bytes);
    }

    /// # Safety
    /// `data` is the data of a frame that lives for `'a`.
    unsafe fn prefix<'a>(data: NonNull<u8>) -> &'a Prefix {
        // SAFETY: every frame's data follows its prefix.
        unsafe { data.sub(PREFIX_BYTES).cast::<Prefix>().as_ref() }
    }

    fn data_of(place: Place) -> NonNull<u8> {
        debug_assert!(place.is_frame());
        NonNull::new(place.address().cast_mut()).expect("a frame's address is never null")
    }

    /// The memory that a frame takes, in bytes.
    ///
    /// # Safety
    /// `place` is a frame that has not been released.
    pub unsafe fn capacity_of(&self, place: Place) -> usize {
        // SAFETY: the caller's promise.
        unsafe { Self::prefix(Self::data_of(place)) }.capacity
    }

    /// From now on only snapshots keep this frame: it does not count towards the limits any more. Under the reclaimer's lock.
    ///
    /// # Safety
    /// `place` is a frame that has not been released.
    pub unsafe fn uncount(&self, place: Place) {
        // SAFETY: the caller's promise.
        let prefix = unsafe { Self::prefix(Self::data_of(place)) };
        if !prefix.is_uncounted.load(Ordering::Relaxed) {
            prefix.is_uncounted.store(true, Ordering::Relaxed);
            add(&self.uncounted, prefix.capacity);
        }
    }

    /// Takes back frames that were handed over. Under the reclaimer's lock.
    ///
    /// # Safety
    /// Each place is a frame that has not been released, nobody can reach it any more, and nobody reads it.
    pub unsafe fn release(&self, places: &[Place]) {
        for places in places.chunks(RELEASED_AT_ONCE) {
            // What stands before the data was not touched since the frame was made or released.
            places.iter().for_each(|place| line(place.address().wrapping_sub(PREFIX_BYTES)));
            let (mut counted, mut frames) = (0, Vec::with_capacity(places.len()));
            for &place in places {
                let data = Self::data_of(place);
                // SAFETY: the caller's promise.
                let prefix = unsafe { Self::prefix(data) };
                if prefix.is_uncounted.load(Ordering::Relaxed) {
                    prefix.is_uncounted.store(false, Ordering::Relaxed);
                } else {
                    counted += prefix.capacity;
                }
                frames.push(Frame { data, capacity: prefix.capacity });
            }
            add(&self.uncounted, counted);
            for class in &self.classes {
                class.take_back(frames.extract_if(.., |frame| frame.capacity == class.capacity));
            }
            frames.into_iter().for_each(|frame| self.give_back(frame));
        }
    }

    /// Memory in frames that are not spare, in bytes.
    pub fn in_use(&self) -> usize {
        self.classes.iter().map(Class::in_use).sum::<usize>() + self.odd.load(Ordering::Relaxed)
    }

    /// Memory in frames that the limits count, in bytes.
    pub fn counted(&self) -> usize {
        // Read in this order what is given back meanwhile makes it less, but never less than nothing.
        let uncounted = self.uncounted.load(Ordering::Acquire);
        self.counted.load(Ordering::Relaxed).wrapping_sub(uncounted)
    }
}

impl Drop for FramePool {
    fn drop(&mut self) {
        for class in &self.classes {
            let spare = std::mem::take(&mut *class.spare.lock());
            class.let_go(spare);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_and_recycled() {
        let pool = FramePool::new(4096, 8192);
        let mut frame = pool.take(1000);
        frame.body_mut().fill(7);
        assert_eq!(frame.capacity(), 4096);
        let address = frame.bytes().as_ptr();
        let (place, counted) = FramePool::hand_over(frame, 1000);
        pool.count(counted);
        assert_eq!((pool.in_use(), pool.counted()), (4096, 4096));
        // SAFETY: handed over above, and released once.
        unsafe {
            pool.uncount(place);
            assert_eq!((pool.in_use(), pool.counted(), pool.capacity_of(place)), (4096, 0, 4096));
            pool.release(&[place]);
        }
        assert_eq!((pool.in_use(), pool.counted()), (0, 0));
        let again = pool.take(4096);
        assert_eq!(again.bytes().as_ptr(), address, "the frame is recycled");
        let (place, counted) = FramePool::hand_over(again, 1000);
        pool.count(counted);
        assert_eq!(pool.counted(), 4096, "and counted anew");
        // SAFETY: as above.
        unsafe { pool.release(&[place]) };
        assert_eq!((pool.in_use(), pool.counted()), (0, 0), "whatever became of it before");
        let large = pool.take(1 << 20);
        assert_eq!(large.capacity(), 1 << 20);
        pool.give_back(large);
        assert_eq!(pool.in_use(), 0);
    }

    #[test]
    fn small_versions_have_small_frames() {
        let pool = FramePool::new(8192, 1 << 20);
        let capacities = [1, 960, 961, 1984, 1985, 8192, 8193].map(|len| {
            let frame = pool.take(len);
            let capacity = frame.capacity();
            pool.give_back(frame);
            capacity
        });
        assert_eq!(capacities, [960, 960, 1984, 1984, 8192, 8192, 8256]);
        let pool = FramePool::new(2048, 1 << 20);
        let frame = pool.take(1);
        assert_eq!(frame.capacity(), 2048, "pages as small as that are not divided");
        pool.give_back(frame);
    }

    #[test]
    fn frames_are_prepared_when_many_were_needed() {
        let pool = FramePool::new(4096, 8 << 20);
        let many = MANY / 4096;
        let mut frames: Vec<_> = (1..many).map(|_| pool.take(4096)).collect();
        assert!(!pool.wants_more());
        frames.push(pool.take(4096));
        assert!(pool.wants_more());
        pool.classes[2].prepare(|| None);
        assert!(!pool.wants_more(), "nobody asks again and again for memory that is not there");
        pool.classes[2].prepare(Slab::make);
        assert!(!pool.wants_more());
        let spare: Vec<usize> = pool.classes.iter().map(|class| class.spare.lock().len()).collect();
        let in_slab = SLAB_BYTES / (4096 + PREFIX_BYTES);
        assert_eq!(spare, [0, 0, 3 * in_slab], "slabs of the size that was wanted");
        assert_eq!(pool.in_use(), many * 4096, "spare frames are in nobody's use");
        frames.extend((0..3 * in_slab - PREPARE_BELOW / 4096).map(|_| pool.take(4096)));
        assert!(!pool.wants_more());
        frames.push(pool.take(4096));
        assert!(pool.wants_more(), "fewer than that are spare again");
        frames.pop().into_iter().for_each(|frame| pool.give_back(frame));
        assert!(!pool.wants_more());
        let small = FramePool::new(4096, 1 << 20);
        let held: Vec<_> = (0..2 * many).map(|_| small.take(4096)).collect();
        assert!(!small.wants_more(), "where little may be spare none are prepared");
        held.into_iter().for_each(|frame| small.give_back(frame));
        frames.into_iter().for_each(|frame| pool.give_back(frame));
        assert_eq!(pool.in_use(), 0);
    }

    /// Memory goes from the size that has too much of it to one that needs it, whole slabs at a time.
    #[test]
    fn slabs_go_from_size_to_size() {
        let pool = FramePool::new(8192, 64 << 20);
        let (small, large) = (&pool.classes[0], &pool.classes[2]);
        let slabs = || [small, large].map(|class| class.slabs.lock().len());
        let mut taken = Vec::new();
        for _ in 0..2 {
            large.prepare(|| pool.slab());
            let spare = large.spare.lock().len();
            taken.extend((0..spare).map(|_| pool.take(8192)));
        }
        assert_eq!(slabs(), [0, 6]);
        let held = taken.pop().unwrap();
        taken.into_iter().for_each(|frame| pool.give_back(frame));
        small.prepare(|| pool.slab());
        assert_eq!((slabs(), pool.in_use()), ([3, 3], 8192), "as many as are needed here and not prepared there");
        assert!(large.slabs.lock().contains_key(&Slab::start_of(held.data)), "but none that is in use");
        let frames: Vec<_> = (0..3 * SLAB_BYTES / 1024).map(|_| pool.take(900)).collect();
        assert_eq!((slabs(), pool.in_use()), ([3, 3], 8192 + frames.len() * 960));
        frames.into_iter().chain([held]).for_each(|frame| pool.give_back(frame));
        assert_eq!(pool.in_use(), 0);
    }

    #[test]
    fn memory_at_hand_becomes_frames_first() {
        let pool = FramePool::new(8192, 8 << 20);
        pool.reserve.take_over(vec![7; 3 * SLAB_BYTES]);
        let large = &pool.classes[2];
        large.prepare(|| pool.slab());
        let spare = large.spare.lock();
        let at_hand = spare.iter().filter(|frame| frame.bytes()[8191] == 7).count();
        assert!(spare.len() > at_hand && at_hand >= 2 * (SLAB_BYTES / layout(8192).size()), "{at_hand}");
    }

    /// Frames that were cut come back beyond what is kept: they are taken again, and a slab goes with its last one.
    #[test]
    fn a_slab_goes_when_all_of_it_has_come_back() {
        let pool = FramePool::new(4096, 1 << 20);
        let class = &pool.classes[2];
        class.add_spare(class.cut(Slab::make().unwrap()));
        let in_slab = SLAB_BYTES / (4096 + PREFIX_BYTES);
        let idle = || class.idle.load(Ordering::Relaxed);
        let cut: Vec<_> = (0..in_slab).map(|_| pool.take(4096)).collect();
        let others: Vec<_> = (0..256).map(|_| pool.take(4096)).collect();
        assert_eq!((class.slabs.lock().len(), pool.in_use()), (1, (in_slab + 256) * 4096));
        others.into_iter().for_each(|frame| pool.give_back(frame));
        let mut cut = cut.into_iter();
        cut.by_ref().take(200).for_each(|frame| pool.give_back(frame));
        assert_eq!((idle(), pool.in_use()), (200, (in_slab - 200) * 4096), "what is kept are the others");
        let again: Vec<_> = (0..300).map(|_| pool.take(4096)).collect();
        assert_eq!((idle(), class.slabs.lock().len(), pool.in_use()), (0, 1, (in_slab + 100) * 4096));
        assert_eq!(class.made.load(Ordering::Relaxed), in_slab + 256, "none was made for them");
        again.into_iter().chain(cut).for_each(|frame| pool.give_back(frame));
        assert_eq!(pool.in_use(), 0);
        let spare = std::mem::take(&mut *class.spare.lock());
        class.let_go(spare);
        assert_eq!((idle(), class.slabs.lock().len()), (0, 0), "nobody has any of it");
    }
}
