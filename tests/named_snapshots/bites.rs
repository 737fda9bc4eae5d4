//! What keeps alive what a name needs: the engine is told to break it, and each time it must be noticed.

use crate::gate::GateMedium;
use crate::planted::holds_and_bites;
use crate::{Map, builder, put, rounds, value};
use pentimento::{Bug, Database, Error, MemoryMedium};
use std::thread;

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
    holds_and_bites(a_name_goes_before_what_it_needs, &[Bug::DropNamedPinEarly]);
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
    holds_and_bites(names_survive, &[Bug::FreeNamedTables]);
}

#[test]
fn opening_finds_what_names_need() {
    holds_and_bites(names_survive, &[Bug::ForgetNamedHistory]);
}
