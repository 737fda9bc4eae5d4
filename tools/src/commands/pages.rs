//! `pent pages`: every page of the checkpoint, a line each.

use super::{StoreArg, help, problem_lines, problems, survey, verdict};
use crate::inspect::{Forest, Kind, Problem, StoreFile, Survey};
use crate::output::{Look, Mood};
use crate::{Context, Error, Result, format};
use clap::ValueEnum;
use comfy_table::Cell;
use pentimento_storage::inspect::Entry;
use pentimento_storage::{PageId, Run};
use serde::Serialize;
use std::str::FromStr;

const AFTER_HELP: &str = help!(
    "\
Ranges are written A..B: A or B may be missing, B itself is not in it. A single
number is a range of its own.

Examples:
  pent pages app.pent                              all pages, by number
  pent pages app.pent --tree orders --kind leaf    the leaves of one tree
  pent pages app.pent --fill ..25                  pages that are under a quarter full
  pent pages app.pent --slot 4000..4100            who is in this part of the file
  pent pages app.pent --birth 1200..               what changed since commit 1200
  pent pages app.pent --sort slot --json           all, in the order of the file"
);

/// List the pages: kind, slots, birth, fill, tree, parent.
///
/// Each page of the newest checkpoint is read and checked. Filters can be combined.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Only pages of this tree
    #[arg(long, value_name = "NAME")]
    tree: Option<String>,

    /// Only pages of this kind
    #[arg(long, value_enum)]
    kind: Option<KindArg>,

    /// Only pages that are so full, in percent of the page size
    #[arg(long, value_name = "A..B")]
    fill: Option<Span>,

    /// Only pages with one of these slots
    #[arg(long, value_name = "A..B")]
    slot: Option<Span>,

    /// Only pages whose version was made by one of these commits
    #[arg(long, value_name = "A..B")]
    birth: Option<Span>,

    /// The order of the list
    #[arg(long, value_enum, default_value_t = Sort::Page)]
    sort: Sort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// By page number
    Page,
    /// By place in the file
    Slot,
    /// By age, oldest first
    Birth,
    /// By fill, emptiest first
    Fill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KindArg {
    /// Nodes that hold entries
    Leaf,
    /// Nodes that lead to others
    Branch,
    /// Large values
    Large,
    /// What has become of leaves since they were written
    Delta,
    /// Numbers that stand in the page table
    Register,
    /// Pages that cannot be read, or are nothing that the format knows
    Damaged,
}

impl KindArg {
    fn has(self, kind: Kind) -> bool {
        match self {
            KindArg::Leaf => kind == Kind::Leaf,
            KindArg::Branch => kind == Kind::Branch,
            KindArg::Large => kind == Kind::Large,
            KindArg::Delta => kind == Kind::Delta,
            KindArg::Register => kind == Kind::Register,
            KindArg::Damaged => matches!(kind, Kind::Damaged | Kind::Unknown),
        }
    }
}

/// A range of numbers, half open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    from: u64,
    to: u64,
}

impl Span {
    fn contains(self, number: u64) -> bool {
        self.from <= number && number < self.to
    }

    fn meets(self, run: Run) -> bool {
        run.start < self.to && self.from < run.end()
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let number = |text: &str, default: u64| match text {
            "" => Ok(default),
            text => text
                .parse::<u64>()
                .map_err(|_| format!("{text:?} is not a number; write a range as 10..20, ..20 or 10..")),
        };
        match text.split_once("..") {
            Some((from, to)) => Ok(Span { from: number(from, 0)?, to: number(to, u64::MAX)? }),
            None => number(text, 0).map(|from| Span { from, to: from.saturating_add(1) }),
        }
    }
}

/// What `pent pages` tells.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The commit that the pages are of.
    pub checkpoint: u64,
    /// How many pages and registers there are, shown or not.
    pub total: u64,
    /// Those that were asked for.
    pub pages: Vec<PageLine>,
    /// What is wrong, filters or not.
    pub problems: Vec<Problem>,
}

/// One page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PageLine {
    /// Its number.
    pub page: u32,
    /// What it is.
    pub kind: Kind,
    /// Its first slot, unless it is a register.
    pub slot: Option<u64>,
    /// How many slots.
    pub slots: u64,
    /// The commit that made this version.
    pub birth: u64,
    /// Its used bytes.
    pub bytes: u32,
    /// The same as a part of the page size: more than 1 for large values.
    pub fill: f64,
    /// 0 for a leaf, else one more than the level of the children.
    pub level: Option<u8>,
    /// Entries, or separators; of a delta those whose cells it has, for its leaf counts all; the number itself for a register.
    pub entries: u64,
    /// The tree.
    pub tree: Option<String>,
    /// The node that refers to it, or the leaf whose delta it is.
    pub parent: Option<u32>,
}

/// Runs `pent pages`, and prints its report.
///
/// # Errors
/// When the file is no store or cannot be read, and if something is damaged, after the report.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let report = run(args, &args.store.open()?, context)?;
    context.print(&report, text)?;
    verdict(&report.problems)
}

