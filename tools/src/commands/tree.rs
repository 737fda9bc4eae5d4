//! `pent tree`: how a tree is built.

use super::{StoreArg, help, problem_lines, problems, survey, verdict};
use crate::format::{bytes, count, text as clean};
use crate::inspect::{LevelFacts, Problem, Role, StoreFile, TreeFacts};
use crate::output::{Look, Mood, bar};
use crate::{Context, Error, Result};
use comfy_table::Cell;
use serde::Serialize;

const AFTER_HELP: &str = help!(
    "\
What it tells:
  levels         nodes, entries and fill of each level, leaves last
  fill           how many leaves use so much of the page size
  sizes          how long keys and values are, by powers of two
  large values   those that have pages of their own
  deltas         leaves that have changed since they were written: what is new is
                 on a small page beside each
  fragmentation  how often two leaves that are neighbours in the order of
                 keys do not follow each other in the file

Examples:
  pent tree app.pent                     all trees
  pent tree app.pent orders              one of them
  pent tree app.pent orders --json | jq .trees[0].fragmentation"
);

/// Tell how a tree is built: levels, fill, sizes, large values, fragmentation.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// The tree; all of them, the store's own included, if it is missing
    #[arg(value_name = "TREE")]
    tree: Option<String>,
}

/// What `pent tree` tells.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The commit that the trees are of.
    pub checkpoint: u64,
    /// The size that pages aim at.
    pub page_size: u32,
    /// The trees.
    pub trees: Vec<TreeReport>,
    /// What is wrong with any tree.
    pub problems: Vec<Problem>,
}

/// One tree.
#[derive(Clone, Debug, Serialize)]
pub struct TreeReport {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its root.
    pub root: u32,
    /// Entries that were found.
    pub entries: u64,
    /// Entries that its register counts.
    pub counted: Option<u64>,
    /// Its levels, the root first.
    pub levels: Vec<LevelReport>,
    /// How many leaves use 0 to under 10 %, 10 to under 20 %, ... of the page size.
    pub leaf_fill: [u64; 10],
    /// The lengths of keys.
    pub key_sizes: Vec<SizeClass>,
    /// The lengths of values.
    pub value_sizes: Vec<SizeClass>,
    /// How many values have pages of their own.
    pub large_values: u64,
    /// The used bytes of those.
    pub large_bytes: u64,
    /// How many leaves have a delta.
    pub deltas: u64,
    /// The used bytes of the deltas.
    pub delta_bytes: u64,
    /// Bytes in nodes that no entry uses.
    pub garbage_bytes: u64,
    /// Used bytes of all pages.
    pub used_bytes: u64,
    /// The bytes of all slots.
    pub slot_bytes: u64,
    /// From 0 to 1: how often neighbouring leaves lie apart in the file.
    pub fragmentation: f64,
    /// Parts of it that cannot be read.
    pub unreadable: u64,
}

/// One level of a tree.
#[derive(Clone, Debug, Serialize)]
pub struct LevelReport {
    /// 0 for the leaves.
    pub level: usize,
    /// Nodes.
    pub nodes: u64,
    /// Entries, or separators.
    pub entries: u64,
    /// How full the nodes are on average, from 0 to 1.
    pub fill: f64,
}

/// Lengths between two powers of two.
#[derive(Clone, Debug, Serialize)]
pub struct SizeClass {
    /// The least length of the class.
    pub from: u64,
    /// The greatest.
    pub to: u64,
    /// How many there are.
    pub count: u64,
}

/// Runs `pent tree`, and prints its report.
///
/// # Errors
/// When the file is no store or cannot be read, and if something is damaged, after the report.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let report = run(&args.store.open()?, args.tree.as_deref(), context)?;
    context.print(&report, text)?;
    verdict(&report.problems)
}

/// How the trees are built, or one of them.
///
/// # Errors
/// When the file is no store or cannot be read, or has no such tree.
pub fn run(file: &StoreFile, name: Option<&str>, context: &Context) -> Result<Report> {
    let (survey, forest) = survey(file, true, context)?;
    let page_size = survey.checkpoint.page_size();
    let wanted = forest.trees.iter().filter(|tree| name.is_none_or(|name| tree.name == name));
    let trees: Vec<TreeReport> = wanted.map(|tree| tree_report(tree, page_size)).collect();
    if let (Some(name), true) = (name, trees.is_empty()) {
        let names: Vec<_> = forest.trees.iter().map(|tree| tree.name.as_str()).collect();
        return Err(Error::Usage(format!("there is no tree named {name:?}; there are: {}", names.join(", "))));
    }
    Ok(Report { checkpoint: survey.checkpoint.timestamp().0, page_size, trees, problems: problems(&survey, &forest) })
}

