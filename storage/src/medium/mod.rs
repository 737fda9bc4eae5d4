//! Where the bytes of a store live.
//!
//! A medium is one growing array of bytes. It is *read* through plain addresses that stay good for as long as the medium
//! lives (so that a page can be handed out without a copy), and *written* by explicit calls that can fail.
//! Nothing else in the engine knows about files.

mod direct;
mod file;
mod logs;
mod memory;

pub use file::FileMedium;
pub use logs::{FileLogs, Log, Logs};
pub use memory::MemoryMedium;

use std::io;
use std::path::Path;
use std::ptr::NonNull;

/// Runs never cross a multiple of this many bytes, so that a medium may map its contents piece by piece.
pub const SEGMENT_BYTES: u64 = 1 << 36;

/// A growing array of bytes with addressable contents.
///
/// # Safety
/// For every `offset` and `len` with `offset + len <= self.len()` that do not cross a multiple of [`SEGMENT_BYTES`],
/// `address(offset, len)` must return an address
/// - whose `len` bytes may be read for as long as the medium lives and is not truncated below `offset + len`,
/// - that is the same at every call, and aligned like `offset` up to 4096,
/// - whose bytes change only through [`write`](Medium::write) and [`set_len`](Medium::set_len).
pub unsafe trait Medium: Send + Sync {
    /// The length, in bytes.
    fn len(&self) -> u64;

    /// Whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The address of `len` bytes at `offset`; `None` when they cannot be addressed.
    fn address(&self, offset: u64, len: u64) -> Option<NonNull<u8>>;

    /// The inverse of [`address`](Medium::address): the offset of an address that it gave out.
    fn offset_of(&self, address: usize) -> Option<u64>;

    /// Writes all of `bytes` at `offset`, which lie within the length.
    ///
    /// # Errors
    /// What the system says; some of the bytes may have been written.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Extends with zeros, or truncates.
    ///
    /// # Errors
    /// What the system says; the length is then as it was.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Returns when everything written so far would survive a loss of power.
    ///
    /// # Errors
    /// What the system says; then it is unknown what is durable.
    fn sync(&self) -> io::Result<()>;

    /// A hint that these bytes will not be read before they are written again: what holds them may be given back to the system.
    fn punch(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// Whether the medium is still the one that was opened, as far as that can be told: not removed or cut by somebody else.
    ///
    /// # Errors
    /// What is wrong.
    fn probe(&self) -> io::Result<()> {
        Ok(())
    }

    /// A hint that bytes are about to be read that may have to be fetched.
    fn will_need(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// A name for messages: the path of a file.
    fn path(&self) -> &Path;
}
