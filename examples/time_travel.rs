//! Time travel: named snapshots that survive a restart, what changed between them, and a look back at what was.
//!
//! `cargo run --example time_travel`

use pentimento::{Change, ChangeKind, Database, Error};

/// Puts these into the stock; a count of none removes the line.
fn stock(db: &Database, lines: &[(&str, Option<u32>)]) -> Result<(), Error> {
    let mut txn = db.begin_write()?;
    let mut stock = txn.tree("stock")?;
    for (name, count) in lines {
        match count {
            Some(count) => stock.insert(name, count.to_string())?,
            None => drop(stock.remove(name)?),
        }
    }
    txn.commit()?;
    Ok(())
}

fn show(change: &Change) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let key = text(&change.key);
    match &change.kind {
        ChangeKind::Inserted { new } => println!("  + {key}: {}", text(new)),
        ChangeKind::Removed { old } => println!("  - {key}: {}", text(old)),
        ChangeKind::Changed { old, new } => println!("  ~ {key}: {} -> {}", text(old), text(new)),
        other => println!("  {other:?} {}", change.tree),
    }
}

fn main() -> Result<(), Error> {
    let dir = std::env::temp_dir().join(format!("pentimento-time-travel-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let path = dir.join("shop.pent");

    let db = Database::open(&path)?;
    stock(&db, &[("chairs", Some(12)), ("lamps", Some(3)), ("tables", Some(4))])?;
    db.snapshot_named("monday")?;
    stock(&db, &[("chairs", Some(7)), ("lamps", None), ("shelves", Some(9))])?;
    db.snapshot_named("tuesday")?;
    stock(&db, &[("tables", Some(0))])?;
    db.close()?;

    // Days later, in another process.
    let db = Database::open(&path)?;
    for named in db.named_snapshots()? {
        println!("{} is commit {}, and keeps {} bytes for itself", named.name, named.timestamp, named.bytes_alone);
    }
    let (monday, tuesday, today) = (db.open_snapshot("monday")?, db.open_snapshot("tuesday")?, db.snapshot()?);
    println!("chairs on monday: {:?}", monday.tree("stock")?.get_bytes("chairs")?);

    // The cost of each of these follows the difference, not the size of the store.
    println!("from monday to tuesday:");
    for change in tuesday.changes_since(&monday)? {
        show(&change?);
    }
    println!("from tuesday to today:");
    let changes: Vec<Change> = today.changes_since(&tuesday)?.collect::<Result<_, _>>()?;
    changes.iter().for_each(show);
    assert_eq!((&*changes[0].key, changes.len()), (b"tables".as_slice(), 1));

    drop((monday, tuesday, today, changes));
    db.drop_snapshot("monday")?;
    db.close()?;
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
    Ok(())
}
