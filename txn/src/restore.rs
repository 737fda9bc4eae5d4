//! Going back: the present becomes what it was at a snapshot, as a transaction like any other.
//!
//! Promises: the cost follows the difference between now and then ([`Snapshot::changes_since`]); all of it or nothing happens; what was the present
//! can still be kept under a name before. Readers see the change like any other commit.

use crate::changes::ChangeKind;
use crate::database::Database;
use crate::snapshot::Snapshot;
use crate::write::WriteTransaction;
use crate::{Error, Result, Timestamp};

impl WriteTransaction {
    /// Makes every tree what it was at a snapshot of this store: entries and trees that have come since go, those that have gone come back. Tells how many entries that changed, or
    /// brought back or took away; those of trees that go as a whole are not counted. More can be done in the same transaction afterwards, but nothing before.
    ///
    /// # Errors
    /// [`Error::NotTheFirst`] if the transaction has changed something already, [`Error::OtherStore`], or when a page is damaged; after a failure half-way the transaction cannot be committed.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<u64> {
        let set = &self.work()?.pages.0;
        if set.touched() > 0 {
            return Err(Error::NotTheFirst);
        }
        let now = Snapshot::new(set.base_pin().clone());
        let restored = self.undo(&now, snapshot);
        if restored.is_err() {
            self.work.as_it_is().incomplete = true;
        }
        restored
    }

    /// Does the opposite of all that happened between two snapshots.
    fn undo(&mut self, now: &Snapshot, then: &Snapshot) -> Result<u64> {
        let mut entries = 0;
        let mut gone = None;
        for change in now.changes_since(then)? {
            let change = change?;
            match change.kind {
                ChangeKind::TreeCreated => {
                    self.drop_tree(&change.tree)?;
                    gone = Some(change.tree);
                }
                // It may have been empty.
                ChangeKind::TreeDropped => {
                    self.tree(&change.tree)?;
                }
                // Its tree has gone as a whole.
                ChangeKind::Inserted { .. } if gone.as_ref() == Some(&change.tree) => {}
                ChangeKind::Inserted { .. } => {
                    self.tree(&change.tree)?.remove(&*change.key)?;
                    entries += 1;
                }
                ChangeKind::Removed { old } | ChangeKind::Changed { old, .. } => {
                    self.tree(&change.tree)?.insert(&*change.key, &old)?;
                    entries += 1;
                }
            }
        }
        Ok(entries)
    }
}

impl Database {
    /// Makes the present what it was at a named snapshot, as one transaction, and tells its commit. Waits for the writer's turn. The snapshot stays, and so does all that came since it for those
    /// who read it; give the present a name before, if it is to be kept.
    ///
    /// ```
    /// # use pentimento_txn as pentimento;
    /// # let db = pentimento::Database::in_memory()?;
    /// # let put = |value: &str| { let mut txn = db.begin_write()?; txn.tree("prices")?.insert("chair", value)?; txn.commit() };
    /// put("40")?;
    /// db.snapshot_named("before the sale")?;
    /// put("25")?;
    /// db.snapshot_named("the sale")?;
    /// db.restore("before the sale")?;
    /// assert_eq!(db.snapshot()?.tree("prices")?.get("chair")?, Some(b"40".as_slice()));
    /// assert_eq!(db.open_snapshot("the sale")?.tree("prices")?.get("chair")?, Some(b"25".as_slice()));
    /// # Ok::<(), pentimento::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoSuchSnapshot`], and as for [`begin_write`](Database::begin_write) and [`commit`](WriteTransaction::commit).
    pub fn restore(&self, name: &str) -> Result<Timestamp> {
        let snapshot = self.open_snapshot(name)?;
        let mut txn = self.begin_write()?;
        txn.restore(&snapshot)?;
        txn.commit()
    }
}
