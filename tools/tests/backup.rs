//! Backing up, shipping and restoring from the command line.

mod common;

use common::{Stores, pent, shown};
use pentimento::Database;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a store holds, as text.
fn dump(store: &Path) -> String {
    let dumped = pent(store, &["dump", store.to_str().unwrap(), "--format", "json"]);
    assert!(dumped.status.success(), "{dumped:?}");
    String::from_utf8(dumped.stdout).unwrap()
}

fn to_file(store: &Path, words: &[&str], file: &Path) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_pent"))
        .args(words)
        .current_dir(store.parent().unwrap())
        .stdout(Stdio::from(fs::File::create(file).unwrap()))
        .output()
        .unwrap()
}

#[test]
fn an_archive_is_listed_verified_restored_and_pruned() {
    let stores = Stores::new();
    let store = stores.crashed("app.pent");
    let expected = dump(&store);
    assert!(expected.contains("changed in round 2"), "what the journal has is backed up, too");
    let report = common::json(&store, &["backup", "app.pent", "archive", "--json"]);
    assert!(report["base"].is_null() && report["bytes"].as_u64().unwrap() > 10_000, "{report}");
    assert!(shown(&store, &["backup", "app.pent", "archive"]).contains("already"));
    let db = Database::open(&store).unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.tree("orders").unwrap().insert("order-00001", "a new one").unwrap();
    txn.commit().unwrap();
    let locked = shown(&store, &["backup", "app.pent", "archive"]);
    assert!(locked.contains("another process has it open") && locked.contains("exit code 2"), "{locked}");
    db.close().unwrap();
    assert!(pent(&store, &["backup", "app.pent", "archive"]).status.success());

    let points = common::json(&store, &["backup", "list", "archive", "--json"])["points"].clone();
    assert_eq!(points.as_array().unwrap().len(), 2);
    assert_eq!(points[0]["timestamp"], report["timestamp"]);
    let verified = pent(&store, &["backup", "verify", "archive"]);
    assert!(verified.status.success(), "{verified:?}");

    let at = points[0]["timestamp"].to_string();
    assert!(pent(&store, &["backup", "restore", "archive", "old.pent", "--at", &at]).status.success());
    assert_eq!(dump(&stores.path("old.pent")), expected);
    assert!(pent(&store, &["backup", "restore", "archive", "new.pent"]).status.success());
    assert_eq!(dump(&stores.path("new.pent")), dump(&store));
    let again = shown(&store, &["backup", "restore", "archive", "new.pent"]);
    assert!(again.contains("already"), "{again}");
    // `pent` looks into a copy as into any store.
    assert!(pent(&store, &["check", "new.pent"]).status.success());
    let missing = shown(&store, &["backup", "restore", "archive", "none.pent", "--at", "99999"]);
    assert!(missing.contains("exit code 1") && !stores.path("none.pent").exists(), "{missing}");

    assert!(shown(&store, &["backup", "prune", "archive"]).contains("say what to keep"));
    assert!(shown(&store, &["backup", "prune", "archive", "--chains", "1", "--dry-run"]).contains("1 points"));
    assert!(pent(&store, &["backup", "prune", "archive", "--chains", "1"]).status.success());
    let left = common::json(&store, &["backup", "list", "archive", "--json"])["points"].clone();
    assert_eq!(left.as_array().unwrap().len(), 1);

    let stream = stores.path("archive").join(format!(
        "{}/{:020}-whole.stream",
        left[0]["source"].as_str().unwrap(),
        left[0]["timestamp"].as_u64().unwrap()
    ));
    common::flip(&stream, 5000);
    let damaged = shown(&store, &["backup", "verify", "archive"]);
    assert!(damaged.contains("damaged at chunk 0") && damaged.contains("exit code 1"), "{damaged}");
}

