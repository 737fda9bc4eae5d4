//! Plots: what each figure costs in terms of the best peer, and how get and commit grow with the store.

use crate::engine::Kind;
use crate::results::Row;
use crate::workloads::growth::SIZES;
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use std::path::Path;

const RATIOS: &str = "ratios.svg";
const GROWTH_OF_GET: &str = "growth-get.svg";
const GROWTH_OF_COMMIT: &str = "growth-commit.svg";
const FONT: &str = "sans-serif";

/// The plots that these rows allow, with their titles.
#[must_use]
pub fn names(rows: &[Row]) -> Vec<(&'static str, &'static str)> {
    let mut names = Vec::new();
    if rows.iter().any(is_ratio) {
        names.push((RATIOS, "Costs in terms of the best peer"));
    }
    for (name, title, prefix) in growths() {
        if rows.iter().any(|row| row.metric.id.starts_with(prefix)) {
            names.push((name, title));
        }
    }
    names
}

/// Draws them into a folder, which is made if it is missing.
///
/// # Errors
/// When a file cannot be written.
pub fn draw(rows: &[Row], dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    for (name, title) in names(rows) {
        let path = dir.join(name);
        let drawn = match growths().iter().find(|(other, _, _)| *other == name) {
            Some((_, _, prefix)) => growth(rows, &path, title, prefix),
            None => ratios(rows, &path, title),
        };
        drawn.map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))?;
    }
    Ok(())
}

fn growths() -> [(&'static str, &'static str, &'static str); 2] {
    [
        (GROWTH_OF_GET, "Random get, by the number of entries", "growth.get."),
        (GROWTH_OF_COMMIT, "Single durable commit, by the number of entries", "growth.commit."),
    ]
}

fn is_ratio(row: &Row) -> bool {
    row.best_peer.is_some() && !row.metric.id.starts_with("growth.")
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// A bar for each figure on a scale of powers of two, from one to the left if this engine is ahead.
fn ratios(rows: &[Row], path: &Path, title: &str) -> Drawn {
    let rows: Vec<&Row> = rows.iter().filter(|row| is_ratio(row)).collect();
    let height = 90 + 20 * rows.len() as u32;
    let root = SVGBackend::new(path, (1000, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let last = rows.len() as f64;
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("{title} (to the left of 1: ahead)"), (FONT, 18))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(410)
        .build_cartesian_2d(-5f64..7f64, 0f64..last)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .max_light_lines(0)
        .disable_y_axis()
        .y_labels(0)
        .x_label_formatter(&|power| {
            if *power < 0.0 { format!("1/{}", (-power).exp2()) } else { power.exp2().to_string() }
        })
        .draw()?;
    for (number, row) in rows.iter().enumerate() {
        let Some((peer, cost)) = row.best_peer else { continue };
        let y = last - number as f64;
        let end = cost.log2().clamp(-5.0, 5.0);
        let colour = if cost <= 1.0 { RGBColor(46, 125, 80) } else { RGBColor(190, 80, 50) };
        chart.draw_series([Rectangle::new([(0.0, y - 0.2), (end, y - 0.8)], colour.filled())])?;
        let text = format!("{cost:.2} of {}", peer.name());
        let x = if end < 0.0 { 0.05 } else { end + 0.05 };
        chart.draw_series([Text::new(text, (x, y - 0.25), (FONT, 12))])?;
        // Names stand left of the plot, at the height of their bar.
        let (_, pixel) = chart.backend_coord(&(0.0, y - 0.25));
        root.draw(&Text::new(row.metric.title, (12, pixel), (FONT, 12)))?;
    }
    root.present()?;
    Ok(())
}

/// A line for each engine, both scales logarithmic.
fn growth(rows: &[Row], path: &Path, title: &str, prefix: &str) -> Drawn {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.metric.id.starts_with(prefix)).collect();
    let size = |row: &Row| {
        let found = SIZES.iter().find(|(_, get, commit)| [get.id, commit.id].contains(&row.metric.id));
        found.map_or(1, |(size, _, _)| *size) as f64
    };
    let values = || rows.iter().flat_map(|row| row.engines.iter().map(|(_, summary)| summary.median));
    let (low, high) =
        values().fold((f64::MAX, 1.0), |(low, high): (f64, f64), value| (low.min(value), high.max(value)));
    let root = SVGBackend::new(path, (800, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, (FONT, 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(80)
        .build_cartesian_2d((8e3..1.3e7).log_scale(), (low * 0.8..high * 1.3).log_scale())?;
    let unit = rows.first().map(|row| row.metric.unit);
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_desc("entries")
        .x_label_formatter(&|size: &f64| format!("10^{:.0}", size.log10()))
        .y_label_formatter(&|value| unit.map_or(String::new(), |unit| unit.show(*value)))
        .draw()?;
    for (number, kind) in Kind::MAPS.iter().enumerate() {
        let points: Vec<(f64, f64)> = rows.iter().filter_map(|row| Some((size(row), row.median(*kind)?))).collect();
        if points.is_empty() {
            continue;
        }
        let colour = Palette99::pick(number).to_rgba();
        let width = if *kind == Kind::Pentimento { 4 } else { 2 };
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(width)))?
            .label(kind.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(width)));
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .position(SeriesLabelPosition::UpperLeft)
        .draw()?;
    root.present()?;
    Ok(())
}
