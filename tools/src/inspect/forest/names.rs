//! Which trees there are: the catalog names those of the user, and the doomed are listed in a tree of their own. And what no tree has.

use super::{Forest, NONE, Role};
use crate::inspect::{Kind, Problem, Structure, Survey, leaf_of};
use pentimento_btree::inspect::Value;
use pentimento_storage::PageId;
use pentimento_storage::inspect::Entry;
use pentimento_txn::inspect::{CATALOG, DOOMED, origin_of_note, tree_record};

impl Forest {
    /// Walks the store's own trees, and those that they name.
    pub(super) fn plant_all(&mut self, survey: &Survey) {
        self.plant(survey, "(catalog)".to_owned(), Role::Catalog, CATALOG);
        self.plant(survey, "(doomed)".to_owned(), Role::Doomed, DOOMED);
        for (name, record) in self.kept_entries(survey, 0) {
            if name.is_empty() {
                // What the store is a copy of.
                if origin_of_note(&record).is_err() {
                    let what = "the note of what the store is a copy of is not one";
                    self.problems.push(Problem::new(Structure::Catalog, what));
                }
                continue;
            }
            match (String::from_utf8(name), tree_record(&record)) {
                (Ok(name), Ok((root, counter))) => {
                    let tree = self.plant(survey, name, Role::User, root);
                    self.count(survey, tree, counter);
                }
                (name, record) => {
                    let why = if name.is_err() { "a tree's name is not UTF-8" } else { "a record has a wrong length" };
                    let named = name.ok().zip(Some(record));
                    let problem = Problem::new(Structure::Catalog, why);
                    self.problems.push(match named {
                        Some((name, _)) => problem.tree(&name),
                        None => problem,
                    });
                }
            }
        }
        for (key, _) in self.kept_entries(survey, 1) {
            match key.as_slice().try_into() {
                Ok(root) => {
                    self.plant(survey, "(dropped)".to_owned(), Role::Dropped, PageId(u32::from_be_bytes(root)));
                }
                Err(_) => {
                    self.problems.push(Problem::new(Structure::Catalog, "a doomed tree's key has a wrong length"));
                }
            }
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
    fn kept_entries(&self, survey: &Survey, tree: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut entries = Vec::new();
        let own = (0..self.tree_of.len()).filter(|&id| self.tree_of[id] as usize == tree).map(|id| PageId(id as u32));
        for page in own {
            let Some(facts) = survey.page(page).filter(|facts| facts.kind == Kind::Leaf) else { continue };
            let Some(node) = facts.node(page) else { continue };
            for index in 0..node.count() {
                if let (Ok(key), Ok((_, Value::Inline(value)))) = (node.key(index), node.value(index)) {
                    entries.push((key.into_vec(), value.to_vec()));
                }
            }
        }
        entries.sort();
        entries
    }

    /// What is wrong with a delta that no leaf has.
    fn why_no_delta(&self, survey: &Survey, page: PageId) -> String {
        let Some(leaf) = leaf_of(page) else { return "it is a delta, but its number is not one of a delta".to_owned() };
        let is_leaf = survey.page(leaf).is_some_and(|facts| facts.kind == Kind::Leaf);
        if is_leaf && self.tree_of[leaf.0 as usize] != NONE {
            return format!("it is longer than the delta of page {leaf} may be");
        }
        format!("it is a delta, but page {leaf} is no leaf of a tree")
    }

    /// Pages that exist, but that no tree reaches. Where a tree has pages that cannot be read, what lies below them is no error of its own.
    pub(super) fn find_orphans(&mut self, survey: &Survey) {
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
            let is_delta = survey.page(page).is_some_and(|facts| facts.kind == Kind::Delta);
            let what = if is_delta { self.why_no_delta(survey, page) } else { "it belongs to no tree".to_owned() };
            self.problems.push(Problem::new(Structure::Tree, what).page(id));
        }
    }
}
