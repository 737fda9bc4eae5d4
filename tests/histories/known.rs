//! Histories made by hand: the checker finds each anomaly, calls it by its name, and finds nothing where nothing is.

use crate::check::{Kind, Level, check};
use crate::record::parse;

/// What the checker finds in a history at each level.
#[track_caller]
fn shows(history: &str, under_snapshot: &[Kind], under_serializable: &[Kind]) {
    let history = parse(history);
    for (level, expected) in [(Level::Snapshot, under_snapshot), (Level::Serializable, under_serializable)] {
        let mut found: Vec<Kind> = check(&history, level).anomalies.iter().map(|anomaly| anomaly.kind).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, expected, "{level:?}: {:#?}", check(&history, level).anomalies);
    }
}

#[test]
fn nothing_is_wrong_with_one_after_the_other() {
    shows("0-1 x+1 y+2 \n 2-3 x:1 x+3 x:1,3 \n 4-5 x:1,3 y:2 z: \n 6-7 r:0>8 \n 8-9 r=8 r:8>9 r=9", &[], &[]);
}

#[test]
fn nothing_is_wrong_with_two_at_once_that_one_order_explains() {
    shows("0-9 x+1 \n 1-8 x: y+2 \n 10-11 x:1 y:2", &[], &[]);
}

#[test]
fn g0_writes_that_go_round() {
    shows("0-9 x+1 y+2 \n 0-9 x+3 y+4 \n 10-11 x:1,3 y:4,2", &[Kind::G0], &[Kind::G0]);
}

#[test]
fn g1a_a_read_of_what_was_taken_back() {
    shows("0-9! x+1 \n 2-3 x:1", &[Kind::G1a], &[Kind::G1a]);
    shows("0-9! r:0>1 \n 2-3 r=1", &[Kind::G1a], &[Kind::G1a]);
}

#[test]
fn g1b_a_read_of_what_was_not_the_last_word() {
    let found = check(&parse("0-9 x+1 x+2 \n 2-3 x:1 \n 10-11 x:1,2"), Level::Serializable).anomalies;
    assert!(found.iter().any(|anomaly| anomaly.kind == Kind::G1b), "{found:?}");
}

#[test]
fn g1c_two_who_read_what_the_other_wrote() {
    shows("0-9 x+1 y:2 \n 0-9 y+2 x:1", &[Kind::G1c], &[Kind::G1c]);
}

#[test]
fn g_single_one_who_reads_two_moments() {
    shows("0-9 x: y:2 \n 1-8 x+1 y+2 \n 10-11 x:1 y:2", &[Kind::GSingle], &[Kind::GSingle]);
    shows("0-9 r=0 s=2 \n 1-8 r:0>1 s:0>2", &[Kind::GSingle], &[Kind::GSingle]);
}

#[test]
fn lost_update_two_who_replace_the_same() {
    let history = parse("0-9 r:0>1 \n 0-9 r:0>2 \n 10-11 r=2");
    let found = check(&history, Level::Snapshot).anomalies;
    assert!(found.iter().any(|anomaly| anomaly.kind == Kind::LostUpdate), "{found:?}");
    // A list that both have read before they append to it: the second misses the first, which it follows.
    shows("0-9 x: x+1 \n 0-9 x: x+2 \n 10-11 x:1,2", &[Kind::GSingle], &[Kind::GSingle]);
}

#[test]
fn g2_write_skew_is_allowed_to_snapshots_alone() {
    shows("0-9 x: y+1 \n 0-9 y: x+2 \n 10-11 x:2 y:1", &[], &[Kind::G2]);
    shows("0-9 r=0 s:0>1 \n 0-9 s=0 r:0>2", &[], &[Kind::G2]);
    assert!(check(&parse("0-9 x: y+1 \n 0-9 y: x+2 \n 10-11 x:2 y:1"), Level::Snapshot).has_write_skew);
}

