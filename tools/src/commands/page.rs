//! `pent page`: one page, or whatever is in one slot, to the last byte.

use super::{StoreArg, help, problem_lines, verdict};
use crate::format::count;
use crate::inspect::{
    Checkpoint, Decoded, Job, Problem, Remain, SlotMap, SlotUse, StoreFile, Structure, View, ViewError, decode_meta,
    decode_table, decode_version, hex, read_version, with_session,
};
use crate::output::{Look, Mood};
use crate::{Context, Error, Result};
use anstyle::{AnsiColor, Style};
use comfy_table::Cell;
use pentimento_btree::Tree;
use pentimento_storage::inspect::{Entry, META_OFFSETS};
use pentimento_storage::{PageId, Run, SLOT_BYTES, Timestamp};
use pentimento_txn::inspect::{CATALOG, DOOMED, tree_record};
use serde::Serialize;
use std::str::FromStr;

/// The longest part of a version that is decoded, in bytes: large values may be a gigabyte.
const MOST_BYTES: u64 = 1 << 20;
/// The longest part that is dumped.
const MOST_DUMPED: usize = 64 << 10;

const AFTER_HELP: &str = help!(
    "\
Regions of the dump: the version header, then the header of the node, the prefix
that its keys share, heads (the first 4 bytes of each key), children, slots
(where each cell begins), spare room in these arrays, the cells with the entry
that each belongs to, and gaps that no entry uses.

Examples:
  pent page app.pent 12                 page 12: fields and entries
  pent page app.pent 12 --hex           and its bytes, with their meaning
  pent page app.pent slot:4             whatever lies in slot 4
  pent page app.pent slot:0             a meta
  pent page app.pent 12 --at 1000       as it was at commit 1000, if the file
                                        still has it"
);

/// Show a page field by field, with its entries, and its bytes with --hex.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// The number of the page, or slot:N
    #[arg(value_name = "ID|slot:N")]
    target: Target,

    /// The page as it was at this commit, if the file still has it
    #[arg(long, value_name = "TIMESTAMP")]
    at: Option<u64>,

    /// Show the bytes, with their meaning
    #[arg(long)]
    hex: bool,
}

/// What is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A page.
    Page(u32),
    /// Whatever is in a slot.
    Slot(u64),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let wrong = |_| format!("{text:?} is neither the number of a page nor slot:N");
        match text.strip_prefix("slot:") {
            Some(slot) => slot.parse().map(Target::Slot).map_err(wrong),
            None => text.parse().map(Target::Page).map_err(wrong),
        }
    }
}

/// Where what is shown comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The newest checkpoint: the page table has its checksum.
    Checkpoint,
    /// Slots that the newest checkpoint does not refer to: no checksum proves it.
    Unreferenced,
    /// The page table itself.
    Table,
    /// A meta slot.
    Meta,
}

/// What `pent page` tells.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The newest commit of the checkpoint.
    pub checkpoint: u64,
    /// The page, if it is one.
    pub page: Option<u32>,
    /// The tree of the page, by its header.
    pub tree: Option<String>,
    /// Where it comes from.
    pub source: Source,
    /// Its first slot; nothing for a register.
    pub slot: Option<u64>,
    /// How many slots.
    pub slots: u64,
    /// What the page table says of it.
    pub entry: Option<String>,
    /// Its fields, entries and regions.
    pub decoded: Decoded,
    /// Its bytes, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dump: Option<Vec<DumpLine>>,
    /// What is not shown, because it is too long.
    pub cut_bytes: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

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

/// Runs `pent page`, and prints its report.
///
/// # Errors
/// When the file is no store or cannot be read, there is no such page, and if it is damaged, after the report.
pub fn main(args: &Args, context: &Context) -> Result<()> {
    let report = run(&args.store.open()?, args.target, args.at.map(Timestamp), args.hex, context)?;
    context.print(&report, text)?;
    verdict(&report.problems)
}

/// A page, or whatever is in a slot.
///
/// # Errors
/// When the file is no store or cannot be read, or there is no such page or slot.
pub fn run(file: &StoreFile, target: Target, at: Option<Timestamp>, hex: bool, context: &Context) -> Result<Report> {
    let mut before = None;
    // A page that was overwritten meanwhile is looked up again; one that the newer checkpoint has in the same place is damaged.
    loop {
        let checkpoint = Checkpoint::read(file)?;
        let found = Shown::find(file, &checkpoint, target, at)?;
        let Some((job, _)) = &found.failure else { return found.report(file, &checkpoint, hex, context) };
        if before == Some(*job) || Checkpoint::read(file)?.head.sequence() == checkpoint.head.sequence() {
            return found.report(file, &checkpoint, hex, context);
        }
        before = Some(*job);
    }
}

