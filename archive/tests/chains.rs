//! Chains in folders, local object stores and object stores in memory: every point can be restored, whatever was cut, pruned or damaged.

use pentimento_archive::object_store::memory::InMemory;
use pentimento_archive::{Archive, Error, Folder, Item, Keep, Objects, Place, Upload};
use pentimento_txn::{Database, Durability, Snapshot, Timestamp};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// The kinds of places that every test is run with.
fn places(dir: &tempfile::TempDir) -> Vec<(&'static str, Arc<dyn Place>)> {
    let url = format!("file://{}", dir.path().join("objects").display());
    vec![
        ("folder", Arc::new(Folder::new(dir.path().join("folder")))),
        ("local objects", Arc::new(Objects::at(&url).unwrap())),
        ("objects in memory", Arc::new(Objects::new(Arc::new(InMemory::new()), "backups/stores").unwrap())),
    ]
}

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store that changes, its snapshots, and what each held.
struct Source {
    db: Database,
    state: State,
    taken: Vec<(Snapshot, State)>,
}

impl Source {
    fn new() -> Source {
        let db = Database::builder().durability(Durability::None).in_memory().unwrap();
        Source { db, state: State::new(), taken: Vec::new() }
    }

    /// Changes some entries, and takes a snapshot.
    fn go_on(&mut self, round: u32) -> Snapshot {
        let mut txn = self.db.begin_write().unwrap();
        let mut tree = txn.tree("entries").unwrap();
        for number in 0..400 {
            let key = (number * 7 + round * 13) % 1000;
            let (key, value) = (key.to_be_bytes().to_vec(), format!("{round} {number}").repeat(20).into_bytes());
            if number % 9 == 8 {
                tree.remove(&key).unwrap();
                self.state.remove(&key);
            } else {
                tree.insert(&key, &value).unwrap();
                self.state.insert(key, value);
            }
        }
        txn.commit().unwrap();
        let snapshot = self.db.snapshot().unwrap();
        self.taken.push((snapshot.clone(), self.state.clone()));
        snapshot
    }

    fn stamps(&self) -> Vec<Timestamp> {
        self.taken.iter().map(|(snapshot, _)| snapshot.timestamp()).collect()
    }

    /// Restores every moment that the archive says it can, into new stores; and those are exactly `expected`.
    #[track_caller]
    fn assert_restorable(&self, archive: &Archive, expected: &[Timestamp]) {
        assert_eq!(archive.restorable(self.db.id()).unwrap(), expected);
        for at in expected {
            let copy = Database::in_memory().unwrap();
            let restored = archive.restore(&copy, self.db.id(), Some(*at)).unwrap();
            assert_eq!(restored.timestamp, *at);
            self.assert_holds(&copy, *at);
        }
    }

    #[track_caller]
    fn assert_holds(&self, copy: &Database, at: Timestamp) {
        let (_, state) = self.taken.iter().find(|(snapshot, _)| snapshot.timestamp() == at).unwrap();
        let snapshot = copy.snapshot().unwrap();
        let found: State = snapshot
            .tree("entries")
            .unwrap()
            .iter()
            .unwrap()
            .map(|entry| entry.map(|(key, value)| (key.into_vec(), value.to_vec())).unwrap())
            .collect();
        assert!(found == *state, "the copy is what the source was at {at}");
        assert!(copy.check().is_clean());
    }
}

/// Two chains: whole, two increments; whole, one increment.
fn two_chains(place: Arc<dyn Place>) -> (Archive, Source) {
    let (archive, mut source) = (Archive::new(place), Source::new());
    let mut base = None;
    for round in 0..5 {
        let snapshot = source.go_on(round);
        archive.back_up(&source.db, &snapshot, base.as_ref().filter(|_| round != 3)).unwrap();
        base = Some(snapshot);
    }
    (archive, source)
}

#[test]
fn every_point_can_be_restored_from_every_kind_of_place() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, place) in places(&dir) {
        let (archive, source) = two_chains(place);
        source.assert_restorable(&archive, &source.stamps());
        let verified = archive.verify(|_| {}).unwrap();
        assert!(verified.is_clean() && verified.points.len() == 5 && verified.unfinished.is_empty(), "{kind}");
        assert_eq!(verified.bytes, archive.points().unwrap().iter().map(|point| point.bytes).sum::<u64>());
        assert_eq!(archive.newest(source.db.id()).unwrap(), source.stamps().last().copied());
        // An increment is smaller than the whole.
        let points = archive.points().unwrap();
        assert!(points[4].base.is_some() && points[4].bytes < points[3].bytes, "{points:?}");
    }
}

