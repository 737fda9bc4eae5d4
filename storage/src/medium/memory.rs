//! Plain memory as a medium: for tests, simulated disks, and checking the storage layer without an operating system.
//!
//! With it Miri checks what is unsafe in this crate (places are integers, so provenance is exposed; the logs' tests use files):
//! `MIRIFLAGS="-Zmiri-permissive-provenance -Zmiri-disable-isolation" cargo +nightly miri test -p pentimento-storage --lib --test durable_install`

use super::Medium;
use crate::sync::{AtomicU64, Ordering};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::path::Path;
use std::ptr::NonNull;

/// A fixed reservation of zeroed memory of which the first `len` bytes are in use.
#[derive(Debug)]
pub struct MemoryMedium {
    base: NonNull<u8>,
    layout: Layout,
    len: AtomicU64,
}

impl MemoryMedium {
    /// Reserves `capacity` bytes (rounded up to 4096), which is the greatest length that the medium can have. The system
    /// provides the memory as it is touched.
    ///
    /// # Panics
    /// When `capacity` exceeds the address space.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> MemoryMedium {
        let size = capacity.max(1).next_multiple_of(4096);
        let layout = Layout::from_size_align(size, 4096).expect("a medium's capacity fits the address space");
        // SAFETY: the layout's size is not zero.
        let base = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(base) else { handle_alloc_error(layout) };
        MemoryMedium { base, layout, len: AtomicU64::new(0) }
    }

    /// The same with contents.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], capacity: usize) -> MemoryMedium {
        let medium = MemoryMedium::with_capacity(capacity.max(bytes.len()));
        medium.len.store(bytes.len() as u64, Ordering::Release);
        medium.copy_in(0, bytes);
        medium
    }

    /// A copy of the contents.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len() as usize];
        // SAFETY: `len` bytes at `base` are initialised and within the reservation. A caller that writes meanwhile
        // would race; this is for a medium at rest.
        unsafe { std::ptr::copy_nonoverlapping(self.base.as_ptr(), bytes.as_mut_ptr(), bytes.len()) };
        bytes
    }

    fn copy_in(&self, offset: u64, bytes: &[u8]) {
        // SAFETY: the callers checked that offset + len lies within the reservation. Nobody holds a reference to these bytes: the engine
        // writes only runs that no retained version occupies.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.as_ptr().add(offset as usize), bytes.len());
        }
    }
}

impl Drop for MemoryMedium {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `with_capacity`, and freed once.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}

// SAFETY: the memory is owned, and shared only under the rules of `Medium`.
unsafe impl Send for MemoryMedium {}
// SAFETY: the same.
unsafe impl Sync for MemoryMedium {}

// SAFETY: the reservation never moves and lives as long as `self`; it is aligned to 4096; `address` refuses what lies past the length.
unsafe impl Medium for MemoryMedium {
    fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    fn address(&self, offset: u64, len: u64) -> Option<NonNull<u8>> {
        if offset.checked_add(len)? > self.len() {
            return None;
        }
        NonNull::new(self.base.as_ptr().wrapping_add(offset as usize))
    }

    fn offset_of(&self, address: usize) -> Option<u64> {
        let within = address.checked_sub(self.base.addr().get())?;
        (within < self.layout.size()).then_some(within as u64)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > self.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.copy_in(offset, bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > self.layout.size() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let old = self.len();
        if len < old {
            // What is cut off reads as zeros when it is added again.
            self.copy_in(len, &vec![0; (old - len) as usize]);
        }
        self.len.store(len, Ordering::Release);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn path(&self) -> &Path {
        Path::new("<memory>")
    }
}
