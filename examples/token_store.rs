//! Login tokens, with a choice of when a commit is durable: a login survives a crash before the user is told, a last-seen mark may get lost.
//!
//! `cargo run --release --example token_store`

use pentimento::{Database, Durability, Error, Isolation, RetryPolicy};
use std::time::{Duration, Instant};

/// Tokens by name, and an index by expiry, so that the expired ones are found without looking at the others.
struct Tokens {
    db: Database,
    /// Waits for the disk.
    careful: RetryPolicy,
    /// Durable within a tenth of a second.
    quick: RetryPolicy,
}

impl Tokens {
    fn open(path: &std::path::Path) -> Result<Tokens, Error> {
        let policy = RetryPolicy::new(Isolation::Serializable);
        Ok(Tokens {
            db: Database::open(path)?,
            careful: policy.clone().durability(Durability::Sync),
            quick: policy.durability(Durability::Interval(Duration::from_millis(100))),
        })
    }

    /// A new token; `false` if there is one of that name. When it returns the token survives a crash.
    fn issue(&self, token: &str, user: &str, expires: u64) -> Result<bool, Error> {
        let done = self.careful.run(&self.db, |txn| -> Result<bool, Error> {
            if !txn.tree("tokens")?.compare_and_swap(token, None, Some(user.as_bytes()))? {
                return Ok(false);
            }
            txn.tree("expiry")?.insert(expiry_key(expires, token), b"")?;
            txn.tree("numbers")?.add("live", 1)?;
            Ok(true)
        })?;
        Ok(done.value)
    }

    /// Whose token it is. Reads a snapshot: no lock, no wait.
    fn user(&self, token: &str) -> Result<Option<String>, Error> {
        let snapshot = self.db.snapshot()?;
        let user = snapshot.tree("tokens")?.get(token)?;
        Ok(user.map(|user| String::from_utf8_lossy(user).into_owned()))
    }

    /// Marks that a token was used. A mark that is lost in a crash hurts nobody, so this does not wait for the disk.
    fn touch(&self, token: &str, now: u64) -> Result<(), Error> {
        self.quick.run(&self.db, |txn| txn.tree("seen")?.insert(token, now.to_be_bytes()))?;
        Ok(())
    }

    /// Removes what has expired, and tells how many.
    fn expire(&self, now: u64) -> Result<usize, Error> {
        let done = self.careful.run(&self.db, |txn| -> Result<usize, Error> {
            let index = txn.tree("expiry")?;
            let expired = index.range(..now.to_be_bytes())?.map(|entry| Ok(entry?.0.into_vec()));
            let expired = expired.collect::<Result<Vec<_>, Error>>()?;
            for key in &expired {
                txn.tree("expiry")?.remove(key)?;
                txn.tree("tokens")?.remove(&key[8..])?;
                txn.tree("seen")?.remove(&key[8..])?;
            }
            txn.tree("numbers")?.add("live", -(expired.len() as i64))?;
            Ok(expired.len())
        })?;
        Ok(done.value)
    }
}

/// In the order of time, then of names.
fn expiry_key(expires: u64, token: &str) -> Vec<u8> {
    [&expires.to_be_bytes(), token.as_bytes()].concat()
}

fn main() -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let path = dir.path().join("tokens.pent");
    let tokens = Tokens::open(&path)?;

    let began = Instant::now();
    for number in 0..100 {
        assert!(tokens.issue(&format!("token-{number}"), "ada", 1000 + number)?);
    }
    println!("100 logins, each safe before it was acknowledged: {:.1?}", began.elapsed());
    assert!(!tokens.issue("token-7", "eve", 5000)?, "nobody gets a token that somebody has");

    let began = Instant::now();
    for number in 0..100 {
        tokens.touch(&format!("token-{number}"), 900)?;
    }
    println!("100 marks that need not be: {:.1?}", began.elapsed());

    println!("token-7 belongs to {:?}", tokens.user("token-7")?);
    println!("{} have expired", tokens.expire(1050)?);
    assert_eq!((tokens.user("token-7")?, tokens.user("token-70")?), (None, Some("ada".to_owned())));

    // Open again: what was acknowledged is there.
    tokens.db.close()?; // the last handle; dropping it would do, but could not tell of errors
    let tokens = Tokens::open(&path)?;
    let live = tokens.db.begin_concurrent(Isolation::Snapshot)?.tree("numbers")?.counter("live")?;
    println!("after opening again {live} are live");
    assert_eq!(live, 50);
    Ok(())
}
