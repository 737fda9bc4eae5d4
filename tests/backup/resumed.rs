//! Streams that were cut, and go on where the receiver stopped.

use crate::damaged::boundaries;
use crate::source::{CHUNK, Source};
use pentimento::{Database, Error, ResumePosition, StreamError, verify_stream};
use std::fs;

#[test]
fn every_chunk_is_a_place_to_go_on_from() {
    let mut source = Source::new(31);
    source.work(6);
    let snapshot = source.db.snapshot().unwrap();
    source.work(2);
    let stream = source.whole(&snapshot);
    let copy = || Database::in_memory().unwrap();
    resume_everywhere(&source, &stream, &copy, |position| source.db.backup_of(&snapshot).resume_at(position));
}

#[test]
fn of_an_increment_too() {
    for seed in 0..crate::common::cases(4) {
        let mut source = Source::new(310 + seed);
        source.work(5);
        let base = source.db.snapshot().unwrap();
        source.work(3);
        let snapshot = source.db.snapshot().unwrap();
        source.work(1);
        let (whole, stream) = (source.whole(&base), source.increment(&base, &snapshot));
        let copy = || {
            let copy = Database::in_memory().unwrap();
            copy.receive(whole.as_slice()).unwrap();
            copy
        };
        resume_everywhere(&source, &stream, &copy, |position| {
            source.db.backup_of(&snapshot).since(&base).resume_at(position)
        });
    }
}

fn resume_everywhere<'b>(
    source: &'b Source,
    stream: &[u8],
    copy: &dyn Fn() -> Database,
    backup: impl Fn(ResumePosition) -> pentimento::Backup<'b>,
) {
    let at = verify_stream(stream).unwrap().timestamp;
    for cut in boundaries(stream).into_iter().skip(1) {
        let copy = copy();
        let mut receiver = copy.receiver().unwrap();
        receiver.receive(&stream[..cut + 10]).unwrap_err();
        // It can travel as a word.
        let position: ResumePosition = receiver.position().unwrap().to_string().parse().unwrap();
        let mut rest = Vec::new();
        backup(position).write_to(&mut rest).unwrap();
        assert_eq!(rest[80..], stream[cut..], "what follows is what would have followed");
        receiver.receive(rest.as_slice()).unwrap();
        source.assert_copy(&copy, at);
    }
}

#[test]
fn what_was_staged_outlasts_the_process_as_far_as_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut source = Source::new(32);
    source.work(6);
    let snapshot = source.db.snapshot().unwrap();
    let stream = source.whole(&snapshot);
    let boundaries = boundaries(&stream);
    let cut = boundaries[boundaries.len() / 2];
    let mut random = crate::simulated::Random::new(1);
    for case in 0..30 {
        let path = dir.path().join(format!("copy-{case}.pent"));
        let staged = dir.path().join(format!("copy-{case}.pent-receiving"));
        let copy = Database::open(&path).unwrap();
        copy.receive(&stream[..cut + 5]).unwrap_err();
        copy.close().unwrap();
        // What a loss of power could leave of a file that was not synced.
        let mut bytes = fs::read(&staged).unwrap();
        assert_eq!(bytes.len(), cut);
        let first_wrong = match case % 3 {
            0 => cut,
            1 => {
                bytes.truncate(random.below(cut as u64) as usize);
                bytes.len()
            }
            _ => {
                let at = random.below(cut as u64 / 512) as usize * 512;
                bytes[at..(at + 512).min(cut)].fill(0);
                at
            }
        };
        fs::write(&staged, &bytes).unwrap();
        let copy = Database::open(&path).unwrap();
        let mut receiver = copy.receiver().unwrap();
        let whole = boundaries.iter().filter(|at| **at <= first_wrong).count().saturating_sub(1) as u64;
        let position = receiver.position();
        assert_eq!(position.as_ref().map_or(0, ResumePosition::chunks), whole, "case {case}");
        let mut rest = Vec::new();
        let backup = source.db.backup_of(&snapshot).chunk_bytes(CHUNK);
        let backup = if let Some(position) = position { backup.resume_at(position) } else { backup };
        backup.write_to(&mut rest).unwrap();
        receiver.receive(rest.as_slice()).unwrap();
        source.assert_copy(&copy, snapshot.timestamp());
        assert!(!staged.exists());
    }
}

#[test]
fn what_goes_on_elsewhere_is_refused() {
    let mut source = Source::new(33);
    source.work(4);
    let snapshot = source.db.snapshot().unwrap();
    let stream = source.whole(&snapshot);
    let boundaries = boundaries(&stream);
    let copy = Database::in_memory().unwrap();
    let mut receiver = copy.receiver().unwrap();
    receiver.receive(&stream[..boundaries[3]]).unwrap_err();
    let third = receiver.position().unwrap();
    receiver.receive(&stream[..boundaries[5]]).unwrap_err();
    let mut rest = Vec::new();
    source.db.backup_of(&snapshot).resume_at(third.clone()).write_to(&mut rest).unwrap();
    let refused = receiver.receive(rest.as_slice());
    assert!(matches!(refused, Err(Error::Stream(StreamError::WrongResume { found: 3, expected: 5 }))), "{refused:?}");
    // A receiver that has nothing of it.
    let refused = Database::in_memory().unwrap().receive(rest.as_slice());
    assert!(matches!(refused, Err(Error::Stream(StreamError::WrongResume { found: 3, expected: 0 }))));
    // A position of another moment, and of another store.
    source.work(1);
    let other = source.db.snapshot().unwrap();
    let refused = source.db.backup_of(&other).resume_at(third.clone()).write_to(std::io::sink());
    assert!(matches!(refused, Err(Error::Stream(StreamError::InvalidPosition { .. }))));
    let stranger = Database::in_memory().unwrap();
    let refused = stranger.backup_of(&stranger.snapshot().unwrap()).resume_at(third).write_to(std::io::sink());
    assert!(matches!(refused, Err(Error::Stream(StreamError::InvalidPosition { .. }))));
}

#[test]
fn another_stream_takes_the_place_of_what_was_staged() {
    let mut source = Source::new(34);
    source.work(4);
    let first = source.whole(&source.db.snapshot().unwrap());
    source.work(1);
    let second = source.whole(&source.db.snapshot().unwrap());
    let copy = Database::in_memory().unwrap();
    copy.receive(&first[..first.len() - 5]).unwrap_err();
    copy.receive(second.as_slice()).unwrap();
    source.assert_copy(&copy, source.db.timestamp());
}
