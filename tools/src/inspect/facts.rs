//! What is known of a page after it was read once: enough to check the trees, and little enough to keep for every page.

use pentimento_btree::Finding;
use pentimento_btree::inspect::{BodyKind, NodeView, Value, body_kind};
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

/// What few pages have.
#[derive(Clone, Debug, Default)]
struct Rest {
    body: Option<Box<[u8]>>,
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
    /// How many entries a leaf has, how many separators a branch.
    pub entries: u32,
    /// Bytes of its cells that no entry uses.
    pub garbage: u32,
    /// The first key of a leaf and the last.
    pub ends: Option<Ends>,
    rest: Option<Box<Rest>>,
}

impl PageFacts {
    /// What is known after the start of a version was read: all of it, unless it is a large value.
    pub(crate) fn new(run: Run, crc: u32, header: &VersionHeader, start: &[u8], keep: bool, detail: bool) -> PageFacts {
        let body = start.get(HEADER_BYTES..).unwrap_or_default();
        let mut facts = PageFacts {
            run,
            birth: header.birth,
            crc,
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
            BodyKind::Leaf | BodyKind::Branch => facts.take_node(header.page, body, keep, detail),
            BodyKind::Unknown => facts.fault("this is neither a node nor a large value"),
        }
        facts
    }

    /// The body, where the trees are walked by it.
    #[must_use]
    pub fn body(&self) -> Option<&[u8]> {
        self.rest.as_ref()?.body.as_deref()
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

    fn take_node(&mut self, page: PageId, body: &[u8], keep: bool, detail: bool) {
        let node = match NodeView::parse(page, body) {
            Ok(node) => node,
            Err(what) => return self.fault(what),
        };
        let is_leaf = node.level() == 0;
        self.kind = if is_leaf { Kind::Leaf } else { Kind::Branch };
        self.level = node.level();
        self.entries = node.count() as u32;
        self.garbage = u32::from(node.header().garbage);
        let mut rest = Rest { sizes: (detail && is_leaf).then(Sizes::default), ..Rest::default() };
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
        if rest.body.is_some() || rest.sizes.is_some() || !rest.larges.is_empty() || !rest.faults.is_empty() {
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
