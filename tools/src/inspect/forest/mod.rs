//! The trees of a checkpoint: which pages each has, and whether they fit together.
//!
//! Promises: every page that can be reached is looked at once; damage in one place does not hide damage in another; whatever the pages
//! hold, it ends. With what each page shows by itself (see [`super::facts`]) this proves all that the engine's own checker proves of trees.

mod names;
mod tree;
mod walk;

use super::facts::PageFacts;
use super::problem::{Problem, Structure};
use super::survey::Survey;
use pentimento_storage::PageId;
use pentimento_storage::inspect::Entry;
pub use tree::{LevelFacts, LostRange, Role, TreeFacts};

/// No page, or no tree.
const NONE: u32 = u32::MAX;

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

impl Forest {
    /// Walks all trees.
    #[must_use]
    pub fn grow(survey: &Survey) -> Forest {
        let pages = survey.checkpoint.entries.len();
        let mut forest =
            Forest { trees: Vec::new(), parents: vec![NONE; pages], tree_of: vec![NONE; pages], problems: Vec::new() };
        if pages > 0 {
            forest.plant_all(survey);
            forest.find_orphans(survey);
        }
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
}
