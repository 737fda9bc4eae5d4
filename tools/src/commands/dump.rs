//! `pent dump`: all entries as text, for LMDB's tools, for `pent load`, or for any program that reads JSON.
//!
//! The text format is that of `mdb_dump` and `mdb_load`, which took it from Berkeley DB: for each database a header of `name=value` lines, a
//! line `HEADER=END`, then a line with a space and the key and one with a space and the value, in hexadecimal or with unprintable bytes escaped
//! (`\xx`), and `DATA=END`.

use super::{StoreArg, help};
use crate::inspect::{Session, StoreFile, ViewError, hex, with_session};
use crate::output::Stream;
use crate::{Context, Error, Result};
use clap::ValueEnum;
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Bound;
use std::path::PathBuf;

const AFTER_HELP: &str = help!(
    "\
Formats:
  hex      for mdb_load and pent load: keys and values in hexadecimal
  print    the same, with printable characters as they are
  json     a JSON object a line: {\"tree\":..., \"key\":..., \"value\":...};
           what is not text stands as {\"hex\":...}

LMDB takes no empty keys, and none of more than 511 bytes; mdb_load says so.

Examples:
  pent dump app.pent > app.dump                        all trees
  pent dump app.pent orders | mdb_load -s orders lmdb  one tree, into an LMDB store
  pent dump app.pent --format json | jq -r .key        for other programs
  pent dump app.pent -o app.dump                       to a file"
);

/// Write all entries as text, in the format of mdb_dump or as JSON lines.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// The trees; all of them if none is named
    #[arg(value_name = "TREE")]
    trees: Vec<String>,

    /// How entries are written
    #[arg(long, value_enum, default_value_t = Format::Hex)]
    format: Format,

    /// Write to this file, which must not exist yet, instead of the standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Hexadecimal, as mdb_dump writes
    Hex,
    /// Printable characters as they are, as mdb_dump -p writes
    Print,
    /// A JSON object a line
    Json,
}

/// A key or a value in a JSON line: a string, or its bytes in hexadecimal if it is not UTF-8.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Exact<'b> {
    Text(&'b str),
    Hex { hex: String },
}

impl Exact<'_> {
    fn of(bytes: &[u8]) -> Exact<'_> {
        std::str::from_utf8(bytes).map_or_else(|_| Exact::Hex { hex: hex(bytes) }, Exact::Text)
    }
}

#[derive(Serialize)]
struct JsonEntry<'b> {
    tree: &'b str,
    key: Exact<'b>,
    value: Exact<'b>,
}

/// Runs `pent dump`.
///
/// # Errors
/// When the store cannot be read, there is no such tree, a page is damaged, or the output cannot be written.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    if context.privacy.redact {
        let why = "a dump without keys and values would be empty; to share the structure of a store use `pent pages --redact`";
        return Err(Error::Usage(why.to_owned()));
    }
    let file = args.store.open()?;
    let format = if context.json { Format::Json } else { args.format };
    let Some(path) = &args.output else {
        let mut out = Stream::new();
        dump(&file, &args.trees, format, context, &mut |bytes| {
            out.write(bytes)?;
            Ok(!out.is_closed())
        })?;
        return out.finish();
    };
    let made = File::create_new(path).map_err(Error::io("make", path))?;
    let mut out = BufWriter::new(made);
    dump(&file, &args.trees, format, context, &mut |bytes| {
        out.write_all(bytes).map_err(Error::io("write", path))?;
        Ok(true)
    })?;
    out.flush().map_err(Error::io("write", path))
}

/// Writes the entries of trees, of all if none is named, through `write`, which tells whether to go on.
///
/// # Errors
/// When the store cannot be read, there is no such tree, a page is damaged, and what `write` fails with.
pub fn dump(
    file: &StoreFile,
    trees: &[String],
    format: Format,
    context: &Context,
    write: &mut dyn FnMut(&[u8]) -> Result<bool>,
) -> Result<()> {
    with_session(file, true, |session| {
        let names = if trees.is_empty() { session.trees()? } else { trees.to_vec() };
        // Before anything is written: a name that is wrong spoils nothing.
        for name in &names {
            session.len(name)?;
        }
        for name in &names {
            dump_tree(session, name, format, context, write)?;
        }
        Ok(())
    })
}

fn dump_tree(
    session: &mut Session<'_>,
    name: &str,
    format: Format,
    context: &Context,
    write: &mut dyn FnMut(&[u8]) -> Result<bool>,
) -> Result<(), ViewError> {
    if format != Format::Json && !write(header(session, name, format).as_bytes())? {
        return Ok(());
    }
    let mut entries = session.entries(name, (Bound::<&[u8]>::Unbounded, Bound::Unbounded), false)?;
    let mut line = Vec::new();
    while let Some((key, value)) = entries.next(session)? {
        context.interrupt.check()?;
        line.clear();
        match format {
            Format::Json => {
                let entry = JsonEntry { tree: name, key: Exact::of(&key), value: Exact::of(&value) };
                serde_json::to_writer(&mut line, &entry).map_err(|error| Error::Output(error.into()))?;
                line.push(b'\n');
            }
            Format::Hex => {
                for bytes in [&key, &value] {
                    line.push(b' ');
                    line.extend_from_slice(hex(bytes).as_bytes());
                    line.push(b'\n');
                }
            }
            Format::Print => {
                for bytes in [&key, &value] {
                    line.push(b' ');
                    escape(bytes, &mut line);
                    line.push(b'\n');
                }
            }
        }
        if !write(&line)? {
            return Ok(());
        }
    }
    if format != Format::Json {
        write(b"DATA=END\n")?;
    }
    Ok(())
}

/// What `mdb_load` wants to know before the entries. It makes room by the map's size: twice the file, and 16 MiB at least.
fn header(session: &Session<'_>, name: &str, format: Format) -> String {
    let format = if format == Format::Print { "print" } else { "bytevalue" };
    let map = (session.view().checkpoint().head.file_bytes * 2).next_multiple_of(1 << 20).max(16 << 20);
    format!(
        "VERSION=3\nformat={format}\ndatabase={name}\ntype=btree\nmapsize={map}\nmaxreaders=126\ndb_pagesize=4096\nHEADER=END\n"
    )
}

/// Printable characters as they are, a backslash doubled, everything else as a backslash and two hexadecimal digits.
fn escape(bytes: &[u8], line: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b' '..=b'~' => line.push(byte),
            _ => {
                line.push(b'\\');
                line.extend_from_slice(hex(&[byte]).as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_printable_is_escaped() {
        let mut line = Vec::new();
        escape(b"a\\b\n\xff c", &mut line);
        assert_eq!(line, b"a\\\\b\\0a\\ff c");
    }
}
