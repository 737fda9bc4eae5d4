//! What the newest write transaction leaves to the next one: the trees that it met, and the memory that it noted things in.
//!
//! Promises: what is told of a tree is what the catalog and the register say at the very commit that the transaction begins after. Any other commit in between, whoever made it,
//! ends what is known.

use crate::Timestamp;
use crate::work::{Notes, OpenTree};
use pentimento_storage::Left;

/// No more trees than these are remembered.
const MOST: usize = 16;
/// No more memory than this is kept.
const MOST_BYTES: usize = 64 << 10;

/// What was noted by the commit `at`, until somebody takes it.
struct Recent {
    at: Timestamp,
    notes: Option<Box<Notes>>,
}

fn find(left: &mut Left) -> Option<&mut Recent> {
    left.as_mut()?.downcast_mut()
}

/// Notes with the trees that are known to be so for who begins after commit `base`. They are told once.
pub(crate) fn take(left: &mut Left, base: Timestamp) -> Box<Notes> {
    let Some(recent) = find(left) else { return Box::default() };
    let mut notes = recent.notes.take().unwrap_or_default();
    if recent.at != base {
        notes.trees.clear();
    }
    notes
}

/// So were these trees at commit `at`, with nothing waiting; what else was noted is of no use any more: its memory, if that is much, is for whoever has use for it.
pub(crate) fn leave(left: &mut Left, at: Timestamp, mut notes: Box<Notes>) -> Option<Vec<u8>> {
    if notes.trees.len() > MOST {
        notes.trees = Vec::new();
    }
    notes.trees.iter_mut().for_each(OpenTree::begin_anew);
    let memory = notes.redo.limit_memory(MOST_BYTES);
    let news = Recent { at, notes: Some(notes) };
    match find(left) {
        Some(recent) => *recent = news,
        None => *left = Some(Box::new(news)),
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Database, Durability};
    use pentimento_storage::Patience;

    #[test]
    fn what_is_known_ends_with_the_next_commit() {
        let db = Database::in_memory().unwrap();
        let commit = |names: std::ops::Range<usize>, entries: usize| {
            let mut txn = db.begin_write().unwrap();
            txn.set_durability(Durability::None).unwrap();
            let before = names.clone().map(|name| txn.tree(&name.to_string()).unwrap().len()).max();
            for name in names {
                let mut tree = txn.tree(&name.to_string()).unwrap();
                let len = tree.len();
                (0..entries).for_each(|number| tree.insert(format!("{len} {number}"), b"").unwrap());
            }
            txn.commit().unwrap();
            before
        };
        assert_eq!(commit(0..1, 3), Some(0));
        assert_eq!(commit(0..1, 3), Some(3));
        let take = |base| super::take(db.store().begin(Patience::None).unwrap().unwrap().left(), base).trees.len();
        assert_eq!((take(db.timestamp()), take(db.timestamp())), (1, 0), "whoever is told is told once");
        // Too many to be remembered.
        commit(0..MOST + 1, 4);
        assert_eq!(take(db.timestamp()), 0);
        assert_eq!(commit(0..1, 1), Some(10), "not what was known of commits before");
        // An abandoned one leaves nothing behind.
        let mut txn = db.begin_write().unwrap();
        txn.tree("0").unwrap().insert(b"gone", b"").unwrap();
        drop(txn);
        assert_eq!(commit(0..1, 1), Some(11));
        assert_eq!(take(db.timestamp().next()), 0, "whoever began after another commit is told nothing");
    }
}
