//! Small stores of one page, whose protocols are the engine's and whose memory is loom's.
//!
//! Every version of the page is a [cell](loom::cell::UnsafeCell) that holds its timestamp: a reader that is not ordered after the version was made, or before
//! it is given back, is a data race, which loom reports. What calls the engine's files here does so in the order of `install.rs`, `reclaim.rs` and `checkpoint/versions.rs`.

use crate::charges::{Charged, Charges};
use crate::history::{History, Nodes, Version};
use crate::pins::{ReaderKind, Registry};
use crate::place::Place;
use crate::publication::Publication;
use crate::sync::Arc;
use crate::table::PageTable;
use crate::turn::{Patience, Turn};
use crate::{PageId, Timestamp};
use loom::cell::UnsafeCell;
use loom::thread;

/// A model, with the bound on preemptions that it is explored within.
pub struct Model {
    /// What happens side by side.
    pub name: &'static str,
    /// How often a thread may be interrupted.
    pub preemptions: usize,
    /// One run.
    pub run: fn(),
}

/// All of them.
pub const ALL: &[Model] = &[
    Model { name: "a reader beside two commits", preemptions: 3, run: a_reader_beside_two_commits },
    Model { name: "a reader beside reclamation", preemptions: 3, run: a_reader_beside_reclamation },
    Model { name: "a reader beside values that are judged", preemptions: 2, run: a_reader_beside_judging },
    Model { name: "a reader beside the writer's own pass", preemptions: 3, run: a_reader_beside_the_writers_pass },
    Model { name: "a reader beside a checkpoint that settles", preemptions: 3, run: a_reader_beside_settling },
    Model { name: "a checkpoint that settles beside a commit", preemptions: 2, run: settling_beside_a_commit },
    Model { name: "a writer beside a checkpoint that settles", preemptions: 3, run: a_writer_beside_settling },
    Model { name: "a commit that is found durable", preemptions: 3, run: a_commit_that_is_found_durable },
    Model { name: "readers of what is installed", preemptions: 3, run: readers_of_what_is_installed },
    Model { name: "clones of a reader that go", preemptions: 3, run: clones_that_go },
    Model { name: "registrations that grow", preemptions: 3, run: registrations_that_grow },
    Model { name: "a checkpoint collects what commits changed", preemptions: 3, run: collecting },
    Model { name: "the turn passes on", preemptions: 3, run: the_turn_passes_on },
    Model { name: "the turn passes on to one of two", preemptions: 2, run: the_turn_passes_on_to_one_of_two },
];

const PAGE: PageId = PageId(0);
const PLACES: usize = 8;
/// Where a checkpoint puts the version of timestamp 1; frames are numbered like the timestamps of their versions.
const SLOTS: u64 = 6;

struct Superseded {
    birth: Timestamp,
}

impl Charged for Superseded {
    fn birth(&self) -> Timestamp {
        self.birth
    }
    fn bytes(&self) -> u64 {
        0
    }
}

/// The parts of a store that take part.
struct Small {
    table: PageTable,
    history: History,
    registry: Registry,
    clock: Publication,
    memory: [UnsafeCell<u64>; PLACES],
}

// SAFETY: the cells are what the model watches; a race on one is what it looks for, and it ends the run before the access.
unsafe impl Sync for Small {}
// SAFETY: everything in it may go to another thread.
unsafe impl Send for Small {}

impl Small {
    /// The page has a version of timestamp 1, which is published.
    fn new() -> Arc<Small> {
        let small = Small {
            table: PageTable::new(),
            history: History::new(),
            registry: Registry::new(),
            clock: Publication::starting_at(Timestamp(1)),
            memory: std::array::from_fn(|_| UnsafeCell::new(0)),
        };
        small.write(1, 1);
        small.table.grow_to(PAGE).install(Timestamp(1), Place::immediate(1));
        Arc::new(small)
    }

    fn write(&self, place: u64, version: u64) {
        // SAFETY: loom ends the run before an access that races.
        self.memory[place as usize].with_mut(|cell| unsafe { *cell = version });
    }

    fn read(&self, place: Place) -> u64 {
        let place = place.as_immediate().expect("places are numbers here");
        // SAFETY: loom ends the run before an access that races.
        self.memory[place as usize].with(|cell| unsafe { *cell })
    }

