//! What happened: transactions as their threads saw them.

use std::fmt;

/// Everything that a history knows a key by: lists and registers are numbered apart.
pub type Key = u32;
/// What was appended, or written. No two are the same; 0 is nobody's.
pub type Element = u32;

/// One thing that a transaction did, with what it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// It appended to a list.
    Append(Key, Element),
    /// It appended to a list without looking, which others may do beside it.
    Blind(Key, Element),
    /// It read a list; one that is missing is empty.
    Read(Key, Vec<Element>),
    /// It wrote a register, and saw what it replaced (0: nothing).
    Replace { key: Key, old: Element, new: Element },
    /// It read a register (0: nothing).
    Get(Key, Element),
}

/// Who did it, as far as the promises differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It read what was installed when it began, and was durable, if it had to be, when it ended.
    Transaction,
    /// The same, but when it ended it might stand behind a commit that readers of what is published do not see yet.
    Relaxed,
    /// A snapshot: it read what was published.
    Snapshot,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there.
    Committed,
    /// It never was.
    Aborted,
}

/// A transaction, from before it began until after it ended.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Nanoseconds since the history began.
    pub begun: u64,
    /// The same.
    pub ended: u64,
    pub kind: Kind,
    pub outcome: Outcome,
    pub ops: Vec<Op>,
}

impl Transaction {
    pub fn is_committed(&self) -> bool {
        self.outcome == Outcome::Committed
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}..{} us {:?}:", self.kind, self.begun / 1000, self.ended / 1000, self.outcome)?;
        self.ops.iter().try_for_each(|op| match op {
            // Lists are long, and their ends tell them apart.
            Op::Read(key, list) if list.len() > 4 => {
                write!(f, " Read({key}, {} elements to {:?})", list.len(), &list[list.len() - 3..])
            }
            _ => write!(f, " {op:?}"),
        })
    }
}

/// All transactions, in no order.
pub type History = Vec<Transaction>;

/// Reads a history from lines such as `0-5 x+1 x:1,2 r:3>4 r=4`, for histories made by hand: a time, then appends (`+`; blind ones: `*`), reads of lists (`:`, elements after it), replacements of registers
/// (`old>new`) and reads of registers (`=`). `!` after the time: aborted; `s`: a snapshot; `~`: relaxed. Keys are letters.
pub fn parse(text: &str) -> History {
    let number = |text: &str| text.parse::<u32>().expect("a number");
    let op = |word: &str| {
        let key = u32::from(word.as_bytes()[0]);
        let (what, rest) = word[1..].split_at(1);
        match what {
            "+" => Op::Append(key, number(rest)),
            "*" => Op::Blind(key, number(rest)),
            "=" => Op::Get(key, number(rest)),
            _ => match rest.split_once('>') {
                Some((old, new)) => Op::Replace { key, old: number(old), new: number(new) },
                None => Op::Read(key, rest.split(',').filter(|part| !part.is_empty()).map(number).collect()),
            },
        }
    };
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let time = words.next().expect("a time");
        let (begun, ended) = time.trim_end_matches(['!', 's', '~']).split_once('-').expect("two times");
        let kind = match time.chars().last() {
            Some('s') => Kind::Snapshot,
            Some('~') => Kind::Relaxed,
            _ => Kind::Transaction,
        };
        let outcome = if time.ends_with('!') { Outcome::Aborted } else { Outcome::Committed };
        let (begun, ended) = (u64::from(number(begun)), u64::from(number(ended)));
        Transaction { begun, ended, kind, outcome, ops: words.map(op).collect() }
    };
    text.lines().map(str::trim).filter(|text| !text.is_empty()).map(line).collect()
}
