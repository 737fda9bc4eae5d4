//! A store that is being written at full speed while every command looks into it: no false alarm, no crash.
//!
//! `PENT_LIVE_RUNS=2000` runs each command so many times instead of 200.

mod common;

use clap::Parser;
use common::{Stores, pent};
use pentimento::{Database, Durability, Snapshot};
use pentimento_storage::PageId;
use pentimento_tools::commands::map::By;
use pentimento_tools::commands::{
    check, copy, diff, dump, entries, history, info, journal, map, page, pages, path, stat, top, tree,
};
use pentimento_tools::inspect::{StoreFile, with_session};
use pentimento_tools::{Context, Interrupt};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const KEYS: u64 = 4000;

fn key(number: u64) -> String {
    format!("key-{number:06}")
}

/// A value that tells whose it is, so that a page in a wrong place would be noticed.
fn value(number: u64, round: u64) -> String {
    format!("{number}:{round}:{}", "x".repeat((number * 31 + round) as usize % 60))
}

#[derive(Debug, Parser)]
struct One<A: clap::Args> {
    #[command(flatten)]
    args: A,
}

fn args<A: clap::Args>(words: &[&str]) -> A {
    One::<A>::parse_from(["pent", "live.pent"].iter().chain(words)).args
}

fn random(state: &mut u64) -> u64 {
    // The generator of Marsaglia, "Xorshift RNGs".
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Small commits at full speed, most of them relaxed; trees come and go; snapshots too.
fn write(db: &Database, stop: &AtomicBool, commits: &AtomicU64) {
    let mut state = 0x9E37_79B9_7F4A_7C15;
    let mut snapshots: Vec<Snapshot> = Vec::new();
    let mut names: VecDeque<String> = VecDeque::new();
    for round in 1.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let mut txn = db.begin_write().unwrap();
        txn.set_durability(if round % 16 == 0 { Durability::Sync } else { Durability::None }).unwrap();
        let mut tree = txn.tree("main").unwrap();
        for _ in 0..4 {
            let number = random(&mut state) % KEYS;
            tree.insert(key(number), value(number, round)).unwrap();
        }
        // Two that always agree.
        tree.insert("same-1", round.to_string()).unwrap();
        tree.insert("same-2", round.to_string()).unwrap();
        if round % 50 == 0 {
            txn.tree("large").unwrap().insert(key(round % 20), vec![round as u8; 20_000]).unwrap();
        }
        match round % 400 {
            100 => {
                let entries = (0..500).map(|number| (key(number), value(number, round)));
                txn.tree("passing").unwrap().bulk_load(entries).unwrap();
            }
            300 => drop(txn.drop_tree("passing").unwrap()),
            _ => {}
        }
        txn.commit().unwrap();
        commits.fetch_add(1, Ordering::Relaxed);
        if round % 90 == 0 {
            let name = format!("round {round}");
            db.snapshot_named(&name).unwrap();
            names.push_back(name);
            if names.len() > 3 {
                db.drop_snapshot(&names.pop_front().unwrap()).unwrap();
            }
        }
        if round % 64 == 0 {
            snapshots.push(db.snapshot().unwrap().labelled("a passing reader"));
        }
        if snapshots.len() > 8 {
            snapshots.remove(random(&mut state) as usize % snapshots.len());
        }
    }
}

/// One command, run once; it panics if something is wrong.
type Look<'a> = Box<dyn Fn(u64) + 'a>;

