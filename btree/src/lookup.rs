//! The way of a look-up, from the root to one entry.
//!
//! Promises: gives what [`Node`] would give, with fewer steps. A [`Probe`] knows only what a look-up needs of a node, and only usual nodes, with
//! short prefixes. Whatever is unusual, damage included, it leaves to [`Node`], which finds out what it is.
//!
//! Why it is there: how many instructions a look-up takes decides whether the processor begins with the next one while this one waits for
//! memory. (A look-up in a tree of three levels took 850 with [`Node`] alone.)

use std::hint::select_unpredictable;

use pentimento_storage::{CACHE_LINE, Hint, PageId, prefetch_line};

use crate::delta;
use crate::layout::{CHILD, HEAD, HEADER, KIND_DELTA, LARGE_FLAG, LEAF_CELL, OFFSET, cell_lengths, head_of, padded};
use crate::node::{Node, Stored, damaged, place_within};
use crate::pages::{Fault, ReadPages};
use crate::search::{equal, lower_bound, lower_bound_near};
use crate::value::ValueLocation;

/// Prefixes are compared as one word, so they must be shorter than one.
const WORD: usize = 8;

/// How many lines behind its first one an entry may take to be asked for as a whole.
const MORE_LINES: usize = 3;

/// A walk that begins behind here in a leaf, in parts of [`Hint::WHOLE`], may well come to the next one.
const NEAR_THE_END: u32 = Hint::WHOLE / 2;

/// How far off the guess of a child in a branch may be, so that what is asked for is there.
const GUESS_ERROR: usize = 8;

/// The bytes of a key shorter than a word, and zeros.
#[inline]
fn short_word(key: &[u8]) -> u64 {
    key.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// What a look-up needs of a node. Its fields have been compared with the length of the body.
struct Probe<'p> {
    body: &'p [u8],
    prefix_len: usize,
    prefix: u64,
    heads: &'p [[u8; HEAD]],
    leftmost: PageId,
    children_at: usize,
    offsets_at: usize,
    cells_at: usize,
}

impl<'p> Probe<'p> {
    #[inline(always)]
    fn read(body: &'p [u8], level: u8) -> Option<Probe<'p>> {
        let start: &[u8; HEADER + WORD] = body.first_chunk()?;
        let word = |at: usize| start[at..].first_chunk::<WORD>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        // See the picture of a node in `layout`: level, flags, prefix_len, count, cap; garbage, spare, leftmost; prefix.
        let (first, second, prefix) = (word(0), word(8), word(HEADER));
        let prefix_len = usize::from((first >> 16) as u16);
        let (count, cap) = (usize::from((first >> 32) as u16), (first >> 48) as usize);
        let heads_at = HEADER + padded(prefix_len);
        let children_at = heads_at + cap * HEAD;
        let offsets_at = children_at + if level == 0 || level == KIND_DELTA { 0 } else { cap * CHILD };
        let cells_at = offsets_at + cap * OFFSET;
        if first as u8 != level || prefix_len >= WORD || count > cap || cells_at > body.len() {
            return None;
        }
        let heads = body.get(heads_at..heads_at + count * HEAD)?.as_chunks().0;
        let leftmost = PageId((second >> 32) as u32);
        Some(Probe { body, prefix_len, prefix, heads, leftmost, children_at, offsets_at, cells_at })
    }

    /// How many heads are less than that of `key`, whether the next one is equal, and what of `key` follows the node's prefix. Looks first where `share` of them are less, in parts of [`Hint::WHOLE`].
    #[inline(always)]
    fn search<'k>(&self, key: &'k [u8], share: Option<u32>) -> Option<(usize, bool, &'k [u8])> {
        let start = key.first_chunk().map_or_else(|| short_word(key), |bytes| u64::from_le_bytes(*bytes));
        if (start ^ self.prefix) & ((1 << (8 * self.prefix_len)) - 1) != 0 {
            return None;
        }
        let suffix = key.get(self.prefix_len..)?;
        let head = head_of(suffix);
        let first = match share {
            Some(share) => lower_bound_near(self.heads, head, self.guess(share)),
            None => lower_bound(self.heads, head),
        };
        let equal = self.heads.get(first).is_some_and(|bytes| u32::from_le_bytes(*bytes) == head);
        Some((first, equal, suffix))
    }

