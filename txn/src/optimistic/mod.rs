//! Concurrent (optimistic) transactions: several at once, checked at the commit.
//!
//! A transaction reads one snapshot with its own changes over it, which it keeps in memory ([`overlay`]). At the commit it takes the writer's turn, which
//! is short: others think while they do not hold it. What it did ([`claims`]) is compared with what was committed since its snapshot ([`footprint`], kept in
//! [`conflicts`]); if nothing clashes, the changes are applied by an ordinary write transaction, journaled and made durable as ever.
//!
//! Promises:
//! 1. A transaction waits for nobody before its commit, and a commit waits for others' commits only.
//! 2. `Snapshot`: of two transactions that write the same key, neither having seen the other, one fails.
//! 3. `Serializable`: as if the transactions had run one after the other, in the order of their commits: nothing that a transaction read had changed when it committed.
//! 4. A transaction without changes never fails for a conflict.
//! 5. After a conflict the store is as if the transaction had never been.

mod blind;
mod claims;
mod conflicts;
mod emptied;
mod footprint;
mod keys;
mod overlay;
mod range;
mod reads;
mod retry;
mod span;
mod spans;
mod transaction;
mod tree;

pub(crate) use conflicts::{Conflicts, DEFAULT_LIMIT};
pub(crate) use footprint::Footprint;

pub use conflicts::ConcurrencyStats;
pub use range::ConcurrentRange;
pub use retry::{RetryPolicy, Transacted};
pub use transaction::{ConcurrentTransaction, Isolation};
pub use tree::ConcurrentTree;