#[test]
fn a_stream_is_shipped_cut_and_resumed() {
    let stores = Stores::new();
    let store = stores.closed("app.pent");
    // More than a chunk.
    let db = Database::open(&store).unwrap();
    let mut txn = db.begin_write().unwrap();
    let mut tree = txn.tree("more").unwrap();
    for number in 0..6000_u32 {
        tree.insert(number.to_be_bytes(), [number as u8; 150]).unwrap();
    }
    txn.commit().unwrap();
    db.close().unwrap();

    let stream = stores.path("app.stream");
    let sent = to_file(&store, &["backup", "app.pent", "-"], &stream);
    assert!(sent.status.success() && String::from_utf8_lossy(&sent.stderr).contains("entries set"), "{sent:?}");
    let verified = common::json(&store, &["backup", "verify", "app.stream", "--json"]);
    assert_eq!(verified["trees"].as_array().unwrap().len(), 4);
    assert!(verified["chunks"].as_u64().unwrap() > 3);

    let bytes = fs::read(&stream).unwrap();
    fs::write(stores.path("cut.stream"), &bytes[..700_000]).unwrap();
    let cut = shown(&store, &["receive", "copy.pent", "-i", "cut.stream"]);
    assert!(cut.contains("was cut after 2 whole chunks") && cut.contains("exit code 1"), "{cut}");
    let position = common::json(&store, &["receive", "copy.pent", "--position", "--json"]);
    assert_eq!(position["chunks"], 2);
    let word = position["position"].as_str().unwrap();
    let rest = stores.path("rest.stream");
    assert!(to_file(&store, &["backup", "app.pent", "-", "--resume-at", word], &rest).status.success());
    assert!(fs::metadata(&rest).unwrap().len() < bytes.len() as u64 - 500_000);
    let received = common::json(&store, &["receive", "copy.pent", "-i", "rest.stream", "--json"]);
    assert_eq!(received["streams"][0]["timestamp"], verified["timestamp"]);
    assert_eq!(dump(&stores.path("copy.pent")), dump(&store));

    let twice = shown(&store, &["receive", "copy.pent", "-i", "app.stream"]);
    assert!(twice.contains("already") && twice.contains("exit code 1"), "{twice}");
    let nothing = shown(&store, &["receive", "copy.pent", "--position"]);
    assert!(nothing.contains("nothing of a stream is there"), "{nothing}");
    let wrong = shown(&store, &["backup", "app.pent", "-", "--resume-at", "zz"]);
    assert!(wrong.contains("resume") && wrong.contains("exit code 2"), "{wrong}");
    let missing = shown(&store, &["backup", "missing.pent", "archive"]);
    assert!(missing.contains("does not exist") && !stores.path("missing.pent").exists(), "{missing}");
}

#[test]
fn increments_follow_one_another_by_themselves() {
    let stores = Stores::new();
    let store = stores.closed("app.pent");
    let change = |round: u32| {
        let db = Database::open(&store).unwrap();
        let mut txn = db.begin_write().unwrap();
        txn.tree("orders").unwrap().insert(format!("order-0000{round}"), format!("changed {round}")).unwrap();
        txn.commit().unwrap();
        db.close().unwrap();
    };
    let auto = ["backup", "app.pent", "archive", "--incremental-from", "auto", "--json"];
    let whole = common::json(&store, &auto);
    assert!(whole["base"].is_null(), "{whole}");
    let mut expected = vec![dump(&store)];
    let mut last = whole.clone();
    for round in 0..3 {
        change(round);
        let next = common::json(&store, &auto);
        assert_eq!(next["base"], last["timestamp"]);
        assert_eq!(next["puts"], 1);
        expected.push(dump(&store));
        last = next;
    }
    let nothing = shown(&store, &["backup", "app.pent", "archive", "--incremental-from", "auto"]);
    assert!(nothing.contains("nothing has changed") && nothing.contains("exit code 1"), "{nothing}");
    // One snapshot is kept in the store, for the next time.
    let db = Database::open(&store).unwrap();
    let names: Vec<String> = db.named_snapshots().unwrap().into_iter().map(|named| named.name).collect();
    assert_eq!(names, [format!("pent-backup-{}", last["timestamp"])]);
    db.close().unwrap();
    let points = common::json(&store, &["backup", "list", "archive", "--json"])["points"].clone();
    for (point, expected) in points.as_array().unwrap().iter().zip(&expected) {
        let (at, name) = (point["timestamp"].to_string(), format!("at-{}.pent", point["timestamp"]));
        assert!(pent(&store, &["backup", "restore", "archive", &name, "--at", &at]).status.success());
        assert_eq!(dump(&stores.path(&name)), *expected);
    }

    // A stream from a name, to a copy that holds it.
    change(7);
    let copy = format!("at-{}.pent", last["timestamp"]);
    let stream = stores.path("increment.stream");
    let sent = to_file(&store, &["backup", "app.pent", "-", "--incremental-from", &names[0]], &stream);
    assert!(sent.status.success(), "{sent:?}");
    assert!(pent(&store, &["receive", &copy, "-i", "increment.stream"]).status.success());
    assert_eq!(dump(&stores.path(&copy)), dump(&store));
    let unknown = shown(&store, &["backup", "app.pent", "archive", "--incremental-from", "no such name"]);
    assert!(unknown.contains("exit code 1"), "{unknown}");
}
