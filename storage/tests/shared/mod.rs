//! What the tests of storage share: a medium that outlives the store that uses it, stores on it, and the checker.
#![allow(dead_code, reason = "each test file uses its own part")]

use pentimento_storage::{Medium, MemoryMedium, Options, Patience, Result, Store, WriteSet};
use std::io;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The two meta slots are in front of this.
const METAS_END: u64 = 8192;

/// Plain memory, whose meta slots can be made to fail. Clones share it.
#[derive(Clone)]
pub struct Shared {
    memory: Arc<MemoryMedium>,
    capacity: usize,
    metas_fail: Arc<AtomicBool>,
}

impl Shared {
    pub fn with_capacity(capacity: usize) -> Shared {
        let memory = Arc::new(MemoryMedium::with_capacity(capacity));
        Shared { memory, capacity, metas_fail: Arc::default() }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.memory.to_bytes()
    }

    /// Opens a store on a copy of what it holds now.
    pub fn open_copy(&self, options: Options) -> Result<Arc<Store>> {
        Store::open(Box::new(MemoryMedium::from_bytes(&self.to_bytes(), self.capacity)), options)
    }

    pub fn fail_metas(&self, yes: bool) {
        self.metas_fail.store(yes, Ordering::SeqCst);
    }
}

// SAFETY: all calls that do not fail go to a medium that keeps the contract; one that fails has done nothing.
unsafe impl Medium for Shared {
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
        if offset < METAS_END && self.metas_fail.load(Ordering::SeqCst) {
            return Err(io::Error::other("a planted failure of a meta slot"));
        }
        self.memory.write(offset, bytes)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.memory.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.memory.sync()
    }
    fn path(&self) -> &Path {
        self.memory.path()
    }
}

/// A new store, and its medium.
pub fn create(capacity: usize, options: Options) -> (Shared, Arc<Store>) {
    let medium = Shared::with_capacity(capacity);
    let store = Store::create(Box::new(medium.clone()), options, [7; 16]).unwrap();
    (medium, store)
}

/// Begins a transaction, whenever its turn comes.
pub fn begin(store: &Arc<Store>) -> WriteSet {
    store.begin(Patience::Forever).unwrap().unwrap()
}

/// Commits a change. No checkpoint is waited for.
pub fn commit(store: &Arc<Store>, change: impl FnOnce(&mut WriteSet)) {
    let mut set = begin(store);
    change(&mut set);
    let _ = set.install(false);
}

/// Every law of storage holds.
#[track_caller]
pub fn assert_clean(store: &Arc<Store>) {
    let mut findings = Vec::new();
    store.check(&mut |finding| findings.push(finding.to_string()));
    assert!(findings.is_empty(), "{findings:#?}");
}

/// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
pub struct Random(pub u64);

impl Random {
    /// Some number less than `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed ^ (mixed >> 31)) % n as u64) as usize
    }
}
