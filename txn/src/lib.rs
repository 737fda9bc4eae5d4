//! Databases, snapshots and transactions.
