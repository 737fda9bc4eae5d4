//! The newtypes that keep page numbers, commit timestamps and file positions apart.

use std::fmt;

/// The stable number of a logical page. The page keeps it while its versions come and go;
/// once the page has died the number may name another page, and older snapshots still find the old one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId(pub u32);

impl PageId {
    /// The greatest number, which never names a page.
    pub const NONE: PageId = PageId(u32::MAX);
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
