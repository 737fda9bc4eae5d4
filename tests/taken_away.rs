//! Files that somebody takes away while the store is open: commits are refused with a clear error, nobody is told that something is durable
//! which is not, and readers go on. What the store itself does to its files is not taken for that.

#[path = "common/crash.rs"]
mod crash;
mod gate;
#[path = "common/obstructed_logs.rs"]
mod obstructed_logs;

use gate::GateMedium;
use obstructed_logs::GateLogs;
use pentimento::{Database, Durability, Error, FileMedium, Medium};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

fn put(db: &Database, key: u32) -> Result<(), Error> {
    let mut txn = db.begin_write()?;
    txn.tree("t")?.insert(key.to_be_bytes(), b"value")?;
    txn.commit().map(drop)
}

/// Opens a store with a commit, takes something away, and tells how the next commit fails.
fn failure(take_away: impl FnOnce(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = Database::open(&path).unwrap();
    put(&db, 1).unwrap();
    let snapshot = db.snapshot().unwrap();
    take_away(&path);
    // The files are looked at ten times a second.
    thread::sleep(Duration::from_millis(150));
    let error = put(&db, 2).unwrap_err();
    assert!(matches!(&error, Error::OutcomeUnknown { .. }), "{error}");
    assert!(matches!(put(&db, 3), Err(Error::Poisoned(_))), "writers are refused from then on");
    assert!(matches!(db.begin_write(), Err(Error::Poisoned(_))));
    assert_eq!(snapshot.tree("t").unwrap().get(1u32.to_be_bytes()).unwrap(), Some(b"value".as_slice()));
    assert_eq!(db.snapshot().unwrap().tree("t").unwrap().len().unwrap(), 1, "what was not durable is not seen");
    drop(snapshot);
    assert!(db.close().is_err(), "closing tells that something is lost");
    error.to_string()
}

#[test]
fn a_removed_store_is_noticed() {
    let error = failure(|path| std::fs::remove_file(path).unwrap());
    assert!(error.contains("store.pent") && error.contains("removed or moved by somebody else"), "{error}");
}

#[test]
fn a_moved_store_is_noticed() {
    let error = failure(|path| std::fs::rename(path, path.with_file_name("elsewhere.pent")).unwrap());
    assert!(error.contains("store.pent") && error.contains("removed or moved by somebody else"), "{error}");
}

#[test]
fn a_removed_journal_is_noticed() {
    let error = failure(|path| std::fs::remove_file(path.with_file_name("store.pent-journal-1")).unwrap());
    assert!(error.contains("journal") && error.contains("removed by somebody else"), "{error}");
}

#[test]
fn a_truncated_store_is_noticed() {
    let error = failure(|path| {
        let file = File::options().write(true).open(path).unwrap();
        // What lies behind the metas is still in memory here: nothing that was cut off is read.
        file.set_len(file.metadata().unwrap().len() - 2048).unwrap();
    });
    assert!(error.contains("store.pent") && error.contains("truncated by somebody else"), "{error}");
}

/// Cutting off a long tail takes the system a while, in which the file is shorter than the store says.
#[test]
fn a_store_that_cuts_its_own_tail_goes_on() {
    const SHORT: u64 = 1 << 20;
    const LONG: u64 = 33 << 20;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    let medium = FileMedium::new(file, &path).unwrap();
    medium.set_len(SHORT).unwrap();
    let tail = vec![1; (LONG - SHORT) as usize];
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let prober = scope.spawn(|| {
            let mut probes = 0u64;
            while !is_done.load(Ordering::Relaxed) {
                medium.probe()?;
                probes += 1;
            }
            Ok::<_, std::io::Error>(probes)
        });
        let cut = (0..15).try_for_each(|_| {
            medium.set_len(LONG)?;
            medium.write(SHORT, &tail)?;
            medium.set_len(SHORT)
        });
        is_done.store(true, Ordering::Relaxed);
        cut.unwrap();
        assert!(prober.join().unwrap().expect("nobody has truncated it") > 0);
    });
}

/// A leader syncs a file whose records a checkpoint covers meanwhile, so that the file is no longer needed.
#[test]
fn a_journal_that_removes_its_own_file_beside_a_sync_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let (medium, logs) = (GateMedium::default(), GateLogs::beside(&path));
    let builder = Database::builder().page_size(4096).journal_segment(16 << 10);
    let db = builder.open_on(Box::new(medium.clone()), Some(Box::new(logs.clone())), true).unwrap();
    crash::put(&db, 0, b"in the first file", Durability::Sync);
    medium.close_gate();
    logs.close_gate();
    thread::scope(|scope| {
        let leader = scope.spawn(|| put(&db, 1));
        logs.wait_for_arrival();
        let mut key = 2;
        while db.journal_stats().segments < 4 {
            crash::put(&db, key, &[1; 3000], Durability::None);
            key += 1;
        }
        // More files become spare at once than are kept.
        medium.open_gate();
        let checkpoint = db.checkpoint();
        let is_removed = !path.with_file_name("store.pent-journal-1").exists();
        logs.open_gate();
        assert!(checkpoint.is_ok() && is_removed, "the leader's file was to go: {checkpoint:?}");
        leader.join().unwrap().expect("it was the store's own doing");
        put(&db, key).unwrap();
        assert_eq!(crash::keys(&db).len() as u32, key + 1);
    });
}
