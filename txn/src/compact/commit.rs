//! Commits that change no entry.
//!
//! Promises: the journal gets an empty record, so that its timestamps stay consecutive and recovery makes the same commit of nothing; concurrent transactions find no
//! conflict; nobody waits for durability. What such a commit did may be lost in a crash, and nothing with it.

use crate::catalog;
use crate::database::Shared;
use crate::journal::Room;
use crate::optimistic::Footprint;
use crate::pages::TxnPages;
use crate::{Durability, Error, Result};
use pentimento_storage::{Patience, WriteSet};
use std::collections::BTreeMap;

/// How many pages of dropped trees one commit gives back.
const DISMANTLED: usize = 1024;

impl Shared {
    /// Takes the writer's turn to rearrange pages.
    pub fn begin_rearranging(&self) -> Result<WriteSet> {
        self.store.check_writable()?;
        self.wait_for_room(None)?;
        self.store.begin(Patience::Forever)?.ok_or(Error::Busy)
    }

    /// Commits pages that were rearranged; `false` if there are none.
    pub fn commit_rearranged(&self, set: WriteSet) -> Result<bool> {
        if set.touched() == 0 {
            return Ok(false);
        }
        // Under the turn: the store may have failed since it was taken.
        self.store.check_writable()?;
        let at = set.base().next();
        if let Some(journal) = self.journal.get() {
            while journal.append(at, &[], false)? == Room::Full {
                // The checkpoint does not need our turn.
                self.checkpoint()?;
            }
        }
        let at = set.install_noting(false, |at, _| {
            self.conflicts.note(at, || Footprint::new(BTreeMap::new(), self.conflicts.commit_limit()));
            if self.feed.is_watched() {
                // No entry changed: those who watch need not look at any page.
                self.feed.note(&self.store, Vec::new());
            }
        });
        if self.journal.get().is_some() {
            self.after_journaled(at, Durability::None)?;
        } else {
            self.after_unjournaled(at, Durability::None)?;
        }
        Ok(true)
    }

    /// Gives back some pages of dropped trees; `true` when there are none left.
    pub fn dismantle_some(&self) -> Result<bool> {
        let mut pages = TxnPages(self.begin_rearranging()?);
        let is_done = catalog::dismantle_doomed(&mut pages, DISMANTLED)?;
        self.commit_rearranged(pages.0)?;
        Ok(is_done)
    }
}
