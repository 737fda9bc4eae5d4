//! `pent get`, `pent scan` and `pent count`: what a program that opened the store would read.

use super::{StoreArg, help, parse_key};
use crate::inspect::{Blob, StoreFile, bounds, with_session};
use crate::output::{self, Stream};
use crate::{Context, Error, Result};
use serde::Serialize;

const GET_HELP: &str = help!(
    "\
What is read is what a program would read that opened the store now: commits
that only the journal has are there.

Examples:
  pent get app.pent orders 1001                   the value, as it is
  pent get app.pent orders hex:00ff | xxd         a key that is not text
  pent get app.pent orders 1001 --json            the value with its length"
);

/// Print the value of a key.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = GET_HELP)]
pub struct GetArgs {
    #[command(flatten)]
    store: StoreArg,

    /// The tree
    #[arg(value_name = "TREE")]
    tree: String,

    /// The key: text, or hex:00ff
    #[arg(value_name = "KEY")]
    key: String,
}

/// What `pent get` tells.
#[derive(Clone, Debug, Serialize)]
pub struct GetReport {
    /// The newest commit that was read.
    pub timestamp: u64,
    /// The tree.
    pub tree: String,
    /// The key.
    pub key: Blob,
    /// The value; nothing if the key is not there.
    pub value: Option<Blob>,
}

/// Runs `pent get`, and prints the value.
///
/// # Errors
/// When the store cannot be read, there is no such tree, the key is not there, or a page on the way is damaged.
pub fn get(args: &GetArgs, context: &Context) -> Result<()> {
    let key = parse_key(&args.key).map_err(Error::Usage)?;
    let (timestamp, value) = value_of(&args.store.open()?, &args.tree, &key)?;
    if context.json {
        let value = value.as_ref().map(|value| context.show(value));
        let report = GetReport { timestamp, tree: args.tree.clone(), key: context.show(&key), value };
        output::print_json(&report)?;
    } else if let Some(value) = &value {
        if context.privacy.redact {
            output::print(&format!("{}\n", context.show(value)))?;
        } else {
            let mut out = Stream::new();
            out.write(value)?;
            // A prompt belongs on a line of its own; a program gets the bytes as they are.
            if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
                out.write(b"\n")?;
            }
            out.finish()?;
        }
    }
    match value {
        Some(_) => Ok(()),
        None => Err(Error::Found("the key is not there".to_owned())),
    }
}

/// The value of a key, and the newest commit that was read.
///
/// # Errors
/// When the store cannot be read, there is no such tree, or a page on the way is damaged.
pub fn value_of(file: &StoreFile, tree: &str, key: &[u8]) -> Result<(u64, Option<Vec<u8>>)> {
    with_session(file, false, |session| Ok((session.timestamp().0, session.get(tree, key)?)))
}

const SCAN_HELP: &str = help!(
    "\
Keys that are text are shown as text, others in hexadecimal. All lines are of
one moment, also while a program goes on writing: then the pages are copied to
a temporary file before the first line comes.

Examples:
  pent scan app.pent orders                           all entries, in order
  pent scan app.pent orders --from 1000 --to 2000     a range
  pent scan app.pent orders --prefix 10 --limit 5     the first of a group
  pent scan app.pent orders --reverse --limit 1       the last entry
  pent scan app.pent orders --json                    a JSON object a line"
);

/// Print the entries of a tree, or of a range of it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = SCAN_HELP)]
pub struct ScanArgs {
    #[command(flatten)]
    store: StoreArg,

    /// The tree
    #[arg(value_name = "TREE")]
    tree: String,

    #[command(flatten)]
    range: RangeArgs,

    /// From the last entry to the first
    #[arg(long)]
    reverse: bool,

    /// At most so many entries
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

/// Which keys are meant.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RangeArgs {
    /// Keys from this one on: text, or hex:00ff
    #[arg(long, value_name = "KEY")]
    from: Option<String>,

    /// Keys before this one
    #[arg(long, value_name = "KEY")]
    to: Option<String>,

    /// Keys that begin with this
    #[arg(long, value_name = "KEY", conflicts_with_all = ["from", "to"])]
    prefix: Option<String>,
}

/// A range of keys: the first, and the one after the last.
#[derive(Clone, Debug, Default)]
struct KeyRange {
    from: Option<Vec<u8>>,
    to: Option<Vec<u8>>,
}

