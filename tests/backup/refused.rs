//! Streams that do not fit the store that they are sent to.

use crate::source::{Source, assert_unchanged};
use pentimento::{Database, Error, StreamError};

fn put(db: &Database, tree: &str, value: &str) {
    let mut txn = db.begin_write().unwrap();
    txn.tree(tree).unwrap().insert("key", value).unwrap();
    txn.commit().unwrap();
}

#[test]
fn a_whole_backup_wants_a_store_without_trees() {
    let mut source = Source::new(21);
    source.work(3);
    let stream = source.whole(&source.db.snapshot().unwrap());
    let copy = Database::in_memory().unwrap();
    put(&copy, "mine", "value");
    let refused = assert_unchanged(&copy, || copy.receive(stream.as_slice()).unwrap_err());
    assert!(matches!(refused, Error::Stream(StreamError::NotEmpty { trees: 1 })), "{refused}");
    // Unless it is told.
    copy.receiver().unwrap().replace_everything(true).receive(stream.as_slice()).unwrap();
    source.assert_copy(&copy, source.db.timestamp());
}

#[test]
fn the_same_stream_twice_is_refused() {
    let mut source = Source::new(22);
    source.work(3);
    let stream = source.whole(&source.db.snapshot().unwrap());
    let copy = Database::in_memory().unwrap();
    copy.receive(stream.as_slice()).unwrap();
    let refused = assert_unchanged(&copy, || copy.receive(stream.as_slice()).unwrap_err());
    assert!(matches!(refused, Error::Stream(StreamError::AlreadyReceived { .. })), "{refused}");
}

#[test]
fn a_copy_remembers_that_it_was_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("copy.pent");
    let mut source = Source::new(23);
    source.work(3);
    let copy = Database::open(&path).unwrap();
    copy.receive(source.whole(&source.db.snapshot().unwrap()).as_slice()).unwrap();
    let is_changed = |db: &Database| db.snapshot().unwrap().origin().unwrap().unwrap().is_changed;
    // What the store does for itself, and what was rolled back, is no change.
    copy.maintain().unwrap();
    copy.checkpoint().unwrap();
    drop(copy.begin_write().unwrap().tree("ash").unwrap().insert("key", "value"));
    copy.begin_write().unwrap().commit().unwrap();
    assert!(!is_changed(&copy));
    put(&copy, "ash", "value");
    assert!(is_changed(&copy));
    put(&copy, "ash", "another");
    // From the journal, too.
    let (store, journal) = (dir.path().join("killed.pent"), "killed.pent-journal-1");
    std::fs::copy(&path, &store).unwrap();
    std::fs::copy(dir.path().join("copy.pent-journal-1"), dir.path().join(journal)).unwrap();
    assert!(is_changed(&Database::open(&store).unwrap()));
    copy.close().unwrap();
    assert!(is_changed(&Database::open(&path).unwrap()));
}

#[test]
fn one_receiver_at_a_time() {
    let copy = Database::in_memory().unwrap();
    let receiver = copy.receiver().unwrap();
    assert!(matches!(copy.receiver(), Err(Error::Stream(StreamError::Receiving))));
    drop(receiver);
    assert!(copy.receiver().is_ok());
}

#[test]
fn a_store_for_reading_receives_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("copy.pent");
    Database::open(&path).unwrap().close().unwrap();
    let copy = Database::builder().read_only(true).open(&path).unwrap();
    assert!(matches!(copy.receiver(), Err(Error::ReadOnly)));
}
