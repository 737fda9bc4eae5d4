//! Frames: the memory that holds versions until a checkpoint has given them slots.
//!
//! Promises:
//! 1. A frame has one owner at a time: a write transaction (as [`Frame`]), then, once handed over, the place in the table or the
//!    history, until reclamation or the checkpointer gives it back.
//! 2. Frames of the page size, and of a quarter and an eighth of it, are recycled; the first touch of fresh memory costs more than the copy
//!    into it. When many fresh ones were needed, others are touched ahead of time by whoever has time for it ([`FramePool::prepare`]).
//! 3. `counted` is the memory that limits count: versions that are newest, or that will be freed without any snapshot's help.
//!    What only snapshots keep is uncounted, or one snapshot taken at the limit would block writers for ever.

use crate::layout::HEADER_BYTES;
use crate::place::Place;
use crate::sync::{AtomicUsize, Flag, Mutex, Ordering};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// So many bytes of fresh frames since frames were last prepared are many.
const MANY_FRESH: usize = 512 << 10;
/// Frames of the page size are prepared when less memory than this is spare, until there is as much as that.
const PREPARE_BELOW: usize = 16 << 20;
const PREPARE_UP_TO: usize = 32 << 20;
/// Of smaller frames so many times less is kept and prepared.
const SMALL_SHARE: usize = 4;
/// Smaller pages than this have no smaller frames.
const LEAST_DIVIDED: usize = 4096;
/// How many frames are prepared before others may have them.
const PREPARED_AT_ONCE: usize = 16;
/// The size of a page of the system's memory, or less.
const SYSTEM_PAGE: usize = 4096;

/// What stands before the data of every frame, out of a reader's sight. It also shifts frames apart by a cache line.
#[repr(C, align(64))]
struct Prefix {
    capacity: usize,
    counted: Flag,
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

/// Frames of one size.
struct Class {
    capacity: usize,
    spare: Mutex<Vec<Frame>>,
    /// How many are kept for reuse, at most.
    spare_max: usize,
    /// Frames are prepared when fewer than the first are spare, until there are as many as the second.
    prepared: [usize; 2],
    /// How many were made since some were last prepared.
    fresh: AtomicUsize,
}

impl Class {
    fn new(capacity: usize, spare_bytes: usize, share: usize) -> Class {
        let frames = |bytes: usize| bytes / share / capacity;
        let spare_max = frames(spare_bytes);
        let prepared = [PREPARE_BELOW, PREPARE_UP_TO].map(|bytes| frames(bytes).min(spare_max));
        Class { capacity, spare: Mutex::default(), spare_max, prepared, fresh: AtomicUsize::new(0) }
    }

    fn lacks(&self, frames: usize) -> bool {
        self.spare.lock().len() < frames
    }

    fn wants_more(&self) -> bool {
        self.fresh.load(Ordering::Relaxed) * self.capacity >= MANY_FRESH && self.lacks(self.prepared[0])
    }

    fn prepare(&self) {
        self.fresh.store(0, Ordering::Relaxed);
        while self.lacks(self.prepared[1]) {
            let mut frames: Vec<Frame> = (0..PREPARED_AT_ONCE).map(|_| FramePool::make(self.capacity)).collect();
            for frame in &mut frames {
                frame.bytes_mut().iter_mut().step_by(SYSTEM_PAGE).for_each(|byte| *byte = 1);
            }
            self.spare.lock().append(&mut frames);
        }
    }
}

/// Makes, counts and recycles frames.
pub(crate) struct FramePool {
    /// The sizes that are recycled, the smallest first. A whole frame and what stands before it take a power of two where pages are divided.
    classes: Vec<Class>,
    in_use: AtomicUsize,
    counted: AtomicUsize,
}

impl FramePool {
    /// A pool that keeps at most `spare_bytes` of frames for reuse, and half as many in smaller ones.
    pub fn new(page_size: usize, spare_bytes: usize) -> FramePool {
        let small = [8, 4].into_iter().filter(|_| page_size >= LEAST_DIVIDED);
        let small = small.map(|parts| Class::new(page_size / parts - PREFIX_BYTES, spare_bytes, SMALL_SHARE));
        let classes = small.chain([Class::new(page_size, spare_bytes, 1)]).collect();
        FramePool { classes, in_use: AtomicUsize::new(0), counted: AtomicUsize::new(0) }
    }

    /// A frame for a version of at least `len` bytes, header included. Its contents are arbitrary.
    pub fn take(&self, len: usize) -> Frame {
        let class = self.classes.iter().find(|class| class.capacity >= len);
        let capacity = class.map_or(len.next_multiple_of(64), |class| class.capacity);
        self.in_use.fetch_add(capacity, Ordering::Relaxed);
        if let Some(class) = class {
            if let Some(frame) = class.spare.lock().pop() {
                return frame;
            }
            class.fresh.fetch_add(1, Ordering::Relaxed);
        }
        Self::make(capacity)
    }