    /// How far `key` lies on the way from separator `index - 1` to separator `index`, in parts of [`Hint::WHOLE`]; going by heads, if these tell.
    #[inline(always)]
    fn share(&self, key: &[u8], index: usize) -> Option<u32> {
        let head = |at: usize| self.heads.get(at).map(|bytes| u32::from_le_bytes(*bytes));
        let (left, right) = (head(index.checked_sub(1)?)?, head(index)?);
        let from_left = u64::from(head_of(key.get(self.prefix_len..)?).checked_sub(left)?);
        let share = from_left * u64::from(Hint::WHOLE) / u64::from(right.checked_sub(left)?.max(1));
        Some(share.min(u64::from(Hint::WHOLE)) as u32)
    }

    #[inline(always)]
    fn guess(&self, share: u32) -> usize {
        self.heads.len() * share as usize / Hint::WHOLE as usize
    }

    /// Asks for the heads and the children about `share` of the way from the first to the last, in parts of [`Hint::WHOLE`].
    #[inline(always)]
    fn prefetch_around(&self, share: u32) {
        let number = self.guess(share);
        for number in [number.saturating_sub(GUESS_ERROR), number + GUESS_ERROR] {
            prefetch_line(self.heads.as_flattened(), number * HEAD);
            prefetch_line(self.body, self.children_at + number * CHILD);
        }
    }

    #[inline(always)]
    fn bytes<const N: usize>(&self, at: usize) -> Option<&'p [u8; N]> {
        self.body.get(at..)?.first_chunk()
    }

    /// The child under which `key` belongs and its number, if the heads alone tell.
    #[inline(always)]
    fn route(&self, key: &[u8], share: Option<u32>) -> Option<(usize, PageId)> {
        match self.search(key, share)? {
            (_, true, _) => None,
            (index, ..) => Some((index, self.child(index)?)),
        }
    }

    /// A child of a branch.
    #[inline(always)]
    fn child(&self, number: usize) -> Option<PageId> {
        let Some(before) = number.checked_sub(1) else { return Some(self.leftmost) };
        if before >= self.heads.len() {
            return None;
        }
        let bytes = self.bytes(self.children_at + before * CHILD)?;
        Some(PageId(u32::from_le_bytes(*bytes)))
    }

    /// The entry of `key`, or that there is none.
    #[inline(always)]
    fn find<'k>(&self, key: &'k [u8]) -> Option<Option<Found<'p, 'k>>> {
        let (index, true, suffix) = self.search(key, None)? else { return Some(None) };
        let offset = u16::from_le_bytes(*self.bytes(self.offsets_at + index * OFFSET)?);
        Some(Some(Found { index, suffix, body: self.body, start: self.cells_at + usize::from(offset) }))
    }

    /// The same, in the delta of a leaf whose body is `base`.
    #[inline(always)]
    fn find_beside<'k>(&self, base: &'p [u8], key: &'k [u8]) -> Option<Option<Found<'p, 'k>>> {
        let (index, true, suffix) = self.search(key, None)? else { return Some(None) };
        let offset = usize::from(u16::from_le_bytes(*self.bytes(self.offsets_at + index * OFFSET)?));
        let (base_at, base_len) = delta::base_of(self.leftmost);
        if base.len() != base_at + base_len {
            return None;
        }
        let of_delta = (self.body, self.cells_at.wrapping_add(offset).wrapping_sub(base_len));
        let (body, start) = select_unpredictable(offset < base_len, (base, base_at + offset), of_delta);
        Some(Some(Found { index, suffix, body, start }))
    }
}

