//! Letting go of old chains.

use crate::{Archive, Error, Point, Result, chain};
use pentimento_txn::StoreId;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// A stream without a manifest that nobody has written to for so long is what a cut upload left.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Which chains stay: those that any of the rules keeps. The newest of each store always stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Keep {
    chains: Option<usize>,
    younger_than: Option<Duration>,
}

impl Keep {
    /// The newest chain of each store, and nothing else.
    pub fn newest() -> Keep {
        Keep::default()
    }

    /// The newest so many chains.
    pub fn chains(mut self, count: usize) -> Keep {
        self.chains = Some(count);
        self
    }

    /// Chains with a point that is not older than this.
    pub fn younger_than(mut self, age: Duration) -> Keep {
        self.younger_than = Some(age);
        self
    }
}

/// What was let go of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// The points, in the order in which they went.
    pub points: Vec<Point>,
    /// Streams that never became points.
    pub abandoned: Vec<String>,
    /// The bytes of all of them.
    pub bytes: u64,
}

impl Archive {
    /// Removes chains that no rule keeps, points without a base, and streams of uploads that were cut a day ago or longer. With `is_rehearsal` it only tells what it would remove.
    ///
    /// # Errors
    /// [`Error::DamagedManifest`]: nothing is removed while it is not known what depends on what; remove that manifest first. When the place fails: what was not removed yet stays, whole.
    pub fn prune(&self, keep: Keep, is_rehearsal: bool) -> Result<Pruned> {
        let scan = self.scan()?;
        if let Some(damaged) = scan.damaged.into_iter().next() {
            return Err(damaged);
        }
        let now = SystemTime::now();
        let since = keep.younger_than.and_then(|age| now.checked_sub(age));
        // Longer ago than there is time: nothing is older.
        let since = since.or(keep.younger_than.map(|_| SystemTime::UNIX_EPOCH));
        let mut stores: BTreeMap<StoreId, Vec<Point>> = BTreeMap::new();
        for point in &scan.points {
            stores.entry(point.source).or_default().push(point.clone());
        }
        let mut pruned = Pruned { points: Vec::new(), abandoned: Vec::new(), bytes: 0 };
        for points in stores.values() {
            for point in chain::expendable(points, keep.chains, since) {
                if !is_rehearsal {
                    self.remove(&point.manifest_name())?;
                    self.remove(&point.stream_name())?;
                }
                pruned.bytes += point.bytes;
                pruned.points.push(point.clone());
            }
        }
        for item in scan.streams {
            let is_old = now.duration_since(item.written).is_ok_and(|age| age > ABANDONED);
            if is_old && !scan.points.iter().any(|point| point.stream_name() == item.name) {
                if !is_rehearsal {
                    self.remove(&item.name)?;
                }
                pruned.bytes += item.bytes;
                pruned.abandoned.push(item.name);
            }
        }
        Ok(pruned)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.place.remove(name).map_err(Error::place("remove", name))
    }
}
