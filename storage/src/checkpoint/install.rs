//! A commit that is made durable by a checkpoint of its own, without a journal.
//!
//! Promises:
//! 1. Its pages and the table are on the disk before it is installed: what can fail cleanly, a full disk above all, leaves the store as it was.
//! 2. The writer's turn is kept until it is durable, so no other commit comes between it and the checkpoint before it.
//! 3. A failure after it was installed says that the outcome is unknown.

use super::Change;
use crate::slots::CUT_SLOTS;
use crate::table_page::DiskEntry;
use crate::write_set::{Left, State, WriteSet};
use crate::{Error, Result, Timestamp};
use std::time::Instant;

impl WriteSet {
    /// Makes the transaction's state the newest and durable by one checkpoint, without a journal, whatever its size: its pages and the
    /// table are written before it is installed, so that a full disk leaves the store as it was. The turn is kept until it is durable.
    ///
    /// # Errors
    /// [`Error::DiskFull`] and other failures before the first sync: nothing has happened. Failures of a sync or of the meta poison the store.
    pub fn install_durably(self) -> Result<Timestamp> {
        self.install_durably_noting(|_, _| {})
    }

    /// As [`install_durably`](WriteSet::install_durably), and calls `note` when the commit is installed, under the turn.
    ///
    /// # Errors
    /// The same.
    pub fn install_durably_noting(mut self, note: impl FnOnce(Timestamp, &mut Left)) -> Result<Timestamp> {
        let started = Instant::now();
        let (store, target) = (self.store().clone(), self.birth());
        self.forget_savepoints();
        self.spill()?;
        // Nobody else installs meanwhile, so C is what we began after.
        let mut checkpoint = store.begin_checkpoint()?;
        checkpoint.target = target;
        checkpoint.pages = store.ids.lock().next;
        checkpoint.collect(&self.desk.pages);
        checkpoint.write_versions()?;
        for (id, private) in self.desk.pages.iter() {
            // As if this transaction had never had the page. But an earlier one of that number may have died since the previous checkpoint.
            if private.fresh && matches!(private.state, State::Freed) {
                checkpoint.collect_page(id);
                continue;
            }
            let entry = match private.state {
                State::Spilled { place, crc } => {
                    let run = store.run_of(place).expect("what spilled lies in the medium");
                    DiskEntry::Version { run, birth: target, crc }
                }
                State::Register(value) => DiskEntry::Register { value, birth: target },
                State::Freed => DiskEntry::Dead { since: target },
                State::Frame { .. } => unreachable!("everything has spilled"),
            };
            checkpoint.changes.push(Change { id, entry });
        }
        let update = checkpoint.write_table()?;
        store.sync()?;
        let due = self.install_pages(|store, at, left| {
            store.clock.install_unjournaled(at);
            note(at, left);
        });
        checkpoint
            .make_durable(Some(update), None)
            .map_err(|source| Error::OutcomeUnknown { at: target, source: Box::new(source) })?;
        checkpoint.finish(started);
        drop(self);
        store.reclaim_if(due);
        store.cut_tail(CUT_SLOTS);
        Ok(target)
    }
}
