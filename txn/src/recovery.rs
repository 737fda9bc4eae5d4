//! Bringing back what the journal holds.
//!
//! Promises: the records after the checkpoint are done again as ordinary commits with their old timestamps, published one by one, without a journal and
//! without limits on memory; then a checkpoint makes them durable in the data file; then the journal's files are removed; only then are there snapshots and commits. A crash anywhere in between leaves checkpoint and journal as they were, so recovery begins again.

use crate::database::Handle;
use crate::journal::{Journal, recover};
use crate::redo;
use crate::write::WriteTransaction;
use crate::{Error, Result};
use pentimento_storage::{Bug, Logs, Patience};
use std::io;
use std::sync::Arc;

impl Handle {
    /// Replays the journal, if there is one, and begins a new one.
    pub(crate) fn recover(self: &Arc<Self>, logs: Box<dyn Logs>, segment_bytes: u64) -> Result<()> {
        let store = &self.shared.store;
        let checkpoint = store.installed();
        if store.options().read_only {
            // To replay would be to write. What a checkpoint holds is not all that was acknowledged, so it is not shown.
            let found = recover(logs.as_ref(), store, checkpoint, |_, _| {
                Err(Error::NeedsRecovery { path: store.path().to_owned() })
            });
            return found.map(drop);
        }
        let recovered = recover(logs.as_ref(), store, checkpoint, |at, body| {
            let set = store.begin(Patience::Forever)?.ok_or(Error::Busy)?;
            let mut txn = WriteTransaction::replaying(set, self.clone());
            if txn.base().next() != at {
                return Err(Error::damaged("journal", format!("commit {at} follows {}", txn.base())));
            }
            redo::replay(&mut txn, body)?;
            txn.commit_replayed()
        })?;
        if store.has_planted(Bug::ForgetJournalEarly) {
            remove_all(logs.as_ref(), &recovered.files)?;
        }
        if recovered.records > 0 {
            store.checkpoint()?;
        }
        // Gone before the first commit of this life, so that nothing that was given up here is ever found again.
        remove_all(logs.as_ref(), &recovered.files)?;
        let journal = Journal::new(logs, store.clone(), segment_bytes, recovered.next_sequence);
        assert!(self.shared.journal.set(journal).is_ok(), "a store is recovered once");
        Ok(())
    }
}

/// Removes files of the journal, and makes that durable. Those that are gone already do not matter.
fn remove_all(logs: &dyn Logs, files: &[u64]) -> Result<()> {
    for &number in files {
        match logs.remove(number) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::Io { operation: "remove the journal", path: logs.path(number), source: error });
            }
            _ => {}
        }
    }
    if files.is_empty() {
        return Ok(());
    }
    logs.sync().map_err(|source| Error::Io { operation: "sync the folder of the journal", path: logs.path(0), source })
}
