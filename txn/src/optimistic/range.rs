//! A range of a snapshot's tree with a transaction's own changes over it.
//!
//! Promises: keys come in order, each once, from either end; where both sides have a key the transaction's own change wins; after an error it ends.

use super::overlay::{Change, OverlayRange};
use super::reads::ScanLog;
use crate::snapshot::Range;
use crate::{Key, Result};
use std::cmp::Ordering;
use std::iter::FusedIterator;

type Entry<'t> = (Key<'t>, &'t [u8]);
type Own<'t> = (&'t Vec<u8>, &'t Change);

/// One side: an iterator with a look ahead at each end.
struct Ends<I: DoubleEndedIterator> {
    rest: I,
    front: Option<I::Item>,
    back: Option<I::Item>,
}

impl<I: DoubleEndedIterator> Ends<I> {
    fn new(rest: I) -> Ends<I> {
        Ends { rest, front: None, back: None }
    }

    /// The end that is taken from next: the first item is in it, if there is one.
    fn look(&mut self, end: End) -> &mut Option<I::Item> {
        let (ours, others) = match end {
            End::Front => (&mut self.front, &mut self.back),
            End::Back => (&mut self.back, &mut self.front),
        };
        if ours.is_none() {
            *ours = match end {
                End::Front => self.rest.next(),
                End::Back => self.rest.next_back(),
            };
            if ours.is_none() {
                *ours = others.take();
            }
        }
        ours
    }
}

#[cfg(test)]
thread_local! {
    /// How many entries and changes walks of this thread have met.
    pub(super) static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Front,
    Back,
}

/// An iterator over entries of a [`ConcurrentTree`](crate::ConcurrentTree), from either end.
pub struct ConcurrentRange<'t> {
    name: &'t str,
    base: Option<Ends<Range<'t>>>,
    own: Ends<OverlayRange<'t>>,
    log: ScanLog<'t>,
    is_done: bool,
}

impl<'t> ConcurrentRange<'t> {
    pub(super) fn new(
        name: &'t str,
        base: Option<Range<'t>>,
        own: OverlayRange<'t>,
        log: ScanLog<'t>,
    ) -> ConcurrentRange<'t> {
        ConcurrentRange { name, base: base.map(Ends::new), own: Ends::new(own), log, is_done: false }
    }

    /// The entry that comes next at one end.
    fn step(&mut self, end: End) -> Option<Result<Entry<'t>>> {
        loop {
            #[cfg(test)]
            STEPS.set(STEPS.get() + 1);
            if self.own.look(end).is_none() {
                return self.take_base(end);
            }
            let base = self.base.as_mut().and_then(|base| match base.look(end) {
                Some(Ok((key, _))) => Some(Ok(key.clone())),
                Some(Err(_)) => Some(Err(())),
                None => None,
            });
            let own = self.own.look(end).map(|(key, _)| key);
            let own_comes = match (&base, own) {
                (None, None) => return None,
                (Some(Err(())), _) => return self.take_base(end),
                (Some(Ok(_)), None) => Ordering::Greater,
                (None, Some(_)) => Ordering::Less,
                (Some(Ok(base)), Some(own)) if end == End::Front => own.as_slice().cmp(base),
                (Some(Ok(base)), Some(own)) => base.as_slice().cmp(own),
            };
            let hidden = match own_comes {
                Ordering::Greater => return self.take_base(end),
                Ordering::Equal => self.take_base(end),
                Ordering::Less => None,
            };
            let (key, change): Own<'t> = self.own.look(end).take()?;
            // Where our own key came alone, the snapshot has none.
            match change.value(self.name, key, || hidden.map(|entry| entry.map(|(_, value)| value)).transpose()) {
                Ok(Some(value)) => return Some(Ok((Key::from(key.as_slice()), value))),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn take_base(&mut self, end: End) -> Option<Result<Entry<'t>>> {
        self.base.as_mut()?.look(end).take()
    }

    fn take(&mut self, end: End) -> Option<Result<Entry<'t>>> {
        if self.is_done {
            return None;
        }
        let entry = self.step(end);
        match (&entry, end) {
            (Some(Ok((key, _))), End::Front) => self.log.front(key),
            (Some(Ok((key, _))), End::Back) => self.log.back(key),
            (Some(Err(_)) | None, _) => {
                self.is_done = true;
                self.log.end();
            }
        }
        entry
    }
}

impl<'t> Iterator for ConcurrentRange<'t> {
    type Item = Result<Entry<'t>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take(End::Front)
    }
}

impl DoubleEndedIterator for ConcurrentRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.take(End::Back)
    }
}

impl FusedIterator for ConcurrentRange<'_> {}

impl std::fmt::Debug for ConcurrentRange<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConcurrentRange").field("tree", &self.name).finish_non_exhaustive()
    }
}
