//! Very many names, made and dropped in random order, beside changes, closings and crashes.

use crate::common::{Random, assert_clean, cases};
use crate::gate::GateMedium;
use crate::{Map, assert_shows, builder, put};
use pentimento::{Error, Snapshot};

#[test]
fn a_thousand_names_in_random_order() {
    const KEYS: u64 = 400;
    let mut random = Random(0x5DEE_CE66);
    let mut medium = GateMedium::default();
    let mut db = builder().open_medium(Box::new(medium.clone()), true).unwrap();
    let mut map = Map::new();
    put(&db, &mut map, (0..KEYS as u32).map(|key| (key, Some(key))));
    db.checkpoint().unwrap();
    let slots_at_first = db.stats().slots_used;

    let mut named: Vec<(String, Map)> = Vec::new();
    let (mut made, mut reopened) = (0, 0);
    let total = cases(1000) as usize;
    while made < total || !named.is_empty() {
        // The number of names swings, so that long and short lists are met.
        let wants_more = made < total && (made / 250) % 2 == 0;
        match random.below(100) {
            0..40 => {
                let changes = 1 + random.below(6);
                let changes: Vec<_> = (0..changes)
                    .map(|_| (random.below(KEYS) as u32, (random.below(5) > 0).then(|| random.below(1 << 30) as u32)))
                    .collect();
                put(&db, &mut map, changes);
            }
            40..90 => {
                if made < total && (named.is_empty() || random.below(10) < if wants_more { 8 } else { 3 }) {
                    let name = format!("name {made}");
                    db.snapshot_named(&name).unwrap();
                    named.push((name, map.clone()));
                    made += 1;
                } else {
                    let (name, copy) = named.swap_remove(random.below(named.len() as u64) as usize);
                    let open = db.open_snapshot(&name).unwrap();
                    db.drop_snapshot(&name).unwrap();
                    assert!(matches!(db.open_snapshot(&name), Err(Error::NoSuchSnapshot(missing)) if missing == name));
                    assert_shows(&open, &copy);
                }
            }
            90..97 if !named.is_empty() => {
                let (name, copy) = &named[random.below(named.len() as u64) as usize];
                assert_shows(&db.open_snapshot(name).unwrap(), copy);
            }
            97 if made % 20 == 0 => assert_clean(&db),
            98 if random.below(8) == 0 => {
                db.close().unwrap();
                db = builder().open_medium(Box::new(medium.clone()), false).unwrap();
                reopened += 1;
            }
            99 if random.below(8) == 0 => {
                // As after a kill: what was written is there, nothing is closed.
                medium = GateMedium::from_bytes(&medium.to_bytes());
                drop(db);
                db = builder().open_medium(Box::new(medium.clone()), false).unwrap();
                // The background thread may have made a checkpoint since.
                let snapshot = db.snapshot().unwrap();
                map = read(&snapshot);
                reopened += 1;
            }
            _ => {}
        }
        let names = db.named_snapshots().unwrap();
        assert_eq!(names.len(), named.len());
    }
    assert!(total < 1000 || reopened > 5, "{reopened} openings");
    assert_shows(&db.snapshot().unwrap(), &map);
    db.checkpoint().unwrap();
    assert_clean(&db);
    let stats = db.stats();
    assert_eq!((stats.slots_named, stats.named_snapshots), (0, 0));
    assert!(stats.slots_used < slots_at_first * 2, "{} slots are used, {slots_at_first} were", stats.slots_used);
    db.close().unwrap();
    let bytes = medium.to_bytes().len() as u64;
    assert!(
        bytes <= slots_at_first * 2 * 2048 + (512 << 10),
        "{bytes} bytes are left, {slots_at_first} slots were used"
    );
}

fn read(snapshot: &Snapshot) -> Map {
    let tree = snapshot.tree("map").unwrap();
    let entries = tree.iter().unwrap().map(|entry| {
        let (key, value) = entry.unwrap();
        let value = std::str::from_utf8(value).unwrap();
        let number = value.split(' ').nth(1).unwrap().parse().unwrap();
        (u32::from_be_bytes((*key).try_into().unwrap()), number)
    });
    entries.collect()
}
