//! A table of 1,000 keys on a hot path: one thread looks at the newest table and gets one key, over and over, while another changes 1,000 keys a second, one at a time, or nothing.
//!
//! What is different about the peers: `arc-swap` copies the whole table for each change; `hotread` and `left-right` keep two copies and change each of them; `evmap` (over `left-right`) is a hash map, so it has no order and no
//! ranges. None of them has transactions, snapshots that last, or a file.

use crate::{Effort, Goal, median, next_random};
use arc_swap::{ArcSwap, Cache};
use comfy_table::Table as Grid;
use left_right::Absorb;
use pentimento::{Database, Durability};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const KEYS: u64 = 1000;
/// One change each.
const CHANGE_EVERY: Duration = Duration::from_millis(1);
/// Looks between two looks at the clock.
const BATCH: u64 = 1000;

type Key = [u8; 8];
type Map = BTreeMap<Key, Key>;

fn key(number: u64) -> Key {
    number.to_be_bytes()
}

fn full_map() -> Map {
    (0..KEYS).map(|number| (key(number), key(number))).collect()
}

/// What this thread has had of a processor. No row waits for anybody, so this is what a look costs, whatever else the machine does.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Runs `look` with random keys for a round, while `change` is called 1,000 times a second or never; tells nanoseconds for each look.
fn round(
    length: Duration,
    changes: bool,
    mut change: impl FnMut(Key, Key) + Send,
    mut look: impl FnMut(Key) -> u64,
) -> f64 {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        if changes {
            let done = &done;
            scope.spawn(move || {
                let (mut random, mut next) = (7, Instant::now());
                while !done.load(Ordering::Relaxed) {
                    let dice = next_random(&mut random);
                    change(key(dice % KEYS), key(dice));
                    // Keeps the rate, unless the change itself takes too long.
                    next += CHANGE_EVERY;
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            });
        }
        let (mut random, mut sum, mut count) = (1u64, 0u64, 0u64);
        let (started, cpu) = (Instant::now(), cpu_time());
        while started.elapsed() < length {
            for _ in 0..BATCH {
                // Cheap, and the same for all rows.
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                sum = sum.wrapping_add(look(key((random >> 33) % KEYS)));
            }
            count += BATCH;
        }
        let each = (cpu_time() - cpu).as_nanos() as f64 / count as f64;
        done.store(true, Ordering::Relaxed);
        black_box(sum);
        each
    })
}

/// What a change is to the tables that are kept twice.
#[derive(Clone, Copy)]
struct Set(Key, Key);

#[derive(Clone, Default)]
struct Doubled(Map);

impl hotread::HotReadState for Doubled {
    type Action = Set;

    fn apply_update(&mut self, Set(key, value): &Set) {
        self.0.insert(*key, *value);
    }
}

impl Absorb<Set> for Doubled {
    fn absorb_first(&mut self, Set(key, value): &mut Set, _: &Self) {
        self.0.insert(*key, *value);
    }

    fn sync_with(&mut self, first: &Self) {
        self.0.clone_from(&first.0);
    }
}

fn number(value: &[u8]) -> u64 {
    value.first().map_or(0, |byte| u64::from(*byte))
}

fn database() -> Database {
    let db = Database::builder().durability(Durability::None).in_memory().expect("a store in memory");
    let mut txn = db.begin_write().expect("the turn");
    let mut table = txn.tree("table").expect("the tree");
    (0..KEYS).for_each(|number| table.insert(key(number), key(number)).expect("an insert"));
    txn.commit().expect("a commit");
    db
}

fn set(db: &Database, key: Key, value: Key) {
    let mut txn = db.begin_write().expect("the turn");
    txn.tree("table").expect("the tree").insert(key, value).expect("an insert");
    txn.commit().expect("a commit");
}

/// One way to look, measured for a round; with changes or without.
struct Row {
    name: &'static str,
    run: fn(Duration, bool) -> f64,
}

const FLOOR: &str = "a plain atomic load and a comparison";
const CURRENT: &str = "hot_reader().current()";
const OURS: &str = "hot_reader().tree().get()";

/// Puts a table with one changed value in the place of the one that is there.
fn swap_in(table: &ArcSwap<Map>, key: Key, value: Key) {
    let mut next = Map::clone(&table.load());
    next.insert(key, value);
    table.store(Arc::new(next));
}

