//! A week of backups: a whole one, then each day only what changed; and a copy elsewhere that serves reads while it is kept up to date.
//!
//! `cargo run --release --example incremental_backup`

use pentimento::{Database, Error, Snapshot, verify_stream};

const ACCOUNTS: u32 = 20_000;
const CHANGED_A_DAY: u32 = 200;

fn main() -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let db = Database::open(dir.path().join("bank.pent"))?;
    let copy = Database::open(dir.path().join("copy.pent"))?;

    let mut txn = db.begin_write()?;
    let mut accounts = txn.tree("accounts")?;
    for number in 0..ACCOUNTS {
        accounts.insert(number.to_be_bytes(), format!("account {number}: 100 coins, and {}", "a note ".repeat(12)))?;
    }
    txn.commit()?;

    // Sunday: everything. A stream is bytes: a file, a pipe, a socket, an upload.
    let mut last: Snapshot = db.snapshot()?;
    let mut stream = Vec::new();
    let sent = db.backup_of(&last).write_to(&mut stream)?;
    copy.receive(stream.as_slice())?;
    println!("sunday:    {:>9} bytes, {} entries", sent.bytes, sent.puts);

    for (day, name) in ["monday", "tuesday", "wednesday"].into_iter().enumerate() {
        change_some(&db, day as u32)?;
        let today = db.snapshot()?;
        let before = copy.snapshot()?; // a reader at the copy keeps its moment

        // Only what changed since the last backup. The line is cut in the middle ...
        let mut stream = Vec::new();
        // Small chunks, for there is little: a cut costs what had come of one.
        let sent = db.backup_of(&today).since(&last).chunk_bytes(1024).write_to(&mut stream)?;
        let mut receiver = copy.receiver()?;
        assert!(receiver.receive(&stream[..stream.len() / 2]).is_err());
        assert_eq!(copy.timestamp(), before.timestamp()); // nothing has changed

        // ... and the sender goes on where the receiver stopped.
        let position = receiver.position().expect("half of it is there");
        let mut rest = Vec::new();
        db.backup_of(&today).since(&last).resume_at(position).write_to(&mut rest)?;
        let received = receiver.receive(rest.as_slice())?;
        println!(
            "{:<10} {:>9} bytes, {} entries; {} bytes of them after the cut",
            format!("{name}:"),
            sent.bytes,
            received.puts + received.removes,
            rest.len()
        );
        last = today;

        // The same increment twice, or one that was left out, is refused, and says what to do.
        if let Err(refused) = receiver.receive(stream.as_slice()) {
            println!("           once more? {refused}");
        }
        assert_eq!(before.tree("accounts")?.len()?, copy.snapshot()?.tree("accounts")?.len()?);
        assert!(verify_stream(stream.as_slice()).is_ok());
    }

    // Two stores with the same entries.
    let (here, there) = (db.snapshot()?, copy.snapshot()?);
    let (mine, theirs) = (here.tree("accounts")?, there.tree("accounts")?);
    let is_same = mine.iter()?.zip(theirs.iter()?).all(|pair| matches!(pair, (Ok(a), Ok(b)) if a == b));
    println!("the copy is {}", if is_same && mine.len()? == theirs.len()? { "the same" } else { "another" });
    let origin = there.origin()?.expect("it received something");
    println!("it knows that it is store {} at timestamp {}", origin.source, origin.timestamp);
    Ok(())
}

fn change_some(db: &Database, day: u32) -> Result<(), Error> {
    let mut txn = db.begin_write()?;
    let mut accounts = txn.tree("accounts")?;
    for number in 0..CHANGED_A_DAY {
        let number = (number * 97 + day * 31) % ACCOUNTS;
        accounts.insert(number.to_be_bytes(), format!("account {number}: {} coins", 101 + day))?;
    }
    txn.commit()?;
    Ok(())
}