fn looks<'a>(file: &'a StoreFile, store: &'a Path, context: &'a Context) -> Vec<(&'static str, Look<'a>)> {
    let clean = |name: &str, problems: &[pentimento_tools::inspect::Problem]| {
        assert!(problems.is_empty(), "{name}: {problems:?}");
    };
    let none = entries::RangeArgs::default;
    vec![
        ("info", Box::new(move |_| clean("info", &info::run(file, context).unwrap().problems))),
        ("check", Box::new(move |_| clean("check", &check::run(file, context).unwrap().problems))),
        ("stat", Box::new(move |_| clean("stat", &stat::run(file, context).unwrap().problems))),
        (
            "pages",
            Box::new(move |_| clean("pages", &pages::run(&args(&["--kind", "leaf"]), file, context).unwrap().problems)),
        ),
        (
            "page",
            Box::new(move |run| {
                let report = page::run(file, page::Target::Page(run as u32 % 40), None, true, context).unwrap();
                clean("page", &report.problems);
            }),
        ),
        (
            "page slot",
            Box::new(move |run| {
                let report = page::run(file, page::Target::Slot(run * 7 % 900), None, false, context).unwrap();
                clean("page slot", &report.problems);
            }),
        ),
        ("tree", Box::new(move |_| clean("tree", &tree::run(file, Some("main"), context).unwrap().problems))),
        (
            "path",
            Box::new(move |run| {
                let report = path::run(file, "main", key(run % KEYS).as_bytes(), context).unwrap();
                assert!(report.value.is_some());
            }),
        ),
        (
            "history",
            Box::new(move |run| {
                let report = history::run(file, (run % 2 == 0).then_some(PageId(2)), true).unwrap();
                clean("history", &report.problems);
            }),
        ),
        (
            "map",
            Box::new(move |run| {
                let (picture, survey, forest) = map::draw(file, context).unwrap();
                assert!(map::to_svg(&picture, By::Use).ends_with("</svg>\n"));
                if run % 10 == 0 {
                    map::to_html(&picture, &survey, &forest, file, context).unwrap();
                }
            }),
        ),
        (
            "journal",
            Box::new(move |_| {
                clean("journal", &journal::run(&args(&["--operations"]), file, context).unwrap().problems)
            }),
        ),
        (
            "top",
            Box::new(move |_| {
                top::look(file).unwrap();
            }),
        ),
        (
            "get",
            Box::new(move |run| {
                let number = run * 37 % KEYS;
                let (_, found) = entries::value_of(file, "main", key(number).as_bytes()).unwrap();
                assert!(found.is_some_and(|found| found.starts_with(format!("{number}:").as_bytes())), "key {number}");
            }),
        ),
        (
            "get two",
            Box::new(move |_| {
                let two = |whole| {
                    with_session(file, whole, |session| {
                        Ok((session.get("main", b"same-1")?, session.get("main", b"same-2")?))
                    })
                };
                let (one, other) = two(false).unwrap();
                assert!(one.is_some() && one == other, "a session is of one moment");
            }),
        ),
        (
            "scan",
            Box::new(move |run| {
                let from = key(run * 11 % KEYS);
                let mut seen = 0;
                with_session(file, true, |session| {
                    let mut entries = session.entries("main", from.as_bytes().., false)?;
                    while let Some((key, value)) = entries.next(session)? {
                        let number = std::str::from_utf8(&key)
                            .unwrap()
                            .strip_prefix("key-")
                            .map(|digits| digits.parse::<u64>().unwrap());
                        assert!(number.is_none_or(|number| value.starts_with(format!("{number}:").as_bytes())));
                        seen += 1;
                    }
                    Ok(())
                })
                .unwrap();
                assert_eq!(seen, KEYS - run * 11 % KEYS + 2);
            }),
        ),
        (
            "count",
            Box::new(move |_| assert_eq!(entries::count_of(file, "main", &none(), context).unwrap().entries, KEYS + 2)),
        ),
        (
            "dump",
            Box::new(move |_| {
                let mut lines = 0;
                dump::dump(file, &["main".to_owned()], dump::Format::Hex, context, &mut |bytes| {
                    lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
                    Ok(true)
                })
                .unwrap();
                assert_eq!(lines, 8 + 2 * (KEYS + 2) + 1);
            }),
        ),
        (
            "copy",
            Box::new(move |run| {
                let new = store.with_file_name(format!("copy-{run}.pent"));
                let report = copy::copy(file, &new, &["main".to_owned()], context).unwrap();
                assert_eq!(report.entries, KEYS + 2);
                clean("the copy", &check::run(&StoreFile::open(&new).unwrap(), context).unwrap().problems);
                std::fs::remove_file(new).unwrap();
            }),
        ),
        (
            "diff",
            Box::new(move |_| {
                let summary = diff::diff(file, file, Some("main"), context, &mut |_| Ok(())).unwrap();
                assert_eq!(
                    (summary.removed, summary.added, summary.equal.unwrap_or(0) + summary.changed),
                    (0, 0, KEYS + 2)
                );
            }),
        ),
    ]
}

#[test]
fn every_command_while_a_writer_writes() {
    let runs: u64 = std::env::var("PENT_LIVE_RUNS").map_or(200, |runs| runs.parse().unwrap());
    let stores = Stores::new();
    let store = stores.path("live.pent");
    let db = Database::builder()
        .page_size(4096)
        // Little room, so that checkpoints follow each other, and slots are reused at once.
        .memory_limits(512 << 10, 2 << 20)
        .journal_segment(512 << 10)
        .checkpoint_interval(Duration::from_millis(200))
        .open(&store)
        .unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.tree("main").unwrap().bulk_load((0..KEYS).map(|number| (key(number), value(number, 0)))).unwrap();
    txn.tree("main").unwrap().insert("same-1", "0").unwrap();
    txn.tree("main").unwrap().insert("same-2", "0").unwrap();
    txn.commit().unwrap();
    db.checkpoint().unwrap();

    let (stop, commits) = (AtomicBool::new(false), AtomicU64::new(0));
    let began = Instant::now();
    let mut total = 0;
    thread::scope(|scope| {
        let writer = scope.spawn(|| write(&db, &stop, &commits));
        // However this ends, the writer does too.
        let _stopper = Stopper(&stop);
        while commits.load(Ordering::Relaxed) < 500 {
            assert!(!writer.is_finished(), "the writer failed");
            thread::sleep(Duration::from_millis(5));
        }
        let file = StoreFile::open(&store).unwrap();
        let context = Context::new(true, false, Interrupt::default());
        let mut slowest = ("", Duration::ZERO);
        for (name, look) in looks(&file, &store, &context) {
            let from = Instant::now();
            (0..runs).for_each(&look);
            let took = from.elapsed();
            total += runs;
            if took > slowest.1 {
                slowest = (name, took);
            }
            eprintln!("{name:<10} {runs} times in {:.2} s", took.as_secs_f64());
        }
        for words in [
            &["info", "live.pent"][..],
            &["check", "live.pent"],
            &["pages", "live.pent"],
            &["map", "live.pent"],
            &["history", "live.pent"],
            &["top", "live.pent", "--once"],
            &["journal", "live.pent"],
            &["scan", "live.pent", "main", "--limit", "3"],
            &["stat", "live.pent", "--json"],
        ] {
            for _ in 0..3 {
                let output = pent(&store, words);
                assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
                total += 1;
            }
        }
        assert!(!writer.is_finished(), "the writer was there to the end");
    });
    let seconds = began.elapsed().as_secs_f64();
    let stats = db.stats();
    let commits = commits.into_inner();
    eprintln!(
        "{total} looks in {seconds:.1} s while {commits} commits and {} checkpoints were made: no false alarm",
        stats.checkpoints
    );
    assert!(stats.checkpoints > 10, "{} checkpoints: the looks were no challenge", stats.checkpoints);
    let report = db.check();
    assert!(report.is_clean(), "{:?}", report.findings);
}

struct Stopper<'a>(&'a AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
