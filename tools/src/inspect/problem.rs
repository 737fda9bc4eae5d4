//! Something in a store that is not as it should be.

use serde::Serialize;
use std::fmt;

/// Which part of a store a problem is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Structure {
    /// A meta slot.
    Meta,
    /// The page table.
    Table,
    /// The slots of the file.
    Slots,
    /// A page: its slots, its header or its checksum.
    Page,
    /// What a page holds as a part of a tree.
    Tree,
    /// The catalog of trees.
    Catalog,
    /// The journal.
    Journal,
    /// The list of named snapshots, or the page table of one.
    Named,
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Structure::Meta => "meta",
            Structure::Table => "page table",
            Structure::Slots => "slots",
            Structure::Page => "page",
            Structure::Tree => "tree",
            Structure::Catalog => "catalog",
            Structure::Journal => "journal",
            Structure::Named => "named snapshots",
        })
    }
}

/// Something that is not as it should be, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Which part of the store.
    pub structure: Structure,
    /// The tree, if it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
    /// The page, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// The slot of the file, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<u64>,
    /// The file, if it is another than the store's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The named snapshots that need it, if only such do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// What is wrong.
    pub what: String,
}

impl Problem {
    pub(crate) fn new(structure: Structure, what: impl Into<String>) -> Problem {
        Problem { structure, tree: None, page: None, slot: None, file: None, snapshots: Vec::new(), what: what.into() }
    }

    pub(crate) fn page(mut self, page: u32) -> Problem {
        self.page = Some(page);
        self
    }

    pub(crate) fn slot(mut self, slot: u64) -> Problem {
        self.slot = Some(slot);
        self
    }

    pub(crate) fn snapshots(mut self, names: Vec<String>) -> Problem {
        self.snapshots = names;
        self
    }

    pub(crate) fn tree(mut self, tree: &str) -> Problem {
        self.tree = Some(tree.to_owned());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.structure)?;
        if let Some(tree) = &self.tree {
            write!(f, ", tree {tree:?}")?;
        }
        if let Some(page) = self.page {
            write!(f, ", page {page}")?;
        }
        if let Some(slot) = self.slot {
            write!(f, ", slot {slot}")?;
        }
        if let Some(file) = &self.file {
            write!(f, ", {file}")?;
        }
        if !self.snapshots.is_empty() {
            write!(f, ", needed by {}", quote(&self.snapshots))?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Names in quotes; of many the first few.
pub(crate) fn quote(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
