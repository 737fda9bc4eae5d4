//! How many share something.
//!
//! Promises: of all who share, exactly one is told that it was the last, and everything that the others did with what they shared happened before. (The
//! protocol is that of the standard library's `Arc`, whose count lies beside the value; here it lies in what is counted.)

use crate::sync::{AtomicU32, Ordering};

/// The number of those who share beside the one who must be there.
#[derive(Default)]
pub(crate) struct Sharers(AtomicU32);

impl Sharers {
    /// One more, made by one who shares already.
    #[inline]
    pub fn join(&self) {
        // More than can be would wrap around to too few, and free what is in use: two thousand million forgotten clones end the process, as with `Arc`.
        if self.0.fetch_add(1, Ordering::Relaxed) > u32::MAX / 2 {
            std::process::abort();
        }
    }

    /// One goes; `true` if it was the last.
    #[inline]
    pub fn leave(&self) -> bool {
        // Who finds nobody else is alone, and nobody can join: only one who shares lets another join.
        if self.0.load(Ordering::Acquire) != 0 {
            if self.0.fetch_sub(1, Ordering::AcqRel) != 0 {
                return false;
            }
            // The others went between our two looks.
            self.0.store(0, Ordering::Relaxed);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn exactly_one_is_the_last() {
        for _ in 0..2_000 {
            let (sharers, last) = (Sharers::default(), AtomicUsize::new(0));
            (0..3).for_each(|_| sharers.join());
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        sharers.join();
                        for _ in 0..2 {
                            last.fetch_add(usize::from(sharers.leave()), Ordering::Relaxed);
                        }
                    });
                }
            });
            assert_eq!(last.into_inner(), 1);
            assert_eq!(sharers.0.into_inner(), 0, "it can be used again");
        }
    }
}
