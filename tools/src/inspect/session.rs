//! The entries of a store as somebody who opened it now would see them: those of the checkpoint, with the journal's changes laid over.
//!
//! Promises: all entries that a session shows are of one moment. If the pages are overwritten by a writer, what was begun is begun again from
//! the newer checkpoint, before anything of it was shown.

use super::file::StoreFile;
use super::journal::Journal;
use super::overlay::{Changes, Overlay, find_tree, is_empty};
use super::view::{View, ViewError};
use crate::{Error, Result};
use pentimento_btree::{Cursor, Key, KeyBounds, ReadPages, Tree, ValueLocation};
use pentimento_storage::{PageId, Timestamp};
use pentimento_txn::inspect::CATALOG;
use std::collections::BTreeSet;
use std::ops::Bound;

/// How often something is begun again because a newer checkpoint came.
const TRIES: u32 = 500;

/// A store at one moment.
#[derive(Debug)]
pub struct Session<'f> {
    view: View<'f>,
    overlay: Overlay,
}

/// What a session knows of a tree.
struct Found {
    base: Option<PageId>,
    counter: Option<PageId>,
}

/// Opens a session and does `work` in it; if the store moved on meanwhile, again from the newer checkpoint. With `whole` the session's pages
/// stay whatever the writer does, so that `work` may show what it finds at once: it is not begun again then.
///
/// # Errors
/// What `work` fails with; damage, as [`Error::Damaged`].
pub fn with_session<T>(
    file: &StoreFile,
    whole: bool,
    mut work: impl FnMut(&mut Session<'_>) -> Result<T, ViewError>,
) -> Result<T> {
    for _ in 0..TRIES {
        let done = match Session::open(file, whole) {
            Ok(mut session) => match work(&mut session) {
                // What was shown already cannot be taken back. It was closed when we began, or its pages would have been copied.
                Err(ViewError::Moved) if whole => {
                    let what = "was opened and changed by another process while it was read; try again";
                    return Err(Error::Unreadable(format!("{} {what}", file.name())));
                }
                done => done,
            },
            Err(error) => Err(error),
        };
        match done {
            Ok(done) => return Ok(done),
            Err(ViewError::Moved) => {}
            Err(ViewError::Damaged(problem)) => return Err(Error::Damaged(problem)),
            Err(ViewError::Other(error)) => return Err(*error),
        }
    }
    Err(Error::Unreadable(format!("{} changes faster than it can be read; try again", file.name())))
}

impl<'f> Session<'f> {
    fn open(file: &'f StoreFile, whole: bool) -> Result<Session<'f>, ViewError> {
        // Before the pages: whatever the checkpoint of the view does not have is in the journal that was read, as far as it was there then.
        let journal = Journal::read(file)?;
        let mut view = View::new(file)?;
        if whole {
            view.settle()?;
        }
        let overlay = Overlay::of(&journal, &view)?;
        Ok(Session { view, overlay })
    }

    /// The newest commit that the session shows.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.overlay.newest.unwrap_or_else(|| self.view.checkpoint().timestamp())
    }

    /// The pages of the checkpoint.
    #[must_use]
    pub fn view(&self) -> &View<'f> {
        &self.view
    }

    /// How many commits the journal added to the checkpoint.
    #[must_use]
    pub fn commits_from_journal(&self) -> u64 {
        self.overlay.commits
    }

    /// The names of all trees, in order.
    ///
    /// # Errors
    /// When the catalog is damaged, and [`ViewError::Moved`].
    pub fn trees(&self) -> Result<Vec<String>, ViewError> {
        let mut names = BTreeSet::new();
        for entry in Tree::new(&self.view, CATALOG).iter()? {
            let (name, _) = entry?;
            if name.is_empty() {
                // What the store is a copy of.
                continue;
            }
            let name = String::from_utf8(name.into_vec());
            names.insert(name.map_err(|_| Error::Unreadable("a tree's name is not UTF-8".to_owned()))?);
        }
        for (name, exists) in self.overlay.names() {
            if exists {
                names.insert(name.to_owned());
            } else {
                names.remove(name);
            }
        }
        Ok(names.into_iter().collect())
    }

    fn changes(&self, tree: &str) -> Option<&Changes> {
        self.overlay.changes(tree).flatten()
    }

    fn find(&self, tree: &str) -> Result<Found, ViewError> {
        let missing = || {
            let names = self.trees().map(|names| names.join(", ")).unwrap_or_default();
            let known = if names.is_empty() { "there are none".to_owned() } else { format!("there are: {names}") };
            ViewError::from(Error::Usage(format!("there is no tree named {tree:?}; {known}")))
        };
        match self.overlay.changes(tree) {
            Some(Some(changes)) => Ok(Found { base: changes.base, counter: changes.counter }),
            Some(None) => Err(missing()),
            None => {
                let (root, counter) = find_tree(&self.view, tree)?.ok_or_else(missing)?;
                Ok(Found { base: Some(root), counter: Some(counter) })
            }
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// When there is no such tree, or a page on the way is damaged; and [`ViewError::Moved`].
    pub fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        let found = self.find(tree)?;
        if let Some(changed) = self.changes(tree).and_then(|changes| changes.keys.get(key)) {
            return Ok(changed.clone());
        }
        let Some(base) = found.base else { return Ok(None) };
        Ok(Tree::new(&self.view, base).get(key)?.map(<[u8]>::to_vec))
    }

    /// The number of entries of a tree: from its register, and what the journal changes.
    ///
    /// # Errors
    /// As for [`get`](Session::get).
    pub fn len(&self, tree: &str) -> Result<u64, ViewError> {
        let found = self.find(tree)?;
        let mut len = match found.counter {
            None => 0,
            Some(counter) => self.view.register(counter).ok_or_else(|| {
                Error::Unreadable(format!("the register that counts the entries of {tree:?} cannot be read"))
            })?,
        };
        for (key, value) in self.changes(tree).iter().flat_map(|changes| &changes.keys) {
            let was_there = match found.base {
                Some(base) => Tree::new(&self.view, base).contains_key(key)?,
                None => false,
            };
            match (was_there, value.is_some()) {
                (false, true) => len += 1,
                (true, false) => len = len.saturating_sub(1),
                _ => {}
            }
        }
        Ok(len)
    }

    /// The entries of a tree within bounds, from the front, or with `reverse` from the back.
    ///
    /// # Errors
    /// As for [`get`](Session::get).
    pub fn entries(&self, tree: &str, bounds: impl KeyBounds, reverse: bool) -> Result<Entries, ViewError> {
        let found = self.find(tree)?;
        let mut changes: Vec<(Vec<u8>, Option<Vec<u8>>)> = match self.changes(tree) {
            Some(changes) if !is_empty(bounds.start(), bounds.end()) => changes
                .keys
                .range::<[u8], _>((bounds.start(), bounds.end()))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            _ => Vec::new(),
        };
        // The next one is at the end.
        if !reverse {
            changes.reverse();
        }
        let base = found.base.map(|base| Cursor::new(base, bounds));
        Ok(Entries { base, waiting: None, changes, reverse })
    }
}

/// A key and its value.
pub type OwnedEntry = (Vec<u8>, Vec<u8>);

/// A walk over entries; it is kept beside its session, and asks it for each.
#[derive(Debug)]
pub struct Entries {
    base: Option<Cursor>,
    waiting: Option<(Key<'static>, ValueLocation)>,
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    reverse: bool,
}

impl Entries {
    /// The key and the value of the next entry.
    ///
    /// # Errors
    /// When a page is damaged, and [`ViewError::Moved`].
    pub fn next(&mut self, session: &mut Session<'_>) -> Result<Option<OwnedEntry>, ViewError> {
        session.view.trim();
        loop {
            if self.waiting.is_none()
                && let Some(cursor) = &mut self.base
            {
                let next = if self.reverse { cursor.next_back(&session.view) } else { cursor.next(&session.view) };
                self.waiting = next?;
            }
            let order = match (&self.waiting, self.changes.last()) {
                (None, None) => return Ok(None),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((key, _)), Some((changed, _))) => {
                    let order = key.as_slice().cmp(changed);
                    if self.reverse { order.reverse() } else { order }
                }
            };
            if order.is_le() {
                let waiting = self.waiting.take();
                if order.is_eq() {
                    // The change replaces it.
                    continue;
                }
                let Some((key, at)) = waiting else { continue };
                let value = session.view.page(at.page)?.get(at.start..at.end);
                let value =
                    value.ok_or_else(|| Error::Unreadable(format!("page {}: a value lies outside of it", at.page)))?;
                return Ok(Some((key.into_vec(), value.to_vec())));
            }
            if let Some((key, Some(value))) = self.changes.pop() {
                return Ok(Some((key, value)));
            }
        }
    }
}

/// Bounds from a first key, and the key after the last.
pub(crate) fn bounds<'k>(from: Option<&'k [u8]>, to: Option<&'k [u8]>) -> (Bound<&'k [u8]>, Bound<&'k [u8]>) {
    (from.map_or(Bound::Unbounded, Bound::Included), to.map_or(Bound::Unbounded, Bound::Excluded))
}

/// The root of a tree of the checkpoint.
pub(crate) fn root_of(view: &View<'_>, name: &str) -> Result<Option<PageId>, ViewError> {
    Ok(find_tree(view, name)?.map(|(root, _)| root))
}
