//! Adding many entries in the order of their keys.
//!
//! Promises: each leaf is met once, whatever number of entries goes into it, and asked for some entries before it is needed; where the
//! entries do not fit they are merged with what is there, straight into new leaves, of which the parent learns in one step.

use std::collections::VecDeque;

use pentimento_storage::PageId;

use crate::delta::{self, Drafted, LeafCopy};
use crate::edit::{Fill, NodeMut, Put};
use crate::layout::{HEADER, LARGE_HEADER, LEAF_CELL, inline_max, stride};
use crate::leaf_writer::{LeafEntry, LeafWriter};
use crate::lookup::prefetch_cell;
use crate::node::{Node, Stored, damaged};
use crate::pages::{Fault, WritePages};
use crate::parts::Parts;
use crate::path::{Path, Way};
use crate::tree_mut::{TreeMut, check_key, check_value};
use crate::value::large_value_mut;

/// How many leaves ahead one is asked for, and where it is before that.
const LEAVES_AHEAD: usize = 6;
const PLACES_AHEAD: usize = 10;
/// How many leaves ahead the cell is asked for that an entry replaces.
const CELLS_AHEAD: usize = 2;
/// How many entries ahead their own bytes are asked for.
const BYTES_AHEAD: usize = 10;
/// Up to so many full leaves are divided evenly; more are filled one after the other.
const EVEN: usize = 4;

/// How full new leaves become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filling {
    /// Full: for entries that arrived in the order of their keys, so that none may be expected between them.
    Full,
    /// Three quarters: for entries that arrived in no order, so that others may be expected among them.
    Roomy,
}

impl Filling {
    fn limit(self, capacity: usize) -> usize {
        match self {
            Filling::Full => capacity,
            // Less a header: whoever keeps pages in pieces of a quarter adds one of its own.
            Filling::Roomy => (capacity / 4 * 3).saturating_sub(2 * HEADER),
        }
    }
}

/// Entries at hand by number, in ascending order of their keys, each key once.
pub trait SortedEntries {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key and the value of entry `index`, which is less than [`len`](SortedEntries::len).
    fn entry(&self, index: usize) -> (&[u8], &[u8]);

    /// A hint that entry `index` is about to be asked for. It had better not look at the entry.
    fn prefetch(&self, index: usize) {
        let _ = index;
    }
}

/// Entries `from..end`, which belong into one leaf.
struct Group {
    /// `None` for a single entry that is too large to be treated with others.
    leaf: Option<PageId>,
    /// The way to the leaf, as long as it is known.
    path: Option<Path>,
    from: usize,
    end: usize,
    /// Whether the leaf has been asked for, beside its place.
    is_asked_for: bool,
}

/// What became of the entries of a group.
struct Added {
    /// How many keys are new.
    new: u64,
    /// Whether leaves were divided or merged with others.
    moved: bool,
}

