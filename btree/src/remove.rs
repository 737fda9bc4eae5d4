//! Removing entries one by one.
//!
//! Promises: removing what is not there copies no page; a large value's page is freed with its entry; pages that have
//! become too empty are given back.

use crate::balance::is_underfull;
use crate::delta::Drafted;
use crate::edit::NodeMut;
use crate::node::Node;
use crate::pages::WritePages;
use crate::path::{Path, Way};
use crate::range::Entry;
use crate::tree_mut::TreeMut;

/// A key and its value that have been taken out of the map.
pub type OwnedEntry = (Vec<u8>, Vec<u8>);

impl<P: WritePages> TreeMut<'_, P> {
    /// Removes the entry of `key`; `true` if there was one.
    ///
    /// # Errors
    /// When a page is damaged or cannot be had.
    pub fn remove(&mut self, key: &[u8]) -> Result<bool, P::Error> {
        let (path, page) = Path::seek_unread(self.pages, self.root, key)?;
        let capacity = self.capacity();
        self.pages.prefetch_leaf_mut(page);
        // A page that was changed before can be changed again at once; another is not copied for nothing.
        if self.pages.private_page(page, capacity).is_none() {
            let leaf = Node::read(self.pages, page)?;
            if !leaf.is_leaf() {
                return Err(leaf.fault("this is not a leaf").into());
            }
            if !leaf.find(key)?.1 {
                return Ok(false);
            }
        }
        let orphan = match self.draft(page, 0, |draft| draft.take(key))? {
            Drafted::Done(orphan) => orphan,
            Drafted::Whole | Drafted::Full => {
                self.fold(page)?;
                let target = self.pages.page_mut(page, capacity)?;
                let Some(orphan) = NodeMut::open_leaf(page, target)?.take(key)? else { return Ok(false) };
                orphan
            }
        };
        let leaf = Node::read(self.pages, page)?;
        if leaf.is_wasteful() || (path.len() > 0 && is_underfull(&leaf, capacity)) {
            self.tidy(page, Way::Key(key))?;
        }
        if let Some(orphan) = orphan {
            self.pages.free(orphan)?;
        }
        Ok(true)
    }

    /// Removes the entry of `key` and gives its value.
    ///
    /// # Errors
    /// When a page is damaged or cannot be had.
    pub fn take(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, P::Error> {
        let Some(value) = self.as_tree().get(key)?.map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        self.remove(key)?;
        Ok(Some(value))
    }

    /// Removes the entry with the least key and gives it.
    ///
    /// # Errors
    /// When a page is damaged or cannot be had.
    pub fn pop_first(&mut self) -> Result<Option<OwnedEntry>, P::Error> {
        let entry = self.as_tree().first()?.map(owned);
        self.pop(entry)
    }

    /// Removes the entry with the greatest key and gives it.
    ///
    /// # Errors
    /// When a page is damaged or cannot be had.
    pub fn pop_last(&mut self) -> Result<Option<OwnedEntry>, P::Error> {
        let entry = self.as_tree().last()?.map(owned);
        self.pop(entry)
    }

    fn pop(&mut self, entry: Option<OwnedEntry>) -> Result<Option<OwnedEntry>, P::Error> {
        if let Some((key, _)) = &entry
            && !self.remove(key)?
        {
            return Err(crate::node::damaged(self.root, "an entry is not where its key belongs").into());
        }
        Ok(entry)
    }
}

fn owned((key, value): Entry<'_>) -> OwnedEntry {
    (key.into_vec(), value.to_vec())
}
