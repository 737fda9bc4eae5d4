//! What a store takes on the disk.

use crate::engine::Engine;
use anyhow::{Context, Result, ensure};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The size of a folder with all that is in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Blocks that are allocated, in bytes: `st_blocks * 512`.
    pub allocated: u64,
    /// The lengths of the files as they appear, in bytes: files with holes are longer than what they take.
    pub apparent: u64,
    /// Allocated blocks of the files that are no logs, in bytes.
    pub data: u64,
}

/// Refuses a folder whose files are in memory: syncs cost nothing there.
///
/// # Errors
/// When it is one, or cannot be looked at.
pub fn check_is_disk(dir: &Path) -> Result<()> {
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    let kind = rustix::fs::statfs(dir).with_context(|| format!("cannot look at {}", dir.display()))?.f_type;
    ensure!(
        kind as i64 != TMPFS_MAGIC,
        "{} is in memory, where a sync costs nothing; name a folder on a disk with --dir",
        dir.display()
    );
    Ok(())
}

/// Measures the folder of an engine. Files that go while it looks are left out.
///
/// # Errors
/// When the folder cannot be read.
pub fn usage<E: Engine>(dir: &Path) -> Result<Usage> {
    let mut usage = Usage::default();
    for entry in walkdir::WalkDir::new(dir) {
        let looked = entry.and_then(|entry| Ok((E::is_log(&entry.file_name().to_string_lossy()), entry.metadata()?)));
        let (is_log, metadata) = match looked {
            Ok(looked) => looked,
            Err(error) if error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound) => {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if metadata.is_file() {
            usage.allocated += metadata.blocks() * 512;
            usage.apparent += metadata.len();
            usage.data += if is_log { 0 } else { metadata.blocks() * 512 };
        }
    }
    Ok(usage)
}
