//! A routing table on a hot path: readers look at the newest table for each packet, while a writer changes it a thousand times a second.
//!
//! `cargo run --release --example hot_table`

use pentimento::{Database, Durability, Error};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ROUTES: u32 = 1000;
const RUN: Duration = Duration::from_secs(2);

fn main() -> Result<(), Error> {
    let db = Database::builder().durability(Durability::None).in_memory()?;
    let mut txn = db.begin_write()?;
    let mut routes = txn.tree("routes")?;
    for route in 0..ROUTES {
        routes.insert(route.to_be_bytes(), b"eth0")?;
    }
    txn.commit()?;

    let done = AtomicBool::new(false);
    thread::scope(|scope| -> Result<(), Error> {
        let readers: Vec<_> = (0..2)
            .map(|number| {
                // One for each thread. It may go there, but two cannot share it.
                let (mut reader, done) = (db.hot_reader().labelled(&format!("reader {number}")), &done);
                scope.spawn(move || -> Result<(u64, u64), Error> {
                    let (mut packets, mut tables, mut last) = (0, 0, None);
                    while !done.load(Ordering::Relaxed) {
                        for route in 0..ROUTES {
                            // A load and a comparison, unless there is a newer table.
                            let hop = reader.tree("routes")?.get(route.to_be_bytes())?;
                            assert!(hop.is_some_and(|hop| hop.starts_with(b"eth")));
                            packets += 1;
                        }
                        let at = reader.current()?.timestamp();
                        tables += u64::from(last.replace(at) != Some(at));
                    }
                    reader.quiescent(); // before a pause: holds nothing back
                    Ok((packets, tables))
                })
            })
            .collect();

        let (began, mut changes) = (Instant::now(), 0);
        while began.elapsed() < RUN {
            let mut txn = db.begin_write()?;
            txn.tree("routes")?.insert((changes % ROUTES).to_be_bytes(), format!("eth{}", changes % 8))?;
            txn.commit()?;
            changes += 1;
            thread::sleep(Duration::from_micros(900));
        }
        // Who holds what? Each reader one table at most.
        db.maintain()?;
        for held in db.readers().iter().filter(|held| !held.readers.is_empty()) {
            let names: Vec<_> = held.readers.iter().filter_map(|reader| reader.label.as_deref()).collect();
            println!(
                "held at {}: {} old pages, {} bytes, by {}",
                held.at,
                held.versions,
                held.bytes,
                names.join(" and ")
            );
        }
        done.store(true, Ordering::Relaxed);
        for (number, reader) in readers.into_iter().enumerate() {
            let (packets, tables) = reader.join().expect("no thread panics")?;
            let each = RUN.as_nanos() as f64 / packets as f64;
            println!(
                "reader {number}: {packets} look-ups, {each:.0} ns each, {tables} different tables seen at the end of a round"
            );
        }
        println!("writer: {changes} changes");
        Ok(())
    })
}
