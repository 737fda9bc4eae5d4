//! Who keeps the file from becoming shorter.
//!
//! Promises: whoever has been reading for longer than the compaction is patient is taken for one who stays, and so is a named snapshot; what he sees is left where it is; those who come and go are waited
//! for, but no longer than that.

use crate::sync::{Arc, Instant, thread};
use crate::{Held, ReaderId, ReaderInfo, ReaderKind, SLOT_BYTES, Timestamp};
use pentimento_storage::Store;
use std::collections::HashSet;
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_millis(4);

/// What a compaction could not win, because a reader can still see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldBack {
    /// The timestamp that is kept readable.
    pub at: Timestamp,
    /// The name of the snapshot there, or the label of who reads there, if there is one.
    pub label: Option<Arc<str>>,
    /// How many bytes of the file are kept for it, or could not be moved because of it.
    pub bytes: u64,
}

fn is_old(reader: &ReaderInfo, patience: Duration) -> bool {
    u128::from(reader.age_ms) >= patience.as_millis()
}

fn stays(held: &Held, patience: Duration) -> bool {
    !held.names.is_empty() || held.readers.iter().any(|reader| is_old(reader, patience))
}

fn snapshots(store: &Store) -> Vec<ReaderInfo> {
    let mut readers = store.readers();
    readers.retain(|reader| reader.kind == ReaderKind::Snapshot);
    readers
}

/// The newest timestamp at which somebody reads who is likely to stay: what was born by then had better not be moved.
pub(super) fn newest_lasting(store: &Store, patience: Duration) -> Option<Timestamp> {
    let lasting = snapshots(store).into_iter().filter(|reader| is_old(reader, patience)).map(|reader| reader.at);
    lasting.chain(store.newest_named()).max()
}

/// As [`newest_lasting`], but watches those who have just come until it is known whether they stay.
pub(super) fn newest_lasting_of_all(store: &Store, patience: Duration) -> Option<Timestamp> {
    let started = Instant::now();
    let mut young: HashSet<ReaderId> = snapshots(store).into_iter().map(|reader| reader.id).collect();
    while !young.is_empty() && started.elapsed() < patience {
        let now = snapshots(store);
        young.retain(|id| now.iter().any(|reader| reader.id == *id && !is_old(reader, patience)));
        if !young.is_empty() {
            thread::sleep(LOOK_EVERY);
        }
    }
    newest_lasting(store, patience)
}

/// Waits until what only passing readers keep is given back, for a while. Tells whether anything was.
pub(super) fn wait_for_passers_by(store: &Arc<Store>, patience: Duration) -> bool {
    let started = Instant::now();
    let mut freed = store.maintain().freed;
    let is_passing = |held: &Held| !held.readers.is_empty() && held.versions > 0 && !stays(held, patience);
    while started.elapsed() < patience && store.held().iter().any(is_passing) {
        thread::sleep(LOOK_EVERY);
        freed += store.maintain().freed;
    }
    freed > 0
}

/// For whom how much is held, oldest first.
pub(super) fn held_back(store: &Arc<Store>, patience: Duration) -> Vec<HeldBack> {
    let newest = newest_lasting(store, patience);
    // What a lasting reader sees and is still the newest was not moved; it is the newest reader's, as a superseded version would be.
    let unmoved = newest.map_or(0, |newest| store.tail(store.extent().used, 0, Some(newest)).held_slots);
    let held = store.held().into_iter().filter(|held| stays(held, patience));
    let held = held.map(|held| HeldBack {
        at: held.at,
        label: held.names.first().cloned().or_else(|| held.readers.iter().find_map(|reader| reader.label.clone())),
        bytes: held.bytes + if Some(held.at) == newest { unmoved * SLOT_BYTES as u64 } else { 0 },
    });
    held.filter(|held| held.bytes > 0).collect()
}
