//! What one commit wrote, as far as others must know in order to find conflicts with it.
//!
//! Promises: whatever the commit changed is in it; what is too much to list becomes "the whole tree", which is coarser and never wrong.

use super::keys::KeySet;
use super::span::Span;
use super::spans::SpanSet;
use crate::Timestamp;
use crate::names::Names;
use crate::redo::{Op, Redo};
use std::collections::BTreeMap;
use std::ops::Bound;

/// What one commit wrote in one tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct TreePrint {
    /// Keys that were set or removed.
    pub keys: KeySet,
    /// Keys that were changed blindly: others who do the same do not conflict.
    pub blind: KeySet,
    /// Stretches that were emptied.
    pub spans: SpanSet,
    /// Anything may have changed.
    pub whole: bool,
    /// The name came, went, or names another tree now.
    pub renamed: bool,
}

impl TreePrint {
    fn everything() -> TreePrint {
        TreePrint { whole: true, renamed: true, ..TreePrint::default() }
    }

    fn bytes(&self) -> usize {
        self.keys.heap_bytes() + self.blind.heap_bytes() + self.spans.heap_bytes()
    }
}

/// What one commit wrote.
#[derive(Debug)]
pub(crate) struct Footprint {
    pub at: Timestamp,
    /// By name, in order.
    pub trees: Vec<(String, TreePrint)>,
    /// The memory that it takes.
    pub bytes: usize,
}

impl Footprint {
    /// A footprint of at most about `limit` bytes: trees that take more are listed as a whole.
    pub fn new(trees: BTreeMap<String, TreePrint>, limit: usize) -> Footprint {
        let mut trees: Vec<(String, TreePrint)> = trees.into_iter().collect();
        let sum: usize = trees.iter().map(|(_, print)| print.bytes()).sum();
        if sum > limit {
            for (_, print) in &mut trees {
                let renamed = print.renamed;
                *print = TreePrint { whole: true, renamed, ..TreePrint::default() };
            }
        }
        trees.shrink_to_fit();
        let bytes = trees.iter().map(|(name, print)| name.capacity() + print.bytes()).sum::<usize>()
            + trees.capacity() * size_of::<(String, TreePrint)>()
            + size_of::<Footprint>();
        Footprint { at: Timestamp::ZERO, trees, bytes }
    }

    /// The footprint of what a transaction noted for the journal.
    pub fn of_redo(redo: &Redo, limit: usize) -> Footprint {
        let Some(body) = redo.body().filter(|_| redo.is_gathered()) else {
            return Footprint::of_names(redo.touched(), limit);
        };
        match Lists::gather(body) {
            Ok(mut lists) => {
                for name in redo.created().iter() {
                    lists.tree(name).renamed = true;
                }
                Footprint::new(lists.into_prints(), limit)
            }
            // It was encoded a moment ago; if it cannot be read all the same, the names say enough.
            Err(_) => Footprint::of_names(redo.touched(), limit),
        }
    }

    fn of_names(names: &Names, limit: usize) -> Footprint {
        Footprint::new(names.iter().map(|name| (name.to_owned(), TreePrint::everything())).collect(), limit)
    }

    pub fn tree(&self, name: &str) -> Option<&TreePrint> {
        let at = self.trees.binary_search_by(|(other, _)| other.as_str().cmp(name)).ok()?;
        Some(&self.trees[at].1)
    }
}

/// The keys of one tree while they are gathered.
#[derive(Default)]
struct List<'b> {
    keys: Vec<&'b [u8]>,
    spans: Vec<Span>,
    whole: bool,
    renamed: bool,
}

#[derive(Default)]
struct Lists<'b>(BTreeMap<String, List<'b>>);

impl<'b> Lists<'b> {
    fn tree(&mut self, name: &str) -> &mut List<'b> {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), List::default());
        }
        self.0.get_mut(name).expect("it was inserted")
    }

    fn replaced(&mut self, name: &str) {
        let list = self.tree(name);
        (list.whole, list.renamed) = (true, true);
    }

    fn gather(body: &'b [u8]) -> crate::Result<Lists<'b>> {
        let mut lists = Lists::default();
        let mut entered = "";
        for op in crate::redo::ops(body) {
            match op? {
                Op::Tree(name) => {
                    lists.tree(name);
                    entered = name;
                }
                Op::Insert(key, _) | Op::Remove(key) => lists.tree(entered).keys.push(key),
                Op::RemoveRange(start, end) => lists.tree(entered).spans.push(Span::new(start, end)),
                Op::Clear => lists.tree(entered).spans.push(Span::new(Bound::Unbounded, Bound::Unbounded)),
                Op::DropTree(name) => lists.replaced(name),
                Op::RenameTree(from, to) => {
                    lists.replaced(from);
                    lists.replaced(to);
                }
                // No transaction reads it.
                Op::Origin(_) => {}
            }
        }
        Ok(lists)
    }

    fn into_prints(self) -> BTreeMap<String, TreePrint> {
        let print = |list: List<'b>| TreePrint {
            keys: if list.whole { KeySet::default() } else { KeySet::from_unsorted(list.keys) },
            spans: if list.whole { SpanSet::default() } else { list.spans.into_iter().collect() },
            whole: list.whole,
            renamed: list.renamed,
            ..TreePrint::default()
        };
        self.0.into_iter().map(|(name, list)| (name, print(list))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pentimento_storage::PageId;

    fn keys(print: &TreePrint) -> Vec<&[u8]> {
        print.keys.iter().collect()
    }

    #[test]
    fn a_footprint_lists_what_the_journal_was_told() {
        let mut redo = Redo::up_to(1 << 16);
        redo.enter(&"b".into(), PageId(2));
        redo.insert(b"2", b"two");
        redo.insert(b"1", b"one");
        redo.remove(b"2");
        redo.enter(&"a".into(), PageId(1));
        redo.created_tree("a");
        redo.remove_range(&(b"k".as_slice()..));
        redo.rename_tree("c", "d");
        let print = Footprint::of_redo(&redo, usize::MAX);
        assert_eq!(print.trees.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(keys(print.tree("b").unwrap()), [b"1", b"2"]);
        let made = print.tree("a").unwrap();
        assert!(made.renamed && !made.whole && made.spans.contains(b"z") && !made.spans.contains(b"j"));
        assert!(print.tree("c").unwrap().whole && print.tree("d").unwrap().renamed);
        assert!(print.tree("e").is_none() && print.bytes > 100);
    }

    #[test]
    fn what_is_too_long_is_listed_by_tree() {
        for (redo_limit, limit) in [(0, usize::MAX), (64, usize::MAX), (1 << 20, 100)] {
            let mut redo = Redo::up_to(redo_limit);
            redo.enter(&"t".into(), PageId(3));
            redo.insert(b"key", &[7; 100]);
            (0..100u8).for_each(|key| redo.insert(&[key], b"value"));
            redo.enter(&"u".into(), PageId(4));
            redo.remove(b"key");
            let print = Footprint::of_redo(&redo, limit);
            assert!(["t", "u"].into_iter().all(|name| print.tree(name).unwrap().whole), "limits {redo_limit}, {limit}");
        }
    }
}
