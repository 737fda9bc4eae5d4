//! The live side: what the process sees, with the record of what it asks for.

use super::faults::{Blocks, Fault, Verdict, failure, full};
use super::image::Image;
use super::record::{Effect, Event, Names, Record, SECTOR, STORE, Target, What};
use pentimento::{Medium, MemoryMedium};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// The largest store that the disk takes. Workloads stay far below.
const CAPACITY: usize = 32 << 20;

thread_local! {
    /// Memory to use again: zeroing it anew for each of many thousand disks would cost more than all that is done with them.
    static SPARE: RefCell<Vec<MemoryMedium>> = const { RefCell::new(Vec::new()) };
}

/// Tells the newest timestamp that readers can see.
pub type Probe = Box<dyn Fn() -> u64 + Send>;

pub(super) struct LiveFile {
    /// Empty for the store, whose bytes are in the medium.
    pub bytes: Vec<u8>,
    blocks: Blocks,
}

pub(super) struct State {
    pub files: Vec<LiveFile>,
    pub names: BTreeMap<u64, usize>,
    record: Record,
    calls: u64,
    cuts: u64,
    punches: u64,
    syncs_take: Duration,
    fault: Fault,
    probe: Option<Probe>,
}

struct Shared {
    /// `Some` until it is dropped.
    memory: Option<MemoryMedium>,
    state: Mutex<State>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            memory.set_len(0).expect("memory shrinks");
            let _ = SPARE.try_with(|spare| spare.borrow_mut().push(memory));
        }
    }
}

/// A simulated disk with one store and its logs. Clones share it.
#[derive(Clone)]
pub struct Disk(Arc<Shared>);

