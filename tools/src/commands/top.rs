//! `pent top`: a store that is in use, watched.

use super::{StoreArg, help};
use crate::format::{bytes, count, seconds};
use crate::inspect::{Checkpoint, Journal, LiveReport, SlotMap, SlotUse, StoreFile};
use crate::{Context, Error, Result, output};
use pentimento_storage::SLOT_BYTES;
use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend, TestBackend};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Gauge, Paragraph, Row, Sparkline, Table};
use serde::Serialize;
use std::collections::VecDeque;
use std::env;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// How many rates the curve remembers.
const REMEMBERED: usize = 240;

const AFTER_HELP: &str = help!(
    "\
It reads the files, and what the process that has the store open publishes once a
second: commits, pins with their labels, ages and bytes. Without that, there is
what the files tell. Press q to end, space to pause.

When the output is no terminal, or with --once, one picture is printed.

Examples:
  pent top app.pent                    watch it
  pent top app.pent --interval 0.5     more often
  pent top app.pent --once --json      the figures of this moment"
);

/// Watch a store that is in use: commits, pins with ages and bytes, journal, checkpoints.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    interval: f64,

    /// Print one picture, and end
    #[arg(long)]
    once: bool,
}

/// What `pent top` shows.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The store, as it was named.
    pub store: String,
    /// The newest commit that is in the data file.
    pub checkpoint: u64,
    /// The newest commit that the journal would bring back.
    pub newest: u64,
    /// Grows with each checkpoint.
    pub sequence: u64,
    /// The length of the file.
    pub file_bytes: u64,
    /// Bytes of slots that the checkpoint uses.
    pub used_bytes: u64,
    /// Files of the journal.
    pub journal_files: u64,
    /// Records that opening would do again.
    pub journal_pending: u64,
    /// Whether the store is closed.
    pub is_closed: bool,
    /// What the process publishes.
    pub live: Option<LiveReport>,
    /// Commits a second since the look before.
    pub commits_per_second: Option<f64>,
}

/// Runs `pent top`.
///
/// # Errors
/// When the file is no store or cannot be read, or the terminal fails.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let file = args.store.open()?;
    if !(0.05..=3600.0).contains(&args.interval) {
        return Err(Error::Usage("--interval must be between 0.05 and 3600 seconds".to_owned()));
    }
    if context.json {
        return output::print_json(&look(&file)?);
    }
    let mut watch = Watch::default();
    if args.once || !io::stdout().is_terminal() {
        watch.add(look(&file)?);
        return output::print(&frame(&watch, 100, 24)?);
    }
    let mut terminal = Screen::open()?;
    let every = Duration::from_secs_f64(args.interval);
    let mut is_paused = false;
    while !context.interrupt.is_asked() {
        let began = Instant::now();
        if !is_paused {
            watch.add(look(&file)?);
        }
        terminal.draw(&watch, is_paused)?;
        loop {
            let left = every.saturating_sub(began.elapsed()).min(Duration::from_millis(100));
            match key(left)? {
                Some(KeyCode::Char('q') | KeyCode::Esc) => return Ok(()),
                Some(KeyCode::Char(' ')) => is_paused = !is_paused,
                Some(KeyCode::Char('c')) => context.interrupt.ask(),
                _ => {}
            }
            if began.elapsed() >= every || context.interrupt.is_asked() {
                break;
            }
        }
    }
    Ok(())
}

