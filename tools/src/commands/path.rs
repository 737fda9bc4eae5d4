//! `pent path`: the way from the root of a tree to a key.

use super::{StoreArg, help, parse_key};
use crate::inspect::{Blob, StoreFile, View, ViewError};
use crate::output::{Look, Mood};
use crate::{Context, Error, Result};
use comfy_table::Cell;
use pentimento_btree::ReadPages;
use pentimento_btree::inspect::{NodeView, Value};
use pentimento_storage::HEADER_BYTES;
use pentimento_storage::inspect::Entry;
use pentimento_txn::inspect::{CATALOG, DOOMED};
use serde::Serialize;

const AFTER_HELP: &str = help!(
    "\
A key is given as text, or as hex: followed by hexadecimal digits. The way is
that of the newest checkpoint; what only the journal has is told by `pent get`.

Examples:
  pent path app.pent orders 1001             which pages a look-up of 1001 reads
  pent path app.pent orders hex:00ff         a key that is not text
  pent path app.pent '(catalog)' orders      where the tree itself is kept"
);

/// Show the way to a key: each page from the root to the leaf, and what was chosen there.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// The tree
    #[arg(value_name = "TREE")]
    tree: String,

    /// The key: text, or hex:00ff
    #[arg(value_name = "KEY")]
    key: String,
}

/// What `pent path` tells.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The commit that the pages are of.
    pub checkpoint: u64,
    /// The tree.
    pub tree: String,
    /// The key.
    pub key: Blob,
    /// The pages, root first.
    pub steps: Vec<Step>,
    /// The value, if the key is there.
    pub value: Option<Blob>,
}

/// A page on the way.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// The page.
    pub page: u32,
    /// 0 for the leaf.
    pub level: u8,
    /// Its first slot.
    pub slot: u64,
    /// How many slots.
    pub slots: u64,
    /// The commit that made it.
    pub birth: u64,
    /// Its used bytes.
    pub bytes: u64,
    /// The page of its delta, if it is a leaf that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<u32>,
    /// Entries, or separators.
    pub entries: usize,
    /// The child that was chosen, from 0; in the leaf, the entry, or where it would be.
    pub chosen: usize,
    /// The key left of the choice: the separator, or the entry itself.
    pub left: Option<Blob>,
    /// The key right of the choice.
    pub right: Option<Blob>,
}

/// Runs `pent path`, and prints its report.
///
/// # Errors
/// When the file is no store or cannot be read, there is no such tree, or a page on the way is damaged.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let key = parse_key(&args.key).map_err(Error::Usage)?;
    let report = run(&args.store.open()?, &args.tree, &key, context)?;
    context.print(&report, text)?;
    match report.value {
        Some(_) => Ok(()),
        None => Err(Error::Found("the key is not there".to_owned())),
    }
}

/// The way to a key.
///
/// # Errors
/// When the file is no store or cannot be read, there is no such tree, or a page on the way is damaged.
pub fn run(file: &StoreFile, tree: &str, key: &[u8], context: &Context) -> Result<Report> {
    crate::inspect::with_session(file, false, |session| walk(session.view(), tree, key, context))
}

