//! Which names there can be, and how they come and go.

use crate::common::assert_clean;
use crate::gate::GateMedium;
use crate::{Map, assert_shows, builder, put, rounds};
use pentimento::{Database, Error, Retention};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

#[test]
fn names_have_rules() {
    let db = Database::in_memory().unwrap();
    let long = "ü".repeat(128);
    assert!(matches!(db.snapshot_named(&long), Err(Error::InvalidSnapshotName { len: 256, max: 255 })));
    assert!(matches!(db.snapshot_named(""), Err(Error::InvalidSnapshotName { len: 0, .. })));
    db.snapshot_named(&long[2..]).unwrap();
    assert!(matches!(db.snapshot_named(&long[2..]), Err(Error::SnapshotExists(_))));
    assert!(matches!(db.drop_snapshot("other"), Err(Error::NoSuchSnapshot(name)) if name == "other"));
    // Of one moment there can be several.
    let at = db.snapshot_named("again").unwrap();
    assert_eq!(db.open_snapshot("again").unwrap().timestamp(), at);
    assert_eq!(db.named_snapshots().unwrap().len(), 2);
}

#[test]
fn a_store_in_memory_has_names_too() {
    let db = builder().in_memory().unwrap();
    let maps = rounds(&db, 5);
    for (round, map) in maps.iter().enumerate() {
        assert_shows(&db.open_snapshot(&format!("round {round}")).unwrap(), map);
    }
    assert_clean(&db);
    for round in [3, 0, 4, 1, 2] {
        db.drop_snapshot(&format!("round {round}")).unwrap();
    }
    db.maintain().unwrap();
    assert_eq!(db.stats().versions_retained, 0);
    assert_clean(&db);
}

#[test]
fn replacing_keeps_one() {
    let medium = GateMedium::default();
    let db = builder().open_medium(Box::new(medium.clone()), true).unwrap();
    let mut map = Map::new();
    for round in 0..5 {
        put(&db, &mut map, (0..100).map(|key| (key, Some(key + round))));
        db.replace_snapshot("last").unwrap();
    }
    put(&db, &mut map.clone(), [(0, None)]);
    assert_eq!(db.named_snapshots().unwrap().len(), 1);
    assert_shows(&db.open_snapshot("last").unwrap(), &map);
    assert_clean(&db);
}

/// The store's own policy, by the clock that is handed in, and by the background thread.
#[test]
fn snapshots_come_and_go_by_themselves() {
    let now = SystemTime::now();
    let hours = |count: u64| now + Duration::from_secs(3600 * count);
    let retention = Retention::new().hourly(3).daily(2);
    let db = builder().retention(retention.clone()).in_memory().unwrap();
    db.snapshot_named("mine").unwrap();
    let mut map = Map::new();
    for hour in 0..60 {
        put(&db, &mut map, [(1, Some(hour as u32))]);
        let done = db.apply_retention(hours(hour)).unwrap();
        assert!(done.create.is_some());
        assert_eq!(db.apply_retention(hours(hour)).unwrap(), Default::default());
    }
    // Nothing was committed since.
    assert_eq!(db.apply_retention(hours(60)).unwrap().create, None);
    let names = db.named_snapshots().unwrap();
    assert!((4..=6).contains(&names.len()) && names[0].name == "mine", "{names:?}");
    assert!(names[1..].iter().all(|named| named.name.starts_with("auto-")));
    assert_clean(&db);

    let dir = tempfile::tempdir().unwrap();
    let db = builder().retention(retention).open(dir.path().join("store.pent")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while db.named_snapshots().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "the background thread makes none");
        thread::sleep(Duration::from_millis(20));
    }
}