#[test]
fn g2_with_a_reader_is_allowed_to_snapshots_alone() {
    // Fekete, O'Neil and O'Neil: a reader sees that 2 came first, though 1 missed it and was missed by nobody's order.
    shows("0-9 x: y: y+1 \n 1-2 x+2 \n 3-4 x:2 y: \n 10-11 x:2 y:1", &[], &[Kind::G2]);
}

#[test]
fn blind_appends_do_not_see_what_they_follow() {
    // The second misses the first's `y`, and yet stands behind it in `x`: for snapshots as if it had missed that, too.
    shows("0-9 x*1 y+2 \n 0-9 y: x*3 \n 10-11 x:1,3 y:2", &[], &[Kind::G2]);
    shows("0-9 x: x*1 \n 0-9 x*3 \n 10-11 x:3,1", &[], &[Kind::G2]);
    // Who looked must have seen both, and so must who looks afterwards.
    shows("0-9 x: x*1 x:1 \n 0-9 x*3 \n 10-11 x:3,1", &[Kind::GSingle], &[Kind::GSingle]);
    shows("0-9 x+1 y+2 \n 0-9 y: x:1 x+3 \n 10-11 x:1,3 y:2", &[Kind::GSingle], &[Kind::GSingle]);
    // Nor does blindness excuse an order that goes round.
    shows("0-9 x*1 y*2 \n 0-9 x*3 y*4 \n 10-11 x:1,3 y:4,2", &[Kind::G0], &[Kind::G0]);
}

#[test]
fn long_fork_is_not_allowed_to_snapshots() {
    // Two readers that see two writes in different orders: rw edges do not follow each other.
    shows("0-9 x+1 \n 0-9 y+2 \n 0-9 x:1 y: \n 0-9 x: y:2 \n 10-11 x:1 y:2", &[Kind::GSingle], &[Kind::GSingle]);
}

#[test]
fn a_read_of_the_past_contradicts_the_clock() {
    shows("0-1 x+1 \n 2-3 x: \n 4-5 x:1", &[Kind::GSingle], &[Kind::GSingle]);
    // Whoever began before the end may have missed it.
    shows("0-2 x+1 \n 1-3 x: \n 4-5 x:1", &[], &[]);
}

#[test]
fn writes_against_the_clock() {
    shows("0-1 x+1 \n 2-3 x+2 \n 4-5 x:2,1", &[Kind::G0], &[Kind::G0]);
}

#[test]
fn a_snapshot_may_miss_a_relaxed_commit_and_no_other() {
    shows("0-1~ x+1 \n 2-3s x: \n 4-5 x:1", &[], &[]);
    shows("0-1 x+1 \n 2-3s x: \n 4-5 x:1", &[Kind::GSingle], &[Kind::GSingle]);
    shows("0-1~ x+1 \n 2-3 x: \n 4-5 x:1", &[Kind::GSingle], &[Kind::GSingle]);
    // Snapshots do not go back.
    shows("0-9~ x+1 \n 1-2s x:1 \n 3-4s x: \n 10-11 x:1", &[Kind::GSingle], &[Kind::GSingle]);
}

#[test]
fn whoever_does_not_see_its_own_writes() {
    shows("0-1 x+1 x: ", &[Kind::Internal], &[Kind::Internal]);
    shows("0-1 r:0>1 r=0", &[Kind::Internal], &[Kind::Internal]);
}

#[test]
fn whoever_sees_two_states() {
    let found = check(&parse("0-9 x: x:1 \n 1-2 x+1"), Level::Snapshot).anomalies;
    assert!(found.iter().any(|anomaly| anomaly.kind == Kind::Internal), "{found:?}");
}

#[test]
fn reads_that_cannot_both_be() {
    let found = check(&parse("0-9 x+1 \n 0-9 x+2 \n 0-9 x:1 \n 0-9 x:2"), Level::Snapshot).anomalies;
    assert!(found.iter().any(|anomaly| anomaly.kind == Kind::Incompatible), "{found:?}");
}

#[test]
fn what_nobody_wrote() {
    let found = check(&parse("0-9 x:7"), Level::Snapshot).anomalies;
    assert!(found.iter().any(|anomaly| anomaly.kind == Kind::Unwritten), "{found:?}");
}
