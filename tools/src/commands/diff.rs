//! `pent diff`: what two stores have in common, and what not; or two moments of one store.

use super::diff_moments::{self, Moment};
use super::help;
use crate::format::count;
use crate::inspect::{Blob, Entries, OwnedEntry, Session, StoreFile, ViewError, with_session};
use crate::output::Stream;
use crate::{Context, Error, Result};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::PathBuf;

const AFTER_HELP: &str = help!(
    "\
Entries are compared, not pages: two stores that hold the same are equal however
they came to be. Both may be in use.

STORE@NAME is a named snapshot of a store, STORE@ what is newest in it. Two moments
of one store are compared at the cost of what changed between them, however large
it is. The store must not be open for writing meanwhile.

Each line begins with what happened from the first store to the second:
  -    the entry is only in the first
  +    the entry is only in the second
  ~    the value is another

Examples:
  pent diff before.pent after.pent                 every difference
  pent diff before.pent after.pent --tree orders   those of one tree
  pent diff a.pent b.pent --summary                only how many
  pent diff app.pent@monday app.pent@              what happened since monday"
);

/// Compare the entries of two stores.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    /// The first store, or a moment of it: STORE@NAME
    #[arg(value_name = "STORE1")]
    one: PathBuf,

    /// The second store, or the other moment
    #[arg(value_name = "STORE2")]
    two: PathBuf,

    /// Only this tree
    #[arg(long, value_name = "NAME")]
    tree: Option<String>,

    /// Only how many differences there are
    #[arg(long)]
    summary: bool,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `-` only in the first store, `+` only in the second, `~` another value.
    pub sign: char,
    /// The tree.
    pub tree: String,
    /// The key; nothing if the whole tree is in one store only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Blob>,
    /// The value in the first store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Blob>,
    /// The value in the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Blob>,
}

/// How many differences there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Entries that both have alike; nothing between two moments of one store, where they are not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equal: Option<u64>,
    /// Entries that only the first store has.
    pub removed: u64,
    /// Entries that only the second has.
    pub added: u64,
    /// Entries with another value.
    pub changed: u64,
    /// Trees that only one of them has.
    pub trees: u64,
}

impl Summary {
    /// Whether the stores have the same trees with the same entries.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        (self.removed, self.added, self.changed, self.trees) == (0, 0, 0, 0)
    }
}

/// Runs `pent diff`, and prints the differences.
///
/// # Errors
/// When a store cannot be read or is damaged, and if there are differences.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let mut out = Stream::new();
    let width = context.look.width();
    let mut report = |difference| {
        if args.summary || out.is_closed() {
            return Ok(());
        }
        if context.json { out.json(&difference) } else { out.write(line(&difference, width).as_bytes()) }
    };
    let (one, two) = (Moment::parse(&args.one), Moment::parse(&args.two));
    let tree = args.tree.as_deref();
    let (summary, whose) = if one.name.is_some() || two.name.is_some() {
        (diff_moments::diff(&one, &two, tree, context, &mut report)?, "the moments")
    } else {
        let (one, two) = (StoreFile::open(&args.one)?, StoreFile::open(&args.two)?);
        (diff(&one, &two, tree, context, &mut report)?, "the stores")
    };
    if context.json {
        out.json(&summary)?;
    } else {
        let Summary { equal, removed, added, changed, trees } = &summary;
        let mut text = format!(
            "{}{} removed, {} added, {} changed",
            equal.map(|equal| format!("{} equal, ", count(equal))).unwrap_or_default(),
            count(*removed),
            count(*added),
            count(*changed)
        );
        if *trees > 0 {
            let where_ = if equal.is_some() { "in one store only" } else { "made or dropped" };
            text += &format!(", {} trees {where_}", count(*trees));
        }
        out.write(format!("{text}\n").as_bytes())?;
    }
    out.finish()?;
    if summary.is_equal() { Ok(()) } else { Err(Error::Found(format!("{whose} differ"))) }
}