    /// As `install_page` in `install.rs`, and `install_pages` after it.
    fn commit(&self, at: u64) -> Version {
        self.commit_as(at, false)
    }

    fn commit_as(&self, at: u64, strict: bool) -> Version {
        self.write(at, at);
        let entry = self.table.grow_to(PAGE);
        let old =
            self.history.supersede(PAGE, entry, Timestamp(at), 0, &mut Nodes::default()).expect("the page is there");
        entry.install(Timestamp(at), Place::immediate(at));
        self.table.stamp(PAGE, Timestamp(at));
        self.clock.install(Timestamp(at), strict);
        old
    }

    /// As a commit of a register's value. Tells whether reclamation must be told.
    fn commit_value(&self, at: u64) -> bool {
        self.write(at, at);
        let entry = self.table.grow_to(PAGE);
        let told = self.history.supersede_value(PAGE, entry, Timestamp(at), &mut Nodes::default());
        entry.install(Timestamp(at), Place::immediate(at));
        self.table.stamp(PAGE, Timestamp(at));
        self.clock.install(Timestamp(at), false);
        told.is_some()
    }

    /// As `Reclaimer::pass`, for the values of a register. Tells whether some of them still wait.
    fn judge(&self) -> bool {
        let published = self.clock.published();
        let pins = self.look();
        let judged = self.history.judge(PAGE, published, PLACES, |version| {
            let is_needed = Charges::<Superseded>::newest_needing(&pins, version.birth, version.end).is_some();
            if !is_needed {
                self.write(version.place.as_immediate().expect("a number"), u64::MAX);
            }
            is_needed
        });
        judged.waiting.is_some()
    }

    /// As `Store::pin`, `Store::locate` and the drop of a pin in `read.rs`.
    fn pin_and_read(&self) -> u64 {
        let (slot, pin) = self.registry.register_newest(self.clock.published_cell());
        assert_eq!(self.read(self.locate(pin)), pin.0, "what a pin sees");
        self.registry.release(slot);
        pin.0
    }

    fn locate(&self, pin: Timestamp) -> Place {
        let (place, birth) = self.table.entry(PAGE).expect("the page is there").load();
        if birth <= pin {
            return place;
        }
        self.history.find(PAGE, pin).expect("a pin's version is kept").place
    }

    fn look(&self) -> Vec<Timestamp> {
        let mut pins = Vec::new();
        self.registry.scan(&mut pins);
        pins.sort_unstable();
        pins
    }

    /// As `Reclaimer::pass`, for one version.
    fn reclaim(&self, version: Version) {
        let published = self.clock.published();
        let pins = self.look();
        if version.end <= published
            && Charges::<Superseded>::newest_needing(&pins, version.birth, version.end).is_none()
        {
            let version = self.history.remove(PAGE, version.birth, &mut Nodes::default()).expect("only we take it out");
            self.write(version.place.as_immediate().expect("a number"), u64::MAX);
        }
    }

    /// As `Checkpoint::settle` for the version of timestamp 1, and `retire_frames` after it. With the registration of the checkpointer.
    fn settle(&self, registration: usize) {
        self.write(SLOTS, 1);
        let (from, to) = (Place::immediate(1), Place::immediate(SLOTS));
        self.table.entry(PAGE).expect("the page is there").replace_place(from, to);
        self.history.replace_place(PAGE, Timestamp(1), |_| to);
        self.registry.release(registration);
        let is_newest = self.table.entry(PAGE).expect("the page is there").load().1 == Timestamp(1);
        let end = match self.history.get(PAGE, Timestamp(1)) {
            Some(version) => version.end,
            None if is_newest => Timestamp::MAX,
            None => Timestamp(1),
        };
        let pins = self.look();
        if Charges::<Superseded>::newest_needing(&pins, Timestamp(1), end).is_none() {
            self.write(1, u64::MAX);
        }
    }
}

fn spawn(small: &Arc<Small>, work: impl FnOnce(&Small) + 'static) -> thread::JoinHandle<()> {
    let small = small.clone();
    thread::spawn(move || work(&small))
}

