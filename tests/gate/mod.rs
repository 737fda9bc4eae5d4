//! A medium whose syncs can be held up, and whose bytes can be looked at meanwhile.
#![allow(dead_code, reason = "each test file uses its own part")]

use pentimento::{Medium, MemoryMedium};
use std::io;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex};

#[derive(Default)]
struct Gate {
    closed: bool,
    waiting: usize,
    /// How many may pass although it is closed.
    passes: usize,
}

/// Plain memory behind a gate. Clones share it.
#[derive(Clone)]
pub struct GateMedium {
    memory: Arc<MemoryMedium>,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

impl Default for GateMedium {
    fn default() -> Self {
        GateMedium { memory: Arc::new(MemoryMedium::with_capacity(64 << 20)), gate: Arc::default() }
    }
}

impl GateMedium {
    /// What another medium held at some moment, behind an open gate.
    pub fn from_bytes(bytes: &[u8]) -> GateMedium {
        GateMedium { memory: Arc::new(MemoryMedium::from_bytes(bytes, 64 << 20)), gate: Arc::default() }
    }

    /// From now on whoever syncs waits.
    pub fn close_gate(&self) {
        self.gate.0.lock().unwrap().closed = true;
    }

    /// Lets one that waits, or comes, go on, and waits until somebody else has come.
    pub fn let_one_pass(&self) {
        let mut gate = self.gate.0.lock().unwrap();
        gate.passes += 1;
        self.gate.1.notify_all();
        gate = self.gate.1.wait_while(gate, |gate| gate.passes > 0).unwrap();
        drop(self.gate.1.wait_while(gate, |gate| gate.waiting == 0).unwrap());
    }

    /// Lets all that wait go on.
    pub fn open_gate(&self) {
        self.gate.0.lock().unwrap().closed = false;
        self.gate.1.notify_all();
    }

    /// Returns when somebody waits at the closed gate.
    pub fn wait_for_arrival(&self) {
        let gate = self.gate.0.lock().unwrap();
        drop(self.gate.1.wait_while(gate, |gate| gate.waiting == 0).unwrap());
    }

    /// The contents now.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.memory.to_bytes()
    }
}

// SAFETY: all calls go to a medium that keeps the contract.
unsafe impl Medium for GateMedium {
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
        self.memory.write(offset, bytes)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.memory.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        let mut gate = self.gate.0.lock().unwrap();
        gate.waiting += 1;
        self.gate.1.notify_all();
        gate = self.gate.1.wait_while(gate, |gate| gate.closed && gate.passes == 0).unwrap();
        gate.waiting -= 1;
        gate.passes = gate.passes.saturating_sub(1);
        self.gate.1.notify_all();
        Ok(())
    }
    fn path(&self) -> &Path {
        self.memory.path()
    }
}
