//! Histories: random transactions from many threads, recorded with their times, and judged by what they saw of each other.
//!
//! `PENTIMENTO_HISTORIES` is the number of transactions in all, `PENTIMENTO_HISTORIES_SEED` the seed to begin with (the threads run as they will, so a run does not repeat). A failure
//! tells the transactions of a cycle, and what made each depend on the one before.
//!
//! | promise | held by |
//! |---|---|
//! | serializable transactions, exclusive writers and snapshots together have an order that explains everything, and does not contradict the clock | no cycle of dependencies and times |
//! | the same with snapshot isolation, but for write skew | no cycle without a read that misses the next write, behind another or behind a blind append |
//! | a snapshot shows every durable commit that has returned | times lead to snapshots, but for commits that are to be durable later, which may stand behind others |
//!
//! | file | what |
//! |---|---|
//! | `record.rs` | what a history is |
//! | `load.rs` | the threads that make one |
//! | `versions.rs`, `graph.rs`, `check.rs` | judging one: orders of versions, dependencies, cycles |
//! | `known.rs` | histories made by hand, one for each anomaly |

mod check;
mod graph;
mod known;
mod load;
mod record;
mod versions;

use check::{Kind, Level, Verdict, check};
use load::{Load, run};
use pentimento::{Bug, Database};
use std::time::Instant;

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// So many of every hundred thousand transactions that are wanted.
fn share(of_hundred_thousand: u64) -> u32 {
    let wanted = number_from("PENTIMENTO_HISTORIES").unwrap_or(100_000);
    u32::try_from((wanted * of_hundred_thousand).div_ceil(100_000)).expect("fewer than four billion")
}

fn seed() -> u64 {
    number_from("PENTIMENTO_HISTORIES_SEED").unwrap_or(1)
}

/// Runs a load and judges it; says what it was.
fn judge(name: &str, db: &Database, load: Load) -> Verdict {
    let started = Instant::now();
    let history = run(db, load).expect("no error but conflicts");
    let ran = started.elapsed();
    let verdict = check(&history, load.level);
    let aborted = history.iter().filter(|transaction| !transaction.is_committed()).count();
    println!(
        "{name}: {} transactions ({aborted} aborted) in {ran:.1?}, {} dependencies judged in {:.1?}: {}",
        history.len(),
        verdict.edges,
        started.elapsed() - ran,
        match (verdict.anomalies.len(), verdict.has_write_skew) {
            (0, false) => "nothing wrong".to_owned(),
            (0, true) => "write skew, nothing else".to_owned(),
            (count, _) => format!("{count} anomalies"),
        }
    );
    assert!(history.len() >= load.transactions as usize, "every transaction is in the history");
    verdict
}

#[track_caller]
fn assert_nothing_wrong(verdict: &Verdict) {
    let first: Vec<String> = verdict.anomalies.iter().take(3).map(ToString::to_string).collect();
    assert!(first.is_empty(), "{} anomalies, such as {}", verdict.anomalies.len(), first.join("\n"));
}

#[test]
fn serializable_transactions_have_an_order() {
    let load = Load { level: Level::Serializable, threads: 6, transactions: share(60_000), durable: 0, seed: seed() };
    let verdict = judge("serializable", &Database::in_memory().expect("a store"), load);
    assert_nothing_wrong(&verdict);
}

#[test]
fn snapshot_isolation_shows_write_skew_and_nothing_else() {
    let load = Load { level: Level::Snapshot, threads: 6, transactions: share(40_000), durable: 0, seed: seed() };
    let verdict = judge("snapshot isolation", &Database::in_memory().expect("a store"), load);
    assert_nothing_wrong(&verdict);
    assert!(verdict.has_write_skew, "a load that does not meet write skew would not meet anything else");
}

#[test]
fn what_is_durable_is_seen() {
    for (level, name) in
        [(Level::Serializable, "serializable, on disk"), (Level::Snapshot, "snapshot isolation, on disk")]
    {
        let dir = tempfile::tempdir().expect("a folder");
        let db = Database::open(dir.path().join("histories.pent")).expect("a store");
        let load = Load { level, threads: 8, transactions: share(4_000), durable: 50, seed: seed() };
        assert_nothing_wrong(&judge(name, &db, load));
        assert!(db.check().is_clean());
    }
}

#[test]
fn a_planted_bug_is_found() {
    let cases = [
        (Bug::SkipReadValidation, Level::Serializable, vec![Kind::G2, Kind::GSingle]),
        (Bug::SkipValidation, Level::Snapshot, vec![Kind::LostUpdate, Kind::GSingle, Kind::Incompatible]),
        (Bug::ReadAnew, Level::Snapshot, vec![Kind::Internal, Kind::GSingle, Kind::G1c]),
        (Bug::ReadAnew, Level::Serializable, vec![Kind::Internal, Kind::GSingle, Kind::G1c]),
        (Bug::PublishBeforeInstall, Level::Serializable, vec![Kind::Internal, Kind::GSingle, Kind::G1c]),
    ];
    for (bug, level, expected) in cases {
        let found = (0..200).find_map(|round| {
            let db = Database::builder().plant(Some(bug)).in_memory().expect("a store");
            let load = Load { level, threads: 6, transactions: 2_000, durable: 0, seed: seed() + round };
            // What else the bug breaks does not matter here.
            let history = run(&db, load).ok()?;
            check(&history, level).anomalies.into_iter().find(|anomaly| expected.contains(&anomaly.kind))
        });
        let found = found.unwrap_or_else(|| panic!("{bug:?} escapes at {level:?}"));
        println!(
            "{bug:?} is found at {level:?} as {}",
            found.to_string().lines().take(4).collect::<Vec<_>>().join(" ")
        );
    }
}
