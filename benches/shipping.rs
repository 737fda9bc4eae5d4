//! What backup and shipping cost: `cargo bench --bench shipping`.
//!
//! A whole backup of a store of 10^6 entries of 8 + 100 bytes and its being received, then increments after 0.1, 1 and 10 % of the entries have changed at random places: the bytes of
//! the stream over the bytes of the keys and values that changed, the time to make and to receive it, and the same over the whole. `PENTIMENTO_ENTRIES` sets the
//! size of the store.

use pentimento::{Database, Durability};
use std::time::{Duration, Instant};

const KEY_BYTES: u64 = 8;
const VALUE_BYTES: usize = 100;

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let done = work();
    (done, started.elapsed())
}

fn main() {
    let entries: u64 =
        std::env::var("PENTIMENTO_ENTRIES").ok().and_then(|entries| entries.parse().ok()).unwrap_or(1_000_000);
    let dir = tempfile::tempdir().expect("a folder");
    let db = Database::builder().durability(Durability::None).open(dir.path().join("source.pent")).expect("a store");
    let copy = Database::open(dir.path().join("copy.pent")).expect("a store");
    let mut txn = db.begin_write().expect("the turn");
    let load = (0..entries).map(|number| (number.to_be_bytes(), [number as u8; VALUE_BYTES]));
    txn.tree("entries").expect("the tree").bulk_load(load).expect("a load");
    txn.commit().expect("a commit");
    db.checkpoint().expect("a checkpoint");

    println!("| what | entries | stream | of the changed bytes | made in | received in |");
    println!("|---|--:|--:|--:|--:|--:|");
    let row = |what: &str, count: u64, bytes: u64, made: Duration, received: Duration| {
        let over = bytes as f64 / (count * (KEY_BYTES + VALUE_BYTES as u64)) as f64;
        let (made, received) = (made.as_secs_f64() * 1e3, received.as_secs_f64() * 1e3);
        println!("| {what} | {count} | {bytes} | {over:.3} | {made:.1} ms | {received:.1} ms |");
    };
    let mut base = db.snapshot().expect("a snapshot");
    let mut stream = Vec::new();
    let (sent, made) = timed(|| db.backup_of(&base).write_to(&mut stream).expect("a backup"));
    let (_, received) = timed(|| copy.receive(stream.as_slice()).expect("it fits"));
    row("whole", sent.puts, sent.bytes, made, received);

    for per_mille in [1, 10, 100] {
        let mut txn = db.begin_write().expect("the turn");
        let mut tree = txn.tree("entries").expect("the tree");
        for number in 0..entries * per_mille / 1000 {
            let key = (number + per_mille).wrapping_mul(0x9E37_79B9_7F4A_7C15) % entries;
            tree.insert(key.to_be_bytes(), [per_mille as u8 ^ 0x5A; VALUE_BYTES]).expect("an insert");
        }
        txn.commit().expect("a commit");
        let snapshot = db.snapshot().expect("a snapshot");
        stream.clear();
        let (sent, made) = timed(|| db.backup_of(&snapshot).since(&base).write_to(&mut stream).expect("a backup"));
        let (_, received) = timed(|| copy.receive(stream.as_slice()).expect("it fits"));
        row(&format!("{} % changed", per_mille as f64 / 10.0), sent.puts, sent.bytes, made, received);
        base = snapshot;
    }
    let (here, there) = (db.snapshot().expect("a snapshot"), copy.snapshot().expect("a snapshot"));
    let differing = here
        .tree("entries")
        .and_then(|tree| tree.iter())
        .expect("entries")
        .zip(there.tree("entries").and_then(|tree| tree.iter()).expect("entries"))
        .filter(|(one, other)| one.as_ref().expect("an entry") != other.as_ref().expect("an entry"))
        .count();
    assert_eq!(differing, 0, "the copy is the source");
}