/// What was found.
struct Shown {
    page: Option<PageId>,
    source: Source,
    run: Option<Run>,
    entry: Option<Entry>,
    bytes: Vec<u8>,
    table: Option<(u32, u32)>,
    failure: Option<(Job, String)>,
}

impl Shown {
    fn find(file: &StoreFile, checkpoint: &Checkpoint, target: Target, at: Option<Timestamp>) -> Result<Shown> {
        match target {
            Target::Page(page) => Shown::page(file, checkpoint, PageId(page), at),
            Target::Slot(slot) => Shown::slot(file, checkpoint, slot),
        }
    }

    fn page(file: &StoreFile, checkpoint: &Checkpoint, page: PageId, at: Option<Timestamp>) -> Result<Shown> {
        if page.0 as usize >= checkpoint.entries.len() {
            let what =
                format!("there is no page {page}; numbers go from 0 to {}", checkpoint.entries.len().saturating_sub(1));
            return Err(Error::Usage(what));
        }
        let entry = checkpoint.entry(page);
        if let Some(at) = at.filter(|at| *at < birth_of(entry)) {
            return Shown::older(file, checkpoint, page, at);
        }
        let mut shown = Shown {
            page: Some(page),
            source: Source::Checkpoint,
            run: None,
            entry,
            bytes: Vec::new(),
            table: None,
            failure: None,
        };
        match checkpoint.job(page) {
            Some(job) => shown.take(file, job)?,
            None => shown.source = Source::Table,
        }
        Ok(shown)
    }

    fn take(&mut self, file: &StoreFile, job: Job) -> Result<()> {
        self.run = Some(job.run);
        // The whole version is checked, however little of it is shown.
        self.failure = read_version(file, &job).err().map(|what| (job, what));
        self.bytes = read_run(file, job.run)?;
        Ok(())
    }

    /// A version that the checkpoint does not have any more.
    fn older(file: &StoreFile, checkpoint: &Checkpoint, page: PageId, at: Timestamp) -> Result<Shown> {
        let remains = remains(file, checkpoint)?;
        let found =
            remains.iter().filter(|remain| remain.page == page && remain.birth <= at).max_by_key(|remain| remain.birth);
        let Some(found) = found else {
            let what = format!(
                "the file has no version of page {page} from commit {at} or before; a checkpoint keeps the newest alone"
            );
            return Err(Error::Found(what));
        };
        Ok(Shown {
            page: Some(page),
            source: Source::Unreferenced,
            run: Some(found.run),
            entry: None,
            bytes: read_run(file, found.run)?,
            table: None,
            failure: None,
        })
    }

    fn slot(file: &StoreFile, checkpoint: &Checkpoint, slot: u64) -> Result<Shown> {
        let map = SlotMap::of(checkpoint);
        let Some(stretch) = map.at(slot) else {
            let slots = checkpoint.head.file_bytes / SLOT_BYTES as u64;
            return Err(Error::Usage(format!("there is no slot {slot}; the file has {slots}")));
        };
        let one = Run { start: slot, slots: 1 };
        let mut shown = Shown {
            page: None,
            source: Source::Unreferenced,
            run: Some(one),
            entry: None,
            bytes: Vec::new(),
            table: None,
            failure: None,
        };
        match stretch.usage {
            SlotUse::Meta => shown.source = Source::Meta,
            SlotUse::Table => {
                shown.source = Source::Table;
                let found = checkpoint.table_pages.iter().find(|page| page.run.start == slot);
                shown.table = found.map(|page| (page.level, page.index));
            }
            SlotUse::Current(page) => return Shown::page(file, checkpoint, PageId(page), None),
            SlotUse::Unreferenced => {
                let remains = remains(file, checkpoint)?;
                if let Some(remain) = remains.iter().find(|remain| remain.run.start <= slot && slot < remain.run.end())
                {
                    shown.page = Some(remain.page);
                    shown.run = Some(remain.run);
                }
            }
        }
        shown.bytes = read_run(file, shown.run.unwrap_or(one))?;
        Ok(shown)
    }

