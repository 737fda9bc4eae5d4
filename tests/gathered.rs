//! Records that nobody waits for gather in memory, and a thread of the background writes them into the system's cache.
//!
//! Invariants: nobody has to ask for that, and a process that dies then has lost none of what was written, and of the rest a tail; if it fails, writers are told, and readers go on.

#[path = "common/crash.rs"]
mod crash;
#[path = "common/obstructed_logs.rs"]
mod obstructed_logs;

use crash::{crash, keys, put};
use obstructed_logs::{Fault, FrailLogs, Obstacle, Obstructed};
use pentimento::{Database, Durability, Error, FileMedium};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// More than gathers before it is written, less than whoever commits writes himself.
const COMMITS: u32 = 40;
const VALUE: [u8; 10_000] = [0xA5; 10_000];

fn open<O: Obstacle>(path: &Path, create: bool) -> (Database, Obstructed<O>) {
    let logs = Obstructed::<O>::beside(path);
    let file = File::options().read(true).write(true).create(create).truncate(false).open(path).unwrap();
    let medium = FileMedium::new(file, path).unwrap();
    // Nothing but the journal knows of a commit.
    let builder = Database::builder().checkpoint_interval(Duration::from_secs(3600));
    (builder.open_on(Box::new(medium), Some(Box::new(logs.clone())), create).unwrap(), logs)
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_gathers_is_written_without_being_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let (db, _): (_, FrailLogs) = open(&path, true);
    (0..COMMITS).for_each(|key| _ = put(&db, key, &VALUE, Durability::None));
    assert_eq!(db.journal_stats().syncs, 0);
    let journal = dir.path().join("store.pent-journal-1");
    let written =
        || std::fs::read(&journal).unwrap().windows(16).step_by(16).filter(|part| *part == &VALUE[..16]).count();
    wait_until("nothing is ever written", || written() >= 20 * VALUE.len() / 16);
    let copy = crash(&path, &dir.path().join("crashed"));
    let (recovered, _): (_, FrailLogs) = open(&copy, false);
    let found = keys(&recovered);
    assert_eq!(found, (0..found.len() as u32).collect::<Vec<_>>(), "the first ones");
    assert!((20..=COMMITS as usize).contains(&found.len()), "{}", found.len());
}

#[test]
fn a_failure_in_the_background_ends_writing() {
    let dir = tempfile::tempdir().unwrap();
    let (db, logs): (_, FrailLogs) = open(&dir.path().join("store.pent"), true);
    put(&db, 0, &VALUE, Durability::None);
    let mut committed = 1;
    logs.set_fault(Fault::Writes);
    wait_until("writers are never told", || {
        let mut txn = match db.begin_write() {
            Ok(txn) => txn,
            Err(Error::Poisoned(why)) => {
                assert!(why.contains("planted"), "{why}");
                return true;
            }
            Err(other) => panic!("{other:?}"),
        };
        if committed == COMMITS {
            return false;
        }
        txn.set_durability(Durability::None).unwrap();
        txn.tree("t").unwrap().insert(committed.to_be_bytes(), VALUE).unwrap();
        match txn.commit() {
            Ok(_) => committed += 1,
            Err(Error::Poisoned(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
        false
    });
    assert!(committed >= 6, "as many as gather were taken: {committed}");
    assert!(keys(&db).len() as u32 >= committed, "readers go on");
    assert!(matches!(db.flush(), Err(Error::Poisoned(_))));
}

/// Holds up one write, which fails then. Those after it do not.
#[derive(Default)]
struct FailsOnce {
    phase: Mutex<Phase>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Well,
    Armed,
    Held,
    LetGo,
}

impl FailsOnce {
    fn set(&self, phase: Phase) {
        *self.phase.lock().unwrap() = phase;
        self.changed.notify_all();
    }

    fn wait_for(&self, wanted: Phase) {
        let phase = self.phase.lock().unwrap();
        let (_phase, limit) =
            self.changed.wait_timeout_while(phase, Duration::from_secs(20), |phase| *phase != wanted).unwrap();
        assert!(!limit.timed_out(), "nobody comes");
    }
}

impl Obstacle for FailsOnce {
    fn before_write(&self) -> io::Result<()> {
        if *self.phase.lock().unwrap() != Phase::Armed {
            return Ok(());
        }
        self.set(Phase::Held);
        self.wait_for(Phase::LetGo);
        Err(io::Error::other("a planted failure of a write"))
    }
}

/// What the background could not write lies before it.
#[test]
fn nothing_behind_a_record_that_was_not_written_is_told_to_be_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (db, logs): (_, Obstructed<FailsOnce>) = open(&dir.path().join("store.pent"), true);
    put(&db, 0, &VALUE, Durability::Sync);
    logs.obstacle().set(Phase::Armed);
    (1..10).for_each(|key| _ = put(&db, key, &VALUE, Durability::None));
    logs.obstacle().wait_for(Phase::Held);
    let waiting = thread::spawn({
        let db = db.clone();
        move || {
            let mut txn = db.begin_write().unwrap();
            txn.tree("t").unwrap().insert(10u32.to_be_bytes(), VALUE).unwrap();
            txn.commit()
        }
    });
    // Its leader waits for the background, most likely.
    wait_until("it is never installed", || db.stats().installed.0 >= 11);
    thread::sleep(Duration::from_millis(50));
    logs.obstacle().set(Phase::LetGo);
    let result = waiting.join().unwrap();
    assert!(matches!(&result, Err(Error::OutcomeUnknown { .. })), "{result:?}");
    assert!(matches!(db.begin_write(), Err(Error::Poisoned(why)) if why.contains("planted")));
}
