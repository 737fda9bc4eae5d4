//! Every figure of the demo. This is what `--json` prints, so names tell their units and stay as they are.

use super::proof::Proof;
use crate::{Error, Result};
use serde::Serialize;

/// The commits per second that holding a long snapshot should leave, as a part of those without.
pub const RATIO_GOAL: f64 = 0.9;

/// What the demo found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The folder that was stored.
    pub folder: String,
    /// Where the store was left; nowhere, if it was temporary.
    pub store: Option<String>,
    /// When the writer's commits were durable.
    pub durability: String,
    /// What is worth knowing about this run.
    pub notes: Vec<String>,
    /// How the store was filled.
    pub load: LoadReport,
    /// What the first pass found in the folder.
    pub contents: ContentsReport,
    /// The same work without and with a long snapshot.
    pub compared: ComparedReport,
    /// What a long snapshot held at the most; absent if it was never charged with anything.
    pub held: Option<HeldReport>,
    /// The file of the store, over time.
    pub file: FileReport,
    /// What must hold, and whether it did.
    pub proofs: Vec<Proof>,
    /// Whether all of it did.
    pub all_held: bool,
    /// How long the demo took.
    pub seconds: f64,
}

impl Report {
    /// An error that names the proofs that failed, if any did.
    pub(crate) fn verdict(&self) -> Result<()> {
        let failed: Vec<String> = self
            .proofs
            .iter()
            .filter(|proof| !proof.held)
            .map(|proof| format!("\"{}\": {}", proof.claim, proof.detail))
            .collect();
        if failed.is_empty() { Ok(()) } else { Err(Error::Proof(failed)) }
    }
}

/// How the store was filled.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// Files that were stored.
    pub files: u64,
    /// The sum of their sizes.
    pub bytes: u64,
    /// Files and folders that could not be read.
    pub skipped: u64,
    /// Whether the walk came to its end.
    pub complete: bool,
    /// If not, why.
    pub note: Option<String>,
    /// How long reading the folder and storing took.
    pub seconds: f64,
    /// The part of it that the store took, until everything was durable.
    pub store_seconds: f64,
    /// Files per second, with reading.
    pub files_per_second: f64,
    /// Files per second of the store alone.
    pub store_files_per_second: f64,
}

/// What the first pass found in the folder.
#[derive(Clone, Debug, Serialize)]
pub struct ContentsReport {
    /// Different extensions, none counting as one.
    pub extensions: u64,
    /// The largest files, largest first.
    pub largest: Vec<LargeFile>,
    /// Groups of regular files of the same size and checksum.
    pub duplicate_groups: u64,
    /// How many files are in them.
    pub duplicate_files: u64,
}

/// A large file.
#[derive(Clone, Debug, Serialize)]
pub struct LargeFile {
    /// Its path below the folder, with what is no text replaced.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// The same work without and with a long snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct ComparedReport {
    /// How many files, and their totals, each commit changed.
    pub files_per_commit: u64,
    /// Rounds of each kind.
    pub rounds_each: u64,
    /// A new snapshot for each pass.
    pub without: SideReport,
    /// One snapshot for all passes of a round.
    pub with: SideReport,
    /// Commits per second with, divided by those of the neighbouring round without: the median of all such pairs.
    pub ratio: f64,
    /// The same for commits per second of the writer's processor time: steadier on a busy machine, but blind to waiting.
    pub processor_ratio: f64,
    /// The ratio to be reached.
    pub ratio_goal: f64,
    /// Each round, in the order in which they ran.
    pub rounds: Vec<RoundReport>,
}

/// All rounds of one kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SideReport {
    /// The median of the rounds.
    pub commits_per_second: f64,
    /// Per second of the writer's processor time. The median of the rounds.
    pub commits_per_processor_second: f64,
    /// The median of the rounds.
    pub entries_scanned_per_second: f64,
    /// Commits of all rounds.
    pub commits: u64,
    /// Passes over everything, of all rounds.
    pub passes: u64,
    /// The longest that a commit took.
    pub slowest_commit_ms: f64,
    /// The most bytes of the file that were in use.
    pub used_bytes_max: u64,
    /// The most memory in frames.
    pub frame_bytes_max: u64,
    /// The most superseded versions that were there at once.
    pub versions_retained_max: u64,
    /// Superseded versions that were given back, those after the end of a round included.
    pub versions_reclaimed: u64,
    /// Reads that had to look into the history.
    pub history_lookups: u64,
    /// Checkpoints that became durable.
    pub checkpoints: u64,
}

/// One round.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RoundReport {
    /// Whether the passes shared one long snapshot.
    pub long_snapshot: bool,
    /// How long the writer ran.
    pub seconds: f64,
    /// Its commits.
    pub commits: u64,
    /// Its commits per second.
    pub commits_per_second: f64,
    /// Its commits per second of its processor time.
    pub commits_per_processor_second: f64,
    /// The longest that one took.
    pub slowest_commit_ms: f64,
    /// Passes over the long snapshot.
    pub passes_long: u64,
    /// Passes that took a snapshot of their own.
    pub passes_fresh: u64,
    /// Entries read per second.
    pub entries_scanned_per_second: f64,
    /// The most superseded versions that were there at once.
    pub versions_retained_max: u64,
    /// How long it took afterwards to give back what nobody needed any more. Not part of `seconds`.
    pub release_ms: f64,
}

/// What a snapshot held.
#[derive(Clone, Debug, Serialize)]
pub struct HeldReport {
    /// The label of the snapshot.
    pub label: String,
    /// The timestamp that it kept readable.
    pub at: u64,
    /// How many commits had been made since.
    pub commits_behind: u64,
    /// How old it was.
    pub age_ms: u64,
    /// Superseded versions that were charged to it.
    pub versions: u64,
    /// Their size.
    pub bytes: u64,
}

/// The file of the store, over time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FileReport {
    /// The part that was in use after loading.
    pub loaded_used_bytes: u64,
    /// Its length after loading, before the first long snapshot.
    pub loaded_bytes: u64,
    /// Its greatest length while a long snapshot was held.
    pub largest_bytes: u64,
    /// Its length after the last long snapshot was dropped, the store maintained, and a checkpoint made.
    pub after_bytes: u64,
    /// The part that was in use then.
    pub after_used_bytes: u64,
    /// Superseded versions that were still there then.
    pub after_versions_retained: u64,
    /// Its length after closing.
    pub closed_bytes: u64,
    /// Everything that was written to it.
    pub written_bytes: u64,
}
