//! `pent check --repair-to NEW`: saves what can be read.
//!
//! Promises: the damaged store is only read; every entry of the new one was read from a page whose checksum is right, unless the report says
//! that no checksum was left to prove it; what was lost is told, and from where.
//!
//! Pages are found in three ways, each where the one before it fails: from the roots; by the owner that each page's header names, when a branch above it is
//! damaged; and by the headers in the file, when the page table has no entry for them. Of a leaf whose delta cannot be used its own entries are saved, as
//! they were before the last changes; of a delta whose leaf cannot be read those that it has itself.

use super::copy::refuse_existing;
use super::{problem_lines, problems, verdict};
use crate::format::count;
use crate::inspect::{
    Blob, DeltaState, Forest, Journal, Kind, Overlay, PageFacts, Problem, Remain, Role, SlotMap, StoreFile, Survey,
    leaf_of,
};
use crate::output::{Look, Mood};
use crate::{Context, Result};
use comfy_table::Cell;
use pentimento::{Database, Durability};
use pentimento_btree::inspect::{DeltaView, NodeView, Value, large_value_of};
use pentimento_storage::inspect::{Entry, version_header};
use pentimento_storage::{HEADER_BYTES, PageId, Run, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// What was saved.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The damaged store.
    pub store: String,
    /// The new one.
    pub new: String,
    /// The newest commit that could be brought back.
    pub timestamp: u64,
    /// Each tree.
    pub trees: Vec<SavedTree>,
    /// Commits of the journal that were done again.
    pub commits_from_journal: u64,
    /// What is wrong with the damaged store.
    pub problems: Vec<Problem>,
}

/// What was saved of a tree.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SavedTree {
    /// Its name; one that is lost is replaced by `lost-N`, N being its root.
    pub name: String,
    /// Entries that were saved.
    pub saved: u64,
    /// Entries that its register counts; nothing if that is lost too.
    pub counted: Option<u64>,
    /// Of those that were saved: from pages that no checksum was left for.
    pub unproved: u64,
    /// What is lost.
    pub losses: Vec<Loss>,
}

/// A part of a tree that is lost.
#[derive(Clone, Debug, Serialize)]
pub struct Loss {
    /// The page.
    pub page: u32,
    /// Its slot, if that is known.
    pub slot: Option<u64>,
    /// The lost keys are not below this one; nothing: from the first.
    pub from: Option<Blob>,
    /// The lost keys are below this one; nothing: to the last.
    pub to: Option<Blob>,
    /// What was there.
    pub what: String,
}

type SavedEntries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Saves what can be read, and prints what was lost.
///
/// # Errors
/// When the file cannot be read or the new one cannot be made, and if something was wrong, after the report.
pub fn main(file: &StoreFile, new: &Path, context: &Context) -> Result<()> {
    let report = run(file, new, context)?;
    context.print(&report, text)?;
    verdict(&report.problems)
}

/// Puts every entry that can be read into a new store.
///
/// # Errors
/// When the file cannot be read, or the new one cannot be made.
pub fn run(file: &StoreFile, new: &Path, context: &Context) -> Result<Report> {
    refuse_existing(new)?;
    let journal = Journal::read(file)?;
    let meter = context.meter("reading pages");
    let survey = Survey::read_whatever(file, &context.interrupt, &|bytes, total| meter.seen(bytes, total))?;
    drop(meter);
    let forest = Forest::grow(&survey);
    let slots = SlotMap::of(&survey.checkpoint);
    let mut problems = problems(&survey, &forest);
    problems.extend(slots.problems.iter().chain(&journal.problems).cloned());
    let mut salvage = Salvage { file, survey: &survey, context, orphans: HashMap::new(), proved: true };
    let mut saved = salvage.trees(&forest, &SlotMap::without_named(&survey.checkpoint))?;
    let db =
        Database::builder().durability(Durability::None).page_size(survey.checkpoint.page_size() as usize).open(new)?;
    let mut timestamp = survey.checkpoint.timestamp().0;
    for (tree, entries) in &saved {
        let mut txn = db.begin_write()?;
        txn.tree(&tree.name)?.bulk_load(entries)?;
        txn.commit()?;
    }
    let mut commits_from_journal = 0;
    // What the journal adds to a checkpoint that is lost would be changes of nothing known.
    if survey.checkpoint.meta().is_some() {
        for (at, body) in journal.pending_bodies() {
            match Overlay::apply_to(&db, body) {
                Ok(()) => {
                    commits_from_journal += 1;
                    timestamp = at.0;
                }
                Err(error) => {
                    problems.push(Problem::new(
                        crate::inspect::Structure::Journal,
                        format!("commit {at} could not be done again: {error}"),
                    ));
                    break;
                }
            }
        }
    }
    db.close()?;
    let trees = saved.drain(..).map(|(tree, _)| tree).collect();
    Ok(Report {
        store: file.name().to_owned(),
        new: new.display().to_string(),
        timestamp,
        trees,
        commits_from_journal,
        problems,
    })
}

