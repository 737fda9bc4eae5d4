//! Damage in the deltas of leaves: whatever is wrong with one is told, its leaf is not taken for what it was before without a word, and what can be saved
//! is saved.

mod common;

use common::{SLOT, Stores, flip, forge, json, retable, shown};
use pentimento_btree::inspect::{DeltaView, RegionKind};
use pentimento_storage::PageId;
use pentimento_storage::inspect::{Entry, TABLE_NUMBERS, table_item_number};
use pentimento_tools::inspect::{Checkpoint, Job, StoreFile};
use std::fs;
use std::path::{Path, PathBuf};

/// The bytes of a version before its body.
const HEADER: usize = 24;
/// An entry whose value was changed by a commit of its own.
const NUMBER: u32 = 420;

/// A store, and the leaf and the delta that a look-up of the entry meets.
struct Subject {
    _stores: Stores,
    store: PathBuf,
    leaf: u32,
    delta: u32,
    key: String,
}

impl Subject {
    fn new() -> Subject {
        let stores = Stores::new();
        let store = stores.with_deltas("app.pent");
        let key = common::key(NUMBER);
        let path = json(&store, &["path", "app.pent", "orders", &key, "--json"]);
        let step = path["steps"].as_array().unwrap().last().unwrap().clone();
        let [leaf, delta] = ["page", "delta"].map(|page| step[page].as_u64().unwrap() as u32);
        assert_eq!(leaf + 1, delta);
        Subject { _stores: stores, store, leaf, delta, key }
    }

    fn show(&self, args: &[&str]) -> String {
        shown(&self.store, args)
    }

    fn page(&self, page: u32) -> String {
        self.show(&["page", "app.pent", &page.to_string()])
    }

    fn repair(&self) -> (String, String) {
        let said = self.show(&["check", "app.pent", "--repair-to", "new.pent"]);
        let whole = json(&self.store, &["check", "new.pent", "--json"]);
        assert_eq!(whole["problems"].as_array().unwrap().len(), 0, "{whole}");
        (said, self.show(&["get", "new.pent", "orders", &self.key]))
    }

    /// The delta cannot be used: everybody is told, and a repair saves what the leaf was before.
    fn is_stale(&self) {
        let Subject { leaf, delta, key, .. } = self;
        let get = self.show(&["get", "app.pent", "orders", key]);
        assert!(!get.contains(&common::value(NUMBER)), "the old value is not taken for the new one: {get}");
        let is_told = |said: &str| said.contains(&format!("page {delta}")) && said.contains("exit code 1");
        let path = self.show(&["path", "app.pent", "orders", key]);
        assert!(is_told(&path), "{path}");
        let (said, value) = self.repair();
        assert!(said.contains(&format!("the delta of page {leaf}, which cannot be used")), "{said}");
        assert_eq!(value.trim_end(), common::long(&common::value(NUMBER)), "what the leaf was before");
        let tree = json(&self.store, &["tree", "app.pent", "orders", "--json"]);
        assert_eq!(tree["trees"][0]["unreadable"], 1);
    }
}

fn job_of(store: &Path, page: u32) -> Job {
    let checkpoint = Checkpoint::read(&StoreFile::open(store).unwrap()).unwrap();
    let Some(Entry::Version { run, birth, crc }) = checkpoint.entry(PageId(page)) else {
        panic!("page {page} has no version")
    };
    Job { page: PageId(page), run, birth, crc }
}

fn problems(store: &Path) -> Vec<String> {
    let report = json(store, &["check", "app.pent", "--json"]);
    let text = |problem: &serde_json::Value| format!("{}: {}", problem["page"], problem["what"].as_str().unwrap());
    report["problems"].as_array().unwrap().iter().map(text).collect()
}