    fn make(capacity: usize) -> Frame {
        let layout = layout(capacity);
        // SAFETY: the layout's size is not zero.
        let Some(base) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: the allocation begins with room for the prefix, aligned for it, followed by the data.
        let data = unsafe {
            base.cast::<Prefix>().write(Prefix { capacity, counted: Flag::new(false) });
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
        self.classes.iter().filter(|class| class.wants_more()).for_each(Class::prepare);
    }

    /// Takes a frame back that was never handed over.
    pub fn give_back(&self, frame: Frame) {
        self.in_use.fetch_sub(frame.capacity, Ordering::Relaxed);
        if let Some(class) = self.classes.iter().find(|class| class.capacity == frame.capacity) {
            let mut spare = class.spare.lock();
            if spare.len() < class.spare_max {
                spare.push(frame);
                return;
            }
        }
        Self::free(frame);
    }

    fn free(frame: Frame) {
        // SAFETY: allocated in `take` with this layout; the frame is consumed, so it is freed once.
        unsafe { dealloc(frame.data.sub(PREFIX_BYTES).as_ptr(), layout(frame.capacity)) };
    }

    /// Turns a frame into the place of a version of `len` bytes, which from now on owns it, and counts it.
    pub fn hand_over(&self, frame: Frame, len: usize) -> Place {
        let place = Place::in_frame(frame.data, len);
        self.counted.fetch_add(frame.capacity, Ordering::Relaxed);
        // SAFETY: the frame is alive, as we own it.
        unsafe { Self::prefix(frame.data) }.counted.store(true, Ordering::Relaxed);
        place
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

    /// From now on only snapshots keep this frame: it does not count towards the limits any more.
    ///
    /// # Safety
    /// `place` is a frame that has not been released.
    pub unsafe fn uncount(&self, place: Place) {
        let data = Self::data_of(place);
        // SAFETY: the caller's promise.
        let prefix = unsafe { Self::prefix(data) };
        if prefix.counted.swap(false, Ordering::Relaxed) {
            self.counted.fetch_sub(prefix.capacity, Ordering::Relaxed);
        }
    }

    /// Takes back a frame that was handed over.
    ///
    /// # Safety
    /// `place` is a frame that has not been released, nobody can reach it any more, and nobody reads it.
    pub unsafe fn release(&self, place: Place) {
        // SAFETY: the caller's promise.
        unsafe {
            self.uncount(place);
            let data = Self::data_of(place);
            let capacity = Self::prefix(data).capacity;
            self.give_back(Frame { data, capacity });
        }
    }

    /// Memory in frames that are not spare, in bytes.
    pub fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed)
    }

    /// Memory in frames that the limits count, in bytes.
    pub fn counted(&self) -> usize {
        self.counted.load(Ordering::Relaxed)
    }
}

impl Drop for FramePool {
    fn drop(&mut self) {
        self.classes.iter_mut().for_each(|class| class.spare.get_mut().drain(..).for_each(Self::free));
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
        let place = pool.hand_over(frame, 1000);
        assert_eq!((pool.in_use(), pool.counted()), (4096, 4096));
        // SAFETY: handed over above, and released once.
        unsafe {
            pool.uncount(place);
            assert_eq!((pool.in_use(), pool.counted(), pool.capacity_of(place)), (4096, 0, 4096));
            pool.release(place);
        }
        assert_eq!((pool.in_use(), pool.counted()), (0, 0));
        let again = pool.take(4096);
        assert_eq!(again.bytes().as_ptr(), address, "the frame is recycled");
        pool.give_back(again);
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
        let pool = FramePool::new(4096, 1 << 20);
        let many = MANY_FRESH / 4096;
        let mut frames: Vec<_> = (1..many).map(|_| pool.take(4096)).collect();
        assert!(!pool.wants_more());
        frames.push(pool.take(4096));
        assert!(pool.wants_more());
        pool.prepare();
        assert!(!pool.wants_more());
        let spare: Vec<usize> = pool.classes.iter().map(|class| class.spare.lock().len()).collect();
        assert!((256..256 + PREPARED_AT_ONCE).contains(&spare[2]), "{spare:?} frames fill the pool");
        assert_eq!(spare[..2], [0, 0], "nobody wanted smaller ones");
        assert_eq!(pool.in_use(), many * 4096, "spare frames are in nobody's use");
        frames.into_iter().for_each(|frame| pool.give_back(frame));
        assert_eq!(pool.in_use(), 0);
    }
}