/// An entry whose head is that of the key that was looked for.
struct Found<'p, 'k> {
    index: usize,
    /// What follows the node's prefix in that key.
    suffix: &'k [u8],
    /// Where its cell stands.
    body: &'p [u8],
    start: usize,
}

/// The value in the cell that begins at `at` of a body, if the cell has this suffix and the value stands there.
#[inline(always)]
fn value<'p>(body: &'p [u8], at: usize, suffix: &[u8]) -> Option<&'p [u8]> {
    let cell = body.get(at..)?;
    (1..=MORE_LINES).for_each(|line| prefetch_line(cell, line * CACHE_LINE));
    let (lengths, rest) = cell.split_first_chunk::<LEAF_CELL>()?;
    let (key_len, value_len) = cell_lengths(lengths);
    let value = rest.get(key_len..key_len + usize::from(value_len))?;
    if value_len & LARGE_FLAG != 0 || !equal(rest.get(..key_len)?, suffix) {
        return None;
    }
    Some(value)
}

/// A leaf to which somebody came.
#[derive(Clone, Copy)]
pub(crate) struct Leaf<'p> {
    pub page: PageId,
    body: &'p [u8],
    delta: Option<&'p [u8]>,
}

impl<'p> Leaf<'p> {
    #[inline(always)]
    fn read<P: ReadPages>(pages: &'p P, page: PageId) -> Result<Leaf<'p>, P::Error> {
        let delta = delta::of(pages, page)?;
        let body = match delta {
            Some(delta) => pages.page_part(page, delta::base_len(delta))?,
            None => pages.page(page)?,
        };
        Ok(Leaf { page, body, delta })
    }

    #[inline(always)]
    fn find<'k>(&self, key: &'k [u8]) -> Option<Option<Found<'p, 'k>>> {
        match self.delta {
            None => Probe::read(self.body, 0)?.find(key),
            Some(delta) => Probe::read(delta, KIND_DELTA)?.find_beside(self.body, key),
        }
    }

    /// The number of the entry of `key` and its value, or that there is none.
    #[inline(always)]
    fn entry(&self, key: &[u8]) -> Option<Option<(usize, &'p [u8])>> {
        let Some(Found { index, suffix, body, start }) = self.find(key)? else { return Some(None) };
        Some(Some((index, value(body, start, suffix)?)))
    }

    /// Where a value stands that was found here.
    #[inline]
    pub fn location(&self, stored: &Stored<'_>) -> ValueLocation {
        stored.location(|value| {
            place_within(value, self.body).map_or_else(
                || {
                    let at = place_within(value, self.delta.unwrap_or_default()).unwrap_or(0);
                    (PageId(self.page.0.wrapping_add(1)), at)
                },
                |at| (self.page, at),
            )
        })
    }

    /// The number of the entry of `key`.
    #[inline(always)]
    pub fn index(&self, key: &[u8]) -> Result<Option<usize>, Fault> {
        if let Some(found) = self.entry(key) {
            return Ok(found.map(|(index, ..)| index));
        }
        Ok(self.find_in_unusual(key)?.map(|(index, _)| index))
    }

    /// All of it.
    #[inline(always)]
    pub fn node(&self) -> Result<Node<'p>, Fault> {
        let node = match self.delta {
            None => Node::parse(self.page, self.body)?,
            Some(delta) => Node::parse_with_delta(self.page, self.body, delta)?,
        };
        if node.header.level != 0 {
            return Err(level_fault(self.page));
        }
        Ok(node)
    }

    #[cold]
    #[inline(never)]
    fn find_in_unusual(&self, key: &[u8]) -> Result<Option<(usize, Stored<'p>)>, Fault> {
        let leaf = self.node()?;
        match leaf.find(key)? {
            (index, true) => Ok(Some((index, leaf.entry(index)?.1))),
            (_, false) => Ok(None),
        }
    }
}

