//! A disk that remembers what was asked of it, so that every way in which a loss of power could have left it can be built afterwards.
//!
//! What the process reads is the *live* side: plain memory. Every call that changes something, and every sync, is an [`Event`] of the record.
//! A [`Crash`] walks the record with the *durable* contents and the effects that are *outstanding* (asked for, not synced), and builds
//! [`Image`]s: what could be found after a crash between two events.
//!
//! The rules of this disk, as hostile as the world:
//! 1. A write within one sector of 512 bytes happens or does not. Of a longer one any sectors may be missing.
//! 2. Until a file is synced, of its writes and changes of length any may be missing, whatever the order in which they were asked for.
//!    A sync covers what was asked for before it began, not what is asked for while it runs.
//! 3. A name that was made or removed is so for sure only after a sync of the names. A sync of the file is not enough.
//! 4. A sync that fails has written some of it, and forgets the rest: a later sync that succeeds says nothing about them.
//!
//! It also fails as told: see [`Fault`].

mod crash;
mod disk;
mod faults;
mod image;
mod logs;
mod medium;
mod random;
mod record;

pub use crash::{Crash, Effort, Physics, PlanKind, Start};
pub use disk::Disk;
pub use faults::Fault;
pub use image::Image;
pub use logs::SimulatedLogs;
pub use medium::SimulatedMedium;
pub use random::Random;
pub use record::{Event, Names, Record, What};
