//! Files that grow at one end, beside a medium: where a redo log lives.
//!
//! Promises:
//! 1. A log is read and written at offsets by explicit calls; nothing of it is mapped.
//! 2. What was written is durable after [`Log::sync`], a file's name (made or removed) after [`Logs::sync`].

use super::direct::DirectFile;
use std::fs::{File, read_dir, remove_file};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What files are filled with: a part that stays in the processor's cache.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// One log file.
#[expect(
    clippy::len_without_is_empty,
    reason = "whether it is empty is nobody's question, and would need a call that can fail"
)]
pub trait Log: Send + Sync {
    /// The length, in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Reads exactly `bytes.len()` bytes at `offset`.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` past the end.
    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`; the file grows as needed.
    ///
    /// # Errors
    /// What the system says; some of the bytes may have been written.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Writes so many zeros: what is written there later finds blocks, so that a sync has to write nothing but data.
    ///
    /// # Errors
    /// As for [`write`](Log::write).
    fn fill(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = offset + len;
        let mut at = offset;
        while at < end {
            let piece = &ZEROS[..ZEROS.len().min((end - at) as usize)];
            self.write(at, piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Makes room on the disk behind the end of the file, so that writing there will not fail for want of it, at less cost than [`fill`](Log::fill) where the file system offers that. The
    /// file may become longer, by zeros.
    ///
    /// # Errors
    /// As for [`write`](Log::write).
    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        self.fill(offset, len)
    }

    /// As [`write`](Log::write), for bytes that a [`sync`](Log::sync) follows at once: it may go past the system's cache, and wait for the disk.
    ///
    /// # Errors
    /// The same.
    fn write_to_sync(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write(offset, bytes)
    }

    /// Returns when everything written so far would survive a loss of power.
    ///
    /// # Errors
    /// What the system says; then it is unknown what is durable.
    fn sync(&self) -> io::Result<()>;

    /// Whether the file is still there, as far as that can be told. Not to be asked at each write: where timestamps are fine-grained,
    /// asking for a file's metadata makes its next sync write metadata too.
    ///
    /// # Errors
    /// What is wrong.
    fn probe(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The log files of one store, by number.
pub trait Logs: Send + Sync {
    /// The numbers of the files that are there, in any order.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<u64>>;

    /// Opens a file; one that is missing is made, empty.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, number: u64) -> io::Result<Arc<dyn Log>>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, number: u64) -> io::Result<()>;

    /// Returns when the files' names would survive a loss of power.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self) -> io::Result<()>;

    /// What to call a file in messages.
    fn path(&self, number: u64) -> PathBuf;
}

/// Log files beside a store: `STORE-journal-N`.
#[derive(Debug)]
pub struct FileLogs {
    store: PathBuf,
    read_only: bool,
}

impl FileLogs {
    /// The log files of the store at `path`.
    #[must_use]
    pub fn beside(path: &Path, read_only: bool) -> FileLogs {
        FileLogs { store: path.to_owned(), read_only }
    }

    fn folder(&self) -> &Path {
        self.store.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn prefix(&self) -> std::ffi::OsString {
        let mut prefix = self.store.file_name().unwrap_or_default().to_owned();
        prefix.push("-journal-");
        prefix
    }
}

impl Logs for FileLogs {
    fn list(&self) -> io::Result<Vec<u64>> {
        let prefix = self.prefix();
        let mut numbers = Vec::new();
        for entry in read_dir(self.folder())? {
            let name = entry?.file_name();
            let number = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
            numbers
                .extend(number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok()).map(u64::from));
        }
        Ok(numbers)
    }

    fn open(&self, number: u64) -> io::Result<Arc<dyn Log>> {
        let write = !self.read_only;
        let file = File::options().read(true).write(write).create(write).truncate(false).open(self.path(number))?;
        let direct = if write { DirectFile::beside(&file, &self.path(number)) } else { None };
        Ok(Arc::new(FileLog { file, direct }))
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        remove_file(self.path(number))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(self.folder())?.sync_all()
    }

    fn path(&self, number: u64) -> PathBuf {
        let mut name = self.prefix();
        name.push(number.to_string());
        self.folder().join(name)
    }
}

struct FileLog {
    file: File,
    direct: Option<DirectFile>,
}

impl Log for FileLog {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    #[cfg(target_os = "linux")]
    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::{Errno, retry_on_intr};
        match retry_on_intr(|| fallocate(&self.file, FallocateFlags::empty(), offset, len)) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.fill(offset, len),
            result => Ok(result?),
        }
    }

    fn write_to_sync(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match &self.direct {
            Some(direct) if direct.write(offset, bytes) => Ok(()),
            _ => self.write(offset, bytes),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn probe(&self) -> io::Result<()> {
        if self.file.metadata()?.nlink() == 0 {
            return Err(io::Error::other("the file was removed by somebody else"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_number() {
        let dir = tempfile::tempdir().unwrap();
        let logs = FileLogs::beside(&dir.path().join("store.pent"), false);
        assert_eq!(logs.list().unwrap(), []);
        for number in [3, 12] {
            logs.open(number).unwrap().write(5, b"entry").unwrap();
        }
        std::fs::write(dir.path().join("store.pent-journal-x"), "").unwrap();
        let mut found = logs.list().unwrap();
        found.sort_unstable();
        assert_eq!(found, [3, 12]);
        let log = logs.open(12).unwrap();
        let mut bytes = [1; 10];
        log.read(0, &mut bytes).unwrap();
        assert_eq!((&bytes, log.len().unwrap()), (b"\0\0\0\0\0entry", 10));
        assert!(log.read(1, &mut bytes).is_err());
        log.reserve(10, 100_000).unwrap();
        log.fill(100_010, 100_000).unwrap();
        assert_eq!(log.len().unwrap(), 200_010);
        let mut room = vec![1; 200_000];
        log.read(10, &mut room).unwrap();
        assert!(room.iter().all(|byte| *byte == 0));
        logs.remove(3).unwrap();
        logs.sync().unwrap();
        assert_eq!(logs.list().unwrap(), [12]);
    }
}
