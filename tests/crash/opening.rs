//! How the store on a simulated disk is opened: the only place that knows.

use crate::simulated::{Disk, SimulatedLogs, SimulatedMedium};
use pentimento::{Bug, Builder, Database, Error, Logs};

const SEGMENT_BYTES: u64 = 32 << 10;

/// How a run's store behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// A small limit, in bytes, so that larger transactions spill.
    pub spill: Option<usize>,
    /// The soft and the hard limit of memory, in bytes, so that writers meet them.
    pub memory: Option<(usize, usize)>,
    /// Without a journal each durable commit makes a checkpoint.
    pub without_journal: bool,
    pub bug: Option<Bug>,
}

impl Options {
    fn builder(self) -> Builder {
        // Small segments, so that runs go through many of them.
        let mut builder = Database::builder().page_size(4096).journal_segment(SEGMENT_BYTES).plant(self.bug);
        if let Some(spill) = self.spill {
            builder = builder.spill_limit(spill);
        }
        if let Some((soft, hard)) = self.memory {
            builder = builder.memory_limits(soft, hard);
        }
        builder
    }
}

/// Opens the store; one that is still blank is made.
pub fn open(disk: &Disk, options: Options) -> Result<Database, Error> {
    let logs = (!options.without_journal).then(|| Box::new(SimulatedLogs(disk.clone())) as Box<dyn Logs>);
    options.builder().open_on(Box::new(SimulatedMedium(disk.clone())), logs, disk.is_blank())
}
