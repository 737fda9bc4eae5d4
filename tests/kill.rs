//! A real process, killed at random moments: what it said was durable is there afterwards.
//!
//! A child (this very program, started again) writes numbered commits and reports each acknowledged one through a pipe. It is killed
//! with SIGKILL, again and again over the same store; each time the store is opened and checked. `PENTIMENTO_KILLS` sets how often (default 50).

use pentimento::{Database, Durability};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const CHILD: &str = "PENTIMENTO_KILL_CHILD";

/// Every commit sets `last` to its number, and the entry of that number modulo 1000; a few are large, relaxed, or drop a tree.
fn child(path: &Path) {
    let db = Database::builder().page_size(4096).journal_segment(256 << 10).open(path).expect("the store opens");
    let mut number = last_of(&db);
    let mut output = std::io::stdout().lock();
    loop {
        number += 1;
        let mut txn = db.begin_write().expect("the turn");
        let is_relaxed = number.is_multiple_of(5);
        if is_relaxed {
            txn.set_durability(Durability::None).expect("a durability");
        }
        let mut tree = txn.tree("numbers").expect("the tree");
        tree.insert(b"last", number.to_be_bytes()).expect("an insert");
        tree.insert((number % 1000).to_be_bytes(), vec![number as u8; (number % 600) as usize]).expect("an insert");
        if number.is_multiple_of(40) {
            txn.tree("large").expect("the tree").insert(b"large", vec![number as u8; 100_000]).expect("an insert");
        }
        if number.is_multiple_of(90) {
            txn.drop_tree("large").expect("a drop");
        }
        txn.commit().expect("a commit");
        if !is_relaxed {
            writeln!(output, "{number}").expect("the pipe");
            output.flush().expect("the pipe");
        }
    }
}

fn last_of(db: &Database) -> u64 {
    let snapshot = db.snapshot().expect("a snapshot");
    let Ok(tree) = snapshot.tree("numbers") else { return 0 };
    let last = tree.get(b"last").expect("a readable entry").expect("an entry");
    u64::from_be_bytes(last.try_into().expect("eight bytes"))
}

#[test]
fn acknowledged_commits_survive_sigkill() {
    if let Ok(path) = std::env::var(CHILD) {
        child(Path::new(&path));
    }
    let kills: u64 = std::env::var("PENTIMENTO_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(50);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let mut acknowledged = 0;
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    for kill in 0..kills {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "acknowledged_commits_survive_sigkill", "--nocapture", "--quiet"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            // The test runner prints lines of its own before ours.
            output.lines().map_while(Result::ok).filter_map(|line| line.trim().parse::<u64>().ok()).last()
        });
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(kill);
        std::thread::sleep(Duration::from_micros(20_000 + random % 150_000));
        process.kill().unwrap();
        process.wait().unwrap();
        if let Some(last) = reader.join().unwrap() {
            acknowledged = acknowledged.max(last);
        }
        let db = Database::open(&path).unwrap_or_else(|error| panic!("after kill {kill}: {error}"));
        let last = last_of(&db);
        assert!(last >= acknowledged, "kill {kill}: {acknowledged} was acknowledged, {last} is there");
        let snapshot = db.snapshot().unwrap();
        if let Ok(tree) = snapshot.tree("numbers") {
            for number in (last.saturating_sub(999)..=last).filter(|number| *number > 0) {
                let value = tree.get((number % 1000).to_be_bytes()).unwrap().expect("an entry of each commit");
                assert_eq!(value, vec![number as u8; (number % 600) as usize], "commit {number} is whole");
            }
        }
        let report = db.check();
        assert!(report.is_clean(), "kill {kill}: {:#?}", report.findings);
        // Every other time the next child finds what recovery left, without a clean close.
        if kill % 2 == 0 {
            drop(snapshot);
            db.close().unwrap();
        }
    }
    println!("{kills} kills, {acknowledged} commits acknowledged");
    assert!(acknowledged > kills, "the child got to write");
}