fn walk(view: &View<'_>, tree: &str, key: &[u8], context: &Context) -> Result<Report, ViewError> {
    let root = match tree {
        "(catalog)" => CATALOG,
        "(doomed)" => DOOMED,
        name => match crate::inspect::root_of(view, name)? {
            Some(root) => root,
            None => {
                return Err(Error::Usage(format!("the checkpoint has no tree named {name:?}; see `pent info`")).into());
            }
        },
    };
    let checkpoint = view.checkpoint().timestamp().0;
    let mut report =
        Report { checkpoint, tree: tree.to_owned(), key: context.show(key), steps: Vec::new(), value: None };
    let (mut page, mut below) = (root, None);
    loop {
        let damaged = |what: &'static str| ViewError::from(pentimento_btree::Fault::Damaged { page, what });
        let node = NodeView::read(view, page)?;
        if below.is_some_and(|level: u8| node.level() + 1 != level) {
            return Err(damaged("the node's level does not follow from its parent's"));
        }
        let (mut low, mut high) = (0, node.count());
        while low < high {
            let middle = low.midpoint(high);
            if node.key(middle).map_err(damaged)?.as_slice() <= key { low = middle + 1 } else { high = middle }
        }
        let is_there = low > 0 && node.key(low - 1).map_err(damaged)?.as_slice() == key;
        let shown = |index: Option<usize>| index.and_then(|index| node.key(index).ok()).map(|key| context.show(&key));
        let entry = view.checkpoint().entry(page);
        let Some(Entry::Version { run, birth, .. }) = entry else { return Err(damaged("it has no version")) };
        let is_leaf = node.level() == 0;
        report.steps.push(Step {
            page: page.0,
            level: node.level(),
            slot: run.start,
            slots: run.slots,
            birth: birth.0,
            bytes: (view.page(page)?.len() + HEADER_BYTES) as u64,
            delta: page.beside().filter(|_| node.has_delta()).map(|delta| delta.0),
            entries: node.count(),
            chosen: if is_leaf && is_there { low - 1 } else { low },
            left: shown(low.checked_sub(1)),
            right: shown(Some(low)),
        });
        if is_leaf {
            if is_there {
                report.value =
                    Some(value(view, &node, low - 1, context).map_err(|error| error.unwrap_or_else(damaged))?);
            }
            return Ok(report);
        }
        below = Some(node.level());
        page = *node.children().get(low).ok_or_else(|| damaged("there is no such child"))?;
    }
}

/// The value of an entry; an error of the page itself comes as what is wrong with it.
fn value(view: &View<'_>, leaf: &NodeView<'_>, index: usize, context: &Context) -> Result<Blob, Failure> {
    match leaf.value(index).map_err(Failure::Here)?.1 {
        Value::Inline(bytes) => Ok(context.show(bytes)),
        Value::Large { page, len } => {
            let body = view.page(page).map_err(Failure::There)?;
            let damaged = |what| Failure::There(pentimento_btree::Fault::Damaged { page, what }.into());
            pentimento_btree::inspect::large_value_of(body, len).map(|bytes| context.show(bytes)).map_err(damaged)
        }
    }
}

enum Failure {
    Here(&'static str),
    There(ViewError),
}

impl Failure {
    fn unwrap_or_else(self, here: impl FnOnce(&'static str) -> ViewError) -> ViewError {
        match self {
            Failure::Here(what) => here(what),
            Failure::There(error) => error,
        }
    }
}

fn text(report: &Report, look: Look) -> String {
    let mut table = look.table();
    table.set_header(look.headings(&[
        "page",
        "level",
        "slots",
        "birth",
        "bytes",
        "chosen",
        "of",
        "not below",
        "below",
    ]));
    for step in &report.steps {
        let key = |key: &Option<Blob>| key.as_ref().map_or_else(|| "-".to_owned(), |key| format!("{key:.30}"));
        table.add_row(vec![
            Cell::new(match step.delta {
                Some(delta) => format!("{} and {delta}", step.page),
                None => step.page.to_string(),
            }),
            look.figure(step.level.to_string(), Mood::Plain),
            look.figure(format!("{}+{}", step.slot, step.slots), Mood::Plain),
            look.figure(step.birth.to_string(), Mood::Plain),
            look.figure(step.bytes.to_string(), Mood::Plain),
            look.figure(
                if step.level == 0 { format!("entry {}", step.chosen) } else { format!("child {}", step.chosen) },
                Mood::Plain,
            ),
            look.figure((step.entries + usize::from(step.level > 0)).to_string(), Mood::Plain),
            look.figure(key(&step.left), Mood::Plain),
            look.figure(key(&step.right), Mood::Plain),
        ]);
    }
    let value = match &report.value {
        Some(value) => format!("value: {value:.200}"),
        None => "The key is not there.".to_owned(),
    };
    format!(
        "Key {:.60} in tree {:?}, as of commit {}\n\n{}\n\n{value}\n",
        report.key,
        report.tree,
        report.checkpoint,
        table.trim_fmt()
    )
}