fn tree_report(tree: &TreeFacts, page_size: u32) -> TreeReport {
    let fill = |level: &LevelFacts| level.used_bytes as f64 / (level.nodes.max(1) as f64 * f64::from(page_size));
    let levels = tree.levels.iter().enumerate().rev().map(|(level, facts)| LevelReport {
        level,
        nodes: facts.nodes,
        entries: facts.entries,
        fill: fill(facts),
    });
    TreeReport {
        name: tree.name.clone(),
        role: tree.role,
        root: tree.root.0,
        entries: tree.entries,
        counted: tree.counter.and_then(|(_, count)| count),
        levels: levels.collect(),
        leaf_fill: tree.levels.first().map_or([0; 10], |leaves| leaves.fill),
        key_sizes: classes(&tree.sizes.keys),
        value_sizes: classes(&tree.sizes.values),
        large_values: tree.large_values,
        large_bytes: tree.large_bytes,
        deltas: tree.deltas,
        delta_bytes: tree.delta_bytes,
        garbage_bytes: tree.garbage_bytes,
        used_bytes: tree.used_bytes(),
        slot_bytes: tree.slots * pentimento_storage::SLOT_BYTES as u64,
        fragmentation: tree.fragmentation(),
        unreadable: tree.lost.len() as u64,
    }
}

/// The classes from the first that has some to the last.
fn classes(counts: &[u64; 32]) -> Vec<SizeClass> {
    let class = |bits: usize| SizeClass {
        from: if bits == 0 { 0 } else { 1 << (bits - 1) },
        to: (1 << bits) - 1,
        count: counts[bits],
    };
    let first = counts.iter().position(|count| *count > 0);
    let last = counts.iter().rposition(|count| *count > 0);
    first.zip(last).map_or_else(Vec::new, |(first, last)| (first..=last).map(class).collect())
}

const BAR: usize = 40;

fn text(report: &Report, look: Look) -> String {
    let mut out = format!("As of commit {}, pages of {}\n", report.checkpoint, bytes(u64::from(report.page_size)));
    for tree in &report.trees {
        out +=
            &format!("\n{}\n", look.title(&format!("Tree {} (root: page {})", clean(tree.name.as_bytes()), tree.root)));
        let mut facts = look.facts("");
        let counted = match tree.counted {
            Some(counted) if counted != tree.entries => format!("but its register counts {}", count(counted)),
            _ => String::new(),
        };
        facts.row("entries", count(tree.entries), &counted);
        facts.row("used", bytes(tree.used_bytes), &format!("in {} of slots", bytes(tree.slot_bytes)));
        facts.row("large values", count(tree.large_values), &bytes(tree.large_bytes));
        facts.row("deltas", count(tree.deltas), &bytes(tree.delta_bytes));
        facts.row("garbage", bytes(tree.garbage_bytes), "in nodes, of entries that are gone");
        facts.row("fragmentation", format!("{:.1} %", tree.fragmentation * 100.0), "of neighbouring leaves lie apart");
        if tree.unreadable > 0 {
            facts.row("unreadable", count(tree.unreadable), "parts of the tree");
        }
        out += &facts.finish();
        out += "\n\n";
        let mut levels = look.table();
        levels.set_header(look.headings(&["level", "nodes", "entries", "fill"]));
        for level in &tree.levels {
            let name = if level.level == 0 { "0 (leaves)".to_owned() } else { level.level.to_string() };
            levels.add_row(vec![
                Cell::new(name),
                look.figure(count(level.nodes), Mood::Plain),
                look.figure(count(level.entries), Mood::Plain),
                look.figure(format!("{:.0} %", level.fill * 100.0), Mood::Plain),
            ]);
        }
        out += &levels.trim_fmt();
        out += "\n";
        let fill = tree.leaf_fill.iter().enumerate();
        let fill = fill.map(|(tenth, nodes)| (format!("{}..{} %", tenth * 10, tenth * 10 + 10), *nodes));
        out += &histogram("leaves by fill", fill.collect(), look);
        let sizes = |classes: &[SizeClass]| {
            let name = |class: &SizeClass| {
                if class.from >= class.to { class.from.to_string() } else { format!("{}..{}", class.from, class.to) }
            };
            classes.iter().map(|class| (name(class), class.count)).collect()
        };
        out += &histogram("keys by bytes", sizes(&tree.key_sizes), look);
        out += &histogram("values by bytes", sizes(&tree.value_sizes), look);
    }
    out + &problem_lines(&report.problems, look)
}

fn histogram(name: &str, classes: Vec<(String, u64)>, look: Look) -> String {
    let most = classes.iter().map(|(_, count)| *count).max().unwrap_or(0);
    if most == 0 {
        return String::new();
    }
    let mut out = format!("\n{}\n", look.title(name));
    let width = classes.iter().map(|(class, _)| class.len()).max().unwrap_or(0);
    for (class, number) in classes {
        let line = format!("  {class:>width$}  {:>11}  {}", count(number), bar(number, most, BAR));
        out += line.trim_end();
        out.push('\n');
    }
    out
}