/// Reads entries wherever they can be found.
struct Salvage<'a> {
    file: &'a StoreFile,
    survey: &'a Survey,
    context: &'a Context,
    /// Versions in slots that nothing refers to, of pages that the table has no entry for.
    orphans: HashMap<PageId, Remain>,
    proved: bool,
}

impl Salvage<'_> {
    fn trees(&mut self, forest: &Forest, slots: &SlotMap) -> Result<Vec<(SavedTree, SavedEntries)>> {
        self.find_orphans(slots)?;
        let mut all = Vec::new();
        let mut roots = Vec::new();
        for tree in forest.trees.iter().filter(|tree| matches!(tree.role, Role::User)) {
            let mut saved = SavedTree { name: tree.name.clone(), ..SavedTree::default() };
            saved.counted = tree.counter.and_then(|(_, count)| count);
            for lost in &tree.lost {
                let show = |key: &Option<Box<[u8]>>| key.as_ref().map(|key| self.context.show(key));
                let page = PageId(lost.page);
                let slot = self.survey.checkpoint.job(page).map(|job| job.run.start);
                let what = if lost.is_delta {
                    stale(page)
                } else if self.orphans.contains_key(&page) {
                    "its table entry is lost, but a version of it was found".to_owned()
                } else {
                    "a page that cannot be read".to_owned()
                };
                saved.losses.push(Loss { page: lost.page, slot, from: show(&lost.from), to: show(&lost.to), what });
            }
            roots.push(tree.root);
            all.push((saved, tree.root));
        }
        // Trees whose names are lost: pages name their root.
        let named = |root: PageId| roots.contains(&root);
        let mut unnamed: Vec<PageId> = Vec::new();
        let owners = self
            .survey
            .pages()
            .filter(|(_, facts)| matches!(facts.kind, Kind::Leaf | Kind::Delta))
            .map(|(id, facts)| root_of(id, facts.owner));
        let from_orphans = self.orphans.values().map(|remain| root_of(remain.page, remain.owner));
        for root in owners.chain(from_orphans) {
            let is_own = root.0 < 2 || forest.trees.iter().any(|tree| tree.root == root && tree.role != Role::User);
            if !is_own && !named(root) && !unnamed.contains(&root) {
                unnamed.push(root);
            }
        }
        unnamed.sort_unstable();
        for root in unnamed {
            all.push((SavedTree { name: format!("lost-{root}"), ..SavedTree::default() }, root));
        }
        let mut done = Vec::new();
        for (mut saved, root) in all {
            let entries = self.entries_of(root, forest, &mut saved)?;
            saved.saved = entries.len() as u64;
            done.push((saved, entries));
        }
        Ok(done)
    }

    /// Versions of pages that the table says nothing of: the newest of each.
    fn find_orphans(&mut self, slots: &SlotMap) -> Result<()> {
        let checkpoint = &self.survey.checkpoint;
        let is_whole = checkpoint.meta().is_some() && checkpoint.entries.iter().all(Option::is_some);
        if is_whole {
            return Ok(());
        }
        let (pages, newest) = match checkpoint.meta() {
            Some(meta) => (meta.pages, meta.timestamp),
            None => (u32::MAX, Timestamp(u64::MAX / 2)),
        };
        for remain in slots.remains(self.file, pages, newest)? {
            if checkpoint.entry(remain.page).is_some() {
                continue;
            }
            let known = self.orphans.entry(remain.page).or_insert(remain);
            if known.birth < remain.birth {
                *known = remain;
            }
        }
        Ok(())
    }

    /// Every entry of every readable leaf of a tree.
    fn entries_of(&mut self, root: PageId, forest: &Forest, saved: &mut SavedTree) -> Result<SavedEntries> {
        let mut entries = SavedEntries::new();
        self.proved = true;
        for (page, facts) in self.survey.pages() {
            if root_of(page, facts.owner) != root {
                continue;
            }
            self.context.interrupt.check()?;
            match facts.kind {
                Kind::Leaf => {
                    let Some(bytes) = self.read_proved(facts) else { continue };
                    let delta = self.proved_delta(page, facts);
                    let is_told = self.take_leaf(page, &bytes, delta.as_deref(), &mut entries, saved);
                    // What is wrong with leaves that a tree reaches is in its losses already.
                    if let Some(delta) = page.beside().filter(|_| !is_told && forest.tree_index(page).is_none()) {
                        let slot = self.survey.checkpoint.job(delta).map(|job| job.run.start);
                        saved.losses.push(Loss { page: delta.0, slot, from: None, to: None, what: stale(delta) });
                    }
                }
                Kind::Delta if leaf_of(page).is_some_and(|leaf| self.survey.page(leaf).is_none()) => {
                    let Some(bytes) = self.read_proved(facts) else { continue };
                    self.take_delta(&bytes, &mut entries, saved);
                }
                _ => {}
            }
        }
        let orphans: Vec<Remain> =
            self.orphans.values().filter(|remain| root_of(remain.page, remain.owner) == root).copied().collect();
        self.proved = false;
        for remain in orphans {
            let Some(bytes) = self.read_raw(remain.run, remain.length) else { continue };
            let before = entries.len();
            let other = |page: Option<PageId>| page.and_then(|page| self.orphans.get(&page));
            // A delta is younger than its leaf; an older one is of a leaf that was there before.
            let delta = other(remain.page.beside()).filter(|delta| delta.birth >= remain.birth);
            let delta = delta.and_then(|delta| self.read_raw(delta.run, delta.length));
            self.take_leaf(remain.page, &bytes, delta.as_deref(), &mut entries, saved);
            let leaf = leaf_of(remain.page);
            if other(leaf).is_none() && leaf.is_some_and(|leaf| self.survey.page(leaf).is_none()) {
                self.take_delta(&bytes, &mut entries, saved);
            }
            saved.unproved += (entries.len() - before) as u64;
        }
        Ok(entries)
    }

    /// The delta of a leaf, if it has one that can be read.
    fn proved_delta(&self, leaf: PageId, facts: &PageFacts) -> Option<Vec<u8>> {
        let delta = leaf.beside().filter(|_| facts.delta() != DeltaState::None)?;
        self.read_proved(self.survey.page(delta)?)
    }

    fn read_proved(&self, facts: &PageFacts) -> Option<Vec<u8>> {
        let bytes = self.read_raw(facts.run, facts.length)?;
        (crc32fast::hash(&bytes) == facts.crc).then_some(bytes)
    }

    fn read_raw(&self, run: Run, length: u32) -> Option<Vec<u8>> {
        if u64::from(length) > run.bytes() {
            return None;
        }
        let mut bytes = vec![0; length as usize];
        let read = self.file.read(run.offset(), &mut bytes).ok()?;
        (read == bytes.len()).then_some(bytes)
    }

    /// Takes the entries of a leaf, as its delta tells them. `false` if there is a delta, or may be, that does not: then those that the leaf had before.
    fn take_leaf(
        &self,
        page: PageId,
        bytes: &[u8],
        delta: Option<&[u8]>,
        entries: &mut SavedEntries,
        saved: &mut SavedTree,
    ) -> bool {
        let Some(body) = bytes.get(HEADER_BYTES..) else { return true };
        let delta = delta.and_then(|bytes| bytes.get(HEADER_BYTES..));
        let told = delta.and_then(|delta| NodeView::parse_with_delta(page, body, delta).ok());
        let Some(leaf) = told.or_else(|| NodeView::parse(page, body).ok()).filter(|node| node.level() == 0) else {
            return true;
        };
        for index in 0..leaf.count() {
            match (leaf.key(index), leaf.value(index)) {
                (Ok(key), Ok((_, value))) => self.take_entry(key.into_vec(), value, entries, saved),
                (Err(what), _) | (_, Err(what)) => saved.losses.push(lost_entry(page, index, what)),
            }
        }
        let may_have_delta = self.survey.page(page).is_some_and(|facts| facts.delta() != DeltaState::None)
            || self.survey.checkpoint.is_beside_unknown(page);
        leaf.has_delta() || !may_have_delta
    }

    /// Takes the entries that a delta has itself.
    fn take_delta(&self, bytes: &[u8], entries: &mut SavedEntries, saved: &mut SavedTree) {
        let Some(Ok(delta)) = bytes.get(HEADER_BYTES..).map(DeltaView::parse) else { return };
        let page = version_header(bytes).map_or(PageId::NONE, |header| header.page);
        for index in 0..delta.count() {
            match delta.own_entry(index) {
                Ok(Some((key, value))) => self.take_entry(key.into_vec(), value, entries, saved),
                Ok(None) => {}
                Err(what) => saved.losses.push(lost_entry(page, index, what)),
            }
        }
    }

    fn take_entry(&self, key: Vec<u8>, value: Value<'_>, entries: &mut SavedEntries, saved: &mut SavedTree) {
        let bytes = match value {
            Value::Inline(bytes) => Some(bytes.to_vec()),
            Value::Large { page, len } => self.large(page, len),
        };
        match (bytes, value) {
            // From an older version of the page nothing is taken that a proved one has.
            (Some(bytes), _) if self.proved => {
                entries.insert(key, bytes);
            }
            (Some(bytes), _) => {
                entries.entry(key).or_insert(bytes);
            }
            (None, Value::Large { page, len }) => {
                let slot = self.survey.checkpoint.job(page).map(|job| job.run.start);
                let from = Some(self.context.show(&key));
                let what = format!("the large value of {len} bytes of one key");
                saved.losses.push(Loss { page: page.0, slot, from, to: None, what });
            }
            (None, Value::Inline(_)) => {}
        }
    }

    fn large(&self, page: PageId, len: usize) -> Option<Vec<u8>> {
        let bytes = match (self.survey.page(page), self.survey.checkpoint.entry(page)) {
            (Some(facts), _) => self.read_proved(facts)?,
            (None, Some(Entry::Version { .. })) => return None,
            _ => {
                let remain = self.orphans.get(&page)?;
                self.read_raw(remain.run, remain.length)?
            }
        };
        large_value_of(bytes.get(HEADER_BYTES..)?, len).ok().map(<[u8]>::to_vec)
    }
}

