//! A change feed: a small index that follows a tree, commit by commit, and catches up after it was busy elsewhere.
//!
//! `cargo run --example change_feed`

use pentimento::{Database, Error, Subscriber, Watch};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many orders each customer has. Orders are `number -> customer`.
#[derive(Default)]
struct OrdersByCustomer {
    counts: BTreeMap<String, i64>,
}

impl OrdersByCustomer {
    fn add(&mut self, customer: &[u8], count: i64) {
        *self.counts.entry(String::from_utf8_lossy(customer).into_owned()).or_default() += count;
        self.counts.retain(|_, count| *count != 0);
    }

    /// Each change tells the value before and the value after, so nothing else needs to be read.
    fn follow(&mut self, feed: &mut Subscriber) -> Result<(), Error> {
        while let Some(batch) = feed.try_recv()? {
            let kind = if batch.exact { "one commit" } else { "several commits, summed up" };
            println!("  commits {} to {} ({kind}):", batch.from.next(), batch.to);
            for change in batch.changes {
                let change = change?;
                println!("    order {}: {:?} -> {:?}", change.key.escape_ascii(), change.before(), change.after());
                change.before().into_iter().for_each(|customer| self.add(customer, -1));
                change.after().into_iter().for_each(|customer| self.add(customer, 1));
            }
        }
        Ok(())
    }
}

fn order(db: &Database, number: u32, customer: &str) -> Result<(), Error> {
    let mut txn = db.begin_write()?;
    txn.tree("orders")?.insert(format!("{number:04}"), customer)?;
    txn.commit()?;
    Ok(())
}

fn main() -> Result<(), Error> {
    let db = Database::in_memory()?;
    order(&db, 0, "Ada")?;

    // An index begins with one snapshot, and follows what was committed after it: nothing is missed, nothing counted twice.
    let snapshot = db.snapshot()?;
    let mut index = OrdersByCustomer::default();
    for entry in snapshot.tree("orders")?.iter()? {
        index.add(entry?.1, 1);
    }
    let mut feed = db.watch(Watch::tree("orders").after(&snapshot))?;
    drop(snapshot);

    println!("It keeps up:");
    order(&db, 1, "Grace")?;
    order(&db, 2, "Ada")?;
    order(&db, 1, "Edsger")?;
    index.follow(&mut feed)?;
    assert_eq!(index.counts, [("Ada".to_owned(), 2), ("Edsger".to_owned(), 1)].into());

    println!("It sleeps while 5,000 orders come, and all but one go. The writer does not wait:");
    for number in 0..5_000 {
        order(&db, 100 + number, "Barbara")?;
    }
    let mut txn = db.begin_write()?;
    txn.tree("orders")?.remove_range("0101"..)?;
    txn.commit()?;
    println!("  {} commits behind", feed.behind());
    index.follow(&mut feed)?;
    assert_eq!(index.counts["Barbara"], 1);

    println!("Closing the store ends the feed:");
    let waiting = std::thread::spawn(move || feed.recv());
    std::thread::sleep(Duration::from_millis(10));
    db.close()?;
    let end = waiting.join().expect("the thread ends")?;
    println!("  {:?}", end.map(|batch| batch.to));
    Ok(())
}
