//! A real process, killed at random moments: what it said was durable is there afterwards.
//!
//! A child (this very program, started again) writes numbered commits, and now and then names a snapshot, replaces or drops one. It reports through a pipe what
//! was acknowledged, and of names also what it is about to do. It is killed with SIGKILL, again and again over the same store; each time the store is opened
//! and checked: every acknowledged commit is there, and all that was done up to the last one and nothing else; every name that was acknowledged is there and
//! shows its commit, every other is not. A change of the names that was under way at the kill may have happened or not.
//! `PENTIMENTO_KILLS` sets how often (default 50).

use pentimento::{Database, Durability, Error, Snapshot};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, StdoutLock, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const CHILD: &str = "PENTIMENTO_KILL_CHILD";

/// Every so many commits the names change. Naming makes a checkpoint; in between there must be something for the journal to bring back.
const NAME_EVERY: u64 = 16;

/// A line for who listens. One write, so that a kill does not cut it.
fn say(output: &mut StdoutLock<'_>, line: &str) {
    writeln!(output, "{line}").expect("the pipe");
    output.flush().expect("the pipe");
}

/// Every commit sets `last` to its number, and the entry of that number modulo 1000; a few are large, relaxed, or drop a tree.
fn child(path: &Path) {
    let db = Database::builder().page_size(4096).journal_segment(256 << 10).open(path).expect("the store opens");
    let mut number = last_of(&db.snapshot().expect("a snapshot"));
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
            say(&mut output, &format!("commit {number}"));
        }
        if number.is_multiple_of(NAME_EVERY) {
            change_names(&db, number, &mut output);
        }
    }
}

/// By turns: names the newest commit, names it in place of an older one, drops the oldest names.
fn change_names(db: &Database, number: u64, output: &mut StdoutLock<'_>) {
    match (number / NAME_EVERY) % 3 {
        0 => {
            say(output, &format!("name at-{number} {number}"));
            db.snapshot_named(&format!("at-{number}")).expect("a name");
            say(output, "done");
        }
        1 => {
            say(output, &format!("name latest {number}"));
            db.replace_snapshot("latest").expect("a name");
            say(output, "done");
        }
        _ => {
            let named = db.named_snapshots().expect("the names");
            let numbered: Vec<_> = named.iter().filter(|named| named.name.starts_with("at-")).collect();
            // Two stay, and live through several kills.
            for named in &numbered[..numbered.len().saturating_sub(2)] {
                say(output, &format!("drop {}", named.name));
                db.drop_snapshot(&named.name).expect("a drop");
                say(output, "done");
            }
        }
    }
}

/// The number of the last commit that a snapshot sees; 0 without any.
fn last_of(snapshot: &Snapshot) -> u64 {
    let Ok(tree) = snapshot.tree("numbers") else { return 0 };
    let last = tree.get(b"last").expect("a readable entry").expect("an entry");
    u64::from_be_bytes(last.try_into().expect("eight bytes"))
}

/// A snapshot sees all that the commits up to its last one did, and returns the number of that one.
fn assert_whole(snapshot: &Snapshot) -> u64 {
    let last = last_of(snapshot);
    if let Ok(tree) = snapshot.tree("numbers") {
        for number in (last.saturating_sub(999)..=last).filter(|number| *number > 0) {
            let value = tree.get((number % 1000).to_be_bytes()).unwrap().expect("an entry of each commit");
            assert_eq!(value, vec![number as u8; (number % 600) as usize], "commit {number} is whole");
        }
        assert_eq!(tree.len().unwrap(), last.min(1000) + 1, "and there is nothing else");
    }
    let (set, dropped) = (last / 40 * 40, last / 90 * 90);
    match snapshot.tree("large") {
        Ok(tree) => {
            assert!(set > dropped, "commit {dropped} has dropped the tree");
            assert!(tree.get(b"large").unwrap() == Some(&vec![set as u8; 100_000]), "of commit {set}");
        }
        Err(error) => assert!(set <= dropped && matches!(error, Error::NoSuchTree { .. }), "{error}"),
    }
    last
}

/// What the child has said.
#[derive(Default)]
struct Said {
    /// The last commit that is promised to be durable.
    commit: u64,
    /// The names, each with the last commit that it shows.
    names: BTreeMap<String, u64>,
    /// The change of a name that was begun and not acknowledged: to which commit, if it is not dropped.
    under_way: Option<(String, Option<u64>)>,
    /// How many such changes were acknowledged.
    changes: u64,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["commit", number] => self.commit = self.commit.max(number.parse().expect("a number")),
            ["name", name, number] => self.under_way = Some((name.to_owned(), Some(number.parse().expect("a number")))),
            ["drop", name] => self.under_way = Some((name.to_owned(), None)),
            ["done"] => {
                let change = self.under_way.take().expect("it was begun");
                // Whatever a name shows is durable, relaxed commits too.
                self.commit = self.commit.max(change.1.unwrap_or(0));
                apply(change, &mut self.names);
                self.changes += 1;
            }
            // The test runner prints lines of its own.
            _ => {}
        }
    }

    /// A store that was left by the child has what it said. Tells whether a change of names was under way.
    fn assert_kept(&mut self, db: &Database, kill: u64) -> bool {
        let last = assert_whole(&db.snapshot().unwrap());
        assert!(last >= self.commit, "kill {kill}: {} was acknowledged, {last} is there", self.commit);
        let named = db.named_snapshots().unwrap().into_iter();
        let found: BTreeMap<String, u64> =
            named.map(|named| (named.name.clone(), assert_whole(&db.open_snapshot(&named.name).unwrap()))).collect();
        let was_under_way = self.under_way.is_some();
        if found != self.names
            && let Some(change) = self.under_way.take()
        {
            apply(change, &mut self.names);
        }
        assert_eq!(found, self.names, "kill {kill}: the names, with the last commit that each shows");
        self.under_way = None;
        was_under_way
    }
}

fn apply((name, number): (String, Option<u64>), names: &mut BTreeMap<String, u64>) {
    match number {
        Some(number) => names.insert(name, number),
        None => names.remove(&name),
    };
}

#[test]
fn what_was_acknowledged_survives_sigkill() {
    if let Ok(path) = std::env::var(CHILD) {
        child(Path::new(&path));
    }
    let kills: u64 = std::env::var("PENTIMENTO_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(50);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.pent");
    let (mut said, mut under_way) = (Said::default(), 0);
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    for kill in 0..kills {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "what_was_acknowledged_survives_sigkill", "--nocapture", "--quiet"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            output.lines().map_while(Result::ok).for_each(|line| said.hear(&line));
            said
        });
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(kill);
        std::thread::sleep(Duration::from_micros(20_000 + random % 150_000));
        process.kill().unwrap();
        process.wait().unwrap();
        said = reader.join().unwrap();
        let db = Database::open(&path).unwrap_or_else(|error| panic!("after kill {kill}: {error}"));
        under_way += u64::from(said.assert_kept(&db, kill));
        let report = db.check();
        assert!(report.is_clean(), "kill {kill}: {:#?}", report.findings);
        // Every other time the next child finds what recovery left, without a clean close.
        if kill % 2 == 0 {
            db.close().unwrap();
        }
    }
    println!(
        "{kills} kills, {under_way} of them while names changed; {} commits and {} changes of names acknowledged",
        said.commit, said.changes
    );
    assert!(said.commit > kills && said.changes > 0, "the child got to write, and to name");
}
