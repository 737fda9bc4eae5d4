//! The trees that the newest write transaction met, for the next one.
//!
//! Promises: what is told of a tree is what the catalog and the register say at the very commit that the transaction begins after. Any other commit in between, whoever made it,
//! ends what is known.

use crate::Timestamp;
use crate::sync::Mutex;
use crate::work::OpenTree;

/// No more trees than these are remembered.
const MOST: usize = 16;

/// Trees as they were at a commit.
#[derive(Debug, Default)]
pub(crate) struct RecentTrees(Mutex<(Timestamp, Vec<OpenTree>)>);

impl RecentTrees {
    /// The trees that are known to be so for who begins after commit `base`. They are told once.
    pub fn take(&self, base: Timestamp) -> Vec<OpenTree> {
        let mut recent = self.0.lock();
        if recent.0 == base { std::mem::take(&mut recent.1) } else { Vec::new() }
    }

    /// So were these trees at commit `at`, with nothing waiting.
    pub fn set(&self, at: Timestamp, mut trees: Vec<OpenTree>) {
        if trees.len() <= MOST {
            trees.iter_mut().for_each(OpenTree::begin_anew);
            *self.0.lock() = (at, trees);
        }
    }
}
