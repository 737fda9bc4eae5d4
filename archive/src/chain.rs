//! Which points can be restored, from what; which of them a rule keeps. Pure: no place is asked.

use crate::manifest::Point;
use pentimento_txn::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

/// The points that lead to `target`, a whole one first: of several ways the one with the fewest bytes. `points` are of one store.
pub(crate) fn path_to(points: &[Point], target: Timestamp) -> Option<Vec<&Point>> {
    let ways = ways(points);
    let mut path = Vec::new();
    let mut at = Some(target);
    while let Some(timestamp) = at {
        let (_, point) = ways.get(&timestamp)?;
        path.push(*point);
        at = point.base;
    }
    path.reverse();
    Some(path)
}

/// For each moment that can be restored: the bytes that it takes, and the last point of the way.
fn ways(points: &[Point]) -> BTreeMap<Timestamp, (u64, &Point)> {
    let mut sorted: Vec<&Point> = points.iter().collect();
    sorted.sort_by_key(|point| (point.timestamp, point.base));
    let mut ways: BTreeMap<Timestamp, (u64, &Point)> = BTreeMap::new();
    // A base is older than what is based on it, so its way is known already.
    for point in sorted {
        let before = match point.base {
            None => 0,
            Some(base) => match ways.get(&base) {
                Some((bytes, _)) => *bytes,
                None => continue,
            },
        };
        let bytes = before.saturating_add(point.bytes);
        if ways.get(&point.timestamp).is_none_or(|(known, _)| bytes < *known) {
            ways.insert(point.timestamp, (bytes, point));
        }
    }
    ways
}

/// The newest moment that can be restored.
pub(crate) fn newest(points: &[Point]) -> Option<Timestamp> {
    ways(points).into_keys().next_back()
}

/// Whether a moment can be restored.
pub(crate) fn has(points: &[Point], at: Timestamp) -> bool {
    ways(points).contains_key(&at)
}

/// The points that depend on the moment `root`, in the order of their timestamps, without those of that moment.
fn dependents(points: &[Point], root: Timestamp) -> Vec<&Point> {
    let mut sorted: Vec<&Point> = points.iter().filter(|point| point.base.is_some()).collect();
    sorted.sort_by_key(|point| point.timestamp);
    let mut reached = BTreeSet::from([root]);
    sorted.retain(|point| {
        let depends = point.base.is_some_and(|base| reached.contains(&base));
        if depends {
            reached.insert(point.timestamp);
        }
        depends
    });
    sorted
}

/// What a rule lets go of, in the order in which it is to go: nothing that is left is ever without its base. A chain, a whole point and all that depends on it, stays if it
/// is one of the newest `chains`, or if a point of it was made after `since`; the newest always stays. `points` are of one store.
pub(crate) fn expendable(points: &[Point], chains: Option<usize>, since: Option<SystemTime>) -> Vec<&Point> {
    let mut roots: Vec<&Point> = points.iter().filter(|point| point.base.is_none()).collect();
    roots.sort_by_key(|point| std::cmp::Reverse(point.timestamp));
    let chains = chains.unwrap_or(0).max(1);
    let mut kept = BTreeSet::new();
    for (number, root) in roots.iter().enumerate() {
        let members: Vec<&Point> = std::iter::once(*root).chain(dependents(points, root.timestamp)).collect();
        let is_young = since.is_some_and(|since| members.iter().any(|point| point.made >= since));
        if number < chains || is_young {
            kept.extend(members.iter().map(|point| (point.timestamp, point.base)));
        }
    }
    let mut gone: Vec<&Point> = points.iter().filter(|point| !kept.contains(&(point.timestamp, point.base))).collect();
    gone.sort_by_key(|point| std::cmp::Reverse(point.timestamp));
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use pentimento_txn::StoreId;
    use quickcheck::QuickCheck;
    use std::time::Duration;

    fn point(timestamp: u64, base: Option<u64>, bytes: u64) -> Point {
        Point {
            source: StoreId([1; 16]),
            timestamp: Timestamp(timestamp),
            base: base.map(Timestamp),
            made: SystemTime::UNIX_EPOCH + Duration::from_secs(timestamp * 100),
            bytes,
            checksum: 0,
            puts: 0,
            removes: 0,
        }
    }

    fn stamps(points: &[&Point]) -> Vec<(u64, Option<u64>)> {
        points.iter().map(|point| (point.timestamp.0, point.base.map(|base| base.0))).collect()
    }

    #[test]
    fn the_way_with_the_fewest_bytes() {
        let points = [
            point(1, None, 100),
            point(2, Some(1), 5),
            point(3, Some(2), 5),
            point(3, None, 200),
            point(9, Some(8), 1),
        ];
        assert_eq!(stamps(&path_to(&points, Timestamp(3)).unwrap()), [(1, None), (2, Some(1)), (3, Some(2))]);
        assert_eq!(newest(&points), Some(Timestamp(3)));
        assert!(path_to(&points, Timestamp(9)).is_none() && !has(&points, Timestamp(9)));
    }

    #[test]
    fn the_newest_chain_always_stays() {
        let points = [point(1, None, 9), point(2, Some(1), 1), point(5, None, 9), point(6, Some(5), 1)];
        assert_eq!(stamps(&expendable(&points, None, None)), [(2, Some(1)), (1, None)]);
        assert_eq!(stamps(&expendable(&points, Some(2), None)), []);
        let since = |secs| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(secs));
        assert_eq!(stamps(&expendable(&points, None, since(200))), []);
        assert_eq!(stamps(&expendable(&points, Some(1), since(201))), [(2, Some(1)), (1, None)]);
        assert_eq!(stamps(&expendable(&points[..2], Some(0), since(1000))), []);
    }

    /// Whatever the archive has, and wherever a pruning stops: what could be restored and is left can still be restored.
    #[test]
    fn nothing_that_is_left_loses_its_base() {
        fn property(shape: Vec<(u8, u8)>, chains: usize) -> bool {
            let mut points: Vec<Point> = Vec::new();
            for (timestamp, base) in shape {
                let (timestamp, base) = (u64::from(timestamp % 32) + 1, u64::from(base % 40));
                let base = Some(base).filter(|base| (1..timestamp).contains(base));
                if !points.iter().any(|p| p.timestamp.0 == timestamp && p.base.map(|base| base.0) == base) {
                    points.push(point(timestamp, base, timestamp % 7));
                }
            }
            let before: BTreeSet<Timestamp> = ways(&points).into_keys().collect();
            let gone: Vec<Point> = expendable(&points, Some(chains % 4), None).into_iter().cloned().collect();
            let newest_root = points.iter().filter(|point| point.base.is_none()).map(|point| point.timestamp).max();
            let mut left = points.clone();
            for point in &gone {
                left.retain(|other| (other.timestamp, other.base) != (point.timestamp, point.base));
                for other in &left {
                    let could = other.base.is_none_or(|base| before.contains(&base));
                    let can = other.base.is_none_or(|base| has(&left, base));
                    assert!(!could || can, "{other:?} lost its base");
                }
            }
            newest_root.is_none_or(|root| has(&left, root))
        }
        QuickCheck::new().tests(1000).quickcheck(property as fn(Vec<(u8, u8)>, usize) -> bool);
    }
}
