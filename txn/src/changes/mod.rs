//! What changed between two snapshots, entry by entry.
//!
//! Promises: it is exactly what comparing the two entry by entry would give, in the order of the trees' names and then of the keys, each key once; the
//! cost follows what has changed since the older snapshot, not the size of the store; both snapshots are kept alive by the walk itself; a damaged page gives an error, after which
//! the walk is over.
//!
//! How: no part of a tree can be passed over because its branch is the same, for children keep their page numbers. But the page table tells which
//! pages have other versions ([`Pin::pages_changed_since`](pentimento_storage::Pin::pages_changed_since)), and the header of each says whose it is: the root of its tree. So the leaves of a tree that changed are
//! known, at either snapshot, and comparing those is enough (`btree/src/difference.rs` proves it). What that proof needs of the whole store:
//!
//! - *A page with the root of a named tree as its owner is in that tree.* Ranges that are removed and trees that are cleared give their pages back in
//!   the transaction that unlinks them. Only a large tree that is dropped keeps pages for a while, and its root among them until the last: no named tree has that
//!   number meanwhile, and pages whose owner is no named tree's root are passed over.
//! - *Trees are told apart by their roots at each snapshot by itself.* A tree that was dropped and made again has another root, or the same number after
//!   all pages of the first were given back: then no page of the two is the same version, and all its leaves are compared. A tree of one name with
//!   different roots is compared as a whole.
//! - *A renamed tree* is one that was dropped and one that was made.

mod plan;

use crate::{Error, Key, KeyBounds, Result, Snapshot, Timestamp};
use bytes::Bytes;
use pentimento_btree::{Differing, Views};
pub(crate) use plan::Scope;
use plan::{Fate, Plan, TreeDifference};
use std::iter::FusedIterator;
use std::sync::Arc;

/// Something that is not the same at two snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The name of the tree.
    pub tree: Arc<str>,
    /// The key; empty for what concerns the tree as a whole.
    pub key: Key<'static>,
    /// What is different.
    pub kind: ChangeKind,
}

/// How an entry, or a tree, differs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeKind {
    /// There was no tree of this name. Its entries follow, as inserted.
    TreeCreated,
    /// There is no tree of this name any more. Its entries were told before, as removed.
    TreeDropped,
    /// The key had no entry.
    Inserted {
        /// Its value now.
        new: Bytes,
    },
    /// The key has no entry any more.
    Removed {
        /// The value that it had.
        old: Bytes,
    },
    /// The key has another value.
    Changed {
        /// The value that it had.
        old: Bytes,
        /// Its value now.
        new: Bytes,
    },
}

impl Change {
    /// The value before, if there was an entry.
    #[must_use]
    pub fn before(&self) -> Option<&Bytes> {
        match &self.kind {
            ChangeKind::Removed { old } | ChangeKind::Changed { old, .. } => Some(old),
            _ => None,
        }
    }

    /// The value after, if there is an entry.
    #[must_use]
    pub fn after(&self) -> Option<&Bytes> {
        match &self.kind {
            ChangeKind::Inserted { new } | ChangeKind::Changed { new, .. } => Some(new),
            _ => None,
        }
    }
}

/// An iterator over what changed between two snapshots, in the order of the trees' names and then of the keys. It keeps both snapshots alive; values are
/// [`Bytes`] that do, too, without a copy. After an error it ends.
///
/// Doing what it tells, in its order, to a copy of the older snapshot makes a copy of the newer one.
#[derive(Debug)]
pub struct Changes {
    older: Snapshot,
    newer: Snapshot,
    trees: std::vec::IntoIter<TreeDifference>,
    current: Option<TreeDifference>,
    /// The first change, if somebody asked whether there is one.
    peeked: Option<Change>,
    is_announced: bool,
    tells_dropped_entries: bool,
    pages_touched: u64,
}

impl Snapshot {
    /// What is different here from an older snapshot of the same store: every entry that was inserted, removed or given another value, and every tree
    /// that was made or dropped. Entries of a tree that was dropped are told as removed, one by one (unless
    /// [told otherwise](Changes::without_dropped_entries)). A tree that was renamed is one that was dropped and one that was made.
    ///
    /// The cost follows what has changed since `older`: pages that both see are not read. The pages that differ are looked at now, their entries as the
    /// iterator goes.
    ///
    /// ```
    /// # use pentimento_txn as pentimento;
    /// # let db = pentimento::Database::in_memory()?;
    /// use pentimento::ChangeKind;
    /// # let put = |key: &str, value: &str| { let mut txn = db.begin_write()?; txn.tree("stock")?.insert(key, value)?; txn.commit() };
    /// put("chairs", "12")?;
    /// let before = db.snapshot()?;
    /// put("chairs", "10")?;
    /// put("tables", "3")?;
    /// let changes: Vec<_> = db.snapshot()?.changes_since(&before)?.collect::<Result<_, _>>()?;
    /// assert_eq!(&*changes[0].key, b"chairs");
    /// assert_eq!(changes[0].kind, ChangeKind::Changed { old: "12".into(), new: "10".into() });
    /// assert_eq!(changes[1].kind, ChangeKind::Inserted { new: "3".into() });
    /// # Ok::<(), pentimento::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotOlder`], [`Error::OtherStore`], or when a page is damaged.
    pub fn changes_since(&self, older: &Snapshot) -> Result<Changes> {
        Changes::between(older, self, &Scope { tree: None, bounds: &.., pages: None })
    }

