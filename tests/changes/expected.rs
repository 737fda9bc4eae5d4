//! The dumbest comparison of two states, and what a walk over changes must tell.

use crate::common::{Entries, State};
use pentimento::{Change, ChangeKind, Changes, Snapshot};
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

pub type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// A change as the model has it: the tree, the key, the value before and after. A tree as a whole has no key.
#[derive(Debug, PartialEq, Eq)]
pub enum Expected {
    Created(String),
    Dropped(String),
    Entry(String, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>),
}

fn expect_entries(name: &str, before: &Entries, after: &Entries, bounds: &Bounds, into: &mut Vec<Expected>) {
    let mut keys: Vec<_> = before.keys().chain(after.keys()).filter(|key| bounds.contains(*key)).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (old, new) = (before.get(key), after.get(key));
        if old != new {
            into.push(Expected::Entry(name.to_owned(), key.clone(), old.cloned(), new.cloned()));
        }
    }
}

pub fn expect(before: &State, after: &State, tree: Option<&str>, bounds: &Bounds) -> Vec<Expected> {
    let nothing = Arc::new(Entries::new());
    let mut names: Vec<_> = before.keys().chain(after.keys()).filter(|name| tree.is_none_or(|t| t == *name)).collect();
    names.sort();
    names.dedup();
    let mut all = Vec::new();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        if old.is_none() {
            all.push(Expected::Created(name.clone()));
        }
        expect_entries(name, old.unwrap_or(&nothing), new.unwrap_or(&nothing), bounds, &mut all);
        if new.is_none() {
            all.push(Expected::Dropped(name.clone()));
        }
    }
    all
}

pub fn told(change: Change) -> Expected {
    let tree = change.tree.to_string();
    match change.kind {
        ChangeKind::TreeCreated | ChangeKind::TreeDropped => {
            assert!(change.key.is_empty(), "what concerns a whole tree has no key");
            if change.kind == ChangeKind::TreeCreated { Expected::Created(tree) } else { Expected::Dropped(tree) }
        }
        _ => {
            let value = |value: Option<&pentimento::Bytes>| value.map(|value| value.to_vec());
            Expected::Entry(tree, change.key.to_vec(), value(change.before()), value(change.after()))
        }
    }
}

#[track_caller]
fn assert_walk(mut changes: Changes, expected: Vec<Expected>) {
    for (number, expected) in expected.into_iter().enumerate() {
        let found = changes.next().map(|change| told(change.unwrap()));
        // Values may be long: only names and keys are shown.
        let brief = |change: &Option<Expected>| match change {
            Some(Expected::Entry(tree, key, old, new)) => {
                format!("{tree:?} {:?} {} {}", key.escape_ascii().to_string(), old.is_some(), new.is_some())
            }
            other => format!("{other:?}"),
        };
        let expected = Some(expected);
        assert!(found == expected, "change {number}: found {}, expected {}", brief(&found), brief(&expected));
    }
    assert!(changes.next().is_none(), "there are no more changes");
    assert!(changes.next().is_none(), "it stays at its end");
}

/// The changes between two snapshots are those between these states.
#[track_caller]
pub fn assert_changes(newer: &Snapshot, older: &Snapshot, before: &State, after: &State) {
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let changes = newer.changes_since(older).unwrap();
    assert_eq!((changes.from(), changes.to()), (older.timestamp(), newer.timestamp()));
    assert_walk(changes, expect(before, after, None, &everything));
}

/// The same for a range of one tree.
#[track_caller]
pub fn assert_changes_in(
    newer: &Snapshot,
    older: &Snapshot,
    before: &State,
    after: &State,
    tree: &str,
    bounds: &Bounds,
) {
    let changes = newer.changes_in(tree, bounds.clone(), older).unwrap();
    assert_walk(changes, expect(before, after, Some(tree), bounds));
}