#[test]
fn a_whole_store_is_told_as_it_is() {
    let subject = Subject::new();
    let Subject { store, leaf, delta, key, .. } = &subject;
    assert_eq!(problems(store), [""; 0]);
    let page = json(store, &["page", "app.pent", &delta.to_string(), "--json"]);
    assert_eq!((&page["decoded"]["kind"], &page["beside"]["page"]), (&"delta".into(), &(*leaf).into()));
    let entries = page["decoded"]["entries"].as_array().unwrap();
    let has = |entry: &&serde_json::Value| entry["key"]["text"].as_str() == Some(key.as_str());
    let own = entries.iter().find(has).expect("the delta has the cell");
    assert_eq!(own["value"]["text"], common::long(&format!("changed {NUMBER}")));
    let other = json(store, &["page", "app.pent", &leaf.to_string(), "--json"]);
    assert_eq!((&other["beside"]["page"], &other["beside"]["kind"]), (&(*delta).into(), &"delta".into()));
    assert_eq!(other["beside"]["entries"], page["beside"]["entries"]);
    let info = json(store, &["info", "app.pent", "--json"]);
    let pages = json(store, &["pages", "app.pent", "--kind", "delta", "--json"]);
    let tree = json(store, &["tree", "app.pent", "orders", "--json"]);
    let deltas = pages["pages"].as_array().unwrap();
    assert!(deltas.len() > 5, "{deltas:?}");
    assert_eq!((&info["pages"]["deltas"], &tree["trees"][0]["deltas"]), (&deltas.len().into(), &deltas.len().into()));
    assert!(deltas.iter().all(|line| line["parent"].as_u64().unwrap() + 1 == line["page"].as_u64().unwrap()));
    let of_kind = |kind: &str| info["pages"][kind].as_u64().unwrap();
    let kinds =
        ["leaves", "branches", "large_values", "deltas", "registers", "free_numbers", "kept_numbers", "damaged"];
    assert_eq!(kinds.map(of_kind).iter().sum::<u64>(), of_kind("numbers"), "each number is counted once: {info}");
    let leaves = json(store, &["pages", "app.pent", "--kind", "leaf", "--tree", "orders", "--json"]);
    let entries = leaves["pages"].as_array().unwrap().iter().map(|line| line["entries"].as_u64().unwrap());
    assert_eq!(entries.sum::<u64>(), 1500);
}

#[test]
fn a_delta_that_cannot_be_read() {
    let subject = Subject::new();
    let Subject { store, leaf, delta, .. } = &subject;
    flip(store, job_of(store, *delta).run.start * SLOT + 100);
    assert_eq!(problems(store), [format!("{delta}: its checksum does not match")]);
    let expected = format!("page {delta}, which is beside it, cannot be read: its checksum does not match");
    assert!(subject.page(*leaf).contains(&expected), "{}", subject.page(*leaf));
    subject.is_stale();
}

/// The delta says that the cells of its leaf begin elsewhere.
#[test]
fn a_delta_that_does_not_fit_its_leaf() {
    let subject = Subject::new();
    let Subject { store, leaf, delta, .. } = &subject;
    forge(store, &job_of(store, *delta), |version| version[HEADER + 12] ^= 4);
    assert_eq!(problems(store), [format!("{leaf}: page {delta} is not its delta: the delta does not fit its leaf")]);
    let expected = format!("with page {leaf}: the delta does not fit its leaf");
    assert!(subject.page(*delta).contains(&expected), "{}", subject.page(*delta));
    subject.is_stale();
}

#[test]
fn a_delta_whose_arrays_do_not_fit_its_length() {
    let subject = Subject::new();
    let Subject { store, delta, .. } = &subject;
    // How many entries there are, far more than there is room for.
    forge(store, &job_of(store, *delta), |version| version[HEADER + 5] = 100);
    assert_eq!(problems(store), [format!("{delta}: the delta's header does not fit its length")]);
    assert!(subject.page(*delta).contains("the delta's header does not fit its length"));
    subject.is_stale();
}

