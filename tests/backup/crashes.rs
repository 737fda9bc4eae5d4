//! A loss of power at any moment of receiving: the store holds the state before or the state after, and says which.

use crate::model::{State, shows};
use crate::simulated::{Crash, Disk, Effort, Image, Physics, SimulatedLogs, SimulatedMedium, Start, What};
use crate::source::Source;
use pentimento::{Database, Logs, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

const EFFORT: Effort = Effort { exhaustive: 4, samples: 8, torn: 3 };

fn open(disk: &Disk) -> Database {
    let logs: Box<dyn Logs> = Box::new(SimulatedLogs(disk.clone()));
    // Small segments: some increments fit a record, others do not.
    let builder = Database::builder().page_size(4096).journal_segment(64 << 10);
    builder.open_on(Box::new(SimulatedMedium(disk.clone())), Some(logs), disk.is_blank()).unwrap()
}

/// Receives the streams one after the other, and crashes at every event.
pub fn crash_everywhere(streams: &[(Timestamp, Vec<u8>)], source: &Source, seed: u64) -> u64 {
    let disk = Disk::holding(&Image::default());
    let copy = open(&disk);
    for (at, stream) in streams {
        copy.receive(stream.as_slice()).unwrap();
        disk.promised(at.0);
    }
    drop(copy);
    let states: BTreeMap<u64, Arc<State>> =
        streams.iter().map(|(at, _)| (at.0, source.model.state_at(at.0).clone())).collect();

    let record = disk.record();
    let mut crash = Crash::new(&Start::default(), &record, Physics::HONEST, seed);
    let (mut image, mut floor, mut images) = (Image::default(), 0, 0);
    while let Some(event) = crash.advance() {
        floor = floor.max(event.promised().unwrap_or(0));
        // What is possible before an effect was looked at before it; a sync has nothing of its own.
        let is_effect = matches!(event.what, What::Effect(_));
        for plan in crash.plans(EFFORT, is_effect) {
            crash.build(&plan, &mut image);
            let copy = open(&Disk::holding(&image));
            let snapshot = copy.snapshot().unwrap();
            let origin = snapshot.origin().unwrap();
            let at = origin.map_or(0, |origin| origin.timestamp.0);
            assert!(at >= floor, "{floor} was received, but after the crash there is {at}");
            assert!(origin.is_none_or(|origin| origin.source == source.db.id() && !origin.is_changed));
            let empty = Arc::default();
            let state = if at == 0 { &empty } else { &states[&at] };
            shows(&snapshot, state).unwrap();
            drop(snapshot);
            crate::common::assert_clean(&copy);
            // And it goes on from there.
            let next = streams.iter().find(|(next, _)| next.0 > at);
            if let Some((next, stream)) = next.filter(|_| images % 16 == 0) {
                copy.receive(stream.as_slice()).unwrap();
                source.assert_copy(&copy, *next);
            }
            images += 1;
        }
    }
    images
}

#[test]
fn of_a_whole_backup() {
    let mut images = 0;
    for seed in 0..crate::common::cases(8) {
        let mut source = Source::new(40 + seed);
        // Small ones fit a record of the journal, others do not.
        source.work(seed % 4);
        let snapshot = source.db.snapshot().unwrap();
        images += crash_everywhere(&[(snapshot.timestamp(), source.whole(&snapshot))], &source, seed);
    }
    eprintln!("{images} images");
    assert!(images > 100);
}

#[test]
fn of_increments() {
    let mut images = 0;
    for seed in 0..crate::common::cases(5) {
        let mut source = Source::new(60 + seed);
        source.work(1);
        let mut base = source.db.snapshot().unwrap();
        let mut streams = vec![(base.timestamp(), source.whole(&base))];
        for _ in 0..4 {
            // Some transactions change nothing.
            while source.db.timestamp() == base.timestamp() {
                source.work(1);
            }
            let snapshot = source.db.snapshot().unwrap();
            streams.push((snapshot.timestamp(), source.increment(&base, &snapshot)));
            base = snapshot;
        }
        images += crash_everywhere(&streams, &source, seed);
    }
    eprintln!("{images} images");
    assert!(images > 300);
}