    /// As [`changes_since`](Snapshot::changes_since), for one tree only, and within it for keys in a range. If the tree exists at neither
    /// there are no changes.
    ///
    /// # Errors
    /// The same.
    pub fn changes_in(&self, tree: &str, bounds: impl KeyBounds, older: &Snapshot) -> Result<Changes> {
        Changes::between(older, self, &Scope { tree: Some(tree), bounds: &bounds, pages: None })
    }
}

impl Changes {
    pub(crate) fn between<B: KeyBounds>(older: &Snapshot, newer: &Snapshot, scope: &Scope<'_, B>) -> Result<Changes> {
        if !newer.pin().is_of_same_store(older.pin()) {
            return Err(Error::OtherStore);
        }
        if older.timestamp() > newer.timestamp() {
            return Err(Error::NotOlder { asked: newer.timestamp(), other: older.timestamp() });
        }
        let plan = Plan::make(older, newer, scope)?;
        Ok(Changes {
            older: older.clone(),
            newer: newer.clone(),
            trees: plan.trees.into_iter(),
            current: None,
            peeked: None,
            is_announced: false,
            tells_dropped_entries: true,
            pages_touched: plan.pages_touched,
        })
    }

    /// Tells of a tree that was dropped only that it was, not what was in it. For those who will drop it, too.
    #[must_use]
    pub fn without_dropped_entries(mut self) -> Changes {
        self.tells_dropped_entries = false;
        self
    }

    /// Whether there is nothing to tell. Before anything was told.
    pub(crate) fn is_empty(&mut self) -> Result<bool> {
        self.peeked = self.next_change()?;
        Ok(self.peeked.is_none())
    }

    /// Passes over what concerns trees up to and with this name, at no cost.
    pub(crate) fn after_tree(mut self, name: &str) -> Changes {
        let passed = self.trees.as_slice().partition_point(|tree| *tree.name <= *name);
        self.trees.by_ref().take(passed).for_each(drop);
        self
    }

    /// The timestamp of the older snapshot.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        self.older.timestamp()
    }

    /// The timestamp of the newer snapshot.
    #[must_use]
    pub fn to(&self) -> Timestamp {
        self.newer.timestamp()
    }

    /// How many pages have been looked at so far, those of the trees and the stretches of the page table together: what finding the changes cost.
    #[must_use]
    pub fn pages_touched(&self) -> u64 {
        self.pages_touched + self.current.as_ref().map_or(0, |tree| tree.entries.pages_entered())
    }

    fn value(snapshot: &Snapshot, at: Option<pentimento_btree::ValueLocation>) -> Result<Option<Bytes>> {
        at.map(|at| snapshot.bytes(at)).transpose()
    }

    fn change(&self, tree: Arc<str>, differing: Differing) -> Result<Change> {
        let Differing { key, old, new } = differing;
        let kind = match (Self::value(&self.older, old)?, Self::value(&self.newer, new)?) {
            (Some(old), Some(new)) => ChangeKind::Changed { old, new },
            (Some(old), None) => ChangeKind::Removed { old },
            (None, Some(new)) => ChangeKind::Inserted { new },
            (None, None) => unreachable!("one side has the key"),
        };
        Ok(Change { tree, key, kind })
    }

    fn next_change(&mut self) -> Result<Option<Change>> {
        loop {
            if self.current.is_none() {
                self.current = self.trees.next();
                self.is_announced = false;
            }
            let Some(tree) = &mut self.current else { return Ok(None) };
            let about = |kind| Change { tree: tree.name.clone(), key: Key::from(&[][..]), kind };
            if tree.fate == Fate::Created && !self.is_announced {
                self.is_announced = true;
                return Ok(Some(about(ChangeKind::TreeCreated)));
            }
            let (older, newer) = (&self.older, &self.newer);
            let is_same = |id| older.pin().birth_of(id).is_some_and(|birth| newer.pin().birth_of(id) == Some(birth));
            let passes_over = tree.fate == Fate::Dropped && !self.tells_dropped_entries;
            let views = Views { older, newer, is_same };
            let differing = if passes_over { None } else { tree.entries.next(&views)? };
            if let Some(differing) = differing {
                let name = tree.name.clone();
                return self.change(name, differing).map(Some);
            }
            let last = (tree.fate == Fate::Dropped).then(|| about(ChangeKind::TreeDropped));
            self.pages_touched += tree.entries.pages_entered();
            self.current = None;
            if last.is_some() {
                return Ok(last);
            }
        }
    }
}

impl Iterator for Changes {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Result<Change>> {
        if let Some(first) = self.peeked.take() {
            return Some(Ok(first));
        }
        let change = self.next_change();
        if change.is_err() {
            self.pages_touched = self.pages_touched();
            (self.trees, self.current) = (Vec::new().into_iter(), None);
        }
        change.transpose()
    }
}

impl FusedIterator for Changes {}
