//! Moving versions to lower slots: only downwards, only what still lies where it was seen, and everything is given back if it comes to nothing.

mod shared;

use pentimento_storage::{Options, PageId, Placed, Run, Store, WriteSet};
use shared::{Shared, assert_clean, begin, commit, create};
use std::sync::Arc;

const CAPACITY: usize = 64 << 20;

/// A page of `len` bytes that tell which it is.
fn make(set: &mut WriteSet, seed: u8, len: usize) -> PageId {
    let id = set.allocate(PageId::NONE, len).unwrap();
    fill(set, id, seed, len);
    id
}

fn fill(set: &mut WriteSet, id: PageId, seed: u8, len: usize) {
    let page = set.page_mut(id, len).unwrap();
    page.body[..len].iter_mut().zip(0..).for_each(|(byte, at): (_, usize)| *byte = seed ^ at as u8);
    *page.len = len;
}

#[track_caller]
fn assert_holds(store: &Arc<Store>, id: PageId, seed: u8, len: usize) {
    let pin = store.pin();
    let body = pin.page(id).unwrap();
    assert!(body.len() == len && body.iter().zip(0..).all(|(byte, at): (_, usize)| *byte == seed ^ at as u8), "{id}");
}

/// Pages with a hole before the last of them, which has `last` bytes; the hole has as many and one page more.
fn with_hole(last: usize) -> (Shared, Arc<Store>, Vec<PageId>) {
    let (medium, store) = create(CAPACITY, Options::default());
    let mut ids = Vec::new();
    commit(&store, |set| ids.push(make(set, 1, 100)));
    store.checkpoint().unwrap();
    commit(&store, |set| ids.push(make(set, 2, last)));
    commit(&store, |set| ids.push(make(set, 3, 5000)));
    store.checkpoint().unwrap();
    commit(&store, |set| ids.push(make(set, 4, last)));
    store.checkpoint().unwrap();
    commit(&store, |set| {
        set.free(ids[1]).unwrap();
        set.free(ids[2]).unwrap();
    });
    store.checkpoint().unwrap();
    store.maintain();
    (medium, store, ids)
}

fn highest(store: &Arc<Store>) -> Placed {
    store.tail(0, 1, None).movable[0]
}

fn assert_opens_as_it_is(medium: &Shared, store: &Arc<Store>, id: PageId, seed: u8, len: usize) {
    assert_clean(store);
    assert_holds(store, id, seed, len);
    let opened = medium.open_copy(Options::default()).unwrap();
    assert_clean(&opened);
    assert_holds(&opened, id, seed, len);
}

#[test]
fn short_and_long_versions_move_down_and_the_tail_is_cut() {
    for len in [5000, 8000, 300_000, 3_000_000] {
        let (medium, store, ids) = with_hole(len);
        let before = store.extent();
        let placed = highest(&store);
        assert_eq!((placed.id, placed.is_long()), (ids[3], len > 256 << 10));
        if placed.is_long() {
            let copied = store.copy_down(placed).unwrap().expect("there is room");
            assert_clean(&store);
            let mut set = begin(&store);
            assert_eq!(set.adopt(copied).unwrap().pages, 1);
            let _ = set.install(false);
        } else {
            let mut set = begin(&store);
            assert_eq!(set.move_down(&[placed]).unwrap().pages, 1);
            let _ = set.install(false);
        }
        assert_opens_as_it_is(&medium, &store, ids[3], 4, len);
        store.checkpoint().unwrap();
        store.maintain();
        store.cut_free_tail(true);
        assert_opens_as_it_is(&medium, &store, ids[3], 4, len);
        let after = store.extent();
        assert!(after.end < before.end && highest(&store).run.start < placed.run.start, "{before:?} {after:?}");
        // Again and again, until there is nothing free below: never up.
        let mut from = highest(&store).run.start;
        loop {
            let mut set = begin(&store);
            if set.move_down(&[highest(&store)]).unwrap().pages == 0 {
                break;
            }
            let _ = set.install(false);
            store.checkpoint().unwrap();
            store.maintain();
            assert!(highest(&store).run.start < from);
            from = highest(&store).run.start;
        }
        assert_opens_as_it_is(&medium, &store, ids[3], 4, len);
    }
}

#[test]
fn what_comes_to_nothing_is_given_back() {
    let (medium, store, ids) = with_hole(300_000);
    let placed = highest(&store);
    let used = store.extent().used;
    drop(store.copy_down(placed).unwrap().unwrap());
    assert_eq!(store.extent().used, used);
    let mut set = begin(&store);
    set.move_down(&[placed]).unwrap();
    assert!(store.extent().used > used);
    drop(set);
    assert_eq!(store.extent().used, used);

    // The page changes while it is copied, or moves, or dies.
    let copied = store.copy_down(placed).unwrap().unwrap();
    commit(&store, |set| fill(set, ids[3], 9, 300_000));
    let mut set = begin(&store);
    assert_eq!(set.adopt(copied).unwrap().pages, 0);
    assert_eq!(set.move_down(&[placed]).unwrap().pages, 0);
    drop(set);
    assert!(store.copy_down(placed).unwrap().is_none());
    store.checkpoint().unwrap();
    store.maintain();
    assert_opens_as_it_is(&medium, &store, ids[3], 9, 300_000);
    let placed = store.tail(0, 10, None).movable.into_iter().find(|placed| placed.id == ids[3]).unwrap();
    let elsewhere = Placed { run: Run { start: placed.run.start + 1, ..placed.run }, ..placed };
    assert!(store.copy_down(elsewhere).unwrap().is_none());
    commit(&store, |set| set.free(ids[3]).unwrap());
    assert!(store.copy_down(placed).unwrap().is_none());
    assert_clean(&store);
}

#[test]
fn what_a_pin_sees_is_told_and_not_offered() {
    let (_, store, ids) = with_hole(8000);
    let pin = store.pin();
    let tail = store.tail(0, 10, Some(pin.at()));
    assert!(tail.movable.is_empty());
    assert_eq!(tail.held_slots, 1 + 4);
    commit(&store, |set| fill(set, ids[0], 7, 8000));
    store.checkpoint().unwrap();
    let movable = store.tail(0, 10, Some(pin.at())).movable;
    assert_eq!(movable.iter().map(|placed| placed.id).collect::<Vec<_>>(), [ids[0]]);
    drop(pin);
}

#[test]
fn table_pages_move_when_they_are_told_to() {
    let (medium, store, ids) = with_hole(8000);
    let pages = store.table_tail(0, 10).expect("there is a table");
    // One page, and one level.
    assert_eq!(store.table_tail(pages + 1, 10), None);
    let before = store.stats().table_pages_written;
    store.move_table_pages(Some(0));
    commit(&store, |set| fill(set, ids[0], 8, 100));
    store.checkpoint().unwrap();
    store.move_table_pages(None);
    assert!(store.table_tail(0, 1).unwrap() != pages && store.stats().table_pages_written > before);
    assert_opens_as_it_is(&medium, &store, ids[0], 8, 100);
}
