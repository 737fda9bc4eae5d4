//! Runs `pent demo` as a user does, on folders made for it.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const FILES: u64 = 300;

/// Files of three extensions, 0 to 299 bytes long; each of the first ten has a twin.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    for index in 0..FILES - 10 {
        let name = format!("{index}.{}", ["rs", "md", "toml"][index as usize % 3]);
        fs::write(dir.path().join(name), vec![b'x'; index as usize]).unwrap();
    }
    for index in 0..10_usize {
        fs::write(dir.path().join(format!("sub/{index}.twin")), vec![b'x'; 100 + index]).unwrap();
    }
    dir
}

/// `pent demo` with temporary files in a folder of its own, so that what it leaves behind is seen.
fn demo(temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pent"));
    command.arg("demo").env("TMPDIR", temporary).stdin(Stdio::null());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn the_json_report_tells_what_was_stored_and_that_all_proofs_held() {
    let (dir, temporary) = (folder(), tempfile::tempdir().unwrap());
    let output = demo(temporary.path()).arg(dir.path()).args(["--seconds", "1", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!(report["load"]["files"], FILES);
    let bytes = (0..FILES - 10).sum::<u64>() + (100..110).sum::<u64>();
    assert_eq!(report["load"]["bytes"], bytes);
    assert_eq!(report["contents"]["extensions"], 4);
    assert_eq!(report["contents"]["duplicate_groups"], 10);
    assert_eq!(report["contents"]["duplicate_files"], 20);
    assert_eq!(report["contents"]["largest"][0]["bytes"], FILES - 11);
    assert!(report["notes"][0].as_str().unwrap().contains("few"));
    assert_eq!(report["store"], Value::Null);

    assert_eq!(report["all_held"], true);
    let proofs = report["proofs"].as_array().unwrap();
    assert_eq!(proofs.len(), 6);
    assert!(proofs.iter().all(|proof| proof["held"] == true), "{proofs:?}");

    let compared = &report["compared"];
    let rounds = compared["rounds"].as_array().unwrap();
    assert_eq!(rounds.iter().filter(|round| round["long_snapshot"] == true).count(), 2);
    for round in rounds {
        assert!(round["commits"].as_u64().unwrap() > 0);
        let long = round["passes_long"].as_u64().unwrap();
        assert_eq!(round["long_snapshot"] == true, long >= 2, "{round}");
    }
    assert!(compared["ratio"].as_f64().unwrap() > 0.0);
    assert!(compared["with"]["history_lookups"].as_u64().unwrap() > 0);
    assert!(compared["with"]["versions_reclaimed"].as_u64().unwrap() > 0);
    assert!(compared["with"]["checkpoints"].as_u64().unwrap() > 0);
    assert_eq!(report["held"]["label"], "long analysis");
    assert!(report["held"]["versions"].as_u64().unwrap() > 0);
    assert!(report["file"]["closed_bytes"].as_u64().unwrap() > 0);
    assert!(is_empty(temporary.path()), "something temporary was left");
}

#[test]
fn the_table_is_plain_text_when_it_is_no_terminal() {
    let (dir, temporary) = (folder(), tempfile::tempdir().unwrap());
    let output = demo(temporary.path()).arg(dir.path()).args(["--seconds", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.is_ascii() && !text.contains('\x1b'), "{text}");
    for row in ["files stored", "commits per second", "file after closing", "the store's checker finds nothing"] {
        assert!(text.contains(row), "{row:?} is missing in:\n{text}");
    }
    assert!(!text.contains("FAILED"));
}

#[test]
fn a_kept_store_stays_and_is_never_overwritten() {
    let (dir, temporary) = (folder(), tempfile::tempdir().unwrap());
    let store = temporary.path().join("kept.pent");
    let run = || {
        let mut command = demo(temporary.path());
        command.arg(dir.path()).args(["--seconds", "1", "--durability", "interval", "--json", "--store"]).arg(&store);
        command.output().unwrap()
    };
    let first = run();
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let bytes = fs::read(&store).unwrap();
    let db = pentimento::Database::builder().read_only(true).open(&store).unwrap();
    assert_eq!(db.snapshot().unwrap().tree("files").unwrap().len().unwrap(), FILES);
    drop(db);

    let second = run();
    assert_eq!(second.status.code(), Some(2));
    assert!(stderr(&second).contains("exists already"), "{}", stderr(&second));
    assert_eq!(fs::read(&store).unwrap(), bytes);
}

#[test]
fn what_cannot_be_carried_out_is_told_with_exit_code_2() {
    let (dir, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let missing = dir.path().join("missing");
    let cases: [(Vec<&str>, &str); 4] = [
        (vec![missing.to_str().unwrap()], "not a folder"),
        (vec![dir.path().to_str().unwrap()], "no file"),
        (vec!["--seconds", "0"], "--seconds"),
        (vec!["--durability", "often"], "often"),
    ];
    for (args, expected) in cases {
        let store = temporary.path().join("new.pent");
        let output = demo(temporary.path()).args(&args).arg("--store").arg(&store).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
    assert!(is_empty(temporary.path()), "something temporary was left");
}

#[test]
fn an_interrupt_ends_the_demo_cleanly() {
    let (dir, temporary) = (folder(), tempfile::tempdir().unwrap());
    let mut demo = demo(temporary.path());
    demo.arg(dir.path()).args(["--seconds", "60"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = demo.spawn().unwrap();
    // The store is made after the handler is installed.
    let deadline = Instant::now() + Duration::from_secs(20);
    while is_empty(temporary.path()) {
        assert!(Instant::now() < deadline, "the demo does not begin");
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_millis(700));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let asked = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted; the store is closed"), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert!(is_empty(temporary.path()), "something temporary was left");
}
