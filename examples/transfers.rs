//! Concurrent transfers between accounts, with retries: whatever happens, no money is made or lost.
//!
//! `cargo run --release --example transfers`

use pentimento::{ConcurrentTree, Database, Error, Isolation};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const ACCOUNTS: u64 = 50;
const EACH: i64 = 1000;
const THREADS: u64 = 4;
const TRANSFERS: u64 = 2000;

fn transfer(accounts: &mut ConcurrentTree<'_>, from: u64, to: u64, amount: i64) -> Result<bool, Error> {
    // Looking at the balance is what makes this more than two additions: nobody may spend it meanwhile.
    if from == to || accounts.counter(from.to_be_bytes())? < amount {
        return Ok(false);
    }
    accounts.fetch_add(from.to_be_bytes(), -amount)?;
    // Nobody looks at the other balance, so transfers to the same account do not get in each other's way.
    accounts.add(to.to_be_bytes(), amount)?;
    Ok(true)
}

fn sum(db: &Database) -> Result<i64, Error> {
    let snapshot = db.snapshot()?;
    let mut sum = 0;
    for entry in snapshot.tree("accounts")?.iter()? {
        sum += entry?.1.try_into().map_or(0, i64::from_le_bytes);
    }
    Ok(sum)
}

fn main() -> Result<(), Error> {
    let db = Database::in_memory()?;
    let mut txn = db.begin_write()?;
    let mut accounts = txn.tree("accounts")?;
    for account in 0..ACCOUNTS {
        accounts.insert(account.to_be_bytes(), EACH.to_le_bytes())?;
    }
    txn.commit()?;

    let done = AtomicBool::new(false);
    thread::scope(|scope| -> Result<(), Error> {
        // An auditor looks all the time, and never sees a transfer half done. It holds nobody up.
        let auditor = scope.spawn(|| -> Result<u64, Error> {
            let mut audits = 0;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(sum(&db)?, ACCOUNTS as i64 * EACH);
                audits += 1;
            }
            Ok(audits)
        });
        let tellers: Vec<_> = (0..THREADS)
            .map(|teller| {
                let db = db.clone();
                scope.spawn(move || -> Result<(u64, u32, u32), Error> {
                    let (chance, mut made, mut retries, mut most) = (RandomState::new(), 0, 0, 0);
                    for number in 0..TRANSFERS {
                        let dice = chance.hash_one((teller, number));
                        let (from, to, amount) = (dice % ACCOUNTS, dice / 64 % ACCOUNTS, (dice >> 50) as i64 % 200);
                        let done = db.transact(Isolation::Serializable, |txn| {
                            transfer(&mut txn.tree("accounts")?, from, to, amount)
                        })?;
                        made += u64::from(done.value);
                        retries += done.retries;
                        most = most.max(done.retries);
                    }
                    Ok((made, retries, most))
                })
            })
            .collect();
        let results: Vec<_> = tellers.into_iter().map(|teller| teller.join().expect("no thread panics")).collect();
        done.store(true, Ordering::Relaxed);
        for (teller, result) in results.into_iter().enumerate() {
            let (made, retries, most) = result?;
            println!("teller {teller}: {made} transfers, tried again {retries} times, {most} at most for one");
        }
        println!("{} audits meanwhile", auditor.join().expect("no thread panics")?);
        Ok(())
    })?;
    println!("the sum is {}, as it was: {}", sum(&db)?, ACCOUNTS as i64 * EACH);
    assert_eq!(sum(&db)?, ACCOUNTS as i64 * EACH);
    Ok(())
}
