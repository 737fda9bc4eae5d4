//! The disk's logs as [`Logs`].

use super::disk::Disk;
use super::record::Target;
use pentimento::{Log, Logs};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The log files beside the store.
pub struct SimulatedLogs(pub Disk);

impl Logs for SimulatedLogs {
    fn list(&self) -> io::Result<Vec<u64>> {
        self.0.ask(|state| Ok(state.names.keys().copied().collect()))
    }

    fn open(&self, number: u64) -> io::Result<Arc<dyn Log>> {
        let file = self.0.open_log(number)?;
        Ok(Arc::new(SimulatedLog { disk: self.0.clone(), file }))
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        self.0.remove_log(number)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync(Target::Names)
    }

    fn path(&self, number: u64) -> PathBuf {
        PathBuf::from(format!("<simulated>-journal-{number}"))
    }
}

struct SimulatedLog {
    disk: Disk,
    file: usize,
}

impl Log for SimulatedLog {
    fn len(&self) -> io::Result<u64> {
        self.disk.ask(|state| Ok(state.files[self.file].bytes.len() as u64))
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.disk.ask(|state| {
            let found = state.files[self.file].bytes.get(offset as usize..).and_then(|rest| rest.get(..bytes.len()));
            bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.write(self.file, offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync(Target::File(self.file))
    }
}
