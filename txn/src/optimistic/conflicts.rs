//! Which concurrent transactions run, and what was committed since the oldest of them began.
//!
//! Promises:
//! 1. While a concurrent transaction runs, the footprint of each commit that it does not see is kept: see [`Conflicts::note`] for the proof.
//! 2. Footprints are kept for nobody: those not younger than the oldest running transaction's snapshot are dropped, all when none runs. A commit costs one load then.
//! 3. They take no more memory than the limit: beyond it the oldest are folded into names of trees, and too many names into "anything".

use super::claims::{Claims, Clash, MAX_NAMES};
use super::footprint::Footprint;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Count, Mutex, Ordering};
use crate::{Error, Result, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How much memory footprints may take unless the builder says otherwise.
pub(crate) const DEFAULT_LIMIT: usize = 64 << 20;
/// One commit's footprint takes at most this part of the limit.
const COMMIT_PART: usize = 8;
/// And no more than this, whatever the limit: what lists operations and keys counts their bytes in 32 bits.
const COMMIT_MAX: usize = 1 << 30;

/// Old commits of which only the trees are known.
#[derive(Clone, Debug)]
struct Folded {
    /// The newest of them.
    to: Timestamp,
    /// `None`: any tree.
    trees: Option<BTreeSet<String>>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    /// The running transactions by a timestamp that is not younger than their snapshot's.
    bases: BTreeMap<Timestamp, usize>,
    /// Of consecutive commits, the newest last.
    recent: VecDeque<Arc<Footprint>>,
    folded: Option<Arc<Folded>>,
    bytes: usize,
}

impl State {
    /// Drops what nobody needs who runs now.
    fn prune(&mut self) {
        let Some(&oldest) = self.bases.keys().next() else {
            (self.recent, self.folded, self.bytes) = (VecDeque::new(), None, 0);
            return;
        };
        while let Some(print) = self.recent.pop_front_if(|print| print.at <= oldest) {
            self.bytes -= print.bytes;
        }
        if let Some(folded) = self.folded.take_if(|folded| folded.to <= oldest) {
            self.bytes -= folded.bytes;
        }
    }

    /// Folds the oldest footprints until the rest fits.
    fn fold(&mut self, limit: usize) -> u64 {
        let mut count = 0;
        while self.bytes > limit {
            let Some(print) = self.recent.pop_front() else { break };
            count += 1;
            let none = || Arc::new(Folded { to: Timestamp::ZERO, trees: Some(BTreeSet::new()), bytes: 0 });
            let folded = Arc::make_mut(self.folded.get_or_insert_with(none));
            folded.to = print.at;
            if let Some(trees) = &mut folded.trees {
                for (name, _) in &print.trees {
                    if !trees.contains(name) {
                        folded.bytes += name.len() + size_of::<String>();
                        self.bytes += name.len() + size_of::<String>();
                        trees.insert(name.clone());
                    }
                }
                if trees.len() > MAX_NAMES || folded.bytes > limit / 2 {
                    folded.trees = None;
                    self.bytes -= std::mem::take(&mut folded.bytes);
                }
            }
            self.bytes -= print.bytes;
        }
        count
    }
}

/// What happened since a transaction's snapshot.
struct Window {
    folded: Option<Arc<Folded>>,
    recent: Vec<Arc<Footprint>>,
    /// Everything up to here is in it.
    to: Timestamp,
}

/// Numbers of concurrent transactions since the store was opened, and of what runs now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConcurrencyStats {
    /// Concurrent transactions that run now.
    pub running: u64,
    /// What the oldest of them reads; commits since then are remembered for it.
    pub oldest_base: Option<Timestamp>,
    /// Transactions begun, those that hold the turn not included.
    pub begun: u64,
    /// Transactions that committed changes.
    pub commits: u64,
    /// Transactions that failed with [`Error::Conflict`].
    pub conflicts: u64,
    /// How often [`Database::transact`](crate::Database::transact) tried again.
    pub retries: u64,
    /// How often it took the writer's turn for its last try.
    pub turns_held: u64,
    /// Commits remembered with the keys that they wrote.
    pub footprints: u64,
    /// The memory that they take, in bytes.
    pub footprint_bytes: u64,
    /// Commits of which only the trees are remembered, or were, because memory was short.
    pub folded: u64,
    /// Transactions that came to their commit with more reads than they could list, so that ranges or whole trees counted as read.
    pub coarse_reads: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub begun: Count,
    pub commits: Count,
    pub conflicts: Count,
    pub retries: Count,
    pub turns_held: Count,
    pub folded: Count,
    pub coarse_reads: Count,
}