/// Only together with the leaf can be told what is wrong with these.
#[test]
fn entries_of_a_delta_that_are_wrong() {
    let subject = Subject::new();
    let Subject { store, leaf, delta, .. } = &subject;
    let job = job_of(store, *delta);
    let whole = fs::read(store).unwrap();
    let at = job.run.offset() as usize;
    let word = |offset: usize| usize::from(u16::from_le_bytes(whole[at + HEADER + offset..][..2].try_into().unwrap()));
    let (prefix_len, cap) = (word(2), word(6));
    let heads = HEADER + 16 + prefix_len.next_multiple_of(4);
    let offsets = heads + cap * 4;
    for (where_at, bits, told) in [
        (heads + 4 * 3, 0xFF, "head 3 does not agree with its key"),
        (offsets + 2 * 5 + 1, 0xF0, "entry 5: a cell begins past the end"),
        (HEADER + 8, 0x01, "bytes of garbage"),
        (HEADER + 1, 0x01, "reserved bytes are not zero"),
    ] {
        fs::write(store, &whole).unwrap();
        forge(store, &job, |version| version[where_at] ^= bits);
        let found = problems(store);
        let of_leaf = format!("{leaf}: ");
        assert!(found.iter().any(|it| it.starts_with(&of_leaf) && it.contains(told)), "{told}: {found:?}");
        let page = subject.page(*delta);
        assert!(page.contains(told), "{told}: {page}");
    }
}

/// A delta beside a branch: under that number no leaf has it.
#[test]
fn a_delta_that_no_leaf_has() {
    let subject = Subject::new();
    let Subject { store, delta, .. } = &subject;
    forge(store, &job_of(store, *delta), |version| version[..4].copy_from_slice(&3_u32.to_le_bytes()));
    let checkpoint = Checkpoint::read(&StoreFile::open(store).unwrap()).unwrap();
    let mut bytes = fs::read(store).unwrap();
    let table = checkpoint.table_pages[0].run;
    retable(&mut bytes, &checkpoint, table, |table| {
        let item = |page: u32| {
            let number = (0..TABLE_NUMBERS).find(|item| table_item_number(0, *item).0 == page).unwrap();
            32 + number * 24..56 + number * 24
        };
        table.copy_within(item(*delta), item(3).start);
        table[item(*delta)].fill(0);
    });
    fs::write(store, bytes).unwrap();
    let found = problems(store);
    assert!(found.contains(&"3: it is a delta, but page 2 is no leaf of a tree".to_owned()), "{found:?}");
    let page = subject.page(3);
    assert!(page.contains("Page 3: delta") && page.contains("it is a delta, but page 2 is no leaf"), "{page}");
    assert_eq!(
        subject.repair().1.trim_end(),
        common::long(&common::value(NUMBER)),
        "what it has is of no leaf, and not taken"
    );
}

#[test]
fn a_leaf_that_cannot_be_read_beside_its_delta() {
    let subject = Subject::new();
    let Subject { store, leaf, delta, .. } = &subject;
    flip(store, job_of(store, *leaf).run.start * SLOT + 100);
    assert_eq!(problems(store), [format!("{leaf}: its checksum does not match")]);
    let (said, value) = subject.repair();
    assert!(said.contains(&format!("page {leaf}, slot ")) && said.contains("a page that cannot be read"), "{said}");
    assert_eq!(value.trim_end(), common::long(&format!("changed {NUMBER}")), "the entry of the delta is there");
    let expected = format!("page {leaf}, which is beside it, cannot be read: its checksum does not match");
    assert!(subject.page(*delta).contains(&expected), "{}", subject.page(*delta));
}

/// Without metas the newest version of each page is looked for in the whole file: leaves are still taken with their deltas.
#[test]
fn deltas_that_only_their_headers_tell_of() {
    let subject = Subject::new();
    flip(&subject.store, 60);
    flip(&subject.store, 4096 + 60);
    subject.show(&["check", "app.pent", "--repair-to", "new.pent"]);
    let value = subject.show(&["get", "new.pent", "lost-2", &subject.key]);
    assert_eq!(value.trim_end(), common::long(&format!("changed {NUMBER}")));
    assert_eq!(subject.show(&["count", "new.pent", "lost-2"]), "1500\n");
}

