//! Files of a journal whose syncs can be held up.
#![allow(dead_code, reason = "each test file uses its own part")]

use pentimento::{FileLogs, Log, Logs};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

#[derive(Default)]
struct Gate {
    is_closed: bool,
    waiting: usize,
}

/// Real files behind a gate. Clones share it.
#[derive(Clone)]
pub struct GateLogs {
    files: Arc<FileLogs>,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

impl GateLogs {
    pub fn beside(store: &Path) -> GateLogs {
        GateLogs { files: Arc::new(FileLogs::beside(store, false)), gate: Arc::default() }
    }

    /// From now on whoever syncs a file waits.
    pub fn close_gate(&self) {
        self.gate.0.lock().unwrap().is_closed = true;
    }

    pub fn open_gate(&self) {
        self.gate.0.lock().unwrap().is_closed = false;
        self.gate.1.notify_all();
    }

    /// Returns when somebody waits at the closed gate.
    pub fn wait_for_arrival(&self) {
        let gate = self.gate.0.lock().unwrap();
        drop(self.gate.1.wait_while(gate, |gate| gate.waiting == 0).unwrap());
    }
}

impl Logs for GateLogs {
    fn list(&self) -> io::Result<Vec<u64>> {
        self.files.list()
    }

    fn open(&self, number: u64) -> io::Result<Arc<dyn Log>> {
        Ok(Arc::new(GateLog { log: self.files.open(number)?, gate: self.gate.clone() }))
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

struct GateLog {
    log: Arc<dyn Log>,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

impl Log for GateLog {
    fn len(&self) -> io::Result<u64> {
        self.log.len()
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.log.read(offset, bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.log.write(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        let mut gate = self.gate.0.lock().unwrap();
        gate.waiting += 1;
        self.gate.1.notify_all();
        gate = self.gate.1.wait_while(gate, |gate| gate.is_closed).unwrap();
        gate.waiting -= 1;
        drop(gate);
        self.log.sync()
    }

    fn probe(&self) -> io::Result<()> {
        self.log.probe()
    }
}
