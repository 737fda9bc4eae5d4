//! The cases that the argument for comparing changed leaves alone rests on.

use crate::common::{Entries, State, pattern};
use crate::expected::{Expected, assert_changes, expect};
use pentimento::{ChangeKind, Database, Error, Result, Snapshot, WriteTransaction};
use std::ops::Bound;
use std::sync::Arc;

fn read(snapshot: &Snapshot) -> State {
    crate::common::read_all(snapshot).unwrap().into_iter().map(|(name, entries)| (name, Arc::new(entries))).collect()
}

/// What one transaction does.
type Step<'s> = &'s dyn Fn(&mut WriteTransaction) -> Result<()>;

/// Makes a store, takes a snapshot, changes it by several transactions, and compares after each.
fn check(fill: impl FnOnce(&mut WriteTransaction) -> Result<()>, steps: &[Step<'_>]) {
    let db = Database::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    fill(&mut txn).unwrap();
    txn.commit().unwrap();
    let mut snapshots = vec![db.snapshot().unwrap()];
    for step in steps {
        let mut txn = db.begin_write().unwrap();
        step(&mut txn).unwrap();
        txn.commit().unwrap();
        let newer = db.snapshot().unwrap();
        for older in &snapshots {
            assert_changes(&newer, older, &read(older), &read(&newer));
        }
        snapshots.push(newer);
    }
}

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn fill(txn: &mut WriteTransaction, tree: &str, count: u32) -> Result<()> {
    txn.tree(tree)?.bulk_load((0..count).map(|number| (key(number), pattern(u64::from(number), 60)))).map(drop)
}

#[test]
fn a_large_value_that_is_replaced_in_place() {
    check(
        |txn| {
            fill(txn, "t", 500)?;
            txn.tree("t")?.insert(key(7), pattern(1, 50_000))
        },
        &[
            &|txn| txn.tree("t")?.insert(key(7), pattern(2, 50_000)),
            // The same bytes again: no change, though the pages have new versions.
            &|txn| txn.tree("t")?.insert(key(7), pattern(2, 50_000)),
            &|txn| {
                txn.tree("t")?.insert_reserve(key(7), 50_000)?[100] = 1;
                Ok(())
            },
            // Beside it only the leaf changes.
            &|txn| txn.tree("t")?.insert(key(8), "short"),
            // Its page goes, and the number may be another's.
            &|txn| txn.tree("t")?.insert(key(7), "short"),
            &|txn| txn.tree("t")?.insert(key(9), pattern(3, 50_000)),
            &|txn| txn.tree("t")?.remove(key(9)).map(drop),
        ],
    );
}

#[test]
fn a_tree_too_large_to_be_given_back_at_once() {
    check(
        |txn| fill(txn, "doomed", 100_000),
        &[
            &|txn| txn.drop_tree("doomed").map(drop),
            // Its pages are going while this one comes.
            &|txn| fill(txn, "doomed", 300),
            &|txn| txn.tree("other")?.insert("key", "value"),
            &|txn| txn.tree("doomed")?.insert(key(150), "value"),
        ],
    );
}

#[test]
fn a_tree_made_again_with_the_same_root() {
    let db = Database::in_memory().unwrap();
    let step = |step: &dyn Fn(&mut WriteTransaction)| {
        let mut txn = db.begin_write().unwrap();
        step(&mut txn);
        txn.commit().unwrap();
        db.snapshot().unwrap()
    };
    let root =
        |snapshot: &Snapshot| format!("{:?}", snapshot.tree("t").unwrap()).split("at").next().unwrap().to_owned();
    let (mut snapshots, mut has_met) = (Vec::<Snapshot>::new(), false);
    for count in (0..30).rev() {
        let newer = step(&|txn| fill(txn, "t", count * 10).unwrap());
        step(&|txn| assert!(txn.drop_tree("t").unwrap()));
        for older in &snapshots {
            has_met |= root(older) == root(&newer);
            assert_changes(&newer, older, &read(older), &read(&newer));
        }
        snapshots.push(newer);
    }
    assert!(has_met, "this test is about a root's number that is used again");
}

#[test]
fn names_that_change_hands() {
    check(
        |txn| {
            fill(txn, "a", 1000)?;
            fill(txn, "b", 800)?;
            txn.tree("b")?.insert(key(3), "another value")
        },
        &[
            &|txn| txn.rename_tree("a", "c"),
            &|txn| txn.rename_tree("b", "a"),
            &|txn| txn.rename_tree("c", "b"),
            &|txn| txn.drop_tree("a").map(drop),
            &|txn| txn.rename_tree("b", "a"),
        ],
    );
}

#[test]
fn what_is_removed_at_once() {
    check(
        |txn| fill(txn, "t", 20_000),
        &[
            &|txn| txn.tree("t")?.remove_range(key(3000)..key(15_000)).map(drop),
            &|txn| txn.tree("t")?.insert(key(9000), "in the gap"),
            &|txn| txn.tree("t")?.clear().map(drop),
            &|txn| fill(txn, "t", 10),
            &|txn| txn.tree("t")?.remove_range(..).map(drop),
            &|txn| fill(txn, "t", 20_000),
        ],
    );
}

/// Changes that are made to a copy of the older state make it the newer.
#[test]
fn applying_the_changes_makes_the_newer_state() {
    let (db, copy) = (Database::in_memory().unwrap(), Database::in_memory().unwrap());
    for handle in [&db, &copy] {
        let mut txn = handle.begin_write().unwrap();
        fill(&mut txn, "kept", 3000).unwrap();
        fill(&mut txn, "dropped", 300).unwrap();
        txn.commit().unwrap();
    }
    let before = db.snapshot().unwrap();
    let mut txn = db.begin_write().unwrap();
    for number in (0..3000).step_by(17) {
        txn.tree("kept").unwrap().remove(key(number)).unwrap();
        txn.tree("kept").unwrap().insert(key(number + 1), "changed").unwrap();
        txn.tree("kept").unwrap().insert(key(number + 10_000), "new").unwrap();
    }
    txn.drop_tree("dropped").unwrap();
    fill(&mut txn, "made", 100).unwrap();
    txn.tree("made, empty").unwrap();
    txn.commit().unwrap();
    let after = db.snapshot().unwrap();

    let mut txn = copy.begin_write().unwrap();
    for change in after.changes_since(&before).unwrap() {
        let change = change.unwrap();
        match &change.kind {
            ChangeKind::TreeDropped => assert!(txn.drop_tree(&change.tree).unwrap()),
            ChangeKind::TreeCreated => drop(txn.tree(&change.tree).unwrap()),
            ChangeKind::Removed { .. } => assert!(txn.tree(&change.tree).unwrap().remove(&change.key).unwrap()),
            ChangeKind::Inserted { new } | ChangeKind::Changed { new, .. } => {
                txn.tree(&change.tree).unwrap().insert(&change.key, new).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    txn.commit().unwrap();
    assert_eq!(read(&copy.snapshot().unwrap()), read(&after));

    let brief = after.changes_since(&before).unwrap().without_dropped_entries();
    let about_dropped: Vec<_> = brief.map(Result::unwrap).filter(|change| &*change.tree == "dropped").collect();
    assert_eq!(about_dropped.len(), 1);
    assert_eq!(about_dropped[0].kind, ChangeKind::TreeDropped);
}

#[test]
fn bounds_choose_what_is_told() {
    let db = Database::in_memory().unwrap();
    let mut txn = db.begin_write().unwrap();
    fill(&mut txn, "t", 5000).unwrap();
    txn.commit().unwrap();
    let older = db.snapshot().unwrap();
    let mut txn = db.begin_write().unwrap();
    for number in (0..5000).step_by(3) {
        txn.tree("t").unwrap().insert(key(number), "changed").unwrap();
    }
    txn.tree("u").unwrap().insert("key", "value").unwrap();
    txn.commit().unwrap();
    let newer = db.snapshot().unwrap();
    for (start, end) in [(0, 5000), (10, 11), (12, 13), (1000, 1100), (4990, 9000), (30, 20)] {
        let bounds = (Bound::Included(key(start).to_vec()), Bound::Excluded(key(end).to_vec()));
        crate::expected::assert_changes_in(&newer, &older, &read(&older), &read(&newer), "t", &bounds);
    }
    let changes = newer.changes_in("u", .., &older).unwrap().map(Result::unwrap);
    assert_eq!(changes.map(|change| change.kind == ChangeKind::TreeCreated).collect::<Vec<_>>(), [true, false]);
    assert_eq!(newer.changes_in("nowhere", .., &older).unwrap().count(), 0);
}

/// Named snapshots of earlier lives of the store, beside later ones and the present: every pair is compared after each opening.
#[test]
fn snapshots_of_earlier_lives() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lives.pent");
    let mut states: Vec<(String, State)> = Vec::new();
    for life in 0..6u32 {
        let db = Database::open(&path).unwrap();
        for moment in 0..3u32 {
            let mut txn = db.begin_write().unwrap();
            match (life * 3 + moment) % 7 {
                0 => fill(&mut txn, "t", 4000).unwrap(),
                1 => txn.tree("t").unwrap().insert(key(moment * 900), pattern(life.into(), 30_000)).unwrap(),
                // A death that a checkpoint dates, and numbers that are used again in another life.
                2 => drop(txn.tree("t").unwrap().remove_range(key(1000)..key(2500)).unwrap()),
                3 => fill(&mut txn, "u", 600 + life).unwrap(),
                4 => drop(txn.drop_tree("u").unwrap()),
                5 => {
                    txn.drop_tree("v").unwrap();
                    txn.rename_tree("t", "v").unwrap();
                }
                _ => txn.tree("t").unwrap().insert(key(life), pattern(moment.into(), 10)).unwrap(),
            }
            txn.commit().unwrap();
            let name = format!("{life}.{moment}");
            db.snapshot_named(&name).unwrap();
            states.push((name, read(&db.snapshot().unwrap())));
        }
        let compare = |db: &Database| {
            let open = |name: &str| db.open_snapshot(name).unwrap();
            for (index, (newer, after)) in states.iter().enumerate() {
                for (older, before) in &states[..=index] {
                    assert_changes(&open(newer), &open(older), before, after);
                }
                let (now, after) = (db.snapshot().unwrap(), &states.last().unwrap().1);
                assert_changes(&now, &open(&states[index].0), &states[index].1, after);
            }
        };
        compare(&db);
        db.close().unwrap();
        let db = Database::builder().read_only(true).open(&path).unwrap();
        compare(&db);
        db.close().unwrap();
    }
}

#[test]
fn snapshots_that_cannot_be_compared() {
    let db = Database::in_memory().unwrap();
    let older = db.snapshot().unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.tree("t").unwrap();
    txn.commit().unwrap();
    let newer = db.snapshot().unwrap();
    assert!(matches!(older.changes_since(&newer), Err(Error::NotOlder { asked, other })
        if asked == older.timestamp() && other == newer.timestamp()));
    let stranger = Database::in_memory().unwrap().snapshot().unwrap();
    assert!(matches!(newer.changes_since(&stranger), Err(Error::OtherStore)));
    assert_eq!(newer.changes_since(&newer.clone()).unwrap().count(), 0);
}

/// The comparison that all tests here use would notice.
#[test]
fn the_model_notices_what_differs() {
    let state = |value: &str| State::from([("t".into(), Arc::new(Entries::from([(vec![1], value.into())])))]);
    let everything = (Bound::Unbounded, Bound::Unbounded);
    assert_eq!(expect(&state("a"), &state("a"), None, &everything), []);
    let entry = |old: Option<&str>, new: Option<&str>| {
        Expected::Entry("t".into(), vec![1], old.map(Into::into), new.map(Into::into))
    };
    assert_eq!(expect(&state("a"), &state("b"), None, &everything), [entry(Some("a"), Some("b"))]);
    let made = [Expected::Created("t".into()), entry(None, Some("a"))];
    assert_eq!(expect(&State::new(), &state("a"), None, &everything), made);
}
