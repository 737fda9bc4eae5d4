//! The pages of a write transaction, as the trees want them.

use crate::{Error, Result};
use pentimento_btree::{PageMut, ReadPages, WritePages};
use pentimento_storage::{Hint, PageId, WriteSet};

/// A write set behind the trees' traits.
pub struct TxnPages(pub(crate) WriteSet);

impl ReadPages for TxnPages {
    type Error = Error;

    #[inline]
    fn page(&self, id: PageId) -> Result<&[u8]> {
        Ok(self.0.page(id)?)
    }

    #[inline]
    fn beside(&self, id: PageId) -> Result<Option<&[u8]>> {
        Ok(self.0.beside(id)?)
    }

    #[inline]
    fn page_part(&self, id: PageId, len: usize) -> Result<&[u8]> {
        Ok(self.0.page_part(id, len)?)
    }

    #[inline]
    fn prefetch(&self, id: PageId) {
        self.0.prefetch(id);
    }

    #[inline]
    fn prefetch_place(&self, id: PageId) {
        self.0.prefetch_place(id);
    }

    #[inline]
    fn prefetch_for(&self, id: PageId, share: Option<u32>) {
        self.0.base_pin().prefetch_for(id, share);
    }

    #[inline]
    fn hint(&self, id: PageId) -> Hint {
        self.0.hint(id)
    }
}

impl WritePages for TxnPages {
    fn node_capacity(&self) -> usize {
        self.0.body_capacity()
    }

    fn room(&self, len: usize) -> usize {
        pentimento_storage::slots_of_body(len) as usize * pentimento_storage::SLOT_BYTES
    }

    #[inline]
    fn page_mut(&mut self, id: PageId, capacity: usize) -> Result<PageMut<'_>> {
        let page = self.0.page_mut(id, capacity)?;
        Ok(PageMut { body: page.body, len: page.len })
    }

    fn page_anew(&mut self, id: PageId, capacity: usize) -> Result<PageMut<'_>> {
        let page = self.0.page_anew(id, capacity)?;
        Ok(PageMut { body: page.body, len: page.len })
    }

    #[inline]
    fn prefetch_mut(&self, id: PageId) {
        self.0.prefetch_to_change(id);
    }

    #[inline]
    fn prefetch_leaf_mut(&self, id: PageId) {
        self.0.prefetch_beside_to_change(id);
    }

    #[inline]
    fn private_page(&mut self, id: PageId, capacity: usize) -> Option<PageMut<'_>> {
        let page = self.0.private_page(id, capacity)?;
        Some(PageMut { body: page.body, len: page.len })
    }

    fn allocate(&mut self, owner: PageId, capacity: usize) -> Result<PageId> {
        Ok(self.0.allocate(owner, capacity)?)
    }

    fn allocate_beside(&mut self, id: PageId, owner: PageId, capacity: usize) -> Result<Option<PageId>> {
        Ok(self.0.allocate_beside(id, owner, capacity)?)
    }

    #[inline]
    fn room_beside(&self, id: PageId) -> Result<Option<usize>> {
        Ok(self.0.room_beside(id))
    }

    fn write_anew<R>(
        &mut self,
        id: PageId,
        owner: PageId,
        capacity: usize,
        write: impl FnOnce(&TxnPages, &mut [u8]) -> Result<Option<(usize, R)>>,
    ) -> Result<Option<R>> {
        let mut blank = self.0.blank(capacity)?;
        match write(self, blank.body_mut()) {
            Ok(Some((len, made))) => {
                self.0.put_anew(id, owner, blank, len)?;
                Ok(Some(made))
            }
            nothing => {
                self.0.give_back(blank);
                nothing.map(|_| None)
            }
        }
    }

    #[inline]
    fn write_beside<R>(
        &mut self,
        id: PageId,
        owner: PageId,
        capacity: usize,
        write: impl FnOnce(&TxnPages, &mut [u8]) -> Result<Option<(usize, R)>>,
    ) -> Result<Option<R>> {
        let mut blank = self.0.blank(capacity)?;
        match write(self, blank.body_mut()) {
            Ok(Some((len, made))) => Ok(self.0.put_beside(id, owner, blank, len).then_some(made)),
            nothing => {
                self.0.give_back(blank);
                nothing.map(|_| None)
            }
        }
    }

    fn free(&mut self, id: PageId) -> Result<()> {
        Ok(self.0.free(id)?)
    }

    #[inline]
    fn finished(&mut self, id: PageId) -> Result<()> {
        Ok(self.0.finished(id)?)
    }
}