#[test]
fn a_copy_follows_by_way_of_the_archive() {
    let (archive, mut source) = two_chains(Arc::new(Objects::new(Arc::new(InMemory::new()), "").unwrap()));
    let stamps = source.stamps();
    let copy = Database::in_memory().unwrap();
    archive.restore(&copy, source.db.id(), Some(stamps[0])).unwrap();
    // Only what it lacks.
    let restored = archive.restore(&copy, source.db.id(), Some(stamps[2])).unwrap();
    assert_eq!(restored.points.iter().map(|point| point.timestamp).collect::<Vec<_>>(), stamps[1..=2]);
    source.assert_holds(&copy, stamps[2]);
    assert!(archive.restore(&copy, source.db.id(), Some(stamps[2])).unwrap().points.is_empty());
    // The next chain begins with a whole one, which does not fit over what is there: that is said, and changes nothing.
    assert!(matches!(archive.restore(&copy, source.db.id(), None), Err(Error::Store(_))));
    source.assert_holds(&copy, stamps[2]);
    // With an increment between the chains it goes on.
    let (third, fourth) = (source.taken[2].0.clone(), source.taken[3].0.clone());
    archive.back_up(&source.db, &fourth, Some(&third)).unwrap();
    archive.restore(&copy, source.db.id(), None).unwrap();
    source.assert_holds(&copy, stamps[4]);
    let sixth = source.go_on(6);
    archive.back_up(&source.db, &sixth, Some(&source.taken[4].0)).unwrap();
    archive.restore(&copy, source.db.id(), None).unwrap();
    source.assert_holds(&copy, sixth.timestamp());
}

#[test]
fn pruning_keeps_what_it_is_told_and_what_that_needs() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, place) in places(&dir) {
        let (archive, source) = two_chains(place.clone());
        let stamps = source.stamps();
        for keep in [Keep::newest().chains(2), Keep::newest().younger_than(Duration::from_secs(3600))] {
            assert!(archive.prune(keep, false).unwrap().points.is_empty(), "{kind}");
        }
        let rehearsed = archive.prune(Keep::newest(), true).unwrap();
        assert_eq!(archive.points().unwrap().len(), 5);
        let pruned = archive.prune(Keep::newest(), false).unwrap();
        assert_eq!(pruned, rehearsed);
        assert_eq!(
            pruned.points.iter().map(|point| point.timestamp).collect::<Vec<_>>(),
            [stamps[2], stamps[1], stamps[0]]
        );
        source.assert_restorable(&archive, &stamps[3..]);
        assert_eq!(place.list().unwrap().len(), 4, "streams and manifests of two points are left");
        // Once more: nothing is left to do.
        assert!(archive.prune(Keep::newest(), false).unwrap().points.is_empty());
    }
}

/// A place that fails for good after so many calls: a process that is killed, a network that goes.
#[derive(Debug)]
struct Failing {
    inner: Folder,
    calls_left: AtomicI64,
}

impl Failing {
    fn call(&self) -> io::Result<()> {
        if self.calls_left.fetch_sub(1, Ordering::Relaxed) > 0 {
            Ok(())
        } else {
            Err(io::Error::other("the line is cut"))
        }
    }
}

struct FailingUpload<'f> {
    inner: Box<dyn Upload + 'f>,
    place: &'f Failing,
}

impl io::Write for FailingUpload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.place.call()?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Upload for FailingUpload<'_> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        self.place.call()?;
        self.inner.finish()
    }
}

impl Place for Failing {
    fn write(&self, name: &str) -> io::Result<Box<dyn Upload + '_>> {
        self.call()?;
        Ok(Box::new(FailingUpload { inner: self.inner.write(name)?, place: self }))
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        self.inner.read(name)
    }

    fn list(&self) -> io::Result<Vec<Item>> {
        self.inner.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call()?;
        self.inner.remove(name)
    }
}

#[test]
fn an_upload_that_is_cut_anywhere_is_not_in_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let place = Folder::new(dir.path());
    let (archive, mut source) = (Archive::new(Arc::new(place.clone())), Source::new());
    let first = source.go_on(0);
    archive.back_up(&source.db, &first, None).unwrap();
    let second = source.go_on(1);
    let mut cuts = 0;
    for calls in 0.. {
        let failing = Failing { inner: place.clone(), calls_left: AtomicI64::new(calls) };
        if Archive::new(Arc::new(failing)).back_up(&source.db, &second, Some(&first)).is_ok() {
            break;
        }
        cuts += 1;
        assert_eq!(archive.restorable(source.db.id()).unwrap(), [first.timestamp()]);
        assert!(archive.verify(|_| {}).unwrap().is_clean());
    }
    assert!(cuts > 5, "{cuts}");
    source.assert_restorable(&archive, &source.stamps());
    assert_eq!(place.list().unwrap().len(), 4, "what was cut left nothing behind");
}

