//! The storage layer against the dumbest model: for every snapshot a whole copy of the map from page to contents.
//!
//! Strategy: random transactions (new pages, changes, deaths, registers, savepoints, aborts, spilling), random snapshots held and
//! dropped in any order, named snapshots made, opened, dropped and replaced in any order, checkpoints in between, reopening from the bytes of the medium.
//! Invariants: every held or named snapshot reads exactly its copy, at all times; the checker has no finding; after reopening the newest state is the last
//! durable one, and the names are what they were; without any the file keeps nothing of them.

mod shared;

use pentimento_storage::{MemoryMedium, Options, PageId, Patience, Pin, Store, WriteSet};
use quickcheck::{Arbitrary, Gen, QuickCheck};
use shared::{assert_clean, create};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Change {
    New(u16),
    Set(u8, u16),
    Free(u8),
    NewRegister(u32),
    SetRegister(u8, u32),
    Savepoint,
    RollBack,
}

#[derive(Clone, Debug)]
enum Step {
    Transaction {
        changes: Vec<Change>,
        commit: bool,
        strict: bool,
    },
    Pin,
    Unpin(u8),
    Checkpoint,
    Reopen,
    Maintain,
    Name,
    /// Drops one name; with `true` it is given anew in the same step.
    DropName(u8, bool),
    OpenNamed(u8),
}