/// The pages that were asked for.
///
/// # Errors
/// When the file is no store or cannot be read, or has no tree of the name that was asked for.
pub fn run(args: &Args, file: &StoreFile, context: &Context) -> Result<Report> {
    let (survey, forest) = survey(file, false, context)?;
    if let Some(name) = args.tree.as_deref().filter(|name| forest.find(name).is_none()) {
        return Err(Error::Usage(format!("there is no tree named {name:?}; see `pent info`")));
    }
    let all = lines(&survey, &forest);
    let total = all.len() as u64;
    let mut pages: Vec<PageLine> = all.into_iter().filter(|line| args.wants(line)).collect();
    match args.sort {
        Sort::Page => {}
        Sort::Slot => pages.sort_by_key(|line| line.slot),
        Sort::Birth => pages.sort_by_key(|line| line.birth),
        Sort::Fill => pages.sort_by(|one, two| one.fill.total_cmp(&two.fill)),
    }
    Ok(Report { checkpoint: survey.checkpoint.timestamp().0, total, pages, problems: problems(&survey, &forest) })
}

impl Args {
    fn wants(&self, line: &PageLine) -> bool {
        let run = line.slot.map(|start| Run { start, slots: line.slots });
        self.tree.as_ref().is_none_or(|tree| line.tree.as_ref() == Some(tree))
            && self.kind.is_none_or(|kind| kind.has(line.kind))
            && self.fill.is_none_or(|span| run.is_some() && span.contains((line.fill * 100.0) as u64))
            && self.slot.is_none_or(|span| run.is_some_and(|run| span.meets(run)))
            && self.birth.is_none_or(|span| span.contains(line.birth))
    }
}

/// A line for each page and register.
pub(crate) fn lines(survey: &Survey, forest: &Forest) -> Vec<PageLine> {
    let page_size = f64::from(survey.checkpoint.page_size());
    let mut lines = Vec::new();
    for (id, entry) in survey.checkpoint.entries.iter().enumerate() {
        let page = PageId(id as u32);
        let tree = forest.tree_of(page).map(|tree| tree.name.clone());
        let parent = forest.parent(page).map(|parent| parent.0);
        let (kind, run, birth) = match entry {
            Some(Entry::Version { run, birth, .. }) => (Kind::Damaged, Some(*run), *birth),
            Some(Entry::Register { birth, .. }) => (Kind::Register, None, *birth),
            _ => continue,
        };
        let facts = survey.page(page);
        let bytes = facts.map_or(0, |facts| facts.length);
        let kind = facts.map_or(kind, |facts| facts.kind);
        let is_node = matches!(kind, Kind::Leaf | Kind::Branch);
        lines.push(PageLine {
            page: page.0,
            kind,
            slot: run.map(|run| run.start),
            slots: run.map_or(0, |run| run.slots),
            birth: birth.0,
            bytes,
            fill: f64::from(bytes) / page_size,
            level: facts.filter(|_| is_node).map(|facts| facts.level),
            entries: match entry {
                Some(Entry::Register { value, .. }) => *value,
                _ => facts.map_or(0, |facts| u64::from(facts.entries)),
            },
            tree,
            parent,
        });
    }
    lines
}

fn text(report: &Report, look: Look) -> String {
    let mut table = look.table();
    let names = ["page", "kind", "level", "slots", "birth", "bytes", "fill", "entries", "parent", "tree"];
    let mut headings = look.headings(&names);
    headings[1] = look.heading("kind");
    headings[9] = look.heading("tree");
    table.set_header(headings);
    let plain = |text: String| look.figure(text, Mood::Plain);
    for line in &report.pages {
        let slots = match (line.slot, line.slots) {
            (None, _) => "-".to_owned(),
            (Some(slot), 1) => slot.to_string(),
            (Some(slot), slots) => format!("{slot}+{slots}"),
        };
        let has_bytes = line.bytes > 0;
        let mood = if matches!(line.kind, Kind::Damaged | Kind::Unknown) { Mood::Bad } else { Mood::Plain };
        table.add_row(vec![
            plain(line.page.to_string()).set_alignment(comfy_table::CellAlignment::Left),
            look.remark(line.kind.name(), mood),
            plain(line.level.map_or_else(|| "-".to_owned(), |level| level.to_string())),
            plain(slots),
            plain(line.birth.to_string()),
            plain(if has_bytes { format::count(u64::from(line.bytes)) } else { "-".to_owned() }),
            plain(if has_bytes { format!("{:.0} %", line.fill * 100.0) } else { "-".to_owned() }),
            plain(format::count(line.entries)),
            plain(line.parent.map_or_else(|| "-".to_owned(), |parent| parent.to_string())),
            Cell::new(line.tree.as_ref().map_or_else(|| "-".to_owned(), |tree| format::text(tree.as_bytes()))),
        ]);
    }
    let shown = report.pages.len() as u64;
    let tail = format!(
        "{} of {} pages, as of commit {}",
        format::count(shown),
        format::count(report.total),
        report.checkpoint
    );
    table.trim_fmt() + "\n\n" + &tail + "\n" + &problem_lines(&report.problems, look)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_half_open_and_may_lack_an_end() {
        let span = |text: &str| text.parse::<Span>().unwrap();
        assert!(span("10..20").contains(10) && !span("10..20").contains(20));
        assert!(span("..5").contains(0) && span("5..").contains(u64::MAX - 1));
        assert!(span("7").contains(7) && !span("7").contains(8));
        assert!(span("4..6").meets(Run { start: 5, slots: 4 }) && !span("4..5").meets(Run { start: 5, slots: 4 }));
        assert!("a..b".parse::<Span>().is_err());
    }
}