fn lost_entry(page: PageId, index: usize, what: &str) -> Loss {
    Loss { page: page.0, slot: None, from: None, to: None, what: format!("entry {index}: {what}") }
}

/// What is lost with a delta.
fn stale(delta: PageId) -> String {
    let leaf = delta.0.saturating_sub(1);
    format!("the delta of page {leaf}, which cannot be used: saved is what the leaf was before it changed last")
}

/// The root of a page's tree: roots may name no owner.
fn root_of(page: PageId, owner: PageId) -> PageId {
    if owner == PageId::NONE { page } else { owner }
}

fn text(report: &Report, look: Look) -> String {
    let mut table = look.table();
    table.set_header(look.headings(&["Saved", "entries", "of", "unproved", "losses"]));
    for tree in &report.trees {
        let is_all = tree.counted == Some(tree.saved);
        table.add_row(vec![
            Cell::new(crate::format::text(tree.name.as_bytes())),
            look.figure(count(tree.saved), if is_all { Mood::Good } else { Mood::Bad }),
            look.figure(tree.counted.map_or_else(|| "?".to_owned(), count), Mood::Plain),
            look.figure(count(tree.unproved), Mood::Plain),
            look.figure(count(tree.losses.len() as u64), Mood::Plain),
        ]);
    }
    let mut out =
        format!("{} -> {}, as of commit {}\n\n{}\n", report.store, report.new, report.timestamp, table.trim_fmt());
    if report.commits_from_journal > 0 {
        out += &format!("\n{} commits of the journal were done again.\n", count(report.commits_from_journal));
    }
    for tree in report.trees.iter().filter(|tree| !tree.losses.is_empty()) {
        out += &format!("\n{}\n", look.bad(&format!("Lost from {:?}:", tree.name)));
        for loss in &tree.losses {
            let slot = loss.slot.map_or_else(String::new, |slot| format!(", slot {slot}"));
            let end = |key: &Option<Blob>, none: &str| {
                key.as_ref().map_or_else(|| none.to_owned(), |key| format!("{key:.40}"))
            };
            let keys = match (&loss.from, &loss.to) {
                (None, None) => String::new(),
                (Some(key), None) if loss.what.contains("one key") => format!(": {key:.40}"),
                (from, to) => format!(": keys from {} to before {}", end(from, "the first"), end(to, "the end")),
            };
            out += &format!("  page {}{slot}, {}{keys}\n", loss.page, loss.what);
        }
    }
    out + &problem_lines(&report.problems, look)
}
