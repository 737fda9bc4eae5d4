//! A disk that gets full, or fails.
#![allow(dead_code, reason = "each test file uses its own part")]

use pentimento::{Medium, MemoryMedium};
use std::io;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The two meta slots are in front of this.
const METAS_END: u64 = 8192;

#[derive(Default)]
struct Faults {
    /// The greatest length.
    limit: AtomicU64,
    writes_fail: AtomicBool,
    metas_fail: AtomicBool,
    syncs_fail: AtomicBool,
}

/// Plain memory with faults on demand. Clones share it, so a store can be opened again from what another left.
#[derive(Clone)]
pub struct FrailMedium {
    memory: Arc<MemoryMedium>,
    faults: Arc<Faults>,
}

impl FrailMedium {
    pub fn with_limit(limit: u64) -> FrailMedium {
        let medium = FrailMedium { memory: Arc::new(MemoryMedium::with_capacity(64 << 20)), faults: Arc::default() };
        medium.set_limit(limit);
        medium
    }

    /// What a crash would leave, on a disk that is well.
    pub fn crashed(&self) -> FrailMedium {
        let copy = FrailMedium::with_limit(u64::MAX);
        FrailMedium { memory: Arc::new(MemoryMedium::from_bytes(&self.memory.to_bytes(), 64 << 20)), ..copy }
    }

    pub fn set_limit(&self, limit: u64) {
        self.faults.limit.store(limit, Ordering::SeqCst);
    }

    pub fn fail_writes(&self, yes: bool) {
        self.faults.writes_fail.store(yes, Ordering::SeqCst);
    }

    /// Only writes of the meta slots fail.
    pub fn fail_metas(&self, yes: bool) {
        self.faults.metas_fail.store(yes, Ordering::SeqCst);
    }

    pub fn fail_syncs(&self, yes: bool) {
        self.faults.syncs_fail.store(yes, Ordering::SeqCst);
    }
}

// SAFETY: all calls that do not fail go to a medium that keeps the contract; one that fails has done nothing.
unsafe impl Medium for FrailMedium {
    fn len(&self) -> u64 {
        self.memory.len()
    }

    fn address(&self, offset: u64, len: u64) -> Option<NonNull<u8>> {
        self.memory.address(offset, len)
    }

    fn offset_of(&self, address: usize) -> Option<u64> {
        self.memory.offset_of(address)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let metas_fail = offset < METAS_END && self.faults.metas_fail.load(Ordering::SeqCst);
        match metas_fail || self.faults.writes_fail.load(Ordering::SeqCst) {
            true => Err(io::Error::other("a planted failure of a write")),
            false => self.memory.write(offset, bytes),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > self.len() && len > self.faults.limit.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.memory.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        match self.faults.syncs_fail.load(Ordering::SeqCst) {
            true => Err(io::Error::other("a planted failure of a sync")),
            false => self.memory.sync(),
        }
    }

    fn path(&self) -> &Path {
        Path::new("frail.pent")
    }
}
