//! The commands that look into a store: a module for each, with its arguments, its report, and how the report is printed.

pub mod backup;
pub mod check;
pub mod compact;
pub mod copy;
pub mod diff;
mod diff_moments;
pub mod dump;
pub mod entries;
pub mod history;
pub mod info;
pub mod journal;
pub mod load;
pub mod map;
pub mod page;
pub mod pages;
pub mod path;
pub mod receive;
pub mod repair;
pub mod snapshots;
pub mod stat;
pub mod top;
pub mod tree;

use crate::inspect::{Forest, Problem, StoreFile, Survey};
use crate::{Context, Error, Result};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// Appends the exit codes to the examples of a command.
macro_rules! help {
    ($($text:expr),+ $(,)?) => {
        concat!(
            $($text,)+
            "\n\nExit codes:\n",
            "  0    everything went well\n",
            "  1    damage or a difference was found, or what was asked for is not there\n",
            "  2    the command line cannot be carried out: no such file, not a store, ...\n",
            "  130  interrupted, by Ctrl-C for example"
        )
    };
}
pub(crate) use help;

/// The store that a command looks into.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreArg {
    /// The file of the store; it may be in use, or damaged, and is only read
    #[arg(value_name = "STORE")]
    pub(crate) store: PathBuf,
}

impl StoreArg {
    pub(crate) fn open(&self) -> Result<StoreFile> {
        StoreFile::open(&self.store)
    }
}

/// The store that a command writes to, and what it reads for it.
#[derive(Clone, Debug, clap::Args)]
pub struct IntoStoreArgs {
    /// The file of the store, which is made if it is missing; nobody else may have it open
    #[arg(value_name = "STORE")]
    pub(crate) store: PathBuf,

    /// Read this file instead of the standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
}

impl IntoStoreArgs {
    /// The file, or the standard input.
    pub(crate) fn open_input(&self) -> Result<Box<dyn Read>> {
        Ok(match &self.input {
            Some(path) => Box::new(File::open(path).map_err(Error::io("open", path))?),
            None => Box::new(io::stdin().lock()),
        })
    }
}

/// A key on the command line: its text, or `hex:` and hexadecimal digits.
pub(crate) fn parse_key(text: &str) -> Result<Vec<u8>, String> {
    let Some(digits) = text.strip_prefix("hex:") else { return Ok(text.as_bytes().to_vec()) };
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("after hex: there must be an even number of hexadecimal digits".to_owned());
    }
    let pairs = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16));
    pairs.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Every page and every tree of a store.
pub(crate) fn survey(file: &StoreFile, detail: bool, context: &Context) -> Result<(Survey, Forest)> {
    let meter = context.meter("reading pages");
    let survey = Survey::read(file, detail, &context.interrupt, &|bytes, total| meter.seen(bytes, total))?;
    let forest = Forest::grow(&survey);
    Ok((survey, forest))
}

/// All problems of survey and trees, each once, in order.
pub(crate) fn problems(survey: &Survey, forest: &Forest) -> Vec<Problem> {
    let mut problems: Vec<Problem> = survey.problems.iter().chain(&forest.problems).cloned().collect();
    problems.sort();
    problems.dedup();
    problems
}

/// How a command ends that found these problems.
pub(crate) fn verdict(problems: &[Problem]) -> Result<()> {
    match problems.len() {
        0 => Ok(()),
        1 => Err(Error::Found("a problem was found".to_owned())),
        count => Err(Error::Found(format!("{count} problems were found"))),
    }
}

/// The problems as text, or nothing.
pub(crate) fn problem_lines(problems: &[Problem], look: crate::output::Look) -> String {
    let mut out = String::new();
    if !problems.is_empty() {
        out += &format!("\n{}\n", look.bad("Problems:"));
    }
    for problem in problems {
        out += &format!("  {problem}\n");
    }
    out
}
