//! Iterators over a range of entries.
//!
//! Promises: an entry costs no look at the pages unless a leaf is entered; after an error, and after the end, the
//! iterator stays at its end.

use std::iter::FusedIterator;
use std::ops::Range as Span;

use pentimento_storage::{CACHE_LINE, Hint, PageId};

use crate::bounds::KeyBounds;
use crate::cursor::Cursor;
use crate::key::Key;
use crate::node::{AHEAD, AT_FIRST, Node};
use crate::pages::ReadPages;

/// A key and its value, both borrowed from the pages.
pub type Entry<'p> = (Key<'p>, &'p [u8]);

/// How much of the next leaf is asked for with each entry, in lines: a walk that has left one leaf will most likely go on.
const ASKED_LINES: usize = 2;
/// How much of it is asked for at once where a range begins near the end of a leaf, in bytes.
const ASKED_BEFORE: usize = 6 * CACHE_LINE;
/// How much of the next leaf is asked for in all, in bytes.
const ASKED_MAX: usize = 8192;

/// What is left of a leaf: entries `low..high`.
#[derive(Clone, Copy)]
struct Window<'p> {
    leaf: Node<'p>,
    low: usize,
    high: usize,
    /// From here on the memory of entries is asked for ahead of their turn; those before were asked for when the walk began, and few walks go on.
    steady: usize,
    /// The leaf after it, whose memory is asked for while this one is handed out, and how much of it has been.
    beyond: Hint,
    asked: usize,
}

impl<'p> Window<'p> {
    const EMPTY: Window<'static> =
        Window { leaf: Node::EMPTY, low: 0, high: 0, steady: 0, beyond: Hint::NONE, asked: ASKED_MAX };

    /// The index of the entry at one end, taken away; `None` if none is left.
    #[inline(always)]
    fn take(&mut self, from_front: bool) -> Option<usize> {
        if self.low >= self.high {
            return None;
        }
        if self.asked < ASKED_MAX {
            for line in 0..ASKED_LINES {
                self.beyond.prefetch(self.asked + line * CACHE_LINE);
            }
            self.asked += ASKED_LINES * CACHE_LINE;
        }
        if from_front {
            let index = self.low;
            self.low += 1;
            if index >= self.steady {
                // Those at the beginning of a leaf were asked for when it was entered.
                if index == self.steady && index > 0 {
                    self.leaf.prefetch_entries(index, AHEAD);
                }
                self.leaf.prefetch_entry(index + AHEAD);
            }
            Some(index)
        } else {
            self.high -= 1;
            self.leaf.prefetch_entry(self.high.wrapping_sub(AHEAD));
            Some(self.high)
        }
    }
}

/// An iterator over the entries of a range, in the order of their keys, from either end.
pub struct Range<'p, P> {
    pages: &'p P,
    cursor: Cursor,
    /// The windows of the cursor's two ends. What is taken from them the cursor learns when it is asked for the next leaf.
    front: Window<'p>,
    back: Option<Box<Window<'p>>>,
    /// Both ends stand in the same leaf: then only `front` is used.
    shared: bool,
}

impl<'p, P: ReadPages> Range<'p, P> {
    #[inline]
    pub(crate) fn new(pages: &'p P, root: PageId, bounds: impl KeyBounds) -> Range<'p, P> {
        let cursor = Cursor::new(root, bounds);
        Range { pages, cursor, front: Window::EMPTY, back: None, shared: false }
    }

    /// Reads the first leaf.
    #[inline(always)]
    fn begin(&mut self) -> Result<(), P::Error> {
        match self.cursor.begin(self.pages)? {
            Some((leaf, Span { start: low, end: high })) => {
                let steady = low + AT_FIRST;
                let (beyond, asked) = self.beyond(true, ASKED_BEFORE);
                self.front = Window { leaf, low, high, steady, beyond, asked };
                Ok(())
            }
            None => self.enter(true),
        }
    }

    #[inline(always)]
    fn window(&mut self, at_front: bool) -> Option<&mut Window<'p>> {
        if at_front || self.shared { Some(&mut self.front) } else { self.back.as_deref_mut() }
    }

