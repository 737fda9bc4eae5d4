//! What each command prints on a known store, to the letter. `INSTA_UPDATE=always cargo test -p pentimento-tools --test outputs` takes over what
//! they print now.

mod common;

use common::{Stores, shown};
use insta::assert_snapshot;

#[test]
fn a_closed_store() {
    let stores = Stores::new();
    let store = stores.closed("app.pent");
    let before = std::fs::read(&store).unwrap();
    let show = |args: &[&str]| shown(&store, args);
    assert_snapshot!("info", show(&["info", "app.pent"]));
    assert_snapshot!("check", show(&["check", "app.pent"]));
    assert_snapshot!("stat", show(&["stat", "app.pent"]));
    assert_snapshot!("pages_of_notes", show(&["pages", "app.pent", "--tree", "notes"]));
    assert_snapshot!("pages_by_slot", show(&["pages", "app.pent", "--slot", "4..40", "--sort", "slot"]));
    assert_snapshot!("pages_that_are_empty", show(&["pages", "app.pent", "--kind", "leaf", "--fill", "..30"]));
    assert_snapshot!("page_branch", show(&["page", "app.pent", "2"]));
    assert_snapshot!("page_hex", show(&["page", "app.pent", "0", "--hex"]));
    assert_snapshot!("page_redacted", show(&["page", "app.pent", "0", "--hex", "--redact"]));
    assert_snapshot!("page_meta", show(&["page", "app.pent", "slot:0"]));
    assert_snapshot!("page_register", show(&["page", "app.pent", "4"]));
    assert_snapshot!("page_kept_number", show(&["page", "app.pent", "3"]));
    assert_snapshot!("tree_orders", show(&["tree", "app.pent", "orders"]));
    assert_snapshot!("tree_notes", show(&["tree", "app.pent", "notes"]));
    assert_snapshot!("path", show(&["path", "app.pent", "orders", "order-01234"]));
    assert_snapshot!("path_to_nothing", show(&["path", "app.pent", "orders", "order-1"]));
    assert_snapshot!("journal", show(&["journal", "app.pent"]));
    assert_snapshot!("get", show(&["get", "app.pent", "orders", "order-01234"]));
    assert_snapshot!("get_nothing", show(&["get", "app.pent", "orders", "none"]));
    assert_snapshot!("get_json", show(&["get", "app.pent", "notes", "hex:0001ff", "--json", "--redact"]));
    assert_snapshot!("scan", show(&["scan", "app.pent", "orders", "--from", "order-00095", "--limit", "4"]));
    assert_snapshot!("scan_back", show(&["scan", "app.pent", "notes", "--reverse", "--limit", "2"]));
    assert_snapshot!("count", show(&["count", "app.pent", "orders", "--prefix", "order-00"]));
    assert_snapshot!("dump", show(&["dump", "app.pent", "notes", "empty", "--format", "print"]).replace(r"\00", ""));
    assert_snapshot!(
        "page_at",
        show(&["page", "app.pent", "6", "--at", "2"]).lines().take(20).collect::<Vec<_>>().join("\n")
    );
    for by in ["use", "tree", "age", "fill"] {
        assert_snapshot!(format!("map_{by}"), show(&["map", "app.pent", "--by", by]));
    }
    assert_snapshot!("map_svg", {
        show(&["map", "app.pent", "--svg", "map.svg"]) + &std::fs::read_to_string(stores.path("map.svg")).unwrap()
    });
    assert_snapshot!("top", show(&["top", "app.pent"]));
    assert_snapshot!("no_such_tree", show(&["count", "app.pent", "customers"]));
    assert_snapshot!("no_such_page", show(&["page", "app.pent", "4000000"]));
    assert_eq!(std::fs::read(&store).unwrap(), before, "looking changes nothing");
}

