//! The map as a page for a browser: one file, without any other resource.
//!
//! The parts of the file go into it as a stream of numbers, seven bits a byte, in base64: about a dozen bytes a page. What is on the pages goes into it
//! up to a limit, roots and branches first, then leaves from all over the trees; the page says so.

use super::picture::{Class, Part, Picture, tree_colour};
use crate::inspect::{
    Blob, Decoded, Forest, Job, Kind, PageFacts, StoreFile, Survey, decode_meta, decode_version, read_version,
};
use crate::{Context, Error, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pentimento_storage::inspect::{META_BYTES, META_OFFSETS};
use pentimento_storage::{PageId, SLOT_BYTES};
use serde::Serialize;
use std::collections::BTreeMap;

const TEMPLATE: &str = include_str!("../../../assets/map.html");

/// How many bytes the contents of pages may take.
const CONTENT_BYTES: usize = 1_500_000;
/// More parts than this are put together, several slots a cell.
const MOST_PARTS: usize = 250_000;
/// More cells than this are too many for a picture in memory.
const MOST_CELLS: u64 = 1 << 21;
/// Entries of one page, and characters of a key or value.
const ENTRIES: usize = 48;
const CHARACTERS: usize = 40;
/// A longer version is not read to show its beginning.
const MOST_READ: u64 = 1 << 20;

#[derive(Serialize)]
struct Data<'p> {
    store: &'p str,
    checkpoint: u64,
    page_size: u32,
    slots: u64,
    slots_per_cell: u64,
    uses: Vec<&'static str>,
    use_colours: Vec<[u8; 3]>,
    use_slots: Vec<u64>,
    trees: Vec<Tree<'p>>,
    tree_colours: Vec<[u8; 3]>,
    oldest: u64,
    youngest: u64,
    parts: String,
    branches: String,
    pages: BTreeMap<u32, Content>,
    metas: Vec<Content>,
    note: String,
}

#[derive(Serialize)]
struct Tree<'p> {
    name: &'p str,
    root: u32,
    entries: u64,
}

/// What is on a page.
#[derive(Serialize)]
struct Content {
    kind: String,
    fields: Vec<(String, String)>,
    total: usize,
    entries: Vec<(String, String, Option<u32>)>,
}

pub(super) fn render(
    picture: &Picture,
    survey: &Survey,
    forest: &Forest,
    file: &StoreFile,
    context: &Context,
) -> Result<String> {
    let (parts, is_coarse) = parts(picture);
    let (oldest, youngest) = picture.births();
    let (pages, of) = contents(survey, forest, file, context);
    let mut note = if pages.len() < of {
        format!("The contents of {} of {of} pages are in this document; `pent page` shows the others.", pages.len())
    } else {
        String::new()
    };
    if is_coarse {
        note += " The file has more pages than this map shows one by one: small neighbours are drawn as one.";
    }
    let use_slots = |class: Class| picture.parts.iter().filter(|part| part.usage == class).map(|part| part.slots).sum();
    let data = Data {
        store: &picture.store,
        checkpoint: picture.checkpoint,
        page_size: picture.page_size,
        slots: picture.slots,
        slots_per_cell: picture.slots.div_ceil(MOST_CELLS).max(1),
        uses: Class::ALL.map(Class::name).to_vec(),
        use_colours: Class::ALL.map(Class::colour).to_vec(),
        use_slots: Class::ALL.map(use_slots).to_vec(),
        trees: forest
            .trees
            .iter()
            .map(|tree| Tree { name: &tree.name, root: tree.root.0, entries: tree.entries })
            .collect(),
        tree_colours: (0..forest.trees.len() as u32).map(tree_colour).collect(),
        oldest,
        youngest,
        parts,
        branches: branches(survey),
        pages,
        metas: metas(survey, file)?,
        note,
    };
    let json = serde_json::to_string(&data).map_err(|error| Error::Output(error.into()))?;
    // Within a script element only its end, and what looks like a comment, must not stand.
    let json = json.replace('<', "\\u003c");
    let title = format!("Map of {}", picture.store).replace('&', "&amp;").replace('<', "&lt;");
    Ok(TEMPLATE.replace("@TITLE@", &title).replacen("@DATA@", &json, 1))
}

fn put(stream: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        stream.push(number as u8 | 0x80);
        number >>= 7;
    }
    stream.push(number as u8);
}

