//! Where an archive is kept: the little that it asks of a place.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::SystemTime;

/// Something that a place keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name: parts with `/` between them.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// When it was written, by the place's clock.
    pub written: SystemTime,
}

/// Something that is being written. It is there, whole, once it was finished; dropped before, it never was.
pub trait Upload: Write {
    /// Makes it be there, durably.
    ///
    /// # Errors
    /// What the place says; then it is not there.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// A place that keeps items by name. An item is replaced as a whole, and never seen half-written.
pub trait Place: fmt::Debug + Send + Sync {
    /// Begins to write an item.
    ///
    /// # Errors
    /// What the place says.
    fn write(&self, name: &str) -> io::Result<Box<dyn Upload + '_>>;

    /// Reads an item from its beginning.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none, and what the place says.
    fn read(&self, name: &str) -> io::Result<Box<dyn Read + '_>>;

    /// All items, in any order.
    ///
    /// # Errors
    /// What the place says.
    fn list(&self) -> io::Result<Vec<Item>>;

    /// Removes an item. One that is not there is removed already.
    ///
    /// # Errors
    /// What the place says.
    fn remove(&self, name: &str) -> io::Result<()>;
}
