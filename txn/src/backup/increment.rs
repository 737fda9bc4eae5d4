//! What changed between two snapshots, as the operations that make the newer one out of a copy of the older.

use super::StreamError;
use super::packer::Packer;
use super::walk::{Place, Walk};
use crate::{Change, ChangeKind, Result, Snapshot};
use std::io::Write;
use std::ops::Bound;

/// Sends what is different at `snapshot` from `base`, from the place on that the packer is at.
pub(super) fn send<W: Write>(packer: &mut Packer<'_, W>, snapshot: &Snapshot, base: &Snapshot) -> Result<()> {
    let start = packer.walk().clone();
    if let Some(from) = rest_of_tree(&start) {
        let (tree, bounds) = (start.tree.as_str(), (from, Bound::Unbounded));
        let mut offset = if let Place::Within { offset, .. } = start.place { offset } else { 0 };
        for change in snapshot.changes_in(tree, bounds, base)? {
            let change = change?;
            if offset > 0 && *change.key != *start.key {
                return Err(StreamError::InvalidPosition { why: "is within a value that is not there" }.into());
            }
            send_change(packer, &change, std::mem::take(&mut offset))?;
        }
    }
    let mut changes = snapshot.changes_since(base)?.without_dropped_entries();
    if start.place != Place::Start {
        changes = changes.after_tree(&start.tree);
    }
    for change in changes {
        send_change(packer, &change?, 0)?;
    }
    Ok(())
}

/// Where the tree goes on that a receiver has a part of; `None` if it has nothing, or all of that tree.
fn rest_of_tree(start: &Walk) -> Option<Bound<&[u8]>> {
    match start.place {
        Place::Start | Place::Dropped => None,
        Place::Entered => Some(Bound::Unbounded),
        Place::Done => Some(Bound::Excluded(&start.key)),
        Place::Within { .. } => Some(Bound::Included(&start.key)),
    }
}

fn send_change<W: Write>(packer: &mut Packer<'_, W>, change: &Change, offset: u64) -> Result<()> {
    let Change { tree, key, kind } = change;
    match kind {
        ChangeKind::TreeDropped => return Ok(packer.drop_tree(tree)?),
        ChangeKind::TreeCreated => packer.tree(tree)?,
        ChangeKind::Removed { .. } => {
            packer.tree(tree)?;
            packer.remove(key)?;
        }
        ChangeKind::Inserted { new } | ChangeKind::Changed { new, .. } => {
            packer.tree(tree)?;
            if offset > new.len() as u64 {
                return Err(StreamError::InvalidPosition { why: "is within a value that is not there" }.into());
            }
            packer.put(key, new, offset)?;
        }
    }
    Ok(())
}
