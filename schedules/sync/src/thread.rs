//! Threads that the scheduler runs, one at a time.

pub use shuttle::thread::{Builder, JoinHandle, scope, sleep, spawn, yield_now};
pub use std::thread::panicking;