impl Counters {
    pub fn count(counter: &Count) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The meeting place of concurrent transactions and commits.
#[derive(Debug)]
pub(crate) struct Conflicts {
    running: AtomicUsize,
    /// Whether there ever was a concurrent transaction: from then on stores without a journal gather operations too.
    used: AtomicBool,
    limit: usize,
    state: Mutex<State>,
    pub counters: Counters,
}

impl Conflicts {
    pub fn new(limit: usize) -> Conflicts {
        Conflicts {
            running: AtomicUsize::new(0),
            used: AtomicBool::new(false),
            limit,
            state: Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// Whether there ever was a concurrent transaction.
    pub fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// How much memory one commit's footprint may take, and what one transaction has read.
    pub fn commit_limit(&self) -> usize {
        (self.limit / COMMIT_PART).min(COMMIT_MAX)
    }

    /// A concurrent transaction begins, and will read at `floor` or later: its snapshot is taken *after* this.
    pub fn enter(self: &Arc<Self>, floor: Timestamp) -> Place {
        self.used.store(true, Ordering::Relaxed);
        let mut state = self.state.lock();
        self.running.fetch_add(1, Ordering::SeqCst);
        *state.bases.entry(floor).or_default() += 1;
        Counters::count(&self.counters.begun);
        Place { conflicts: self.clone(), floor }
    }

    /// Notes a commit that has just been installed, under the writer's turn.
    ///
    /// Why no commit is missed: a transaction raises `running` and *then* takes its snapshot, at the newest installed timestamp, inside the critical
    /// section in which commits are noted as installed. Commit `t` comes here *after* its own passage through that section, still under the turn.
    /// If the snapshot is older than `t`, the transaction's passage came first, so its `running` happened before our load, and we see it. If not,
    /// it sees `t` and needs no footprint. It validates under the turn, so whatever was installed by then has been noted.
    pub fn note(&self, at: Timestamp, footprint: impl FnOnce() -> Footprint) {
        if self.running.load(Ordering::SeqCst) == 0 {
            return;
        }
        let print = Footprint { at, ..footprint() };
        let mut state = self.state.lock();
        if state.bases.is_empty() {
            return;
        }
        debug_assert!(state.recent.back().is_none_or(|last| last.at.next() == at), "footprints are consecutive");
        state.bytes += print.bytes;
        state.recent.push_back(Arc::new(print));
        let folded = state.fold(self.limit);
        self.counters.folded.fetch_add(folded, Ordering::Relaxed);
    }

    fn window(&self, since: Timestamp) -> Window {
        let state = self.state.lock();
        let folded = state.folded.clone().filter(|folded| folded.to > since);
        let known = state.recent.partition_point(|print| print.at <= since);
        let recent: Vec<_> = state.recent.range(known..).cloned().collect();
        let to = recent.last().map(|print| print.at).or(folded.as_ref().map(|folded| folded.to));
        // A gap between what the transaction saw and what was noted; there is none, by the proof above.
        let first = recent.first().map(|print| print.at);
        let is_whole = folded.is_some() || first.is_none_or(|first| first == since.next());
        Window { folded, recent, to: to.filter(|_| is_whole).unwrap_or(since) }
    }

    /// Looks for a conflict with the commits after `since`, and tells up to where it has looked.
    pub fn check(&self, claims: &Claims, since: Timestamp) -> Result<Timestamp> {
        let window = self.window(since);
        if let Some(folded) = &window.folded {
            let clash = match &folded.trees {
                Some(trees) => claims.clash_with_trees(trees),
                None => claims.first_tree(),
            };
            clash.map_or(Ok(()), |clash| Err(self.conflict(clash, folded.to)))?;
        }
        for print in &window.recent {
            claims.clash(print).map_or(Ok(()), |clash| Err(self.conflict(clash, print.at)))?;
        }
        Ok(window.to)
    }

    /// The error, counted.
    pub fn conflict(&self, clash: Clash, at: Timestamp) -> Error {
        Counters::count(&self.counters.conflicts);
        Error::Conflict { tree: clash.tree, key: clash.key, at }
    }

    pub fn stats(&self) -> ConcurrencyStats {
        let load = |counter: &Count| counter.load(Ordering::Relaxed);
        let state = self.state.lock();
        ConcurrencyStats {
            running: state.bases.values().sum::<usize>() as u64,
            oldest_base: state.bases.keys().next().copied(),
            begun: load(&self.counters.begun),
            commits: load(&self.counters.commits),
            conflicts: load(&self.counters.conflicts),
            retries: load(&self.counters.retries),
            turns_held: load(&self.counters.turns_held),
            footprints: state.recent.len() as u64,
            footprint_bytes: state.bytes as u64,
            folded: load(&self.counters.folded),
            coarse_reads: load(&self.counters.coarse_reads),
        }
    }
}

/// A running transaction's place among the others; given up when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    conflicts: Arc<Conflicts>,
    floor: Timestamp,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.conflicts.state.lock();
        if let Some(count) = state.bases.get_mut(&self.floor) {
            *count -= 1;
            if *count == 0 {
                state.bases.remove(&self.floor);
                state.prune();
            }
        }
        self.conflicts.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::TreeClaims;
    use super::super::footprint::TreePrint;
    use super::super::keys::KeySet;
    use super::*;

    fn print(tree: &str, key: &[u8]) -> Footprint {
        let keys = KeySet::from_sorted([key]);
        Footprint::new([(tree.to_owned(), TreePrint { keys, ..TreePrint::default() })].into(), usize::MAX)
    }

    fn writer_of(tree: &str, key: &[u8]) -> Claims {
        let mut claims = TreeClaims::default();
        claims.overlay.put(key, b"");
        Claims { trees: [(tree.to_owned(), claims)].into(), ..Claims::default() }
    }

    #[test]
    fn footprints_live_as_long_as_somebody_needs_them() {
        let conflicts = Arc::new(Conflicts::new(1 << 20));
        let note = |at| conflicts.note(Timestamp(at), || print("t", b"k"));
        let kept = || (conflicts.stats().footprints, conflicts.stats().footprint_bytes > 0);
        note(1);
        assert_eq!(kept(), (0, false), "nobody runs");
        let old = conflicts.enter(Timestamp(1));
        note(2);
        note(3);
        let young = conflicts.enter(Timestamp(3));
        note(4);
        assert_eq!(kept(), (3, true));
        assert_eq!(conflicts.stats().oldest_base, Some(Timestamp(1)));
        drop(old);
        assert_eq!(kept(), (1, true), "only what the younger one did not see");
        drop(young);
        assert_eq!(kept(), (0, false));
        note(5);
        assert_eq!((kept(), conflicts.stats().running), ((0, false), 0));
    }

    #[test]
    fn beyond_the_limit_old_commits_are_known_by_tree_only() {
        const LIMIT: usize = 4096;
        let conflicts = Arc::new(Conflicts::new(LIMIT));
        let _place = conflicts.enter(Timestamp(0));
        for at in 1..=1000u64 {
            let tree = if at < 500 { "old" } else { "new" };
            conflicts.note(Timestamp(at), || print(tree, &at.to_be_bytes()));
            assert!(conflicts.stats().footprint_bytes <= LIMIT as u64);
        }
        assert!(conflicts.stats().folded > 900 && conflicts.stats().footprints > 5);
        // Nobody wrote these keys, but of the old commits that is not known any more.
        for (tree, since, is_conflict) in [("old", 0, true), ("new", 0, true), ("other", 0, false), ("new", 999, false)]
        {
            let found = conflicts.check(&writer_of(tree, b"no such key"), Timestamp(since));
            assert_eq!(found.is_err(), is_conflict, "{tree} since {since}: {found:?}");
            assert!(found.is_err() || found.unwrap() == Timestamp(1000));
        }
        // Of the young ones it is.
        let found = conflicts.check(&writer_of("new", &1000u64.to_be_bytes()), Timestamp(999)).unwrap_err();
        assert!(
            matches!(&found, Error::Conflict { key: Some(key), at: Timestamp(1000), .. } if key[..] == 1000u64.to_be_bytes())
        );
        assert!(found.is_retryable());
    }

    #[test]
    fn too_many_names_are_any_tree() {
        let conflicts = Arc::new(Conflicts::new(1000));
        let _place = conflicts.enter(Timestamp(0));
        for at in 1..=300u64 {
            conflicts.note(Timestamp(at), || print(&format!("tree {at}"), b"k"));
            assert!(conflicts.stats().footprint_bytes <= 1000);
        }
        assert!(conflicts.check(&writer_of("never written", b"k"), Timestamp(0)).is_err());
        assert!(conflicts.check(&Claims::default(), Timestamp(0)).is_ok(), "who did nothing meets nobody");
    }
}