impl<P: WritePages> TreeMut<'_, P> {
    /// Inserts entries that are in order already, and says how many keys are new. Keys that do not ascend are a fault.
    ///
    /// # Errors
    /// When a key or a value is too long, a page is damaged or cannot be had. Some of the entries have been inserted then.
    pub fn insert_sorted(&mut self, entries: &impl SortedEntries, filling: Filling) -> Result<u64, P::Error> {
        let (mut ahead, mut next, mut new) = (VecDeque::with_capacity(PLACES_AHEAD + 1), 0, 0);
        // Entries that replace others seldom come alone.
        let mut replaces = false;
        loop {
            while next < entries.len() && ahead.len() <= PLACES_AHEAD {
                let group = self.group_at(entries, next)?;
                next = group.end;
                ahead.push_back(group);
            }
            for group in ahead.iter_mut().take(LEAVES_AHEAD + 1).filter(|group: &&mut Group| !group.is_asked_for) {
                group.leaf.iter().for_each(|page| self.pages.prefetch_leaf_mut(*page));
                group.is_asked_for = true;
            }
            if let Some(&Group { leaf: Some(leaf), from, .. }) = ahead.get(CELLS_AHEAD).filter(|_| replaces) {
                prefetch_cell(self.pages, leaf, entries.entry(from).0)?;
            }
            let Some(group) = ahead.pop_front() else { return Ok(new) };
            let (at, done) = match group.leaf {
                Some(page) => self.add_in_place(page, entries, group.from, group.end)?,
                None => {
                    let (key, value) = entries.entry(group.from);
                    (group.end, Added { new: u64::from(self.insert(key, value)?), moved: true })
                }
            };
            new += done.new;
            replaces = (done.new as usize) < at - group.from;
            if done.moved {
                // Leaves were divided or merged: the others may be other ones now.
                ahead.clear();
                next = group.end;
            } else if let Some(page) = group.leaf.filter(|_| at < group.end) {
                let path = match group.path {
                    Some(path) => path,
                    None => Path::seek_unread(self.pages, self.root, entries.entry(at).0)?.0,
                };
                new += self.rebuild(&path, page, entries, at, group.end, filling)?;
                // The leaves to the right are as they were, but perhaps no longer at the same place below their parents.
                ahead.iter_mut().for_each(|group: &mut Group| group.path = None);
            }
        }
    }

    /// Finds the leaf of entry `from`, and asks for what tells where it is.
    fn group_at(&self, entries: &impl SortedEntries, from: usize) -> Result<Group, P::Error> {
        let inline_max = inline_max(self.capacity());
        let (key, value) = entries.entry(from);
        if value.len() > inline_max || key.len() > inline_max {
            return Ok(Group { leaf: None, path: None, from, end: from + 1, is_asked_for: true });
        }
        let (path, page) = Path::seek_unread(self.pages, self.root, key)?;
        self.pages.prefetch_place(page);
        let end = self.end_of_group(&path, entries, from)?;
        Ok(Group { leaf: Some(page), path: Some(path), from, end, is_asked_for: false })
    }

    /// The number of the first entry from `at` on that does not belong into the leaf at the end of `path`.
    pub(crate) fn end_of_group(&self, path: &Path, entries: &impl SortedEntries, at: usize) -> Result<usize, P::Error> {
        let mut upper = None;
        for depth in (0..path.len()).rev() {
            let (page, number) = path.step(depth);
            let branch = Node::read(self.pages, page)?;
            if number < branch.count() {
                upper = Some(branch.key(number)?);
                break;
            }
        }
        let Some(upper) = upper else { return Ok(entries.len()) };
        let mut end = at + 1;
        while end < entries.len() && Parts::whole(entries.entry(end).0).cmp(&upper).is_lt() {
            end += 1;
            if end + BYTES_AHEAD < entries.len() {
                entries.prefetch(end + BYTES_AHEAD);
            }
        }
        Ok(end)
    }

    /// Puts entries into their leaf as long as there is room. Gives the number of the first that is left, and what was done.
    fn add_in_place(
        &mut self,
        page: PageId,
        entries: &impl SortedEntries,
        from: usize,
        end: usize,
    ) -> Result<(usize, Added), P::Error> {
        let capacity = self.capacity();
        let (mut at, mut new) = (from, 0);
        match self.add_to_delta(page, entries, from, end)? {
            Drafted::Done(new) => return Ok((end, Added { new, moved: false })),
            Drafted::Whole => {}
            Drafted::Full => {
                let (key, value) = entries.entry(from);
                let fits = value.len() <= inline_max(capacity) && !self.is_hopeless(page, entries, from, end)?;
                let folded = if fits { self.fold_with(page, key, Fill::Bytes(value))? } else { None };
                let Some((is_new, orphan)) = folded else { return Ok((from, Added { new, moved: false })) };
                orphan.map_or(Ok(()), |orphan| self.pages.free(orphan))?;
                (at, new) = (from + 1, u64::from(is_new));
            }
        }
        if at == end || self.is_hopeless(page, entries, at, end)? {
            return Ok((at, Added { new, moved: false }));
        }
        let target = self.pages.page_mut(page, capacity)?;
        let mut leaf = NodeMut::open_leaf(page, target)?;
        let (mut orphans, mut wasteful) = (Vec::new(), false);
        while at < end {
            let (key, value) = entries.entry(at);
            if value.len() > inline_max(capacity) {
                break;
            }
            let Put::Done { new: is_new, orphan } = leaf.put(key, Fill::Bytes(value), capacity)? else { break };
            new += u64::from(is_new);
            wasteful |= !is_new && leaf.is_wasteful();
            orphans.extend(orphan);
            at += 1;
        }
        for orphan in orphans {
            self.pages.free(orphan)?;
        }
        if wasteful {
            self.tidy(page, Way::Key(entries.entry(from).0))?;
        }
        // What is left may belong elsewhere if the leaf was merged with its neighbour just now.
        if wasteful && at < end {
            for index in at..end {
                let (key, value) = entries.entry(index);
                new += u64::from(self.insert(key, value)?);
            }
            at = end;
        }
        Ok((at, Added { new, moved: wasteful }))
    }

    /// Puts entries into the delta of their leaf, all or none. Gives how many keys are new.
    fn add_to_delta(
        &mut self,
        page: PageId,
        entries: &impl SortedEntries,
        from: usize,
        end: usize,
    ) -> Result<Drafted<u64>, P::Error> {
        let inline_max = inline_max(self.capacity());
        // What cannot fit is not tried, nor looked at to its end.
        let (mut more, limit) = (0, delta::limit(self.capacity()));
        let is_hopeless = !(from..end).all(|index| {
            more += weight_of(entries.entry(index));
            more < limit
        });
        let (mut new, mut orphans) = (0, Vec::new());
        let drafted = self.draft(page, more, |draft| {
            for index in from..end {
                if index > from && entries.entry(index - 1).0 >= entries.entry(index).0 {
                    return Err(damaged(page, "entries that should be sorted are not"));
                }
                let (key, value) = entries.entry(index);
                if is_hopeless || value.len() > inline_max {
                    return Ok(None);
                }
                let Put::Done { new: is_new, orphan } = draft.put(key, Fill::Bytes(value))? else { return Ok(None) };
                new += u64::from(is_new);
                orphans.extend(orphan);
            }
            Ok(Some(()))
        })?;
        Ok(match drafted {
            Drafted::Whole => Drafted::Whole,
            Drafted::Full => Drafted::Full,
            Drafted::Done(()) => {
                orphans.into_iter().try_for_each(|orphan| self.pages.free(orphan))?;
                Drafted::Done(new)
            }
        })
    }

    /// Whether entries will not fit into their leaf: what must be merged had better not be copied before.
    fn is_hopeless(
        &self,
        page: PageId,
        entries: &impl SortedEntries,
        from: usize,
        end: usize,
    ) -> Result<bool, P::Error> {
        let capacity = self.capacity();
        let mut weight = 0;
        for index in from..end {
            if index > from && entries.entry(index - 1).0 >= entries.entry(index).0 {
                return Err(damaged(page, "entries that should be sorted are not").into());
            }
            weight += weight_of(entries.entry(index));
            if weight > capacity {
                return Ok(true);
            }
        }
        let leaf = Node::read(self.pages, page)?;
        let used = leaf.len();
        // Values that are replaced take no room, and they seldom come alone.
        Ok(used + weight > capacity && !leaf.find(entries.entry(from).0)?.1)
    }

    /// Merges entries with those of the leaf `page`, in as many leaves as they need. Gives how many keys are new.
    fn rebuild(
        &mut self,
        path: &Path,
        page: PageId,
        entries: &impl SortedEntries,
        from: usize,
        end: usize,
        filling: Filling,
    ) -> Result<u64, P::Error> {
        let copy = LeafCopy::of(self.pages, page)?;
        let leaf = copy.node()?;
        let capacity = self.capacity();
        let mut weight = leaf.len();
        let small = (from..end).all(|index| {
            weight += weight_of(entries.entry(index));
            weight <= EVEN * capacity
        });
        let reuse = (path.len() > 0).then_some(page);
        let limit = if small { usize::MAX } else { filling.limit(capacity) };
        let mut writer = LeafWriter::new(page, reuse, limit, end - from);
        let mut old = OldEntries::new(leaf);
        let (mut new, mut orphans) = (0, Vec::new());
        for index in from..end {
            if index + BYTES_AHEAD < end {
                entries.prefetch(index + BYTES_AHEAD);
            }
            let (key, value) = entries.entry(index);
            let (until, found) = leaf.find(key)?;
            while old.next < until {
                writer.push(self, old.take()?)?;
            }
            if found && let Fill::Large(page, _) = old.take()?.fill {
                orphans.push(page);
            }
            new += u64::from(!found);
            let fill = self.fill_of(key, value)?;
            writer.push(self, LeafEntry { key: Parts::whole(key), fill })?;
        }
        let is_tail = old.next == leaf.count();
        while old.next < leaf.count() {
            writer.push(self, old.take()?)?;
        }
        // At the end of the leaf full leaves stay behind, as for single keys that ascend.
        writer.finish(self, path, if small && !is_tail { None } else { Some(filling.limit(capacity)) })?;
        for orphan in orphans {
            self.pages.free(orphan)?;
        }
        Ok(new)
    }

    /// What a leaf is to hold for a value: itself, or the page that it is put on.
    fn fill_of<'v>(&mut self, key: &[u8], value: &'v [u8]) -> Result<Fill<'v>, P::Error> {
        if value.len() <= inline_max(self.capacity()) {
            check_key(key)?;
            return Ok(Fill::Bytes(value));
        }
        check_key(key)?;
        check_value(value.len())?;
        let page = self.pages.allocate(self.root, LARGE_HEADER + value.len())?;
        large_value_mut(self.pages, page, value.len())?.copy_from_slice(value);
        Ok(Fill::Large(page, value.len()))
    }
}

