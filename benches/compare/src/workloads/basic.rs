//! Workloads 1 to 5 on one store: load, commit, read, scan, remove; in this order, each only if it is asked for.
//!
//! The store is closed and opened again after the commits: there its size is taken, and nobody reads from what a writer left in memory.

use super::{Workload, commit, get, load, remove, scan};
use crate::context::Context;
use crate::data::{Data, VALUE_LEN};
use crate::engine::Engine;
use anyhow::Result;
use std::path::PathBuf;

pub(super) struct Basic;

/// A store with what was put into it, on the way through the workloads.
pub(super) struct Session<'d, E> {
    pub engine: E,
    pub dir: PathBuf,
    pub data: &'d Data,
    /// How many entries there are.
    pub count: usize,
}

impl Workload for Basic {
    fn run<E: Engine>(context: &mut Context<'_>) -> Result<()> {
        let data = context.data(context.plan.entries, VALUE_LEN);
        let setup = context.setup(VALUE_LEN);
        load::sorted::<E>(context, &data)?;
        let others: &[&[_]] = &[commit::METRICS, get::METRICS, scan::METRICS, remove::METRICS];
        if !others.concat().iter().chain([&load::RANDOM]).any(|metric| context.plan.wants(metric)) {
            return Ok(());
        }
        let dir = context.dir.join("random");
        std::fs::create_dir(&dir)?;
        let engine = E::open(&dir, &setup)?;
        let mut session = Session { engine, dir, data: &data, count: 0 };
        load::random(context, &mut session)?;
        commit::run(context, &mut session)?;
        session.engine.close()?;
        remove::size_closed::<E>(context, &session.dir)?;
        session.engine = E::open(&session.dir, &setup)?;
        get::run(context, &session)?;
        scan::run(context, &session)?;
        remove::run(context, session)
    }
}
