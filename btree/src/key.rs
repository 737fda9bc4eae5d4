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

/// How long a key may be to be put together in place: one byte less than so many words have.
const INLINE: usize = WORDS * WORD - 1;
const WORDS: usize = 5;
/// The bytes of a word.
const WORD: usize = size_of::<u64>();

/// A key of the map, put together from the pieces in which its node keeps it.
#[derive(Clone)]
pub struct Key<'p>(Repr<'p>);

// Of whole words alone: see `join_words`.
#[derive(Clone)]
#[repr(u64)]
enum Repr<'p> {
    Borrowed(&'p [u8]),
    Inline(Words),
    Heap(Vec<u8>),
}

/// The bytes of a key, and how many they are in the last one. They lie where words do, so that they are moved as they were stored.
#[derive(Clone)]
#[repr(align(8))]
struct Words([u8; WORDS * WORD]);

impl Words {
    #[inline]
    fn new(mut bytes: [u8; WORDS * WORD], len: usize) -> Words {
        bytes[INLINE] = len as u8;
        Words(bytes)
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        &self.0[..usize::from(self.0[INLINE])]
    }
}

impl<'p> Key<'p> {
    #[inline]
    pub(crate) fn join(parts: Parts<'p>) -> Key<'p> {
        if parts.prefix.is_empty() { Key(Repr::Borrowed(parts.suffix)) } else { Key(Repr::owned(parts)) }
    }

    /// As [`join`](Key::join), where the suffix stands at the beginning of `stands`, and the prefix, if it is shorter than a word, is the beginning of `prefix_word`.
    #[inline(always)]
    pub(crate) fn join_where(parts: Parts<'p>, prefix_word: u64, stands: &[u8]) -> Key<'p> {
        match join_words(prefix_word, parts.prefix.len(), parts.suffix.len(), stands) {
            Some(words) => Key(Repr::Inline(words)),
            None => Key::join(parts),
        }
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
            Repr::Inline(words) => words.as_slice(),
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
            Repr::Inline(words) => Key(Repr::Inline(words)),
            Repr::Heap(bytes) => Key(Repr::Heap(bytes)),
        }
    }
}

impl Repr<'_> {
    #[inline]
    fn owned(parts: Parts<'_>) -> Repr<'static> {
        let (cut, len) = (parts.prefix.len(), parts.len());
        if len <= INLINE {
            let mut bytes = [0; WORDS * WORD];
            let (prefix, suffix) = bytes[..len].split_at_mut(cut);
            copy_short(prefix, parts.prefix);
            copy_short(suffix, parts.suffix);
            Repr::Inline(Words::new(bytes, len))
        } else {
            Repr::Heap(parts.to_vec())
        }
    }
}

/// Puts a key with a short prefix together, as most are, without a detour through memory: a walk hands its keys on at once, and a load of what was just stored in other pieces waits until these are in the cache.
/// What stands behind the suffix is taken along, so that nothing depends on how long that is: whoever reads the key stops at its end.
#[inline(always)]
fn join_words(prefix_word: u64, prefix_len: usize, suffix_len: usize, stands: &[u8]) -> Option<Words> {
    if !(1..WORD).contains(&prefix_len) || suffix_len > (WORDS - 1) * WORD {
        return None;
    }
    let words: &[[u8; WORD]; WORDS - 1] = stands.as_chunks().0.first_chunk()?;
    let mut bytes = [0; WORDS * WORD];
    let mut put = |at: usize, word: u64| bytes[at * WORD..][..WORD].copy_from_slice(&word.to_le_bytes());
    // The first byte is the lowest of its word.
    let shift = 8 * prefix_len as u32;
    let mut carried = prefix_word & ((1 << shift) - 1);
    for (at, word) in words.iter().map(|word| u64::from_le_bytes(*word)).enumerate() {
        put(at, carried | word << shift);
        carried = word >> (u64::BITS - shift);
    }
    // The last byte says how many there are.
    let len = (prefix_len + suffix_len) as u64;
    put(WORDS - 1, carried | len << (u64::BITS - u8::BITS));
    Some(Words(bytes))
}

/// Copies bytes of the same number, without a call when they are few: by two words that overlap.
#[inline(always)]
fn copy_short(to: &mut [u8], from: &[u8]) {
    debug_assert_eq!(to.len(), from.len());
    match from.len() {
        0 => {}
        1..4 => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
        4..8 => copy_words::<4>(to, from),
        8..16 => copy_words::<8>(to, from),
        16..=32 => copy_words::<16>(to, from),
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
            let bytes: Vec<u8> = (0..len as u8).map(|number| number.wrapping_mul(0x9D)).collect();
            for cut in 0..=len {
                let key = Key::join(Parts { prefix: &bytes[..cut], suffix: &bytes[cut..] });
                assert_eq!(key, bytes);
                assert_eq!(key, bytes.as_slice());
                assert_eq!(key.clone().into_owned(), key);
                assert_eq!(key.into_vec(), bytes);
                // Whatever stands behind the suffix, and before it.
                for behind in [0, 7, 8, 31, 40] {
                    let (prefix, suffix) = bytes.split_at(cut);
                    let stands = [suffix, &vec![0xEE; behind]].concat();
                    let start = [prefix, &[0xEE; WORD]].concat();
                    let word = u64::from_le_bytes(*start.first_chunk().unwrap());
                    let key = Key::join_where(Parts { prefix, suffix }, word, &stands);
                    assert_eq!(key, bytes);
                    assert!(key < [&bytes[..], &[0]].concat() && key.clone().into_owned() == key);
                }
            }
        }
        let key = Key::from(b"a\n".as_slice());
        assert!(key < *b"b");
        assert_eq!(format!("{key:?}"), "b\"a\\n\"");
    }
}
