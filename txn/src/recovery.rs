//! Bringing back what the journal holds.
//!
//! Promises: the records after the checkpoint are done again as ordinary commits with their old timestamps, published one by one, without a journal and
//! without limits on memory; then a checkpoint makes them durable in the data file; only then are there snapshots and commits, and only then may the journal's files be
//! reused. A crash anywhere in between leaves checkpoint and journal as they were, so recovery begins again.

use crate::database::Handle;
use crate::journal::{Journal, recover};
use crate::redo;
use crate::write::WriteTransaction;
use crate::{Error, Result};
use pentimento_storage::{Bug, Logs, Patience};
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
            recovered.files.iter().try_for_each(|number| logs.remove(*number)).map_err(|source| Error::Io {
                operation: "remove",
                path: logs.path(0),
                source,
            })?;
        }
        if recovered.records > 0 {
            store.checkpoint()?;
        }
        let journal = Journal::new(logs, store.clone(), segment_bytes, recovered.files, recovered.next_sequence);
        assert!(self.shared.journal.set(journal).is_ok(), "a store is recovered once");
        Ok(())
    }
}
