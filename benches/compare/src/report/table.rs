//! The table on the terminal.

use crate::engine::Kind;
use crate::results::Row;
use comfy_table::{Cell, CellAlignment, Color, Table, presets};

/// The engines that took part, this project's first.
#[must_use]
pub fn columns(rows: &[Row]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = rows.iter().flat_map(|row| row.engines.iter().map(|(kind, _)| *kind)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Medians with their spread below them, the ratio to the best peer, and the goal with what it got.
#[must_use]
pub fn render(rows: &[Row]) -> String {
    let kinds = columns(rows);
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    let mut header = vec!["figure".to_owned()];
    header.extend(kinds.iter().map(|kind| kind.name().to_owned()));
    header.extend(["of the best peer", "goal"].map(str::to_owned));
    table.set_header(header);
    for row in rows {
        let mut cells = vec![Cell::new(format!("{}\n{}", row.metric.title, row.metric.id))];
        for kind in &kinds {
            let summary = row.engines.iter().find(|(other, _)| other == kind);
            let text = summary.map_or(String::new(), |(_, summary)| {
                let show = |value| row.metric.unit.show(value);
                let median = show(summary.median);
                // One round has no spread.
                if summary.min == summary.max {
                    return median;
                }
                format!("{median}\n{}..{}", show(summary.min).replace(' ', ""), show(summary.max).replace(' ', ""))
            });
            cells.push(Cell::new(text).set_alignment(CellAlignment::Right));
        }
        let best = row.best_peer.map_or(String::new(), |(kind, cost)| format!("{cost:.2} of\n{}", kind.name()));
        cells.push(Cell::new(best).set_alignment(CellAlignment::Right));
        cells.push(row.verdict.as_ref().map_or(Cell::new(""), |verdict| {
            let (mark, colour) = if verdict.passed { ("PASS", Color::Green) } else { ("SHORT", Color::Red) };
            let text = format!("{mark} {:.2}\n{:.2} {}", verdict.reached, verdict.goal, verdict.against);
            Cell::new(text).fg(colour)
        }));
        table.add_row(cells);
    }
    table.to_string()
}

/// One line that says how many goals were reached, and which were not.
#[must_use]
pub fn verdict(rows: &[Row]) -> String {
    let judged: Vec<_> = rows.iter().filter_map(|row| Some((row.metric.id, row.verdict.as_ref()?))).collect();
    let short: Vec<_> = judged.iter().filter(|(_, verdict)| !verdict.passed).map(|(id, _)| *id).collect();
    let reached = judged.len() - short.len();
    let short = if short.is_empty() { String::new() } else { format!("; short: {}", short.join(", ")) };
    format!("{reached} of {} goals reached{short}", judged.len())
}
