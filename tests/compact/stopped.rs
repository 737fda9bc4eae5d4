//! A compaction in steps: stopped and begun again, killed, in the background, and where there is nothing to do.

use crate::common::{assert_sees, file_len, pattern};
use crate::{Home, assert_compact, assert_has, filled, nine_in_ten, thin_out};
use pentimento::{Database, Durability, Error};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

#[test]
fn stopped_and_begun_again() {
    let (home, db, mut state) = filled(17, 60_000, 300);
    thin_out(&db, &mut state, nine_in_ten(5));
    let mut db = Some(db);
    for round in 0.. {
        let open = db.take().unwrap();
        let mut compactor = open.compactor().unwrap();
        assert!(matches!(open.compact(), Err(Error::Busy)), "one at a time");
        let mut is_done = false;
        for _ in 0..round + 1 {
            is_done = compactor.step(100_000).unwrap().is_done;
        }
        drop(compactor);
        assert_has(&open, &state);
        if round % 3 == 1 {
            open.close().unwrap();
            db = Some(home.open());
        } else {
            db = Some(open);
        }
        if is_done {
            break;
        }
        assert!(round < 200, "it comes to an end although it is begun anew again and again");
    }
    assert_compact(&home, &state, file_len(&home.path));
}

#[test]
fn what_was_moved_survives_a_kill() {
    // The process ends without closing: journal and checkpoint must agree on what was moved and what was not.
    let (home, db, mut state) = filled(20, 30_000, 200);
    thin_out(&db, &mut state, nine_in_ten(8));
    let mut compactor = db.compactor().unwrap();
    for round in 0..12 {
        let is_done = compactor.step(200_000).unwrap().is_done;
        let mut txn = db.begin_write().unwrap();
        let (key, value) = (vec![round], pattern(u64::from(round), 500));
        txn.tree("orders").unwrap().insert(&key, &value).unwrap();
        txn.set_durability(Durability::Sync).unwrap();
        txn.commit().unwrap();
        Arc::make_mut(state.get_mut("orders").unwrap()).insert(key, value);
        let left = Home::new();
        for entry in home.path.parent().unwrap().read_dir().unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), left.path.with_file_name(entry.file_name())).unwrap();
        }
        let recovered = left.open();
        assert_has(&recovered, &state);
        if is_done {
            break;
        }
    }
}

#[test]
fn in_the_background_within_a_budget() {
    let (home, db, mut state) = filled(19, 40_000, 0);
    thin_out(&db, &mut state, nine_in_ten(7));
    let started = std::time::Instant::now();
    let budget = 512 << 10;
    let compaction = db.compact_in_background(budget).unwrap();
    assert!(matches!(db.compactor(), Err(Error::Busy)));
    thread::sleep(Duration::from_millis(300));
    let stopped = compaction.stop().unwrap();
    let most = started.elapsed().as_secs_f64() * budget as f64 + (1 << 20) as f64;
    let written = stopped.bytes_moved + stopped.bytes_merged;
    assert!(written > 0 && written as f64 <= most, "{written} bytes, where {most} were allowed");
    assert!(!stopped.is_done);
    let done = db.compact_in_background(1 << 30).unwrap().wait().unwrap();
    assert!(done.is_done);
    assert_sees(&db.snapshot().unwrap(), &state);
    assert_compact(&home, &state, file_len(&home.path));
    drop(db.compact_in_background(1).unwrap());
    assert!(matches!(db.compact_in_background(0), Err(Error::InvalidOption { .. })));
    db.close().unwrap();
}

#[test]
fn where_there_is_nothing_to_do() {
    let db = Database::in_memory().unwrap();
    let done = db.compact().unwrap();
    assert!(done.is_done && done.bytes_now == 0 && done.commits == 0);
    let home = Home::new();
    let db = home.open();
    assert_eq!(db.compact().unwrap().commits, 0, "a new store");
    db.close().unwrap();
    let db = Database::builder().read_only(true).open(&home.path).unwrap();
    assert!(matches!(db.compact(), Err(Error::ReadOnly)));
}
