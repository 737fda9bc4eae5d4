//! What the process that has a store open publishes of it: who reads since when, and some figures.
//!
//! That is a small text in memory (see `pentimento_txn::inspect::Live`), which may be missing: then nothing is known of readers, and what they
//! may still need cannot be told from what is free.

use super::checkpoint::Checkpoint;
use super::file::StoreFile;
use crate::Result;
use pentimento_txn::inspect::{Live, live_path};
use serde::Serialize;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A reader of a store that is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveReader {
    /// Its label, if it was given one.
    pub label: Option<String>,
    /// How long it has been there, in milliseconds.
    pub age_ms: u64,
}

/// A timestamp that is kept readable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LivePinReport {
    /// The timestamp.
    pub at: u64,
    /// Superseded versions that are charged to it, in memory and in the file.
    pub versions: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether the durable checkpoint is there.
    pub is_checkpoint: bool,
    /// The snapshots there.
    pub readers: Vec<LiveReader>,
}

/// What the process publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveReport {
    /// The process.
    pub pid: u32,
    /// How long ago this was published, in milliseconds; an idle store does not publish again.
    pub age_ms: u64,
    /// Figures by name: those of the engine's statistics.
    pub figures: Vec<(String, u64)>,
    /// Timestamps that are kept readable, oldest first.
    pub pins: Vec<LivePinReport>,
}

impl LiveReport {
    /// What is published of the store in this file, if a process has it open and says so.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub fn read(file: &StoreFile, checkpoint: &Checkpoint) -> Result<Option<LiveReport>> {
        let (device, inode) = file.identity()?;
        let path = live_path(device, inode);
        let Some(live) = read_own(&path, file.owner()?) else { return Ok(None) };
        let is_ours = checkpoint.meta().is_none_or(|meta| meta.store_id == live.store_id);
        let is_running = Path::new("/proc").join(live.pid.to_string()).exists();
        Ok((is_ours && is_running && !checkpoint.head.is_closed()).then(|| LiveReport::of(live)))
    }

    fn of(live: Live) -> LiveReport {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let pins = live.pins.into_iter().map(|pin| LivePinReport {
            at: pin.at.0,
            versions: pin.versions,
            bytes: pin.bytes,
            is_checkpoint: pin.is_checkpoint,
            readers: pin
                .readers
                .into_iter()
                .map(|(label, since)| LiveReader { label, age_ms: now.saturating_sub(since) })
                .collect(),
        });
        let pins = pins.collect();
        LiveReport { pid: live.pid, age_ms: now.saturating_sub(live.updated_ms), figures: live.figures, pins }
    }

    /// A figure by its name; 0 if it is not published.
    #[must_use]
    pub fn figure(&self, name: &str) -> u64 {
        self.figures.iter().find(|(known, _)| known == name).map_or(0, |(_, value)| *value)
    }
}

/// The folder belongs to everybody: what somebody else put there is not believed.
fn read_own(path: &Path, owner: u32) -> Option<Live> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let is_trusted =
        metadata.is_file() && metadata.len() < 64 << 20 && (metadata.uid() == owner || metadata.uid() == 0);
    if !is_trusted {
        return None;
    }
    Live::parse(&fs::read_to_string(path).ok()?)
}
