//! Who reads at which timestamp: registration without a lock.
//!
//! Promises:
//! 1. Registering exchanges the pin into its place, fences, and reads `published` again; if it moved, it starts over. A reclaim pass reads `published`, fences, and looks.
//!    So it either sees the registration, or the registration's pin is not older than what the pass judges. The two fences order all that; what
//!    is stored and loaded around them may be relaxed, but for one: who finds a pin gone has acquired the end of its reading.
//! 2. A pin never moves from one place to another: what shares a pin (clones, owned iterators, `Bytes`) shares the registration, which counts them.
//! 3. A scan sees each registration that was there before it began and has not gone.
//! 4. The array grows with the readers and never shrinks; releasing is one store.

use crate::Timestamp;
use crate::buckets::Buckets;
use crate::sharers::Sharers;
use crate::sync::{
    Arc, AtomicU64, AtomicUsize, Flag, Mark, Mutex, Ordering, PROBES, coarse_ms, fence, fence_after_exchange,
    thread_local,
};
use std::cell::Cell;

/// Who holds a registration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReaderKind {
    /// A snapshot.
    Snapshot,
    /// The write transaction that has the turn.
    Writer,
    /// The running checkpoint.
    Checkpoint,
}

/// One registration, on a cache line of its own. `pin` is 0 when free, else the timestamp + 1.
#[derive(Default)]
#[repr(align(64))]
struct Slot {
    pin: AtomicU64,
    /// What tells the reader that is there from those that were there before.
    life: AtomicU64,
    /// Whom somebody asked to stop: one more than its `life`. So it is never meant for who comes after.
    asked: AtomicU64,
    /// How many share the registration beside the one who must be there.
    sharers: Sharers,
    kind: Mark,
    is_labelled: Flag,
    label: Mutex<Option<Arc<str>>>,
}

const _: () = assert!(cfg!(pentimento_schedules) || size_of::<Slot>() == 64, "a registration is one line");

/// The low bits of a `life` count the readers of its slot; above them is the time of its registration, in milliseconds. The clock is coarse: many readers come
/// within one of its ticks, but not as many as these bits can count.
const LIFE_COUNT_BITS: u32 = 20;

impl Slot {
    /// A new reader is there, which nobody else knows yet.
    #[inline]
    fn begin_life(&self, kind: ReaderKind) {
        self.kind.store(kind as u8, Ordering::Relaxed);
        let count = self.life.load(Ordering::Relaxed).wrapping_add(1) & ((1 << LIFE_COUNT_BITS) - 1);
        self.life.store(coarse_ms() << LIFE_COUNT_BITS | count, Ordering::Relaxed);
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed) == self.life.load(Ordering::Relaxed) + 1
    }

    fn kind(&self) -> ReaderKind {
        let kind = self.kind.load(Ordering::Relaxed);
        [ReaderKind::Writer, ReaderKind::Checkpoint]
            .into_iter()
            .find(|some| *some as u8 == kind)
            .unwrap_or(ReaderKind::Snapshot)
    }
}

/// What tells a reader from others, and from those that come after it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReaderId {
    slot: usize,
    life: u64,
}

/// A registration as statistics show it.
#[derive(Clone, Debug)]
pub struct ReaderInfo {
    /// Which one it is.
    pub id: ReaderId,
    /// The timestamp that it reads at.
    pub at: Timestamp,
    /// Who it is.
    pub kind: ReaderKind,
    /// The label, if it was given one.
    pub label: Option<Arc<str>>,
    /// How long it has been there, in milliseconds.
    pub age_ms: u64,
    /// Whether somebody asked it to stop.
    pub is_asked_to_stop: bool,
}

thread_local! {
    /// Where this thread registered last: most likely free again.
    static HINT: Cell<usize> = const { Cell::new(0) };
}

/// All registrations of a store.
pub(crate) struct Registry {
    slots: Buckets<Slot>,
    len: AtomicUsize,
}

impl Registry {
    pub fn new() -> Registry {
        let slots = Buckets::new();
        slots.grow_to(PROBES - 1);
        Registry { slots, len: AtomicUsize::new(PROBES) }
    }

    /// Registers at whatever `published` is, and returns the slot and the pin.
    #[inline]
    pub fn register_newest(&self, published: &AtomicU64) -> (usize, Timestamp) {
        // A guess, which the look after the fence confirms. Whatever is returned was loaded before a fence, which so acquires what it stands for.
        let mut pin = published.load(Ordering::Relaxed);
        let index = self.claim(pin);
        let slot = self.slots.get(index).expect("claimed slots exist");
        loop {
            fence_after_exchange();
            let now = published.load(Ordering::Relaxed);
            if now == pin {
                slot.begin_life(ReaderKind::Snapshot);
                return (index, Timestamp(pin));
            }
            pin = now;
            slot.pin.swap(pin + 1, Ordering::Relaxed);
        }
    }

    /// Registers at a timestamp that the caller keeps readable by other means until this returns. The fence is for frames that a checkpoint settles: what it
    /// frees then, registrations alone keep.
    pub fn register_at(&self, at: Timestamp, kind: ReaderKind) -> usize {
        let index = self.claim(at.0);
        fence_after_exchange();
        let slot = self.slots.get(index).expect("claimed slots exist");
        slot.begin_life(kind);
        index
    }

