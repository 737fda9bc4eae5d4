//! The steps of a process that are about named snapshots.

use super::{Outcome, Session, broken};
use crate::simulated::Names;

impl Session {
    /// What the store says of its names is so.
    pub(super) fn settle_names(&mut self) -> Outcome {
        let names = self.db()?.named_snapshots()?.into_iter().map(|named| named.name).collect();
        self.names = Names { must: names, ..Names::default() };
        self.names.may = self.names.must.clone();
        Ok(())
    }

    /// Makes, replaces or drops a named snapshot, or goes back to one.
    pub(super) fn name(&mut self) -> Outcome {
        const NAMES: [&str; 5] = ["noon", "dusk", "night", "dawn", "morning"];
        let db = self.db()?;
        let name = NAMES[self.random.below(5) as usize];
        let is_there = db.named_snapshots()?.iter().any(|named| named.name == name);
        match self.random.below(4) {
            0 if is_there => return self.restore(name),
            1 if is_there => {
                self.names.must.remove(name);
                self.disk.names(&self.names);
                db.drop_snapshot(name)?;
            }
            // One of them is there all the time.
            _ if is_there => {
                let at = db.replace_snapshot(name)?.0;
                self.disk.promised(at);
            }
            _ => {
                self.names.may.insert(name.to_owned());
                self.disk.names(&self.names);
                let at = db.snapshot_named(name)?.0;
                self.disk.promised(at);
                if at != self.installed {
                    return broken(format!("{name} is of {at}, not {}", self.installed));
                }
            }
        }
        self.settle_names()?;
        self.disk.names(&self.names);
        self.deeds.named += 1;
        self.look()
    }

    fn restore(&mut self, name: &str) -> Outcome {
        let snapshot = self.db()?.open_snapshot(name)?;
        let then = self.model.state_at(snapshot.timestamp().0).clone();
        let durability = self.durability();
        self.commit_changes(durability, |txn, state, _| {
            txn.restore(&snapshot)?;
            *state = (*then).clone();
            Ok(())
        })?;
        self.deeds.restored += 1;
        Ok(())
    }
}