    fn report(self, file: &StoreFile, checkpoint: &Checkpoint, with_dump: bool, context: &Context) -> Result<Report> {
        let decoded = match (self.source, self.table, self.run) {
            (Source::Meta, _, Some(run)) => decode_meta_slot(&self.bytes, run.start, checkpoint),
            (Source::Table, Some((level, index)), _) => decode_table(&self.bytes, level, index),
            (_, _, None) => Decoded { kind: register_kind(self.entry).to_owned(), ..Decoded::default() },
            (Source::Unreferenced, _, _) if self.page.is_none() => {
                let kind = if self.bytes.iter().all(|byte| *byte == 0) { "zeros" } else { "nothing that is known" };
                Decoded { kind: kind.to_owned(), ..Decoded::default() }
            }
            _ => decode_version(&self.bytes, context.privacy),
        };
        let mut problems = Vec::new();
        let about = |what: &str| {
            let problem = Problem::new(Structure::Page, what);
            let problem = self.page.map_or(problem.clone(), |page| problem.page(page.0));
            self.run.map_or(problem.clone(), |run| problem.slot(run.start))
        };
        problems.extend(self.failure.iter().map(|(_, what)| about(what)));
        if self.source != Source::Unreferenced {
            problems.extend(decoded.faults.iter().map(|what| about(what)));
        }
        let owner = pentimento_storage::inspect::version_header(&self.bytes)
            .filter(|_| self.page.is_some() && self.run.is_some());
        let slot_bytes = self.run.map_or(0, Run::bytes);
        Ok(Report {
            checkpoint: checkpoint.timestamp().0,
            page: self.page.map(|page| page.0),
            tree: owner.and_then(|header| tree_name(file, header.owner, header.page)),
            source: self.source,
            slot: self.run.map(|run| run.start),
            slots: self.run.map_or(0, |run| run.slots),
            entry: self.entry.map(entry_text),
            dump: with_dump.then(|| dump(&self.bytes, &decoded, context)),
            decoded,
            cut_bytes: slot_bytes.saturating_sub(self.bytes.len() as u64),
            problems,
        })
    }
}

fn birth_of(entry: Option<Entry>) -> Timestamp {
    match entry {
        Some(Entry::Version { birth, .. } | Entry::Register { birth, .. }) => birth,
        Some(Entry::Dead { since }) => since,
        _ => Timestamp::MAX,
    }
}

fn remains(file: &StoreFile, checkpoint: &Checkpoint) -> Result<Vec<Remain>> {
    SlotMap::of(checkpoint).remains(file, checkpoint.entries.len() as u32, Timestamp(u64::MAX / 2))
}

fn read_run(file: &StoreFile, run: Run) -> Result<Vec<u8>> {
    let mut bytes = vec![0; run.bytes().min(MOST_BYTES) as usize];
    let len = file.read(run.offset(), &mut bytes).map_err(Error::io("read", file.path()))?;
    bytes.truncate(len);
    Ok(bytes)
}

fn decode_meta_slot(bytes: &[u8], slot: u64, checkpoint: &Checkpoint) -> Decoded {
    let which = META_OFFSETS.iter().position(|offset| *offset == slot * SLOT_BYTES as u64);
    match which {
        Some(which) => decode_meta(bytes, &checkpoint.head.slots[which]),
        None => Decoded { kind: "reserved".to_owned(), ..Decoded::default() },
    }
}

fn register_kind(entry: Option<Entry>) -> &'static str {
    match entry {
        Some(Entry::Register { .. }) => "register",
        Some(Entry::Dead { .. } | Entry::NeverUsed) => "free number",
        _ => "unknown",
    }
}

fn entry_text(entry: Entry) -> String {
    match entry {
        Entry::NeverUsed => "never used".to_owned(),
        Entry::Dead { since } => format!("dead since commit {since}"),
        Entry::Register { value, birth } => format!("register with the value {value}, of commit {birth}"),
        Entry::Version { run, birth, crc } => {
            format!("version of commit {birth} in slots {}+{}, CRC-32 {crc:08x}", run.start, run.slots)
        }
    }
}

/// The name of the tree with this root, if the catalog can be read and has it.
fn tree_name(file: &StoreFile, owner: PageId, page: PageId) -> Option<String> {
    let root = if owner == PageId::NONE { page } else { owner };
    let search = |view: &View<'_>| -> Result<Option<String>, ViewError> {
        for entry in Tree::new(view, CATALOG).iter()? {
            let (name, record) = entry?;
            if tree_record(record).is_ok_and(|(found, _)| found == root) {
                return Ok(Some(String::from_utf8_lossy(&name).into_owned()));
            }
        }
        Ok(None)
    };
    match root {
        CATALOG => Some("(catalog)".to_owned()),
        DOOMED => Some("(doomed)".to_owned()),
        _ => with_session(file, false, |session| search(session.view())).ok().flatten(),
    }
}

