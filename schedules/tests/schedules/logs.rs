//! Logs in memory that know what would survive a crash.

use pentimento_schedules_storage::{Log, Logs};
use pentimento_schedules_sync::{Arc, Mutex, thread};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// Where a journal's records begin, and the bytes of a record before its body.
const SEGMENT_HEADER_BYTES: usize = 512;
const RECORD_HEADER_BYTES: usize = 32;

#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

/// All files; clones share them.
#[derive(Clone, Default)]
pub struct Shelf(Arc<Mutex<BTreeMap<u64, Arc<Mutex<File>>>>>);

impl Shelf {
    /// The newest timestamp whose record is synced, of consecutive ones; 0 if there is none.
    pub fn durable(&self) -> u64 {
        let files: Vec<_> = self.0.lock().values().cloned().collect();
        files.iter().filter_map(|file| newest_record(&file.lock().synced)).max().unwrap_or(0)
    }
}

/// Goes from record to record: length, checksum, timestamp, as `txn/src/journal/record.rs` draws them.
fn newest_record(synced: &[u8]) -> Option<u64> {
    let mut newest = None;
    let mut rest = synced.get(SEGMENT_HEADER_BYTES..)?;
    while let Some(header) = rest.get(..RECORD_HEADER_BYTES) {
        let length = u32::from_le_bytes(header[..4].try_into().expect("four bytes")) as usize;
        let timestamp = u64::from_le_bytes(header[8..16].try_into().expect("eight bytes"));
        if timestamp == 0 {
            break;
        }
        newest = Some(timestamp);
        rest = rest.get((RECORD_HEADER_BYTES + length).next_multiple_of(8)..)?;
    }
    newest
}

impl Logs for Shelf {
    fn list(&self) -> io::Result<Vec<u64>> {
        Ok(self.0.lock().keys().copied().collect())
    }

    fn open(&self, number: u64) -> io::Result<Arc<dyn Log>> {
        let file = self.0.lock().entry(number).or_default().clone();
        Ok(Arc::new(Open(file)))
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        self.0.lock().remove(&number);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        thread::yield_now();
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        PathBuf::from(format!("<memory>-journal-{number}"))
    }
}

struct Open(Arc<Mutex<File>>);

impl Log for Open {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let file = self.0.lock();
        let found = file.bytes.get(offset as usize..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut file, end) = (self.0.lock(), offset as usize + bytes.len());
        if file.bytes.len() < end {
            file.bytes.resize(end, 0);
        }
        file.bytes[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    /// Of what is written while it lasts nothing is sure.
    fn sync(&self) -> io::Result<()> {
        let written = self.0.lock().bytes.clone();
        thread::yield_now();
        self.0.lock().synced = written;
        Ok(())
    }
}
