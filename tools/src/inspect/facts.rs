//! What is known of a page after it was read once: enough to check the trees, and little enough to keep for every page.

use pentimento_btree::inspect::{BodyKind, NodeView, Value, body_kind};
use pentimento_storage::inspect::VersionHeader;
use pentimento_storage::{HEADER_BYTES, PageId, Run, Timestamp};
use serde::Serialize;

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

/// The first key of a leaf and the last.
pub type Ends = (Box<[u8]>, Box<[u8]>);

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
    /// The body, where the trees are walked by it.
    pub body: Option<Box<[u8]>>,
    /// The large values that a leaf refers to.
    pub larges: Vec<LargeRef>,
    /// The lengths of keys and values, if they were asked for.
    pub sizes: Option<Box<Sizes>>,
    /// What is wrong with it, seen by itself.
    pub faults: Vec<String>,
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
            body: None,
            larges: Vec::new(),
            sizes: None,
            faults: Vec::new(),
        };
        match body_kind(body) {
            BodyKind::LargeValue => {
                facts.kind = Kind::Large;
                if body.get(1..8) != Some(&[0; 7]) {
                    facts.faults.push("reserved bytes are not zero".to_owned());
                }
            }
            BodyKind::Leaf | BodyKind::Branch => facts.take_node(header.page, body, keep, detail),
            BodyKind::Unknown => facts.faults.push("this is neither a node nor a large value".to_owned()),
        }
        facts
    }

    fn take_node(&mut self, page: PageId, body: &[u8], keep: bool, detail: bool) {
        let node = match NodeView::parse(page, body) {
            Ok(node) => node,
            Err(what) => {
                self.faults.push(what.to_owned());
                return;
            }
        };
        self.kind = if node.level() == 0 { Kind::Leaf } else { Kind::Branch };
        self.level = node.level();
        self.entries = node.count() as u32;
        self.garbage = u32::from(node.header().garbage);
        node.check(&mut |finding| self.faults.push(finding.problem.to_string()));
        if keep || self.kind == Kind::Branch {
            self.body = Some(body.into());
        }
        if self.kind == Kind::Branch {
            return;
        }
        let owned = |index: usize| Some(Box::from(node.key(index).ok()?.as_slice()));
        self.ends = node.count().checked_sub(1).and_then(|last| Some((owned(0)?, owned(last)?)));
        let mut sizes = detail.then(Box::<Sizes>::default);
        for index in 0..node.count() {
            let Ok((key_len, value)) = node.value(index) else { continue };
            let value_len = match value {
                Value::Inline(bytes) => bytes.len(),
                Value::Large { page, len } => {
                    self.larges.push(LargeRef { page, len });
                    len
                }
            };
            if let Some(sizes) = &mut sizes {
                sizes.note(key_len, value_len);
            }
        }
        self.sizes = sizes;
    }
}
