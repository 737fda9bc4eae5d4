//! Ten threads over one handle: each upserts through a clone of its own, then everything is made durable in one go.
//!
//! `cargo run --release --example shared_handle`

use pentimento::{Database, Durability, Error, Isolation};
use std::thread;
use std::time::Instant;

const THREADS: u32 = 10;
const EACH: u32 = 1000;

fn main() -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let path = dir.path().join("shared.pent");
    // No commit waits for the disk; `flush` at the end makes all of them durable.
    let db = Database::builder().durability(Durability::None).open(&path)?;

    let began = Instant::now();
    let retries = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let db = db.clone(); // a sibling over the same store
                scope.spawn(move || -> Result<u32, Error> {
                    let mut retries = 0;
                    for number in 0..EACH {
                        let done = db.transact(Isolation::Snapshot, |txn| {
                            let mut words = txn.tree("words")?;
                            words.insert(format!("{thread}/{number}"), number.to_be_bytes())?;
                            // All ten count in the same place; additions do not conflict with each other.
                            words.add("count", 1)
                        })?;
                        retries += done.retries;
                    }
                    Ok(retries)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum::<Result<u32, Error>>()
    })?;
    println!("{} upserts in {:.0?}, {retries} tried again", THREADS * EACH, began.elapsed());

    let began = Instant::now();
    db.flush()?;
    println!("durable after another {:.1?}", began.elapsed());
    db.close()?; // the last handle: the file is whole now

    let db = Database::open(&path)?;
    let snapshot = db.snapshot()?;
    let words = snapshot.tree("words")?;
    let count = words.get("count")?.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_le_bytes);
    println!("after opening again: {} entries, the counter says {count}", words.len()?);
    assert_eq!((words.len()?, count), (u64::from(THREADS * EACH) + 1, i64::from(THREADS * EACH)));
    Ok(())
}
