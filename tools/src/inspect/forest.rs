//! The trees of a checkpoint: which pages each has, and whether they fit together.
//!
//! Promises: every page that can be reached is looked at once; damage in one place does not hide damage in another; whatever the pages
//! hold, it ends. With what each page shows by itself (see [`super::facts`]) this proves all that the engine's own checker proves of trees.

use super::facts::{Kind, PageFacts, Sizes};
use super::problem::{Problem, Structure};
use super::survey::Survey;
use pentimento_btree::inspect::{NodeView, Value};
use pentimento_storage::inspect::Entry;
use pentimento_storage::{HEADER_BYTES, PageId};
use pentimento_txn::inspect::{CATALOG, DOOMED, origin_of_note, tree_record};
use serde::Serialize;
use std::rc::Rc;

/// No page, or no tree.
const NONE: u32 = u32::MAX;

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

/// Keys of a tree that cannot be reached, because a page cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRange {
    /// The page that cannot be read.
    pub page: u32,
    /// The lost keys are not below this one; `None`: from the first.
    pub from: Option<Box<[u8]>>,
    /// The lost keys are below this one; `None`: to the last.
    pub to: Option<Box<[u8]>>,
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
    fn new(name: String, role: Role, root: PageId) -> TreeFacts {
        TreeFacts {
            name,
            role,
            root,
            counter: None,
            entries: 0,
            levels: Vec::new(),
            large_values: 0,
            large_bytes: 0,
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

    /// The number of pages, large values included, but not the register.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.levels.iter().map(|level| level.nodes).sum::<u64>() + self.large_values
    }

    /// The used bytes of all pages, headers included.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.levels.iter().map(|level| level.used_bytes).sum::<u64>() + self.large_bytes
    }

    /// How full the leaves are on average, as a part of the page size.
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

/// All trees of a checkpoint.
#[derive(Clone, Debug)]
pub struct Forest {
    /// The trees: the catalog, the doomed trees, then those of the user by name, then those that were dropped.
    pub trees: Vec<TreeFacts>,
    parents: Vec<u32>,
    tree_of: Vec<u32>,
    /// What is wrong with the trees.
    pub problems: Vec<Problem>,
}

/// A node that is still to be looked at.
struct Pending {
    page: PageId,
    parent: u32,
    level: Option<u8>,
    lower: Option<Rc<[u8]>>,
    upper: Option<Rc<[u8]>>,
}

impl Forest {
    /// Walks all trees.
    #[must_use]
    pub fn grow(survey: &Survey) -> Forest {
        let pages = survey.checkpoint.entries.len();
        let mut forest =
            Forest { trees: Vec::new(), parents: vec![NONE; pages], tree_of: vec![NONE; pages], problems: Vec::new() };
        if pages == 0 {
            return forest;
        }
        forest.plant(survey, "(catalog)".to_owned(), Role::Catalog, CATALOG);
        forest.plant(survey, "(doomed)".to_owned(), Role::Doomed, DOOMED);
        for (name, record) in forest.kept_entries(survey, 0) {
            if name.is_empty() {
                // What the store is a copy of.
                if origin_of_note(&record).is_err() {
                    let what = "the note of what the store is a copy of is not one";
                    forest.problems.push(Problem::new(Structure::Catalog, what));
                }
                continue;
            }
            match (String::from_utf8(name), tree_record(&record)) {
                (Ok(name), Ok((root, counter))) => {
                    let tree = forest.plant(survey, name, Role::User, root);
                    forest.count(survey, tree, counter);
                }
                (name, record) => {
                    let why = if name.is_err() { "a tree's name is not UTF-8" } else { "a record has a wrong length" };
                    let named = name.ok().zip(Some(record));
                    let problem = Problem::new(Structure::Catalog, why);
                    forest.problems.push(match named {
                        Some((name, _)) => problem.tree(&name),
                        None => problem,
                    });
                }
            }
        }
        for (key, _) in forest.kept_entries(survey, 1) {
            match key.as_slice().try_into() {
                Ok(root) => {
                    forest.plant(survey, "(dropped)".to_owned(), Role::Dropped, PageId(u32::from_be_bytes(root)));
                }
                Err(_) => {
                    forest.problems.push(Problem::new(Structure::Catalog, "a doomed tree's key has a wrong length"));
                }
            }
        }
        forest.find_orphans(survey);
        forest
    }

    /// The tree that a page belongs to, as far as it was reached from a root.
    #[must_use]
    pub fn tree_of(&self, page: PageId) -> Option<&TreeFacts> {
        self.trees.get(*self.tree_of.get(page.0 as usize)? as usize)
    }

    /// The number of that tree in [`trees`](Forest::trees).
    #[must_use]
    pub fn tree_index(&self, page: PageId) -> Option<usize> {
        let index = *self.tree_of.get(page.0 as usize)? as usize;
        (index < self.trees.len()).then_some(index)
    }

    /// The node that refers to a page.
    #[must_use]
    pub fn parent(&self, page: PageId) -> Option<PageId> {
        self.parents.get(page.0 as usize).copied().filter(|&parent| parent != NONE).map(PageId)
    }