#[test]
fn a_store_with_deltas() {
    let stores = Stores::new();
    let store = stores.with_deltas("app.pent");
    let show = |args: &[&str]| shown(&store, args);
    assert_snapshot!("deltas_info", show(&["info", "app.pent"]));
    assert_snapshot!("deltas_tree", show(&["tree", "app.pent", "orders"]));
    assert_snapshot!("deltas_path", show(&["path", "app.pent", "orders", &common::key(420)]));
    assert_snapshot!("deltas_pages", show(&["pages", "app.pent", "--kind", "delta"]));
    let path = common::json(&store, &["path", "app.pent", "orders", &common::key(420), "--json"]);
    let leaf = path["steps"].as_array().unwrap().last().unwrap().clone();
    let first_lines = |page: &serde_json::Value| {
        let said = show(&["page", "app.pent", &page.to_string(), "--hex"]);
        said.lines().take(32).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!("deltas_page_of_leaf", first_lines(&leaf["page"]));
    assert_snapshot!("deltas_page_of_delta", first_lines(&leaf["delta"]));
}

#[test]
fn a_store_with_named_snapshots() {
    let stores = Stores::new();
    let store = stores.named("app.pent");
    let show = |args: &[&str]| shown(&store, args);
    assert_snapshot!("named_check", show(&["check", "app.pent"]));
    assert_snapshot!("named_info", show(&["info", "app.pent"]));
    assert_snapshot!("named_history", show(&["history", "app.pent", "--versions"]));
    assert_snapshot!("named_map", show(&["map", "app.pent"]));
    let file = pentimento_tools::inspect::StoreFile::open(&store).unwrap();
    let named = pentimento_tools::inspect::Checkpoint::read(&file).unwrap().named;
    // Each slot of what only the snapshots need is shown as that, and no version is shown as another than what lies there.
    let map: serde_json::Value = serde_json::from_str(&show(&["map", "app.pent", "--json"])).unwrap();
    let slots = |what: &str| {
        map["uses"].as_array().unwrap().iter().find(|usage| usage["use"] == what).unwrap()["slots"].as_u64().unwrap()
    };
    let versions: u64 = named.versions.iter().map(|version| version.job.run.slots).sum();
    assert!(versions > 0 && !named.tables.is_empty());
    let tables: u64 = named.tables.iter().map(|table| table.slot.run.slots).sum();
    assert_eq!(slots("named"), versions + tables + named.list.unwrap().slots);
    // The engine counts the same.
    let db = pentimento::Database::builder().read_only(true).open(&store).unwrap();
    let costs = db.named_snapshots().unwrap();
    for cost in &costs {
        let of = named.snapshots.iter().find(|snapshot| snapshot.name == cost.name).unwrap();
        let needed = |from: pentimento_storage::Timestamp, to: pentimento_storage::Timestamp| {
            from <= of.timestamp && of.timestamp <= to
        };
        let versions = named.versions.iter().filter(|version| needed(version.job.birth, version.newest));
        let tables = named.tables.iter().filter(|table| needed(table.slot.timestamp.unwrap(), table.newest));
        let bytes: u64 =
            versions.map(|version| version.job.run.bytes()).chain(tables.map(|table| table.slot.run.bytes())).sum();
        assert_eq!(bytes, cost.bytes_alone + cost.bytes_shared, "{}", cost.name);
    }
    drop(db);
    let version = named.versions.iter().find(|version| named.names_of(version).len() > 1).unwrap();
    let slot = format!("slot:{}", version.job.run.start);
    let said = show(&["page", "app.pent", &slot]);
    assert!(said.contains("kept for the named snapshots \"before the sale\", \"nightly\""), "{said}");
    let table = format!("slot:{}", named.tables[0].slot.run.start);
    assert!(show(&["page", "app.pent", &table]).contains("kept for the named snapshots"));
    let list = format!("slot:{}", named.list.unwrap().start);
    assert!(show(&["page", "app.pent", &list]).contains("list of named snapshots"));
}

#[test]
fn a_store_with_a_journal() {
    let stores = Stores::new();
    let store = stores.crashed("app.pent");
    let show = |args: &[&str]| shown(&store, args);
    assert_snapshot!("crashed_info", show(&["info", "app.pent"]));
    assert_snapshot!("crashed_journal_records", show(&["journal", "app.pent"]));
    assert_snapshot!("crashed_journal", show(&["journal", "app.pent", "--operations", "--pending"]));
    assert_snapshot!(
        "crashed_journal_redacted",
        show(&["journal", "app.pent", "--operations", "--pending", "--redact"])
    );
    // Not of a closed store: closing may give what is free back to the file system.
    assert_snapshot!("history", show(&["history", "app.pent"]));
    assert_snapshot!("history_of_page", show(&["history", "app.pent", "30"]));
    assert_snapshot!("crashed_check", show(&["check", "app.pent"]));
    assert_snapshot!("crashed_scan", show(&["scan", "app.pent", "orders", "--from", "order-001", "--limit", "3"]));
    assert_snapshot!("crashed_count", show(&["count", "app.pent", "orders"]));
    let journal = stores.path("app.pent-journal-2");
    assert!(journal.exists(), "looking recovers nothing");
    // What was read is what an opening brings back.
    let dumped = common::pent(&store, &["dump", "app.pent"]).stdout;
    pentimento::Database::open(&store).unwrap().close().unwrap();
    assert!(!journal.exists());
    assert!(common::pent(&store, &["dump", "app.pent"]).stdout == dumped);
}

#[test]
fn what_is_no_store() {
    let stores = Stores::new();
    let path = stores.path("app.pent");
    std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let show = |args: &[&str]| shown(&path, args);
    assert_snapshot!("not_a_store", show(&["info", "app.pent"]));
    assert_snapshot!("no_file", show(&["check", "missing.pent"]));
    std::fs::write(&path, b"").unwrap();
    assert_snapshot!("empty_file", show(&["pages", "app.pent"]));
    assert_eq!(std::fs::read(&path).unwrap(), b"");
}

#[test]
fn the_help_of_every_command() {
    let stores = Stores::new();
    let folder = stores.path("nothing");
    assert_snapshot!("help", shown(&folder, &["--help"]));
    let commands = [
        "info", "check", "stat", "pages", "page", "tree", "path", "history", "map", "journal", "top", "get", "scan",
        "count", "diff", "dump", "load", "copy", "compact",
    ];
    for command in commands {
        assert_snapshot!(format!("help_{command}"), shown(&folder, &["help", command]));
    }
}
