//! What was tried, counted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! tally {
    ($($field:ident: $label:literal,)*) => {
        /// Counts of one kind of test; threads share it.
        #[derive(Default)]
        pub struct Tally { $(pub $field: AtomicU64,)* }

        impl fmt::Display for Tally {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(match self.$field.load(Ordering::Relaxed) {
                    0 => {}
                    count => writeln!(f, "{count:>10}  {}", $label)?,
                })*
                Ok(())
            }
        }
    };
}

tally! {
    runs: "runs recorded",
    concurrent: "runs of several threads recorded",
    commits: "commits in them",
    checkpoints: "checkpoints in them",
    spilled: "pages that their transactions spilled",
    cuts: "times that their files were cut",
    punches: "holes that were punched into them",
    reopened: "times that their stores were closed and opened again",
    felled: "trees that they dropped and that were too large to go at once",
    moved: "bytes that their compactions moved",
    merged: "bytes of the nodes that they merged",
    named: "changes of the names of snapshots",
    restored: "named snapshots that they went back to",
    events: "events at which a crash was simulated",
    subsets: "images: a subset of the outstanding effects, of all subsets",
    samples: "images: a sample, because too many effects were outstanding",
    torn: "images: with torn writes",
    again: "of these images, so many are of a crash during or after the recovery from another",
    killed: "processes killed, with nothing lost, and another started on what was not synced",
    recoveries_failed: "recoveries on a disk that failed in the middle",
    faulty_once: "runs in which one call failed",
    faulty_short: "runs in which one write stopped half-way",
    faulty_from: "runs in which every call failed from some point on",
    faulty_full: "runs in which the disk was full from some point on",
    roomy_again: "of these, so many went on writing without being opened again once there was room",
}

impl Tally {
    pub fn images(&self) -> u64 {
        [&self.subsets, &self.samples, &self.torn].map(|count| count.load(Ordering::Relaxed)).iter().sum()
    }
}

pub fn count(counter: &AtomicU64) {
    add(counter, 1);
}

pub fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}