    /// Takes a free slot near the thread's last one and stores the pin there.
    fn claim(&self, pin: u64) -> usize {
        let hint = HINT.with(Cell::get);
        let mut start = hint;
        loop {
            // Acquired with the buckets: the hint may be of a larger registry.
            let len = self.len.load(Ordering::Acquire);
            let mut index = if start < len { start } else { start % len };
            for _ in 0..PROBES {
                let slot = self.slots.get(index).expect("slots below the length exist");
                if slot.pin.load(Ordering::Relaxed) == 0
                    && slot.pin.compare_exchange(0, pin + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok()
                {
                    if index != hint {
                        HINT.with(|hint| hint.set(index));
                    }
                    return index;
                }
                index = if index + 1 < len { index + 1 } else { 0 };
            }
            // As many as that in a row are taken: grow rather than search on.
            self.slots.grow_to(len + PROBES - 1);
            let _ = self.len.compare_exchange(len, len + PROBES, Ordering::Release, Ordering::Relaxed);
            start = len;
        }
    }

    /// How many registrations there is room for.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub fn label(&self, index: usize, label: Arc<str>) {
        if let Some(slot) = self.slots.get(index) {
            *slot.label.lock() = Some(label);
            slot.is_labelled.store(true, Ordering::Relaxed);
        }
    }

    /// One more shares a registration.
    pub fn share(&self, index: usize) {
        if let Some(slot) = self.slots.get(index) {
            slot.sharers.join();
        }
    }

    /// One of those who share a registration goes; the last one releases it.
    #[inline]
    pub fn unshare(&self, index: usize) {
        let Some(slot) = self.slots.get(index) else { return };
        if slot.sharers.leave() {
            self.release(index);
        }
    }

    /// Ends a registration that nobody shares.
    pub fn release(&self, index: usize) {
        let Some(slot) = self.slots.get(index) else { return };
        if slot.is_labelled.load(Ordering::Relaxed) {
            *slot.label.lock() = None;
            slot.is_labelled.store(false, Ordering::Relaxed);
        }
        if slot.asked.load(Ordering::Relaxed) != 0 {
            slot.asked.store(0, Ordering::Relaxed);
        }
        slot.pin.store(0, Ordering::Release);
        HINT.with(|hint| hint.set(index));
    }

    /// Asks a reader to stop, if it is still there.
    pub fn ask_to_stop(&self, id: ReaderId) {
        if let Some(slot) = self.slots.get(id.slot)
            && slot.life.load(Ordering::Relaxed) == id.life
        {
            slot.asked.store(id.life + 1, Ordering::Relaxed);
        }
    }

    /// Whether the reader in a slot was asked to stop.
    pub fn is_asked_to_stop(&self, index: usize) -> bool {
        self.slots.get(index).is_some_and(Slot::is_asked)
    }

    /// Every pin, in no order, repeated where shared. The caller read `published` before.
    pub fn scan(&self, pins: &mut Vec<Timestamp>) {
        fence(Ordering::SeqCst);
        for index in 0..self.len.load(Ordering::Relaxed) {
            let pin = self.slots.get(index).map_or(0, |slot| slot.pin.load(Ordering::Acquire));
            if pin != 0 {
                pins.push(Timestamp(pin - 1));
            }
        }
    }

    /// Every registration with what is known of it.
    pub fn readers(&self) -> Vec<ReaderInfo> {
        let now = coarse_ms();
        (0..self.len.load(Ordering::Relaxed))
            .filter_map(|index| {
                let slot = self.slots.get(index)?;
                let pin = slot.pin.load(Ordering::Relaxed).checked_sub(1)?;
                let label = slot.label.lock().clone();
                let life = slot.life.load(Ordering::Relaxed);
                Some(ReaderInfo {
                    id: ReaderId { slot: index, life },
                    at: Timestamp(pin),
                    kind: slot.kind(),
                    label,
                    age_ms: now.saturating_sub(life >> LIFE_COUNT_BITS),
                    is_asked_to_stop: slot.is_asked(),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_register_and_are_seen() {
        let registry = Registry::new();
        let published = AtomicU64::new(0);
        let mut held = Vec::new();
        let count = if cfg!(miri) { 200 } else { 5000 };
        for pin in 0..count {
            published.store(pin, Ordering::SeqCst);
            held.push(registry.register_newest(&published));
        }
        let mut pins = Vec::new();
        registry.scan(&mut pins);
        pins.sort();
        assert_eq!(pins, (0..count).map(Timestamp).collect::<Vec<_>>());
        for (index, _) in held.drain(1..) {
            registry.release(index);
        }
        registry.label(held[0].0, "the oldest".into());
        let readers = registry.readers();
        assert_eq!((readers.len(), readers[0].at, readers[0].label.as_deref()), (1, Timestamp(0), Some("the oldest")));
        registry.release(held[0].0);
        let again = registry.register_newest(&published);
        assert!(registry.readers()[0].label.is_none(), "a label goes with its reader");
        registry.release(again.0);
        assert!(registry.len.load(Ordering::Relaxed) < count as usize + 200, "slots are reused");
    }

    /// Those who come and go at once have one slot and one tick of the clock in common.
    #[test]
    fn who_comes_after_is_not_asked_to_stop() {
        let registry = Registry::new();
        let published = AtomicU64::new(7);
        for _ in 0..1000 {
            let (gone, _) = registry.register_newest(&published);
            let id = registry.readers()[0].id;
            registry.ask_to_stop(id);
            assert!(registry.is_asked_to_stop(gone));
            registry.release(gone);
            let (next, _) = registry.register_newest(&published);
            assert!(next == gone && registry.readers()[0].id != id);
            registry.ask_to_stop(id);
            assert!(!registry.is_asked_to_stop(next));
            assert!(registry.readers()[0].age_ms < 60_000);
            registry.release(next);
        }
    }
}
