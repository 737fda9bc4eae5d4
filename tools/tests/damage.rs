//! Each structure damaged in turn: every command goes as far as it can, says what it could not read, and what can be saved is saved.

mod common;

use common::{SLOT, Stores, flip, json, pent, shown};
use insta::assert_snapshot;
use pentimento_storage::Run;
use pentimento_tools::inspect::{Checkpoint, Named, StoreFile};
use std::fs;
use std::path::Path;

/// Each damage, and whether every command still works on what is left.
const COMMANDS: [&[&str]; 10] = [
    &["info", "app.pent"],
    &["check", "app.pent"],
    &["stat", "app.pent"],
    &["pages", "app.pent"],
    &["tree", "app.pent"],
    &["journal", "app.pent"],
    &["page", "app.pent", "2", "--hex"],
    &["path", "app.pent", "orders", "order-01000"],
    &["scan", "app.pent", "orders"],
    &["dump", "app.pent"],
];

/// No command may panic or be killed, whatever is in the file.
fn run_all(store: &Path) {
    for args in COMMANDS {
        let output = pent(store, args);
        assert!(matches!(output.status.code(), Some(0..=2)), "{args:?}: {output:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!errors.contains("panicked"), "{args:?}: {errors}");
    }
}

fn slot_of(store: &Path, page: u32) -> u64 {
    json(store, &["page", "app.pent", &page.to_string(), "--json"])["slot"].as_u64().unwrap()
}

/// What the check says, and what a repair saves and loses.
fn judge(store: &Path, name: &str) {
    let before = fs::read(store).unwrap();
    assert_snapshot!(format!("{name}_check"), shown(store, &["check", "app.pent"]));
    assert_snapshot!(format!("{name}_repair"), shown(store, &["check", "app.pent", "--repair-to", "new.pent"]));
    let repaired = json(store, &["check", "new.pent", "--json"]);
    assert_eq!(repaired["problems"].as_array().unwrap().len(), 0, "what was saved is whole: {repaired}");
    run_all(store);
    assert!(fs::read(store).unwrap() == before, "nothing of the damaged store was changed");
}

#[test]
fn a_meta() {
    let stores = Stores::new();
    let store = stores.closed("app.pent");
    flip(&store, 60);
    assert_snapshot!("meta_info", shown(&store, &["info", "app.pent"]));
    judge(&store, "meta");
}

#[test]
fn the_newest_meta_of_a_store_that_was_not_closed() {
    let stores = Stores::new();
    let store = stores.crashed("app.pent");
    flip(&store, 60);
    judge(&store, "newest_meta");
}

#[test]
fn both_metas() {
    let stores = Stores::new();
    let store = stores.closed("app.pent");
    flip(&store, 60);
    flip(&store, 4096 + 60);
    assert_snapshot!("both_metas_pages", shown(&store, &["pages", "app.pent"]));
    judge(&store, "both_metas");
    // Even the magic bytes may be gone.
    flip(&store, 0);
    flip(&store, 4096);
    let said = shown(&store, &["check", "app.pent", "--repair-to", "again.pent", "--json"]);
    assert!(said.contains("\"saved\": 2000"), "{said}");
}

#[test]
fn a_table_page() {
    let stores = Stores::new();
    let store = stores.closed("app.pent");
    let root = json(&store, &["info", "app.pent", "--json"])["metas"][0]["table_root"].as_u64().unwrap();
    flip(&store, root * SLOT + 40);
    assert_snapshot!("table_info", shown(&store, &["info", "app.pent"]));
    judge(&store, "table");
}

#[test]
fn a_leaf() {
    let stores = Stores::new();
    let store = stores.closed("app.pent");
    flip(&store, slot_of(&store, 12) * SLOT + 1500);
    assert_snapshot!("leaf_pages", shown(&store, &["pages", "app.pent", "--kind", "damaged"]));
    assert_snapshot!("leaf_page", shown(&store, &["page", "app.pent", "12"]));
    assert_snapshot!("leaf_path", shown(&store, &["path", "app.pent", "orders", "order-00500"]));
    assert_snapshot!("leaf_tree", shown(&store, &["tree", "app.pent", "orders"]));
    judge(&store, "leaf");
}

#[test]
fn a_branch() {
    let stores = Stores::new();
    let store = stores.closed("app.pent");
    flip(&store, slot_of(&store, 2) * SLOT + 30);
    judge(&store, "branch");
}

#[test]
fn a_large_value() {
    let stores = Stores::new();
    let store = stores.closed("app.pent");
    flip(&store, slot_of(&store, 42) * SLOT + 3000);
    assert_snapshot!("large_get", shown(&store, &["get", "app.pent", "notes", "hex:0002ff"]));
    judge(&store, "large");
}

#[test]
fn the_catalog() {
    let stores = Stores::new();
    let store = stores.closed("app.pent");
    flip(&store, slot_of(&store, 0) * SLOT + 100);
    judge(&store, "catalog");
}

#[test]
fn the_end_of_the_file() {
    let stores = Stores::new();
    let store = stores.crashed("app.pent");
    let file = fs::File::options().write(true).open(&store).unwrap();
    file.set_len(80 * SLOT + 1000).unwrap();
    judge(&store, "truncated");
}

/// Where the record of a commit begins in the journal.
fn record(store: &Path, commit: u64) -> u64 {
    let journal = json(store, &["journal", "app.pent", "--json"]);
    let records = journal["files"][0]["records"].as_array().unwrap();
    records.iter().find(|record| record["timestamp"] == commit).unwrap()["offset"].as_u64().unwrap()
}

#[test]
fn the_last_record_of_the_journal() {
    let stores = Stores::new();
    let store = stores.crashed("app.pent");
    let at = record(&store, 7);
    flip(&stores.path("app.pent-journal-2"), at + 40);
    assert_snapshot!("torn_journal", shown(&store, &["journal", "app.pent", "--pending"]));
    judge(&store, "torn");
}

#[test]
fn a_record_in_the_middle_of_the_journal() {
    let stores = Stores::new();
    let store = stores.crashed("app.pent");
    let at = record(&store, 5);
    flip(&stores.path("app.pent-journal-2"), at + 40);
    assert_snapshot!("middle_journal", shown(&store, &["journal", "app.pent", "--pending"]));
    judge(&store, "middle");
}

#[test]
fn the_header_of_the_journal() {
    let stores = Stores::new();
    let store = stores.crashed("app.pent");
    flip(&stores.path("app.pent-journal-2"), 33);
    assert_snapshot!("header_journal", shown(&store, &["journal", "app.pent"]));
    judge(&store, "header");
}

/// A store with named snapshots, and what only they need.
fn named(stores: &Stores) -> (std::path::PathBuf, Named) {
    let store = stores.named("app.pent");
    let named = Checkpoint::read(&StoreFile::open(&store).unwrap()).unwrap().named;
    assert!(named.is_whole && named.snapshots.len() == 4);
    (store, named)
}

#[test]
fn the_list_of_named_snapshots() {
    let stores = Stores::new();
    let (store, named) = named(&stores);
    flip(&store, named.list.unwrap().start * SLOT + 50);
    assert_snapshot!("named_list_history", shown(&store, &["history", "app.pent"]));
    let uses = json(&store, &["map", "app.pent", "--json"])["uses"].clone();
    assert!(uses.as_array().unwrap().iter().all(|usage| usage["use"] != "free"), "nobody knows what is free: {uses}");
    judge(&store, "named_list");
}

#[test]
fn a_table_page_of_a_named_snapshot() {
    let stores = Stores::new();
    let (store, named) = named(&stores);
    let leaf = named.tables.iter().find(|table| table.slot.level == 0).unwrap();
    flip(&store, leaf.slot.run.start * SLOT + 40);
    assert_snapshot!("named_table_history", shown(&store, &["history", "app.pent"]));
    judge(&store, "named_table");
}

#[test]
fn a_version_that_only_a_named_snapshot_needs() {
    let stores = Stores::new();
    let (store, named) = named(&stores);
    let version = named.versions.iter().find(|version| named.names_of(version).len() == 1).unwrap();
    flip(&store, version.job.run.start * SLOT + 100);
    judge(&store, "named_version");
}

/// The metas say that a table page is where a version of the newest checkpoint lies.
#[test]
fn a_slot_that_two_claim() {
    let stores = Stores::new();
    let (store, named) = named(&stores);
    // A second list in the slots of a version that is current: the meta is forged with a checksum that fits.
    let current = slot_of(&store, 0);
    let mut bytes = fs::read(&store).unwrap();
    let list = named.list.unwrap();
    let (from, to) = ((list.start * SLOT) as usize, (current * SLOT) as usize);
    bytes.copy_within(from..from + SLOT as usize, to);
    for meta in [0, 4096] {
        bytes[meta + 80..meta + 86].copy_from_slice(&current.to_le_bytes()[..6]);
        let crc = crc32fast::hash(&bytes[meta..meta + 508]);
        bytes[meta + 508..meta + 512].copy_from_slice(&crc.to_le_bytes());
    }
    fs::write(&store, bytes).unwrap();
    let said = shown(&store, &["check", "app.pent"]);
    assert!(
        said.contains("the list of named snapshots and page 0 share slots")
            || said.contains("page 0 and the list of named snapshots share slots"),
        "{said}"
    );
    run_all(&store);
}

#[test]
fn any_byte() {
    let stores = Stores::new();
    any_byte_of(&stores.closed("app.pent"), 211);
}

#[test]
fn any_byte_with_named_snapshots() {
    let stores = Stores::new();
    any_byte_of(&stores.named("app.pent"), 311);
}

/// Bytes all over the file, one at a time: nothing panics, nothing hangs, and whatever a checksum covers is noticed.
fn any_byte_of(store: &Path, step: usize) {
    let whole = fs::read(store).unwrap();
    let file = StoreFile::open(store).unwrap();
    let context = pentimento_tools::Context::new(true, false, pentimento_tools::Interrupt::default());
    // What a checksum covers: metas, table pages, the used bytes of versions; and the same of named snapshots, and their list.
    let mut covered = vec![0..512, 4096..4608];
    let checkpoint = Checkpoint::read(&file).unwrap();
    let bytes_of = |run: Run| run.offset()..run.offset() + run.bytes();
    covered.extend(checkpoint.table_pages.iter().map(|page| bytes_of(page.run)));
    for page in json(store, &["pages", "app.pent", "--json"])["pages"].as_array().unwrap() {
        if let Some(slot) = page["slot"].as_u64() {
            covered.push(slot * SLOT..slot * SLOT + page["bytes"].as_u64().unwrap());
        }
    }
    let named = &checkpoint.named;
    covered.extend(named.tables.iter().map(|table| bytes_of(table.slot.run)));
    for version in &named.versions {
        let at = version.job.run.offset() as usize;
        let length = u32::from_le_bytes(whole[at + 16..at + 20].try_into().unwrap());
        covered.push(at as u64..at as u64 + u64::from(length));
    }
    if let Some(list) = named.list {
        covered.push(list.offset()..list.offset() + u64::from(checkpoint.meta().unwrap().names.unwrap().len));
    }
    let (mut noticed, mut tried) = (0, 0);
    for offset in (0..whole.len() as u64).step_by(step) {
        flip(store, offset);
        tried += 1;
        let report = pentimento_tools::commands::check::run(&file, &context)
            .unwrap_or_else(|error| panic!("byte {offset}: {error}"));
        let is_covered = covered.iter().any(|range| range.contains(&offset));
        assert_eq!(!report.problems.is_empty(), is_covered, "byte {offset}: {:?}", report.problems);
        noticed += usize::from(is_covered);
        let _ = pentimento_tools::commands::info::run(&file, &context);
        flip(store, offset);
    }
    assert!(fs::read(store).unwrap() == whole);
    eprintln!("{tried} bytes changed one by one: all {noticed} that a checksum covers were noticed, and no other");
    assert!(noticed > 300);
}
