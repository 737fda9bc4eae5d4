//! What names cost: what is said of it, and that it is given back.

use crate::common::assert_clean;
use crate::gate::GateMedium;
use crate::{Map, assert_shows, builder, put, rounds};
use pentimento::Error;

#[test]
fn names_say_what_they_cost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let db = builder().open(&path).unwrap();
    let maps = rounds(&db, 3);
    put(&db, &mut maps[2].clone(), [(7, Some(7))]);
    db.checkpoint().unwrap();
    db.maintain().unwrap();
    let names = db.named_snapshots().unwrap();
    assert!(names.iter().map(|named| &*named.name).eq(["round 0", "round 1", "round 2"]));
    assert!(names.is_sorted_by_key(|named| named.timestamp) && names.is_sorted_by_key(|named| named.created));
    // Rounds 0 and 1 stand alone; of round 2 little has changed.
    for named in &names[..2] {
        assert!(named.bytes_alone > 10_000 && named.bytes_shared < named.bytes_alone / 4, "{named:?}");
    }
    assert!((2048..20_000).contains(&names[2].bytes_alone), "{:?}", names[2]);
    for (map, named) in maps.iter().zip(&names) {
        assert_shows(&db.open_snapshot(&named.name).unwrap(), map);
    }
    assert_clean(&db);
    let before = db.stats().slots_used;
    db.drop_snapshot("round 0").unwrap();
    db.maintain().unwrap();
    assert_eq!((before - db.stats().slots_used) * 2048, names[0].bytes_alone);
    db.close().unwrap();
    // Opening for reading knows all of it, too.
    let db = builder().read_only(true).open(&path).unwrap();
    assert_shows(&db.open_snapshot("round 1").unwrap(), &maps[1]);
    assert!(matches!(db.snapshot_named("more"), Err(Error::ReadOnly)));
    assert!(matches!(db.drop_snapshot("round 1"), Err(Error::ReadOnly)));
    assert!(db.named_snapshots().unwrap()[0].bytes_alone > 10_000);
}

/// What a name needs stays where it is when the file is made shorter; once the name has gone nothing of it is in the way.
#[test]
fn compacting_minds_names() {
    let medium = GateMedium::default();
    let db = builder().open_medium(Box::new(medium.clone()), true).unwrap();
    let mut map = Map::new();
    put(&db, &mut map, (0..20_000).map(|key| (key, Some(key))));
    db.snapshot_named("full").unwrap();
    let full = map.clone();
    put(&db, &mut map, (0..20_000).filter(|key| key % 10 != 0).map(|key| (key, None)));
    db.snapshot_named("thin").unwrap();
    let held = db.compact().unwrap().held;
    assert!(held.iter().any(|held| held.label.as_deref() == Some("full") && held.bytes > 500_000), "{held:?}");
    assert_shows(&db.open_snapshot("full").unwrap(), &full);
    assert_shows(&db.open_snapshot("thin").unwrap(), &map);
    assert_clean(&db);
    let before = medium.to_bytes().len();
    db.drop_snapshot("full").unwrap();
    db.replace_snapshot("thin").unwrap();
    db.drop_snapshot("thin").unwrap();
    db.snapshot_named("thin again").unwrap();
    db.compact().unwrap();
    db.drop_snapshot("thin again").unwrap();
    db.compact().unwrap();
    assert_clean(&db);
    let after = medium.to_bytes().len();
    assert!(after < before / 4, "{before} bytes, then {after}");
    // With only a list in the way, that is moved.
    db.snapshot_named("now").unwrap();
    db.compact().unwrap();
    let longest = after + (64 << 10);
    assert!(medium.to_bytes().len() <= longest, "{} bytes", medium.to_bytes().len());
    assert_shows(&db.open_snapshot("now").unwrap(), &map);
    assert_clean(&db);
}