    /// The leaf that an end will enter next, if it is known, of which `asked` bytes were asked for, and so many.
    #[inline(always)]
    fn beyond(&self, at_front: bool, asked: usize) -> (Hint, usize) {
        self.cursor.beyond(at_front).map_or((Hint::NONE, ASKED_MAX), |page| (self.pages.hint(page), asked))
    }

    fn clear(&mut self) {
        (self.front, self.back, self.shared) = (Window::EMPTY, None, false);
    }

    /// Goes on to the next leaf at one end that has entries left.
    #[inline(never)]
    fn enter(&mut self, at_front: bool) -> Result<(), P::Error> {
        let front = self.front.low..self.front.high;
        let back = self.window(false).map_or(0..0, |back| back.low..back.high);
        self.cursor.set_windows(front, back);
        let leaf = if at_front { self.cursor.front_leaf(self.pages) } else { self.cursor.back_leaf(self.pages) }?;
        let Some(leaf) = leaf else {
            self.clear();
            return Ok(());
        };
        let [front, back] = self.cursor.windows();
        self.shared = matches!((&front, &back), (Some(front), Some(back)) if front.0 == back.0);
        // The window of the end that did not move changes only if they have met.
        if let Some((_, left)) = if at_front || self.shared { front } else { back } {
            let (beyond, asked) = self.beyond(at_front, 0);
            let window = Window { leaf, low: left.start, high: left.end, steady: 0, beyond, asked };
            if at_front || self.shared {
                self.front = window;
            } else {
                self.back = Some(Box::new(window));
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn take(&mut self, from_front: bool) -> Option<<Self as Iterator>::Item> {
        let pages = self.pages;
        if let Some(window) = self.window(from_front)
            && let Some(index) = window.take(from_front)
        {
            return match entry(pages, &window.leaf, index) {
                Ok(entry) => Some(Ok(entry)),
                Err(error) => Some(self.fail(error)),
            };
        }
        self.enter_and_take(from_front)
    }

    #[inline(never)]
    fn enter_and_take(&mut self, from_front: bool) -> Option<<Self as Iterator>::Item> {
        // Not before the first entry is asked for: whoever moves a range that has read would wait for what it has read.
        let entered = if from_front && self.cursor.is_fresh() { self.begin() } else { self.enter(from_front) };
        if let Err(error) = entered {
            return Some(self.fail(error));
        }
        let pages = self.pages;
        let window = self.window(from_front)?;
        let index = window.take(from_front)?;
        let entry = entry(pages, &window.leaf, index);
        entry.map_or_else(|error| Some(self.fail(error)), |entry| Some(Ok(entry)))
    }

    /// Ends the walk after an error.
    #[cold]
    fn fail(&mut self, error: P::Error) -> <Self as Iterator>::Item {
        self.cursor.finish();
        self.clear();
        Err(error)
    }
}

#[inline(always)]
fn entry<'p, P: ReadPages>(pages: &'p P, leaf: &Node<'p>, index: usize) -> Result<Entry<'p>, P::Error> {
    let (key, stored) = leaf.joined(index)?;
    Ok((key, stored.resolve(pages)?))
}

impl<'p, P: ReadPages> Iterator for Range<'p, P> {
    type Item = Result<Entry<'p>, P::Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.take(true)
    }
}

impl<'p, P: ReadPages> DoubleEndedIterator for Range<'p, P> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.take(false)
    }
}

impl<P: ReadPages> FusedIterator for Range<'_, P> {}

impl<P> Clone for Range<'_, P> {
    fn clone(&self) -> Self {
        let Range { pages, ref cursor, front, ref back, shared } = *self;
        Range { pages, cursor: cursor.clone(), front, back: back.clone(), shared }
    }
}

impl<P> std::fmt::Debug for Range<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Range").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}
