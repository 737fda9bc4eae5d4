//! A plain pager in memory, for tests and experiments.
//!
//! Promises: a body is exactly as long as it was left; a page that was freed is gone at once, since there are no older
//! views; every misuse is an error. It counts what a store would have to copy.

use std::hint::black_box;

use pentimento_storage::PageId;

use crate::pages::{Fault, PageMut, ReadPages, WritePages};

/// What goes wrong with pages in memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The map found a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// There is no such page.
    #[error("there is no page {0}")]
    NoSuchPage(PageId),
    /// All page numbers are taken, or as many pages as were allowed.
    #[error("there are no pages left")]
    Full,
}

/// Pages in memory.
#[derive(Debug, Clone)]
pub struct MemoryPages {
    pages: Vec<Slot>,
    vacant: Vec<PageId>,
    live: usize,
    node_capacity: usize,
    max_pages: usize,
    transaction: u64,
    copies: usize,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    body: Vec<u8>,
    len: usize,
    live: bool,
    /// The transaction that last asked for a private copy.
    touched: u64,
}

impl MemoryPages {
    /// No pages yet; nodes should have at most `node_capacity` bytes.
    #[must_use]
    pub fn new(node_capacity: usize) -> MemoryPages {
        MemoryPages {
            pages: Vec::new(),
            vacant: Vec::new(),
            live: 0,
            node_capacity,
            max_pages: PageId::NONE.0 as usize,
            transaction: 1,
            copies: 0,
        }
    }

    /// Begins a transaction: the count of private copies starts again.
    pub fn begin(&mut self) {
        self.transaction += 1;
        self.copies = 0;
    }

    /// How many private copies the transaction has made, new pages included.
    #[must_use]
    pub fn copies(&self) -> usize {
        self.copies
    }

    /// Allows no more than `max` pages from now on.
    pub fn limit(&mut self, max: usize) {
        self.max_pages = max;
    }

    /// The numbers of all pages.
    pub fn ids(&self) -> impl Iterator<Item = PageId> {
        self.pages.iter().zip(0..).filter(|(slot, _)| slot.live).map(|(_, id)| PageId(id))
    }

    /// How many pages there are.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live
    }

    /// Replaces the body of a page, as damage would.
    ///
    /// # Errors
    /// When there is no such page.
    pub fn overwrite(&mut self, id: PageId, body: &[u8]) -> Result<(), MemoryError> {
        let slot = self.slot(id)?;
        slot.body = body.to_vec();
        slot.len = body.len();
        Ok(())
    }

    /// Makes an empty page of this number.
    fn fill(&mut self, id: PageId, capacity: usize) -> Result<PageId, MemoryError> {
        if self.live >= self.max_pages {
            return Err(MemoryError::Full);
        }
        let slot = self.pages.get_mut(id.0 as usize).ok_or(MemoryError::NoSuchPage(id))?;
        *slot = Slot { body: vec![0xA5; capacity], len: 0, live: true, touched: self.transaction };
        self.live += 1;
        self.copies += 1;
        Ok(id)
    }

    fn slot(&mut self, id: PageId) -> Result<&mut Slot, MemoryError> {
        let slot = self.pages.get_mut(id.0 as usize).filter(|slot| slot.live);
        slot.ok_or(MemoryError::NoSuchPage(id))
    }
}

impl ReadPages for MemoryPages {
    type Error = MemoryError;

    #[inline]
    fn page(&self, id: PageId) -> Result<&[u8], MemoryError> {
        match self.pages.get(id.0 as usize) {
            Some(slot) if slot.live => Ok(&slot.body[..slot.len]),
            _ => Err(MemoryError::NoSuchPage(id)),
        }
    }

    #[inline]
    fn beside(&self, id: PageId) -> Result<Option<&[u8]>, MemoryError> {
        let Some(beside) = id.beside() else { return Ok(None) };
        let slot = self.pages.get(beside.0 as usize).filter(|slot| slot.live);
        Ok(slot.map(|slot| &slot.body[..slot.len]))
    }

    #[inline]
    fn prefetch(&self, id: PageId) {
        if let Ok(body) = self.page(id) {
            for line in body.chunks(64) {
                black_box(line[0]);
            }
        }
    }
}

impl WritePages for MemoryPages {
    fn node_capacity(&self) -> usize {
        self.node_capacity
    }

    fn page_mut(&mut self, id: PageId, capacity: usize) -> Result<PageMut<'_>, MemoryError> {
        let transaction = self.transaction;
        let slot = self.slot(id)?;
        let first = slot.touched != transaction;
        slot.touched = transaction;
        if slot.body.len() < capacity {
            // Spare bytes may have any content; a pattern finds code that relies on zeros.
            slot.body.resize(capacity, 0xA5);
        }
        self.copies += usize::from(first);
        let slot = self.slot(id)?;
        Ok(PageMut { body: &mut slot.body, len: &mut slot.len })
    }

    fn page_anew(&mut self, id: PageId, capacity: usize) -> Result<PageMut<'_>, MemoryError> {
        let page = self.page_mut(id, capacity)?;
        page.body.fill(0xA5);
        *page.len = 0;
        Ok(page)
    }

    fn private_page(&mut self, id: PageId, capacity: usize) -> Option<PageMut<'_>> {
        let transaction = self.transaction;
        let slot = self.slot(id).ok().filter(|slot| slot.touched == transaction && slot.body.len() >= capacity)?;
        Some(PageMut { body: &mut slot.body, len: &mut slot.len })
    }

    fn allocate(&mut self, _owner: PageId, capacity: usize) -> Result<PageId, MemoryError> {
        let id = match self.vacant.pop() {
            Some(id) => id,
            None => {
                let id = u32::try_from(self.pages.len()).map_err(|_| MemoryError::Full)?;
                // The second number is kept for a page beside it.
                self.pages.extend([Slot::default(), Slot::default()]);
                PageId(id)
            }
        };
        self.fill(id, capacity).inspect_err(|_| self.vacant.push(id))
    }

    fn allocate_beside(&mut self, id: PageId, _owner: PageId, capacity: usize) -> Result<Option<PageId>, MemoryError> {
        let beside = id.beside().filter(|beside| self.slot(*beside).is_err());
        beside.map(|beside| self.fill(beside, capacity)).transpose()
    }

    fn free(&mut self, id: PageId) -> Result<(), MemoryError> {
        *self.slot(id)? = Slot::default();
        self.live -= 1;
        if id.beside().is_some() {
            self.vacant.push(id);
        }
        Ok(())
    }
}
