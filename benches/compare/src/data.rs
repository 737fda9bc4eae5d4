//! The data: the same in each run, and for each engine.
//!
//! Keys are random bytes. Values are stretches of a pool of random bytes, each beginning at a place of its own, so that the values of many generations need not be held.

use fastrand::Rng;

/// The length of every key, in bytes.
pub const KEY_LEN: usize = 24;
/// The length of values where nothing else is said, in bytes.
pub const VALUE_LEN: usize = 150;
const POOL_BYTES: usize = 4 << 20;

/// A key.
pub type Key = [u8; KEY_LEN];

/// Keys in random order, and a value of each generation for each of them.
pub struct Data {
    /// The keys, in the order in which they are inserted.
    pub keys: Vec<Key>,
    pool: Vec<u8>,
    value_len: usize,
}

impl Data {
    /// Makes `count` different keys; values are of `value_len` bytes.
    #[must_use]
    pub fn new(count: usize, value_len: usize) -> Data {
        let mut rng = Rng::with_seed(0x5EED);
        let mut pool = vec![0; POOL_BYTES + value_len];
        rng.fill(&mut pool);
        Data { keys: keys(&mut rng, count), pool, value_len }
    }

    /// More keys, which are none of the others.
    #[must_use]
    pub fn more_keys(&self, count: usize) -> Vec<Key> {
        // 192 random bits never meet twice.
        keys(&mut Rng::with_seed(0xF00D), count)
    }

    /// The value of the key with this number, after it was overwritten `generation` times.
    #[inline]
    #[must_use]
    pub fn value(&self, number: usize, generation: usize) -> &[u8] {
        let at = (number.wrapping_mul(0x9E37_79B1).wrapping_add(generation.wrapping_mul(0x85EB_CA77))) % POOL_BYTES;
        &self.pool[at..at + self.value_len]
    }

    /// Keys with their values of a generation, in the order of insertion.
    pub fn entries(&self, generation: usize) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.keys.iter().enumerate().map(move |(number, key)| (key.as_slice(), self.value(number, generation)))
    }

    /// The numbers of the keys, in the order of the keys.
    #[must_use]
    pub fn sorted(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        order.sort_unstable_by_key(|number| &self.keys[*number]);
        order
    }

    /// The numbers of the keys in another random order.
    #[must_use]
    pub fn shuffled(&self, seed: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        Rng::with_seed(seed).shuffle(&mut order);
        order
    }

    /// Random keys with what [`digest`] makes of their values of the first generation: copied together, so that walking over them costs no engine a miss in the cache.
    #[must_use]
    pub fn probes(&self, count: usize, seed: u64) -> (Vec<Key>, u64) {
        let mut rng = Rng::with_seed(seed);
        let mut sum = 0u64;
        let keys = (0..count).map(|_| {
            let number = rng.usize(..self.keys.len());
            sum = sum.wrapping_add(digest(self.value(number, 0)));
            self.keys[number]
        });
        let keys = keys.collect();
        (keys, sum)
    }
}

fn keys(rng: &mut Rng, count: usize) -> Vec<Key> {
    let mut keys = vec![[0; KEY_LEN]; count];
    for key in &mut keys {
        rng.fill(key);
    }
    keys
}

/// What is read of each value, in all engines alike: its length, its first byte and its last. The sum over all that was read is compared with what it must be.
#[inline]
#[must_use]
pub fn digest(value: &[u8]) -> u64 {
    let ends = value.first().zip(value.last()).map_or(0, |(first, last)| u64::from(*first) * 257 + u64::from(*last));
    ends + value.len() as u64
}
