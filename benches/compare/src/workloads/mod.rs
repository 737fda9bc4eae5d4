//! The workloads. One file each; those that need the same store share it (`basic`).

mod basic;
mod commit;
mod get;
mod load;
mod remove;
mod scan;

use crate::context::Context;
use crate::engine::{Engine, Kind};
use crate::engines::{fjall::Fjall, lmdb::Lmdb, pentimento::Pentimento, redb::Redb};
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
        Kind::Fjall => W::run::<Fjall>(context),
        _ => Ok(()),
    }
}
