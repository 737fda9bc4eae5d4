//! Looking for a page or a slot, and taking apart what is there.

use super::dump::dump;
use super::{Beside, Report, Source, Target};
use crate::inspect::{
    Checkpoint, Decoded, Job, Kind, NamedVersion, Problem, Remain, SlotMap, SlotUse, StoreFile, Structure, View,
    ViewError, decode_meta, decode_table, decode_version, leaf_of, read_version, with_session,
};
use crate::{Context, Error, Result};
use pentimento_btree::Tree;
use pentimento_btree::inspect::{BodyKind, NodeView, body_kind};
use pentimento_storage::inspect::{Entry, META_OFFSETS};
use pentimento_storage::{HEADER_BYTES, PageId, Run, SLOT_BYTES, Timestamp};
use pentimento_txn::inspect::{CATALOG, DOOMED, tree_record};

/// The longest part of a version that is decoded, in bytes: large values may be a gigabyte.
const MOST_BYTES: u64 = 1 << 20;

/// What was found.
pub(super) struct Shown {
    page: Option<PageId>,
    source: Source,
    run: Option<Run>,
    entry: Option<Entry>,
    bytes: Vec<u8>,
    table: Option<(u32, u32)>,
    /// The named snapshots that need it, if only such do.
    snapshots: Vec<String>,
    /// Of a leaf and a delta beside each other, the one that is not shown.
    partner: Option<(PageId, Vec<u8>)>,
    /// What could not be read, and why.
    pub(super) failure: Option<(Job, String)>,
}

