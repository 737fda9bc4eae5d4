//! How the disk fails.

use std::collections::BTreeSet;
use std::io;

/// When and how calls fail. Calls are counted from zero, reads of logs included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// This call fails, and does nothing; but if its number is odd and it is a write, it has been done all the same.
    Once(u64),
    /// This call and all after it fail.
    From(u64),
    /// If this call is a write it stops half-way with an error; other calls just fail.
    Short(u64),
    /// From this call on there is no room: files do not grow, and what was never written cannot be. Until there is room again.
    FullFrom(u64),
}

/// What the disk does about one call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Go,
    /// Fails and does nothing.
    Fail,
    /// Fails; but a write is done.
    FailAfter,
    /// Fails; but half of a write is done.
    Short,
}

impl Fault {
    pub(super) fn verdict(self, call: u64) -> Verdict {
        match self {
            Fault::Once(at) if call == at && at % 2 == 0 => Verdict::Fail,
            Fault::Once(at) if call == at => Verdict::FailAfter,
            Fault::From(at) if call >= at => Verdict::Fail,
            Fault::Short(at) if call == at => Verdict::Short,
            _ => Verdict::Go,
        }
    }

    pub(super) fn is_full(self, call: u64) -> bool {
        matches!(self, Fault::FullFrom(at) if call >= at)
    }

    /// Whether it strikes at all if only `calls` calls are made.
    pub fn strikes_within(self, calls: u64) -> bool {
        match self {
            Fault::None => false,
            Fault::Once(at) | Fault::From(at) | Fault::Short(at) | Fault::FullFrom(at) => at < calls,
        }
    }
}

pub(super) fn failure() -> io::Error {
    io::Error::other("the simulated disk failed this call")
}

pub(super) fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

const BLOCK: u64 = 4096;

/// Which blocks of a file have room on the disk: those that were written since they came to be.
#[derive(Default)]
pub(super) struct Blocks(BTreeSet<u64>);

impl Blocks {
    pub fn of_len(len: u64) -> Blocks {
        Blocks((0..len.div_ceil(BLOCK)).collect())
    }

    /// How many of the bytes at `offset` can be written without taking more room.
    pub fn room(&self, offset: u64, len: u64) -> u64 {
        let first_hole = (offset / BLOCK..(offset + len).div_ceil(BLOCK)).find(|block| !self.0.contains(block));
        first_hole.map_or(len, |block| (block * BLOCK).saturating_sub(offset))
    }

    pub fn wrote(&mut self, offset: u64, len: u64) {
        self.0.extend(offset / BLOCK..(offset + len).div_ceil(BLOCK));
    }

    /// Whole blocks alone are given back.
    pub fn punched(&mut self, offset: u64, len: u64) {
        let blocks = offset.div_ceil(BLOCK)..(offset + len) / BLOCK;
        self.0.retain(|block| !blocks.contains(block));
    }

    pub fn cut(&mut self, len: u64) {
        self.0.split_off(&len.div_ceil(BLOCK));
    }
}
