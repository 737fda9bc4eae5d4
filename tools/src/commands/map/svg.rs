//! The map as a picture.

use super::By;
use super::picture::{Class, Picture, colour_of, scale_colour, tree_colour};
use crate::format::{bytes, count};
use pentimento_storage::SLOT_BYTES;
use std::fmt::Write;

/// The width of the map. Cells of small files are larger.
const WIDTH: u64 = 1024;
/// Rows at most: files with more slots have several slots in a cell.
const ROWS: u64 = 96;
/// The room around the map, and the height of a line of text.
const MARGIN: u64 = 24;
const LINE: u64 = 22;

pub(super) fn render(picture: &Picture, by: By) -> String {
    let columns: u64 = if picture.slots <= 64 * ROWS { 64 } else { 128 };
    let side = WIDTH / columns;
    let per_cell = picture.slots.div_ceil(columns * ROWS).max(1);
    let cells = picture.cells(per_cell);
    let rows = (cells.len() as u64).div_ceil(columns);
    let births = picture.births();
    let legend = legend(picture, by, births);
    let top = MARGIN + 2 * LINE;
    let width = 2 * MARGIN + WIDTH;
    let height = top + rows * side + MARGIN + (legend.len() as u64).div_ceil(2) * LINE + MARGIN;
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"14\" role=\"img\">"
    );
    let _ = writeln!(out, "<title>{}</title>", escape(&picture.title(by)));
    let _ = writeln!(out, "<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>");
    let _ = writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"{}\" font-size=\"16\" font-weight=\"bold\">{}</text>",
        MARGIN + 8,
        escape(&picture.title(by))
    );
    let row_bytes = bytes(per_cell * columns * SLOT_BYTES as u64);
    let cell = bytes(per_cell * SLOT_BYTES as u64);
    let _ = writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"{}\" fill=\"#555\">a cell is {cell} of the file, a row {row_bytes}; it begins at the top left</text>",
        MARGIN + 8 + LINE
    );
    // Equal neighbours in a row are one rectangle.
    for (row, cells) in cells.chunks(columns as usize).enumerate() {
        let mut column = 0;
        while column < cells.len() {
            let colour = colour_of(picture, cells[column], by, births);
            let alike =
                cells[column..].iter().take_while(|part| colour_of(picture, part, by, births) == colour).count();
            let (x, y) = (MARGIN + column as u64 * side, top + row as u64 * side);
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>",
                alike as u64 * side,
                side - 1,
                hex(colour)
            );
            column += alike;
        }
    }
    for (number, (colour, text)) in legend.iter().enumerate() {
        let number = number as u64;
        let (x, y) = (MARGIN + number % 2 * (WIDTH / 2), top + rows * side + MARGIN + number / 2 * LINE);
        let _ = writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"14\" height=\"14\" fill=\"{}\"/>", hex(*colour));
        let _ = writeln!(out, "<text x=\"{}\" y=\"{}\">{}</text>", x + 22, y + 12, escape(text));
    }
    out + "</svg>\n"
}

fn legend(picture: &Picture, by: By, (oldest, youngest): (u64, u64)) -> Vec<([u8; 3], String)> {
    let meaning = |class: Class| match class {
        Class::Meta => "meta: which checkpoint is the newest",
        Class::Table => "table: where each page is",
        Class::Current => "current: the newest checkpoint's pages",
        Class::Named => "named: what only named snapshots need",
        Class::Retained => "retained: older versions that a reader still needs",
        Class::Newer => "newer: for the next checkpoint",
        Class::Free => "free",
        Class::Unknown => "unknown: free, or needed by a reader",
    };
    let share = |slots: u64| {
        format!("{} ({:.0} %)", bytes(slots * SLOT_BYTES as u64), slots as f64 * 100.0 / picture.slots.max(1) as f64)
    };
    match by {
        By::Use => picture
            .uses()
            .into_iter()
            .map(|(class, slots)| (class.colour(), format!("{}, {}", meaning(class), share(slots))))
            .collect(),
        By::Tree => {
            let names = picture.trees.names.iter().enumerate();
            names.map(|(number, name)| (tree_colour(number as u32), format!("tree {name}"))).collect()
        }
        By::Age => vec![
            (scale_colour(0.0), format!("made by commit {}", count(oldest))),
            (scale_colour(1.0), format!("made by commit {}", count(youngest))),
        ],
        By::Fill => vec![(scale_colour(0.0), "nearly empty".to_owned()), (scale_colour(1.0), "full".to_owned())],
    }
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
