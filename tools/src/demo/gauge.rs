//! Reads the store's own statistics while reader and writer run, and keeps the largest of each.

use super::report::HeldReport;
use pentimento::Database;

/// The largest that was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge {
    pub file_bytes: u64,
    pub used_bytes: u64,
    pub frame_bytes: u64,
    pub versions_retained: u64,
    /// What a snapshot of the label that is looked for held.
    pub held: Option<HeldReport>,
}

impl Gauge {
    /// Looks once. `label` names the snapshot whose cost is wanted.
    pub fn look(&mut self, db: &Database, label: &str) {
        let stats = db.stats();
        self.file_bytes = self.file_bytes.max(stats.file_bytes);
        self.used_bytes = self.used_bytes.max(stats.slots_used * pentimento::SLOT_BYTES as u64);
        self.frame_bytes = self.frame_bytes.max(stats.frame_bytes);
        self.versions_retained = self.versions_retained.max(stats.versions_retained);
        let seen = db.readers().into_iter().find_map(|held| {
            let reader = held.readers.iter().find(|reader| reader.label.as_deref() == Some(label))?;
            Some(HeldReport {
                label: label.to_owned(),
                at: held.at.0,
                commits_behind: stats.published.0.saturating_sub(held.at.0),
                age_ms: reader.age_ms,
                versions: held.versions,
                bytes: held.bytes,
            })
        });
        // Of equals the later: what a snapshot holds stops growing soon, its age does not.
        if seen.as_ref().map_or(0, |held| held.bytes) >= self.held.as_ref().map_or(0, |held| held.bytes) {
            self.held = seen.or(self.held.take());
        }
    }

    /// Takes over what another gauge saw.
    pub fn merge(&mut self, other: Gauge) {
        self.file_bytes = self.file_bytes.max(other.file_bytes);
        self.used_bytes = self.used_bytes.max(other.used_bytes);
        self.frame_bytes = self.frame_bytes.max(other.frame_bytes);
        self.versions_retained = self.versions_retained.max(other.versions_retained);
        if other.held.as_ref().map(|held| held.bytes) >= self.held.as_ref().map(|held| held.bytes) {
            self.held = other.held.or(self.held.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_labelled_snapshot_holds_is_seen_and_remembered() {
        let db = Database::in_memory().unwrap();
        let commit = |value: &[u8]| {
            let mut txn = db.begin_write().unwrap();
            txn.tree("t").unwrap().insert(b"k", value).unwrap();
            txn.commit().unwrap();
        };
        commit(b"1");
        let mut gauge = Gauge::default();
        gauge.look(&db, "wanted");
        assert!(gauge.held.is_none());

        let snapshot = db.snapshot().unwrap().labelled("wanted");
        commit(b"2");
        db.maintain().unwrap();
        gauge.look(&db, "another");
        assert!(gauge.held.is_none());
        gauge.look(&db, "wanted");
        let held = gauge.held.clone().unwrap();
        assert_eq!((held.at, held.versions, held.commits_behind), (snapshot.timestamp().0, 1, 1));
        assert!(held.bytes > 0 && gauge.versions_retained >= 1);

        drop(snapshot);
        db.maintain().unwrap();
        gauge.look(&db, "wanted");
        assert_eq!(gauge.held.unwrap().bytes, held.bytes);
    }
}