/// The figures of this moment.
///
/// # Errors
/// When the file is no store or cannot be read.
pub fn look(file: &StoreFile) -> Result<Report> {
    let journal = Journal::read(file)?;
    let checkpoint = Checkpoint::read(file)?;
    let slots = SlotMap::of(&checkpoint);
    let live = LiveReport::read(file, &checkpoint)?;
    let at = checkpoint.timestamp().0;
    Ok(Report {
        store: file.name().to_owned(),
        checkpoint: at,
        newest: journal.newest.0.max(at),
        sequence: checkpoint.head.sequence(),
        file_bytes: checkpoint.head.file_bytes,
        used_bytes: slots.count(|usage| usage != SlotUse::Unreferenced) * SLOT_BYTES as u64,
        journal_files: journal.files.len() as u64,
        journal_pending: journal.newest.0.saturating_sub(at),
        is_closed: checkpoint.head.is_closed(),
        live,
        commits_per_second: None,
    })
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Watch {
    now: Option<(Instant, Report)>,
    rates: VecDeque<u64>,
}

impl Watch {
    fn add(&mut self, mut report: Report) {
        let now = Instant::now();
        let newest = |report: &Report| {
            report.live.as_ref().map_or(report.newest, |live| live.figure("installed").max(report.newest))
        };
        if let Some((then, before)) = &self.now {
            let elapsed = now.duration_since(*then).as_secs_f64().max(1e-3);
            let rate = newest(&report).saturating_sub(newest(before)) as f64 / elapsed;
            report.commits_per_second = Some(rate);
            self.rates.push_back(rate as u64);
            if self.rates.len() > REMEMBERED {
                self.rates.pop_front();
            }
        }
        self.now = Some((now, report));
    }
}

fn key(within: Duration) -> Result<Option<KeyCode>> {
    let failed = Error::Output;
    if !event::poll(within).map_err(failed)? {
        return Ok(None);
    }
    Ok(match event::read().map_err(failed)? {
        Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
            KeyCode::Char('c') if !key.modifiers.contains(KeyModifiers::CONTROL) => None,
            code => Some(code),
        },
        _ => None,
    })
}

/// The terminal, which is put back as it was however this ends.
struct Screen {
    terminal: Terminal<CrosstermBackend<io::Stdout>>,
}

impl Screen {
    fn open() -> Result<Screen> {
        enable_raw_mode().map_err(Error::Output)?;
        let mut screen =
            Screen { terminal: Terminal::new(CrosstermBackend::new(io::stdout())).map_err(Error::Output)? };
        execute!(screen.terminal.backend_mut(), EnterAlternateScreen).map_err(Error::Output)?;
        Ok(screen)
    }

    fn draw(&mut self, watch: &Watch, is_paused: bool) -> Result<()> {
        self.terminal.draw(|frame| paint(frame, watch, is_paused)).map(drop).map_err(Error::Output)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody to tell, and nothing else to try.
        let _ = execute!(self.terminal.backend_mut(), LeaveAlternateScreen);
        let _ = disable_raw_mode();
        let _ = self.terminal.show_cursor();
    }
}

/// One picture as text.
fn frame(watch: &Watch, width: u16, height: u16) -> Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height))
        .map_err(|never| Error::Output(io::Error::other(never.to_string())))?;
    let drawn = terminal.draw(|frame| paint(frame, watch, false));
    drawn.map_err(|never| Error::Output(io::Error::other(never.to_string())))?;
    let size = terminal.backend().size().map_err(|never| Error::Output(io::Error::other(never.to_string())))?;
    let buffer = terminal.backend().buffer();
    let mut out = String::new();
    for row in 0..size.height {
        let line: String = (0..size.width).map(|column| buffer[(column, row)].symbol()).collect();
        out += line.trim_end();
        out.push('\n');
    }
    Ok(out.trim_end().to_owned() + "\n")
}

fn paint(frame: &mut ratatui::Frame<'_>, watch: &Watch, is_paused: bool) {
    let Some((_, report)) = &watch.now else { return };
    let areas =
        Layout::vertical([Constraint::Length(1), Constraint::Length(7), Constraint::Length(5), Constraint::Min(4)]);
    let [head, figures, curve, pins] = areas.areas(frame.area());
    let state = match (&report.live, report.is_closed) {
        (_, true) => "closed".to_owned(),
        (Some(live), _) => format!("in use by process {}", live.pid),
        (None, _) => "in use or interrupted; no process publishes figures".to_owned(),
    };
    let style = style();
    let mut title = vec![Span::styled(report.store.clone(), style.heading), Span::raw(format!("  {state}"))];
    if is_paused {
        title.push(Span::styled("  paused", style.warning));
    }
    frame.render_widget(Paragraph::new(Line::from(title)), head);
    paint_figures(frame, figures, report);
    let rate = report
        .commits_per_second
        .map_or_else(|| "commits a second".to_owned(), |rate| format!("commits a second: {}", count(rate as u64)));
    let rates: Vec<u64> = watch.rates.iter().copied().rev().take(curve.width.saturating_sub(2) as usize).collect();
    let rates: Vec<u64> = rates.into_iter().rev().collect();
    let block = Block::default().borders(Borders::ALL).title(rate);
    frame.render_widget(Sparkline::default().block(block).data(&rates).style(style.good), curve);
    paint_pins(frame, pins, report);
}

