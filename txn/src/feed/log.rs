//! The newest commits, for those who watch: of each its moment and which pages it touched.
//!
//! Promises:
//! 1. A commit waits for no subscriber, and costs one relaxed load while there is none. Else it costs a registration as a reader and a list of page numbers.
//! 2. What is kept is bounded, in commits and in pages: beyond that the oldest go. A subscriber who needs one that is gone compares the moment that he holds with a later one.
//! 3. A commit that every subscriber has behind him is not kept.
//!
//! Nothing depends on the log being complete: a subscriber takes a commit from it only if it is the very next one after what he delivered last. So it does
//! not matter that a commit may miss a subscriber who has just come.

use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering};
use crate::{Snapshot, Timestamp};
use pentimento_storage::{PageId, Store};
use std::collections::{BTreeMap, VecDeque};

/// How many commits are kept at most, for the slowest subscriber.
const COMMITS_MAX: usize = 4096;
/// How many bytes the pages have, at most, that these commits touched: their older versions are kept as long.
const BYTES_MAX: usize = 64 << 20;

/// One commit.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    /// The store right after it.
    pub snapshot: Snapshot,
    /// The pages that it touched.
    pub pages: Arc<[PageId]>,
}

#[derive(Debug, Default)]
struct State {
    commits: VecDeque<Commit>,
    /// The pages of all `commits` together.
    pages: usize,
    /// What each subscriber has delivered last.
    positions: BTreeMap<u64, Timestamp>,
    next_number: u64,
}

impl State {
    fn pop(&mut self) -> Option<Commit> {
        let commit = self.commits.pop_front()?;
        self.pages -= commit.pages.len();
        Some(commit)
    }

    /// Takes out what nobody needs any more.
    fn prune(&mut self) -> Vec<Commit> {
        let oldest = self.positions.values().min().copied().unwrap_or(Timestamp::MAX);
        let count = self.commits.partition_point(|commit| commit.snapshot.timestamp() <= oldest);
        (0..count).filter_map(|_| self.pop()).collect()
    }
}

/// The meeting place of commits and subscribers.
#[derive(Debug)]
pub(crate) struct Log {
    subscribers: AtomicUsize,
    is_closed: AtomicBool,
    pages_max: usize,
    state: Mutex<State>,
}

impl Log {
    /// For a store with pages of this size.
    pub fn new(page_size: usize) -> Log {
        let pages_max = BYTES_MAX / page_size;
        Log { subscribers: AtomicUsize::new(0), is_closed: AtomicBool::new(false), pages_max, state: Mutex::default() }
    }

    /// Whether anybody wants to know of commits.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) > 0
    }

    /// Notes the commit that has just been installed and touched these pages. Under the writer's turn.
    pub fn note(&self, store: &Arc<Store>, pages: Vec<PageId>) {
        let snapshot = Snapshot::new(store.pin_installed()).labelled("change feed");
        let mut state = self.state.lock();
        if state.positions.is_empty() {
            return;
        }
        state.pages += pages.len();
        state.commits.push_back(Commit { snapshot, pages: pages.into() });
        let mut gone = Vec::new();
        while state.commits.len() > COMMITS_MAX || state.pages > self.pages_max {
            gone.extend(state.pop());
        }
        // Registrations are given up outside of the lock.
        drop(state);
    }

    /// A subscriber comes, who has delivered everything up to `position`.
    pub fn enter(&self, position: Timestamp) -> u64 {
        let mut state = self.state.lock();
        let number = state.next_number;
        state.next_number += 1;
        state.positions.insert(number, position);
        self.subscribers.fetch_add(1, Ordering::Relaxed);
        number
    }

    /// Commit `at`, if it is known.
    pub fn get(&self, at: Timestamp) -> Option<Commit> {
        let state = self.state.lock();
        let index = state.commits.binary_search_by_key(&at, |commit| commit.snapshot.timestamp()).ok()?;
        state.commits.get(index).cloned()
    }

    /// A subscriber has delivered everything up to `position`.
    pub fn advance(&self, number: u64, position: Timestamp) {
        let gone = {
            let mut state = self.state.lock();
            state.positions.insert(number, position);
            state.prune()
        };
        drop(gone);
    }

    /// A subscriber goes.
    pub fn leave(&self, number: u64) {
        let gone = {
            let mut state = self.state.lock();
            if state.positions.remove(&number).is_some() {
                self.subscribers.fetch_sub(1, Ordering::Relaxed);
            }
            state.prune()
        };
        drop(gone);
    }

    /// No commit will follow.
    pub fn close(&self, store: &Store) {
        self.is_closed.store(true, Ordering::Release);
        store.wake();
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }
}