fn a_reader_beside_two_commits() {
    let small = Small::new();
    let reader = spawn(&small, |small| {
        let first = small.pin_and_read();
        assert!(small.pin_and_read() >= first, "what is published does not go back");
    });
    small.commit(2);
    small.commit(3);
    reader.join().expect("the reader's end");
}

/// Whoever is told that a commit is durable sees it, by whomever it was made so.
fn a_commit_that_is_found_durable() {
    let small = Small::new();
    small.commit_as(2, true);
    let committer = spawn(&small, |small| {
        if small.clock.durable() >= Timestamp(2) {
            assert_eq!(small.clock.published(), Timestamp(2), "what is durable is published");
            assert_eq!(small.pin_and_read(), 2);
        }
    });
    small.clock.durable_up_to(Timestamp(2));
    committer.join().expect("the committer's end");
}

fn a_reader_beside_reclamation() {
    let small = Small::new();
    let old = small.commit(2);
    // The reader may begin before or after 2 is seen by anybody else.
    let reader = spawn(&small, |small| {
        small.pin_and_read();
    });
    let reclaimer = spawn(&small, move |small| small.reclaim(old));
    let newer = small.commit(3);
    reclaimer.join().expect("the reclaimer's end");
    small.reclaim(newer);
    reader.join().expect("the reader's end");
}

fn a_reader_beside_judging() {
    let small = Small::new();
    assert!(small.commit_value(2), "somebody must judge it");
    let reader = spawn(&small, |small| {
        small.pin_and_read();
    });
    let reclaimer = {
        let small = small.clone();
        thread::spawn(move || small.judge())
    };
    let is_told = small.commit_value(3);
    let still_waits = reclaimer.join().expect("the reclaimer's end");
    let mut waiting = 0;
    small.history.for_each_waiting(|_, _| waiting += 1);
    assert_eq!(waiting > 0, is_told || still_waits, "somebody knows of what waits");
    assert!(!small.judge(), "whatever waits can be judged now");
    reader.join().expect("the reader's end");
}

fn a_reader_beside_the_writers_pass() {
    let small = Small::new();
    let reader = spawn(&small, |small| {
        small.pin_and_read();
        small.pin_and_read();
    });
    let old = small.commit(2);
    small.reclaim(old);
    reader.join().expect("the reader's end");
}

fn a_reader_beside_settling() {
    let small = Small::new();
    let registration = small.registry.register_at(Timestamp(1), ReaderKind::Checkpoint);
    let reader = spawn(&small, |small| {
        small.pin_and_read();
        small.pin_and_read();
    });
    small.settle(registration);
    reader.join().expect("the reader's end");
}

/// Who has the turn reads at what is installed, and so registers in another way than a reader of what is published.
fn a_writer_beside_settling() {
    let small = Small::new();
    let registration = small.registry.register_at(Timestamp(1), ReaderKind::Checkpoint);
    let writer = spawn(&small, |small| {
        let base = small.clock.installed();
        let slot = small.registry.register_at(base, ReaderKind::Writer);
        assert_eq!(small.read(small.locate(base)), base.0, "what a writer sees");
        small.registry.release(slot);
    });
    small.settle(registration);
    writer.join().expect("the writer's end");
}

/// As `Store::pin_installed`: registered inside the section in which commits are noted.
fn readers_of_what_is_installed() {
    let small = Small::new();
    let reader = spawn(&small, |small| {
        let mut slot = None;
        let base = small.clock.pin_installed(|at| slot = Some(small.registry.register_at(at, ReaderKind::Snapshot)));
        assert_eq!(small.read(small.locate(base)), base.0, "what the newest is");
        slot.into_iter().for_each(|slot| small.registry.release(slot));
    });
    let old = small.commit(2);
    small.reclaim(old);
    reader.join().expect("the reader's end");
}

fn settling_beside_a_commit() {
    let small = Small::new();
    let registration = small.registry.register_at(Timestamp(1), ReaderKind::Checkpoint);
    let checkpointer = spawn(&small, move |small| small.settle(registration));
    let reader = spawn(&small, |small| {
        small.pin_and_read();
    });
    small.commit(2);
    checkpointer.join().expect("the checkpointer's end");
    reader.join().expect("the reader's end");
    let settled = small.history.find(PAGE, Timestamp(1)).expect("nobody gave it back");
    assert_eq!(settled.place, Place::immediate(SLOTS), "the place was changed in the entry or in the history");
}

