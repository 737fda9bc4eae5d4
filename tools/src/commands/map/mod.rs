//! `pent map`: the file as a picture, a cell a slot or a group of slots.

mod html;
mod picture;
mod svg;
mod terminal;

pub use picture::{Class, Part, Picture, TreeNames};

use super::{StoreArg, help};
use crate::inspect::{Forest, Past, StoreFile, Survey};
use crate::{Context, Error, Result, output};
use clap::ValueEnum;
use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = help!(
    "\
Uses of a slot:
  meta      the two metas
  table     the page table
  current   a version that the newest checkpoint has
  named     what only named snapshots need: versions, table pages, their list
  retained  an older version that a reader, or the checkpoint, still needs
  newer     a version for the next checkpoint
  free      nothing that anybody needs
  unknown   nothing that the checkpoint has; the store is in use or was interrupted,
            and nobody tells what its readers need, or its named snapshots are damaged

Where there are no colours a cell is a letter: M meta, T table, # current,
@ named, r retained, n newer, . free, ? unknown; by tree: a letter for each tree; by age
and by fill: a digit, 9 being the youngest or the fullest.

The page that --html makes needs no other file and no network: zoom with the
wheel, hover for details, click a page to see what is on it, switch between use,
tree, age and fill, and walk the trees beside it.

Examples:
  pent map app.pent                     in the terminal
  pent map app.pent --by age            which parts change, which stay
  pent map app.pent --svg map.svg       a picture for a document
  pent map app.pent --html map.html     a page to explore in a browser"
);

/// Draw the file as a map, in the terminal, as a picture, or as a page to explore.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// What the colours tell
    #[arg(long, value_enum, default_value_t = By::Use)]
    by: By,

    /// Write a picture to this file; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Write a page for a browser to this file; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// How many lines the map may have in the terminal
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rows: u16,
}

/// What the colours of a map tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// What each slot is used for
    Use,
    /// Which tree its page belongs to
    Tree,
    /// When its version was made
    Age,
    /// How full its page is
    Fill,
}

/// What `pent map` tells.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The newest commit of the checkpoint.
    pub checkpoint: u64,
    /// All slots of the file.
    pub slots: u64,
    /// Slots of each use.
    pub uses: Vec<UseReport>,
    /// The parts of the file, in order.
    pub parts: Vec<Part>,
    /// The trees that parts refer to by number.
    pub trees: Vec<String>,
    /// The files that were written.
    pub written: Vec<String>,
}

/// Slots of one use.
#[derive(Clone, Debug, Serialize)]
pub struct UseReport {
    /// The use.
    #[serde(rename = "use")]
    pub usage: Class,
    /// How many slots.
    pub slots: u64,
}

/// Runs `pent map`: draws, or writes the files that were asked for.
///
/// # Errors
/// When the file is no store or cannot be read, or a file cannot be written.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let file = args.store.open()?;
    let (picture, survey, forest) = draw(&file, context)?;
    let mut written = Vec::new();
    if let Some(path) = &args.svg {
        write(path, svg::render(&picture, args.by).as_bytes())?;
        written.push(path.display().to_string());
    }
    if let Some(path) = &args.html {
        write(path, html::render(&picture, &survey, &forest, &file, context)?.as_bytes())?;
        written.push(path.display().to_string());
    }
    if context.json {
        return output::print_json(&report(&picture, written));
    }
    if written.is_empty() {
        return output::print(&terminal::render(&picture, args.by, usize::from(args.rows), context.look));
    }
    output::print(&written.iter().map(|path| format!("{path}\n")).collect::<String>())
}

/// The picture of a store, with what it was drawn from.
///
/// # Errors
/// When the file is no store or cannot be read.
pub fn draw(file: &StoreFile, context: &Context) -> Result<(Picture, Survey, Forest)> {
    let (survey, forest) = super::survey(file, false, context)?;
    let past = Past::of(file, survey.checkpoint.clone())?;
    let picture = Picture::of(&survey, &forest, &past, file.name());
    Ok((picture, survey, forest))
}

/// A picture as an SVG document.
#[must_use]
pub fn to_svg(picture: &Picture, by: By) -> String {
    svg::render(picture, by)
}

/// A picture as a page for a browser.
///
/// # Errors
/// When pages cannot be read.
pub fn to_html(
    picture: &Picture,
    survey: &Survey,
    forest: &Forest,
    file: &StoreFile,
    context: &Context,
) -> Result<String> {
    html::render(picture, survey, forest, file, context)
}

/// The picture as figures.
#[must_use]
pub fn report(picture: &Picture, written: Vec<String>) -> Report {
    Report {
        checkpoint: picture.checkpoint,
        slots: picture.slots,
        uses: picture.uses().into_iter().map(|(usage, slots)| UseReport { usage, slots }).collect(),
        parts: picture.parts.clone(),
        trees: picture.trees.names.clone(),
        written,
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = File::create(path).and_then(|mut file| file.write_all(bytes));
    written.map_err(Error::io("write", path))
}