/// Goes down from `root` to the leaf where `key` belongs, telling `step` each branch and the number of the child that is taken there. Whoever `walks_on` from there may soon need the next leaf.
#[inline(always)]
pub(crate) fn descend<'p, P: ReadPages>(
    pages: &'p P,
    root: PageId,
    key: &[u8],
    walks_on: bool,
    step: impl FnMut(PageId, usize) -> Result<(), Fault>,
) -> Result<Leaf<'p>, P::Error> {
    let (page, leaf) = descend_until(pages, root, key, 0, walks_on, step)?;
    match leaf {
        Some(leaf) => Ok(leaf),
        None => Leaf::read(pages, page),
    }
}

/// The same, but a child of a level below `unread` is not read: only its page is given.
#[inline(always)]
pub(crate) fn descend_until<'p, P: ReadPages>(
    pages: &'p P,
    root: PageId,
    key: &[u8],
    unread: u8,
    walks_on: bool,
    mut step: impl FnMut(PageId, usize) -> Result<(), Fault>,
) -> Result<(PageId, Option<Leaf<'p>>), P::Error> {
    let mut page = root;
    let mut body = pages.page(root)?;
    // A root is of any level.
    let mut level = body.first().copied().unwrap_or(0);
    let mut share = None;
    while level > 0 {
        let mut child = None;
        let about = share.take();
        if let Some(probe) = Probe::read(body, level) {
            if let Some(share) = about {
                probe.prefetch_around(share);
            }
            child = probe.route(key, about);
            if level > 1 || unread == 0 {
                share = child.and_then(|(number, _)| probe.share(key, number));
            }
            if walks_on
                && level == 1
                && let Some((number, _)) = child
                && share.is_none_or(|share| share > NEAR_THE_END)
                && let Some(next) = probe.child(number + 1)
            {
                pages.prefetch_place(next);
            }
        }
        let (number, child) = match child {
            Some(child) => child,
            None => route_in_unusual(page, body, level, key)?,
        };
        step(page, number)?;
        page = child;
        level -= 1;
        if level < unread {
            return Ok((page, None));
        }
        if level == 0 {
            // In a leaf that was written at once cells lie in the order of their keys: most likely the entry is where that guess says, and arrives together with the arrays.
            pages.prefetch_for(page, share);
            return Ok((page, Some(Leaf::read(pages, page)?)));
        }
        body = pages.page(page)?;
    }
    Ok((page, None))
}

/// The value of `key` in the tree at `root`, and its leaf.
#[inline(always)]
pub(crate) fn find<'p, P: ReadPages>(
    pages: &'p P,
    root: PageId,
    key: &[u8],
) -> Result<Option<(Leaf<'p>, Stored<'p>)>, P::Error> {
    let leaf = descend(pages, root, key, false, |_, _| Ok(()))?;
    if let Some(found) = leaf.entry(key) {
        return Ok(found.map(|(_, value)| (leaf, Stored::Inline(value))));
    }
    Ok(leaf.find_in_unusual(key)?.map(|(_, stored)| (leaf, stored)))
}

/// Asks for the beginning of the cell that `key` has in a leaf, if it has one, for somebody who will soon come there. Its arrays should be at hand.
pub(crate) fn prefetch_cell<P: ReadPages>(pages: &P, leaf: PageId, key: &[u8]) -> Result<(), P::Error> {
    if let Some(Some(found)) = Leaf::read(pages, leaf)?.find(key) {
        prefetch_line(found.body, found.start);
    }
    Ok(())
}

#[cold]
fn level_fault(page: PageId) -> Fault {
    damaged(page, "the node's level does not follow from its parent's")
}

/// The child under which `key` belongs, and its number, in a body that no probe reads.
#[cold]
#[inline(never)]
fn route_in_unusual(page: PageId, body: &[u8], level: u8, key: &[u8]) -> Result<(usize, PageId), Fault> {
    let node = Node::parse(page, body)?;
    if level != node.header.level {
        return Err(level_fault(page));
    }
    let number = node.route(key)?;
    Ok((number, node.child(number)?))
}
