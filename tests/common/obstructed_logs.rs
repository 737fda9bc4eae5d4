//! Files of a journal with something in their way: faults, or a gate.
#![allow(dead_code, reason = "each test file uses its own part")]

use pentimento::{FileLogs, Log, Logs};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Condvar, Mutex};

/// What stands between the engine and the files.
pub trait Obstacle: Default + Send + Sync + 'static {
    /// Before bytes are written.
    fn before_write(&self) -> io::Result<()> {
        Ok(())
    }

    /// Before room is made.
    fn before_reserve(&self) -> io::Result<()> {
        Ok(())
    }

    /// After bytes have been written at `offset`.
    fn after_write(&self, _offset: u64) -> io::Result<()> {
        Ok(())
    }

    /// Before a file is synced.
    fn before_sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Real files behind an obstacle. Clones share it.
pub struct Obstructed<O> {
    files: Arc<FileLogs>,
    obstacle: Arc<O>,
}

/// Files that get no room, or fail, on demand.
pub type FrailLogs = Obstructed<Faults>;
/// Files whose syncs can be held up.
pub type GateLogs = Obstructed<Gate>;

impl<O> Clone for Obstructed<O> {
    fn clone(&self) -> Obstructed<O> {
        Obstructed { files: self.files.clone(), obstacle: self.obstacle.clone() }
    }
}

impl<O: Obstacle> Obstructed<O> {
    pub fn obstacle(&self) -> &O {
        &self.obstacle
    }

    pub fn beside(store: &Path) -> Obstructed<O> {
        Obstructed { files: Arc::new(FileLogs::beside(store, false)), obstacle: Arc::default() }
    }
}

impl<O: Obstacle> Logs for Obstructed<O> {
    fn list(&self) -> io::Result<Vec<u64>> {
        self.files.list()
    }

    fn open(&self, number: u64) -> io::Result<Arc<dyn Log>> {
        Ok(Arc::new(ObstructedLog { log: self.files.open(number)?, obstacle: self.obstacle.clone() }))
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

struct ObstructedLog<O> {
    log: Arc<dyn Log>,
    obstacle: Arc<O>,
}

impl<O: Obstacle> Log for ObstructedLog<O> {
    fn len(&self) -> io::Result<u64> {
        self.log.len()
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.log.read(offset, bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.obstacle.before_write()?;
        self.log.write(offset, bytes)?;
        self.obstacle.after_write(offset)
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        self.obstacle.before_reserve()?;
        self.log.reserve(offset, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.obstacle.before_sync()?;
        self.log.sync()
    }

    fn probe(&self) -> io::Result<()> {
        self.log.probe()
    }
}

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

/// The fault that files have now.
#[derive(Default)]
pub struct Faults(AtomicU8);

impl Faults {
    fn are(&self, fault: Fault) -> bool {
        self.0.load(Ordering::SeqCst) == fault as u8
    }
}

impl FrailLogs {
    pub fn set_fault(&self, fault: Fault) {
        self.obstacle.0.store(fault as u8, Ordering::SeqCst);
    }
}

impl Obstacle for Faults {
    fn before_reserve(&self) -> io::Result<()> {
        if self.are(Fault::Full) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn before_write(&self) -> io::Result<()> {
        self.before_reserve()?;
        if self.are(Fault::Writes) {
            return Err(io::Error::other("a planted failure of a write"));
        }
        Ok(())
    }

    fn after_write(&self, offset: u64) -> io::Result<()> {
        match offset == 0 && self.are(Fault::Headers) {
            true => Err(io::Error::other("a planted failure of a write that arrived")),
            false => Ok(()),
        }
    }

    fn before_sync(&self) -> io::Result<()> {
        match self.are(Fault::Syncs) {
            true => Err(io::Error::other("a planted failure of a sync")),
            false => Ok(()),
        }
    }
}

/// A gate that syncs wait at while it is closed.
#[derive(Default)]
pub struct Gate {
    state: Mutex<Passage>,
    changed: Condvar,
}

#[derive(Default)]
struct Passage {
    is_closed: bool,
    waiting: usize,
}

impl GateLogs {
    /// From now on whoever syncs a file waits.
    pub fn close_gate(&self) {
        self.obstacle.state.lock().unwrap().is_closed = true;
    }

    pub fn open_gate(&self) {
        self.obstacle.state.lock().unwrap().is_closed = false;
        self.obstacle.changed.notify_all();
    }

    /// Returns when somebody waits at the closed gate.
    pub fn wait_for_arrival(&self) {
        let gate = self.obstacle.state.lock().unwrap();
        drop(self.obstacle.changed.wait_while(gate, |gate| gate.waiting == 0).unwrap());
    }
}

impl Obstacle for Gate {
    fn before_sync(&self) -> io::Result<()> {
        let mut gate = self.state.lock().unwrap();
        gate.waiting += 1;
        self.changed.notify_all();
        gate = self.changed.wait_while(gate, |gate| gate.is_closed).unwrap();
        gate.waiting -= 1;
        Ok(())
    }
}
