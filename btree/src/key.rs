//! Keys as they are handed out.
//!
//! Promises: a key whose node keeps it in one piece is borrowed; a short one is put together without an allocation;
//! and however it is held, it compares and hashes as its bytes do.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use crate::parts::Parts;

/// How long a key may be to be put together in place.
const INLINE: usize = 40;

/// A key of the map, put together from the pieces in which its node keeps it.
#[derive(Clone)]
pub struct Key<'p>(Repr<'p>);

#[derive(Clone)]
enum Repr<'p> {
    Borrowed(&'p [u8]),
    Inline(u8, [u8; INLINE]),
    Heap(Vec<u8>),
}

impl<'p> Key<'p> {
    #[inline]
    pub(crate) fn join(parts: Parts<'p>) -> Key<'p> {
        if parts.prefix.is_empty() { Key(Repr::Borrowed(parts.suffix)) } else { Key(Repr::owned(parts)) }
    }

    #[inline]
    pub(crate) fn owned(parts: Parts<'_>) -> Key<'static> {
        Key(Repr::owned(parts))
    }

    /// The bytes of the key.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::Borrowed(bytes) => bytes,
            Repr::Inline(len, bytes) => &bytes[..usize::from(*len)],
            Repr::Heap(bytes) => bytes,
        }
    }

    /// The bytes of the key as a vector of their own.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Repr::Heap(bytes) => bytes,
            _ => self.as_slice().to_vec(),
        }
    }

    /// The key without its borrow of the page.
    #[must_use]
    pub fn into_owned(self) -> Key<'static> {
        match self.0 {
            Repr::Borrowed(bytes) => Key::owned(Parts::whole(bytes)),
            Repr::Inline(len, bytes) => Key(Repr::Inline(len, bytes)),
            Repr::Heap(bytes) => Key(Repr::Heap(bytes)),
        }
    }
}

impl Repr<'_> {
    #[inline]
    fn owned(parts: Parts<'_>) -> Repr<'static> {
        let (cut, len) = (parts.prefix.len(), parts.len());
        if len <= INLINE {
            let mut bytes = [0; INLINE];
            let (prefix, suffix) = bytes[..len].split_at_mut(cut);
            copy_short(prefix, parts.prefix);
            copy_short(suffix, parts.suffix);
            Repr::Inline(len as u8, bytes)
        } else {
            Repr::Heap(parts.to_vec())
        }
    }
}

/// Copies bytes of the same number, without a call when they are few: by two words that overlap.
#[inline(always)]
fn copy_short(to: &mut [u8], from: &[u8]) {
    debug_assert_eq!(to.len(), from.len());
    match from.len() {
        0 => {}
        1..4 => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
        4..8 => copy_words::<4>(to, from),
        8..=16 => copy_words::<8>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// Copies the first and the last `N` bytes.
#[inline(always)]
fn copy_words<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) {
        to[..N].copy_from_slice(first);
        let at = to.len() - N;
        to[at..].copy_from_slice(last);
    }
}

impl Deref for Key<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Key<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Key<'_> {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl From<Key<'_>> for Vec<u8> {
    fn from(key: Key<'_>) -> Vec<u8> {
        key.into_vec()
    }
}

impl<'a> From<&'a [u8]> for Key<'a> {
    fn from(bytes: &'a [u8]) -> Key<'a> {
        Key(Repr::Borrowed(bytes))
    }
}

impl Eq for Key<'_> {}

impl<'b> PartialEq<Key<'b>> for Key<'_> {
    fn eq(&self, other: &Key<'b>) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl<'b> PartialOrd<Key<'b>> for Key<'_> {
    fn partial_cmp(&self, other: &Key<'b>) -> Option<Ordering> {
        Some(self.as_slice().cmp(other.as_slice()))
    }
}

macro_rules! compares_with {
    ($([$($generics:tt)*] $other:ty),* $(,)?) => {$(
        impl<$($generics)*> PartialEq<$other> for Key<'_> {
            fn eq(&self, other: &$other) -> bool {
                let other: &[u8] = other.as_ref();
                self.as_slice() == other
            }
        }
        impl<$($generics)*> PartialEq<Key<'_>> for $other {
            fn eq(&self, other: &Key<'_>) -> bool {
                other == self
            }
        }
        impl<$($generics)*> PartialOrd<$other> for Key<'_> {
            fn partial_cmp(&self, other: &$other) -> Option<Ordering> {
                let other: &[u8] = other.as_ref();
                Some(self.as_slice().cmp(other))
            }
        }
    )*};
}

compares_with!([] [u8], [] &[u8], [] Vec<u8>, [const N: usize] [u8; N], [const N: usize] &[u8; N]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_as_its_bytes() {
        for len in (0..42).chain([100]) {
            let bytes: Vec<u8> = (0..len as u8).collect();
            for cut in 0..=len {
                let key = Key::join(Parts { prefix: &bytes[..cut], suffix: &bytes[cut..] });
                assert_eq!(key, bytes);
                assert_eq!(key, bytes.as_slice());
                assert_eq!(key.clone().into_owned(), key);
                assert_eq!(key.into_vec(), bytes);
            }
        }
        let key = Key::from(b"a\n".as_slice());
        assert!(key < *b"b");
        assert_eq!(format!("{key:?}"), "b\"a\\n\"");
    }
}
