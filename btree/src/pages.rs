//! What this crate asks of whoever keeps the pages.
//!
//! The map knows nothing of versions, files or transactions: it reads a page's *body* by its number, and a writer
//! asks for a private body that it may change in place. Bodies come from disk, so nothing in them is believed before
//! it has been checked: a damaged body gives a [`Fault`], never a panic and never an endless loop.

use pentimento_storage::{Hint, PageId};

/// Why an operation of the map failed, apart from failures of the pages themselves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The contents of a page contradict the format.
    #[error("page {page} is damaged: {what}")]
    Damaged {
        /// The page whose body is wrong.
        page: PageId,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A key is longer than [`MAX_KEY_LEN`](crate::MAX_KEY_LEN).
    #[error("a key of {len} bytes exceeds the limit of {max}")]
    KeyTooLong {
        /// The length of the key, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// A value is longer than [`MAX_VALUE_LEN`](crate::MAX_VALUE_LEN).
    #[error("a value of {len} bytes exceeds the limit of {max}")]
    ValueTooLong {
        /// The length of the value, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
}

/// Reads pages as one moment, or one transaction, sees them.
pub trait ReadPages {
    /// What goes wrong, faults of the map included.
    type Error: From<Fault>;

    /// The body of page `id`, exactly as long as its used bytes.
    ///
    /// # Errors
    /// When there is no such page in this view, or it cannot be read.
    fn page(&self, id: PageId) -> Result<&[u8], Self::Error>;

    /// The body of the page *beside* page `id`, if there is one: the number after it, if that was kept for it. The map puts the delta of a leaf there.
    ///
    /// # Errors
    /// When it cannot be read.
    fn beside(&self, id: PageId) -> Result<Option<&[u8]>, Self::Error>;

    /// The first `len` bytes of the body of page `id`, for somebody who knows that it has so many: if it has fewer, whatever there is. It may be cheaper than [`page`](ReadPages::page): nobody needs to look how long it is.
    ///
    /// # Errors
    /// As for [`page`](ReadPages::page).
    #[inline]
    fn page_part(&self, id: PageId, len: usize) -> Result<&[u8], Self::Error> {
        let body = self.page(id)?;
        Ok(body.get(..len).unwrap_or(body))
    }

    /// A hint that page `id`, and what is beside it, is about to be read.
    #[inline]
    fn prefetch(&self, id: PageId) {
        let _ = id;
    }

    /// A hint that somebody will soon ask where page `id` is, or what is beside it.
    #[inline]
    fn prefetch_place(&self, id: PageId) {
        let _ = id;
    }

    /// A hint that page `id` is about to be read for an entry that most likely lies `share` of its way from the beginning to the end, in parts of [`Hint::WHOLE`].
    #[inline]
    fn prefetch_for(&self, id: PageId, share: Option<u32>) {
        let _ = (id, share);
    }

    /// Where page `id` begins, to ask for more of it than [`prefetch`](ReadPages::prefetch) does.
    #[inline]
    fn hint(&self, id: PageId) -> Hint {
        let _ = id;
        Hint::NONE
    }
}

/// A private copy of a page, to be changed in place.
#[derive(Debug)]
pub struct PageMut<'a> {
    /// All of the body's memory: used bytes first, then spare ones of any content.
    pub body: &'a mut [u8],
    /// How many bytes of `body` are used; never more than `body.len()`.
    pub len: &'a mut usize,
}

/// Changes pages on behalf of one transaction.
pub trait WritePages: ReadPages {
    /// The body bytes that a node should not exceed, unless a single key needs more.
    fn node_capacity(&self) -> usize;

    /// The room that a page of `len` bytes takes where pages are kept, in bytes.
    fn room(&self, len: usize) -> usize {
        len
    }

    /// A private copy of page `id` whose memory has room for at least `capacity` bytes; the used bytes stay.
    /// The first call in a transaction copies the page, later ones find the copy.
    ///
    /// # Errors
    /// When there is no such page, or no memory or disk space for the copy.
    fn page_mut(&mut self, id: PageId, capacity: usize) -> Result<PageMut<'_>, Self::Error>;

    /// As [`page_mut`](WritePages::page_mut), but nothing needs to stay: all of it will be written anew.
    ///
    /// # Errors
    /// The same.
    fn page_anew(&mut self, id: PageId, capacity: usize) -> Result<PageMut<'_>, Self::Error> {
        self.page_mut(id, capacity)
    }

    /// A hint that page `id` is about to be changed, all of it.
    #[inline]
    fn prefetch_mut(&self, id: PageId) {
        self.prefetch(id);
    }

    /// A hint that leaf `id` is about to be changed: what is beside it, if there is something, or else its beginning will be needed.
    #[inline]
    fn prefetch_leaf_mut(&self, id: PageId) {
        self.prefetch(id);
    }

    /// Page `id`, if [`page_mut`](WritePages::page_mut) would neither copy it nor change where it is.
    #[inline]
    fn private_page(&mut self, id: PageId, capacity: usize) -> Option<PageMut<'_>> {
        let _ = (id, capacity);
        None
    }

    /// A new, empty page with room for at least `capacity` bytes. `owner` is the root of the tree that it is for.
    ///
    /// # Errors
    /// When there is no memory, no disk space or no page number left.
    fn allocate(&mut self, owner: PageId, capacity: usize) -> Result<PageId, Self::Error>;

    /// As [`allocate`](WritePages::allocate), a page beside page `id`. `None`: there is one already, or its number is another page's.
    ///
    /// # Errors
    /// The same.
    fn allocate_beside(&mut self, id: PageId, owner: PageId, capacity: usize) -> Result<Option<PageId>, Self::Error>;

    /// How long the body of the page beside page `id` is at most, if there is one, without a look at it.
    ///
    /// # Errors
    /// When it cannot be read.
    fn room_beside(&self, id: PageId) -> Result<Option<usize>, Self::Error> {
        Ok(self.beside(id)?.map(<[u8]>::len))
    }

    /// Writes page `id` anew, from what it held, for example. `write` is given all pages as they are, and room of any content for at least `capacity` bytes; it tells how many bytes it used
    /// and what it made. `None`: it did not want to, and nothing has changed.
    ///
    /// # Errors
    /// Those of `write`, and as for [`page_mut`](WritePages::page_mut).
    fn write_anew<R>(
        &mut self,
        id: PageId,
        owner: PageId,
        capacity: usize,
        write: impl FnOnce(&Self, &mut [u8]) -> Result<Option<(usize, R)>, Self::Error>,
    ) -> Result<Option<R>, Self::Error> {
        let _ = owner;
        let mut room = vec![0xA5; capacity];
        let Some((len, made)) = write(self, &mut room)? else { return Ok(None) };
        let page = self.page_anew(id, len)?;
        page.body[..len].copy_from_slice(&room[..len]);
        *page.len = len;
        Ok(Some(made))
    }

    /// As [`write_anew`](WritePages::write_anew), the page beside page `id`, which is made if there is none. `None`, too, if there can be no page beside that one.
    ///
    /// # Errors
    /// Those of `write`, and as for [`allocate`](WritePages::allocate).
    fn write_beside<R>(
        &mut self,
        id: PageId,
        owner: PageId,
        capacity: usize,
        write: impl FnOnce(&Self, &mut [u8]) -> Result<Option<(usize, R)>, Self::Error>,
    ) -> Result<Option<R>, Self::Error> {
        let mut room = vec![0xA5; capacity];
        let Some((len, made)) = write(self, &mut room)? else { return Ok(None) };
        let beside = match self.beside(id)? {
            Some(_) => id.beside(),
            None => self.allocate_beside(id, owner, len)?,
        };
        let Some(beside) = beside else { return Ok(None) };
        let page = self.page_anew(beside, len)?;
        page.body[..len].copy_from_slice(&room[..len]);
        *page.len = len;
        Ok(Some(made))
    }

    /// Gives page `id` back. Older views go on reading it. What is beside it stays.
    ///
    /// # Errors
    /// When there is no such page.
    fn free(&mut self, id: PageId) -> Result<(), Self::Error>;

    /// A hint that page `id` will not be changed again soon, if ever: a large transaction may write it out.
    ///
    /// # Errors
    /// When it is written out and that fails.
    #[inline]
    fn finished(&mut self, id: PageId) -> Result<(), Self::Error> {
        let _ = id;
        Ok(())
    }
}