#[test]
fn a_pruning_that_is_cut_anywhere_leaves_only_what_can_be_restored() {
    for calls in 0..7 {
        let dir = tempfile::tempdir().unwrap();
        let place = Folder::new(dir.path());
        let (archive, source) = two_chains(Arc::new(place.clone()));
        let failing = Failing { inner: place, calls_left: AtomicI64::new(calls) };
        let pruned = Archive::new(Arc::new(failing)).prune(Keep::newest(), false);
        assert_eq!(pruned.is_ok(), calls >= 6);
        assert!(archive.verify(|_| {}).unwrap().is_clean(), "after {calls} calls");
        let left: Vec<Timestamp> = archive.points().unwrap().iter().map(|point| point.timestamp).collect();
        source.assert_restorable(&archive, &left);
    }
}

#[test]
fn damage_is_told_of_the_point_that_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, source) = two_chains(Arc::new(Folder::new(dir.path())));
    let points = archive.points().unwrap();
    let path = |name: &str| dir.path().join(name);
    let whole = std::fs::read(path(&points[1].stream_name())).unwrap();
    let damage = |bytes: &[u8]| std::fs::write(path(&points[1].stream_name()), bytes).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 4;
    let other = std::fs::read(path(&points[2].stream_name())).unwrap();
    let longer = [whole.as_slice(), b"more"].concat();
    for wrong in [&flipped, &whole[..whole.len() - 1], &[], &other, &longer] {
        damage(wrong);
        let verified = archive.verify(|_| {}).unwrap();
        let found: Vec<bool> = verified.points.iter().map(|checked| checked.wrong.is_some()).collect();
        assert_eq!(found, [false, true, false, false, false]);
        if wrong != longer {
            let copy = Database::in_memory().unwrap();
            archive.restore(&copy, source.db.id(), Some(points[2].timestamp)).unwrap_err();
            // It stays at the last point that is whole, and goes on from there.
            source.assert_holds(&copy, points[0].timestamp);
            damage(&whole);
            archive.restore(&copy, source.db.id(), Some(points[2].timestamp)).unwrap();
            source.assert_holds(&copy, points[2].timestamp);
        }
    }
    damage(&whole);
    // A manifest that is damaged takes its point and what depends on it out, and keeps pruning from guessing.
    let manifest = path(&points[0].stream_name().replace(".stream", ".json"));
    let text = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, &text[..text.len() / 2]).unwrap();
    assert_eq!(archive.verify(|_| {}).unwrap().damaged_manifests.len(), 1);
    assert_eq!(archive.restorable(source.db.id()).unwrap(), source.stamps()[3..]);
    assert!(matches!(archive.prune(Keep::newest(), false), Err(Error::DamagedManifest { .. })));
    std::fs::remove_file(&manifest).unwrap();
    let wrong = archive.verify(|_| {}).unwrap().points;
    assert!(matches!(wrong[0].wrong, Some(Error::NoBase { .. })));
}

#[test]
fn what_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, mut source) = two_chains(Arc::new(Folder::new(dir.path())));
    let newest = source.taken[4].0.clone();
    let again = archive.back_up(&source.db, &newest, Some(&source.taken[3].0));
    assert!(matches!(again, Err(Error::PointExists { .. })), "{again:?}");
    let nothing_new = archive.back_up(&source.db, &newest, Some(&newest));
    assert!(matches!(nothing_new, Err(Error::PointExists { .. })));
    let unknown = source.go_on(9);
    let later = source.go_on(10);
    let no_base = archive.back_up(&source.db, &later, Some(&unknown));
    assert!(matches!(no_base, Err(Error::NoBase { .. })));
    let copy = Database::in_memory().unwrap();
    for (id, at) in [(source.db.id(), Some(Timestamp(999))), (copy.id(), None)] {
        assert!(matches!(archive.restore(&copy, id, at), Err(Error::NoSuchPoint { .. })));
    }
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for place in [file.to_str().unwrap(), "nonsense://place", "s3://bucket/prefix-without-the-feature"] {
        if !(cfg!(feature = "cloud") && place.starts_with("s3")) {
            assert!(matches!(Archive::at(place), Err(Error::UnknownPlace { .. })), "{place}");
        }
    }
}
