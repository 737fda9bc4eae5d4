//! What was asked of the disk, in order.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What a disk writes in one piece, in bytes.
pub const SECTOR: u64 = 512;
/// The file that is the store itself; logs have greater numbers.
pub const STORE: usize = 0;

/// A change of a file or of the names. Files are told apart by a number of their own (as inodes are), so that a log that is removed and made
/// again under the same name is another file.
#[derive(Debug)]
pub enum Effect {
    Write { file: usize, offset: u64, bytes: Box<[u8]> },
    SetLen { file: usize, len: u64 },
    Create { number: u64, file: usize },
    Remove { number: u64 },
}

/// What a sync covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    File(usize),
    Names,
}

/// Which names of snapshots a crash may leave: all that must be there, and none but those that may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub must: BTreeSet<String>,
    pub may: BTreeSet<String>,
}

#[derive(Clone)]
pub enum What {
    Effect(Arc<Effect>),
    /// A sync that has ended. It covers what was there when it began, after so many events.
    Sync {
        target: Target,
        begun: usize,
    },
    FailedSync {
        target: Target,
        begun: usize,
    },
    /// The process was told that this timestamp is durable.
    Promised(u64),
    /// From here on these names are allowed: the process is about to change them, or was told that they are changed.
    Names(Arc<Names>),
}

/// One event of the record.
#[derive(Clone)]
pub struct Event {
    pub what: What,
    /// The newest timestamp that readers could see when it began.
    pub seen: u64,
}

pub type Record = Vec<Event>;

impl Event {
    /// The timestamp that was promised, if it is a promise.
    pub fn promised(&self) -> Option<u64> {
        if let What::Promised(at) = self.what { Some(at) } else { None }
    }
}

impl Event {
    /// The names that a crash may leave from here on, if it tells.
    pub fn names(&self) -> Option<&Names> {
        if let What::Names(names) = &self.what { Some(names) } else { None }
    }
}

impl Effect {
    pub fn target(&self) -> Target {
        match self {
            Effect::Write { file, .. } | Effect::SetLen { file, .. } => Target::File(*file),
            Effect::Create { .. } | Effect::Remove { .. } => Target::Names,
        }
    }

    /// The pieces of `sector` bytes that a write falls into, as ranges of its bytes. Everything else is one piece.
    pub fn pieces(&self, sector: u64) -> impl Iterator<Item = Range<usize>> {
        let (offset, len) = match self {
            Effect::Write { offset, bytes, .. } => (*offset, bytes.len() as u64),
            _ => (0, 1),
        };
        let (first, end) = (offset / sector, (offset + len).div_ceil(sector));
        (first..end).map(move |index| {
            let (start, end) = (index * sector, (index + 1) * sector);
            (start.max(offset) - offset) as usize..(end.min(offset + len) - offset) as usize
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Effect(effect) => match &**effect {
                Effect::Write { file, offset, bytes } => {
                    write!(f, "write file {file} at {offset}, {} bytes", bytes.len())
                }
                effect => write!(f, "{effect:?}"),
            },
            What::Sync { target, begun } => write!(f, "sync {target:?}, begun at {begun}"),
            What::FailedSync { target, begun } => write!(f, "sync {target:?} failed, begun at {begun}"),
            What::Promised(at) => write!(f, "{at} was promised"),
            What::Names(names) => write!(f, "names from {:?} to {:?}", names.must, names.may),
        }
    }
}
