//! The first program: write, read, and keep a moment while the present goes on.
//!
//! `cargo run --release --example quickstart`

use pentimento::{Database, Error};

fn main() -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let db = Database::open(dir.path().join("shop.pent"))?; // created if missing

    // Changes happen in a transaction: all of them, or none.
    let mut txn = db.begin_write()?;
    let mut orders = txn.tree("orders")?; // created if missing
    orders.insert(b"1001", b"two chairs")?;
    orders.insert(b"1002", b"a table")?;
    txn.commit()?; // durable when it returns

    // A snapshot is the whole store at one moment. It takes no lock, and can be kept for days.
    let monday = db.snapshot()?.labelled("monday's report");

    let mut txn = db.begin_write()?;
    let mut orders = txn.tree("orders")?;
    orders.insert(b"1002", b"a larger table")?;
    orders.remove(b"1001")?;
    txn.commit()?;

    for (day, snapshot) in [("monday", &monday), ("today", &db.snapshot()?)] {
        let orders = snapshot.tree("orders")?;
        println!("{day}: {} orders", orders.len()?);
        for entry in orders.range(b"10".as_slice()..)? {
            let (key, value) = entry?;
            println!("  {} {}", key.escape_ascii(), value.escape_ascii());
        }
    }

    // Who keeps what? Commits leave the accounting of old pages for later, a few dozen at a time; this finishes it.
    db.maintain()?;
    for held in db.readers() {
        for reader in &held.readers {
            println!("{:?} keeps {} old pages", reader.label.as_deref().unwrap_or("a reader"), held.versions);
        }
    }
    Ok(())
}
