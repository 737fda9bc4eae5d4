//! `pent load`: entries from text into a store.

use super::{IntoStoreArgs, help};
use crate::format::count;
use crate::{Context, Error, Result};
use pentimento::{Database, WriteTransaction};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader};

const AFTER_HELP: &str = help!(
    "\
It reads what `pent dump` and `mdb_dump` write, and JSON lines; which of them it
is, the first line tells. The store is made if it is missing; keys that are there
get the new value. Everything is one transaction: if a line is wrong, the store
stays as it was.

Examples:
  pent dump old.pent | pent load new.pent             copy by way of text
  mdb_dump -a lmdb | pent load app.pent               all databases of an LMDB store
  mdb_dump lmdb | pent load app.pent --tree orders    the unnamed one, into a tree
  pent load app.pent -i app.dump                      from a file"
);

/// Put entries from text into a store: from pent dump, mdb_dump, or JSON lines.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    into: IntoStoreArgs,

    /// The tree for entries that name none
    #[arg(long, value_name = "NAME", default_value = "main")]
    tree: String,
}

/// What `pent load` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Entries that were read.
    pub entries: u64,
    /// Trees that they went into.
    pub trees: u64,
    /// The commit.
    pub timestamp: u64,
}

/// Runs `pent load`, and says what it did.
///
/// # Errors
/// When the input is not in a known format, or the store refuses or fails.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let input = BufReader::with_capacity(1 << 20, args.into.open_input()?);
    let db = Database::open(&args.into.store)?;
    let report = load(&db, input, &args.tree, context)?;
    db.close()?;
    context.print(&report, |report, _| {
        format!("{} entries in {} trees, as commit {}\n", count(report.entries), count(report.trees), report.timestamp)
    })
}

/// Puts the entries of `input` into a store, in one transaction.
///
/// # Errors
/// When the input is not in a known format, naming the line, or the store refuses or fails.
pub fn load(db: &Database, input: impl BufRead, default_tree: &str, context: &Context) -> Result<Report> {
    let mut loader = Loader {
        lines: Lines { input, number: 0, line: Vec::new() },
        txn: db.begin_write()?,
        tree: default_tree.to_owned(),
        seen: Vec::new(),
        report: Report::default(),
    };
    if loader.lines.next()? {
        if loader.lines.line.first() == Some(&b'{') {
            loader.json(default_tree, context)?;
        } else {
            loader.dumps(default_tree, context)?;
        }
    }
    let Loader { txn, mut report, seen, .. } = loader;
    report.trees = seen.len() as u64;
    report.timestamp = txn.commit()?.0;
    Ok(report)
}

/// The lines of the input, with their numbers.
struct Lines<R> {
    input: R,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<bool> {
        self.line.clear();
        self.number += 1;
        let read = self.input.read_until(b'\n', &mut self.line);
        read.map_err(|error| Error::Unreadable(format!("cannot read the input: {error}")))?;
        let is_there = !self.line.is_empty();
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        }
        Ok(is_there)
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::Usage(format!("line {} of the input: {what}", self.number))
    }
}