fn dump(bytes: &[u8], decoded: &Decoded, context: &Context) -> Vec<DumpLine> {
    let whole = [crate::inspect::RegionLine { start: 0, end: bytes.len(), region: "unknown", entry: None }];
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

fn text(report: &Report, look: Look) -> String {
    let name = match (report.page, report.slot) {
        (Some(page), _) => format!("Page {page}"),
        (None, Some(slot)) => format!("Slot {slot}"),
        _ => "Nothing".to_owned(),
    };
    let mut out = look.title(&format!("{name}: {}", report.decoded.kind)) + "\n";
    if let Some(tree) = &report.tree {
        out += &format!("of tree {tree:?}\n");
    }
    if let (Some(slot), true) = (report.slot, report.page.is_some()) {
        out += &format!("in slots {slot}+{}\n", report.slots);
    }
    out += &match (report.source, &report.entry) {
        (Source::Checkpoint | Source::Table, Some(entry)) => {
            format!("page table (as of commit {}): {entry}\n", report.checkpoint)
        }
        (Source::Unreferenced, _) => {
            "the newest checkpoint does not refer to it: free, or kept for a reader; no checksum proves it\n".to_owned()
        }
        _ => String::new(),
    };
    if !report.decoded.fields.is_empty() {
        let mut table = look.table();
        let mut headings = look.headings(&["offset", "bytes", "field", "value"]);
        headings[2] = look.heading("field");
        headings[3] = look.heading("value");
        table.set_header(headings);
        for field in &report.decoded.fields {
            let offset =
                look.figure(field.offset.to_string(), Mood::Plain).set_alignment(comfy_table::CellAlignment::Left);
            table.add_row(vec![
                offset,
                look.figure(field.bytes.to_string(), Mood::Plain),
                Cell::new(field.name),
                Cell::new(&field.value),
            ]);
        }
        out += &format!("\n{}\n", table.trim_fmt());
    }
    if let Some(prefix) = &report.decoded.prefix {
        out += &format!("\nall keys begin with {prefix:.80}\n");
    }
    if !report.decoded.entries.is_empty() {
        out += &format!("\n{}\n", entries_text(report, look));
    }
    if let Some(dump) = &report.dump {
        out += &format!("\n{}", dump_text(dump, look));
    }
    if report.cut_bytes > 0 {
        out += &format!("\n{} more bytes are not shown\n", count(report.cut_bytes));
    }
    out + &problem_lines(&report.problems, look)
}

fn entries_text(report: &Report, look: Look) -> String {
    let mut table = look.table();
    let entries = &report.decoded.entries;
    let with = |has: fn(&crate::inspect::EntryLine) -> bool| entries.iter().any(has);
    let columns: Vec<(&str, bool)> = vec![
        ("entry", true),
        ("offset", true),
        ("page", with(|entry| entry.page.is_some())),
        ("key", with(|entry| entry.key.is_some())),
        ("value", with(|entry| entry.value.is_some())),
        ("", with(|entry| entry.note.is_some())),
    ];
    let width = look.width() / 2 - 12;
    table.set_header(
        columns.iter().filter(|(_, is_shown)| *is_shown).map(|(name, _)| look.heading(name)).collect::<Vec<_>>(),
    );
    for entry in entries {
        let or_none = |field: Option<String>| field.unwrap_or_else(|| "-".to_owned());
        let cells = [
            entry.index.to_string(),
            or_none(entry.offset.map(|offset| offset.to_string())),
            or_none(entry.page.map(|page| page.to_string())),
            or_none(entry.key.as_ref().map(|key| format!("{key:.width$}"))),
            or_none(entry.value.as_ref().map(|value| format!("{value:.width$}"))),
            entry.note.clone().unwrap_or_default(),
        ];
        table.add_row(
            cells
                .into_iter()
                .zip(&columns)
                .filter(|(_, (_, is_shown))| *is_shown)
                .map(|(cell, _)| Cell::new(cell))
                .collect::<Vec<_>>(),
        );
    }
    table.trim_fmt()
}

fn dump_text(dump: &[DumpLine], look: Look) -> String {
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
