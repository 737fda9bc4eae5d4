//! What a transaction stands for at its commit: what it wrote and what it read, compared with what others wrote since its snapshot.
//!
//! Promises: a conflict is found if another commit wrote a key that this transaction writes, or, if it is serializable, anything that it read. Comparing
//! costs what the smaller side costs, times a logarithm of the larger one.

use super::footprint::{Footprint, TreePrint};
use super::keys::KeySet;
use super::overlay::Overlay;
use super::reads::ReadClaims;
use std::collections::{BTreeMap, BTreeSet};

/// More names than this are all names.
pub(crate) const MAX_NAMES: usize = 1024;

/// What a transaction did in one tree.
#[derive(Debug, Default)]
pub(crate) struct TreeClaims {
    pub overlay: Overlay,
    pub reads: ReadClaims,
    /// The commit makes the tree if it is missing.
    pub makes: bool,
}

/// Which names a serializable transaction looked for.
#[derive(Debug, Default)]
pub(crate) struct NameReads {
    pub names: BTreeSet<String>,
    pub all: bool,
}

impl NameReads {
    /// One name was looked for. Very many are all names.
    pub fn note(&mut self, name: &str) {
        if !self.all {
            self.names.insert(name.to_owned());
        }
        if self.names.len() > MAX_NAMES {
            (self.names, self.all) = (BTreeSet::new(), true);
        }
    }
}

/// All that a transaction did.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    pub trees: BTreeMap<String, TreeClaims>,
    pub names: NameReads,
}

/// Where two transactions meet; no key if it is a whole tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Clash {
    pub tree: String,
    pub key: Option<Vec<u8>>,
}

impl TreeClaims {
    pub fn writes(&self) -> bool {
        self.makes || !self.overlay.is_empty()
    }

    /// Whether any change of the tree is a conflict.
    pub fn is_touched(&self) -> bool {
        self.writes() || !self.reads.is_empty()
    }

    /// Whether we write one of these keys; `blind`: so that two who do it blindly do not mind.
    fn write_in(&self, keys: &KeySet, blind: bool) -> Option<Vec<u8>> {
        let clashes = |key: &[u8]| self.overlay.get(key).is_some_and(|change| !(blind && change.is_blind()));
        if keys.len() <= self.overlay.len() {
            return keys.iter().find(|key| clashes(key)).map(<[u8]>::to_vec);
        }
        self.overlay.iter().find(|(key, _)| keys.contains(key) && clashes(key)).map(|(key, _)| key.clone())
    }

    /// Whether we read one of these keys.
    fn read_in(&self, keys: &KeySet) -> Option<Vec<u8>> {
        if keys.is_empty() {
            return None;
        }
        let key = if keys.len() <= self.reads.keys.len() {
            keys.iter().find(|key| self.reads.keys.contains(*key))
        } else {
            self.reads.keys.iter().map(Vec::as_slice).find(|key| keys.contains(key))
        };
        let key = key.or_else(|| self.reads.spans.common_key(keys));
        key.or_else(|| self.reads.whole.then(|| keys.iter().next()).flatten()).map(<[u8]>::to_vec)
    }

    fn clash(&self, print: &TreePrint) -> Option<Option<Vec<u8>>> {
        if print.whole {
            return self.is_touched().then_some(None);
        }
        let key = self.write_in(&print.keys, false).or_else(|| self.write_in(&print.blind, true));
        let key = key.or_else(|| self.read_in(&print.keys)).or_else(|| self.read_in(&print.blind));
        if key.is_some() {
            return Some(key);
        }
        for span in print.spans.iter() {
            // No stretch of a set is empty, so its bounds are in the right order.
            let bounds = (span.start(), span.end());
            let read = || self.reads.keys.range::<[u8], _>(bounds).next();
            if let Some(key) = self.overlay.range(bounds.0, bounds.1).next().map(|(key, _)| key).or_else(read) {
                return Some(Some(key.clone()));
            }
        }
        let meets = !print.spans.is_empty() && (self.reads.whole || self.reads.spans.meets(&print.spans));
        meets.then_some(None)
    }
}

impl Claims {
    pub fn writes(&self) -> bool {
        self.trees.values().any(TreeClaims::writes)
    }

    /// Where another commit meets this transaction.
    pub fn clash(&self, print: &Footprint) -> Option<Clash> {
        let found = |name: &str, key| Clash { tree: name.to_owned(), key };
        if print.trees.len() <= self.trees.len() {
            let mut both = print.trees.iter().filter_map(|(name, print)| Some((name, self.trees.get(name)?, print)));
            if let Some(clash) = both.find_map(|(name, ours, print)| Some(found(name, ours.clash(print)?))) {
                return Some(clash);
            }
        } else {
            let mut both = self.trees.iter().filter_map(|(name, ours)| Some((name, ours, print.tree(name)?)));
            if let Some(clash) = both.find_map(|(name, ours, print)| Some(found(name, ours.clash(print)?))) {
                return Some(clash);
            }
        }
        let mut renamed = print.trees.iter().filter(|(_, print)| print.renamed).map(|(name, _)| name);
        renamed.find(|name| self.names.all || self.names.names.contains(*name)).map(|name| found(name, None))
    }

    /// Where commits meet this transaction of which only the trees are known.
    pub fn clash_with_trees(&self, trees: &BTreeSet<String>) -> Option<Clash> {
        let met = |name: &String| {
            self.names.all
                || self.names.names.contains(name)
                || self.trees.get(name).is_some_and(TreeClaims::is_touched)
        };
        trees.iter().find(|name| met(name)).map(|name| Clash { tree: name.clone(), key: None })
    }

    /// The first tree that matters, for a conflict with commits of which nothing is known.
    pub fn first_tree(&self) -> Option<Clash> {
        let touched = self.trees.iter().find(|(_, tree)| tree.is_touched()).map(|(name, _)| name);
        let name = touched.or_else(|| self.names.names.first());
        (name.is_some() || self.names.all).then(|| Clash { tree: name.cloned().unwrap_or_default(), key: None })
    }

    /// What the commit of this transaction writes, for others to compare with.
    pub fn footprint(&self, limit: usize) -> Footprint {
        let print = |tree: &TreeClaims| {
            if tree.overlay.iter().map(|(key, _)| key.len()).sum::<usize>() > limit {
                return TreePrint { whole: true, renamed: tree.makes, ..TreePrint::default() };
            }
            let pick = |blind| tree.overlay.iter().filter(move |(_, change)| change.is_blind() == blind);
            let keys = |blind| KeySet::from_sorted(pick(blind).map(|(key, _)| key.as_slice()));
            TreePrint { keys: keys(false), blind: keys(true), renamed: tree.makes, ..TreePrint::default() }
        };
        let written = self.trees.iter().filter(|(_, tree)| tree.writes());
        Footprint::new(written.map(|(name, tree)| (name.clone(), print(tree))).collect(), limit)
    }
}
