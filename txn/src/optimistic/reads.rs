//! What a serializable transaction read: keys, found or not, and stretches of keys.
//!
//! Promises: whatever could have changed what the transaction was told is noted before it is told; a range counts as far as it was walked.

use super::span::Span;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Bound;

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
    fn spans(&self) -> Vec<Span> {
        if self.all {
            return vec![self.bounds.clone()];
        }
        let front = self.front.as_ref().map(|last| (self.bounds.start(), Bound::Included(last.as_slice())));
        let back = self.back.as_ref().map(|last| (Bound::Included(last.as_slice()), self.bounds.end()));
        front.into_iter().chain(back).map(|(start, end)| Span::new(start, end)).collect()
    }
}

/// What was read of one tree.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    keys: BTreeSet<Vec<u8>>,
    scans: Vec<Scan>,
    whole: bool,
}

/// What was read of one tree, in a form that can be compared with what others wrote.
#[derive(Debug, Default)]
pub(crate) struct ReadClaims {
    pub keys: BTreeSet<Vec<u8>>,
    pub spans: Vec<Span>,
    pub whole: bool,
}

impl ReadClaims {
    pub fn is_empty(&self) -> bool {
        !self.whole && self.keys.is_empty() && self.spans.is_empty()
    }
}

/// Where reads of a tree are noted; nowhere if nobody will validate them.
#[derive(Debug, Default)]
pub(crate) struct ReadLog(Option<RefCell<Reads>>);

impl ReadLog {
    pub fn new(on: bool) -> ReadLog {
        ReadLog(on.then(RefCell::default))
    }

    /// One key was looked for.
    pub fn key(&self, key: &[u8]) {
        if let Some(reads) = &self.0 {
            let mut reads = reads.borrow_mut();
            if !reads.whole && !reads.keys.contains(key) {
                reads.keys.insert(key.to_vec());
            }
        }
    }

    /// Something was told that any change of the tree could alter.
    pub fn whole(&self) {
        if let Some(reads) = &self.0 {
            reads.borrow_mut().whole = true;
        }
    }

    /// A walk over a range begins; its progress is noted as it goes, so that nothing depends on its being dropped.
    pub fn scan(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> ScanLog<'_> {
        let Some(reads) = &self.0 else { return ScanLog(None) };
        let mut noted = reads.borrow_mut();
        noted.scans.push(Scan { bounds: Span::new(start, end), front: None, back: None, all: false });
        ScanLog(Some((reads, noted.scans.len() - 1)))
    }

    /// What was noted so far.
    pub fn into_claims(self) -> ReadClaims {
        let Some(reads) = self.0 else { return ReadClaims::default() };
        let Reads { keys, scans, whole } = reads.into_inner();
        ReadClaims { keys, spans: scans.iter().flat_map(Scan::spans).collect(), whole }
    }
}

/// Where one walk notes how far it went.
#[derive(Debug)]
pub(crate) struct ScanLog<'r>(Option<(&'r RefCell<Reads>, usize)>);

impl ScanLog<'_> {
    fn note(&self, change: impl FnOnce(&mut Scan)) {
        if let Some((reads, index)) = self.0 {
            change(&mut reads.borrow_mut().scans[index]);
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

    #[test]
    fn a_walk_counts_as_far_as_it_went() {
        let log = ReadLog::new(true);
        let walk = log.scan(Bound::Included(b"b"), Bound::Excluded(b"y"));
        walk.front(b"c");
        walk.front(b"d");
        walk.back(b"w");
        log.key(b"p");
        // One that nobody advanced has told nothing.
        log.scan(Bound::Unbounded, Bound::Unbounded);
        let claims = log.into_claims();
        let read = |key: &[u8]| claims.keys.contains(key) || claims.spans.iter().any(|span| span.contains(key));
        let told: Vec<&[u8]> = vec![b"b", b"c", b"d", b"p", b"w", b"x"];
        let not_told: Vec<&[u8]> = vec![b"a", b"d\0", b"o", b"v", b"y", b"z"];
        assert!(told.into_iter().all(read));
        assert!(!not_told.into_iter().any(read));
    }

    #[test]
    fn a_walk_to_the_end_counts_whole_and_a_log_that_is_off_notes_nothing() {
        for (on, expected) in [(true, true), (false, false)] {
            let log = ReadLog::new(on);
            log.scan(Bound::Excluded(b"a"), Bound::Unbounded).end();
            let claims = log.into_claims();
            assert_eq!(claims.spans.iter().any(|span| span.contains(b"zebra")), expected);
            assert!(!claims.spans.iter().any(|span| span.contains(b"a")));
            assert_eq!(claims.is_empty(), !on);
        }
    }
}
