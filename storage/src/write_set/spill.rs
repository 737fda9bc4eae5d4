//! Private pages that go to the file before their commit.
//!
//! Promises:
//! 1. They go to slots that nobody uses, and nothing refers to them there but this transaction; without a sync.
//! 2. When the file cannot take them all stays in memory as it was, and the slots are given back.
//! 3. Memory is bounded also for a large transaction with savepoints: what these keep spills as well.

use super::{Private, State, WriteSet, stamp};
use crate::layout::slots_for;
use crate::run_writer::RunWriter;
use crate::sync::Ordering;
use crate::{PageId, Result};

/// A transaction with so many bytes of finished pages will hardly fit in a journal's record.
const WRITE_AHEAD_FROM: usize = 16 << 20;
/// So many bytes of finished pages are written out together: few enough that they are still in the processor's cache.
const WRITE_AHEAD_BYTES: usize = 2 << 20;

impl WriteSet {
    pub(super) fn spill_if_needed(&mut self) -> Result<()> {
        if self.desk.frame_bytes > self.store().options.spill && !self.store().is_in_memory() {
            self.spill()?;
        }
        Ok(())
    }

    /// A hint that a page will not be changed again soon. Once there are many, the transaction will be written out before its commit in any
    /// case, and finished pages go at once.
    ///
    /// # Errors
    /// When it is written out and the file cannot take it.
    #[inline]
    pub fn finished(&mut self, id: PageId) -> Result<()> {
        self.desk.finished.push(id);
        self.desk.finished_bytes += self.store().page_size();
        let is_due = self.desk.finished_bytes >= WRITE_AHEAD_FROM
            && self.desk.finished.len() * self.store().page_size() >= WRITE_AHEAD_BYTES
            && !self.store().is_in_memory();
        if is_due { self.spill_finished() } else { Ok(()) }
    }

    fn spill_finished(&mut self) -> Result<()> {
        let finished = std::mem::take(&mut self.desk.finished);
        let targets = finished.iter().filter_map(|id| Some((self.desk.pages.get(*id)?.owner, *id, None))).collect();
        let result = self.spill_all(targets);
        self.desk.finished = finished;
        self.desk.finished.clear();
        result
    }

    /// Writes the private pages to free slots, and lets their frames go. Without a sync: the checkpoint that makes them durable does that.
    pub(crate) fn spill(&mut self) -> Result<()> {
        // What savepoints keep counts as well, or a large transaction with a savepoint would spill at every step.
        let generations = std::iter::once(None).chain((0..self.desk.undo.len()).map(Some));
        let targets = generations
            .flat_map(|generation| {
                self.generation(generation).map(move |(id, private)| (private.owner, id, generation))
            })
            .collect();
        self.spill_all(targets)
    }

    /// Writes pages, each named by its owner, its number and whose state of it is meant, to free slots. What is not in a frame is passed over.
    fn spill_all(&mut self, mut targets: Vec<(PageId, PageId, Option<usize>)>) -> Result<()> {
        let (store, birth) = (self.base.store.clone(), self.birth());
        targets.sort_unstable();
        targets.dedup();
        let mut writer = RunWriter::with_buffer(store.medium()?, std::mem::take(&mut self.desk.spill_buffer));
        let mut spilled = Vec::with_capacity(targets.len());
        let mut result = Ok(());
        let count = targets.len();
        for (number, (_, id, generation)) in targets.into_iter().enumerate() {
            let private = self.private_mut(id, generation);
            let Some(Private { state: State::Frame { frame, len, .. }, owner, .. }) = private else { continue };
            let bytes = stamp(frame, id, *owner, birth, *len);
            let run = store.allocate_run_of(count - number, &mut store.slots.lock(), slots_for(bytes.len()));
            result = run.and_then(|run| {
                spilled.push((id, generation, run, crc32fast::hash(bytes)));
                writer.write(run, bytes)
            });
            if result.is_err() {
                break;
            }
        }
        let written = result.and_then(|()| writer.finish());
        self.desk.spill_buffer = writer.into_buffer();
        match written {
            Ok(bytes) => {
                store.counters.versions_spilled.fetch_add(spilled.len() as u64, Ordering::Relaxed);
                store.counters.bytes_written.fetch_add(bytes, Ordering::Relaxed);
            }
            Err(error) => {
                let mut slots = store.slots.lock();
                spilled.into_iter().for_each(|(_, _, run, _)| slots.release(run));
                return Err(error);
            }
        }
        for (id, generation, run, crc) in spilled {
            let place = store.place_of(run)?;
            let Some(private) = self.private_mut(id, generation) else { continue };
            if !matches!(private.state, State::Frame { .. }) {
                continue;
            }
            let old = std::mem::replace(&mut private.state, State::Spilled { place, crc });
            self.discard(old);
        }
        Ok(())
    }
}