impl RangeArgs {
    fn parse(&self) -> Result<KeyRange> {
        let key = |text: &Option<String>| text.as_deref().map(parse_key).transpose().map_err(Error::Usage);
        if let Some(prefix) = key(&self.prefix)? {
            let to = end_of_prefix(&prefix);
            return Ok(KeyRange { from: Some(prefix), to });
        }
        Ok(KeyRange { from: key(&self.from)?, to: key(&self.to)? })
    }

    fn is_all(&self) -> bool {
        self.from.is_none() && self.to.is_none() && self.prefix.is_none()
    }
}

/// The least key that is greater than all that begin with `prefix`.
fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// One entry, as `pent scan --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct EntryReport {
    /// The key.
    pub key: Blob,
    /// The value.
    pub value: Blob,
}

/// Runs `pent scan`, and prints the entries.
///
/// # Errors
/// When the store cannot be read, there is no such tree, or a page is damaged.
pub fn scan(args: &ScanArgs, context: &Context) -> Result<()> {
    let file = args.store.open()?;
    let range = args.range.parse()?;
    let width = context.look.width();
    let mut out = Stream::new();
    let mut left = args.limit.unwrap_or(u64::MAX);
    with_session(&file, true, |session| {
        let bounds = bounds(range.from.as_deref(), range.to.as_deref());
        let mut entries = session.entries(&args.tree, bounds, args.reverse)?;
        while left > 0 && !out.is_closed() {
            context.interrupt.check()?;
            let Some((key, value)) = entries.next(session)? else { break };
            let entry = EntryReport { key: context.show(&key), value: context.show(&value) };
            if context.json {
                out.json(&entry)?;
            } else {
                let key = format!("{:.1$}", entry.key, width / 2);
                let room = width.saturating_sub(key.chars().count() + 3).max(16);
                out.write(format!("{key} = {:.room$}\n", entry.value).as_bytes())?;
            }
            left -= 1;
        }
        Ok(())
    })?;
    out.finish()
}

const COUNT_HELP: &str = help!(
    "\
Examples:
  pent count app.pent orders                    from the tree's own register
  pent count app.pent orders --prefix 2026-     those of a range, one by one"
);

/// Count the entries of a tree, or of a range of it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = COUNT_HELP)]
pub struct CountArgs {
    #[command(flatten)]
    store: StoreArg,

    /// The tree
    #[arg(value_name = "TREE")]
    tree: String,

    #[command(flatten)]
    range: RangeArgs,
}

/// What `pent count` tells.
#[derive(Clone, Debug, Serialize)]
pub struct CountReport {
    /// The newest commit that was read.
    pub timestamp: u64,
    /// The tree.
    pub tree: String,
    /// How many entries.
    pub entries: u64,
}

/// Runs `pent count`, and prints the number.
///
/// # Errors
/// When the store cannot be read, there is no such tree, or a page is damaged.
pub fn count(args: &CountArgs, context: &Context) -> Result<()> {
    let report = count_of(&args.store.open()?, &args.tree, &args.range, context)?;
    context.print(&report, |report, _| format!("{}\n", report.entries))
}

/// How many entries a range of a tree has.
///
/// # Errors
/// When the store cannot be read, there is no such tree, or a page is damaged.
pub fn count_of(file: &StoreFile, tree: &str, range: &RangeArgs, context: &Context) -> Result<CountReport> {
    let is_all = range.is_all();
    let range = range.parse()?;
    with_session(file, !is_all, |session| {
        let mut entries = 0;
        if is_all {
            entries = session.len(tree)?;
        } else {
            let mut walk = session.entries(tree, bounds(range.from.as_deref(), range.to.as_deref()), false)?;
            while walk.next(session)?.is_some() {
                context.interrupt.check()?;
                entries += 1;
            }
        }
        Ok(CountReport { timestamp: session.timestamp().0, tree: tree.to_owned(), entries })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(end_of_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(end_of_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(end_of_prefix(b"\xff"), None);
        assert_eq!(end_of_prefix(b""), None);
    }

    #[test]
    fn keys_are_text_or_hexadecimal() {
        assert_eq!(parse_key("1001").unwrap(), b"1001");
        assert_eq!(parse_key("hex:00ff").unwrap(), [0, 255]);
        assert!(parse_key("hex:0").is_err() && parse_key("hex:zz").is_err());
    }
}
