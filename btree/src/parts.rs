//! Keys in two pieces: the prefix that a node's keys share, and the rest.
//!
//! Promises: nothing is copied to compare, and two keys compare alike however they are cut.

use std::cmp::Ordering;
use std::ptr;

use crate::layout::head_of;

/// A key as its node keeps it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub prefix: &'a [u8],
    pub suffix: &'a [u8],
}

/// How many bytes two slices share at their start.
#[inline]
pub(crate) fn shared(a: &[u8], b: &[u8]) -> usize {
    let (a8, _) = a.as_chunks::<8>();
    let (b8, _) = b.as_chunks::<8>();
    let words = a8.iter().zip(b8).take_while(|(x, y)| x == y).count();
    let from = words * 8;
    let rest = a.iter().zip(b).skip(from).take_while(|(x, y)| x == y).count();
    from + rest
}

impl<'a> Parts<'a> {
    pub fn whole(key: &'a [u8]) -> Parts<'a> {
        Parts { prefix: &[], suffix: key }
    }

    pub fn len(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// The key without its first `n` bytes.
    pub fn skip(&self, n: usize) -> Parts<'a> {
        match self.prefix.get(n..) {
            Some(prefix) => Parts { prefix, suffix: self.suffix },
            None => {
                let rest = n - self.prefix.len();
                Parts { prefix: &[], suffix: self.suffix.get(rest..).unwrap_or_default() }
            }
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        let whole = self.prefix.get(at);
        whole.or_else(|| self.suffix.get(at.checked_sub(self.prefix.len())?)).copied()
    }

    /// How many bytes two keys share at their start.
    pub fn shared(&self, other: &Parts<'_>) -> usize {
        if ptr::eq(self.prefix, other.prefix) {
            // Two keys of one node; its prefix may be long.
            return self.prefix.len() + shared(self.suffix, other.suffix);
        }
        let (mut a, mut b) = (*self, *other);
        let mut total = 0;
        loop {
            let a_piece = if a.prefix.is_empty() { a.suffix } else { a.prefix };
            let b_piece = if b.prefix.is_empty() { b.suffix } else { b.prefix };
            let room = a_piece.len().min(b_piece.len());
            if room == 0 {
                return total;
            }
            let same = shared(&a_piece[..room], &b_piece[..room]);
            total += same;
            if same < room {
                return total;
            }
            a = a.skip(room);
            b = b.skip(room);
        }
    }

    pub fn cmp(&self, other: &Parts<'_>) -> Ordering {
        let same = self.shared(other);
        self.byte(same).cmp(&other.byte(same))
    }

    /// The first four bytes as an integer that sorts like them.
    pub fn head(&self) -> u32 {
        if self.prefix.is_empty() {
            return head_of(self.suffix);
        }
        let mut bytes = [0; 4];
        for (to, from) in bytes.iter_mut().zip(self.prefix.iter().chain(self.suffix)) {
            *to = *from;
        }
        u32::from_be_bytes(bytes)
    }

    /// The first `n` bytes.
    pub fn take(&self, n: usize) -> Vec<u8> {
        let head = n.min(self.prefix.len());
        let mut out = Vec::with_capacity(n);
        out.extend_from_slice(&self.prefix[..head]);
        out.extend_from_slice(&self.suffix[..(n - head).min(self.suffix.len())]);
        out
    }

    pub fn to_vec(self) -> Vec<u8> {
        self.take(self.len())
    }
}

/// The shortest key that is greater than `left` and not greater than `right`.
pub(crate) fn separator(left: &Parts<'_>, right: &Parts<'_>) -> Vec<u8> {
    right.take((left.shared(right) + 1).min(right.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_do_not_matter() {
        let keys: [&[u8]; 6] = [b"", b"a", b"ab", b"abcdefghijkl", b"abcdefghijkm", b"b\0"];
        for a in keys {
            for b in keys {
                for i in 0..=a.len() {
                    for j in 0..=b.len() {
                        let x = Parts { prefix: &a[..i], suffix: &a[i..] };
                        let y = Parts { prefix: &b[..j], suffix: &b[j..] };
                        assert_eq!(x.cmp(&y), a.cmp(b));
                        assert_eq!(x.shared(&y), shared(a, b));
                        assert_eq!(x.head(), head_of(a));
                        if a < b {
                            let s = separator(&x, &y);
                            assert!(a < s.as_slice() && s.as_slice() <= b);
                        }
                    }
                }
            }
        }
    }
}