/// The bytes that an entry takes in a leaf, at most.
fn weight_of((key, value): (&[u8], &[u8])) -> usize {
    stride(0) + LEAF_CELL + key.len() + value.len()
}

/// The entries of a leaf, one after the other. Never more bytes than the leaf has: cells that overlap are a fault.
pub(crate) struct OldEntries<'n> {
    leaf: Node<'n>,
    next: usize,
    left: usize,
}

impl<'n> OldEntries<'n> {
    pub fn new(leaf: Node<'n>) -> OldEntries<'n> {
        OldEntries { leaf, next: 0, left: leaf.cells_len() }
    }

    /// The next one, of which there must be one.
    pub fn take(&mut self) -> Result<LeafEntry<'n>, Fault> {
        let (suffix, stored) = self.leaf.entry(self.next)?;
        self.next += 1;
        let taken = LEAF_CELL + suffix.len() + stored.cell_len();
        self.left = self.left.checked_sub(taken).ok_or_else(|| self.leaf.fault("cells overlap"))?;
        let fill = match stored {
            Stored::Inline(bytes) => Fill::Bytes(bytes),
            Stored::Large(page, len) => Fill::Large(page, len),
        };
        Ok(LeafEntry { key: Parts { prefix: self.leaf.prefix, suffix }, fill })
    }
}
