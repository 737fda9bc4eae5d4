//! The workloads. One file each; those that need the same store share it (`basic`).

mod basic;
mod commit;
mod get;
pub(crate) mod growth;
mod held;
mod load;
mod long;
pub mod memory;
mod remove;
mod scan;
mod sum;
#[cfg(test)]
mod tests;
mod ycsb;

use crate::context::Context;
use crate::engine::{Engine, Kind};
use crate::engines::{
    canopydb::Canopydb, fjall::Fjall, lmdb::Lmdb, pentimento::Pentimento, redb::Redb, sqlite::Sqlite,
};
use crate::metric::Metric;
use anyhow::Result;

/// Work that any engine can do that is a map.
trait Workload {
    /// One turn of one engine, with a store of its own.
    fn run<E: Engine>(context: &mut Context<'_>) -> Result<()>;
}

/// A workload, or several that share a store.
pub struct Entry {
    /// Its figures, by workload.
    pub metrics: &'static [&'static [Metric]],
    /// Which engines can take part.
    pub engines: &'static [Kind],
    /// One turn.
    pub run: fn(&mut Context<'_>) -> Result<()>,
}

/// All of them, in the order in which they run.
pub const ALL: &[Entry] = &[
    Entry {
        metrics: &[load::METRICS, commit::METRICS, get::METRICS, scan::METRICS, remove::METRICS],
        engines: &Kind::MAPS,
        run: dispatch::<basic::Basic>,
    },
    Entry { metrics: &[long::METRICS], engines: &Kind::MAPS, run: dispatch::<long::Long> },
    Entry { metrics: &[held::METRICS], engines: &Kind::MAPS, run: dispatch::<held::HeldViews> },
    Entry { metrics: &[ycsb::METRICS], engines: &Kind::MAPS, run: dispatch::<ycsb::Ycsb> },
    Entry { metrics: &[memory::METRICS], engines: &Kind::MAPS, run: memory::run },
    Entry { metrics: &[sum::METRICS], engines: sum::ENGINES, run: sum::run },
    Entry { metrics: &[growth::METRICS], engines: &Kind::MAPS, run: dispatch::<growth::Growth> },
];

/// Every figure, in order.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    ALL.iter().flat_map(|entry| entry.metrics).flat_map(|metrics| metrics.iter())
}

fn dispatch<W: Workload>(context: &mut Context<'_>) -> Result<()> {
    match context.kind {
        Kind::Pentimento => W::run::<Pentimento>(context),
        Kind::Lmdb => W::run::<Lmdb<heed::WithTls>>(context),
        Kind::Redb => W::run::<Redb>(context),
        Kind::Canopydb => W::run::<Canopydb>(context),
        Kind::Fjall => W::run::<Fjall>(context),
        Kind::Sqlite => W::run::<Sqlite>(context),
        // It is no map from bytes to bytes, and is in no list of those.
        Kind::Rustdb => Ok(()),
    }
}
