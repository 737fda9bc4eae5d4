//! Where reports go: the standard output, for people or for programs.

use crate::{Error, Result};
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, presets};
use serde::Serialize;
use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};

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

/// Prints one JSON object.
pub(crate) fn print_json(report: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(report).map_err(|error| Error::Output(error.into()))?;
    text.push('\n');
    print(&text)
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
