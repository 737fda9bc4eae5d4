//! Savepoints: going back to an earlier state of the transaction.
//!
//! Promises:
//! 1. The first change of a page after a savepoint keeps the state that it had; a later one keeps nothing, until there is another savepoint.
//! 2. Going back restores pages, registers and page numbers exactly as they were. The savepoint itself stays.
//! 3. What is kept is given back when its savepoint is gone over, forgotten, or the transaction ends.

use super::{Private, State, WriteSet};
use crate::{PageId, PageMap};

/// What rolling back to a savepoint must put back: the earlier states of the pages touched since; `None` for untouched before.
#[derive(Default)]
pub(super) struct Undo {
    pub saved: PageMap<Option<Private>>,
}

/// A point inside a transaction that it can be rolled back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint {
    depth: usize,
    serial: u64,
}

impl WriteSet {
    /// Marks the state as it is now, so that it can be gone back to.
    pub fn savepoint(&mut self) -> Savepoint {
        self.desk.epoch += 1;
        let serial = self.desk.next_serial;
        self.desk.next_serial += 1;
        self.desk.undo.push((serial, Undo::default()));
        Savepoint { depth: self.desk.undo.len() - 1, serial }
    }

    /// Whether a savepoint is of this transaction and has not been rolled back over.
    #[must_use]
    pub fn has_savepoint(&self, savepoint: Savepoint) -> bool {
        self.desk.undo.get(savepoint.depth).is_some_and(|(serial, _)| *serial == savepoint.serial)
    }

    /// Goes back to a savepoint, which stays; savepoints made after it are gone. `false`, and nothing done, when it is gone itself.
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> bool {
        if !self.has_savepoint(savepoint) {
            return false;
        }
        while self.desk.undo.len() > savepoint.depth {
            let Some((_, undo)) = self.desk.undo.pop() else { break };
            for (id, saved) in undo.saved {
                if let Some(private) = self.desk.pages.remove(id) {
                    if saved.is_none() && private.fresh {
                        self.desk.spare_ids.extend(id.if_given_out());
                    }
                    self.discard(private.state);
                }
                if let Some(saved) = saved {
                    self.desk.pages.insert(id, saved);
                }
            }
        }
        self.desk.undo.push((savepoint.serial, Undo::default()));
        true
    }

    #[inline]
    pub(super) fn keep_or_drop(&mut self, id: PageId, old: Option<Private>) {
        let epoch = self.desk.epoch;
        match (self.desk.undo.last_mut(), old) {
            (Some((_, undo)), None) => {
                undo.saved.entry(id).or_insert(None);
            }
            (Some((_, undo)), Some(old)) if old.epoch < epoch => {
                undo.saved.entry(id).or_insert(Some(old));
            }
            (_, Some(old)) => self.discard(old.state),
            (None, None) => {}
        }
    }

    /// The pages of the present, or those that a savepoint keeps, that are in frames.
    pub(super) fn generation(&self, generation: Option<usize>) -> impl Iterator<Item = (PageId, &Private)> {
        let present = generation.is_none().then(|| self.desk.pages.iter()).into_iter().flatten();
        let saved = generation.map(|index| &self.desk.undo[index].1.saved).into_iter().flatten();
        let saved = saved.filter_map(|(id, saved)| Some((*id, saved.as_ref()?)));
        present.chain(saved).filter(|(_, private)| matches!(private.state, State::Frame { .. }))
    }

    pub(super) fn private_mut(&mut self, id: PageId, generation: Option<usize>) -> Option<&mut Private> {
        match generation {
            None => self.desk.pages.get_mut(id),
            Some(index) => self.desk.undo[index].1.saved.get_mut(&id)?.as_mut(),
        }
    }

    /// Gives up what savepoints keep: there is no going back any more.
    #[inline]
    pub(crate) fn forget_savepoints(&mut self) {
        while let Some((_, undo)) = self.desk.undo.pop() {
            undo.saved.into_values().flatten().for_each(|private| self.discard(private.state));
        }
    }
}
