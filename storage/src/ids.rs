//! The newtypes that keep page numbers, commit timestamps and file positions apart.

use std::fmt;

/// The stable number of a logical page. The page keeps it while its versions come and go;
/// once the page has died the number may name another page, and older snapshots still find the old one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId(pub u32);

impl PageId {
    /// The greatest number, which never names a page.
    pub const NONE: PageId = PageId(u32::MAX);

    /// The number that is kept for a page *beside* this one, which goes with it: numbers are given out in pairs, the even one first.
    #[must_use]
    #[inline]
    pub fn beside(self) -> Option<PageId> {
        self.0.is_multiple_of(2).then(|| PageId(self.0 + 1))
    }

    /// This number, if it is one that pages are given which are beside no other.
    #[must_use]
    pub(crate) fn if_given_out(self) -> Option<PageId> {
        self.0.is_multiple_of(2).then_some(self)
    }
}

impl fmt::Debug for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {}", self.0)
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The sequence number of a commit: consecutive, starting at 1 for the first commit of a store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Before the first commit.
    pub const ZERO: Timestamp = Timestamp(0);
    /// After every commit: the end of a version that has not been superseded.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// The timestamp of the commit after this one.
    #[must_use]
    pub fn next(self) -> Timestamp {
        Timestamp(self.0 + 1)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
