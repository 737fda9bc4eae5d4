//! Showing that a test can fail: the engine is told to go wrong in one way, and then the test must notice.

use pentimento::Bug;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A test: says what it saw broken.
pub type Test = fn(Option<Bug>) -> Result<(), String>;

/// The test passes as the engine is, and with each of these bugs it tells that something is broken, or panics.
#[track_caller]
pub fn holds_and_bites(test: Test, bugs: &[Bug]) {
    test(None).expect("the law holds");
    for &bug in bugs {
        let noticed = catch_unwind(AssertUnwindSafe(|| test(Some(bug))));
        assert!(!matches!(noticed, Ok(Ok(()))), "the test does not notice {bug:?}");
        println!("{bug:?} is noticed: {}", noticed.map_or("a panic".to_owned(), |result| result.unwrap_err()));
    }
}
