//! `pent diff STORE@NAME STORE@NAME`: what differs between two moments of one store, at the cost of the difference.

use super::diff::{Difference, Summary};
use crate::{Context, Error, Result};
use pentimento::{Change, ChangeKind, Database, Snapshot};
use std::path::{Path, PathBuf};

/// A store as an argument names it, and which moment of it: `STORE@NAME` a named snapshot, `STORE@` what is newest, `STORE` the store as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub store: PathBuf,
    pub name: Option<String>,
}

impl Moment {
    /// A file that is there is a store, whatever its name.
    pub fn parse(argument: &Path) -> Moment {
        let whole = || Moment { store: argument.to_owned(), name: None };
        if argument.exists() {
            return whole();
        }
        match argument.to_str().and_then(|text| text.rsplit_once('@')) {
            Some((store, name)) if !store.is_empty() => Moment { store: store.into(), name: Some(name.to_owned()) },
            _ => whole(),
        }
    }

    fn open(&self, db: &Database) -> Result<Snapshot> {
        match self.name.as_deref() {
            None | Some("") => Ok(db.snapshot()?),
            Some(name) => Ok(db.open_snapshot(name)?),
        }
    }
}

/// Compares two moments of one store, and shows each difference.
///
/// # Errors
/// When the arguments name two stores, the store cannot be opened for reading or is damaged, there is no such snapshot, or neither has the tree that is
/// named; and what `report` fails with.
pub(super) fn diff(
    one: &Moment,
    two: &Moment,
    tree: Option<&str>,
    context: &Context,
    report: &mut dyn FnMut(Difference) -> Result<()>,
) -> Result<Summary> {
    let real = |moment: &Moment| moment.store.canonicalize().map_err(Error::io("find", &moment.store));
    if real(one)? != real(two)? {
        return Err(Error::Usage(
            "STORE@NAME compares two moments of one store; to compare two stores name their files alone".to_owned(),
        ));
    }
    let db = Database::builder().read_only(true).open(&one.store)?;
    let (one, two) = (one.open(&db)?, two.open(&db)?);
    if let Some(tree) = tree
        && !one.has_tree(tree)?
        && !two.has_tree(tree)?
    {
        return Err(Error::Usage(format!("there is no tree named {tree:?} at either moment")));
    }
    let is_forward = one.timestamp() <= two.timestamp();
    let (older, newer) = if is_forward { (&one, &two) } else { (&two, &one) };
    let changes = match tree {
        Some(tree) => newer.changes_in(tree, .., older)?,
        None => newer.changes_since(older)?,
    };
    let mut summary = Summary { equal: None, ..Summary::default() };
    for change in changes {
        context.interrupt.check()?;
        report(difference(&change?, is_forward, context, &mut summary))?;
    }
    Ok(summary)
}

fn difference(change: &Change, is_forward: bool, context: &Context, summary: &mut Summary) -> Difference {
    let (old, new) = (change.before(), change.after());
    let (before, after) = if is_forward { (old, new) } else { (new, old) };
    let is_tree = matches!(change.kind, ChangeKind::TreeCreated | ChangeKind::TreeDropped);
    let sign = match (before, after) {
        (None, None) => {
            summary.trees += 1;
            if (change.kind == ChangeKind::TreeCreated) == is_forward { '+' } else { '-' }
        }
        (None, Some(_)) => {
            summary.added += 1;
            '+'
        }
        (Some(_), None) => {
            summary.removed += 1;
            '-'
        }
        (Some(_), Some(_)) => {
            summary.changed += 1;
            '~'
        }
    };
    Difference {
        sign,
        tree: change.tree.to_string(),
        key: (!is_tree).then(|| context.show(&change.key)),
        before: before.map(|value| context.show(value)),
        after: after.map(|value| context.show(value)),
    }
}
