//! What a random history is made of, and how a failing one is made smaller.

use pentimento::{Builder, Database, Durability, MAX_KEY_LEN};
use quickcheck::{Arbitrary, Gen, empty_shrinker};
use std::ops::Bound;
use std::path::Path;
use std::time::Duration;

/// How the store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub page_size: usize,
    pub in_memory: bool,
    /// Limits on memory so small that transactions spill, checkpoints start by themselves, and writers wait for them.
    pub is_cramped: bool,
}

impl Setup {
    pub fn builder(self) -> Builder {
        let builder = Database::builder().page_size(self.page_size);
        if self.is_cramped { builder.memory_limits(64 << 10, 256 << 10).spill_limit(96 << 10) } else { builder }
    }

    /// A new store, which takes `path` if it is to be a file.
    pub fn open(self, path: &Path) -> Database {
        let builder = self.builder();
        if self.in_memory { builder.in_memory() } else { builder.open(path) }.unwrap()
    }
}

/// One change of, or look at, the tree of a transaction that `tree` chooses.
#[derive(Clone, Debug)]
pub enum TreeOp {
    Insert(u16, u16),
    Replace(u16, u16),
    Reserve(u16, u16),
    Remove(u16),
    Delete(u16),
    Take(u16),
    Get(u16),
    PopFirst,
    PopLast,
    Ascending(u16, u8),
    Bulk { start: u16, count: u8, order: u8 },
    RemoveRange(u16, u16, u8),
    Clear,
    Walk(u16, u16, u8, u64),
    Prefix(u16, u8),
    TooLong,
}

#[derive(Clone, Debug)]
pub enum Op {
    In(u8, TreeOp),
    /// Inserts, removals or deletes that follow one another, in one tree or several by turns, with nothing looked at in between.
    Burst {
        trees: (u8, u8),
        start: u16,
        count: u8,
        kind: u8,
    },
    DropTree(u8),
    Rename(u8, u8),
    Savepoint,
    RollBack(u8),
}

#[derive(Clone, Copy, Debug)]
pub enum Lasting {
    Sync,
    Interval,
    None,
}

impl Lasting {
    pub fn durability(self) -> Durability {
        match self {
            Lasting::Sync => Durability::Sync,
            Lasting::Interval => Durability::Interval(Duration::from_millis(3)),
            Lasting::None => Durability::None,
        }
    }
}

#[derive(Clone, Debug)]
pub enum Step {
    Transaction {
        ops: Vec<Op>,
        lasting: Lasting,
        commit: bool,
    },
    Snapshot,
    DropSnapshot(u8),
    /// Keeps an owned range or a value of a snapshot, which outlive it.
    Keep(u8, u16, u16, u8),
    DropKept(u8),
    Checkpoint,
    Flush,
    Maintain,
    Check,
    Reopen {
        read_only_first: bool,
    },
}

#[derive(Clone, Debug)]
pub struct Case {
    pub setup: Setup,
    pub steps: Vec<Step>,
}

