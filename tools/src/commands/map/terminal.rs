//! The map in a terminal: coloured cells, or letters where there are no colours.

use super::By;
use super::picture::{Class, Part, Picture, colour_of, youth};
use crate::format::{bytes, count};
use crate::output::Look;
use anstyle::{Color, RgbColor, Style};
use pentimento_storage::SLOT_BYTES;

/// The columns before the cells: the number of the row's first slot.
const MARGIN: usize = 12;

pub(super) fn render(picture: &Picture, by: By, rows: usize, look: Look) -> String {
    let columns = (look.width() - MARGIN).min(128);
    let per_cell = picture.slots.div_ceil((columns * rows) as u64).max(1);
    let births = picture.births();
    let mut out = format!("{}\n", look.title(&picture.title(by)));
    out += &format!(
        "a cell is {}, a row {}\n\n",
        cell_text(per_cell),
        bytes(per_cell * columns as u64 * SLOT_BYTES as u64)
    );
    for (row, cells) in picture.cells(per_cell).chunks(columns).enumerate() {
        let mut line = format!("{:>width$} ", row as u64 * per_cell * columns as u64, width = MARGIN - 1);
        for part in cells {
            if look.is_coloured() {
                let cell = if part.usage == Class::Free { '·' } else { '█' };
                line += &look.paint(cell, Style::new().fg_color(Some(rgb(colour_of(picture, part, by, births)))));
            } else {
                line.push(letter(picture, part, by, births));
            }
        }
        out += line.trim_end();
        out.push('\n');
    }
    out.push('\n');
    out + &legend(picture, by, births, look)
}

fn cell_text(slots: u64) -> String {
    let size = bytes(slots * SLOT_BYTES as u64);
    if slots == 1 { format!("a slot ({size})") } else { format!("{} slots ({size})", count(slots)) }
}

fn rgb([r, g, b]: [u8; 3]) -> Color {
    Color::Rgb(RgbColor(r, g, b))
}

fn letter(picture: &Picture, part: &Part, by: By, births: (u64, u64)) -> char {
    let digit = |part: f64| char::from_digit((part * 9.99) as u32, 10).unwrap_or('9');
    let found = match by {
        By::Tree if part.is_version() => part.tree.map(tree_letter),
        By::Age if part.is_version() => part.birth.map(|birth| digit(youth(birth, births))),
        By::Fill => picture.fill(part).map(digit),
        _ => None,
    };
    found.unwrap_or_else(|| part.usage.letter())
}

fn tree_letter(tree: u32) -> char {
    char::from(b'a' + (tree % 26) as u8)
}

fn legend(picture: &Picture, by: By, (oldest, youngest): (u64, u64), look: Look) -> String {
    let mut out = String::new();
    for (class, slots) in picture.uses() {
        let mark = match look.is_coloured() {
            true => look.paint('█', Style::new().fg_color(Some(rgb(class.colour())))),
            false => class.letter().to_string(),
        };
        let share = slots as f64 * 100.0 / picture.slots.max(1) as f64;
        let name = class.name();
        out += &format!(
            "  {mark} {name:<9} {:>12} slots  {share:5.1} %  {}\n",
            count(slots),
            bytes(slots * SLOT_BYTES as u64)
        );
    }
    match by {
        By::Use => {}
        By::Tree => {
            for (number, name) in picture.trees.names.iter().enumerate() {
                let mark = match look.is_coloured() {
                    true => {
                        look.paint('█', Style::new().fg_color(Some(rgb(super::picture::tree_colour(number as u32)))))
                    }
                    false => tree_letter(number as u32).to_string(),
                };
                out += &format!("  {mark} tree {}\n", crate::format::text(name.as_bytes()));
            }
        }
        By::Age => out += &format!("  0 to 9: from commit {oldest} to commit {youngest}\n"),
        By::Fill => out += "  0 to 9: from empty to full\n",
    }
    out
}
