//! Each structure damaged in turn: every command goes as far as it can, says what it could not read, and what can be saved is saved.

mod common;

use common::{SLOT, Stores, flip, json, pent, shown};
use insta::assert_snapshot;
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
    flip(&store, slot_of(&store, 7) * SLOT + 1500);
    assert_snapshot!("leaf_pages", shown(&store, &["pages", "app.pent", "--kind", "damaged"]));
    assert_snapshot!("leaf_page", shown(&store, &["page", "app.pent", "7"]));
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
    flip(&store, slot_of(&store, 22) * SLOT + 3000);
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
    file.set_len(100 * SLOT + 1000).unwrap();
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
    flip(&stores.path("app.pent-journal-1"), at + 40);
    assert_snapshot!("torn_journal", shown(&store, &["journal", "app.pent", "--pending"]));
    judge(&store, "torn");
}

#[test]
fn a_record_in_the_middle_of_the_journal() {
    let stores = Stores::new();
    let store = stores.crashed("app.pent");
    let at = record(&store, 5);
    flip(&stores.path("app.pent-journal-1"), at + 40);
    assert_snapshot!("middle_journal", shown(&store, &["journal", "app.pent", "--pending"]));
    judge(&store, "middle");
}

#[test]
fn the_header_of_the_journal() {
    let stores = Stores::new();
    let store = stores.crashed("app.pent");
    flip(&stores.path("app.pent-journal-1"), 33);
    assert_snapshot!("header_journal", shown(&store, &["journal", "app.pent"]));
    judge(&store, "header");
}

/// Bytes all over the file, one at a time: nothing panics, nothing hangs, and whatever a checksum covers is noticed.
#[test]
fn any_byte() {
    let stores = Stores::new();
    let store = stores.closed("app.pent");
    let whole = fs::read(&store).unwrap();
    let file = pentimento_tools::inspect::StoreFile::open(&store).unwrap();
    let context = pentimento_tools::Context::new(true, false, pentimento_tools::Interrupt::default());
    // What a checksum covers: metas, table pages, the used bytes of versions.
    let mut covered = vec![0..512, 4096..4608];
    let checkpoint = pentimento_tools::inspect::Checkpoint::read(&file).unwrap();
    covered.extend(checkpoint.table_pages.iter().map(|page| page.run.offset()..page.run.offset() + SLOT));
    for page in json(&store, &["pages", "app.pent", "--json"])["pages"].as_array().unwrap() {
        if let Some(slot) = page["slot"].as_u64() {
            covered.push(slot * SLOT..slot * SLOT + page["bytes"].as_u64().unwrap());
        }
    }
    let (mut noticed, mut tried) = (0, 0);
    for offset in (0..whole.len() as u64).step_by(211) {
        flip(&store, offset);
        tried += 1;
        let report = pentimento_tools::commands::check::run(&file, &context)
            .unwrap_or_else(|error| panic!("byte {offset}: {error}"));
        let is_covered = covered.iter().any(|range| range.contains(&offset));
        assert_eq!(!report.problems.is_empty(), is_covered, "byte {offset}: {:?}", report.problems);
        noticed += usize::from(is_covered);
        let _ = pentimento_tools::commands::info::run(&file, &context);
        flip(&store, offset);
    }
    assert!(fs::read(&store).unwrap() == whole);
    eprintln!("{tried} bytes changed one by one: all {noticed} that a checksum covers were noticed, and no other");
    assert!(noticed > 300);
}