/// Three share one registration; the last that goes gives it up, and only then is what all of them read given back.
fn clones_that_go() {
    let small = Small::new();
    let (slot, pin) = small.registry.register_newest(small.clock.published_cell());
    let clone = |small: &Arc<Small>| {
        small.registry.share(slot);
        spawn(small, move |small| {
            assert_eq!(small.read(small.locate(pin)), pin.0, "what a clone sees");
            small.registry.unshare(slot);
        })
    };
    let clones = [clone(&small), clone(&small)];
    small.registry.unshare(slot);
    let old = small.commit(2);
    small.reclaim(old);
    clones.into_iter().for_each(|clone| clone.join().expect("the clone's end"));
    assert!(small.look().is_empty(), "all have gone");
}

fn registrations_that_grow() {
    let small = Small::new();
    let register = |small: &Small| {
        let (slot, pin) = small.registry.register_newest(small.clock.published_cell());
        assert!(small.look().contains(&pin), "one's own registration is seen");
        slot
    };
    let other = {
        let small = small.clone();
        thread::spawn(move || {
            // The hint is the thread's, whatever the registry: now it lies beyond what the small one has had from the beginning.
            let larger = Registry::new();
            for _ in 0..2 {
                larger.register_at(Timestamp(1), ReaderKind::Writer);
            }
            register(&small)
        })
    };
    let mut slots = vec![register(&small), register(&small)];
    slots.push(other.join().expect("the other's end"));
    slots.sort_unstable();
    slots.dedup();
    assert_eq!(slots.len(), 3, "a registration has one holder");
    assert_eq!(small.look(), [Timestamp(1); 3], "all are seen");
    assert_eq!(small.registry.readers().len(), 3, "statistics show all");
    slots.into_iter().for_each(|slot| small.registry.release(slot));
    assert!(small.look().is_empty(), "all have gone");
}

fn collecting() {
    let small = Small::new();
    let checkpointer = spawn(&small, |small| {
        let mut registration = None;
        let at = small.clock.pin_installed(|at| {
            registration = Some(small.registry.register_at(at, ReaderKind::Checkpoint));
        });
        assert!(at <= small.clock.installed());
        if at > Timestamp(1) {
            assert!(small.table.stamp_of(PageTable::stretch_of(PAGE)) >= at, "what changed is looked through");
        }
        assert_eq!(small.read(small.locate(at)), at.0);
        registration.into_iter().for_each(|slot| small.registry.release(slot));
    });
    let old = small.commit(2);
    small.reclaim(old);
    checkpointer.join().expect("the checkpointer's end");
}

/// What only who has the turn touches.
#[derive(Default)]
struct UnderTurn {
    turn: Turn,
    count: UnsafeCell<u64>,
}

// SAFETY: the cell is what the model watches; a race on it is what it looks for, and it ends the run before the access.
unsafe impl Sync for UnderTurn {}

impl UnderTurn {
    fn count(&self, patience: Patience) -> u64 {
        if !self.turn.take(patience) {
            return 0;
        }
        // SAFETY: loom ends the run before an access that races.
        self.count.with_mut(|count| unsafe { *count += 1 });
        self.turn.pass();
        1
    }
}

/// So many threads take the turn beside this one, each this patiently; nobody comes in twice, is left waiting, or is forgotten.
fn take_turns(others: &[Patience]) {
    let shared = Arc::new(UnderTurn::default());
    let threads: Vec<_> = others
        .iter()
        .map(|&patience| {
            let shared = shared.clone();
            thread::spawn(move || shared.count(patience))
        })
        .collect();
    let mine = shared.count(Patience::Forever);
    let counted: u64 = mine + threads.into_iter().map(|thread| thread.join().expect("the other's end")).sum::<u64>();
    assert!(mine == 1 && shared.turn.take(Patience::None), "who is patient gets the turn, and in the end it is free");
    // SAFETY: as above.
    assert_eq!(shared.count.with(|count| unsafe { *count }), counted, "one at a time");
}

fn the_turn_passes_on() {
    take_turns(&[Patience::Forever]);
}

fn the_turn_passes_on_to_one_of_two() {
    take_turns(&[Patience::Forever, Patience::None]);
}
