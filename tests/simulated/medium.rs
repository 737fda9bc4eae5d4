//! The disk's store as a [`Medium`].

use super::disk::Disk;
use super::record::{STORE, Target};
use pentimento::Medium;
use std::io;
use std::path::Path;
use std::ptr::NonNull;

/// The store's file.
pub struct SimulatedMedium(pub Disk);

// SAFETY: addresses are those of a memory medium that lives as long as the disk, which `self` shares; its bytes change only through the disk's
// `write` and `set_len`.
unsafe impl Medium for SimulatedMedium {
    fn len(&self) -> u64 {
        self.0.memory().len()
    }

    fn address(&self, offset: u64, len: u64) -> Option<NonNull<u8>> {
        self.0.memory().address(offset, len)
    }

    fn offset_of(&self, address: usize) -> Option<u64> {
        self.0.memory().offset_of(address)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write(STORE, offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(STORE, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync(Target::File(STORE))
    }

    fn punch(&self, offset: u64, len: u64) {
        self.0.punch(STORE, offset, len);
    }

    fn path(&self) -> &Path {
        Path::new("<simulated>")
    }
}
