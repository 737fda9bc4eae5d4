//! The goals, as data: what each figure is to reach against which peer in the same run.

use crate::engine::Kind;

/// Against what a figure is held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// This engine's cost is at most so many times that of a peer (of a rate: the peer's rate over ours).
    Against(Kind, f64),
    /// The same, against the best of the peers that take part.
    AgainstBest(f64),
    /// The figure itself is at most this.
    AtMost(f64),
    /// The figure itself is at least this.
    AtLeast(f64),
}

/// The goals by the id of their figure.
pub const GOALS: &[(&str, Goal)] = &[
    ("get.view", Goal::Against(Kind::Lmdb, 0.45)),
    ("get.threads", Goal::Against(Kind::Lmdb, 0.45)),
    ("get.open", Goal::Against(Kind::Lmdb, 0.45)),
    ("scan.ten", Goal::Against(Kind::Lmdb, 0.5)),
    ("scan.forward", Goal::Against(Kind::Lmdb, 0.35)),
    ("load.random", Goal::Against(Kind::Lmdb, 0.4)),
    ("commit.durable", Goal::Against(Kind::Fjall, 0.95)),
    ("commit.batch", Goal::Against(Kind::Fjall, 1.0)),
    ("commit.unsynced", Goal::Against(Kind::Fjall, 0.6)),
    ("remove.half", Goal::AgainstBest(0.4)),
    ("remove.size", Goal::Against(Kind::Redb, 0.85)),
    // The present, the view, the last checkpoint, and a little room.
    ("long.file", Goal::AtMost(3.3)),
    ("long.ratio", Goal::AtLeast(0.97)),
    ("held.updates", Goal::Against(Kind::Fjall, 1.0)),
    ("held.disk", Goal::Against(Kind::Fjall, 1.0)),
];

/// The goal of a figure, if it has one.
#[must_use]
pub fn goal(id: &str) -> Option<Goal> {
    GOALS.iter().find(|(name, _)| *name == id).map(|(_, goal)| *goal)
}
