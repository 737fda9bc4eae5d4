//! Restoring a point into a store.

use crate::{Archive, Error, Point, Result, chain};
use pentimento_txn::{Database, Received, StoreId, StreamProgress, Timestamp};
use std::io::Read;
use std::sync::Arc;
use std::sync::Mutex;

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// The moment that the store holds now.
    pub timestamp: Timestamp,
    /// The points that were received, in order; none if the store held that moment already.
    pub points: Vec<Point>,
    /// The bytes of their streams.
    pub bytes: u64,
}

impl Archive {
    /// Makes a store hold what `source` held at `timestamp`, or at the newest point: receives a whole backup and increments into a store without trees, or only the increments
    /// that are missing into a copy of an older point of the same chain. Each point is one transaction, so readers of the copy go on, and an interruption leaves it at an earlier point, from
    /// which the same call goes on.
    ///
    /// # Errors
    /// [`Error::NoSuchPoint`], [`Error::WrongStream`], when the store does not take the stream (it has other trees, for example), when the store or the place fails.
    pub fn restore(&self, target: &Database, source: StoreId, timestamp: Option<Timestamp>) -> Result<Restored> {
        self.restore_with(target, source, timestamp, |_| {})
    }

    /// The same, telling after each chunk how far it is.
    ///
    /// # Errors
    /// As for [`restore`](Archive::restore).
    pub fn restore_with(
        &self,
        target: &Database,
        source: StoreId,
        timestamp: Option<Timestamp>,
        progress: impl FnMut(&StreamProgress) + Send + 'static,
    ) -> Result<Restored> {
        let points = self.points_of(source)?;
        let missing = || Error::NoSuchPoint { source_id: source, timestamp };
        let at = timestamp.or_else(|| chain::newest(&points)).ok_or_else(missing)?;
        let path = self.path_from(target, source, &points, at)?.ok_or_else(missing)?;
        let progress = Arc::new(Mutex::new(progress));
        let mut bytes = 0;
        for point in &path {
            let progress = progress.clone();
            let told = move |told: &StreamProgress| {
                if let Ok(mut progress) = progress.lock() {
                    progress(told);
                }
            };
            let received = self.receive(target, point, told)?;
            debug_assert_eq!(received.timestamp, point.timestamp);
            bytes += point.bytes;
        }
        Ok(Restored { timestamp: at, points: path, bytes })
    }

    /// The points that lead to a moment from what the target holds.
    fn path_from(
        &self,
        target: &Database,
        source: StoreId,
        points: &[Point],
        at: Timestamp,
    ) -> Result<Option<Vec<Point>>> {
        let origin = target.snapshot()?.origin()?.filter(|origin| origin.source == source);
        if let Some(origin) = origin {
            if origin.timestamp == at && !origin.is_changed {
                return Ok(chain::has(points, at).then(Vec::new));
            }
            // From what it holds, as if that were a whole point of no cost.
            let mut from_here: Vec<Point> = points.iter().filter(|point| point.base.is_some()).cloned().collect();
            if let Some(here) = points.iter().find(|point| point.timestamp == origin.timestamp) {
                from_here.retain(|point| point.timestamp != origin.timestamp);
                from_here.push(Point { base: None, bytes: 0, ..here.clone() });
                if let Some(path) = chain::path_to(&from_here, at) {
                    return Ok(Some(path.into_iter().skip(1).cloned().collect()));
                }
            }
        }
        Ok(chain::path_to(points, at).map(|path| path.into_iter().cloned().collect()))
    }

    fn receive(
        &self,
        target: &Database,
        point: &Point,
        progress: impl FnMut(&StreamProgress) + Send + 'static,
    ) -> Result<Received> {
        let name = point.stream_name();
        let input = self.place.read(&name).map_err(Error::place("read", &name))?;
        let mut head = [0; HEAD_BYTES];
        let mut input = input;
        input.read_exact(&mut head).map_err(Error::place("read", &name))?;
        // Before anything is received: a stream that was exchanged for another must not be taken for this point.
        let head_point = pentimento_txn::stream_head(&head)?;
        if (head_point.source, head_point.timestamp, head_point.base) != (point.source, point.timestamp, point.base) {
            let what = "it is of another store or other moments".to_owned();
            return Err(Error::WrongStream { name, what });
        }
        Ok(target.receiver()?.on_progress(progress).receive(head.chain(input))?)
    }
}

const HEAD_BYTES: usize = pentimento_txn::STREAM_HEAD_BYTES;
