//! Named snapshots against whole copies of the map, through restarts and crashes.
//!
//! Invariants: each name shows exactly the copy that was made with it, whatever came after; names are there or not, never half; the checker has no finding; what only a
//! name needs goes with it, and nothing else does. The planted bugs at the end must each be noticed. Losses of power at any moment are tried in `tests/crash`.

mod gate;

use gate::GateMedium;
use pentimento::{Bug, Builder, Database, Durability, Error, MemoryMedium, Retention, Snapshot};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

type Map = BTreeMap<u32, u32>;

/// A generator that is the same everywhere (xorshift: G. Marsaglia, Xorshift RNGs, 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn builder() -> Builder {
    Database::builder().page_size(4096).durability(Durability::None)
}

fn value(number: u32) -> Vec<u8> {
    format!("value {number} ").repeat(4).into_bytes()
}

fn put(db: &Database, map: &mut Map, changes: impl IntoIterator<Item = (u32, Option<u32>)>) {
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("map").unwrap();
    for (key, number) in changes {
        match number {
            Some(number) => {
                tree.insert(key.to_be_bytes(), value(number)).unwrap();
                map.insert(key, number);
            }
            None => {
                tree.remove(key.to_be_bytes()).unwrap();
                map.remove(&key);
            }
        }
    }
    txn.commit().unwrap();
}

#[track_caller]
fn assert_shows(snapshot: &Snapshot, map: &Map) {
    let tree = snapshot.tree("map").unwrap();
    assert_eq!(tree.len().unwrap(), map.len() as u64);
    let mut expected = map.iter();
    for entry in tree.iter().unwrap() {
        let ((key, found), (expected_key, number)) = (entry.unwrap(), expected.next().unwrap());
        assert_eq!((&*key, found), (&expected_key.to_be_bytes()[..], &value(*number)[..]));
    }
    assert!(expected.next().is_none());
}

#[track_caller]
fn assert_clean(db: &Database) {
    let report = db.check();
    assert!(report.is_clean(), "{:#?}", report.findings);
}

