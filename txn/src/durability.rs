//! When a commit is durable.

use std::time::Duration;

/// When a commit survives a crash of the machine. Whatever is chosen, what survives is all commits up to some one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// Before [`commit`](crate::WriteTransaction::commit) returns, and before any reader sees it. The default.
    #[default]
    Sync,
    /// At most about this long after the commit. Readers see it at once, or as soon as the `Sync` commits before it are durable.
    Interval(Duration),
    /// Some time: at the next checkpoint, [`Database::flush`](crate::Database::flush), or clean close. Readers see it as for `Interval`.
    None,
}
