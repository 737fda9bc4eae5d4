//! The checker bites: planted faults are reported, and what it does not report does no harm.

mod common;

use common::{Random, Store};
use pentimento_btree::{PageSummary, Problem, ReadPages, WritePages, check, summarize_page};
use pentimento_storage::PageId;

const CAPACITY: usize = 512;

fn sample() -> Store {
    let mut store = Store::new(CAPACITY);
    let mut random = Random(5);
    for n in 0..300u32 {
        let key = format!("key {:06}", random.below(1_000_000));
        let len = if n % 40 == 0 { 600 } else { random.below(40) };
        store.tree_mut().insert(key.as_bytes(), &vec![3; len]).unwrap();
    }
    for _ in 0..60 {
        let victim = store.tree().range(format!("key {:06}", random.below(1_000_000)).as_bytes()..).unwrap().next();
        if let Some(entry) = victim {
            let key = entry.unwrap().0.into_vec();
            store.tree_mut().remove(&key).unwrap();
        }
    }
    store.check(CAPACITY);
    store
}

fn problems(store: &Store) -> Vec<(PageId, Problem)> {
    let mut found = Vec::new();
    check(&store.pages, store.root, &mut |finding| found.push((finding.page, finding.problem)));
    found
}

fn first_page(store: &Store, wanted: impl Fn(&PageSummary<'_>) -> bool) -> (PageId, Vec<u8>) {
    let id = store.pages.ids().find(|id| wanted(&summarize_page(store.pages.page(*id).unwrap()))).unwrap();
    (id, store.pages.page(id).unwrap().to_vec())
}

fn is_leaf(summary: &PageSummary<'_>) -> bool {
    matches!(summary, PageSummary::Node { level: 0, .. })
}

/// Changes one page and expects one kind of finding there.
#[track_caller]
fn plant(
    wanted: impl Fn(&PageSummary<'_>) -> bool,
    change: impl Fn(&mut Vec<u8>),
    expected: impl Fn(&Problem) -> bool,
) {
    let mut store = sample();
    let (id, mut body) = first_page(&store, wanted);
    change(&mut body);
    store.pages.overwrite(id, &body).unwrap();
    let found = problems(&store);
    assert!(found.iter().any(|(page, problem)| *page == id && expected(problem)), "{found:?}");
}

/// Where the arrays of a node begin.
fn heads_at(body: &[u8]) -> usize {
    16 + usize::from(u16::from_le_bytes([body[2], body[3]])).next_multiple_of(4)
}

#[test]
fn planted_faults_are_reported() {
    plant(is_leaf, |body| body[0] = 1, |p| matches!(p, Problem::Level { expected: 0, found: 1 }));
    plant(is_leaf, |body| body[0] = 77, |p| matches!(p, Problem::Malformed(_)));
    plant(is_leaf, |body| body[1] = 1, |p| matches!(p, Problem::Malformed(_)));
    plant(is_leaf, |body| body[8] ^= 4, |p| matches!(p, Problem::Garbage { .. }));
    plant(is_leaf, |body| body.push(0), |p| matches!(p, Problem::Garbage { .. }));
    plant(is_leaf, |body| body.truncate(body.len() - 1), |p| matches!(p, Problem::Entry { .. }));
    plant(is_leaf, |body| (body[4], body[5]) = (0, 0), |p| matches!(p, Problem::Empty));
    let head = |body: &mut Vec<u8>| {
        let at = heads_at(body);
        body[at] ^= 1;
    };
    plant(is_leaf, head, |p| matches!(p, Problem::Head { index: 0 }));
    let exchange = |body: &mut Vec<u8>| {
        let cap = usize::from(u16::from_le_bytes([body[6], body[7]]));
        let heads = heads_at(body);
        let offsets = heads + 4 * cap;
        (0..4).for_each(|i| body.swap(heads + i, heads + 4 + i));
        (0..2).for_each(|i| body.swap(offsets + i, offsets + 2 + i));
    };
    plant(is_leaf, exchange, |p| matches!(p, Problem::Order { index: 1 }));
    let double = |body: &mut Vec<u8>| {
        let cap = usize::from(u16::from_le_bytes([body[6], body[7]]));
        let offsets = heads_at(body) + 4 * cap;
        (0..2).for_each(|i| body[offsets + i] = body[offsets + 2 + i]);
    };
    plant(is_leaf, double, |p| matches!(p, Problem::Overlap { .. }));
    let prefix = |body: &mut Vec<u8>| body[16] = 0xFF;
    let has_prefix =
        |s: &PageSummary<'_>| matches!(s, PageSummary::Node { level: 0, prefix, .. } if !prefix.is_empty());
    plant(has_prefix, prefix, |p| matches!(p, Problem::Fence { .. }));
    let is_large = |s: &PageSummary<'_>| matches!(s, PageSummary::LargeValue { .. });
    plant(is_large, |body| body.push(0), |p| matches!(p, Problem::Malformed(_)));
    plant(is_large, |body| body[3] = 1, |p| matches!(p, Problem::Malformed(_)));
    plant(is_large, |body| body[0] = 0, |p| matches!(p, Problem::Malformed(_)));
    let twice = |body: &mut Vec<u8>| {
        let cap = usize::from(u16::from_le_bytes([body[6], body[7]]));
        let children = heads_at(body) + 4 * cap;
        body.copy_within(12..16, children);
    };
    let mut store = sample();
    let (id, mut body) = first_page(&store, |s| matches!(s, PageSummary::Node { level: 1, .. }));
    twice(&mut body);
    store.pages.overwrite(id, &body).unwrap();
    assert!(problems(&store).iter().any(|(_, problem)| *problem == Problem::MetTwice));
    let mut store = sample();
    let (id, _) = first_page(&store, is_leaf);
    store.pages.free(id).unwrap();
    assert!(matches!(problems(&store)[..], [(page, Problem::Unreadable(_))] if page == id));
}

#[test]
fn damage_in_one_place_does_not_hide_damage_in_another() {
    let mut store = sample();
    let leaves: Vec<_> =
        store.pages.ids().filter(|id| is_leaf(&summarize_page(store.pages.page(*id).unwrap()))).collect();
    for id in &leaves {
        let mut body = store.pages.page(*id).unwrap().to_vec();
        body[1] = 9;
        store.pages.overwrite(*id, &body).unwrap();
    }
    assert_eq!(problems(&store).len(), leaves.len());
}

/// A flipped byte that the checker does not see has changed a value, a key that still fits where it is, or bytes
/// that nobody uses: the tree still agrees with itself.
#[test]
fn what_is_not_reported_does_no_harm() {
    let store = sample();
    let entries = store.tree().iter().unwrap().count();
    let mut reported = 0;
    let mut silent = 0;
    for id in store.pages.ids().collect::<Vec<_>>() {
        let body = store.pages.page(id).unwrap().to_vec();
        for at in 0..body.len() {
            for mask in [0x01, 0x80, 0xFF] {
                let mut damaged = Store { pages: store.pages.clone(), root: store.root };
                let mut bytes = body.clone();
                bytes[at] ^= mask;
                damaged.pages.overwrite(id, &bytes).unwrap();
                if !problems(&damaged).is_empty() {
                    reported += 1;
                    continue;
                }
                silent += 1;
                let all: Vec<_> = damaged.tree().iter().unwrap().map(Result::unwrap).collect();
                assert_eq!(all.len(), entries, "page {id}, byte {at}");
                for (key, value) in all {
                    assert_eq!(damaged.tree().get(&key).unwrap(), Some(value), "page {id}, byte {at}");
                }
            }
        }
    }
    assert!(reported > 10_000 && silent > 1_000, "{reported} reported, {silent} silent");
}
