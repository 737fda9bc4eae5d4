//! Named snapshots: moments of the store that are kept until they are dropped, across restarts and crashes.
//!
//! Promises: each costs what has changed since, and no more; creating one costs a checkpoint of what was committed since the last, whatever the size of the
//! store; reading one is reading a snapshot; a crash leaves a name there or not, never half.

use crate::database::{Database, Shared};
use crate::snapshot::Snapshot;
use crate::{Result, Timestamp};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A named snapshot, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedSnapshot {
    /// Its name.
    pub name: String,
    /// The newest commit that it sees.
    pub timestamp: Timestamp,
    /// When it was made, by the clock of the machine; to the millisecond.
    pub created: SystemTime,
    /// What dropping it would free, in bytes of the file: versions of pages that nobody else needs.
    pub bytes_alone: u64,
    /// Older versions that it needs together with other snapshots, in bytes. (What it shares with the present is not counted: that costs nothing.)
    pub bytes_shared: u64,
}

/// A moment as a list of names keeps it.
fn to_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn from_ms(ms: u64) -> SystemTime {
    // A file may say anything.
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(UNIX_EPOCH)
}

impl Database {
    /// Keeps this moment under a name, and tells its timestamp: what has been committed by now, in whatever durability, and nothing of a transaction that is still
    /// open. When it returns the snapshot would survive a crash. It is there until [`drop_snapshot`](Database::drop_snapshot), and meanwhile the file keeps what it needs.
    ///
    /// The cost is that of a checkpoint: it follows what was committed since the last one, not the size of the store. Writers and readers go on. All names
    /// stand in one list, which is written anew: some 60 bytes for each name.
    ///
    /// ```
    /// # use pentimento_txn as pentimento;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.pent");
    /// use pentimento::Database;
    /// let db = Database::open(&path)?;
    /// let mut txn = db.begin_write()?;
    /// txn.tree("orders")?.insert("1001", "two chairs")?;
    /// txn.commit()?;
    /// db.snapshot_named("before the sale")?;
    ///
    /// let mut txn = db.begin_write()?;
    /// txn.tree("orders")?.clear()?;
    /// txn.commit()?;
    /// db.close()?;
    ///
    /// let db = Database::open(&path)?;
    /// let then = db.open_snapshot("before the sale")?;
    /// assert_eq!(then.tree("orders")?.len()?, 1);
    /// assert_eq!(db.snapshot()?.tree("orders")?.len()?, 0);
    /// db.drop_snapshot("before the sale")?;
    /// # Ok::<(), pentimento::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::SnapshotExists`](crate::Error::SnapshotExists), [`Error::InvalidSnapshotName`](crate::Error::InvalidSnapshotName): 1 to 255 bytes;
    /// [`Error::ReadOnly`](crate::Error::ReadOnly); and as for [`checkpoint`](Database::checkpoint).
    pub fn snapshot_named(&self, name: &str) -> Result<Timestamp> {
        self.shared().change_names(Some((name, SystemTime::now())), &[])
    }

    /// As [`snapshot_named`](Database::snapshot_named), but where there is a snapshot of this name already the new one takes its place: a crash leaves the one or the other.
    ///
    /// # Errors
    /// As for [`snapshot_named`](Database::snapshot_named), but for a name that exists.
    pub fn replace_snapshot(&self, name: &str) -> Result<Timestamp> {
        let create = Some((name, SystemTime::now()));
        loop {
            let replaced = match self.shared().change_names(create, &[name]) {
                Err(crate::Error::NoSuchSnapshot(_)) => self.shared().change_names(create, &[]),
                result => result,
            };
            match replaced {
                // Somebody else has just made it.
                Err(crate::Error::SnapshotExists(_)) => {}
                result => return result,
            }
        }
    }

    /// The named snapshots, from the oldest to the newest, and what each costs. This is quick, however much they keep.
    ///
    /// # Errors
    /// None today.
    pub fn named_snapshots(&self) -> Result<Vec<NamedSnapshot>> {
        // So that what has been superseded lately is counted, too.
        self.store().reclaim(4096);
        let infos = self.store().named_snapshots().into_iter();
        let snapshots = infos.map(|info| NamedSnapshot {
            name: info.name.to_string(),
            timestamp: info.at,
            created: from_ms(info.created_ms),
            bytes_alone: info.bytes_alone,
            bytes_shared: info.bytes_shared,
        });
        Ok(snapshots.collect())
    }

    /// A named snapshot, for reading: as fast as one of today, but for pages that have changed since, which take one look-up more. It is labelled with its
    /// name, and goes on when the name is dropped.
    ///
    /// # Errors
    /// [`Error::NoSuchSnapshot`](crate::Error::NoSuchSnapshot).
    pub fn open_snapshot(&self, name: &str) -> Result<Snapshot> {
        Ok(Snapshot::new(self.store().open_snapshot(name)?))
    }

    /// Forgets a named snapshot. When it returns the name would not come back after a crash. What nobody else needs is given back: a bounded part at once, the rest in the
    /// background or by [`maintain`](Database::maintain).
    ///
    /// # Errors
    /// [`Error::NoSuchSnapshot`](crate::Error::NoSuchSnapshot), [`Error::ReadOnly`](crate::Error::ReadOnly); and as for [`checkpoint`](Database::checkpoint).
    pub fn drop_snapshot(&self, name: &str) -> Result<()> {
        self.shared().change_names(None, &[name]).map(drop)
    }
}

impl Shared {
    /// Drops some names and gives another to this moment, in one step.
    pub fn change_names(&self, create: Option<(&str, SystemTime)>, drop: &[&str]) -> Result<Timestamp> {
        // Before the journal is told of a checkpoint that would not come.
        self.store.check_writable()?;
        self.store.check_rename(create.map(|(name, _)| name), drop)?;
        let create = create.map(|(name, now)| (name, to_ms(now)));
        let journal = self.journal.get();
        if let Some(journal) = journal.filter(|_| create.is_some()) {
            journal.checkpoint_begins();
        }
        let at = self.store.rename_snapshots(create, drop)?;
        if let Some(journal) = journal {
            journal.checkpoint_is_durable(at);
        }
        Ok(at)
    }
}
