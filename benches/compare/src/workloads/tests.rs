//! The checks of the workloads must notice an engine that answers wrongly.

use super::{Workload, basic::Basic, held::HeldViews, long::Long, ycsb::Ycsb};
use crate::context::{Context, Plan, Samples};
use crate::engine::{Durability, Engine, Kind, Reader, Setup, View};
use anyhow::Result;
use indicatif::ProgressBar;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The ways to lie, by number, as they are a parameter of a type.
const HONEST: u8 = 0;
const LOSES_AN_ENTRY: u8 = 1;
const CHANGES_A_VALUE: u8 = 2;
const FINDS_WHAT_IS_NOT_THERE: u8 = 3;
const IGNORES_REMOVALS: u8 = 4;
const VIEWS_MOVE_ON: u8 = 5;
const LOSES_SINGLE_COMMITS: u8 = 6;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A map in memory that outlives its engine, as a file would, and lies in one way.
struct Liar<const HOW: u8>(&'static Mutex<Map>);

/// The stores by folder.
fn stores() -> &'static Mutex<BTreeMap<std::path::PathBuf, &'static Mutex<Map>>> {
    static STORES: OnceLock<Mutex<BTreeMap<std::path::PathBuf, &'static Mutex<Map>>>> = OnceLock::new();
    STORES.get_or_init(Mutex::default)
}

impl<const HOW: u8> Liar<HOW> {
    fn with<T>(&self, work: impl FnOnce(&mut Map) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<const HOW: u8> Engine for Liar<HOW> {
    const KIND: Kind = Kind::Pentimento;
    type ManyViews = Liar<HOW>;
    type View<'a> = LyingView<HOW>;

    fn open(dir: &Path, _: &Setup) -> Result<Self> {
        let mut stores = stores().lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Liar(stores.entry(dir.to_owned()).or_insert_with(|| Box::leak(Box::default()))))
    }

    fn put_one(&self, key: &[u8], value: &[u8], _: Durability) -> Result<()> {
        if HOW != LOSES_SINGLE_COMMITS {
            self.with(|map| map.insert(key.to_vec(), value.to_vec()));
        }
        Ok(())
    }

    fn put_all<'e>(&self, entries: impl ExactSizeIterator<Item = (&'e [u8], &'e [u8])>, _: Durability) -> Result<()> {
        self.with(|map| map.extend(entries.map(|(key, value)| (key.to_vec(), value.to_vec()))));
        Ok(())
    }

    fn remove_all<'e>(&self, keys: impl ExactSizeIterator<Item = &'e [u8]>, _: Durability) -> Result<()> {
        let keys: BTreeSet<&[u8]> = keys.collect();
        if HOW != IGNORES_REMOVALS {
            self.with(|map| map.retain(|key, _| !keys.contains(key.as_slice())));
        }
        Ok(())
    }

    fn view(&self) -> Result<LyingView<HOW>> {
        let mut map = self.with(|map| map.clone());
        match HOW {
            LOSES_AN_ENTRY => drop(map.pop_last()),
            CHANGES_A_VALUE => map.values_mut().take(1).for_each(|value| value[0] ^= 1),
            _ => {}
        }
        Ok(LyingView { map, now: self.0 })
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    fn compact(self, _: &Path) -> Result<bool> {
        Ok(true)
    }

    fn close(self) -> Result<()> {
        Ok(())
    }
}

struct LyingView<const HOW: u8> {
    map: Map,
    now: &'static Mutex<Map>,
}

struct LyingReader<const HOW: u8>(Map);

impl<const HOW: u8> View for LyingView<HOW> {
    type Reader<'r> = LyingReader<HOW>;

    fn reader(&self) -> Result<LyingReader<HOW>> {
        let now = || self.now.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(LyingReader(if HOW == VIEWS_MOVE_ON { now() } else { self.map.clone() }))
    }
}

impl<const HOW: u8> Reader for LyingReader<HOW> {
    fn get<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        let value = self.0.get(key).map(Vec::as_slice);
        let lie = (HOW == FINDS_WHAT_IS_NOT_THERE).then_some(b"here you are".as_slice());
        Ok(value.or(lie).map(read))
    }

    fn forward(&self, from: &[u8], limit: usize, mut each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        Ok(self.0.range(from.to_vec()..).take(limit).map(|(key, value)| each(key, value)).count())
    }

    fn backward(&self, mut each: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        Ok(self.0.iter().rev().map(|(key, value)| each(key, value)).count())
    }
}

/// One turn of a liar; the error that it got.
fn outcome<W: Workload, const HOW: u8>(only: &[&str]) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let plan = Plan {
        entries: 2_000,
        small_entries: 2_000,
        rounds: 1,
        engines: vec![Kind::Pentimento],
        only: only.iter().map(|name| (*name).to_owned()).collect(),
        quick: true,
        memory: 1 << 30,
    };
    let mut context = Context {
        plan: &plan,
        kind: Kind::Pentimento,
        dir: dir.path(),
        round: 0,
        progress: &ProgressBar::hidden(),
        cache: &mut BTreeMap::new(),
        samples: &mut Samples::new(),
    };
    W::run::<Liar<HOW>>(&mut context)
}

fn assert_caught<W: Workload, const HOW: u8>(only: &[&str]) {
    let error = outcome::<W, HOW>(only).expect_err("the lie must be noticed");
    assert!(error.to_string().contains("it must be"), "{error:#}");
}

#[test]
fn an_honest_engine_passes() {
    outcome::<Basic, HONEST>(&["load", "scan", "remove"]).expect("an honest engine");
    outcome::<Long, HONEST>(&["long"]).expect("an honest engine");
    outcome::<HeldViews, HONEST>(&["held"]).expect("an honest engine");
}

#[test]
fn a_lost_entry_is_noticed() {
    assert_caught::<Basic, LOSES_AN_ENTRY>(&["load"]);
    assert_caught::<Ycsb, LOSES_AN_ENTRY>(&["ycsb.c"]);
}

#[test]
fn a_changed_value_is_noticed() {
    assert_caught::<Basic, CHANGES_A_VALUE>(&["load"]);
    assert_caught::<Long, CHANGES_A_VALUE>(&["long"]);
}

#[test]
fn an_entry_out_of_nothing_is_noticed() {
    assert_caught::<Basic, FINDS_WHAT_IS_NOT_THERE>(&["load"]);
}

#[test]
fn a_removal_that_does_nothing_is_noticed() {
    assert_caught::<Basic, IGNORES_REMOVALS>(&["remove"]);
}

#[test]
fn commits_that_leave_nothing_are_noticed() {
    assert_caught::<Basic, LOSES_SINGLE_COMMITS>(&["commit"]);
}

#[test]
fn views_that_move_on_are_noticed() {
    assert_caught::<HeldViews, VIEWS_MOVE_ON>(&["held"]);
}
