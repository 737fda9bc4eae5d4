//! Frames: the memory that holds versions until a checkpoint has given them slots.
//!
//! Promises:
//! 1. A frame has one owner at a time: a write transaction (as [`Frame`]), then, once handed over, the place in the table or the
//!    history, until reclamation or the checkpointer gives it back.
//! 2. Frames of the page size are recycled; the first touch of fresh memory costs more than the copy into it. When many fresh ones were
//!    needed, others are touched ahead of time by whoever has time for it ([`FramePool::prepare`]).
//! 3. `counted` is the memory that limits count: versions that are newest, or that will be freed without any snapshot's help.
//!    What only snapshots keep is uncounted, or one snapshot taken at the limit would block writers for ever.

use crate::layout::HEADER_BYTES;
use crate::place::Place;
use crate::sync::{AtomicUsize, Flag, Mutex, Ordering};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// So many fresh frames since frames were last prepared are many.
const MANY_FRESH: usize = 64;
/// Frames are prepared when less memory than this is spare, until there is as much as that.
const PREPARE_BELOW: usize = 16 << 20;
const PREPARE_UP_TO: usize = 32 << 20;
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

/// Makes, counts and recycles frames.
pub(crate) struct FramePool {
    page_size: usize,
    spare: Mutex<Vec<Frame>>,
    spare_max: usize,
    /// How many frames of the page size were made since some were last prepared.
    fresh: AtomicUsize,
    in_use: AtomicUsize,
    counted: AtomicUsize,
}

impl FramePool {
    /// A pool that keeps at most `spare_bytes` of frames for reuse.
    pub fn new(page_size: usize, spare_bytes: usize) -> FramePool {
        FramePool {
            page_size,
            spare: Mutex::default(),
            spare_max: spare_bytes / page_size,
            fresh: AtomicUsize::new(0),
            in_use: AtomicUsize::new(0),
            counted: AtomicUsize::new(0),
        }
    }

    /// A frame for a version of at least `len` bytes, header included. Its contents are arbitrary.
    pub fn take(&self, len: usize) -> Frame {
        let capacity = len.max(self.page_size).next_multiple_of(64);
        self.in_use.fetch_add(capacity, Ordering::Relaxed);
        if capacity == self.page_size {
            if let Some(frame) = self.spare.lock().pop() {
                return frame;
            }
            self.fresh.fetch_add(1, Ordering::Relaxed);
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
        self.fresh.load(Ordering::Relaxed) >= MANY_FRESH && self.lacks(PREPARE_BELOW)
    }

    fn lacks(&self, bytes: usize) -> bool {
        self.spare.lock().len() < self.spare_max.min(bytes / self.page_size)
    }

    /// Makes spare frames and touches their memory.
    pub fn prepare(&self) {
        self.fresh.store(0, Ordering::Relaxed);
        while self.lacks(PREPARE_UP_TO) {
            let mut frames: Vec<Frame> = (0..PREPARED_AT_ONCE).map(|_| Self::make(self.page_size)).collect();
            for frame in &mut frames {
                frame.bytes_mut().iter_mut().step_by(SYSTEM_PAGE).for_each(|byte| *byte = 1);
            }
            self.spare.lock().append(&mut frames);
        }
    }

    /// Takes a frame back that was never handed over.
    pub fn give_back(&self, frame: Frame) {
        self.in_use.fetch_sub(frame.capacity, Ordering::Relaxed);
        if frame.capacity == self.page_size {
            let mut spare = self.spare.lock();
            if spare.len() < self.spare_max {
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
        self.spare.get_mut().drain(..).for_each(Self::free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_and_recycled() {
        let pool = FramePool::new(4096, 8192);
        let mut frame = pool.take(100);
        frame.body_mut().fill(7);
        assert_eq!(frame.capacity(), 4096);
        let address = frame.bytes().as_ptr();
        let place = pool.hand_over(frame, 100);
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
    fn frames_are_prepared_when_many_were_needed() {
        let pool = FramePool::new(4096, 1 << 20);
        let mut frames: Vec<_> = (1..MANY_FRESH).map(|_| pool.take(4096)).collect();
        assert!(!pool.wants_more());
        frames.push(pool.take(4096));
        assert!(pool.wants_more());
        pool.prepare();
        assert!(!pool.wants_more());
        let spare = pool.spare.lock().len();
        assert!((256..256 + PREPARED_AT_ONCE).contains(&spare), "{spare} frames fill the pool");
        assert_eq!(pool.in_use(), MANY_FRESH * 4096, "spare frames are in nobody's use");
        frames.into_iter().for_each(|frame| pool.give_back(frame));
        assert_eq!(pool.in_use(), 0);
    }
}