impl Arbitrary for TreeOp {
    fn arbitrary(g: &mut Gen) -> TreeOp {
        let (a, b) = (u16::arbitrary(g), u16::arbitrary(g));
        match u8::arbitrary(g) % 40 {
            0..10 => TreeOp::Insert(a, b),
            10..12 => TreeOp::Replace(a, b),
            12..14 => TreeOp::Reserve(a, b),
            14..18 => TreeOp::Remove(a),
            18 => TreeOp::Take(a),
            19 => TreeOp::PopFirst,
            20 => TreeOp::PopLast,
            21..25 => TreeOp::Ascending(a, b as u8),
            25..28 => TreeOp::Bulk { start: a, count: b as u8, order: (b >> 8) as u8 },
            28..30 => TreeOp::RemoveRange(a, b, u8::arbitrary(g)),
            30 if a.is_multiple_of(4) => TreeOp::Clear,
            31..35 => TreeOp::Walk(a, b, u8::arbitrary(g), u64::arbitrary(g)),
            35 => TreeOp::Prefix(a, b as u8),
            36 => TreeOp::TooLong,
            37 => TreeOp::Delete(a),
            _ => TreeOp::Get(a),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = TreeOp>> {
        match *self {
            TreeOp::Insert(key, value) => Box::new(value.shrink().map(move |value| TreeOp::Insert(key, value))),
            TreeOp::Ascending(key, count) => Box::new(count.shrink().map(move |count| TreeOp::Ascending(key, count))),
            TreeOp::Bulk { start, count, order } => {
                Box::new(count.shrink().map(move |count| TreeOp::Bulk { start, count, order }))
            }
            _ => empty_shrinker(),
        }
    }
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Op {
        let tree = u8::arbitrary(g);
        match u8::arbitrary(g) % 32 {
            0 => Op::DropTree(tree),
            1 => Op::Rename(tree, u8::arbitrary(g)),
            2 | 3 => Op::Savepoint,
            4 => Op::RollBack(u8::arbitrary(g)),
            5..8 => Op::Burst {
                trees: (tree, u8::arbitrary(g)),
                start: u16::arbitrary(g),
                count: u8::arbitrary(g),
                kind: u8::arbitrary(g),
            },
            _ => Op::In(tree, TreeOp::arbitrary(g)),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Op>> {
        match self {
            Op::In(tree, op) => {
                let tree = *tree;
                Box::new(op.shrink().map(move |op| Op::In(tree, op)))
            }
            Op::Burst { trees, start, count, kind } => {
                let (trees, start, kind) = (*trees, *start, *kind);
                Box::new(count.shrink().map(move |count| Op::Burst { trees, start, count, kind }))
            }
            _ => empty_shrinker(),
        }
    }
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Step {
        match u8::arbitrary(g) % 32 {
            0..14 => {
                let lasting = *g.choose(&[Lasting::None, Lasting::None, Lasting::Interval, Lasting::Sync]).unwrap();
                let mut ops: Vec<Op> = Vec::arbitrary(g);
                ops.truncate(40);
                Step::Transaction { ops, lasting, commit: !u8::arbitrary(g).is_multiple_of(6) }
            }
            14..19 => Step::Snapshot,
            19..22 => Step::DropSnapshot(u8::arbitrary(g)),
            22..24 => Step::Keep(u8::arbitrary(g), u16::arbitrary(g), u16::arbitrary(g), u8::arbitrary(g)),
            24 => Step::DropKept(u8::arbitrary(g)),
            25 | 26 => Step::Checkpoint,
            27 => Step::Flush,
            28 => Step::Maintain,
            29 => Step::Check,
            _ => Step::Reopen { read_only_first: bool::arbitrary(g) },
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Step>> {
        match self {
            Step::Transaction { ops, lasting, commit } => {
                let (lasting, commit) = (*lasting, *commit);
                Box::new(ops.shrink().map(move |ops| Step::Transaction { ops, lasting, commit }))
            }
            _ => empty_shrinker(),
        }
    }
}

impl Arbitrary for Case {
    fn arbitrary(g: &mut Gen) -> Case {
        let setup = Setup {
            page_size: *g.choose(&[4096, 8192, 16384, 65536]).unwrap(),
            in_memory: u8::arbitrary(g).is_multiple_of(5),
            is_cramped: bool::arbitrary(g),
        };
        Case { setup, steps: Vec::arbitrary(g) }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Case>> {
        let setup = self.setup;
        Box::new(self.steps.shrink().map(move |steps| Case { setup, steps }))
    }
}

/// The names that histories choose from: short, one the prefix of another, with a zero, of many bytes, as long as can be.
pub fn name(tree: u8) -> String {
    match tree % 6 {
        0 => "t".to_owned(),
        1 => "trees".to_owned(),
        2 => "t\0".to_owned(),
        3 => "Übermalung, 重ね塗り".to_owned(),
        4 => "x".repeat(pentimento::MAX_NAME_LEN),
        _ => "orders".to_owned(),
    }
}

/// Each tree has keys of its own kind.
pub fn key(tree: u8, number: u16) -> Vec<u8> {
    match tree % 6 {
        // Dense, so that trees get many leaves.
        0 | 5 => (number % 3000).to_be_bytes().to_vec(),
        // Few and tiny, the empty key among them.
        1 => vec![b'a' + (number % 3) as u8; usize::from(number % 7)],
        // Up to the longest.
        2 => {
            let len = [1, 20, 300, 4000, MAX_KEY_LEN][usize::from(number % 5)];
            let mut key = vec![(number >> 12) as u8; len];
            key[len - 1] = number as u8;
            key
        }
        3 => format!("{}{:05}", "a prefix that all keys have in common/".repeat(5), number % 5000).into_bytes(),
        // Prefixes of each other that end in zeros.
        _ => {
            let mut key = (number % 400).to_le_bytes().to_vec();
            key.resize(2 + usize::from(number % 4), 0);
            key
        }
    }
}

/// From nothing to many pages.
pub fn value_len(number: u16) -> usize {
    match number % 64 {
        0..4 => 0,
        4..40 => usize::from(number % 90),
        40..56 => usize::from(number % 1200),
        56..60 => usize::from(number % 9000),
        60..63 => usize::from(number),
        _ => 100_000 + usize::from(number) * 2,
    }
}

/// Any two bounds, in any order.
pub fn bounds(tree: u8, start: u16, end: u16, kind: u8) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let bound = |key, kind| match kind % 5 {
        0 => Bound::Unbounded,
        1 | 2 => Bound::Excluded(key),
        _ => Bound::Included(key),
    };
    // Mostly short ranges: else each removal empties half a tree.
    let end = if kind.is_multiple_of(3) { end } else { start.saturating_add(end % 200) };
    (bound(key(tree, start), kind), bound(key(tree, end), kind / 5))
}
