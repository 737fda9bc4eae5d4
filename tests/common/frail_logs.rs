//! Files of a journal that get no room, or fail.
#![allow(dead_code, reason = "each test file uses its own part")]

use pentimento::{FileLogs, Log, Logs};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What goes wrong with the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    None,
    Writes,
    Syncs,
    Full,
    /// What is written at the beginning of a file arrives, but is reported as failed.
    Headers,
}

/// Real files with faults on demand. Clones share them.
#[derive(Clone)]
pub struct FrailLogs {
    files: Arc<FileLogs>,
    fault: Arc<AtomicU8>,
}

impl FrailLogs {
    pub fn beside(store: &Path) -> FrailLogs {
        FrailLogs { files: Arc::new(FileLogs::beside(store, false)), fault: Arc::default() }
    }

    pub fn set_fault(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::SeqCst);
    }
}

impl Logs for FrailLogs {
    fn list(&self) -> io::Result<Vec<u64>> {
        self.files.list()
    }

    fn open(&self, number: u64) -> io::Result<Arc<dyn Log>> {
        Ok(Arc::new(FrailLog { log: self.files.open(number)?, fault: self.fault.clone() }))
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        self.files.remove(number)
    }

    fn sync(&self) -> io::Result<()> {
        self.files.sync()
    }

    fn path(&self, number: u64) -> PathBuf {
        self.files.path(number)
    }
}

struct FrailLog {
    log: Arc<dyn Log>,
    fault: Arc<AtomicU8>,
}

impl FrailLog {
    fn has(&self, fault: Fault) -> bool {
        self.fault.load(Ordering::SeqCst) == fault as u8
    }
}

impl Log for FrailLog {
    fn len(&self) -> io::Result<u64> {
        self.log.len()
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.log.read(offset, bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.has(Fault::Full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.has(Fault::Writes) {
            return Err(io::Error::other("a planted failure of a write"));
        }
        self.log.write(offset, bytes)?;
        match offset == 0 && self.has(Fault::Headers) {
            true => Err(io::Error::other("a planted failure of a write that arrived")),
            false => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self.has(Fault::Syncs) {
            true => Err(io::Error::other("a planted failure of a sync")),
            false => self.log.sync(),
        }
    }
}
