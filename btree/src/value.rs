//! Values, and the pages of large ones.
//!
//! Promises: a large value is handed out only if its page is one and has exactly the length that its leaf says.

use pentimento_storage::PageId;

use crate::layout::{KIND_LARGE, LARGE_HEADER};
use crate::node::{Stored, damaged};
use crate::pages::{Fault, ReadPages, WritePages};

/// Where a value stands: bytes `start..end` of the body of `page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ValueLocation {
    /// The page that holds the value.
    pub page: PageId,
    /// Where the value begins in the page's body.
    pub start: usize,
    /// Where the value ends in the page's body.
    pub end: usize,
}

impl ValueLocation {
    /// The length of the value, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether the value has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

impl<'p> Stored<'p> {
    /// The value itself.
    #[inline(always)]
    pub fn resolve<P: ReadPages>(self, pages: &'p P) -> Result<&'p [u8], P::Error> {
        match self {
            Stored::Inline(bytes) => Ok(bytes),
            Stored::Large(page, len) => Ok(large_value(page, pages.page(page)?, len)?),
        }
    }

    /// Where the value stands, if `find` finds it in the pages of its leaf: which page, and where there.
    pub fn location(&self, find: impl Fn(&[u8]) -> (PageId, usize)) -> ValueLocation {
        match *self {
            Stored::Inline(bytes) => {
                let (page, start) = find(bytes);
                ValueLocation { page, start, end: start + bytes.len() }
            }
            Stored::Large(page, len) => ValueLocation { page, start: LARGE_HEADER, end: LARGE_HEADER + len },
        }
    }
}

/// The value in the body of a large value's page, which must have `len` bytes.
#[cold]
pub(crate) fn large_value(page: PageId, body: &[u8], len: usize) -> Result<&[u8], Fault> {
    match body.split_at_checked(LARGE_HEADER) {
        Some((header, value)) if header[0] == KIND_LARGE && value.len() == len => Ok(value),
        Some((header, _)) if header[0] == KIND_LARGE => Err(damaged(page, "a large value has a wrong length")),
        _ => Err(damaged(page, "this is not a large value")),
    }
}

/// Makes a page's body that of a large value of `len` bytes and hands out the room for it.
pub(crate) fn large_value_mut<P: WritePages>(pages: &mut P, page: PageId, len: usize) -> Result<&mut [u8], P::Error> {
    let target = pages.page_mut(page, LARGE_HEADER + len)?;
    match target.body.get_mut(..LARGE_HEADER + len).and_then(|body| body.split_at_mut_checked(LARGE_HEADER)) {
        Some((header, value)) => {
            *target.len = LARGE_HEADER + len;
            header.fill(0);
            header[0] = KIND_LARGE;
            Ok(value)
        }
        None => Err(damaged(page, "the page has less room than was asked for").into()),
    }
}