/// Compares the entries of two stores, and shows each difference.
///
/// # Errors
/// When a store cannot be read or is damaged, neither has the tree that is named, and what `report` fails with.
pub fn diff(
    one: &StoreFile,
    two: &StoreFile,
    tree: Option<&str>,
    context: &Context,
    report: &mut dyn FnMut(Difference) -> Result<()>,
) -> Result<Summary> {
    with_session(one, true, |one| {
        with_session(two, true, |two| {
            let (mut of_one, mut of_two) = (one.trees()?, two.trees()?);
            if let Some(tree) = tree {
                of_one.retain(|name| name == tree);
                of_two.retain(|name| name == tree);
                if of_one.is_empty() && of_two.is_empty() {
                    return Err(Error::Usage(format!("neither store has a tree named {tree:?}")).into());
                }
            }
            let mut summary = Summary { equal: Some(0), ..Summary::default() };
            let names: BTreeSet<&String> = of_one.iter().chain(&of_two).collect();
            for name in names {
                let (in_one, in_two) = (of_one.contains(name), of_two.contains(name));
                if in_one != in_two {
                    let sign = if in_one { '-' } else { '+' };
                    report(Difference { sign, tree: name.clone(), key: None, before: None, after: None })?;
                    summary.trees += 1;
                }
                let mut walk = Walk::new(one, two, name, in_one, in_two)?;
                walk.compare(name, context, report, &mut summary)?;
            }
            Ok(summary)
        })
        .map_err(ViewError::from)
    })
}

/// Two trees of one name, side by side.
struct Walk<'a, 'f, 'g> {
    one: &'a mut Session<'f>,
    two: &'a mut Session<'g>,
    of_one: Option<Entries>,
    of_two: Option<Entries>,
}

type Entry = Option<OwnedEntry>;

impl<'a, 'f, 'g> Walk<'a, 'f, 'g> {
    fn new(
        one: &'a mut Session<'f>,
        two: &'a mut Session<'g>,
        name: &str,
        in_one: bool,
        in_two: bool,
    ) -> Result<Self, ViewError> {
        let all = || (Bound::<&[u8]>::Unbounded, Bound::Unbounded);
        let of_one = in_one.then(|| one.entries(name, all(), false)).transpose()?;
        let of_two = in_two.then(|| two.entries(name, all(), false)).transpose()?;
        Ok(Walk { one, two, of_one, of_two })
    }

    fn next_of_one(&mut self) -> Result<Entry, ViewError> {
        self.of_one.as_mut().map_or(Ok(None), |entries| entries.next(self.one))
    }

    fn next_of_two(&mut self) -> Result<Entry, ViewError> {
        self.of_two.as_mut().map_or(Ok(None), |entries| entries.next(self.two))
    }

    fn compare(
        &mut self,
        tree: &str,
        context: &Context,
        report: &mut dyn FnMut(Difference) -> Result<()>,
        summary: &mut Summary,
    ) -> Result<(), ViewError> {
        let (mut one, mut two) = (self.next_of_one()?, self.next_of_two()?);
        loop {
            context.interrupt.check()?;
            let order = match (&one, &two) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((one, _)), Some((two, _))) => one.cmp(two),
            };
            let before = if order.is_le() { std::mem::replace(&mut one, self.next_of_one()?) } else { None };
            let after = if order.is_ge() { std::mem::replace(&mut two, self.next_of_two()?) } else { None };
            let sign = match (&before, &after) {
                (Some(before), Some(after)) if before.1 == after.1 => {
                    summary.equal = summary.equal.map(|equal| equal + 1);
                    continue;
                }
                (Some(_), Some(_)) => {
                    summary.changed += 1;
                    '~'
                }
                (Some(_), None) => {
                    summary.removed += 1;
                    '-'
                }
                _ => {
                    summary.added += 1;
                    '+'
                }
            };
            let key = before.as_ref().or(after.as_ref()).map(|(key, _)| context.show(key));
            let show = |entry: &Entry| entry.as_ref().map(|(_, value)| context.show(value));
            report(Difference { sign, tree: tree.to_owned(), key, before: show(&before), after: show(&after) })?;
        }
    }
}

fn line(difference: &Difference, width: usize) -> String {
    let Difference { sign, tree, key, before, after } = difference;
    let Some(key) = key else { return format!("{sign} tree {tree:?}\n") };
    let room = width / 4;
    match (before, after) {
        (Some(before), Some(after)) => format!("{sign} {tree} {key:.room$}: {before:.room$} -> {after:.room$}\n"),
        (Some(value), None) | (None, Some(value)) => format!("{sign} {tree} {key:.room$} = {value:.room$}\n"),
        (None, None) => format!("{sign} {tree} {key:.room$}\n"),
    }
}
