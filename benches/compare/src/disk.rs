//! What a store takes on the disk.

use crate::engine::Engine;
use anyhow::Result;
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
