//! What an increment is based on: snapshots that the store keeps for the archive.
//!
//! Promises: a snapshot is kept before it is backed up, and those before it go only when it is in the archive; so whenever this is interrupted, the next time finds a
//! base, or backs up the whole.

use super::{Report, to_archive};
use crate::{Context, Error, Result};
use pentimento::{Database, NamedSnapshot};
use pentimento_archive::Archive;

/// Backs up what changed since the newest point of the archive that the store has a snapshot of, or everything; and keeps a snapshot for the next time.
pub(super) fn follow(db: &Database, archive: &Archive, label: &str, context: &Context) -> Result<Report> {
    let points = archive.restorable(db.id())?;
    let named = db.named_snapshots()?;
    let base = named.iter().filter(|named| points.contains(&named.timestamp)).max_by_key(|named| named.timestamp);
    if base.is_some_and(|base| base.timestamp == db.timestamp()) {
        let why = format!("nothing has changed since timestamp {}, which the archive has", db.timestamp());
        return Err(Error::Found(why));
    }
    let name = format!("{label}-{}", db.timestamp());
    match db.snapshot_named(&name) {
        // An earlier time was interrupted.
        Ok(_) | Err(pentimento::Error::SnapshotExists(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let snapshot = db.open_snapshot(&name)?;
    let base = base.map(|base| db.open_snapshot(&base.name)).transpose()?;
    let report = to_archive(db, archive, &snapshot, base.as_ref(), context);
    let ours = |other: &&NamedSnapshot| {
        let number = other.name.strip_prefix(label).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| number.parse::<u64>().is_ok())
    };
    match &report {
        Ok(_) => {
            for old in named.iter().filter(ours).filter(|old| old.name != name) {
                db.drop_snapshot(&old.name)?;
            }
        }
        Err(_) => db.drop_snapshot(&name)?,
    }
    report
}
