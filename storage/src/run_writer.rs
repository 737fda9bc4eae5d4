//! Writing runs with few large calls.
//!
//! Promises: adjacent runs go out together, up to a megabyte a call; what is past a version's used bytes in its last slot is zero;
//! after an error nothing more is written.

use crate::layout::{Run, SLOT_BYTES};
use crate::medium::Medium;
use crate::{Error, Result};

const BUFFER_BYTES: usize = 1 << 20;

/// Gathers adjacent runs.
pub(crate) struct RunWriter<'m> {
    medium: &'m dyn Medium,
    buffer: Vec<u8>,
    offset: u64,
    written: u64,
}

impl<'m> RunWriter<'m> {
    pub fn new(medium: &'m dyn Medium) -> Self {
        Self::with_buffer(medium, Vec::new())
    }

    /// A writer that gathers in memory which was in use before: see [`into_buffer`](RunWriter::into_buffer).
    pub fn with_buffer(medium: &'m dyn Medium, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        RunWriter { medium, buffer, offset: 0, written: 0 }
    }

    /// Writes `bytes` into `run`, now or at the next flush.
    pub fn write(&mut self, run: Run, bytes: &[u8]) -> Result<()> {
        let room = run.bytes() as usize;
        debug_assert!(bytes.len() <= room);
        if run.offset() != self.offset + self.buffer.len() as u64 || self.buffer.len() + room > BUFFER_BYTES {
            self.flush()?;
            self.offset = run.offset();
        }
        if room > BUFFER_BYTES {
            let whole = bytes.len() / SLOT_BYTES * SLOT_BYTES;
            self.put(self.offset, &bytes[..whole])?;
            self.offset += whole as u64;
            self.buffer.extend_from_slice(&bytes[whole..]);
            self.buffer.resize(self.buffer.len().next_multiple_of(SLOT_BYTES), 0);
            self.flush()
        } else {
            let end = self.buffer.len() + room;
            self.buffer.extend_from_slice(bytes);
            self.buffer.resize(end, 0);
            Ok(())
        }
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.written += bytes.len() as u64;
        self.medium.write(offset, bytes).map_err(|source| Error::io("write", self.medium.path(), source))
    }

    fn flush(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        if !buffer.is_empty() {
            self.put(self.offset, &buffer)?;
            self.offset += buffer.len() as u64;
        }
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left, and tells how many bytes were written in all.
    pub fn finish(&mut self) -> Result<u64> {
        self.flush()?;
        Ok(self.written)
    }

    /// The memory that it gathered in.
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::medium::MemoryMedium;

    #[test]
    fn runs_land_where_they_belong() {
        let medium = MemoryMedium::with_capacity(8 << 20);
        medium.set_len(8 << 20).unwrap();
        let long = vec![9; (3 << 20) + 5];
        let mut writer = RunWriter::new(&medium);
        let mut expected = vec![0; 8 << 20];
        let mut start = 0;
        for (gap, bytes) in [(0, &b"one"[..]), (0, b"two"), (5, b"three"), (0, &long), (0, b"four"), (1, &long[..4000])]
        {
            let run = Run { start: start + gap, slots: bytes.len().div_ceil(SLOT_BYTES) as u64 };
            writer.write(run, bytes).unwrap();
            expected[run.offset() as usize..][..bytes.len()].copy_from_slice(bytes);
            start = run.end();
        }
        writer.finish().unwrap();
        assert!(medium.to_bytes() == expected);
    }
}
