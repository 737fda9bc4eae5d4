//! The bytes of a page with their meaning.

use crate::Context;
use crate::inspect::{Decoded, RegionLine, hex};
use crate::output::Look;
use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// The longest part that is dumped, in bytes.
const MOST_DUMPED: usize = 64 << 10;

/// Up to 16 bytes of one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DumpLine {
    /// Where they begin, from the start of the first slot.
    pub offset: usize,
    /// The bytes in hexadecimal; empty if they are hidden.
    pub hex: String,
    /// How many there are.
    pub bytes: usize,
    /// The region.
    pub region: &'static str,
    /// The entry that they belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<usize>,
}

/// The bytes, region by region.
pub(super) fn dump(bytes: &[u8], decoded: &Decoded, context: &Context) -> Vec<DumpLine> {
    let whole = [RegionLine { start: 0, end: bytes.len(), region: "unknown", entry: None }];
    let regions = if decoded.regions.is_empty() { &whole[..] } else { &decoded.regions };
    let mut lines = Vec::new();
    let shown = &bytes[..bytes.len().min(MOST_DUMPED)];
    for region in regions {
        let is_private =
            !matches!(region.region, "version header" | "header" | "slots" | "children" | "item" | "zero" | "checksum");
        let is_hidden = context.privacy.redact && is_private;
        let mut at = region.start;
        while at < region.end.min(shown.len()) {
            // Lines end at multiples of 16, so that offsets can be read down the page.
            let end = (at + 16 - at % 16).min(region.end).min(shown.len());
            let hex = if is_hidden { String::new() } else { hex(&shown[at..end]) };
            lines.push(DumpLine { offset: at, hex, bytes: end - at, region: region.region, entry: region.entry });
            at = end;
        }
    }
    lines
}

/// The lines as text.
pub(super) fn dump_text(dump: &[DumpLine], look: Look) -> String {
    let mut out = String::new();
    let mut before: Option<(&str, Option<usize>)> = None;
    let mut is_skipping = false;
    for (number, line) in dump.iter().enumerate() {
        // Of many lines of zeros the first and the last are enough.
        let is_zeros =
            |line: &DumpLine| line.bytes == 16 && line.hex.len() == 32 && line.hex.bytes().all(|digit| digit == b'0');
        let is_same =
            |other: Option<&DumpLine>| other.is_some_and(|other| is_zeros(other) && other.region == line.region);
        if is_zeros(line) && is_same(number.checked_sub(1).map(|at| &dump[at])) && is_same(dump.get(number + 1)) {
            if !is_skipping {
                out += "*\n";
            }
            is_skipping = true;
            continue;
        }
        is_skipping = false;
        let digits: String = (0..line.bytes)
            .map(|index| line.hex.get(index * 2..index * 2 + 2).map_or("·· ".to_owned(), |pair| format!("{pair} ")))
            .collect();
        let is_printable = |byte: u8| (b' '..=b'~').contains(&byte);
        let characters: String = (0..line.bytes)
            .map(|index| {
                let byte = line.hex.get(index * 2..index * 2 + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
                byte.filter(|byte| is_printable(*byte)).map_or('.', char::from)
            })
            .collect();
        let label = match (before == Some((line.region, line.entry)), line.entry) {
            (true, _) => String::new(),
            (false, Some(entry)) => format!("{} {entry}", line.region),
            (false, None) => line.region.to_owned(),
        };
        before = Some((line.region, line.entry));
        let style = style_of(line.region);
        // Where the line begins within its sixteen.
        let (lead, lead_text) = ("   ".repeat(line.offset % 16), " ".repeat(line.offset % 16));
        let hex = look.paint(format!("{lead}{digits}").trim_end(), style);
        let pad = " ".repeat(48_usize.saturating_sub(lead.len() + digits.trim_end().len()));
        let shown = format!(
            "{:08x}  {hex}{pad} |{lead_text}{characters:<width$}| {label}",
            line.offset,
            width = 16 - lead_text.len()
        );
        out += shown.trim_end();
        out.push('\n');
    }
    out
}

fn style_of(region: &str) -> Style {
    match region {
        "version header" | "checksum" => AnsiColor::Magenta.on_default(),
        "header" => AnsiColor::Cyan.on_default(),
        "prefix" => AnsiColor::Green.on_default().bold(),
        "heads" | "slots" | "children" | "item" => AnsiColor::Blue.on_default(),
        "cell" | "value" => AnsiColor::Green.on_default(),
        _ => AnsiColor::BrightBlack.on_default(),
    }
}