/// What a delta was when a snapshot was named is checked together with its leaf, also where that is still current.
#[test]
fn a_delta_that_only_a_named_snapshot_needs() {
    let subject = Subject::new();
    let store = &subject.store;
    let named = Checkpoint::read(&StoreFile::open(store).unwrap()).unwrap().named;
    let whole = fs::read(store).unwrap();
    let is_delta = |job: &Job| whole[job.run.offset() as usize + HEADER] == 254;
    let deltas: Vec<_> = named.versions.iter().filter(|version| is_delta(&version.job)).collect();
    assert!(!deltas.is_empty());
    for version in deltas {
        fs::write(store, &whole).unwrap();
        forge(store, &version.job, |bytes| bytes[HEADER + 12] ^= 4);
        let delta = version.job.page.0;
        let expected = format!("{delta}: page {delta} is not its delta: the delta does not fit its leaf");
        assert_eq!(problems(store), [expected]);
    }
}

/// The bytes of a delta before its cells, forged with checksums that fit: nothing panics, and what is not told is no part of its structure.
#[test]
fn any_byte_of_a_delta() {
    let subject = Subject::new();
    let Subject { store, delta, .. } = &subject;
    let job = job_of(store, *delta);
    let whole = fs::read(store).unwrap();
    let at = job.run.offset() as usize;
    let cells = HEADER
        + DeltaView::parse(&whole[at + HEADER..]).unwrap().regions()[..]
            .iter()
            .find(|region| region.kind == RegionKind::Cell || region.kind == RegionKind::Gap)
            .unwrap()
            .start;
    let file = StoreFile::open(store).unwrap();
    let context = pentimento_tools::Context::new(true, false, pentimento_tools::Interrupt::default());
    let (mut told, mut tried) = (0, 0);
    for offset in (HEADER..cells).step_by(3) {
        fs::write(store, &whole).unwrap();
        forge(store, &job, |version| version[offset] ^= 0xFF);
        let report = pentimento_tools::commands::check::run(&file, &context).unwrap();
        tried += 1;
        told += usize::from(!report.problems.is_empty());
        let target = pentimento_tools::commands::page::Target::Page(*delta);
        pentimento_tools::commands::page::run(&file, target, None, true, &context).unwrap();
        pentimento_tools::commands::tree::run(&file, None, &context).unwrap();
    }
    // What remains is the room in the arrays that is not used.
    assert!(told * 10 > tried * 9, "{told} of {tried}");
}

/// Every slot of a sound store, the second ones of table pages too.
#[test]
fn a_slot_is_shown_as_a_part_of_what_it_belongs_to() {
    let subject = Subject::new();
    let file = StoreFile::open(&subject.store).unwrap();
    let context = pentimento_tools::Context::new(true, false, pentimento_tools::Interrupt::default());
    let checkpoint = Checkpoint::read(&file).unwrap();
    assert!(checkpoint.table_pages.iter().any(|page| page.run.slots == 2), "stores with deltas have such");
    for slot in 0..fs::metadata(&subject.store).unwrap().len() / SLOT {
        let target = pentimento_tools::commands::page::Target::Slot(slot);
        let report = pentimento_tools::commands::page::run(&file, target, None, false, &context).unwrap();
        assert!(report.problems.is_empty(), "slot {slot}: {:?}", report.problems);
        let table = checkpoint.table_pages.iter().find(|page| (page.run.start..page.run.end()).contains(&slot));
        if let Some(table) = table {
            assert_eq!((report.slot, report.slots), (Some(table.run.start), table.run.slots), "slot {slot}");
        }
    }
}
