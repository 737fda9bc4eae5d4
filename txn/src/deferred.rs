//! A value with work that waits until somebody looks.
//!
//! Promises: whoever reads through a shared reference sees the value with its work done, done once, whoever comes first; whoever has the
//! value for himself may add to the work without doing it. While nothing waits, reading costs a load and a branch, and who has the value for himself never pays for the others.

use crate::sync::Mutex;
use std::sync::OnceLock;

/// A value that is either as its readers want it, or has work waiting.
///
/// It is moved about with what it is in, so the places where the value is more seldom are elsewhere.
pub(crate) struct Deferred<T> {
    /// The value, if nothing waited when somebody had it for himself.
    settled: Option<T>,
    /// The value, if it waited and somebody has looked since.
    done: OnceLock<Box<T>>,
    waiting: Mutex<Option<Box<T>>>,
}

const IN_ONE_OF_THREE: &str = "the value is in one of three places";

impl<T> Deferred<T> {
    /// A value with nothing waiting.
    pub fn new(value: T) -> Deferred<T> {
        Deferred { settled: Some(value), done: OnceLock::new(), waiting: Mutex::new(None) }
    }

    /// The value, whether work is waiting or not.
    #[inline]
    pub fn as_it_is(&mut self) -> &mut T {
        if self.settled.is_none() {
            self.settled = self.done.take().map(|value| *value);
        }
        match &mut self.settled {
            Some(value) => value,
            None => self.waiting.get_mut().as_mut().expect(IN_ONE_OF_THREE),
        }
    }

    /// From now on there is work waiting.
    #[inline]
    pub fn defer(&mut self) {
        if let Some(value) = self.settled.take().map(Box::new).or_else(|| self.done.take()) {
            *self.waiting.get_mut() = Some(value);
        }
    }

    /// The value, after `work` if any is waiting.
    #[inline]
    pub fn settled(&self, work: impl FnOnce(&mut T)) -> &T {
        self.settled.as_ref().unwrap_or_else(|| {
            self.done.get_or_init(|| {
                let mut waiting = self.waiting.lock();
                // Taken out only afterwards: should the work panic, the value is still there.
                work(waiting.as_mut().expect(IN_ONE_OF_THREE));
                waiting.take().expect(IN_ONE_OF_THREE)
            })
        })
    }

    /// The value, after `work` if any is waiting.
    #[inline]
    pub fn settled_mut(&mut self, work: impl FnOnce(&mut T)) -> &mut T {
        if self.settled.is_none() {
            let value = self.done.take().or_else(|| {
                let waiting = self.waiting.get_mut();
                // As above.
                work(waiting.as_mut().expect(IN_ONE_OF_THREE));
                waiting.take()
            });
            self.settled = value.map(|value| *value);
        }
        self.settled.as_mut().expect(IN_ONE_OF_THREE)
    }

    /// The value, whether work is waiting or not.
    pub fn into_inner(mut self) -> T {
        let rest = || self.done.take().or_else(|| self.waiting.get_mut().take()).map(|value| *value);
        self.settled.or_else(rest).expect(IN_ONE_OF_THREE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn work_is_done_once_by_whoever_looks_first() {
        let mut sum = Deferred::new((0, vec![1, 2, 3]));
        let add = |value: &mut (i32, Vec<i32>)| value.0 += value.1.drain(..).sum::<i32>();
        assert_eq!(sum.settled(add).0, 0, "nothing waits");
        sum.defer();
        sum.as_it_is().1.push(4);
        assert_eq!(sum.as_it_is().0, 0);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| sum.settled(add).0)).collect();
            threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), 10));
        });
        assert_eq!(sum.settled_mut(|_| unreachable!("done already")).0, 10);
        assert_eq!(sum.into_inner(), (10, vec![]));
    }

    #[test]
    fn work_that_panics_leaves_the_value() {
        let mut value = Deferred::new(7);
        value.defer();
        catch_unwind(AssertUnwindSafe(|| value.settled(|_| std::panic::resume_unwind(Box::new("once"))).to_owned()))
            .unwrap_err();
        assert_eq!(*value.settled(|value| *value += 1), 8);
    }
}
