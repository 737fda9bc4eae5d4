//! Hot readers and concurrent transactions beside those of others, on this machine, in one run:
//!
//! ```text
//! cargo run --release -p pentimento-concurrency            all of it, some minutes
//! cargo run --release -p pentimento-concurrency -- --quick shorter rounds
//! cargo run --release -p pentimento-concurrency -- hot     only one part: hot or commits
//! ```
//!
//! Rounds of all rows take turns, so that what else the machine does falls on all alike; medians are shown. Files go to the folder for temporary files (`TMPDIR`).
//! The goals stand below the tables, each with whether it was met.
#![forbid(unsafe_code)]

mod commits;
mod hot;

use std::time::Duration;

/// How long and how often is measured.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    hot_round: Duration,
    commit_rounds: usize,
    commit_turn: Duration,
}

/// A goal, what came out, and whether that meets it.
struct Goal {
    what: String,
    found: String,
    is_met: bool,
}

const HELP: &str = "\
Measures hot readers and concurrent transactions beside those of other engines.

Usage: pentimento-concurrency [--quick] [hot] [commits]

  hot      reading the newest value over and over: hot_reader(), arc-swap, hotread, left-right, evmap
  commits  durable transactions of one key by 1 to 16 threads, ours and canopydb's
  --quick  shorter rounds, and fewer

Without hot or commits both are measured. Goals and whether they are met stand below the tables.
Files go to the folder for temporary files: set TMPDIR to a folder on the disk to be measured.";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| ["-h", "--help"].contains(&word.as_str())) {
        println!("{HELP}");
        return;
    }
    if let Some(unknown) = words.iter().find(|word| !["--quick", "hot", "commits"].contains(&word.as_str())) {
        eprintln!("unknown: {unknown:?}\n\n{HELP}");
        std::process::exit(2);
    }
    let is_quick = words.iter().any(|word| word == "--quick");
    let wants = |part: &str| words.iter().all(|word| word == "--quick") || words.iter().any(|word| word == part);
    let millis = Duration::from_millis;
    let effort = match is_quick {
        true => Effort { rounds: 3, hot_round: millis(100), commit_rounds: 15, commit_turn: millis(60) },
        false => Effort { rounds: 5, hot_round: millis(300), commit_rounds: 51, commit_turn: millis(80) },
    };
    let mut goals = Vec::new();
    if wants("hot") {
        goals.extend(hot::measure(effort));
    }
    if wants("commits") {
        goals.extend(commits::measure(effort));
    }
    println!();
    for Goal { what, found, is_met } in goals {
        println!("{} {what}: {found}", if is_met { "met     " } else { "NOT met " });
    }
}

/// The middle one.
fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Numbers to choose by: a step of splitmix64.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}
