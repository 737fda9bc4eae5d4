//! What the programs for profiles share: keys, times, and a store as `pentimento-compare` leaves it behind its commits.

use pentimento::Database;
use std::time::Instant;

pub type Key = [u8; 24];

pub const VALUE: [u8; 150] = [7; 150];

/// The same key for the same number, and no order among them.
pub fn key(number: u64) -> Key {
    let mut key = [0; 24];
    let mut state = number;
    for word in key.chunks_exact_mut(8) {
        // SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word.copy_from_slice(&(mixed ^ (mixed >> 31)).to_be_bytes());
    }
    key
}

/// How long this thread has had the processor, in seconds; where the system does not tell, nothing.
fn own_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).map_or(f64::NAN, |ns| ns / 1e9)
}

pub fn timed(what: &str, per: usize, work: impl FnOnce()) {
    let (own, wall) = (own_seconds(), Instant::now());
    work();
    let (wall, own) = (wall.elapsed().as_secs_f64(), own_seconds() - own);
    let each = 1e6 / per as f64;
    println!(
        "{what:<28} {:>8.1} ms, {:>8.3} us each; own thread {:>8.1} ms, {:>8.3} us each",
        wall * 1e3,
        wall * each,
        own * 1e3,
        own * each
    );
}

// A function of its own, so that a profile tells it apart.

#[inline(never)]
pub fn load(db: &Database, keys: &[Key]) {
    let mut txn = db.begin_write().expect("the turn");
    let mut tree = txn.tree("entries").expect("the tree");
    keys.iter().for_each(|key| tree.insert(key, VALUE).expect("an insert"));
    txn.commit().expect("a commit");
}

/// A number from the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// What was asked for by name; everything if nothing was.
pub fn wants() -> impl Fn(&str) -> bool {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    move |what| wanted.is_empty() || wanted.iter().any(|name| name == what)
}

/// A store in a folder of its own, and keys to load into it, as many as `PENTIMENTO_ENTRIES` says, or else so many.
pub fn store_of(entries: u64) -> (tempfile::TempDir, Database, Vec<Key>) {
    let dir = tempfile::tempdir_in(".").expect("a folder beside the project, on a real file system");
    let db = Database::open(dir.path().join("store.pent")).expect("a store");
    (dir, db, (0..setting("PENTIMENTO_ENTRIES", entries)).map(key).collect())
}
