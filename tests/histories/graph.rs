//! Who depends on whom.
//!
//! | edge | from | to |
//! |---|---|---|
//! | ww | who wrote a version | who wrote the next one, knowing the former |
//! | bw | who wrote a version | who appended the next one without looking, perhaps beside the former |
//! | wr | who wrote a version | who read it |
//! | rw | who read a version | who wrote the next one |
//! | rt | who had ended | who began afterwards, and must see what the other saw and did |
//!
//! Real time would be an edge for nearly each pair. Instead there is a line of moments, one for each end: an end leads to its moment, each moment to the next, and the last moment before a
//! beginning to that transaction. Snapshots have a line of their own, which relaxed commits do not lead to: those may stand behind a commit that is not published yet.

use crate::record::{History, Key, Kind, Op, Transaction};
use crate::versions::{Id, Versions};

/// What makes one depend on the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Edge {
    Ww,
    Bw,
    Wr,
    Rw,
    Rt,
}

/// Whether a transaction appended to a list without looking then or later; to have looked before makes no difference to the append.
fn is_blind(transaction: &Transaction, key: Key) -> bool {
    let mut ops = transaction.ops.iter();
    let writes = |op: &Op| matches!(op, Op::Append(of, _) | Op::Replace { key: of, .. } if *of == key);
    let first = ops.find(|op| writes(op) || matches!(op, Op::Blind(of, _) if *of == key));
    first.is_some_and(|op| !writes(op)) && !ops.any(|op| writes(op) || matches!(op, Op::Read(of, _) if *of == key))
}

/// Transactions by their places in the history, then moments.
pub struct Dependencies {
    pub nodes: usize,
    pub edges: Vec<(usize, usize, Edge)>,
}

impl Dependencies {
    pub fn of(history: &History, versions: &Versions) -> Dependencies {
        let mut all = Dependencies { nodes: history.len(), edges: Vec::new() };
        for (key, order) in &versions.orders {
            for pair in order.windows(2) {
                let (from, to) = (pair[0].1, pair[1].1);
                all.add(from, to, if is_blind(&history[to], *key) { Edge::Bw } else { Edge::Ww });
            }
        }
        for seen in &versions.seen {
            let Some(order) = versions.orders.get(&seen.key) else { continue };
            if let Some(&(_, writer)) = seen.versions.checked_sub(1).and_then(|last| order.get(last)) {
                all.add(writer, seen.by, Edge::Wr);
            }
            if let Some(&(_, writer)) = order.get(seen.versions) {
                all.add(seen.by, writer, Edge::Rw);
            }
        }
        all.add_real_time(history, |_| true, |kind| kind != Kind::Snapshot);
        all.add_real_time(history, |kind| kind != Kind::Relaxed, |kind| kind == Kind::Snapshot);
        all
    }

    fn add(&mut self, from: Id, to: Id, edge: Edge) {
        if from != to {
            self.edges.push((from, to, edge));
        }
    }

    /// The line of moments at which those ended that lead to it, and those whom it leads to.
    fn add_real_time(&mut self, history: &History, leads: impl Fn(Kind) -> bool, is_led: impl Fn(Kind) -> bool) {
        let committed = |wanted: &dyn Fn(Kind) -> bool| -> Vec<Id> {
            (0..history.len()).filter(|&id| history[id].is_committed() && wanted(history[id].kind)).collect()
        };
        let mut ends = committed(&leads);
        ends.sort_by_key(|&id| history[id].ended);
        let first = self.nodes;
        self.nodes += ends.len();
        for (moment, &id) in ends.iter().enumerate() {
            self.edges.push((id, first + moment, Edge::Rt));
            if moment > 0 {
                self.edges.push((first + moment - 1, first + moment, Edge::Rt));
            }
        }
        for id in committed(&is_led) {
            let before = ends.partition_point(|&other| history[other].ended < history[id].begun);
            if before > 0 {
                self.edges.push((first + before - 1, id, Edge::Rt));
            }
        }
    }
}