impl Disk {
    /// A disk with these contents, all of them durable.
    pub fn holding(image: &Image) -> Disk {
        let memory = SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| MemoryMedium::with_capacity(CAPACITY));
        memory.set_len(image.store().len() as u64).expect("images fit");
        memory.write(0, image.store()).expect("images fit");
        let live = |(file, bytes): (usize, &Vec<u8>)| LiveFile {
            bytes: if file == STORE { Vec::new() } else { bytes.clone() },
            blocks: Blocks::of_len(bytes.len() as u64),
        };
        let mut files: Vec<LiveFile> = image.files.iter().enumerate().map(live).collect();
        if files.is_empty() {
            files.push(LiveFile { bytes: Vec::new(), blocks: Blocks::default() });
        }
        let names = image.names.clone();
        let state = State {
            files,
            names,
            record: Vec::new(),
            calls: 0,
            cuts: 0,
            punches: 0,
            syncs_take: Duration::ZERO,
            fault: Fault::None,
            probe: None,
        };
        Disk(Arc::new(Shared { memory: Some(memory), state: Mutex::new(state) }))
    }

    pub(super) fn memory(&self) -> &MemoryMedium {
        self.0.memory.as_ref().expect("the disk is alive")
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What the process would read now, as contents.
    pub fn live(&self) -> Image {
        let state = self.state();
        let mut files: Vec<Vec<u8>> = state.files.iter().map(|file| file.bytes.clone()).collect();
        files[STORE] = self.memory().to_bytes();
        Image { files, names: state.names.clone() }
    }

    /// Whether there is nothing of a store yet. The rule by which a store in a file is made instead of opened.
    pub fn is_blank(&self) -> bool {
        self.memory().len() <= 8192 && self.memory().to_bytes().iter().all(|byte| *byte == 0)
    }

    pub fn fail(&self, fault: Fault) {
        self.state().fault = fault;
    }

    /// Makes syncs slow, so that other threads write meanwhile.
    pub fn let_syncs_take(&self, time: Duration) {
        self.state().syncs_take = time;
    }

    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// How many times a file was made shorter.
    pub fn cuts(&self) -> u64 {
        self.state().cuts
    }

    /// How many holes were punched into a file.
    pub fn punches(&self) -> u64 {
        self.state().punches
    }

    /// Asks at each event what readers can see.
    pub fn watch(&self, probe: Option<Probe>) {
        // The old one goes after the lock: it may be what keeps a store open.
        let old = std::mem::replace(&mut self.state().probe, probe);
        drop(old);
    }

    /// Notes that the process was told that this timestamp is durable.
    pub fn promised(&self, at: u64) {
        self.state().push(What::Promised(at));
    }

    /// Notes which names a crash may leave from here on.
    pub fn names(&self, names: &Names) {
        self.state().push(What::Names(Arc::new(names.clone())));
    }

    pub fn record(&self) -> Record {
        self.state().record.clone()
    }

    pub(super) fn write(&self, file: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let verdict = state.count();
        let len = self.len_of(&state, file);
        let mut allowed = match verdict {
            Verdict::Go | Verdict::FailAfter => bytes.len() as u64,
            Verdict::Fail => 0,
            // Within a sector nothing stops half-way.
            Verdict::Short => ((offset + bytes.len() as u64 / 2) / SECTOR * SECTOR).saturating_sub(offset),
        };
        let is_full = state.is_full();
        if is_full {
            allowed = allowed.min(state.files[file].blocks.room(offset, bytes.len() as u64));
            if file != STORE {
                allowed = allowed.min(len.saturating_sub(offset));
            }
        }
        let done = &bytes[..allowed as usize];
        if !done.is_empty() {
            let end = offset + allowed;
            if file == STORE {
                self.memory().write(offset, done)?;
            } else {
                if end > len {
                    state.files[file].bytes.resize(end as usize, 0);
                    state.push(What::Effect(Arc::new(Effect::SetLen { file, len: end })));
                }
                state.files[file].bytes[offset as usize..end as usize].copy_from_slice(done);
            }
            state.files[file].blocks.wrote(offset, allowed);
            state.push(What::Effect(Arc::new(Effect::Write { file, offset, bytes: done.into() })));
        }
        match verdict {
            Verdict::Go if done.len() == bytes.len() => Ok(()),
            Verdict::Go => Err(full()),
            Verdict::Fail | Verdict::FailAfter | Verdict::Short => Err(failure()),
        }
    }

    pub(super) fn set_len(&self, file: usize, len: u64) -> io::Result<()> {
        let mut state = self.state();
        if state.count() != Verdict::Go {
            return Err(failure());
        }
        if state.is_full() && len > self.len_of(&state, file) {
            return Err(full());
        }
        state.cuts += u64::from(len < self.len_of(&state, file));
        assert!(len <= CAPACITY as u64, "the workload outgrew the simulated disk");
        if file == STORE {
            self.memory().set_len(len)?;
        } else {
            state.files[file].bytes.resize(len as usize, 0);
        }
        state.files[file].blocks.cut(len);
        state.push(What::Effect(Arc::new(Effect::SetLen { file, len })));
        Ok(())
    }

    /// A hint, so it tells of no failure. What reaches the disk of it may be any part, at any time, as of a write of zeros.
    pub(super) fn punch(&self, file: usize, offset: u64, len: u64) {
        let mut state = self.state();
        if state.count() != Verdict::Go {
            return;
        }
        assert_eq!(file, STORE, "only the store is punched");
        let zeros = vec![0; len as usize];
        self.memory().write(offset, &zeros).expect("what is punched lies within the file");
        state.files[file].blocks.punched(offset, len);
        state.punches += 1;
        state.push(What::Effect(Arc::new(Effect::Write { file, offset, bytes: zeros.into() })));
    }

    pub(super) fn sync(&self, target: Target) -> io::Result<()> {
        let (verdict, begun, takes) = {
            let mut state = self.state();
            (state.count(), state.record.len(), state.syncs_take)
        };
        if !takes.is_zero() {
            std::thread::sleep(takes);
        }
        let fine = verdict == Verdict::Go;
        self.state().push(if fine { What::Sync { target, begun } } else { What::FailedSync { target, begun } });
        if fine { Ok(()) } else { Err(failure()) }
    }

    /// Opens a log, or makes it.
    pub(super) fn open_log(&self, number: u64) -> io::Result<usize> {
        let mut state = self.state();
        if state.count() != Verdict::Go {
            return Err(failure());
        }
        if let Some(file) = state.names.get(&number) {
            return Ok(*file);
        }
        if state.is_full() {
            return Err(full());
        }
        let file = state.files.len();
        state.files.push(LiveFile { bytes: Vec::new(), blocks: Blocks::default() });
        state.names.insert(number, file);
        state.push(What::Effect(Arc::new(Effect::Create { number, file })));
        Ok(file)
    }

    pub(super) fn remove_log(&self, number: u64) -> io::Result<()> {
        let mut state = self.state();
        if state.count() != Verdict::Go {
            return Err(failure());
        }
        state.names.remove(&number).ok_or(io::ErrorKind::NotFound)?;
        state.push(What::Effect(Arc::new(Effect::Remove { number })));
        Ok(())
    }

    /// A call that only asks: it can fail, but leaves nothing behind.
    pub(super) fn ask<T>(&self, answer: impl FnOnce(&State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        if state.count() != Verdict::Go {
            return Err(failure());
        }
        answer(&state)
    }

    fn len_of(&self, state: &State, file: usize) -> u64 {
        if file == STORE { self.memory().len() } else { state.files[file].bytes.len() as u64 }
    }
}

impl State {
    fn count(&mut self) -> Verdict {
        self.calls += 1;
        self.fault.verdict(self.calls - 1)
    }

    /// Whether the call that was counted last finds no room.
    fn is_full(&self) -> bool {
        self.fault.is_full(self.calls - 1)
    }

    fn push(&mut self, what: What) {
        let seen = self.probe.as_ref().map_or(0, |probe| probe());
        self.record.push(Event { what, seen });
    }
}
