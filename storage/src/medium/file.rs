//! A file, read through a mapping and written by `pwrite`.
//!
//! Promises:
//! 1. The mapping is read-only and raw: no reference spans it. Only the bytes of pages that are retained are ever
//!    borrowed, and nobody writes those.
//! 2. Address space is reserved in pieces of [`SEGMENT_BYTES`], far beyond the end of the file, so growth never remaps
//!    and an address stays good for the life of the medium.
//! 3. A full disk is an error of `write`, never a signal: nothing is ever stored through the mapping.

use super::{Medium, SEGMENT_BYTES};
use crate::sync::{AtomicU64, OnceLock, Ordering};
use memmap2::{Advice, MmapOptions, MmapRaw};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

/// The greatest number of segments: 8 TiB, the limit of the format.
const SEGMENTS: usize = 128;

/// A file as a [`Medium`].
#[derive(Debug)]
pub struct FileMedium {
    file: File,
    path: PathBuf,
    len: AtomicU64,
    /// Odd while we change the length ourselves.
    changes: AtomicU64,
    segments: [OnceLock<MmapRaw>; SEGMENTS],
    read_ahead: bool,
}

impl FileMedium {
    /// Takes a file that is open for reading (and writing, if it is to be written). `path` is for messages.
    ///
    /// # Errors
    /// When the file's length cannot be read, or it cannot be mapped.
    pub fn new(file: File, path: &Path) -> io::Result<FileMedium> {
        FileMedium::with_read_ahead(file, path, true)
    }

    /// The same; without `read_ahead` the system is asked to read just what is touched.
    ///
    /// # Errors
    /// As for [`new`](FileMedium::new).
    pub fn with_read_ahead(file: File, path: &Path, read_ahead: bool) -> io::Result<FileMedium> {
        let len = file.metadata()?.len();
        let medium = FileMedium {
            file,
            path: path.to_owned(),
            len: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            segments: [const { OnceLock::new() }; SEGMENTS],
            read_ahead,
        };
        medium.cover(len)?;
        medium.len.store(len, Ordering::Release);
        Ok(medium)
    }

    /// Maps every segment that a length of `len` touches.
    fn cover(&self, len: u64) -> io::Result<()> {
        let needed = len.div_ceil(SEGMENT_BYTES);
        if needed > SEGMENTS as u64 {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the store is limited to 8 TiB"));
        }
        for (index, segment) in self.segments.iter().enumerate().take(needed.max(1) as usize) {
            if segment.get().is_none() {
                let map = MmapOptions::new()
                    .offset(index as u64 * SEGMENT_BYTES)
                    .len(SEGMENT_BYTES as usize)
                    .map_raw_read_only(&self.file)?;
                if !self.read_ahead {
                    map.advise(Advice::Random)?;
                }
                // A second thread may have mapped the same segment meanwhile; then this map is dropped unused.
                let _ = segment.set(map);
            }
        }
        Ok(())
    }
}

// SAFETY: each segment is mapped once, shared, for the life of `self`, and never moved; `address` refuses what lies past the
// length, so the bytes exist in the file unless another program truncates it (documented as out of a process's hands). They change
// only through `write` and `set_len`, or by another program that ignores the file's lock. Segments are aligned to 4096 or more.
unsafe impl Medium for FileMedium {
    fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    fn address(&self, offset: u64, len: u64) -> Option<NonNull<u8>> {
        let end = offset.checked_add(len)?;
        let (index, within) = ((offset / SEGMENT_BYTES) as usize, offset % SEGMENT_BYTES);
        if end > self.len() || within + len > SEGMENT_BYTES {
            return None;
        }
        let base = self.segments.get(index)?.get()?.as_ptr();
        NonNull::new(base.cast_mut().wrapping_add(within as usize).cast())
    }

    fn offset_of(&self, address: usize) -> Option<u64> {
        self.segments.iter().enumerate().find_map(|(index, segment)| {
            let within = address.checked_sub(segment.get()?.as_ptr().addr())? as u64;
            (within < SEGMENT_BYTES).then(|| index as u64 * SEGMENT_BYTES + within)
        })
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.cover(len)?;
        self.changes.fetch_add(1, Ordering::SeqCst);
        let result = self.file.set_len(len);
        if result.is_ok() {
            self.len.store(len, Ordering::SeqCst);
        }
        self.changes.fetch_add(1, Ordering::SeqCst);
        result
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()?;
        self.probe()
    }

    #[cfg(target_os = "linux")]
    fn punch(&self, offset: u64, len: u64) {
        use rustix::fs::{FallocateFlags, fallocate};
        // Not every file system can. Then the blocks stay.
        let _ = fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, len);
    }

    fn probe(&self) -> io::Result<()> {
        // Changes of ours that are under way, or came and went meanwhile, make the length say nothing.
        let changes = self.changes.load(Ordering::SeqCst);
        let expected = self.len();
        let metadata = self.file.metadata()?;
        // Under its name, too: a store that is moved is separated from its journal.
        let named = std::fs::metadata(&self.path);
        if metadata.nlink() == 0
            || !named.is_ok_and(|named| (named.dev(), named.ino()) == (metadata.dev(), metadata.ino()))
        {
            return Err(io::Error::other("the file was removed or moved by somebody else"));
        }
        let is_quiet = changes.is_multiple_of(2) && self.changes.load(Ordering::SeqCst) == changes;
        if is_quiet && metadata.len() < expected {
            return Err(io::Error::other("the file was truncated by somebody else"));
        }
        Ok(())
    }

    fn will_need(&self, offset: u64, len: u64) {
        // The system that reads ahead fetches all of it with the first byte.
        if self.read_ahead {
            return;
        }
        let (index, within) = ((offset / SEGMENT_BYTES) as usize, offset % SEGMENT_BYTES);
        if let Some(map) = self.segments.get(index).and_then(OnceLock::get) {
            // A hint: when it fails the bytes are fetched one page after the other.
            let _ = map.advise_range(Advice::WillNeed, within as usize, len as usize);
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medium() -> (tempfile::TempDir, FileMedium) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("medium");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        let medium = FileMedium::new(file, &path).unwrap();
        (dir, medium)
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri does not map files")]
    fn addresses_stay_while_the_file_grows() {
        let (_dir, medium) = medium();
        assert_eq!(medium.address(0, 1), None, "nothing can be addressed past the end");
        medium.set_len(8192).unwrap();
        medium.write(4096, b"under").unwrap();
        let before = medium.address(4096, 5).unwrap();
        medium.set_len(1 << 30).unwrap();
        assert_eq!(medium.address(4096, 5), Some(before));
        assert_eq!(medium.offset_of(before.addr().get()), Some(4096));
        // SAFETY: within the length, and nobody writes meanwhile.
        assert_eq!(unsafe { std::slice::from_raw_parts(before.as_ptr(), 5) }, b"under");
        medium.set_len(4096).unwrap();
        assert_eq!(medium.address(4096, 1), None);
    }
}