    /// The tree of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&TreeFacts> {
        self.trees.iter().find(|tree| tree.name == name)
    }

    fn problem(&mut self, structure: Structure, tree: usize, page: PageId, what: impl Into<String>) {
        let name = self.trees[tree].name.clone();
        self.problems.push(Problem::new(structure, what).page(page.0).tree(&name));
    }

    /// Notes that a page belongs to a tree; `false` if it belongs somewhere already, or there is no such page.
    fn claim(&mut self, tree: usize, page: PageId, parent: u32) -> bool {
        let Some(owner) = self.tree_of.get_mut(page.0 as usize) else {
            self.problem(Structure::Tree, tree, page, "something refers to it, but there is no such page number");
            return false;
        };
        if *owner != NONE {
            let other = self.trees[*owner as usize].name.clone();
            let what = if *owner as usize == tree {
                "it is referred to more than once".to_owned()
            } else {
                format!("it belongs to {other:?} too")
            };
            self.problem(Structure::Tree, tree, page, what);
            return false;
        }
        *owner = tree as u32;
        self.parents[page.0 as usize] = parent;
        true
    }

    /// What is known of a page that a tree refers to; else says why nothing is.
    fn facts<'s>(&mut self, survey: &'s Survey, tree: usize, page: PageId) -> Option<&'s PageFacts> {
        let facts = survey.page(page);
        if facts.is_none() {
            match survey.checkpoint.entry(page) {
                Some(Entry::Dead { since }) => {
                    let what = format!("something refers to it, but it does not exist since {since}");
                    self.problem(Structure::Tree, tree, page, what);
                }
                Some(Entry::NeverUsed) => {
                    self.problem(Structure::Tree, tree, page, "something refers to it, but it does not exist");
                }
                Some(Entry::Register { .. }) => {
                    self.problem(Structure::Tree, tree, page, "it is a register, not a page")
                }
                // Told already, by whoever could not read it.
                Some(Entry::Version { .. }) | None => {}
            }
        }
        facts
    }

    fn plant(&mut self, survey: &Survey, name: String, role: Role, root: PageId) -> usize {
        let tree = self.trees.len();
        self.trees.push(TreeFacts::new(name, role, root));
        let page_size = survey.checkpoint.page_size();
        let mut pending = vec![Pending { page: root, parent: NONE, level: None, lower: None, upper: None }];
        let mut last_leaf_end = None;
        while let Some(next) = pending.pop() {
            if !self.claim(tree, next.page, next.parent) {
                continue;
            }
            let Some(facts) = self.facts(survey, tree, next.page) else {
                let key = |fence: &Option<Rc<[u8]>>| fence.as_ref().map(|key| Box::from(&**key));
                let lost = LostRange { page: next.page.0, from: key(&next.lower), to: key(&next.upper) };
                self.trees[tree].lost.push(lost);
                last_leaf_end = None;
                continue;
            };
            if !matches!(facts.kind, Kind::Leaf | Kind::Branch) {
                if facts.faults.is_empty() {
                    self.problem(Structure::Tree, tree, next.page, "this is not a node");
                }
                continue;
            }
            if let Some(expected) = next.level.filter(|level| *level != facts.level) {
                let what = format!("its level is {} instead of {expected}", facts.level);
                self.problem(Structure::Tree, tree, next.page, what);
                continue;
            }
            self.note_node(tree, facts, page_size);
            if facts.kind == Kind::Leaf {
                let known = &mut self.trees[tree];
                if let Some(end) = last_leaf_end {
                    known.neighbours += 1;
                    known.apart += u64::from(facts.run.start != end);
                }
                last_leaf_end = Some(facts.run.end());
                self.leaf(survey, tree, &next, facts);
            } else {
                self.branch(tree, &next, facts, &mut pending);
            }
        }
        tree
    }

    fn note_node(&mut self, tree: usize, facts: &PageFacts, page_size: u32) {
        let known = &mut self.trees[tree];
        let level = usize::from(facts.level);
        if known.levels.len() <= level {
            known.levels.resize_with(level + 1, LevelFacts::default);
        }
        let at = &mut known.levels[level];
        at.nodes += 1;
        at.entries += u64::from(facts.entries);
        at.used_bytes += u64::from(facts.length);
        let tenth = (u64::from(facts.length) * 10 / u64::from(page_size.max(1))).min(9);
        at.fill[tenth as usize] += 1;
        known.garbage_bytes += u64::from(facts.garbage);
        known.slots += facts.run.slots;
    }

    fn leaf(&mut self, survey: &Survey, tree: usize, at: &Pending, facts: &PageFacts) {
        if let Some((first, last)) = &facts.ends {
            let too_low = at.lower.as_ref().is_some_and(|lower| first[..] < lower[..]);
            let too_high = at.upper.as_ref().is_some_and(|upper| last[..] >= upper[..]);
            if too_low || too_high {
                self.problem(Structure::Tree, tree, at.page, "its keys lie outside the separators above it");
            }
        } else if at.parent != NONE && facts.entries == 0 {
            self.problem(Structure::Tree, tree, at.page, "it is an empty leaf below a branch");
        }
        self.trees[tree].entries += u64::from(facts.entries);
        if let Some(sizes) = &facts.sizes {
            self.trees[tree].sizes.add(sizes);
        }
        for large in &facts.larges {
            if !self.claim(tree, large.page, at.page.0) {
                continue;
            }
            let Some(value) = self.facts(survey, tree, large.page) else {
                // One value, whatever its key.
                continue;
            };
            if value.kind != Kind::Large {
                self.problem(Structure::Tree, tree, large.page, "this is not a large value");
                continue;
            }
            let found =
                (value.length as usize).saturating_sub(HEADER_BYTES + pentimento_btree::inspect::LARGE_VALUE_HEADER);
            if found != large.len {
                let what = format!("it is a large value of {found} bytes, but its leaf says {}", large.len);
                self.problem(Structure::Tree, tree, large.page, what);
            }
            let known = &mut self.trees[tree];
            known.large_values += 1;
            known.large_bytes += u64::from(value.length);
            known.slots += value.run.slots;
        }
    }

    fn branch(&mut self, tree: usize, at: &Pending, facts: &PageFacts, pending: &mut Vec<Pending>) {
        let Some(node) = facts.body.as_ref().and_then(|body| NodeView::parse(at.page, body).ok()) else { return };
        let separators: Vec<Option<Rc<[u8]>>> =
            (0..node.count()).map(|index| node.key(index).ok().map(|key| Rc::from(key.as_slice()))).collect();
        let is_within = |key: &Rc<[u8]>| {
            at.lower.as_ref().is_none_or(|lower| key[..] >= lower[..])
                && at.upper.as_ref().is_none_or(|upper| key[..] < upper[..])
        };
        if separators.iter().flatten().any(|key| !is_within(key)) {
            self.problem(Structure::Tree, tree, at.page, "its separators lie outside those above it");
        }
        // The last comes first onto the stack, so that leaves are met in the order of their keys.
        for (number, child) in node.children().into_iter().enumerate().rev() {
            let before = number.checked_sub(1).and_then(|index| separators[index].clone());
            let after = separators.get(number).cloned().flatten();
            pending.push(Pending {
                page: child,
                parent: at.page.0,
                level: Some(facts.level - 1),
                lower: before.or_else(|| at.lower.clone()),
                upper: after.or_else(|| at.upper.clone()),
            });
        }
    }

    fn count(&mut self, survey: &Survey, tree: usize, counter: PageId) {
        let known = match survey.checkpoint.entry(counter) {
            Some(Entry::Register { value, .. }) => Some(value),
            _ => None,
        };
        self.trees[tree].counter = Some((counter, known));
        self.claim(tree, counter, NONE);
        let (entries, is_whole) = (self.trees[tree].entries, self.trees[tree].lost.is_empty());
        match (known, survey.checkpoint.entry(counter)) {
            (Some(count), _) if count != entries && is_whole => {
                self.problem(
                    Structure::Tree,
                    tree,
                    counter,
                    format!("it counts {count} entries, but there are {entries}"),
                );
            }
            (None, Some(_)) => self.problem(Structure::Tree, tree, counter, "it should be a register, and is none"),
            _ => {}
        }
    }

    /// The entries of the catalog or of the doomed trees, whose bodies are kept.
    fn kept_entries(&mut self, survey: &Survey, tree: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut entries = Vec::new();
        for (id, facts) in survey.pages.iter().enumerate() {
            let Some(facts) = facts else { continue };
            if self.tree_of[id] as usize != tree || facts.kind != Kind::Leaf {
                continue;
            }
            let Some(node) = facts.body.as_ref().and_then(|body| NodeView::parse(PageId(id as u32), body).ok()) else {
                continue;
            };
            for index in 0..node.count() {
                if let (Ok(key), Ok((_, Value::Inline(value)))) = (node.key(index), node.value(index)) {
                    entries.push((key.into_vec(), value.to_vec()));
                }
            }
        }
        entries.sort();
        entries
    }

    /// Pages that exist, but that no tree reaches. Where a tree has pages that cannot be read, what lies below them is no error of its own.
    fn find_orphans(&mut self, survey: &Survey) {
        let broken: Vec<PageId> =
            self.trees.iter().filter(|tree| !tree.lost.is_empty()).map(|tree| tree.root).collect();
        for id in 0..survey.checkpoint.entries.len() as u32 {
            let page = PageId(id);
            if self.tree_of[id as usize] != NONE {
                continue;
            }
            let owner = match survey.checkpoint.entry(page) {
                Some(Entry::Version { .. }) => survey.page(page).map(|facts| facts.owner),
                // Counters have no owner: with a damaged catalog nobody knows whose they are.
                Some(Entry::Register { .. }) => Some(CATALOG),
                _ => continue,
            };
            let Some(owner) = owner else { continue };
            let owner_is_known = self.trees.iter().any(|tree| tree.root == owner);
            if broken.contains(&owner) || (!owner_is_known && broken.contains(&CATALOG)) {
                continue;
            }
            self.problems.push(Problem::new(Structure::Tree, "it belongs to no tree").page(id));
        }
    }
}
