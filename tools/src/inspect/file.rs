//! The file of a store, for reading only.

use crate::{Error, Result};
use pentimento_storage::{FileLogs, Logs};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A store's file, open for reading, without any lock.
#[derive(Debug)]
pub struct StoreFile {
    file: File,
    path: PathBuf,
    name: String,
}

impl StoreFile {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// When it is no file, or may not be read.
    pub fn open(path: &Path) -> Result<StoreFile> {
        let failed = |source: io::Error| Error::Unreadable(format!("cannot open {}: {source}", path.display()));
        let file = File::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(Error::Unreadable(format!("{} is not a file", path.display())));
        }
        // The journal lies beside the file itself, whatever name it was opened by.
        let resolved = path.canonicalize().map_err(failed)?;
        Ok(StoreFile { file, path: resolved, name: path.display().to_string() })
    }

    /// The path with all links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The length now, in bytes.
    ///
    /// # Errors
    /// What the system says.
    pub fn len(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(Error::io("measure", &self.path))?.len())
    }

    /// Whether the file has no bytes now.
    ///
    /// # Errors
    /// What the system says.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// What tells this file from all others of the machine: device and inode.
    ///
    /// # Errors
    /// What the system says.
    pub fn identity(&self) -> Result<(u64, u64)> {
        let metadata = self.file.metadata().map_err(Error::io("look at", &self.path))?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// The user who owns the file.
    ///
    /// # Errors
    /// What the system says.
    pub fn owner(&self) -> Result<u32> {
        Ok(self.file.metadata().map_err(Error::io("look at", &self.path))?.uid())
    }

    /// Reads into `bytes` from `offset` on, and tells how many bytes there were.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            match self.file.read_at(&mut bytes[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// The journal's files: their numbers and paths, in order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn journal_files(&self) -> Result<Vec<(u64, PathBuf)>> {
        let logs = FileLogs::beside(&self.path, true);
        let mut numbers = logs.list().map_err(Error::io("list the journal beside", &self.path))?;
        numbers.sort_unstable();
        Ok(numbers.into_iter().map(|number| (number, logs.path(number))).collect())
    }
}
