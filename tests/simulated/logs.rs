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

/// A journal of the simplest kind, on the simulated logs: it keeps its promises on an honest disk, and not on one that lies.
#[cfg(test)]
mod tests {
    use crate::simulated::{Crash, Disk, Effort, Image, Physics, Record, SimulatedLogs, Start};
    use pentimento::Logs;

    const BYTES: usize = 700; // more than a sector, so that records tear

    fn record(number: u64) -> Vec<u8> {
        let mut bytes = number.to_le_bytes().repeat(BYTES / 8);
        bytes.resize(BYTES, number as u8);
        bytes
    }

    /// Three logs of four records; each record is promised once it, and its log's name, is synced. The logs before go away.
    fn write_journal() -> Record {
        let disk = Disk::holding(&Image::default());
        let logs = SimulatedLogs(disk.clone());
        for number in 0..12 {
            let log = logs.open(number / 4).unwrap();
            log.write(number % 4 * BYTES as u64, &record(number)).unwrap();
            log.sync().unwrap();
            if number % 4 == 0 {
                logs.sync().unwrap();
            }
            disk.promised(number + 1);
            if number % 4 == 3 && number > 4 {
                logs.remove(number / 4 - 1).unwrap();
                logs.sync().unwrap();
            }
        }
        disk.record()
    }

    /// One more than the number of the newest record that is whole, with all before it in its log.
    fn read_journal(image: &Image) -> u64 {
        let logs = SimulatedLogs(Disk::holding(image));
        let mut newest = 0;
        for number in logs.list().unwrap() {
            let log = logs.open(number).unwrap();
            let mut found = vec![0; BYTES];
            let whole = (0..4).take_while(|at| {
                let wanted = number * 4 + at;
                log.read(at * BYTES as u64, &mut found).is_ok() && found == record(wanted)
            });
            newest = newest.max(number * 4 + whole.count() as u64);
        }
        newest
    }

    /// How many images were tried, or what was lost.
    fn crash_everywhere(physics: Physics) -> Result<u32, String> {
        let record = write_journal();
        let mut crash = Crash::new(&Start::default(), &record, physics, 3);
        let (mut image, mut promised, mut tried) = (Image::default(), 0, 0);
        while let Some(event) = crash.advance() {
            promised = promised.max(event.promised().unwrap_or(0));
            for plan in crash.plans(Effort { exhaustive: 8, samples: 16, torn: 8 }, false) {
                crash.build(&plan, &mut image);
                tried += 1;
                let found = read_journal(&image);
                if found < promised {
                    return Err(format!("{promised} were promised, {found} are there"));
                }
            }
        }
        Ok(tried)
    }

    #[test]
    fn a_simple_journal_keeps_its_promises_on_an_honest_disk_alone() {
        let tried = crash_everywhere(Physics::HONEST).unwrap();
        assert!(tried > 200, "{tried} images are too few");
        crash_everywhere(Physics { obeys_syncs_of_names: false, ..Physics::HONEST }).unwrap_err();
        crash_everywhere(Physics { obeys_syncs: false, ..Physics::HONEST }).unwrap_err();
    }
}
