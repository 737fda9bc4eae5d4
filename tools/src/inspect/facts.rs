//! What is known of a page after it was read once: enough to check the trees, and little enough to keep for every page.

use super::scan::Job;
use pentimento_btree::Finding;
use pentimento_btree::inspect::{BodyKind, DeltaView, NodeView, Value, body_kind};
use pentimento_storage::inspect::VersionHeader;
use pentimento_storage::{HEADER_BYTES, PageId, Run, Timestamp};
use serde::Serialize;
use smallvec::SmallVec;
use std::cmp::Ordering;

/// What a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A node that holds entries.
    Leaf,
    /// A node that leads to others.
    Branch,
    /// A large value.
    Large,
    /// What has become of the leaf beside it.
    Delta,
    /// A number in the page table itself.
    Register,
    /// It has the right checksum, but is nothing that the format knows.
    Unknown,
    /// It cannot be read.
    Damaged,
}

impl Kind {
    /// One word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Leaf => "leaf",
            Kind::Branch => "branch",
            Kind::Large => "large",
            Kind::Delta => "delta",
            Kind::Register => "register",
            Kind::Unknown => "unknown",
            Kind::Damaged => "damaged",
        }
    }
}

/// How many keys, and how many values, have a length of how many bits: number `n` counts lengths from 2^(n-1) up to below 2^n.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Of keys.
    pub keys: [u64; 32],
    /// Of values.
    pub values: [u64; 32],
}

impl Sizes {
    fn note(&mut self, key: usize, value: usize) {
        let class = |len: usize| (usize::BITS - len.leading_zeros()).min(31) as usize;
        self.keys[class(key)] += 1;
        self.values[class(value)] += 1;
    }

    pub(crate) fn add(&mut self, other: &Sizes) {
        for (to, from) in self.keys.iter_mut().zip(other.keys).chain(self.values.iter_mut().zip(other.values)) {
            *to += from;
        }
    }
}

/// A reference from a leaf to a large value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeRef {
    /// The page of the value.
    pub page: PageId,
    /// The length that the leaf tells, in bytes.
    pub len: usize,
}

/// The first key of a leaf and the last. What both begin with is kept once, and short keys need no memory of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The first key, then what the last one has behind the shared bytes.
    bytes: SmallVec<[u8; 32]>,
    first_len: u32,
    shared: u32,
}

impl Ends {
    /// Notes two keys.
    #[must_use]
    pub fn new(first: &[u8], last: &[u8]) -> Ends {
        let shared = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        let mut bytes = SmallVec::from_slice(first);
        bytes.extend_from_slice(&last[shared..]);
        Ends { bytes, first_len: first.len() as u32, shared: shared as u32 }
    }

    /// The first key.
    #[must_use]
    pub fn first(&self) -> &[u8] {
        &self.bytes[..self.first_len as usize]
    }

    /// The last key, in two pieces.
    #[must_use]
    pub fn last(&self) -> (&[u8], &[u8]) {
        (&self.bytes[..self.shared as usize], &self.bytes[self.first_len as usize..])
    }

    /// Whether both lie between the separators above: not below the lower, below the upper.
    #[must_use]
    pub fn lie_within(&self, lower: Option<&[u8]>, upper: Option<&[u8]>) -> bool {
        lower.is_none_or(|lower| self.first() >= lower) && upper.is_none_or(|upper| self.last_against(upper).is_lt())
    }

    fn last_against(&self, key: &[u8]) -> Ordering {
        let (start, rest) = self.last();
        match key.split_at_checked(start.len()) {
            Some((key_start, key_rest)) => start.cmp(key_start).then_with(|| rest.cmp(key_rest)),
            // The key ends within the first piece: being equal so far, it is a beginning of the last key.
            None => start.cmp(key).then(Ordering::Greater),
        }
    }
}

/// What is known of the delta of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaState {
    /// The leaf has none.
    None,
    /// The leaf is known as its delta tells it.
    Told,
    /// It cannot be read.
    Unread,
    /// It does not fit the leaf.
    Unfit,
}

