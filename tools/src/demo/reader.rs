//! The analytic thread: passes over everything, again and again.

use super::analysis::analyse;
use super::proof::Evidence;
use crate::{Interrupt, Result};
use pentimento::{Database, Snapshot};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Beside the long snapshot, one pass in so many looks at the present, to see that it is in order while the past is held.
const PASSES_PER_LOOK: u64 = 8;
/// One pass proves nothing about the next.
const MIN_LONG_PASSES: u64 = 2;

/// What the reader did in one round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scanned {
    /// Over the long snapshot.
    pub passes_long: u64,
    /// Each over a snapshot of its own.
    pub passes_fresh: u64,
    pub entries: u64,
    pub elapsed: Duration,
}

/// Passes until told to stop: over `long`, if there is one, else over a new snapshot each time. The work of a pass is the same.
pub(crate) fn read(
    db: &Database,
    long: Option<&Snapshot>,
    evidence: &mut Evidence,
    stop: &AtomicBool,
    interrupt: &Interrupt,
) -> Result<Scanned> {
    let began = Instant::now();
    let mut scanned = Scanned::default();
    let mut reference = None;
    loop {
        let passes = scanned.passes_long + scanned.passes_fresh;
        let snapshot = long.filter(|_| passes % PASSES_PER_LOOK != PASSES_PER_LOOK - 1);
        let answer = match snapshot {
            Some(long) => analyse(long, interrupt)?,
            None => analyse(&db.snapshot()?, interrupt)?,
        };
        scanned.entries += answer.entries;
        // Serialised in every pass, so that the work is the same in both kinds of rounds.
        let bytes = answer.to_bytes();
        evidence.agreement(snapshot.is_some(), &answer);
        if snapshot.is_some() {
            scanned.passes_long += 1;
            match &reference {
                None => reference = Some(bytes),
                Some(reference) => evidence.sameness(reference, &bytes),
            }
        } else {
            scanned.passes_fresh += 1;
        }
        let is_enough = long.is_none() || scanned.passes_long >= MIN_LONG_PASSES;
        if stop.load(Ordering::Relaxed) && is_enough {
            break;
        }
    }
    if let Some(reference) = reference {
        evidence.answer_crc = Some(crc32fast::hash(&reference));
        evidence.answer_bytes = reference.len() as u64;
    }
    scanned.elapsed = began.elapsed();
    Ok(scanned)
}
