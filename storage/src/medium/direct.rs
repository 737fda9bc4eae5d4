//! Writing past the system's cache: what is synced at once need not be copied into pages of the cache first, marked, found again and written back.
//!
//! Promises:
//! 1. It is a second way into a file that is written in the usual way as well; the system keeps both in step.
//! 2. What cannot go this way (an offset or a length that is not whole blocks, more than a mebibyte, a file system that does not offer it, an error) is left to the usual way, whose errors are the ones to be told.

use crate::sync::{AtomicBool, Mutex, Ordering};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// What offset, length and memory have to be multiples of: no device asks for more.
const ALIGNMENT: usize = 4096;

/// More at a time gains nothing, and would take as much memory once more.
const MOST: usize = 1 << 20;

pub(super) struct DirectFile {
    file: File,
    /// What is written is copied here first, to an address that suits the device.
    buffer: Mutex<Vec<u8>>,
    is_refused: AtomicBool,
}

impl DirectFile {
    /// The same file, opened once more; `None` where that is not offered.
    pub fn beside(file: &File, path: &Path) -> Option<DirectFile> {
        let flags = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).ok()?;
        let again = File::options().write(true).custom_flags(flags).open(path).ok()?;
        let (one, other) = (file.metadata().ok()?, again.metadata().ok()?);
        let is_same = (one.dev(), one.ino()) == (other.dev(), other.ino());
        is_same.then(|| DirectFile { file: again, buffer: Mutex::default(), is_refused: AtomicBool::new(false) })
    }

    /// Writes all of `bytes`, or tells that it could not: then any of them may have been written.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> bool {
        let is_whole = offset.is_multiple_of(ALIGNMENT as u64) && bytes.len().is_multiple_of(ALIGNMENT);
        if !is_whole || bytes.len() > MOST || self.is_refused.load(Ordering::Relaxed) {
            return false;
        }
        let mut buffer = self.buffer.lock();
        if buffer.len() < bytes.len() + ALIGNMENT {
            buffer.resize(bytes.len() + ALIGNMENT, 0);
        }
        let from = buffer.as_ptr().align_offset(ALIGNMENT);
        let Some(aligned) = buffer.get_mut(from..from + bytes.len()) else { return false };
        aligned.copy_from_slice(bytes);
        let is_written = self.file.write_all_at(aligned, offset).is_ok();
        if !is_written {
            self.is_refused.store(true, Ordering::Relaxed);
        }
        is_written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_blocks_go_past_the_cache_and_others_do_not() {
        let dir = tempfile::tempdir_in(".").unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [1; 16384]).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let Some(direct) = DirectFile::beside(&file, &path) else { return eprintln!("skipped: not offered here") };
        assert!(!direct.write(512, &[2; 4096]), "no whole block");
        assert!(!direct.write(4096, &[2; 100]), "no whole block");
        assert!(direct.write(4096, &[2; 8192]));
        file.write_all_at(&[3; 10], 8192).unwrap();
        let mut expected = vec![1; 16384];
        expected[4096..12288].fill(2);
        expected[8192..8202].fill(3);
        assert_eq!(std::fs::read(&path).unwrap(), expected, "both ways are in step");
    }

    #[test]
    fn another_file_under_the_same_name_is_not_taken() {
        let dir = tempfile::tempdir_in(".").unwrap();
        let path = dir.path().join("file");
        let file = File::create(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "other").unwrap();
        assert!(DirectFile::beside(&file, &path).is_none());
    }
}