impl Arbitrary for Change {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 12 {
            0..3 => Change::New(u16::arbitrary(g) % 20_000),
            3..7 => Change::Set(u8::arbitrary(g), u16::arbitrary(g) % 9_000),
            7 => Change::Free(u8::arbitrary(g)),
            8 => Change::NewRegister(u32::arbitrary(g)),
            9 => Change::SetRegister(u8::arbitrary(g), u32::arbitrary(g)),
            10 => Change::Savepoint,
            _ => Change::RollBack,
        }
    }
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 23 {
            0..8 => Step::Transaction {
                changes: Vec::arbitrary(g),
                commit: !u8::arbitrary(g).is_multiple_of(5),
                strict: u8::arbitrary(g).is_multiple_of(4),
            },
            8..11 => Step::Pin,
            11..13 => Step::Unpin(u8::arbitrary(g)),
            13 => Step::Checkpoint,
            14 => Step::Reopen,
            15 => Step::Maintain,
            16..19 => Step::Name,
            19..21 => Step::DropName(u8::arbitrary(g), bool::arbitrary(g)),
            _ => Step::OpenNamed(u8::arbitrary(g)),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Content {
    Page(Vec<u8>),
    Register(u64),
}

type State = BTreeMap<PageId, Content>;

fn assert_reads(read: impl Fn(PageId) -> Option<Content>, state: &State, next: u32) {
    for id in (0..next).map(PageId) {
        assert_eq!(read(id), state.get(&id).cloned(), "{id:?}");
    }
}

fn read_pin(pin: &Pin, id: PageId) -> Option<Content> {
    match pin.register(id) {
        Ok(value) => Some(Content::Register(value)),
        Err(_) => pin.page(id).ok().map(|body| Content::Page(body.to_vec())),
    }
}

fn pick(state: &State, which: u8, register: bool) -> Option<PageId> {
    let all: Vec<PageId> =
        state.iter().filter(|(_, c)| matches!(c, Content::Register(_)) == register).map(|(id, _)| *id).collect();
    (!all.is_empty()).then(|| all[which as usize % all.len()])
}

fn content(len: u16, seed: u16) -> Vec<u8> {
    (0..len).map(|i| (i ^ seed.wrapping_mul(31)) as u8).collect()
}

fn apply(txn: &mut WriteSet, changes: &[Change], state: &mut State) {
    let mut savepoints = Vec::new();
    for (number, change) in changes.iter().enumerate() {
        match *change {
            Change::New(len) => {
                let body = content(len, number as u16);
                let id = txn.allocate(PageId::NONE, body.len()).unwrap();
                let page = txn.page_mut(id, body.len()).unwrap();
                page.body[..body.len()].copy_from_slice(&body);
                *page.len = body.len();
                assert!(state.insert(id, Content::Page(body)).is_none(), "a number in use was handed out");
            }
            Change::Set(which, len) => {
                let Some(id) = pick(state, which, false) else { continue };
                let body = content(len, number as u16 + 7);
                let page = txn.page_mut(id, body.len()).unwrap();
                page.body[..body.len()].copy_from_slice(&body);
                *page.len = body.len();
                state.insert(id, Content::Page(body));
            }
            Change::Free(which) => {
                let Some(id) = pick(state, which, which.is_multiple_of(5)) else { continue };
                txn.free(id).unwrap();
                state.remove(&id);
            }
            Change::NewRegister(value) => {
                let id = txn.allocate_register(u64::from(value)).unwrap();
                assert!(state.insert(id, Content::Register(u64::from(value))).is_none());
            }
            Change::SetRegister(which, value) => {
                let Some(id) = pick(state, which, true) else { continue };
                txn.set_register(id, u64::from(value)).unwrap();
                state.insert(id, Content::Register(u64::from(value)));
            }
            Change::Savepoint => savepoints.push((txn.savepoint(), state.clone())),
            Change::RollBack => {
                let Some(index) = savepoints.len().checked_sub(1 + number % 2) else { continue };
                let (savepoint, saved) = savepoints[index].clone();
                assert!(txn.rollback_to(savepoint));
                savepoints.truncate(index + 1);
                *state = saved;
            }
        }
        for id in state.keys() {
            let seen = match txn.register(*id) {
                Ok(value) => Content::Register(value),
                Err(_) => Content::Page(txn.page(*id).unwrap().to_vec()),
            };
            assert_eq!(Some(&seen), state.get(id), "the transaction sees its own changes, {id:?}");
        }
    }
}

fn run(steps: Vec<Step>, options: Options) {
    let (medium, mut store) = create(64 << 20, options);
    let mut now = State::new();
    let mut durable = State::new();
    // What readers may see: everything up to the last commit before a strict one that is not durable.
    let mut visible = State::new();
    let mut strict_waits = false;
    let mut pins: Vec<(Pin, State)> = Vec::new();
    let mut named: Vec<(String, State)> = Vec::new();
    let mut names_given = 0;
    let mut next = 0;
    for step in steps {
        match step {
            Step::Transaction { changes, commit, strict } => {
                let mut txn = store.begin(Patience::None).unwrap().unwrap();
                let mut state = now.clone();
                apply(&mut txn, &changes, &mut state);
                next = next.max(state.keys().last().map_or(0, |id| id.0 + 1));
                if commit {
                    let changed = txn.touched() > 0;
                    let at = txn.install(strict);
                    assert_eq!(at, store.installed());
                    now = state;
                    strict_waits |= strict && changed;
                    if !strict_waits {
                        visible = now.clone();
                    }
                }
            }
            Step::Pin => pins.push((store.pin(), visible.clone())),
            Step::Unpin(which) => {
                if !pins.is_empty() {
                    pins.swap_remove(which as usize % pins.len());
                }
            }
            Step::Checkpoint => {
                store.checkpoint().unwrap();
                (durable, visible, strict_waits) = (now.clone(), now.clone(), false);
                assert_eq!(store.durable(), store.published());
            }
            Step::Name => {
                let name = format!("name {names_given}");
                names_given += 1;
                let at = store.snapshot_named(&name, 7).unwrap();
                assert_eq!((at, store.durable()), (store.installed(), store.installed()));
                assert!(store.snapshot_named(&name, 7).is_err(), "a name is given once");
                (durable, visible, strict_waits) = (now.clone(), now.clone(), false);
                named.push((name, now.clone()));
            }
            Step::DropName(_, _) | Step::OpenNamed(_) if named.is_empty() => {
                assert!(store.drop_snapshot("no name").is_err() && store.open_snapshot("no name").is_err());
            }
            Step::DropName(which, again) => {
                let (name, _) = named.remove(which as usize % named.len());
                if again {
                    store.rename_snapshots(Some((&name, 8)), &[&name]).unwrap();
                    (durable, visible, strict_waits) = (now.clone(), now.clone(), false);
                    named.push((name, now.clone()));
                } else {
                    store.drop_snapshot(&name).unwrap();
                    assert!(store.open_snapshot(&name).is_err());
                }
            }
            Step::OpenNamed(which) => {
                let (name, state) = &named[which as usize % named.len()];
                pins.push((store.open_snapshot(name).unwrap(), state.clone()));
            }
            Step::Maintain => assert_eq!(store.maintain().waiting, 0),
            Step::Reopen => {
                pins.clear();
                drop(store);
                let copy = MemoryMedium::from_bytes(&medium.to_bytes(), 1);
                let read_only = Store::open(Box::new(copy), {
                    let mut options = options;
                    options.read_only = true;
                    options
                })
                .unwrap();
                assert_reads(|id| read_pin(&read_only.pin(), id), &durable, next);
                assert_names(&read_only, &named, next);
                store = Store::open(Box::new(medium.clone()), options).unwrap();
                (now, visible, strict_waits) = (durable.clone(), durable.clone(), false);
            }
        }
        for (pin, state) in &pins {
            assert_reads(|id| read_pin(pin, id), state, next);
        }
        assert_names(&store, &named, next);
    }
    assert_clean(&store);
    for (pin, state) in &pins {
        assert_reads(|id| read_pin(pin, id), state, next);
    }
    pins.clear();
    assert_clean(&store);
    store.close().unwrap();
    assert_clean(&store);
    assert_names(&store, &named, next);
    drop(store);
    let store = Store::open(Box::new(medium.clone()), options).unwrap();
    assert_clean(&store);
    assert_costs(&store);
    for info in store.named_snapshots() {
        store.drop_snapshot(&info.name).unwrap();
    }
    assert_clean(&store);
    store.close().unwrap();
    assert_clean(&store);
    assert_eq!(store.stats().slots_named, 0, "without names nothing is kept for any");
    assert_eq!(store.stats().versions_retained, 0, "without readers nothing old is kept after a close");
    drop(store);
    let store = Store::open(Box::new(medium), options).unwrap();
    assert_reads(|id| read_pin(&store.pin(), id), &now, next);
    assert_clean(&store);
}

/// The names are these, in order, and each shows its copy.
fn assert_names(store: &Arc<Store>, named: &[(String, State)], next: u32) {
    let infos = store.named_snapshots();
    assert!(infos.iter().map(|info| &*info.name).eq(named.iter().map(|(name, _)| &**name)), "{infos:?}");
    for (name, state) in named {
        let pin = store.open_snapshot(name).unwrap();
        assert_reads(|id| read_pin(&pin, id), state, next);
    }
}

/// What dropping a name is said to free is what it frees.
fn assert_costs(store: &Arc<Store>) {
    for info in store.named_snapshots().into_iter().step_by(3) {
        store.maintain();
        let alone = store.named_snapshots().into_iter().find(|other| other.name == info.name).unwrap().bytes_alone;
        let before = store.stats();
        // Given again at once, so that the list keeps its length; but at another timestamp, unless it is the newest.
        let is_newest = store.rename_snapshots(Some((&info.name, 9)), &[&info.name]).unwrap() == info.at;
        store.maintain();
        let after = store.stats();
        let freed = (before.slots_retained + before.slots_named) - (after.slots_retained + after.slots_named);
        assert_eq!(freed * 2048, if is_newest { 0 } else { alone }, "{info:?}");
        store.rename_snapshots(None, &[&info.name]).unwrap();
    }
}

/// How many cases to try; `PENTIMENTO_CASES` multiplies the default.
fn cases(default: u64) -> u64 {
    std::env::var("PENTIMENTO_CASES").ok().and_then(|factor| factor.parse::<u64>().ok()).unwrap_or(1) * default
}

#[test]
fn snapshots_read_their_moment() {
    fn property(steps: Vec<Step>) -> bool {
        run(steps, Options::default());
        true
    }
    QuickCheck::new().tests(cases(80)).quickcheck(property as fn(Vec<Step>) -> bool);
}

#[test]
fn snapshots_read_their_moment_while_transactions_spill() {
    fn property(steps: Vec<Step>) -> bool {
        let mut options = Options::default();
        options.page_size = 4096;
        options.spill = 10_000;
        run(steps, options);
        true
    }
    QuickCheck::new().tests(cases(80)).quickcheck(property as fn(Vec<Step>) -> bool);
}
