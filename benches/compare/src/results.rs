//! Medians, spreads, ratios, and whether goals are reached.

use crate::context::Samples;
use crate::engine::Kind;
use crate::goals::{Goal, goal};
use crate::metric::{Better, Metric};
use serde::Serialize;

/// What several rounds gave.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    /// The median; of an even number the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Summary {
    fn of(samples: &[f64]) -> Option<Summary> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Some(Summary { median, min, max })
    }
}

/// A figure held against its goal.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// What was compared, in words.
    pub against: String,
    /// The ratio, or the figure itself.
    pub reached: f64,
    /// What it is to be.
    pub goal: f64,
    /// Whether it is.
    pub passed: bool,
}

/// One figure of all engines.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The figure.
    #[serde(flatten)]
    pub metric: Metric,
    /// By engine, in the order of the columns.
    pub engines: Vec<(Kind, Summary)>,
    /// The best peer, and what this engine costs in terms of it.
    pub best_peer: Option<(Kind, f64)>,
    /// Held against its goal, if it has one and all that it needs took part.
    pub verdict: Option<Verdict>,
}

impl Row {
    /// The median of an engine.
    #[must_use]
    pub fn median(&self, kind: Kind) -> Option<f64> {
        self.engines.iter().find(|(other, _)| *other == kind).map(|(_, summary)| summary.median)
    }

    fn new(metric: &Metric, samples: &Samples) -> Option<Row> {
        let of = samples.iter().filter(|((id, _), _)| *id == metric.id);
        let engines: Vec<_> = of.filter_map(|((_, kind), samples)| Some((*kind, Summary::of(samples)?))).collect();
        if engines.is_empty() {
            return None;
        }
        let mut row = Row { metric: *metric, engines, best_peer: None, verdict: None };
        row.best_peer = row.best_peer();
        row.verdict = row.verdict();
        Some(row)
    }

    fn best_peer(&self) -> Option<(Kind, f64)> {
        let ours = self.median(Kind::Pentimento)?;
        let peers = self.engines.iter().filter(|(kind, _)| *kind != Kind::Pentimento);
        let best = peers.min_by(|(_, a), (_, b)| match self.metric.better {
            Better::Lower => a.median.total_cmp(&b.median),
            Better::Higher => b.median.total_cmp(&a.median),
        });
        best.map(|(kind, summary)| (*kind, self.metric.cost(ours, summary.median)))
    }

    fn verdict(&self) -> Option<Verdict> {
        let ours = self.median(Kind::Pentimento)?;
        let verdict = |against: String, reached: f64, goal: f64, passed| Verdict { against, reached, goal, passed };
        Some(match goal(self.metric.id)? {
            Goal::Against(peer, most) => {
                let cost = self.metric.cost(ours, self.median(peer)?);
                verdict(format!("of {}", peer.name()), cost, most, cost <= most)
            }
            Goal::AgainstBest(most) => {
                let (peer, cost) = self.best_peer?;
                verdict(format!("of {}, the best", peer.name()), cost, most, cost <= most)
            }
            Goal::AtMost(most) => verdict("at most".into(), ours, most, ours <= most),
            Goal::AtLeast(least) => verdict("at least".into(), ours, least, ours >= least),
        })
    }
}

/// A row for each figure that was measured, in the order of the workloads.
#[must_use]
pub fn rows(samples: &Samples) -> Vec<Row> {
    crate::workloads::metrics().filter_map(|metric| Row::new(metric, samples)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, values: &[(Kind, &[f64])]) -> Row {
        let metric = crate::workloads::metrics().find(|metric| metric.id == id).expect("a figure");
        let samples = values.iter().map(|(kind, values)| ((metric.id, *kind), values.to_vec())).collect();
        Row::new(metric, &samples).expect("samples")
    }

    #[test]
    fn a_median_is_in_the_middle() {
        let of = |samples: &[f64]| Summary::of(samples).expect("samples").median;
        assert_eq!(of(&[3.0, 1.0, 100.0]), 3.0);
        assert_eq!(of(&[4.0, 1.0, 2.0, 100.0]), 3.0);
        assert!(Summary::of(&[]).is_none());
    }

    #[test]
    fn a_time_is_held_against_the_peer_that_the_goal_names() {
        let of = |ours| {
            let row = row("get.view", &[(Kind::Pentimento, &[ours]), (Kind::Lmdb, &[100.0]), (Kind::Redb, &[50.0])]);
            assert_eq!(row.best_peer, Some((Kind::Redb, ours / 50.0)));
            row.verdict.expect("a goal")
        };
        assert!(of(45.0).passed);
        assert!(!of(46.0).passed);
    }

    #[test]
    fn of_a_rate_more_is_better() {
        let of = |ours| row("held.updates", &[(Kind::Pentimento, &[ours]), (Kind::Fjall, &[100.0])]);
        assert_eq!(of(200.0).best_peer, Some((Kind::Fjall, 0.5)));
        assert!(of(100.0).verdict.expect("a goal").passed);
        assert!(!of(99.0).verdict.expect("a goal").passed);
    }

    #[test]
    fn without_the_peer_that_it_names_a_goal_is_not_judged() {
        assert!(row("get.view", &[(Kind::Pentimento, &[1.0]), (Kind::Redb, &[50.0])]).verdict.is_none());
        assert!(row("get.view", &[(Kind::Lmdb, &[1.0])]).verdict.is_none());
    }

    #[test]
    fn every_goal_is_of_a_figure_that_exists() {
        for (id, _) in crate::goals::GOALS {
            assert!(crate::workloads::metrics().any(|metric| metric.id == *id), "{id}");
        }
    }
}