impl Shown {
    pub(super) fn find(
        file: &StoreFile,
        checkpoint: &Checkpoint,
        target: Target,
        at: Option<Timestamp>,
    ) -> Result<Shown> {
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
            snapshots: Vec::new(),
            partner: None,
            failure: None,
        };
        match checkpoint.job(page) {
            Some(job) => {
                shown.take(file, job)?;
                shown.find_partner(file, checkpoint, page);
            }
            None => shown.source = Source::Table,
        }
        Ok(shown)
    }

    fn take(&mut self, file: &StoreFile, job: Job) -> Result<()> {
        self.run = Some(job.run);
        // The whole version is checked, however little of it is shown.
        let checked = read_version(file, &job);
        self.bytes = read_run(file, job.run)?;
        match checked {
            Ok(version) => {
                // What was checked is what is shown: beside a writer the second look may find another version there.
                let len = version.len().min(self.bytes.len());
                self.bytes[..len].copy_from_slice(&version[..len]);
            }
            Err(what) => self.failure = Some((job, what)),
        }
        Ok(())
    }

    /// Reads the delta of a leaf, or the leaf of a delta.
    fn find_partner(&mut self, file: &StoreFile, checkpoint: &Checkpoint, page: PageId) {
        let job = match body_kind(body_of(&self.bytes)) {
            BodyKind::Leaf => checkpoint.delta_job(page),
            BodyKind::Delta => leaf_of(page).and_then(|leaf| checkpoint.job(leaf)),
            _ => None,
        };
        let Some(job) = job.filter(|job| self.failure.is_none() && job.run.bytes() <= MOST_BYTES) else { return };
        match read_version(file, &job) {
            Ok(bytes) => self.partner = Some((job.page, bytes)),
            Err(what) => {
                let what = format!("page {}, which is beside it, cannot be read: {what}", job.page);
                self.failure = Some((job, what));
            }
        }
    }

    /// What a leaf and its delta are together, or why they are not; neither for other pages.
    fn beside(&self, page: PageId) -> (Option<Beside>, Vec<String>) {
        let own = body_of(&self.bytes);
        let other = self.partner.as_ref().map(|(other, bytes)| (*other, body_of(bytes)));
        let kind = |body: &[u8]| body_kind(body);
        let (other, leaf, delta) = match (kind(own), other) {
            (BodyKind::Leaf, Some((other, delta))) if kind(delta) == BodyKind::Delta => (other, (page, own), delta),
            (BodyKind::Delta, Some((other, leaf))) if kind(leaf) == BodyKind::Leaf => (other, (other, leaf), own),
            // What cannot be read is told already.
            (BodyKind::Delta, _) if self.failure.is_none() => {
                let what = match leaf_of(page) {
                    Some(leaf) => format!("it is a delta, but page {leaf} is no leaf"),
                    None => "it is a delta, but its number is not one of a delta".to_owned(),
                };
                return (None, vec![what]);
            }
            _ => return (None, Vec::new()),
        };
        let kind = if other == leaf.0 { Kind::Leaf } else { Kind::Delta };
        match NodeView::parse_with_delta(leaf.0, leaf.1, delta) {
            Ok(node) => {
                let mut faults = Vec::new();
                node.check(&mut |finding| faults.push(format!("with page {other}: {}", finding.problem)));
                (Some(Beside { page: other.0, kind, entries: node.count() }), faults)
            }
            Err(what) => (None, vec![format!("with page {other}: {what}")]),
        }
    }

    /// A version that only named snapshots have.
    fn named(file: &StoreFile, checkpoint: &Checkpoint, version: &NamedVersion) -> Result<Shown> {
        let NamedVersion { job, .. } = *version;
        let mut shown = Shown {
            page: Some(job.page),
            source: Source::Named,
            run: None,
            entry: None,
            bytes: Vec::new(),
            table: None,
            snapshots: checkpoint.named.names_of(version),
            partner: None,
            failure: None,
        };
        shown.take(file, job)?;
        Ok(shown)
    }

    /// A version that the checkpoint does not have any more.
    fn older(file: &StoreFile, checkpoint: &Checkpoint, page: PageId, at: Timestamp) -> Result<Shown> {
        let kept =
            checkpoint.named.versions.iter().filter(|version| version.job.page == page && version.job.birth <= at);
        let kept = kept.max_by_key(|version| version.job.birth);
        let remains = remains(file, checkpoint)?;
        let found =
            remains.iter().filter(|remain| remain.page == page && remain.birth <= at).max_by_key(|remain| remain.birth);
        if let Some(kept) = kept.filter(|kept| found.is_none_or(|found| found.birth <= kept.job.birth)) {
            return Shown::named(file, checkpoint, kept);
        }
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
            snapshots: Vec::new(),
            partner: None,
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
        let lies_in = |run: Run| run.start <= slot && slot < run.end();
        let mut shown = Shown {
            page: None,
            source: Source::Unreferenced,
            run: Some(one),
            entry: None,
            bytes: Vec::new(),
            table: None,
            snapshots: Vec::new(),
            partner: None,
            failure: None,
        };
        match stretch.usage {
            SlotUse::Meta => shown.source = Source::Meta,
            SlotUse::Table => {
                shown.source = Source::Table;
                let found = checkpoint.table_pages.iter().find(|page| lies_in(page.run));
                shown.table = found.map(|page| (page.level, page.index));
                shown.run = found.map(|page| page.run).or(shown.run);
            }
            SlotUse::NamedTable => {
                let found = checkpoint.named.tables.iter().find(|table| lies_in(table.slot.run));
                shown.source = Source::Named;
                shown.table = found.map(|table| (table.slot.level, table.slot.index));
                shown.run = found.map(|table| table.slot.run).or(shown.run);
                let names = found
                    .map(|table| checkpoint.named.names(table.slot.timestamp.unwrap_or(table.newest), table.newest));
                shown.snapshots = names.unwrap_or_default();
            }
            SlotUse::NamedList => {
                shown.source = Source::NamedList;
                shown.run = checkpoint.named.list;
            }
            SlotUse::Named(_) => {
                if let Some(version) = checkpoint.named.version_at(stretch.run.start) {
                    return Shown::named(file, checkpoint, version);
                }
            }
            SlotUse::Current(page) => return Shown::page(file, checkpoint, PageId(page), None),
            SlotUse::Unreferenced => {
                let remains = remains(file, checkpoint)?;
                if let Some(remain) = remains.iter().find(|remain| lies_in(remain.run)) {
                    shown.page = Some(remain.page);
                    shown.run = Some(remain.run);
                }
            }
        }
        shown.bytes = read_run(file, shown.run.unwrap_or(one))?;
        Ok(shown)
    }

    pub(super) fn report(
        self,
        file: &StoreFile,
        checkpoint: &Checkpoint,
        with_dump: bool,
        context: &Context,
    ) -> Result<Report> {
        let decoded = match (self.source, self.table, self.run) {
            (Source::Meta, _, Some(run)) => decode_meta_slot(&self.bytes, run.start, checkpoint),
            (Source::NamedList, _, _) => Decoded { kind: "list of named snapshots".to_owned(), ..Decoded::default() },
            (Source::Table | Source::Named, Some((level, index)), _) => decode_table(&self.bytes, level, index),
            (_, _, None) => Decoded { kind: register_kind(self.entry, self.page).to_owned(), ..Decoded::default() },
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
        let own = self.page.filter(|_| self.source == Source::Checkpoint && self.run.is_some());
        let (beside, faults) = own.map(|page| self.beside(page)).unwrap_or_default();
        problems.extend(faults.iter().map(|what| about(what)));
        let owner = pentimento_storage::inspect::version_header(&self.bytes)
            .filter(|_| self.page.is_some() && self.run.is_some());
        let slot_bytes = self.run.map_or(0, Run::bytes);
        Ok(Report {
            checkpoint: checkpoint.timestamp().0,
            page: self.page.map(|page| page.0),
            tree: owner.and_then(|header| tree_name(file, header.owner, header.page)),
            source: self.source,
            snapshots: self.snapshots,
            slot: self.run.map(|run| run.start),
            slots: self.run.map_or(0, |run| run.slots),
            entry: self.entry.map(entry_text),
            beside,
            dump: with_dump.then(|| dump(&self.bytes, &decoded, context)),
            decoded,
            cut_bytes: slot_bytes.saturating_sub(self.bytes.len() as u64),
            problems,
        })
    }
}

/// The used bytes of a version behind its header, as far as they are there.
fn body_of(bytes: &[u8]) -> &[u8] {
    let length = pentimento_storage::inspect::version_header(bytes).map_or(0, |header| header.length as usize);
    bytes.get(HEADER_BYTES..length.min(bytes.len())).unwrap_or_default()
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

fn register_kind(entry: Option<Entry>, page: Option<PageId>) -> &'static str {
    match entry {
        Some(Entry::Register { .. }) => "register",
        Some(Entry::Dead { .. } | Entry::NeverUsed) if page.and_then(leaf_of).is_some() => "number kept for a delta",
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