/// What stands beside a leaf and may be its delta.
#[derive(Clone, Copy, Debug)]
struct Beside {
    job: Job,
    state: DeltaState,
}

/// The same when it was read.
pub(crate) struct Neighbour<'b> {
    pub job: Job,
    /// Its body, if it can be read.
    pub body: Option<&'b [u8]>,
}

/// What few pages have.
#[derive(Clone, Debug, Default)]
struct Rest {
    body: Option<Box<[u8]>>,
    beside: Option<Beside>,
    delta: Option<Box<[u8]>>,
    larges: Vec<LargeRef>,
    sizes: Option<Sizes>,
    faults: Vec<String>,
}

/// What is known of a page whose version checked out.
#[derive(Clone, Debug)]
pub struct PageFacts {
    /// Its slots.
    pub run: Run,
    /// The commit that made it.
    pub birth: Timestamp,
    /// The checksum of the version.
    pub crc: u32,
    /// The root of its tree, as its header tells.
    pub owner: PageId,
    /// Its used bytes, its header included.
    pub length: u32,
    /// What it is.
    pub kind: Kind,
    /// 0 for a leaf, else one more than the level of the children.
    pub level: u8,
    /// How many entries a leaf has, how many separators a branch; of how many entries a delta has the cells.
    pub entries: u32,
    /// Bytes of its cells that no entry uses: of a leaf with a delta of both, and then the delta tells none.
    pub garbage: u32,
    /// The first key of a leaf and the last.
    pub ends: Option<Ends>,
    rest: Option<Box<Rest>>,
}

impl PageFacts {
    /// What is known after the start of a version was read: all of it, unless it is a large value. A leaf is known as its delta tells it, if what is
    /// beside it is one.
    pub(crate) fn new(
        job: &Job,
        header: &VersionHeader,
        start: &[u8],
        beside: Option<Neighbour<'_>>,
        keep: bool,
        detail: bool,
    ) -> PageFacts {
        let body = start.get(HEADER_BYTES..).unwrap_or_default();
        let mut facts = PageFacts {
            run: job.run,
            birth: header.birth,
            crc: job.crc,
            owner: header.owner,
            length: header.length,
            kind: Kind::Unknown,
            level: 0,
            entries: 0,
            garbage: 0,
            ends: None,
            rest: None,
        };
        match body_kind(body) {
            BodyKind::LargeValue => {
                facts.kind = Kind::Large;
                if body.get(1..8) != Some(&[0; 7]) {
                    facts.fault("reserved bytes are not zero");
                }
            }
            BodyKind::Leaf | BodyKind::Branch => facts.take_node(header.page, body, beside, keep, detail),
            BodyKind::Delta => match DeltaView::parse(body) {
                Ok(delta) => {
                    facts.kind = Kind::Delta;
                    facts.entries = delta.own_count() as u32;
                }
                Err(what) => facts.fault(what),
            },
            BodyKind::Unknown => facts.fault("this is neither a node nor a large value"),
        }
        facts
    }

