//! Pentimento and its peers, side by side on the same work in the same run.
//!
//! Promises: every engine does the same work on the same data, set up as its own documentation recommends (`engines/`); what a workload reads is checked
//! before or while it is timed; engines take turns within a round; a goal that is not reached is marked by the program itself.

pub mod cli;
pub mod context;
pub mod data;
pub mod disk;
pub mod engine;
pub mod engines;
pub mod goals;
pub mod limit;
pub mod metric;
pub mod report;
pub mod results;
pub mod runner;
pub mod workloads;
