//! What a serializable transaction read: keys, found or not, and stretches of keys.
//!
//! Promises:
//! 1. Whatever could have changed what the transaction was told is noted before it is told; a range counts as far as it was walked.
//! 2. The notes of all trees of a transaction take no more memory than their limit (but for a little for each tree, and for its newest walks): beyond it
//!    neighbouring keys become stretches, stretches become longer ones, and at last a whole tree counts as read. That makes conflicts that are none, never
//!    the other way round.

use super::span::Span;
use super::spans::SpanSet;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Ordering};
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;

/// What a key takes in the set besides its bytes, about.
const KEY_BYTES: usize = 2 * size_of::<Vec<u8>>();
/// So many neighbouring keys become one stretch, and so many stretches a longer one.
const JOINED: usize = 8;
/// So many walks of one tree may go on at once. Of walks that ended nobody tells, so the oldest is taken for ended when there are more.
const WALKS: usize = 64;

/// How much memory the notes of a transaction take, and may take.
#[derive(Debug)]
pub(crate) struct ReadBudget {
    limit: usize,
    used: AtomicUsize,
    is_coarse: AtomicBool,
}

impl ReadBudget {
    pub fn new(limit: usize) -> Arc<ReadBudget> {
        Arc::new(ReadBudget { limit, used: AtomicUsize::new(0), is_coarse: AtomicBool::new(false) })
    }

    /// Whether something was noted more coarsely than it was read.
    pub fn is_coarse(&self) -> bool {
        self.is_coarse.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit
    }
}

/// A walk over a range, from either end, as far as it went.
#[derive(Debug)]
struct Scan {
    bounds: Span,
    /// The last key that was told from the front, and from the back.
    front: Option<Vec<u8>>,
    back: Option<Vec<u8>>,
    /// Walked to its end.
    all: bool,
}

impl Scan {
    /// The stretches that were read.
    fn into_spans(self) -> [Option<Span>; 2] {
        let Scan { bounds, front, back, all } = self;
        if all {
            return [Some(bounds), None];
        }
        let Span { start, end } = bounds;
        [
            front.map(|last| Span { start, end: Bound::Included(last) }),
            back.map(|last| Span { start: Bound::Included(last), end }),
        ]
    }
}

/// What was read of one tree.
#[derive(Debug)]
struct Reads {
    keys: BTreeSet<Vec<u8>>,
    /// The newest walks, which may go on.
    walks: VecDeque<Scan>,
    /// How many walks there were before those.
    ended: usize,
    /// Stretches of walks that ended, in no order.
    spans: Vec<Span>,
    /// What was read before memory was short.
    coarse: SpanSet,
    whole: bool,
    /// Whether the tree was looked into at all, be it in a stretch that no key can lie in: it was there.
    any: bool,
    /// The memory that keys, stretches and coarse stretches take.
    bytes: usize,
    budget: Arc<ReadBudget>,
}

impl Reads {
    fn take_memory(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        if self.budget.is_over() {
            self.coarsen();
        }
    }

