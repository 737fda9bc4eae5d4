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
    copy.compact().unwrap();
    copy.snapshot_named("kept").unwrap();
    drop(copy.begin_write().unwrap().tree("ash").unwrap().insert("key", "value"));
    copy.begin_write().unwrap().commit().unwrap();
    assert!(!is_changed(&copy));
    put(&copy, "ash", "value");
    assert!(is_changed(&copy));
    put(&copy, "ash", "another");
    // From the journal, too.
    let killed = tempfile::tempdir().unwrap();
    for file in dir.path().read_dir().unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), killed.path().join(file.file_name())).unwrap();
    }
    assert!(is_changed(&Database::open(killed.path().join("copy.pent")).unwrap()));
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

/// Three moments of a source, the whole of the first, and the increments between them.
fn shipped() -> (Source, [pentimento::Timestamp; 3], [Vec<u8>; 3]) {
    let mut source = Source::new(24);
    let snapshots = [0; 3].map(|_| {
        source.work(3);
        source.db.snapshot().unwrap()
    });
    let [first, second, third] = &snapshots;
    let streams = [source.whole(first), source.increment(first, second), source.increment(second, third)];
    let stamps = [first.timestamp(), second.timestamp(), third.timestamp()];
    (source, stamps, streams)
}

#[test]
fn an_increment_wants_its_base() {
    let (source, [first, second, third], [whole, to_second, to_third]) = shipped();
    let copy = Database::in_memory().unwrap();
    let refused = assert_unchanged(&copy, || copy.receive(to_second.as_slice()).unwrap_err());
    let expected = StreamError::WrongBase { base: first, to: second, holds: None };
    assert_eq!(refused.to_string(), expected.to_string());
    copy.receive(whole.as_slice()).unwrap();
    // One is left out.
    let refused = assert_unchanged(&copy, || copy.receive(to_third.as_slice()).unwrap_err());
    let expected = StreamError::WrongBase { base: second, to: third, holds: Some(first) };
    assert_eq!(refused.to_string(), expected.to_string());
    // The same twice.
    copy.receive(to_second.as_slice()).unwrap();
    let refused = assert_unchanged(&copy, || copy.receive(to_second.as_slice()).unwrap_err());
    assert!(matches!(refused, Error::Stream(StreamError::AlreadyReceived { .. })), "{refused}");
    copy.receive(to_third.as_slice()).unwrap();
    source.assert_copy(&copy, third);
    // An older whole one is not what anybody wants by accident.
    let mut receiver = copy.receiver().unwrap();
    assert!(matches!(receiver.receive(whole.as_slice()), Err(Error::Stream(StreamError::AlreadyReceived { .. }))));
    receiver.replace_everything(true).receive(whole.as_slice()).unwrap();
    source.assert_copy(&copy, first);
}

#[test]
fn an_increment_of_another_source_is_refused() {
    let (_, _, [whole, ..]) = shipped();
    let (_, _, [_, other, _]) = shipped();
    let copy = Database::in_memory().unwrap();
    copy.receive(whole.as_slice()).unwrap();
    let refused = assert_unchanged(&copy, || copy.receive(other.as_slice()).unwrap_err());
    assert!(matches!(refused, Error::Stream(StreamError::OtherSource { .. })), "{refused}");
}

#[test]
fn a_copy_that_was_changed_refuses_increments_unless_told() {
    let (source, [_, second, third], [whole, to_second, to_third]) = shipped();
    let copy = Database::in_memory().unwrap();
    copy.receive(whole.as_slice()).unwrap();
    put(&copy, "mine", "value");
    let refused = assert_unchanged(&copy, || copy.receive(to_second.as_slice()).unwrap_err());
    assert!(matches!(refused, Error::Stream(StreamError::ChangedLocally { .. })), "{refused}");
    let told = |stream: &[u8]| copy.receiver().unwrap().accept_local_changes(true).receive(stream).unwrap();
    told(&to_second);
    // It is no exact copy, and knows.
    let origin = copy.snapshot().unwrap().origin().unwrap().unwrap();
    assert!(origin.is_changed && origin.timestamp == second);
    assert_eq!(copy.snapshot().unwrap().tree("mine").unwrap().get("key").unwrap(), Some(&b"value"[..]));
    told(&to_third);
    let mut txn = copy.begin_write().unwrap();
    txn.drop_tree("mine").unwrap();
    txn.commit().unwrap();
    let snapshot = copy.snapshot().unwrap();
    crate::model::shows(&snapshot, source.model.state_at(third.0)).unwrap();
}

/// Two copies of one file go on separately, with the same id and the same timestamps.
#[test]
fn a_source_that_went_another_way_is_noticed_where_it_shows() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("one.pent"), dir.path().join("other.pent"));
    let db = Database::open(&one).unwrap();
    put(&db, "t", "value");
    db.close().unwrap();
    std::fs::copy(&one, &other).unwrap();
    let (one, other) = (Database::open(&one).unwrap(), Database::open(&other).unwrap());
    assert_eq!(one.id(), other.id());
    put(&one, "t", "one way");
    let mut txn = other.begin_write().unwrap();
    txn.tree("t").unwrap().insert("another key", "another way").unwrap();
    txn.commit().unwrap();
    assert_eq!(one.timestamp(), other.timestamp());
    let (mut whole, copy) = (Vec::new(), Database::in_memory().unwrap());
    one.backup(&mut whole).unwrap();
    copy.receive(whole.as_slice()).unwrap();
    let base = other.snapshot().unwrap();
    let mut txn = other.begin_write().unwrap();
    txn.tree("t").unwrap().remove("another key").unwrap();
    txn.commit().unwrap();
    let mut increment = Vec::new();
    other.backup_of(&other.snapshot().unwrap()).since(&base).write_to(&mut increment).unwrap();
    let refused = assert_unchanged(&copy, || copy.receive(increment.as_slice()).unwrap_err());
    assert!(matches!(refused, Error::Stream(StreamError::Diverged { .. })), "{refused}");
}

#[test]
fn a_base_must_be_older_and_of_the_same_store() {
    let mut source = Source::new(25);
    source.work(1);
    let older = source.db.snapshot().unwrap();
    source.work(1);
    let newer = source.db.snapshot().unwrap();
    let refused = source.db.backup_of(&older).since(&newer).write_to(std::io::sink());
    assert!(matches!(refused, Err(Error::NotOlder { .. })), "{refused:?}");
    let stranger = Database::in_memory().unwrap();
    let refused = source.db.backup_of(&newer).since(&stranger.snapshot().unwrap()).write_to(std::io::sink());
    assert!(matches!(refused, Err(Error::OtherStore)), "{refused:?}");
    assert!(matches!(stranger.backup_of(&newer).write_to(std::io::sink()), Err(Error::OtherStore)));
}
