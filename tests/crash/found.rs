//! Cases that the harness found, each as small as it gets, so that they are tried every time.

use crate::opening::{Options, open};
use crate::simulated::{Crash, Disk, Effort, Fault, Image, Physics, Start};
use pentimento::Durability;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const EVERYTHING: Effort = Effort { exhaustive: 10, samples: 32, torn: 4 };

/// The process is killed while it makes the store, so its last writes are in the page cache alone; the next one opens the store, and then the power
/// fails. The second process must not build on what the first left unsynced.
#[test]
fn a_store_whose_creation_was_killed_opens_after_a_crash_of_the_next_process() {
    let first = Disk::holding(&Image::default());
    drop(open(&first, Options::default()).expect("a new store"));
    let first_record = first.record();
    let mut creation = Crash::new(&Start::default(), &first_record, Physics::HONEST, 1);
    let mut image = Image::default();
    loop {
        let (start, live) = creation.killed();
        let second = Disk::holding(&live);
        drop(open(&second, Options::default()).expect("what a killed process leaves is a store"));
        let second_record = second.record();
        let mut crash = Crash::new(&start, &second_record, Physics::HONEST, 2);
        loop {
            for plan in crash.plans(EVERYTHING, true) {
                crash.build(&plan, &mut image);
                if let Err(error) = open(&Disk::holding(&image), Options::default()) {
                    panic!("{error}\nafter {plan:?}");
                }
            }
            if crash.advance().is_none() {
                break;
            }
        }
        if creation.advance().is_none() {
            break;
        }
    }
}

/// `close` promises a last checkpoint. If the store takes no more writes it cannot keep that, and must say so.
#[test]
fn a_close_that_reports_no_error_has_made_everything_durable() {
    let mut refused = 0;
    for call in 0..12 {
        let disk = Disk::holding(&Image::default());
        let db = open(&disk, Options::default()).expect("a new store");
        let mut txn = db.begin_write().expect("the turn");
        txn.set_durability(Durability::None).expect("a durability");
        txn.tree("notes").expect("the tree").insert(b"key", b"value").expect("an insert");
        let at = txn.commit().expect("a commit");
        disk.fail(Fault::Once(disk.calls() + call));
        let checkpoint = db.checkpoint();
        disk.fail(Fault::None);
        refused += u32::from(checkpoint.is_err());
        if db.close().is_ok() {
            let again = open(&Disk::holding(&disk.live()), Options::default()).expect("a store");
            assert_eq!(again.timestamp(), at, "close said nothing after call {call} had failed ({checkpoint:?})");
        }
    }
    assert!(refused >= 4, "only {refused} calls of a checkpoint failed");
}

/// A page spills in one transaction, and again in the next while a checkpoint of the first begins. The checkpoint must still know the first version's
/// checksum. The window is a few instructions wide, hence the many rounds.
#[test]
fn a_checkpoint_knows_what_spilled_before_it_whatever_spills_meanwhile() {
    const ROUNDS: u32 = 10_000;
    let disk = Disk::holding(&Image::default());
    // Every page spills as soon as the next one is touched.
    let db = open(&disk, Options { spill: Some(1), ..Options::default() }).expect("a new store");
    let writing = AtomicBool::new(true);
    thread::scope(|scope| {
        let checkpoints = scope.spawn(|| {
            while writing.load(Ordering::Relaxed) {
                db.checkpoint().expect("a checkpoint");
            }
        });
        for round in 0..ROUNDS {
            let mut txn = db.begin_write().expect("the turn");
            txn.set_durability(Durability::None).expect("a durability");
            let mut tree = txn.tree("notes").expect("the tree");
            // A page each.
            for key in 0..4_u8 {
                tree.insert([key], [round as u8; 1900]).expect("an insert");
            }
            txn.commit().expect("a commit");
            if checkpoints.is_finished() {
                break;
            }
        }
        writing.store(false, Ordering::Relaxed);
        checkpoints.join().expect("the checkpoints' thread does not panic");
    });
    assert!(db.check().is_clean());
}
