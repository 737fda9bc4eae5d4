//! Backup and shipping: what a receiver holds is what the source had, whatever happens to the stream on its way.
//!
//! Strategy: random histories (`tests/crash/changes.rs`: every operation, on trees that come, go and change their names), each with a copy that receives
//! a whole backup and increments; streams that are cut everywhere, damaged everywhere, resumed, sent twice and sent to the wrong place; crashes of the receiving store at its
//! every write and sync.
//!
//! Invariants: the copy is exactly the source at the moment that it says it holds; a stream that does not fit or is not whole changes nothing; the same pair of snapshots
//! gives the same bytes.

#[path = "../crash/changes.rs"]
#[allow(dead_code, reason = "each test uses its own part")]
mod changes;
#[path = "../common/mod.rs"]
mod common;
mod crashes;
mod damaged;
mod follower;
mod histories;
#[path = "../crash/model.rs"]
#[allow(dead_code, reason = "each test uses its own part")]
mod model;
mod refused;
mod resumed;
#[path = "../simulated/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each test uses its own part")]
mod simulated;
mod source;