fn paint_figures(frame: &mut ratatui::Frame<'_>, area: Rect, report: &Report) {
    let [left, middle, right] = Layout::horizontal([Constraint::Ratio(1, 3); 3]).areas(area);
    let lines = |pairs: &[(&str, String)]| -> Vec<Line<'static>> {
        pairs.iter().map(|(name, value)| Line::from(format!("{name:<16}{value:>12}"))).collect()
    };
    let figure = |name: &str| report.live.as_ref().map(|live| live.figure(name));
    let or_none = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), count);
    let size = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), bytes);
    let block = |title: &'static str| Block::default().borders(Borders::ALL).title(title);
    let commits = lines(&[
        ("installed", or_none(figure("installed"))),
        ("published", or_none(figure("published"))),
        ("durable", or_none(figure("durable"))),
        ("in the file", count(report.checkpoint)),
        ("in the journal", count(report.newest)),
    ]);
    frame.render_widget(Paragraph::new(commits).block(block("Commits")), left);
    let [top, gauge] = Layout::vertical([Constraint::Min(6), Constraint::Length(1)]).areas(middle);
    let store = lines(&[
        ("file", bytes(report.file_bytes)),
        ("checkpoint uses", bytes(report.used_bytes)),
        ("old versions", size(figure("slots_retained").map(|slots| slots * SLOT_BYTES as u64))),
        ("in memory", size(figure("frame_bytes"))),
    ]);
    frame.render_widget(Paragraph::new(store).block(block("Store")), top);
    let (done, all) = (figure("checkpoint_versions_done").unwrap_or(0), figure("checkpoint_versions").unwrap_or(0));
    let is_running = figure("checkpoint_running").is_some_and(|at| at > 0);
    if is_running {
        let ratio = if all == 0 { 0.0 } else { (done as f64 / all as f64).clamp(0.0, 1.0) };
        frame.render_widget(Gauge::default().ratio(ratio).label("checkpoint"), gauge);
    }
    let journal = lines(&[
        ("files", count(report.journal_files)),
        ("to do again", count(report.journal_pending)),
        ("records", or_none(figure("journal_records"))),
        ("syncs", or_none(figure("journal_syncs"))),
        ("checkpoints", or_none(figure("checkpoints"))),
    ]);
    frame.render_widget(Paragraph::new(journal).block(block("Journal")), right);
}

fn paint_pins(frame: &mut ratatui::Frame<'_>, area: Rect, report: &Report) {
    let style = style();
    let header = Row::new(["pin", "behind", "age", "versions", "bytes", "who"]).style(style.heading);
    let newest = report.live.as_ref().map_or(report.newest, |live| live.figure("installed"));
    let rows = report.live.iter().flat_map(|live| &live.pins).map(|pin| {
        let age = pin.readers.iter().map(|reader| reader.age_ms).max();
        let mut who: Vec<String> = Vec::new();
        who.extend(pin.is_checkpoint.then(|| "durable checkpoint".to_owned()));
        who.extend(pin.readers.iter().map(|reader| reader.label.clone().unwrap_or_else(|| "a snapshot".to_owned())));
        Row::new([
            Cell::from(format!("@{}", pin.at)),
            Cell::from(count(newest.saturating_sub(pin.at))),
            Cell::from(age.map_or_else(|| "-".to_owned(), |ms| seconds(ms as f64 / 1e3))),
            Cell::from(count(pin.versions)),
            Cell::from(bytes(pin.bytes)),
            Cell::from(who.join(", ")),
        ])
    });
    let widths = [12, 10, 10, 10, 11].map(Constraint::Length).into_iter().chain([Constraint::Min(10)]);
    let table = Table::new(rows, widths).header(header).block(Block::default().borders(Borders::ALL).title("Pins"));
    frame.render_widget(table, area);
}

struct Styles {
    heading: Style,
    good: Style,
    warning: Style,
}

fn style() -> Styles {
    let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let coloured = |colour: Color| if no_color { Style::new() } else { Style::new().fg(colour) };
    Styles {
        heading: coloured(Color::Cyan).add_modifier(Modifier::BOLD),
        good: coloured(Color::Green),
        warning: coloured(Color::Yellow),
    }
}
