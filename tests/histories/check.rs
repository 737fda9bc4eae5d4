//! Judging a history: which anomalies it shows, by the names of Adya's thesis, and whether the level that was promised forbids them.
//!
//! The approach is that of Elle (Kingsbury and Alvaro, VLDB 2020): lists that are only appended to tell the order of their versions, so dependencies follow from what was read, and every anomaly
//! that is a cycle of dependencies is found in one. Whatever is found did happen.

use crate::graph::{Dependencies, Edge};
use crate::record::History;
use crate::versions::Versions;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::{HashMap, VecDeque};
use std::fmt;

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// One moment is read, and of two who write one key, knowing what was there, one fails. So each cycle has a read that misses the next write where the edge before it, too, is of one
    /// who may have run beside the other: another such read, or a blind append.
    Snapshot,
    /// An order of transactions explains everything, and does not contradict the clock.
    Serializable,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A transaction did not see its own writes, or saw two states.
    Internal,
    /// Something was read that nobody wrote.
    Unwritten,
    /// What was read was taken back.
    G1a,
    /// What was read was not a transaction's last word.
    G1b,
    /// Two reads of one list cannot both be.
    Incompatible,
    /// Two replaced the same value.
    LostUpdate,
    /// A cycle of writes.
    G0,
    /// A cycle of writes and reads of them.
    G1c,
    /// A cycle that one moment cannot explain: with one read that misses the next write it is read skew.
    GSingle,
    /// Another cycle: write skew.
    G2,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Anomaly {
    pub kind: Kind,
    pub what: String,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

/// What a history showed.
#[derive(Debug)]
pub struct Verdict {
    pub edges: usize,
    pub anomalies: Vec<Anomaly>,
    /// Whether there is write skew, allowed or not.
    pub has_write_skew: bool,
}

/// Which edges a cycle may be of.
type With = fn(Edge) -> bool;

/// Looks for everything that the level forbids.
pub fn check(history: &History, level: Level) -> Verdict {
    let versions = Versions::of(history);
    let dependencies = Dependencies::of(history, &versions);
    let mut anomalies = versions.anomalies;
    let any = cycle(&dependencies, |_| true, false);
    // From the strongest down: a cycle of writes is one of the others, too.
    let forbidden: [(Kind, With, bool); 3] = [
        (Kind::G0, |edge| matches!(edge, Edge::Ww | Edge::Bw | Edge::Rt), false),
        (Kind::G1c, |edge| edge != Edge::Rw, false),
        (Kind::GSingle, |_| true, true),
    ];
    let forbidden = forbidden.into_iter().filter(|_| any.is_some());
    let found = forbidden.into_iter().find_map(|(kind, with, apart)| Some((kind, cycle(&dependencies, with, apart)?)));
    let has_write_skew = found.is_none() && any.is_some();
    let found = found.or_else(|| Some((Kind::G2, any.filter(|_| level == Level::Serializable)?)));
    anomalies.extend(found.map(|(kind, cycle)| Anomaly { kind, what: tell(history, &cycle) }));
    Verdict { edges: dependencies.edges.len(), anomalies, has_write_skew }
}

/// A short cycle of such edges. With `apart`, one in which no `Rw` edge follows an `Rw` or `Bw` edge.
///
/// Why there is none under snapshot isolation: along each other edge the first ended before the second began. Along an `Rw` edge the first began before the second ended, along a `Bw` edge it
/// ended before. So as long as no `Rw` edge leads on from one of whom it is only known that it *ended* later, time goes on along the cycle, which it cannot. (The argument is that of Fekete
/// and others, TODS 2005, with blind appends added.) For this each node is there twice: as reached by others, and as reached by `Rw` and `Bw` edges.
fn cycle(dependencies: &Dependencies, with: impl Fn(Edge) -> bool, apart: bool) -> Option<Vec<(usize, Edge)>> {
    let nodes = dependencies.nodes;
    let copies = if apart { 2 } else { 1 };
    let mut graph: DiGraph<(), Edge> = DiGraph::with_capacity(nodes * copies, dependencies.edges.len() * copies);
    for _ in 0..nodes * copies {
        graph.add_node(());
    }
    for &(from, to, edge) in dependencies.edges.iter().filter(|(.., edge)| with(*edge)) {
        let (from, to) = (NodeIndex::new(from), NodeIndex::new(to));
        let second = |node: NodeIndex| NodeIndex::new(node.index() + nodes);
        match (apart, edge) {
            (false, _) => {
                graph.add_edge(from, to, edge);
            }
            (true, Edge::Rw) => {
                graph.add_edge(from, second(to), edge);
            }
            (true, Edge::Bw) => {
                graph.add_edge(from, second(to), edge);
                graph.add_edge(second(from), second(to), edge);
            }
            (true, _) => {
                graph.add_edge(from, to, edge);
                graph.add_edge(second(from), to, edge);
            }
        }
    }
    let component = kosaraju_scc(&graph).into_iter().filter(|component| component.len() > 1).min_by_key(Vec::len)?;
    let cycle = shortest(&graph, &component);
    Some(cycle.into_iter().map(|(node, edge)| (node.index() % nodes, edge)).collect())
}

/// The shortest cycle through the first node of a component: nodes with the edges that lead on from them.
fn shortest(graph: &DiGraph<(), Edge>, component: &[NodeIndex]) -> Vec<(NodeIndex, Edge)> {
    let start = component[0];
    let mut came_from: HashMap<NodeIndex, (NodeIndex, Edge)> = HashMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(node) = next.pop_front() {
        let mut edges = graph.neighbors(node).detach();
        while let Some((edge, to)) = edges.next(graph) {
            if came_from.contains_key(&to) {
                continue;
            }
            came_from.insert(to, (node, graph[edge]));
            if to == start {
                let mut cycle = Vec::new();
                let mut at = start;
                loop {
                    let (from, edge) = came_from[&at];
                    cycle.push((from, edge));
                    at = from;
                    if at == start {
                        cycle.reverse();
                        return cycle;
                    }
                }
            }
            next.push_back(to);
        }
    }
    unreachable!("a component of several nodes has a cycle through each")
}

fn tell(history: &History, cycle: &[(usize, Edge)]) -> String {
    let mut text = String::new();
    for &(node, edge) in cycle {
        match history.get(node) {
            Some(transaction) => text.push_str(&format!("\n  T{node} {transaction}\n    --{edge:?}-->")),
            // A moment between two transactions.
            None => text.push_str(" ..."),
        }
    }
    text
}