const ROWS: [Row; 10] = [
    Row {
        name: "(the loop itself)",
        run: |length, changes| round(length, changes, |_, _| {}, |key| number(&black_box(key))),
    },
    Row {
        name: FLOOR,
        run: |length, changes| {
            let cell = Arc::new(AtomicU64::new(0));
            let mut seen = 0;
            round(
                length,
                changes,
                |_, _| {
                    cell.fetch_add(1, Ordering::Release);
                },
                |key| {
                    let now = cell.load(Ordering::Acquire);
                    if now != seen {
                        seen = black_box(now);
                    }
                    number(&black_box(key))
                },
            )
        },
    },
    Row {
        name: CURRENT,
        run: |length, changes| {
            let db = database();
            let mut reader = db.hot_reader();
            round(
                length,
                changes,
                |key, value| set(&db, key, value),
                |key| {
                    black_box(reader.current().expect("a snapshot"));
                    number(&black_box(key))
                },
            )
        },
    },
    Row {
        name: OURS,
        run: |length, changes| {
            let db = database();
            let mut reader = db.hot_reader();
            round(
                length,
                changes,
                |key, value| set(&db, key, value),
                |key| number(reader.tree("table").expect("the tree").get(key).expect("a look").unwrap_or_default()),
            )
        },
    },
    Row {
        name: "snapshot() + tree() + get() + drop",
        run: |length, changes| {
            let db = database();
            round(
                length,
                changes,
                |key, value| set(&db, key, value),
                |key| {
                    let snapshot = db.snapshot().expect("a snapshot");
                    let table = snapshot.tree("table").expect("the tree");
                    number(table.get(key).expect("a look").unwrap_or_default())
                },
            )
        },
    },
    Row {
        name: "arc-swap, load() + BTreeMap::get",
        run: |length, changes| {
            let table = ArcSwap::from_pointee(full_map());
            round(
                length,
                changes,
                |key, value| swap_in(&table, key, value),
                |key| number(table.load().get(&key).map_or(&[], |value| value)),
            )
        },
    },
    Row {
        name: "arc-swap, Cache + BTreeMap::get",
        run: |length, changes| {
            let table = ArcSwap::from_pointee(full_map());
            let mut cache = Cache::new(&table);
            round(
                length,
                changes,
                |key, value| swap_in(&table, key, value),
                |key| number(cache.load().get(&key).map_or(&[], |value| value)),
            )
        },
    },
    Row {
        name: "hotread, current() + BTreeMap::get",
        run: |length, changes| {
            let table = hotread::HotRead::new(Doubled(full_map()));
            let mut reader = table.create_handle();
            round(
                length,
                changes,
                |key, value| {
                    table.queue_update(Set(key, value));
                },
                |key| number(reader.current().0.get(&key).map_or(&[], |value| value)),
            )
        },
    },
    Row {
        name: "left-right, enter() + BTreeMap::get",
        run: |length, changes| {
            let (mut write, read) = left_right::new::<Doubled, Set>();
            for number in 0..KEYS {
                write.append(Set(key(number), key(number)));
            }
            write.publish();
            round(
                length,
                changes,
                |key, value| {
                    write.append(Set(key, value)).publish();
                },
                |key| number(read.enter().expect("the writer lives").0.get(&key).map_or(&[], |value| value)),
            )
        },
    },
    Row {
        name: "evmap, get_one() (a hash map)",
        run: |length, changes| {
            let (mut write, read) = evmap::new::<Key, Key>();
            for number in 0..KEYS {
                write.insert(key(number), key(number));
            }
            write.publish();
            round(
                length,
                changes,
                |key, value| {
                    write.update(key, value).publish();
                },
                |key| number(read.get_one(&key).as_deref().map_or(&[], |value| value)),
            )
        },
    },
];

/// Prints the table of looks, and tells the goals.
pub fn measure(effort: Effort) -> Vec<Goal> {
    let mut samples = vec![[Vec::new(), Vec::new()]; ROWS.len()];
    for _ in 0..effort.rounds {
        for (row, samples) in ROWS.iter().zip(&mut samples) {
            for changes in [false, true] {
                samples[usize::from(changes)].push((row.run)(effort.hot_round, changes));
            }
        }
    }
    let found: Vec<[f64; 2]> = samples.into_iter().map(|both| both.map(median)).collect();
    let mut grid = Grid::new();
    grid.set_header(["one look, nanoseconds of its thread", "nothing changes", "1,000 changes a second"]);
    for (row, found) in ROWS.iter().zip(&found) {
        grid.add_row([row.name.to_owned(), format!("{:.1}", found[0]), format!("{:.1}", found[1])]);
    }
    println!("{grid}");
    let of = |name: &str| found[ROWS.iter().position(|row| row.name == name).expect("a row of that name")];
    let over = of(CURRENT)[0] - of(FLOOR)[0];
    vec![Goal {
        what: "current(), nothing changed, within 3 ns of the floor".to_owned(),
        found: format!("{over:+.1} ns"),
        is_met: over <= 3.0,
    }]
}
