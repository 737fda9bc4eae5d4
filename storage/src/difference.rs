//! Which pages differ between two pins of one store.
//!
//! Promises:
//! 1. A page is told if and only if its versions at the two pins differ, or it exists at one of them only. Registers are not told.
//! 2. The work follows what has changed since the older pin: of the stretches of the page table that nothing has changed since then only the
//!    stamp is looked at, one word for 84 pages.
//! 3. No lock is taken, except for one look-up in the history for each pin and each page that has a younger version than the pin.
//!
//! Why two births are enough: a commit makes at most one version of a page, so page number and birth name a version for ever, wherever
//! checkpoints move it to. A page number that was given back and taken again has another birth, too.
//!
//! Why no stretch is missed: what is born or dies after the older pin stamps its stretch with its timestamp before it is installed, stamps only
//! grow, and opening a store stamps each stretch with the newest birth or death that the page table has for it. (A death that a checkpoint could
//! not date is dated too late there, never too early.)

use crate::layout::PageHeader;
use crate::read::Pin;
use crate::sync::Arc;
use crate::table::NUMBERS_PER_TABLE_PAGE;
use crate::{PageId, Result, Timestamp};
use std::iter::FusedIterator;
use std::ops::Range;

/// A page whose versions at two pins differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageDifference {
    /// The page.
    pub id: PageId,
    /// The birth of the version that the older pin sees; `None` if there is no such page then.
    pub older: Option<Timestamp>,
    /// The same for the newer pin.
    pub newer: Option<Timestamp>,
}

/// The pages that differ between two pins, in the order of their numbers.
pub struct PageDifferences<'p> {
    older: &'p Pin,
    newer: &'p Pin,
    /// The stretches that have not been looked at.
    stretches: Range<usize>,
    /// What is left of the stretch that is being looked at.
    pages: Range<u32>,
    /// One more than the greatest page number.
    end: u32,
    looked_at: u64,
}

impl Pin {
    /// The pages whose versions at this pin and at an older one differ. (In any other order of the two pins the answer is incomplete.)
    ///
    /// # Panics
    /// When the pins are of different stores.
    #[must_use]
    pub fn pages_changed_since<'p>(&'p self, older: &'p Pin) -> PageDifferences<'p> {
        assert!(self.is_of_same_store(older), "the pins are of different stores");
        let end = self.store().ids.lock().next;
        let stretches = 0..(end as usize).div_ceil(NUMBERS_PER_TABLE_PAGE);
        PageDifferences { older, newer: self, stretches, pages: 0..0, end, looked_at: 0 }
    }

    /// The births of a page's versions at this pin and at an older one, if they differ.
    #[must_use]
    pub fn page_changed_since(&self, older: &Pin, id: PageId) -> Option<PageDifference> {
        let (older, newer) = (older.birth_of(id), self.birth_of(id));
        (older != newer).then_some(PageDifference { id, older, newer })
    }

    /// Whether two pins are of the same store, opened once.
    #[must_use]
    pub fn is_of_same_store(&self, other: &Pin) -> bool {
        Arc::ptr_eq(self.store(), other.store())
    }

    /// The birth of the version of a page that this pin sees; `None` if there is no such page then, or it is a register.
    #[must_use]
    pub fn birth_of(&self, id: PageId) -> Option<Timestamp> {
        let (place, birth, _) = self.store().locate(id, self.at())?;
        place.as_immediate().is_none().then_some(birth)
    }

    /// The body of a page at this pin, and its owner: the root of the tree that it belongs to.
    ///
    /// # Errors
    /// As for [`page`](Pin::page).
    pub fn page_and_owner(&self, id: PageId) -> Result<(&[u8], PageId)> {
        let bytes = self.version(id)?;
        let (header, body) = bytes.split_at(crate::HEADER_BYTES);
        Ok((body, PageHeader::read(header).map_or(PageId::NONE, |header| header.owner)))
    }
}

impl PageDifferences<'_> {
    /// How many stretches of the page table have been looked at so far, page by page.
    #[must_use]
    pub fn stretches_looked_at(&self) -> u64 {
        self.looked_at
    }

    fn compare(&self, id: PageId) -> Option<PageDifference> {
        let (_, birth) = self.newer.store().table.entry(id)?.load();
        if birth <= self.older.at() {
            return None;
        }
        self.newer.page_changed_since(self.older, id)
    }
}

impl Iterator for PageDifferences<'_> {
    type Item = PageDifference;

    fn next(&mut self) -> Option<PageDifference> {
        loop {
            while let Some(id) = self.pages.next() {
                if let Some(difference) = self.compare(PageId(id)) {
                    return Some(difference);
                }
            }
            let table = &self.newer.store().table;
            let stretch = self.stretches.find(|stretch| table.stamp_of(*stretch) > self.older.at())?;
            let first = (stretch * NUMBERS_PER_TABLE_PAGE) as u32;
            self.pages = first..self.end.min(first.saturating_add(NUMBERS_PER_TABLE_PAGE as u32));
            self.looked_at += 1;
        }
    }
}

impl FusedIterator for PageDifferences<'_> {}

impl std::fmt::Debug for PageDifferences<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (older, newer) = (self.older.at(), self.newer.at());
        f.debug_struct("PageDifferences").field("older", &older).field("newer", &newer).finish_non_exhaustive()
    }
}
