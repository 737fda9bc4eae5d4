//! What is known of one tree after its pages were walked.

use crate::inspect::Sizes;
use pentimento_storage::PageId;
use serde::Serialize;

/// What a tree is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The names of the trees.
    Catalog,
    /// The roots of the dropped trees.
    Doomed,
    /// A tree of the user.
    User,
    /// A tree that was dropped, and is being given back.
    Dropped,
}

/// The nodes of one level of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LevelFacts {
    /// How many nodes.
    pub nodes: u64,
    /// Their entries, or separators.
    pub entries: u64,
    /// Their used bytes, headers included.
    pub used_bytes: u64,
    /// How many nodes use 0 to under 10 %, 10 to under 20 %, ... of the page size; the last counts 90 % and more.
    pub fill: [u64; 10],
}

/// Keys of a tree that cannot be reached, because a page cannot be read; or what has become of them lately, if that page is a delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRange {
    /// The page that cannot be read.
    pub page: u32,
    /// The lost keys are not below this one; `None`: from the first.
    pub from: Option<Box<[u8]>>,
    /// The lost keys are below this one; `None`: to the last.
    pub to: Option<Box<[u8]>>,
    /// The page is the delta of a leaf that can be read: what the leaf was before is known.
    pub is_delta: bool,
}

/// What a tree consists of, as far as it can be read.
#[derive(Clone, Debug)]
pub struct TreeFacts {
    /// Its name; trees without one have a name in parentheses.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its root.
    pub root: PageId,
    /// The register that counts its entries, and what it says.
    pub counter: Option<(PageId, Option<u64>)>,
    /// The entries that were found.
    pub entries: u64,
    /// The levels, leaves first.
    pub levels: Vec<LevelFacts>,
    /// How many large values.
    pub large_values: u64,
    /// Their used bytes, headers included.
    pub large_bytes: u64,
    /// How many leaves have a delta.
    pub deltas: u64,
    /// The used bytes of the deltas, headers included.
    pub delta_bytes: u64,
    /// Bytes in nodes that no entry uses any more.
    pub garbage_bytes: u64,
    /// Pairs of leaves that are neighbours in the order of keys.
    pub neighbours: u64,
    /// Of those, how many do not follow each other in the file.
    pub apart: u64,
    /// Slots of all pages.
    pub slots: u64,
    /// The lengths of keys and values, if they were asked for.
    pub sizes: Sizes,
    /// What cannot be reached.
    pub lost: Vec<LostRange>,
}

impl TreeFacts {
    pub(super) fn new(name: String, role: Role, root: PageId) -> TreeFacts {
        TreeFacts {
            name,
            role,
            root,
            counter: None,
            entries: 0,
            levels: Vec::new(),
            large_values: 0,
            large_bytes: 0,
            deltas: 0,
            delta_bytes: 0,
            garbage_bytes: 0,
            neighbours: 0,
            apart: 0,
            slots: 0,
            sizes: Sizes::default(),
            lost: Vec::new(),
        }
    }

    /// The number of levels.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    /// The number of pages, large values and deltas included, but not the register.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.levels.iter().map(|level| level.nodes).sum::<u64>() + self.large_values + self.deltas
    }

    /// The used bytes of all pages, headers included.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.levels.iter().map(|level| level.used_bytes).sum::<u64>() + self.large_bytes + self.delta_bytes
    }

    /// How full the leaves are on average, without their deltas, as a part of the page size.
    #[must_use]
    pub fn leaf_fill(&self, page_size: u32) -> f64 {
        let Some(leaves) = self.levels.first().filter(|leaves| leaves.nodes > 0) else { return 0.0 };
        leaves.used_bytes as f64 / (leaves.nodes as f64 * f64::from(page_size))
    }

    /// How often neighbours in the order of keys lie apart in the file, from 0 to 1.
    #[must_use]
    pub fn fragmentation(&self) -> f64 {
        if self.neighbours == 0 { 0.0 } else { self.apart as f64 / self.neighbours as f64 }
    }
}
