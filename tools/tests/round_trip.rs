//! What goes out comes in again: `dump` and `load`, LMDB's own tools, `copy` and `diff`.

mod common;

use common::{Stores, json, key, pent, shown};
use pentimento::Database;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Feeds `input` to a program, and returns what it printed.
fn feed(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

fn load(store: &Path, input: &[u8], args: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pent"));
    feed(command.arg("load").arg(store).args(args), input);
}

#[test]
fn every_format_brings_every_entry_back() {
    let stores = Stores::new();
    let store = stores.crashed("app.pent");
    for format in ["hex", "print", "json"] {
        let dumped = pent(&store, &["dump", "app.pent", "--format", format]).stdout;
        let again = stores.path(&format!("{format}.pent"));
        load(&again, &dumped, &[]);
        let differences = shown(&store, &["diff", "app.pent", &format!("{format}.pent"), "--summary"]);
        if format == "json" {
            // A tree without entries leaves no line.
            assert!(
                differences.contains("2,005 equal, 0 removed, 0 added, 0 changed, 1 trees in one store only"),
                "{differences}"
            );
        } else {
            assert_eq!(differences, "2,005 equal, 0 removed, 0 added, 0 changed\n", "{format}");
        }
    }
}

#[test]
fn a_wrong_line_is_named_and_changes_nothing() {
    let stores = Stores::new();
    let store = stores.closed("app.pent");
    let before = pent(&store, &["dump", "app.pent"]).stdout;
    let wrong = stores.path("wrong.dump");
    for (input, message) in [
        ("VERSION=3\nHEADER=END\n 61\n 62\n 6\n 62\nDATA=END\n", "line 5 of the input: an odd number"),
        ("VERSION=2\nHEADER=END\n", "line 1 of the input: version 2"),
        ("VERSION=3\nHEADER=END\n 61\n", "line 4 of the input: the input ends after a key"),
        ("{\"key\":\"a\",\"value\":\"b\"}\n{\"key\":1}\n", "line 2 of the input"),
        ("hello\n", "line 1 of the input: this is neither"),
    ] {
        fs::write(&wrong, input).unwrap();
        let said = shown(&store, &["load", "app.pent", "-i", "wrong.dump"]);
        assert!(said.contains(message) && said.contains("exit code 2"), "{said}");
    }
    assert!(pent(&store, &["dump", "app.pent"]).stdout == before);
}

/// LMDB's tools from Debian's package lmdb-utils; without them the test says so and ends.
#[test]
fn lmdb_reads_what_we_write_and_we_read_what_it_writes() {
    if ["mdb_dump", "mdb_load"].iter().any(|tool| Command::new(tool).arg("-V").output().is_err()) {
        eprintln!("SKIPPED: mdb_dump and mdb_load are not installed (Debian: apt-get install lmdb-utils)");
        return;
    }
    let stores = Stores::new();
    let store = stores.closed("app.pent");
    let env = stores.path("lmdb");
    fs::create_dir(&env).unwrap();
    for format in ["hex", "print"] {
        let dumped = pent(&store, &["dump", "app.pent", "--format", format]).stdout;
        // Each of mdb_load's databases is made by its own run: of several in one input it takes the first header's flags for all.
        for tree in ["orders", "notes", "empty"] {
            let one = pent(&store, &["dump", "app.pent", tree, "--format", format]).stdout;
            feed(Command::new("mdb_load").args(["-s", tree]).arg(&env), &one);
        }
        let args: &[&str] = if format == "print" { &["-p", "-a"] } else { &["-a"] };
        let theirs = Command::new("mdb_dump").args(args).arg(&env).output().unwrap();
        assert!(theirs.status.success(), "{theirs:?}");
        let entries =
            |dump: &[u8]| dump.split(|byte| *byte == b'\n').filter(|line| line.first() == Some(&b' ')).count();
        assert_eq!(entries(&theirs.stdout), entries(&dumped), "both have all entries");
        let again = stores.path(&format!("{format}.pent"));
        load(&again, &theirs.stdout, &[]);
        let said = shown(&store, &["diff", "app.pent", &format!("{format}.pent"), "--summary"]);
        assert_eq!(said, "2,005 equal, 0 removed, 0 added, 0 changed\n");
    }
    eprintln!("round trip with LMDB's tools: 2,005 entries in 3 databases, both formats, there and back");
}

#[test]
fn a_copy_is_equal_and_compact() {
    let stores = Stores::new();
    let store = stores.crashed("app.pent");
    let said = shown(&store, &["copy", "app.pent", "copy.pent"]);
    assert!(said.starts_with("2,005 entries in 3 trees, as of commit 7: 256.0 KiB became "), "{said}");
    assert_eq!(shown(&store, &["diff", "app.pent", "copy.pent"]), "2,005 equal, 0 removed, 0 added, 0 changed\n");
    assert_eq!(shown(&store, &["check", "copy.pent", "--json"]).matches("\"problems\": []").count(), 1);
    let pages = |name: &str| json(&store, &["stat", name, "--json"])["trees"][4]["pages"].as_u64().unwrap();
    assert!(pages("copy.pent") < pages("app.pent"), "{} {}", pages("copy.pent"), pages("app.pent"));
    assert!(shown(&store, &["copy", "app.pent", "copy.pent"]).contains("exists already"));
    assert!(shown(&store, &["copy", "app.pent", "part.pent", "--tree", "nobody"]).contains("there is no tree named"));
    assert!(!stores.path("part.pent").exists(), "nothing is left of a copy that failed");
}

#[test]
fn a_store_is_compacted_in_place() {
    let stores = Stores::new();
    // The journal's commits are done again before.
    let store = stores.crashed("app.pent");
    let db = Database::open(&store).unwrap();
    let mut txn = db.begin_write().unwrap();
    let orders: Vec<Vec<u8>> = db
        .snapshot()
        .unwrap()
        .tree("orders")
        .unwrap()
        .iter()
        .unwrap()
        .map(|entry| entry.unwrap().0.into_vec())
        .collect();
    for key in orders.iter().enumerate().filter(|(at, _)| at % 7 != 0).map(|(_, key)| key) {
        txn.tree("orders").unwrap().remove(key).unwrap();
    }
    txn.commit().unwrap();
    let said = shown(&store, &["compact", "app.pent"]);
    assert!(said.contains("is in use") || said.contains("open") && said.contains("exit code 1"), "{said}");
    db.close().unwrap();

    assert!(shown(&store, &["copy", "app.pent", "copy.pent"]).contains("in 3 trees"));
    let report = json(&store, &["compact", "app.pent", "--json"]);
    let (before, after) = (report["bytes_before"].as_u64().unwrap(), report["bytes_after"].as_u64().unwrap());
    let copied = fs::metadata(stores.path("copy.pent")).unwrap().len();
    assert!(after < before && after == fs::metadata(&store).unwrap().len(), "{report}");
    // So small a file that some slots are much.
    assert!(after <= copied + copied / 7 + 32 * 1024, "{after} bytes, a copy has {copied}");
    assert!(shown(&store, &["diff", "app.pent", "copy.pent"]).contains(" equal, 0 removed, 0 added, 0 changed"));
    assert_eq!(shown(&store, &["check", "app.pent", "--json"]).matches("\"problems\": []").count(), 1);
    assert!(shown(&store, &["compact", "app.pent"]).contains(": 0 pages less by merging into 0 B, 0 B moved"));

    let said = shown(&store, &["compact", "missing.pent"]);
    assert!(said.contains("exit code 2") && !stores.path("missing.pent").exists(), "{said}");
    fs::write(stores.path("empty.pent"), b"").unwrap();
    let said = shown(&store, &["compact", "empty.pent"]);
    assert!(said.contains("is empty") && fs::read(stores.path("empty.pent")).unwrap().is_empty(), "{said}");
}

#[test]
fn differences_are_shown_from_the_first_to_the_second() {
    let stores = Stores::new();
    let store = stores.closed("before.pent");
    let after = stores.path("after.pent");
    fs::copy(&store, &after).unwrap();
    let db = Database::open(&after).unwrap();
    let mut txn = db.begin_write().unwrap();
    let mut orders = txn.tree("orders").unwrap();
    orders.remove(key(7)).unwrap();
    orders.insert(key(8), b"another").unwrap();
    orders.insert(b"order-x", b"new").unwrap();
    txn.drop_tree("empty").unwrap();
    txn.commit().unwrap();
    db.close().unwrap();
    insta::assert_snapshot!("diff", shown(&store, &["diff", "before.pent", "after.pent"]));
    insta::assert_snapshot!("diff_redacted", shown(&store, &["diff", "before.pent", "after.pent", "--redact"]));
    insta::assert_snapshot!(
        "diff_json",
        shown(&store, &["diff", "before.pent", "after.pent", "--json", "--tree", "orders"])
    );
}

#[test]
fn two_moments_of_one_store_are_compared_in_either_direction() {
    let stores = Stores::new();
    let store = stores.closed("moments.pent");
    let db = Database::open(&store).unwrap();
    db.snapshot_named("before").unwrap();
    let mut txn = db.begin_write().unwrap();
    let mut orders = txn.tree("orders").unwrap();
    orders.remove(key(7)).unwrap();
    orders.insert(key(8), b"another").unwrap();
    orders.insert(b"order-x", b"new").unwrap();
    txn.commit().unwrap();
    db.snapshot_named("after").unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.tree("orders").unwrap().remove(b"order-x").unwrap();
    txn.commit().unwrap();
    db.close().unwrap();
    let diff = |args: &[&str]| shown(&store, &[&["diff"], args].concat());
    insta::assert_snapshot!("diff_moments", diff(&["moments.pent@before", "moments.pent@after"]));
    insta::assert_snapshot!("diff_moments_back", diff(&["moments.pent@after", "moments.pent@before"]));
    insta::assert_snapshot!("diff_moments_now", diff(&["moments.pent@after", "moments.pent@"]));
    insta::assert_snapshot!("diff_moments_missing", diff(&["moments.pent@after", "moments.pent@never"]));
}