    fn give_back(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn key(&mut self, key: &[u8]) {
        self.any = true;
        if !self.whole && !self.keys.contains(key) && !self.coarse.contains(key) {
            self.keys.insert(key.to_vec());
            self.take_memory(KEY_BYTES + key.len());
        }
    }

    fn whole(&mut self) {
        (self.whole, self.any) = (true, true);
        (self.keys, self.spans, self.coarse) = (BTreeSet::new(), Vec::new(), SpanSet::default());
        self.give_back(self.bytes);
    }

    fn span(&mut self, span: Span) {
        if self.whole || span.is_empty() {
            return;
        }
        if let Some(last) = self.spans.last_mut() {
            // Who takes entries from an end one by one reads one stretch, piece by piece.
            let continues = last.end_cut() == span.start_cut();
            let precedes = span.end_cut() == last.start_cut();
            if continues || precedes {
                let before = last.bytes();
                if continues {
                    last.end = span.end
                } else {
                    last.start = span.start
                }
                let after = last.bytes();
                return if after > before { self.take_memory(after - before) } else { self.give_back(before - after) };
            }
        }
        let bytes = size_of::<Span>() + span.bytes();
        self.spans.push(span);
        self.take_memory(bytes);
    }

    /// The number of a walk that begins.
    fn begin_walk(&mut self, bounds: Span) -> usize {
        if self.walks.len() == WALKS
            && let Some(oldest) = self.walks.pop_front()
        {
            self.ended += 1;
            oldest.into_spans().into_iter().flatten().for_each(|span| self.span(span));
        }
        self.walks.push_back(Scan { bounds, front: None, back: None, all: false });
        self.ended + self.walks.len() - 1
    }

    /// A walk goes on. One that was taken for ended may go anywhere.
    fn advance(&mut self, number: usize, change: impl FnOnce(&mut Scan)) {
        self.any = true;
        match number.checked_sub(self.ended).and_then(|at| self.walks.get_mut(at)) {
            Some(scan) => change(scan),
            None => self.whole(),
        }
    }

    /// Notes less exactly what was read, in half the memory or less, as long as memory is short.
    #[cold]
    fn coarsen(&mut self) {
        self.budget.is_coarse.store(true, Ordering::Relaxed);
        let before = self.bytes;
        let mut keys = std::mem::take(&mut self.keys).into_iter();
        let mut spans = std::mem::take(&mut self.spans);
        spans.extend(std::mem::take(&mut self.coarse).into_spans());
        while let Some(first) = keys.next() {
            let last = keys.by_ref().take(JOINED - 1).last().unwrap_or_else(|| first.clone());
            spans.push(Span { start: Bound::Included(first), end: Bound::Included(last) });
        }
        let mut coarse: SpanSet = spans.into_iter().collect();
        while coarse.heap_bytes() > before / 2 && coarse.len() > 1 {
            coarse.join_neighbours(JOINED);
        }
        if coarse.heap_bytes() > before / 2 {
            return self.whole();
        }
        self.give_back(self.bytes - coarse.heap_bytes());
        self.coarse = coarse;
        if self.budget.is_over() {
            // Others of its trees hold the memory, or it takes little for what it reads.
            self.coarsen();
        }
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

/// What was read of one tree, in a form that can be compared with what others wrote.
#[derive(Debug, Default)]
pub(crate) struct ReadClaims {
    pub keys: BTreeSet<Vec<u8>>,
    pub spans: SpanSet,
    pub whole: bool,
    /// Whether anything was read, be it in a stretch that no key can lie in.
    pub any: bool,
}

impl ReadClaims {
    pub fn is_empty(&self) -> bool {
        !self.any
    }
}

/// Where reads of a tree are noted; nowhere if nobody will validate them.
#[derive(Debug, Default)]
pub(crate) struct ReadLog(Option<RefCell<Reads>>);

impl ReadLog {
    /// A log within a budget, or none.
    pub fn new(budget: Option<Arc<ReadBudget>>) -> ReadLog {
        ReadLog(budget.map(|budget| {
            let (keys, coarse) = (BTreeSet::new(), SpanSet::default());
            let (walks, spans) = (VecDeque::new(), Vec::new());
            RefCell::new(Reads { keys, walks, ended: 0, spans, coarse, whole: false, any: false, bytes: 0, budget })
        }))
    }

    /// One key was looked for.
    pub fn key(&self, key: &[u8]) {
        if let Some(reads) = &self.0 {
            reads.borrow_mut().key(key);
        }
    }

    /// Something was told that any change of the tree could alter.
    pub fn whole(&self) {
        if let Some(reads) = &self.0 {
            reads.borrow_mut().whole();
        }
    }

    /// A walk over a range begins; its progress is noted as it goes, so that nothing depends on its being dropped. Beyond some tens at
    /// once in one tree, one that goes on counts as reading the whole tree.
    pub fn scan(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> ScanLog<'_> {
        let Some(reads) = &self.0 else { return ScanLog(None) };
        ScanLog(Some((reads, reads.borrow_mut().begin_walk(Span::new(start, end)))))
    }

    /// What was noted so far.
    pub fn into_claims(self) -> ReadClaims {
        let Some(reads) = self.0 else { return ReadClaims::default() };
        let mut reads = reads.into_inner();
        let walks = std::mem::take(&mut reads.walks).into_iter();
        let spans = std::mem::take(&mut reads.spans).into_iter().chain(std::mem::take(&mut reads.coarse).into_spans());
        let spans = spans.chain(walks.flat_map(Scan::into_spans).flatten()).collect();
        ReadClaims { keys: std::mem::take(&mut reads.keys), spans, whole: reads.whole, any: reads.any }
    }
}

/// Where one walk notes how far it went.
#[derive(Debug)]
pub(crate) struct ScanLog<'r>(Option<(&'r RefCell<Reads>, usize)>);

impl ScanLog<'_> {
    fn note(&self, change: impl FnOnce(&mut Scan)) {
        if let Some((reads, number)) = self.0 {
            reads.borrow_mut().advance(number, change);
        }
    }

