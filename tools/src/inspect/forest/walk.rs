//! A walk over the pages of one tree, in the order of their keys.

use super::{Forest, LevelFacts, LostRange, NONE, Role, TreeFacts};
use crate::inspect::{DeltaState, Kind, PageFacts, Structure, Survey};
use pentimento_btree::Key;
use pentimento_btree::inspect::LARGE_VALUE_HEADER;
use pentimento_storage::{HEADER_BYTES, PageId};

/// The walk: each node is one level below the node that leads to it, so it goes no deeper than there are levels.
struct Walk<'w> {
    forest: &'w mut Forest,
    survey: &'w Survey,
    tree: usize,
    page_size: u32,
    /// Where the leaf ends that was met last.
    last_leaf_end: Option<u64>,
}

/// Where a node hangs, and between which separators.
#[derive(Clone, Copy)]
struct At<'k> {
    page: PageId,
    parent: u32,
    level: Option<u8>,
    lower: Option<&'k [u8]>,
    upper: Option<&'k [u8]>,
}

impl Forest {
    /// Walks a tree, and tells its number.
    pub(super) fn plant(&mut self, survey: &Survey, name: String, role: Role, root: PageId) -> usize {
        let tree = self.trees.len();
        self.trees.push(TreeFacts::new(name, role, root));
        let page_size = survey.checkpoint.page_size();
        let mut walk = Walk { forest: self, survey, tree, page_size, last_leaf_end: None };
        walk.node(At { page: root, parent: NONE, level: None, lower: None, upper: None });
        tree
    }
}

impl<'w> Walk<'w> {
    fn problem(&mut self, page: PageId, what: impl Into<String>) {
        self.forest.problem(Structure::Tree, self.tree, page, what);
    }

    fn known(&mut self) -> &mut TreeFacts {
        &mut self.forest.trees[self.tree]
    }

    fn node(&mut self, at: At<'_>) {
        if !self.forest.claim(self.tree, at.page, at.parent) {
            return;
        }
        let Some(facts) = self.forest.facts(self.survey, self.tree, at.page) else {
            self.lose(at, at.page, false);
            self.last_leaf_end = None;
            return;
        };
        if !matches!(facts.kind, Kind::Leaf | Kind::Branch) {
            if facts.faults().is_empty() {
                self.problem(at.page, "this is not a node");
            }
            return;
        }
        if let Some(expected) = at.level.filter(|level| *level != facts.level) {
            return self.problem(at.page, format!("its level is {} instead of {expected}", facts.level));
        }
        self.note(facts);
        if facts.kind == Kind::Leaf { self.leaf(at, facts) } else { self.branch(at, facts) }
    }

    fn lose(&mut self, at: At<'_>, page: PageId, is_delta: bool) {
        let (from, to) = (at.lower.map(Box::from), at.upper.map(Box::from));
        self.known().lost.push(LostRange { page: page.0, from, to, is_delta });
    }

    fn note(&mut self, facts: &PageFacts) {
        let level = usize::from(facts.level);
        let tenth = (u64::from(facts.length) * 10 / u64::from(self.page_size.max(1))).min(9);
        let known = self.known();
        if known.levels.len() <= level {
            known.levels.resize_with(level + 1, LevelFacts::default);
        }
        let of_level = &mut known.levels[level];
        of_level.nodes += 1;
        of_level.entries += u64::from(facts.entries);
        of_level.used_bytes += u64::from(facts.length);
        of_level.fill[tenth as usize] += 1;
        known.garbage_bytes += u64::from(facts.garbage);
        known.slots += facts.run.slots;
    }

    fn leaf(&mut self, at: At<'_>, facts: &PageFacts) {
        let before = self.last_leaf_end.replace(facts.run.end());
        let known = self.known();
        if let Some(end) = before {
            known.neighbours += 1;
            known.apart += u64::from(facts.run.start != end);
        }
        known.entries += u64::from(facts.entries);
        if let Some(sizes) = facts.sizes() {
            known.sizes.add(sizes);
        }
        match &facts.ends {
            Some(ends) if !ends.lie_within(at.lower, at.upper) => {
                self.problem(at.page, "its keys lie outside the separators above it");
            }
            None if at.parent != NONE && facts.entries == 0 => {
                self.problem(at.page, "it is an empty leaf below a branch");
            }
            _ => {}
        }
        self.delta(at, facts.delta());
        for large in facts.larges() {
            self.large_value(at.page, large.page, large.len);
        }
    }

    /// What is beside a leaf, if that is its delta.
    fn delta(&mut self, at: At<'_>, state: DeltaState) {
        let Some(delta) = at.page.beside() else { return };
        match state {
            DeltaState::None if self.survey.checkpoint.is_beside_unknown(at.page) => self.lose(at, delta, true),
            DeltaState::None => {}
            DeltaState::Told | DeltaState::Unread | DeltaState::Unfit => {
                let is_claimed = self.forest.claim(self.tree, delta, at.page.0);
                if state != DeltaState::Told {
                    self.lose(at, delta, true);
                }
                let Some(facts) = self.survey.page(delta).filter(|_| is_claimed) else { return };
                let known = self.known();
                known.deltas += 1;
                known.delta_bytes += u64::from(facts.length);
                known.slots += facts.run.slots;
            }
        }
    }

    fn large_value(&mut self, leaf: PageId, page: PageId, len: usize) {
        if !self.forest.claim(self.tree, page, leaf.0) {
            return;
        }
        // If it cannot be read one value is lost, whatever its key.
        let Some(value) = self.forest.facts(self.survey, self.tree, page) else { return };
        if value.kind != Kind::Large {
            return self.problem(page, "this is not a large value");
        }
        let found = (value.length as usize).saturating_sub(HEADER_BYTES + LARGE_VALUE_HEADER);
        if found != len {
            self.problem(page, format!("it is a large value of {found} bytes, but its leaf says {len}"));
        }
        let known = self.known();
        known.large_values += 1;
        known.large_bytes += u64::from(value.length);
        known.slots += value.run.slots;
    }

    fn branch(&mut self, at: At<'_>, facts: &PageFacts) {
        let Some(node) = facts.node(at.page) else { return };
        let separators: Vec<Option<Key<'_>>> = (0..node.count()).map(|index| node.key(index).ok()).collect();
        let is_outside = |key: &Key<'_>| {
            at.lower.is_some_and(|lower| key.as_slice() < lower)
                || at.upper.is_some_and(|upper| key.as_slice() >= upper)
        };
        if separators.iter().flatten().any(is_outside) {
            self.problem(at.page, "its separators lie outside those above it");
        }
        let separator = |index: usize| separators.get(index)?.as_ref().map(Key::as_slice);
        for (number, child) in node.children().into_iter().enumerate() {
            self.node(At {
                page: child,
                parent: at.page.0,
                level: Some(facts.level - 1),
                lower: number.checked_sub(1).and_then(separator).or(at.lower),
                upper: separator(number).or(at.upper),
            });
        }
    }
}