    /// The node with its delta, where its body is kept: of branches, and of the leaves of the store's own trees.
    #[must_use]
    pub fn node(&self, page: PageId) -> Option<NodeView<'_>> {
        let rest = self.rest.as_ref()?;
        let body = rest.body.as_deref()?;
        let node = match &rest.delta {
            Some(delta) => NodeView::parse_with_delta(page, body, delta),
            None => NodeView::parse(page, body),
        };
        node.ok()
    }

    /// What is known of the delta of a leaf.
    #[must_use]
    pub fn delta(&self) -> DeltaState {
        self.rest.as_ref().and_then(|rest| rest.beside).map_or(DeltaState::None, |beside| beside.state)
    }

    /// Whether this is what is known of these versions: of the page, and of what may be its delta.
    pub(crate) fn is_of(&self, job: &Job, beside: Option<Job>) -> bool {
        let is_beside = || match self.rest.as_ref().and_then(|rest| rest.beside) {
            Some(known) => known.state != DeltaState::Unread && Some(known.job) == beside,
            None => beside.is_none(),
        };
        (self.run, self.birth, self.crc) == (job.run, job.birth, job.crc) && (self.kind != Kind::Leaf || is_beside())
    }

    /// The large values that a leaf refers to.
    #[must_use]
    pub fn larges(&self) -> &[LargeRef] {
        self.rest.as_ref().map_or(&[], |rest| &rest.larges)
    }

    /// The lengths of keys and values, if they were asked for.
    #[must_use]
    pub fn sizes(&self) -> Option<&Sizes> {
        self.rest.as_ref()?.sizes.as_ref()
    }

    /// What is wrong with it, seen by itself.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        self.rest.as_ref().map_or(&[], |rest| &rest.faults)
    }

    fn fault(&mut self, what: &str) {
        self.rest.get_or_insert_default().faults.push(what.to_owned());
    }

    fn take_node(&mut self, page: PageId, body: &[u8], beside: Option<Neighbour<'_>>, keep: bool, detail: bool) {
        let mut node = match NodeView::parse(page, body) {
            Ok(node) => node,
            Err(what) => return self.fault(what),
        };
        let mut rest = Rest::default();
        if let Some(Neighbour { job, body: found }) = beside.filter(|_| node.level() == 0) {
            let state = match found {
                None => DeltaState::Unread,
                Some(found) if body_kind(found) != BodyKind::Delta => DeltaState::None,
                Some(found) => match NodeView::parse_with_delta(page, body, found) {
                    Ok(whole) => {
                        node = whole;
                        rest.delta = keep.then(|| found.into());
                        DeltaState::Told
                    }
                    Err(what) => {
                        // What is wrong with the delta by itself is told of the delta.
                        if DeltaView::parse(found).is_ok() {
                            rest.faults.push(format!("page {} is not its delta: {what}", job.page));
                        }
                        DeltaState::Unfit
                    }
                },
            };
            rest.beside = Some(Beside { job, state });
        }
        let is_leaf = node.level() == 0;
        self.kind = if is_leaf { Kind::Leaf } else { Kind::Branch };
        self.level = node.level();
        self.entries = node.count() as u32;
        self.garbage = u32::from(node.header().garbage);
        rest.sizes = (detail && is_leaf).then(Sizes::default);
        let Rest { larges, sizes, faults, .. } = &mut rest;
        let mut report = |finding: Finding| faults.push(finding.problem.to_string());
        match sizes {
            Some(sizes) => node.check_entries(&mut report, |_, key_len, value| {
                sizes.note(key_len, note_large(larges, value));
            }),
            None => node.check_entries(&mut report, |_, _, value| {
                note_large(larges, value);
            }),
        }
        if keep || !is_leaf {
            rest.body = Some(body.into());
        }
        if is_leaf && let Some(last) = node.count().checked_sub(1) {
            let ends = node.key(0).ok().zip(node.key(last).ok());
            self.ends = ends.map(|(first, last)| Ends::new(&first, &last));
        }
        let has_lists = !rest.larges.is_empty() || !rest.faults.is_empty();
        if rest.body.is_some() || rest.sizes.is_some() || rest.beside.is_some() || has_lists {
            self.rest = Some(Box::new(rest));
        }
    }
}

/// Notes the page of a large value, and tells how long a value is.
fn note_large(larges: &mut Vec<LargeRef>, value: Value<'_>) -> usize {
    match value {
        Value::Inline(bytes) => bytes.len(),
        Value::Large { page, len } => {
            larges.push(LargeRef { page, len });
            len
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_kept_apart_and_compared_as_whole_keys() {
        let long = [7; 500];
        let keys: [&[u8]; 9] = [b"", b"a", b"ab", b"abc", b"abd", b"b", &long, &long[..499], b"ab\0"];
        for first in keys {
            for last in keys {
                let ends = Ends::new(first, last);
                assert_eq!((ends.first(), [ends.last().0, ends.last().1].concat().as_slice()), (first, last));
                for fence in keys {
                    assert_eq!(ends.lie_within(Some(fence), None), first >= fence);
                    assert_eq!(ends.lie_within(None, Some(fence)), last < fence, "{last:?} below {fence:?}");
                }
            }
        }
    }
}
