//! Where reports go: the standard output, for people or for programs.

use crate::{Error, Result};
use anstyle::{AnsiColor, Style};
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, presets};
use serde::Serialize;
use std::env;
use std::fmt::Display;
use std::fmt::Write as _;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};

/// What a cell says besides its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Plain,
    Good,
    Bad,
}

/// Writes to the standard output. A reader that has gone away is no error: it has seen enough.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

/// Writes a long text to the standard output, piece by piece.
pub(crate) struct Stream {
    out: BufWriter<io::StdoutLock<'static>>,
    is_closed: bool,
}

impl Stream {
    pub fn new() -> Stream {
        Stream { out: BufWriter::with_capacity(64 << 10, io::stdout().lock()), is_closed: false }
    }

    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.out.write_all(bytes);
        self.note(written)
    }

    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_string(value).map_err(|error| Error::Output(error.into()))?;
        text.push('\n');
        self.write(text.as_bytes())
    }

    pub fn finish(mut self) -> Result<()> {
        let flushed = self.out.flush();
        self.note(flushed)
    }

    fn note(&mut self, result: io::Result<()>) -> Result<()> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.is_closed = true,
            Err(error) => return Err(Error::Output(error)),
            Ok(()) => {}
        }
        Ok(())
    }
}

/// Prints one JSON object.
pub(crate) fn print_json(report: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(report).map_err(|error| Error::Output(error.into()))?;
    text.push('\n');
    print(&text)
}

/// A table of names, figures and remarks, being filled.
pub(crate) struct Facts {
    look: Look,
    table: Table,
}

impl Facts {
    pub fn row(&mut self, name: &str, figure: impl Into<String>, remark: &str) {
        self.table.add_row(vec![Cell::new(name), self.look.figure(figure, Mood::Plain), Cell::new(remark)]);
    }

    pub fn finish(self) -> String {
        self.table.trim_fmt()
    }
}

/// A bar of so many of `width` characters.
pub(crate) fn bar(part: u64, most: u64, width: usize) -> String {
    let mut out = String::new();
    let eighths = if most == 0 { 0 } else { (part as f64 * width as f64 * 8.0 / most as f64).round() as usize };
    for _ in 0..eighths / 8 {
        out.push('█');
    }
    if !eighths.is_multiple_of(8) {
        let _ = write!(out, "{}", ['▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8 - 1]);
    } else if part > 0 && eighths == 0 {
        out.push('▏');
    }
    out
}

/// How tables look here: framed on a terminal, columns of plain text elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    framed: bool,
    coloured: bool,
}

impl Look {
    /// What suits the standard output and the user's wishes.
    pub fn of_stdout() -> Look {
        let framed = io::stdout().is_terminal();
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Look { framed, coloured: framed && !no_color && !is_dumb }
    }

    /// An empty table.
    pub fn table(self) -> Table {
        let mut table = Table::new();
        if self.framed {
            let mut style = presets::UTF8_HORIZONTAL_ONLY;
            style.row_separator = LineStyle::none();
            table.load_style(style).set_content_arrangement(ContentArrangement::Dynamic);
        } else {
            table.load_style(presets::NOTHING).force_no_tty();
        }
        table
    }

    /// Whether colours suit the output.
    pub fn is_coloured(self) -> bool {
        self.coloured
    }

    /// How many columns a line may have: those of the terminal, or enough for a file.
    pub fn width(self) -> usize {
        let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let found = if self.framed { self.table().width().map(usize::from).or(columns) } else { columns };
        found.unwrap_or(120).clamp(40, 400)
    }

    /// Text in a style, where there are colours.
    pub fn paint(self, text: impl Display, style: Style) -> String {
        if self.coloured { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// Text that warns.
    pub fn bad(self, text: &str) -> String {
        self.paint(text, AnsiColor::Red.on_default().bold())
    }

    /// A heading that is not in a table.
    pub fn title(self, text: &str) -> String {
        self.paint(text, AnsiColor::Cyan.on_default().bold())
    }

    /// An answer.
    pub fn yes(self, is_so: bool) -> &'static str {
        if is_so { "yes" } else { "no" }
    }

    /// Headings of columns: the first to the left, the others to the right; the last, if it is empty, is for remarks.
    pub fn headings(self, names: &[&str]) -> Vec<Cell> {
        let aligned = |(index, name): (usize, &&str)| {
            let cell = self.heading(name);
            if index == 0 { cell } else { cell.set_alignment(CellAlignment::Right) }
        };
        names.iter().enumerate().map(aligned).collect()
    }

    /// A remark that may be good or bad news.
    pub fn remark(self, text: impl Into<String>, mood: Mood) -> Cell {
        self.figure(text, mood).set_alignment(CellAlignment::Left)
    }

    /// A table of names, figures and remarks.
    pub fn facts(self, heading: &str) -> Facts {
        let mut table = self.table();
        table.set_header(vec![self.heading(heading), Cell::new(""), Cell::new("")]);
        Facts { look: self, table }
    }

    /// A heading across the table.
    pub fn heading(self, text: &str) -> Cell {
        let cell = Cell::new(text);
        if self.coloured { cell.add_attribute(Attribute::Bold).fg(Color::Cyan) } else { cell }
    }

    /// A figure.
    pub fn figure(self, text: impl Into<String>, mood: Mood) -> Cell {
        let cell = Cell::new(text.into()).set_alignment(CellAlignment::Right);
        match mood {
            Mood::Good if self.coloured => cell.fg(Color::Green),
            Mood::Bad if self.coloured => cell.fg(Color::Red).add_attribute(Attribute::Bold),
            _ => cell,
        }
    }
}