    /// This key was told from the front.
    pub fn front(&self, key: &[u8]) {
        self.note(|scan| set(&mut scan.front, key));
    }

    /// This key was told from the back.
    pub fn back(&self, key: &[u8]) {
        self.note(|scan| set(&mut scan.back, key));
    }

    /// The walk met its end, or failed.
    pub fn end(&self) {
        self.note(|scan| scan.all = true);
    }
}

/// Keeps the memory of the key before.
fn set(slot: &mut Option<Vec<u8>>, key: &[u8]) {
    let bytes = slot.get_or_insert_default();
    bytes.clear();
    bytes.extend_from_slice(key);
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn log(limit: usize) -> ReadLog {
        ReadLog::new(Some(ReadBudget::new(limit)))
    }

    fn has(claims: &ReadClaims, key: &[u8]) -> bool {
        claims.whole || claims.keys.contains(key) || claims.spans.contains(key)
    }

    #[test]
    fn a_walk_counts_as_far_as_it_went() {
        let log = log(usize::MAX);
        let walk = log.scan(Bound::Included(b"b"), Bound::Excluded(b"y"));
        walk.front(b"c");
        walk.front(b"d");
        walk.back(b"w");
        log.key(b"p");
        // One that nobody advanced has told nothing.
        log.scan(Bound::Unbounded, Bound::Unbounded);
        let claims = log.into_claims();
        let read = |key: &[u8]| has(&claims, key);
        let told: Vec<&[u8]> = vec![b"b", b"c", b"d", b"p", b"w", b"x"];
        let not_told: Vec<&[u8]> = vec![b"a", b"d\0", b"o", b"v", b"y", b"z"];
        assert!(told.into_iter().all(read));
        assert!(!not_told.into_iter().any(read));
    }

    #[test]
    fn a_walk_to_the_end_counts_whole_and_a_log_that_is_off_notes_nothing() {
        for (on, expected) in [(true, true), (false, false)] {
            let log = if on { log(usize::MAX) } else { ReadLog::new(None) };
            log.scan(Bound::Excluded(b"a"), Bound::Unbounded).end();
            let claims = log.into_claims();
            assert_eq!(claims.spans.iter().any(|span| span.contains(b"zebra")), expected);
            assert!(!claims.spans.iter().any(|span| span.contains(b"a")));
            assert_eq!(claims.is_empty(), !on);
        }
    }

    #[test]
    fn who_looked_where_nothing_can_be_has_seen_the_tree() {
        let (looked, did_not) = (log(usize::MAX), log(usize::MAX));
        looked.scan(Bound::Included(b"k"), Bound::Included(b"")).end();
        did_not.scan(Bound::Included(b"k"), Bound::Included(b""));
        assert!(!looked.into_claims().is_empty() && did_not.into_claims().is_empty());
    }

    #[test]
    fn the_notes_stay_within_their_limit_and_forget_nothing() {
        const LIMIT: usize = 16 << 10;
        let budget = ReadBudget::new(LIMIT);
        let logs = [0, 1, 2].map(|_| ReadLog::new(Some(budget.clone())));
        let key = |number: u32| (number.wrapping_mul(2_654_435_761) % 1_000_000).to_be_bytes();
        for number in 0..30_000 {
            let log = &logs[number as usize % 3];
            match number % 5 {
                0 => drop(log.scan(Bound::Included(&key(number)), Bound::Unbounded)),
                1 => log.scan(Bound::Excluded(&key(number)), Bound::Included(&key(number + 5))).end(),
                _ => log.key(&key(number)),
            }
            assert!(budget.used.load(Ordering::Relaxed) <= LIMIT, "after {number}");
        }
        assert!(budget.is_coarse());
        let claims = logs.map(ReadLog::into_claims);
        for number in (0..30_000).filter(|number| number % 5 > 1) {
            assert!(has(&claims[number as usize % 3], &key(number)), "{number} was read");
        }
        assert_eq!(budget.used.load(Ordering::Relaxed), 0, "all of it was given back");
    }

    #[test]
    fn reads_in_one_place_do_not_become_the_whole_tree() {
        let log = log(16 << 10);
        (0..50_000u32).for_each(|number| log.key(&number.to_be_bytes()));
        let claims = log.into_claims();
        assert!(!claims.whole && has(&claims, &77u32.to_be_bytes()));
        assert!(!has(&claims, &50_000u32.to_be_bytes()) && !has(&claims, b"zebra"), "nobody read there");
    }

    #[test]
    fn a_walk_that_was_taken_for_ended_and_goes_on_counts_whole() {
        let (log, other) = (log(usize::MAX), log(usize::MAX));
        let old = log.scan(Bound::Unbounded, Bound::Unbounded);
        old.front(b"a");
        let young: Vec<_> = (0..WALKS).map(|_| log.scan(Bound::Included(b"x"), Bound::Unbounded)).collect();
        young.iter().for_each(|walk| walk.front(b"y"));
        old.front(b"b");
        assert!(log.into_claims().whole);
        // One that does not go on is a stretch like any other.
        other.scan(Bound::Unbounded, Bound::Unbounded).front(b"a");
        (0..3 * WALKS).for_each(|_| other.scan(Bound::Included(b"x"), Bound::Unbounded).front(b"y"));
        let claims = other.into_claims();
        assert!(has(&claims, b"a") && has(&claims, b"y") && !has(&claims, b"b") && !has(&claims, b"z"));
    }

    #[test]
    fn pieces_that_follow_one_another_take_the_memory_of_one() {
        let (up, down) = (log(usize::MAX), log(usize::MAX));
        for number in 0..1000u32 {
            let (here, next) = (number.to_be_bytes(), (number + 1).to_be_bytes());
            up.scan(Bound::Excluded(&here), Bound::Unbounded).front(&next);
            let (here, next) = ((2000 - number).to_be_bytes(), (1999 - number).to_be_bytes());
            down.scan(Bound::Unbounded, Bound::Excluded(&here)).back(&next);
        }
        for (log, inside, outside) in [(up, 1000u32, 0u32), (down, 1000, 2000)] {
            let claims = log.into_claims();
            assert_eq!(claims.spans.len(), 1);
            assert!(has(&claims, &inside.to_be_bytes()) && !has(&claims, &outside.to_be_bytes()));
        }
    }

    quickcheck! {
        fn coarse_notes_have_all_that_exact_ones_have(reads: Vec<(u8, u8, u8)>, limit: u8) -> bool {
            let (exact, coarse) = (log(usize::MAX), log(usize::from(limit) * 8));
            for log in [&exact, &coarse] {
                for (kind, a, b) in &reads {
                    let walk = |all: bool| {
                        let walk = log.scan(Bound::Included(&[*a]), Bound::Excluded(&[*b]));
                        if all { walk.end() } else if a < b { walk.front(&[a + (b - a) / 2]) }
                        walk
                    };
                    match kind % 8 {
                        0..=4 => log.key(&[*a, *b]),
                        5 => drop(walk(true)),
                        _ => drop(walk(false)),
                    }
                }
            }
            let (exact, coarse) = (exact.into_claims(), coarse.into_claims());
            (0..=u8::MAX).flat_map(|a| [vec![a], vec![a, 1], vec![a, 200]]).chain(exact.keys.iter().cloned())
                .all(|key| !has(&exact, &key) || has(&coarse, &key))
        }
    }
}
