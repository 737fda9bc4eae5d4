//! The library behind `pent`, the command line of the Pentimento store.
//!
//! Each command is a module: its arguments, the work, and a report that can be serialised. Printing is a step of its own that decides
//! nothing, so that what `--json` gives and what people read are the same figures.
#![forbid(unsafe_code)]

pub mod cli;
pub mod commands;
mod context;
pub mod demo;
mod error;
mod format;
pub mod inspect;
mod interrupt;
mod output;

pub use context::Context;
pub use error::{Error, Result};
pub use interrupt::Interrupt;
