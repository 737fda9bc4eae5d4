//! Adding and replacing entries.
//!
//! Promises: an entry that fits changes its leaf alone, and no value changes without a new version of its leaf; a value of
//! the same size is replaced in place; keys that arrive in ascending or descending order leave full leaves behind.

use pentimento_storage::PageId;

use crate::delta::Drafted;
use crate::edit::{Fill, NodeMut, Put};
use crate::fold::Done;
use crate::layout::{LARGE_HEADER, LEAF_CELL, inline_max, stride};
use crate::node::{Node, Stored};
use crate::pages::WritePages;
use crate::path::{Path, Way};
use crate::plan::{Lean, plan};
use crate::run::Run;
use crate::tree_mut::{TreeMut, check_entry, check_key, check_value};
use crate::value::{ValueLocation, large_value, large_value_mut};

/// The way to the leaf where a key belongs, in the tree as it is.
#[derive(Debug)]
pub struct WayIn {
    path: Path,
    leaf: PageId,
}

impl<P: WritePages> TreeMut<'_, P> {
    /// Sets the value of `key`; `true` if there was none.
    ///
    /// # Errors
    /// When the key or the value is too long (nothing has changed then), a page is damaged or cannot be had.
    #[inline]
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<bool, P::Error> {
        check_entry(key.len(), value.len())?;
        let way = self.way_in(key)?;
        self.insert_there(way, key, value)
    }

    /// Finds the leaf where `key` belongs, and asks for what tells where that is: whoever has something else to do before he
    /// [inserts](TreeMut::insert_there) does it while that comes.
    ///
    /// # Errors
    /// When a page on the way is damaged.
    #[inline]
    pub fn way_in(&self, key: &[u8]) -> Result<WayIn, P::Error> {
        let (path, leaf) = Path::seek_unread(self.pages, self.root, key)?;
        self.pages.prefetch_place(leaf);
        Ok(WayIn { path, leaf })
    }

    /// Sets the value of `key`, to whose leaf the way has been found; `true` if there was none. Since then the tree has not changed.
    ///
    /// # Errors
    /// As for [`insert`](TreeMut::insert).
    #[inline]
    pub fn insert_there(&mut self, way: WayIn, key: &[u8], value: &[u8]) -> Result<bool, P::Error> {
        check_entry(key.len(), value.len())?;
        if value.len() <= inline_max(self.capacity()) {
            return self.put_there(&way, key, Fill::Bytes(value));
        }
        let (new, room) = self.put_large(key, value.len())?;
        room.copy_from_slice(value);
        Ok(new)
    }

    /// Sets the value of `key` and gives the one that it had.
    ///
    /// # Errors
    /// When the key or the value is too long (nothing has changed then), a page is damaged or cannot be had.
    pub fn replace(&mut self, key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, P::Error> {
        check_key(key)?;
        check_value(value.len())?;
        let old = self.as_tree().get(key)?.map(<[u8]>::to_vec);
        self.insert(key, value)?;
        Ok(old)
    }

    /// Makes room for a value of `len` bytes, all zero, which the caller fills in place; `true` if the key had none.
    ///
    /// # Errors
    /// When the key or the value is too long (nothing has changed then), a page is damaged or cannot be had.
    pub fn reserve(&mut self, key: &[u8], len: usize) -> Result<(bool, &mut [u8]), P::Error> {
        check_key(key)?;
        check_value(len)?;
        if len > inline_max(self.capacity()) {
            let (new, room) = self.put_large(key, len)?;
            room.fill(0);
            return Ok((new, room));
        }
        let new = self.put(key, Fill::Zeros(len))?;
        let Some(ValueLocation { page, start, end }) = self.as_tree().locate(key)? else {
            return Err(crate::node::damaged(self.root, "an entry vanished").into());
        };
        let target = self.pages.page_mut(page, end)?;
        match target.body.get_mut(start..end) {
            Some(room) => Ok((new, room)),
            None => Err(crate::node::damaged(page, "the page has less room than was asked for").into()),
        }
    }

    /// Makes room of any content for a value that needs a page of its own.
    #[cold]
    fn put_large(&mut self, key: &[u8], len: usize) -> Result<(bool, &mut [u8]), P::Error> {
        let (_, leaf) = Path::seek(self.pages, self.root, Way::Key(key))?;
        if let (index, true) = leaf.find(key)?
            && let (_, Stored::Large(page, old_len)) = leaf.entry(index)?
            && old_len == len
        {
            // What is about to be overwritten must be what the leaf says it is.
            large_value(page, self.pages.page(page)?, len)?;
            // The leaf stays as it is, but gets a version of its own: see `difference`.
            let (leaf, capacity) = (leaf.page, self.capacity());
            self.pages.page_mut(leaf, capacity)?;
            return Ok((false, large_value_mut(self.pages, page, len)?));
        }
        let page = self.pages.allocate(self.root, LARGE_HEADER + len)?;
        large_value_mut(self.pages, page, len)?;
        let new = self.put(key, Fill::Large(page, len))?;
        Ok((new, large_value_mut(self.pages, page, len)?))
    }

    /// Puts an entry into its leaf; `true` if it is new.
    #[inline]
    pub(crate) fn put(&mut self, key: &[u8], fill: Fill<'_>) -> Result<bool, P::Error> {
        let way = self.way_in(key)?;
        self.put_there(&way, key, fill)
    }

    /// The same, when the way to the leaf has been found.
    #[inline]
    fn put_there(&mut self, way: &WayIn, key: &[u8], fill: Fill<'_>) -> Result<bool, P::Error> {
        let &WayIn { ref path, leaf: page } = way;
        self.pages.prefetch_leaf_mut(page);
        let more = stride(0) + LEAF_CELL + key.len() + fill.cell_len();
        let drafted = self.draft(page, more, |draft| match draft.put(key, fill)? {
            Put::Done { new, orphan } => Ok(Some((new, orphan))),
            Put::NoRoom { .. } => Ok(None),
        })?;
        let (new, orphan) = match drafted {
            Drafted::Done(done) => done,
            Drafted::Whole => self.put_whole(path, page, key, fill)?,
            Drafted::Full => self.put_in_full(path, page, key, fill)?,
        };
        if let Some(orphan) = orphan {
            self.pages.free(orphan)?;
        }
        Ok(new)
    }

    /// Puts an entry into a leaf whose delta has no room for it. Gives whether it is new, and the page of the large value that was replaced.
    #[inline(never)]
    fn put_in_full(&mut self, path: &Path, page: PageId, key: &[u8], fill: Fill<'_>) -> Result<Done, P::Error> {
        if let Some(done) = self.fold_with(page, key, fill)? {
            return Ok(done);
        }
        if let Some(done) = self.divide_with(path, page, key, fill)? {
            return Ok(done);
        }
        let (index, found) = Node::read(self.pages, page)?.find(key)?;
        Ok((!found, self.overflow(path, page, index, found, key, fill)?))
    }

    /// Puts an entry into a leaf that has no delta. Gives whether it is new, and the page of the large value that was replaced.
    fn put_whole(&mut self, path: &Path, page: PageId, key: &[u8], fill: Fill<'_>) -> Result<Done, P::Error> {
        let capacity = self.capacity();
        let target = self.pages.page_mut(page, capacity)?;
        let mut leaf = NodeMut::open_leaf(page, target)?;
        match leaf.put(key, fill, capacity)? {
            Put::Done { new, orphan } => {
                if !new && leaf.is_wasteful() {
                    self.tidy(page, Way::Key(key))?;
                }
                Ok((new, orphan))
            }
            Put::NoRoom { index, found } => Ok((!found, self.overflow(path, page, index, found, key, fill)?)),
        }
    }

    /// Rewrites the leaf `page` with one more or one larger entry, dividing it where that is needed. Gives the page
    /// of the large value that was replaced.
    #[inline(never)]
    fn overflow(
        &mut self,
        path: &Path,
        page: PageId,
        index: usize,
        found: bool,
        key: &[u8],
        fill: Fill<'_>,
    ) -> Result<Option<PageId>, P::Error> {
        let leaf = Node::read(self.pages, page)?;
        let keeps_prefix = key.starts_with(leaf.prefix);
        let mut run = Run::from_node(&leaf)?;
        let size = run.size(&run.all());
        let mut orphan = None;
        let mut lean = Lean::Even;
        if found {
            orphan = run.replace(index, fill);
        } else {
            if index == run.len() {
                lean = Lean::Left;
            } else if index == 0 && path.is_leftmost() {
                lean = Lean::Right;
            }
            run.insert(index, key, fill);
        }
        let capacity = self.capacity();
        // A leaf that is rewritten in place and has hardly any room then would be rewritten again and again.
        let nearly_full = keeps_prefix && run.has_grown_tight(size, capacity);
        let pieces = plan(&run, lean, capacity, nearly_full)?;
        self.lay_out(path, path.len(), page, &run, &pieces)?;
        Ok(orphan)
    }
}