struct Loader<R> {
    lines: Lines<R>,
    txn: WriteTransaction,
    tree: String,
    seen: Vec<String>,
    report: Report,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Exact {
    Text(String),
    Hex { hex: String },
}

#[derive(Deserialize)]
struct JsonEntry {
    tree: Option<String>,
    key: Exact,
    value: Exact,
}

impl<R: BufRead> Loader<R> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.txn.tree(&self.tree)?.insert(key, value)?;
        self.report.entries += 1;
        Ok(())
    }

    fn enter(&mut self, tree: &str) -> Result<()> {
        tree.clone_into(&mut self.tree);
        if !self.seen.iter().any(|seen| seen == tree) {
            // A tree without entries is a tree all the same.
            self.txn.tree(tree)?;
            self.seen.push(tree.to_owned());
        }
        Ok(())
    }

    fn json(&mut self, default_tree: &str, context: &Context) -> Result<()> {
        loop {
            context.interrupt.check()?;
            if !self.lines.line.trim_ascii().is_empty() {
                let entry: JsonEntry =
                    serde_json::from_slice(&self.lines.line).map_err(|error| self.lines.wrong(error))?;
                let bytes = |field: Exact| match field {
                    Exact::Text(text) => Ok(text.into_bytes()),
                    Exact::Hex { hex } => from_hex(hex.as_bytes()),
                };
                let key = bytes(entry.key).map_err(|what| self.lines.wrong(what))?;
                let value = bytes(entry.value).map_err(|what| self.lines.wrong(what))?;
                let tree = entry.tree.as_deref().unwrap_or(default_tree);
                if tree != self.tree || self.seen.is_empty() {
                    self.enter(tree)?;
                }
                self.put(&key, &value)?;
            }
            if !self.lines.next()? {
                return Ok(());
            }
        }
    }

    /// One dump after the other, each with its header.
    fn dumps(&mut self, default_tree: &str, context: &Context) -> Result<()> {
        loop {
            let is_print = self.header(default_tree)?;
            loop {
                context.interrupt.check()?;
                if !self.lines.next()? {
                    return Err(self.lines.wrong("the input ends without DATA=END"));
                }
                if self.lines.line == b"DATA=END" {
                    break;
                }
                let key = self.field(is_print)?;
                if !self.lines.next()? {
                    return Err(self.lines.wrong("the input ends after a key"));
                }
                let value = self.field(is_print)?;
                self.put(&key, &value)?;
            }
            loop {
                if !self.lines.next()? {
                    return Ok(());
                }
                if !self.lines.line.is_empty() {
                    break;
                }
            }
        }
    }

    /// Reads a header from its first line, which is there, to its last; whether entries are printable.
    fn header(&mut self, default_tree: &str) -> Result<bool> {
        let (mut is_print, mut tree) = (false, None);
        loop {
            let line = String::from_utf8_lossy(&self.lines.line).into_owned();
            match line.split_once('=') {
                Some(("HEADER", "END")) => break,
                Some(("VERSION", "3")) => {}
                Some(("VERSION", version)) => {
                    return Err(self.lines.wrong(format!("version {version} of the format is not known, only 3")));
                }
                Some(("format", "bytevalue")) => is_print = false,
                Some(("format", "print")) => is_print = true,
                Some(("format", other)) => return Err(self.lines.wrong(format!("format {other:?} is not known"))),
                Some(("type", "btree")) => {}
                Some(("type", other)) => {
                    return Err(self.lines.wrong(format!("type {other:?} is not known, only btree")));
                }
                Some(("database", name)) => tree = Some(name.to_owned()),
                Some(("duplicates" | "dupsort", "1")) => {
                    return Err(self
                        .lines
                        .wrong("a database with duplicate keys cannot be loaded: a tree has one value for a key"));
                }
                // Sizes of the other program's making.
                Some(_) => {}
                None => {
                    let what = "this is neither a line NAME=VALUE of a header nor a JSON object; see `pent help load`";
                    return Err(self.lines.wrong(what));
                }
            }
            if !self.lines.next()? {
                return Err(self.lines.wrong("the input ends within a header"));
            }
        }
        self.enter(tree.as_deref().unwrap_or(default_tree))?;
        Ok(is_print)
    }

    fn field(&self, is_print: bool) -> Result<Vec<u8>> {
        let Some(text) = self.lines.line.strip_prefix(b" ") else {
            return Err(self.lines.wrong("a key or value must begin with a space"));
        };
        let bytes = if is_print { unescape(text) } else { from_hex(text) };
        bytes.map_err(|what| self.lines.wrong(what))
    }
}

fn digit(byte: u8) -> Result<u8, String> {
    let value = char::from(byte).to_digit(16);
    value.map(|value| value as u8).ok_or_else(|| format!("{:?} is not a hexadecimal digit", char::from(byte)))
}

fn from_hex(text: &[u8]) -> Result<Vec<u8>, String> {
    if !text.len().is_multiple_of(2) {
        return Err("an odd number of hexadecimal digits".to_owned());
    }
    text.as_chunks::<2>().0.iter().map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?)).collect()
}

fn unescape(mut text: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    while let Some((&byte, rest)) = text.split_first() {
        text = rest;
        if byte != b'\\' {
            bytes.push(byte);
        } else if let Some(rest) = text.strip_prefix(b"\\") {
            bytes.push(b'\\');
            text = rest;
        } else if let Some(([high, low], rest)) = text.split_first_chunk::<2>() {
            bytes.push(digit(*high)? << 4 | digit(*low)?);
            text = rest;
        } else {
            return Err("a backslash at the end of the line".to_owned());
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(b"a\\\\b\\0a\\ff c").unwrap(), b"a\\b\n\xff c");
        assert!(unescape(b"\\f").is_err() && unescape(b"\\zz").is_err());
        assert!(from_hex(b"0").is_err() && from_hex(b"0g").is_err());
    }
}