/// `PENTIMENTO_CASES` multiplies the number of names.
fn how_many() -> usize {
    1000 * std::env::var("PENTIMENTO_CASES").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

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
    let total = how_many();
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

/// Fills a store, names it, and changes everything, `rounds` times.
fn rounds(db: &Database, rounds: u32) -> Vec<Map> {
    let mut maps = Vec::new();
    let mut map = Map::new();
    for round in 0..rounds {
        put(db, &mut map, (0..300).map(|key| (key, Some(key + 1000 * round))));
        db.snapshot_named(&format!("round {round}")).unwrap();
        maps.push(map.clone());
    }
    maps
}

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

/// Going back to any of several states, in any order, with trees that come and go.
#[test]
fn restoring_makes_the_present_what_was() {
    let db = builder().open_medium(Box::new(GateMedium::default()), true).unwrap();
    let mut random = Random(0xB5297A4D);
    let mut copies: Vec<(String, BTreeMap<String, Map>)> = Vec::new();
    let read_all = |snapshot: &Snapshot| -> BTreeMap<String, Map> {
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        let tree_of = |name: &String| {
            let tree = snapshot.tree(name).unwrap();
            tree.iter().unwrap().map(|entry| entry.map(|(key, value)| (number(&key), number(value))).unwrap()).collect()
        };
        snapshot.trees().unwrap().into_iter().map(|name| (name.clone(), tree_of(&name))).collect()
    };
    for step in 0..60 {
        let mut txn = db.begin_write().unwrap();
        for _ in 0..random.below(40) {
            let name = format!("tree {}", random.below(4));
            match random.below(30) {
                0 => drop(txn.drop_tree(&name).unwrap()),
                1 => txn.tree(&name).unwrap().clear().map(drop).unwrap(),
                2..8 => drop(txn.tree(&name).unwrap().remove((random.below(500) as u32).to_be_bytes()).unwrap()),
                _ => {
                    let (key, value) = (random.below(500) as u32, random.below(1 << 20) as u32);
                    txn.tree(&name).unwrap().insert(key.to_be_bytes(), value.to_be_bytes()).unwrap();
                }
            }
        }
        txn.commit().unwrap();
        if random.below(3) == 0 {
            let name = format!("step {step}");
            db.snapshot_named(&name).unwrap();
            copies.push((name, read_all(&db.snapshot().unwrap())));
        } else if !copies.is_empty() && random.below(2) == 0 {
            let (name, copy) = &copies[random.below(copies.len() as u64) as usize];
            let at = db.restore(name).unwrap();
            let restored = db.snapshot().unwrap();
            assert_eq!((restored.timestamp(), &read_all(&restored)), (at, copy));
            assert_eq!(db.restore(name).unwrap(), at, "once more changes nothing");
        }
    }
    assert!(copies.len() > 10);
    for (name, copy) in &copies {
        assert_eq!(read_all(&db.open_snapshot(name).unwrap()), *copy);
    }
    let then = db.open_snapshot(&copies[0].0).unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.tree("new").unwrap().insert("a", "b").unwrap();
    assert!(matches!(txn.restore(&then), Err(Error::NotTheFirst)));
    drop(txn);
    assert!(matches!(db.restore("nothing"), Err(Error::NoSuchSnapshot(_))));
    let other = Database::in_memory().unwrap();
    assert!(matches!(other.begin_write().unwrap().restore(&then), Err(Error::OtherStore)));
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

/// Any byte of the list or of a table page that only a name needs: an error that names it, and no panic.
#[test]
fn damage_is_told() {
    let medium = GateMedium::default();
    let db = builder().open_medium(Box::new(medium.clone()), true).unwrap();
    rounds(&db, 3);
    drop(db);
    let bytes = medium.to_bytes();
    let open = |bytes: &[u8]| builder().open_medium(Box::new(MemoryMedium::from_bytes(bytes, 4 << 20)), false);
    open(&bytes).unwrap();
    let of_kind = |magic: &'static [u8]| {
        bytes.chunks(2048).enumerate().filter(move |(_, slot)| slot.starts_with(magic)).map(|(slot, _)| slot)
    };
    let slots: Vec<usize> = of_kind(b"PNAM").chain(of_kind(b"PTBL")).collect();
    let mut told = 0;
    for slot in slots {
        for at in [0, 5, 8, 16, 40, 60] {
            let mut damaged = bytes.clone();
            damaged[slot * 2048 + at] ^= 0x10;
            match open(&damaged) {
                Err(Error::Damaged { slot: Some(there), .. }) => {
                    assert_eq!(there, slot as u64);
                    told += 1;
                }
                Err(error) => panic!("{error}"),
                // A list or table page of before, which nothing refers to any more.
                Ok(db) => assert_clean(&db),
            }
        }
    }
    assert!(told >= 6 * 4, "{told} damages were told");
}

type Test = fn(Option<Bug>) -> Result<(), String>;

fn holds_and_bites(test: Test, bug: Bug) {
    test(None).expect("the law holds");
    let noticed = catch_unwind(AssertUnwindSafe(|| test(Some(bug))));
    assert!(!matches!(noticed, Ok(Ok(()))), "the test does not notice {bug:?}");
}

fn shows(db: &Database, name: &str, map: &Map) -> Result<(), String> {
    let told = |error: Error| error.to_string();
    let snapshot = db.open_snapshot(name).map_err(told)?;
    let tree = snapshot.tree("map").map_err(told)?;
    for (key, number) in map {
        if tree.get(key.to_be_bytes()).map_err(told)? != Some(&*value(*number)) {
            return Err(format!("{name:?} shows another entry {key}"));
        }
    }
    Ok(())
}

fn check(db: &Database) -> Result<(), String> {
    let report = db.check();
    report.findings.first().map_or(Ok(()), |finding| Err(finding.to_string()))
}

/// What a name needs stays until a list without it is durable: a crash in between finds the name, and all that it shows.
fn a_name_goes_before_what_it_needs(bug: Option<Bug>) -> Result<(), String> {
    let medium = GateMedium::default();
    let db = builder().spill_limit(16 << 10).plant(bug).open_medium(Box::new(medium.clone()), true).unwrap();
    let maps = rounds(&db, 1);
    let mut map = maps[0].clone();
    put(&db, &mut map, (0..300).map(|key| (key, Some(key + 5000))));
    db.checkpoint().unwrap();
    medium.close_gate();
    let dropping = thread::spawn({
        let db = db.clone();
        move || db.drop_snapshot("round 0")
    });
    medium.wait_for_arrival();
    // A transaction that spills takes the slots that are free.
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("map").unwrap();
    for key in 0..2000_u32 {
        tree.insert(key.to_be_bytes(), value(key + 9000)).unwrap();
    }
    assert!(tree.len() >= 2000);
    drop(txn);
    let spilled = db.stats().versions_spilled;
    let image = medium.to_bytes();
    medium.open_gate();
    dropping.join().unwrap().unwrap();
    if spilled == 0 {
        return Ok(()); // then this test bites nothing, which its caller notices
    }
    let crashed = builder().open_medium(Box::new(MemoryMedium::from_bytes(&image, 64 << 20)), false);
    let crashed = crashed.map_err(|error| error.to_string())?;
    shows(&crashed, "round 0", &maps[0])?;
    check(&crashed)
}

#[test]
fn a_name_goes_before_what_it_needs_and_not_after() {
    holds_and_bites(a_name_goes_before_what_it_needs, Bug::DropNamedPinEarly);
}

fn names_survive(bug: Option<Bug>) -> Result<(), String> {
    let medium = GateMedium::default();
    let open =
        |create| builder().plant(bug).open_medium(Box::new(medium.clone()), create).map_err(|error| error.to_string());
    let db = open(true)?;
    let maps = rounds(&db, 3);
    db.close().map_err(|error| error.to_string())?;
    let db = open(false)?;
    let mut map = maps[2].clone();
    for round in 0..3 {
        put(&db, &mut map, (0..300).map(|key| (key, Some(key + 70_000 + round))));
        db.checkpoint().map_err(|error| error.to_string())?;
    }
    for (round, map) in maps.iter().enumerate() {
        shows(&db, &format!("round {round}"), map)?;
    }
    check(&db)?;
    drop(db);
    check(&open(false)?)
}

#[test]
fn table_pages_of_a_name_are_kept() {
    holds_and_bites(names_survive, Bug::FreeNamedTables);
}

#[test]
fn opening_finds_what_names_need() {
    holds_and_bites(names_survive, Bug::ForgetNamedHistory);
}
