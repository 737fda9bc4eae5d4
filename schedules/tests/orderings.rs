//! Orderings: the protocols that take no lock, under a model of weak memory, with every ordering that the engine asks for weakened in turn.
//!
//! The models are in `../src/models.rs`. First they must hold. Then each access that they met is given the next weaker ordering, and some model must fail: an ordering that
//! can be weaker without anybody noticing is either made weaker in the engine, or stands in [`KEPT`] with the reason.

use pentimento_schedules::models::{ALL, Model};
use pentimento_schedules::weaken::{Site, Weaker, met, weaker, with};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Orderings that no model misses, and that stay all the same: file, a part of the line, and why.
const KEPT: &[(&str, &str, &str)] = &[
    ("publication.rs", "self.installed.load", "layers above go by it without a lock of their own"),
    ("publication.rs", "self.published.load", "layers above go by it without a lock of their own"),
    ("publication.rs", "self.installed.store", "layers above go by it without a lock of their own"),
];

/// The files whose every ordering some model must meet.
const FILES: &[&str] = &["pins.rs", "sharers.rs", "table.rs", "history.rs", "publication.rs", "buckets.rs", "turn.rs"];

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

fn explore(model: &Model) -> u64 {
    let runs = Arc::new(AtomicU64::new(0));
    let counted = runs.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(model.preemptions);
    let run = model.run;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        run();
    });
    runs.load(Ordering::Relaxed)
}

/// The first model that fails, and in which of its runs.
fn noticed(site: Site, to: Weaker) -> Option<&'static str> {
    with(site, to, || {
        ALL.iter().find(|model| catch_unwind(AssertUnwindSafe(|| explore(model))).is_err()).map(|model| model.name)
    })
}

/// The lines of a file of storage, without its unit tests, from 1.
fn lines_of(file: &str) -> Vec<(u32, String)> {
    let path = format!("{}/../storage/src/{file}", env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(path).expect("the engine's source");
    let code = source.lines().take_while(|line| !line.contains("#[cfg(test)]"));
    code.enumerate().map(|(index, line)| (index as u32 + 1, line.to_owned())).collect()
}

fn kept(site: &Site) -> Option<&'static str> {
    let is_meant = |(file, part, _): &&(&str, &str, &str)| {
        let is_there = |(number, line): &(u32, String)| *number == site.line && line.contains(part);
        site.file.ends_with(file) && lines_of(file).iter().any(is_there)
    };
    KEPT.iter().find(is_meant).map(|(.., why)| *why)
}

/// Orderings that no model met: they could be anything.
fn never_met(met: &BTreeMap<Site, Ordering>) -> Vec<String> {
    let asks = |line: &str| {
        let orderings = ["Acquire", "Release", "AcqRel", "SeqCst"];
        orderings.iter().any(|ordering| line.contains(&format!("Ordering::{ordering}")))
    };
    let mut missing = Vec::new();
    for file in FILES {
        for (number, line) in lines_of(file).into_iter().filter(|(_, line)| asks(line)) {
            // An access may begin on a line before the one that names its ordering.
            let is_met =
                met.keys().any(|site| site.file.ends_with(file) && (site.line..site.line + 3).contains(&number));
            if !is_met {
                missing.push(format!("{file}:{number}: {}", line.trim()));
            }
        }
    }
    missing
}

#[test]
fn every_ordering_is_enough_and_none_is_too_much() {
    let started = Instant::now();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !EXPECTED.get() {
            before(panic);
        }
    }));
    let mut runs = 0;
    for model in ALL {
        let started = Instant::now();
        let explored = explore(model);
        println!("{}: {explored} executions in {:.1?}", model.name, started.elapsed());
        runs += explored;
    }
    let sites = met();
    println!("{runs} executions; {} accesses", sites.len());
    assert!(runs > 10_000, "{runs} executions are too few");
    assert_eq!(never_met(&sites), Vec::<String>::new(), "no model meets these");
    let mut unnoticed = Vec::new();
    for (site, ordering) in sites {
        for to in weaker(site.access, ordering) {
            EXPECTED.set(true);
            let by = noticed(site, to);
            EXPECTED.set(false);
            let change = to.map_or("no fence".to_owned(), |to| format!("{to:?}"));
            match (by, kept(&site)) {
                (Some(by), _) => println!("{site}: {ordering:?} -> {change} is noticed by {by}"),
                (None, Some(why)) => println!("{site}: {ordering:?} -> {change} would do, but {why}"),
                (None, None) => {
                    println!("{site}: {ordering:?} -> {change} is NOT noticed");
                    unnoticed.push(site.to_string());
                }
            }
        }
    }
    println!("in {:.1?}", started.elapsed());
    assert!(unnoticed.is_empty(), "nobody notices that these are weaker: {unnoticed:#?}");
}
