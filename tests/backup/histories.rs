//! Whole backups and increments of random histories, in files and in memory.

use crate::common::cases;
use crate::source::Source;
use pentimento::{Database, Error, StreamError, verify_stream};

#[test]
fn a_whole_backup_is_the_source_at_its_moment() {
    for seed in 0..cases(6) {
        let mut source = Source::new(seed);
        source.work(8);
        let snapshot = source.db.snapshot().unwrap();
        // Writers go on.
        source.work(3);
        let stream = source.whole(&snapshot);
        assert_eq!(stream, source.whole(&snapshot), "the same snapshot gives the same bytes");

        let contents = verify_stream(stream.as_slice()).unwrap();
        assert_eq!((contents.source, contents.timestamp, contents.base), (source.db.id(), snapshot.timestamp(), None));
        assert_eq!(contents.bytes, stream.len() as u64);
        let state = source.model.state_at(snapshot.timestamp().0);
        let expected = state.iter().map(|(name, entries)| (name.as_str(), entries.len() as u64));
        assert!(contents.trees.iter().map(|tree| (tree.name.as_str(), tree.puts)).eq(expected));

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy.pent");
        let copy = Database::builder().page_size(8192).open(&path).unwrap();
        let received = copy.receive(stream.as_slice()).unwrap();
        assert_eq!((received.source, received.timestamp), (source.db.id(), snapshot.timestamp()));
        assert_eq!(received.puts, contents.entries());
        source.assert_copy(&copy, snapshot.timestamp());
        copy.close().unwrap();
        // It knows what it is after it was opened again, too; and nothing else is left in the folder.
        let copy = Database::open(&path).unwrap();
        source.assert_copy(&copy, snapshot.timestamp());
        copy.close().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

/// Whole, then increment after increment, in order: at each point the copy is the source as it was.
#[test]
fn increments_in_order_follow_the_source() {
    for seed in 0..cases(12) {
        let mut source = Source::new(100 + seed);
        source.work(4);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy.pent");
        // Small segments, so that some increments are too large for a record.
        let open = || Database::builder().page_size(4096).journal_segment(64 << 10).open(&path).unwrap();
        let mut copy = open();
        let mut base = source.db.snapshot().unwrap();
        copy.receive(source.whole(&base).as_slice()).unwrap();
        for round in 0..10 {
            let commits = source.random.within(0, 5);
            source.work(commits);
            source.db.maintain().unwrap();
            let snapshot = source.db.snapshot().unwrap();
            let stream = source.increment(&base, &snapshot);
            assert_eq!(stream, source.increment(&base, &snapshot), "the same pair gives the same bytes");
            let contents = verify_stream(stream.as_slice()).unwrap();
            assert_eq!((contents.base, contents.timestamp), (Some(base.timestamp()), snapshot.timestamp()));
            if snapshot.timestamp() > base.timestamp() {
                copy.receive(stream.as_slice()).unwrap();
            }
            source.assert_copy(&copy, snapshot.timestamp());
            if round % 3 == seed % 3 {
                copy.close().unwrap();
                copy = open();
                source.assert_copy(&copy, snapshot.timestamp());
            }
            base = snapshot;
        }
    }
}

/// A copy can be a source, too.
#[test]
fn a_copy_of_a_copy() {
    let mut source = Source::new(5);
    source.work(4);
    let (first, second) = (Database::in_memory().unwrap(), Database::in_memory().unwrap());
    let base = source.db.snapshot().unwrap();
    first.receive(source.whole(&base).as_slice()).unwrap();
    let first_base = first.snapshot().unwrap();
    let mut stream = Vec::new();
    first.backup_of(&first_base).write_to(&mut stream).unwrap();
    second.receive(stream.as_slice()).unwrap();
    source.work(3);
    let snapshot = source.db.snapshot().unwrap();
    first.receive(source.increment(&base, &snapshot).as_slice()).unwrap();
    stream.clear();
    first.backup_of(&first.snapshot().unwrap()).since(&first_base).write_to(&mut stream).unwrap();
    second.receive(stream.as_slice()).unwrap();
    crate::model::shows(&second.snapshot().unwrap(), source.model.state_at(snapshot.timestamp().0)).unwrap();
    let origin = second.snapshot().unwrap().origin().unwrap().unwrap();
    assert_eq!((origin.source, origin.timestamp), (first.id(), first.timestamp()));
}

#[test]
fn a_store_without_trees_can_be_shipped() {
    let source = Source::new(1);
    let copy = Database::in_memory().unwrap();
    let mut stream = Vec::new();
    source.db.backup(&mut stream).unwrap();
    copy.receive(stream.as_slice()).unwrap();
    assert_eq!(copy.snapshot().unwrap().trees().unwrap(), Vec::<String>::new());
    assert!(copy.snapshot().unwrap().tree("").is_err(), "the note is no tree");
    assert!(!copy.snapshot().unwrap().has_tree("").unwrap());
    assert!(matches!(copy.begin_write().unwrap().tree(""), Err(Error::InvalidTreeName { len: 0, .. })));
}

#[test]
fn large_values_are_divided_and_put_together() {
    let source = Database::in_memory().unwrap();
    let value = crate::common::pattern(7, 300_000);
    let mut txn = source.begin_write().unwrap();
    for key in ["a", "b"] {
        txn.tree("large").unwrap().insert(key, &value).unwrap();
        txn.tree("large").unwrap().insert(format!("{key} small"), b"x").unwrap();
    }
    txn.tree("large").unwrap().insert(vec![b'k'; pentimento::MAX_KEY_LEN], &value[..5000]).unwrap();
    txn.commit().unwrap();
    let (mut stream, copy) = (Vec::new(), Database::in_memory().unwrap());
    let snapshot = source.snapshot().unwrap();
    source.backup_of(&snapshot).chunk_bytes(1024).write_to(&mut stream).unwrap();
    copy.receive(stream.as_slice()).unwrap();
    assert_eq!(
        crate::common::read_all(&copy.snapshot().unwrap()).unwrap(),
        crate::common::read_all(&snapshot).unwrap()
    );
}

#[test]
fn what_is_sent_is_durable_at_its_source() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("source.pent");
    let db = Database::builder().durability(pentimento::Durability::None).open(&path).unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.tree("t").unwrap().insert("key", "value").unwrap();
    txn.commit().unwrap();
    let journal = dir.path().join("source.pent-journal-1");
    let holds = || std::fs::read(&journal).unwrap_or_default().windows(5).any(|bytes| bytes == b"value");
    assert!(!holds(), "a relaxed commit waits in memory");
    db.backup(std::io::sink()).unwrap();
    assert!(holds(), "it was written before it was sent");
}

#[test]
fn progress_is_told_chunk_by_chunk() {
    let mut source = Source::new(3);
    source.work(6);
    let snapshot = source.db.snapshot().unwrap();
    let (mut stream, mut told) = (Vec::new(), Vec::new());
    let sent = source
        .db
        .backup_of(&snapshot)
        .chunk_bytes(4096)
        .on_progress(|progress| told.push(progress.clone()))
        .write_to(&mut stream)
        .unwrap();
    assert_eq!(told.len() as u64, sent.chunks);
    assert!(told.is_sorted_by_key(|progress| (progress.chunks, progress.bytes, progress.entries)));
    assert_eq!(told.last().unwrap().entries, sent.puts);
    assert_eq!(sent.bytes, stream.len() as u64);
    for bytes in [0, 1023, (8 << 20) + 1] {
        let refused = source.db.backup_of(&snapshot).chunk_bytes(bytes).write_to(std::io::sink());
        assert!(matches!(refused, Err(Error::InvalidOption { .. })));
    }
}

#[test]
fn a_writer_that_fails_is_told_of() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut source = Source::new(4);
    source.work(2);
    let failed = source.db.backup(Full(200));
    assert!(matches!(failed, Err(Error::Stream(StreamError::Io { .. }))), "{failed:?}");
}
