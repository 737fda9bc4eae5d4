//! Schedules: whole stores, compiled from the sources that ship, whose threads run in orders that a scheduler chooses.
//!
//! `PENTIMENTO_SCHEDULES` is the number of schedules to try in all, `PENTIMENTO_SCHEDULES_SEED` the seed to begin with. Of each scenario's share half are random, half by
//! probabilistic concurrency testing (Burckhardt and others, ASPLOS 2010), which finds every bug that needs few preemptions with a known probability.
//! A failure prints the schedule, which `shuttle::replay` runs again.
//!
//! | file | what |
//! |---|---|
//! | `explore.rs` | how many schedules, by whom, and how a planted bug is noticed |
//! | `pages.rs` | readers beside a writer: registration, entries and the history, reclamation, page death |
//! | `checkpoints.rs` | the same beside checkpoints: settling, and what it gives back |
//! | `waiting.rs` | the writer's turn, and an array of registrations that grows |
//! | `groups.rs`, `logs.rs` | durable commits that share a sync, on logs that know what would survive a crash |
//! | `transactions.rs` | concurrent transactions, and hot readers |
//!
//! Every access is sequentially consistent here. What rests on weaker orderings is held by `../orderings/`.

mod checkpoints;
mod explore;
mod groups;
mod logs;
mod pages;
mod transactions;
mod waiting;
