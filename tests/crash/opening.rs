//! How the store on a simulated disk is opened: the only place that knows.

use crate::simulated::{Disk, SimulatedMedium};
use pentimento::{Bug, Builder, Database, Error};

/// How a run's store behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// A small limit, in bytes, so that larger transactions spill.
    pub spill: Option<usize>,
    /// The soft and the hard limit of memory, in bytes, so that writers meet them.
    pub memory: Option<(usize, usize)>,
    pub bug: Option<Bug>,
}

impl Options {
    fn builder(self) -> Builder {
        let mut builder = Database::builder().page_size(4096).plant(self.bug);
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
    options.builder().open_medium(Box::new(SimulatedMedium(disk.clone())), disk.is_blank())
}
