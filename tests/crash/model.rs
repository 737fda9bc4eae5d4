//! What the store should hold: the state after each commit.

use pentimento::Snapshot;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The entries of one tree.
pub type Entries = BTreeMap<Vec<u8>, Vec<u8>>;
/// All trees by name. Copies share what they have in common.
pub type State = BTreeMap<String, Arc<Entries>>;

/// The states of one line of commits, by timestamp.
#[derive(Clone)]
pub struct Model {
    states: BTreeMap<u64, Arc<State>>,
    /// Commits that nobody may see before they are durable.
    strict: BTreeSet<u64>,
    newest: u64,
}

impl Default for Model {
    fn default() -> Model {
        Model { states: BTreeMap::from([(0, Arc::default())]), strict: BTreeSet::new(), newest: 0 }
    }
}

impl Model {
    /// A commit is about to be made at `at`; what was expected from there on is not any more.
    pub fn expect(&mut self, at: u64, state: Arc<State>, strict: bool) {
        self.retract(at);
        self.states.insert(at, state);
        self.newest = at;
        if strict {
            self.strict.insert(at);
        }
    }

    /// The commit at `at`, and whatever follows, did not happen.
    pub fn retract(&mut self, at: u64) {
        self.states.split_off(&at);
        self.strict.split_off(&at);
        self.newest = self.newest.min(at.saturating_sub(1));
    }

    /// Commits up to `at` may exist, those without a state of their own changed nothing that can be read.
    pub fn reaches(&mut self, at: u64) {
        self.newest = self.newest.max(at);
    }

    pub fn newest(&self) -> u64 {
        self.newest
    }

    pub fn state_at(&self, at: u64) -> &Arc<State> {
        self.states.range(..=at).next_back().expect("time begins with the empty store").1
    }

    /// The newest commit that must not be lost once readers saw `seen`.
    pub fn owed_to_readers(&self, seen: u64) -> u64 {
        self.strict.range(..=seen).next_back().copied().unwrap_or(0)
    }
}

/// Whether a snapshot shows exactly a state.
pub fn shows(snapshot: &Snapshot, state: &State) -> Result<(), String> {
    let at = snapshot.timestamp();
    let wrong = |what: String| format!("at timestamp {at}: {what}");
    let failed = |error: pentimento::Error| format!("reading at timestamp {at}: {error}");
    let names = snapshot.trees().map_err(failed)?;
    if !names.iter().eq(state.keys()) {
        return Err(wrong(format!("the trees are {names:?} and not {:?}", state.keys().collect::<Vec<_>>())));
    }
    for (name, entries) in state {
        let tree = snapshot.tree(name).map_err(failed)?;
        let mut expected = entries.iter();
        for found in tree.iter().map_err(failed)? {
            let (key, value) = found.map_err(failed)?;
            let Some((expected_key, expected_value)) = expected.next() else {
                return Err(wrong(format!("tree {name}: {} should not be there", key.escape_ascii())));
            };
            if *key != **expected_key || value != expected_value.as_slice() {
                let (found, expected) = (key.escape_ascii(), expected_key.escape_ascii());
                return Err(wrong(format!(
                    "tree {name}: found key {found} where {expected} should be, or its value is another's"
                )));
            }
        }
        if let Some((key, _)) = expected.next() {
            return Err(wrong(format!("tree {name}: {} is missing", key.escape_ascii())));
        }
        let len = tree.len().map_err(failed)?;
        if len != entries.len() as u64 {
            return Err(wrong(format!("tree {name} says that it has {len} entries, it has {}", entries.len())));
        }
    }
    Ok(())
}