/// The parts as a stream, and whether some were put together.
fn parts(picture: &Picture) -> (String, bool) {
    let mut stream = Vec::new();
    let mut write = |part: &Part, slots: u64| {
        put(&mut stream, slots);
        put(&mut stream, part.usage as u64);
        let plus_one = |field: Option<u64>| field.map_or(0, |field| field + 1);
        for field in [part.page.map(u64::from), part.tree.map(u64::from), part.birth, part.pin, part.bytes] {
            put(&mut stream, plus_one(field));
        }
    };
    let is_coarse = picture.parts.len() > MOST_PARTS;
    if is_coarse {
        let per_cell = picture.slots.div_ceil(MOST_PARTS as u64);
        let cells = picture.cells(per_cell);
        for (cell, part) in cells.iter().enumerate() {
            write(part, per_cell.min(picture.slots - cell as u64 * per_cell));
        }
    } else {
        for part in &picture.parts {
            write(part, part.slots);
        }
    }
    (BASE64_STANDARD.encode(stream), is_coarse)
}

/// The children of each branch, as a stream.
fn branches(survey: &Survey) -> String {
    let mut stream = Vec::new();
    for (page, facts) in survey.pages().filter(|(_, facts)| facts.kind == Kind::Branch) {
        let Some(node) = facts.node(page) else { continue };
        let children = node.children();
        put(&mut stream, u64::from(page.0));
        put(&mut stream, children.len() as u64);
        children.iter().for_each(|child| put(&mut stream, u64::from(child.0)));
    }
    BASE64_STANDARD.encode(stream)
}

fn metas(survey: &Survey, file: &StoreFile) -> Result<Vec<Content>> {
    let mut metas = Vec::new();
    for (which, offset) in META_OFFSETS.into_iter().enumerate() {
        let mut bytes = [0; META_BYTES];
        file.read(offset, &mut bytes).map_err(Error::io("read", file.path()))?;
        let mut content = content(&decode_meta(&bytes, &survey.checkpoint.head.slots[which]));
        content.kind = format!("meta {}", ["A", "B"][which]);
        metas.push(content);
    }
    Ok(metas)
}

/// What is on the pages, as far as there is room, and how many pages there are.
fn contents(survey: &Survey, forest: &Forest, file: &StoreFile, context: &Context) -> (BTreeMap<u32, Content>, usize) {
    let pages: Vec<(PageId, &PageFacts)> = survey.pages().collect();
    let of = pages.len();
    let is_important =
        |page: PageId, facts: &PageFacts| facts.level > 0 || forest.trees.iter().any(|tree| tree.root == page);
    let (mut order, others): (Vec<_>, Vec<_>) = pages.into_iter().partition(|(page, facts)| is_important(*page, facts));
    order.sort_by_key(|(_, facts)| std::cmp::Reverse(facts.level));
    // All over the trees: every 64th of the others, then those between.
    for step in 0..64 {
        order.extend(others.iter().skip(step).step_by(64));
    }
    let mut contents = BTreeMap::new();
    let mut room = CONTENT_BYTES;
    for (page, facts) in order {
        if context.interrupt.is_asked() || facts.run.bytes() > MOST_READ {
            continue;
        }
        let job = Job { page, run: facts.run, birth: facts.birth, crc: facts.crc };
        // Overwritten meanwhile: the map is of the checkpoint before.
        let Ok(bytes) = read_version(file, &job) else { continue };
        let content = content(&decode_version(&bytes, context.privacy));
        let Some(left) = room.checked_sub(content.weight()) else { break };
        room = left;
        contents.insert(page.0, content);
    }
    (contents, of)
}

impl Content {
    /// About how many bytes it takes in the document.
    fn weight(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        let entries: usize = self.entries.iter().map(|(key, value, _)| key.len() + value.len() + 20).sum();
        fields + entries + 80
    }
}

fn content(decoded: &Decoded) -> Content {
    let short = |blob: &Option<Blob>| blob.as_ref().map_or_else(String::new, |blob| format!("{blob:.CHARACTERS$}"));
    let mut fields: Vec<(String, String)> =
        decoded.fields.iter().map(|field| (field.name.to_owned(), field.value.clone())).collect();
    fields.extend(
        decoded.prefix.as_ref().map(|prefix| ("all keys begin with".to_owned(), format!("{prefix:.CHARACTERS$}"))),
    );
    fields.extend(decoded.faults.iter().map(|fault| ("wrong".to_owned(), fault.clone())));
    let entries = decoded.entries.iter().take(ENTRIES).map(|entry| {
        let note = entry.note.clone().unwrap_or_default();
        let value = if entry.value.is_some() { short(&entry.value) } else { note };
        let key = if entry.key.is_some() { short(&entry.key) } else { format!("#{}", entry.index) };
        (key, value, entry.page)
    });
    Content { kind: decoded.kind.clone(), fields, total: decoded.entries.len(), entries: entries.collect() }
}

const _: () = assert!(SLOT_BYTES == 2048, "the page's script counts in slots of 2048 bytes");
