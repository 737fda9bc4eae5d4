//! Transactions that are made durable by a checkpoint of their own.
//!
//! Strategy: page numbers in every state that such a transaction can find and leave them in; then checkpoints of others, each followed by an opening of what the medium holds; and
//! a meta slot that cannot be written.
//!
//! Invariants: the checkpoint's page table says of every number what the store in memory says; opening never finds a number with slots that belong to
//! another; a failure once the commit is installed names the commit.

mod shared;

use pentimento_storage::{Error, Options, PageId, Patience, Store, WriteSet};
use shared::{Shared, assert_clean, begin, commit, create};
use std::sync::Arc;

const CAPACITY: usize = 16 << 20;

fn fill(set: &mut WriteSet, id: PageId, byte: u8) {
    let page = set.page_mut(id, 100).unwrap();
    page.body[..100].fill(byte);
    *page.len = 100;
}

/// What a store shows of the first page numbers.
fn contents(store: &Arc<Store>) -> Vec<Option<Vec<u8>>> {
    let pin = store.pin();
    (0..100).map(|id| pin.page(PageId(id)).ok().map(<[u8]>::to_vec)).collect()
}

fn assert_opens_as_it_is(medium: &Shared, store: &Arc<Store>, when: &str) {
    assert_clean(store);
    let opened = medium.open_copy(Options::default()).unwrap_or_else(|error| panic!("{when}: {error}"));
    assert!(contents(&opened) == contents(store), "{when}: other contents");
    assert_clean(&opened);
}

/// A number that the durable checkpoint knows dies, is taken again, and is given back by the transaction that took it.
#[test]
fn a_number_that_is_taken_and_given_back_is_dead_in_the_checkpoint() {
    let (medium, store) = create(CAPACITY, Options::default());
    let (mut number, mut other) = (PageId::NONE, PageId::NONE);
    commit(&store, |set| {
        (number, other) = (set.allocate(PageId::NONE, 100).unwrap(), set.allocate(PageId::NONE, 100).unwrap());
        fill(set, number, 1);
        fill(set, other, 2);
    });
    store.checkpoint().unwrap();
    commit(&store, |set| set.free(number).unwrap());

    let mut set = begin(&store);
    assert_eq!(set.allocate(PageId::NONE, 100).unwrap(), number, "numbers are used again at once");
    // Without it the page would be forgotten, not freed.
    set.savepoint();
    set.free(number).unwrap();
    fill(&mut set, other, 3);
    set.install_durably().unwrap();
    assert_opens_as_it_is(&medium, &store, "after the durable commit");
    // The old version's slots are free now, and taken by others.
    for round in 0..4 {
        commit(&store, |set| {
            fill(set, other, 10 + round);
            let one = set.allocate(PageId::NONE, 100).unwrap();
            let two = set.allocate(PageId::NONE, 100).unwrap();
            fill(set, one, 20 + round);
            fill(set, two, 30 + round);
            if one == number || two == number {
                set.free(number).unwrap();
            }
        });
        store.checkpoint().unwrap();
        assert_opens_as_it_is(&medium, &store, "after a later checkpoint");
    }
}

#[test]
fn a_meta_that_fails_leaves_an_installed_commit_in_doubt() {
    let (medium, store) = create(CAPACITY, Options::default());
    commit(&store, |set| {
        let id = set.allocate(PageId::NONE, 100).unwrap();
        fill(set, id, 1);
    });
    let durable = store.checkpoint().unwrap();
    let mut set = begin(&store);
    fill(&mut set, PageId(0), 2);
    medium.fail_metas(true);
    let failed = set.install_durably().unwrap_err();
    let is_told = matches!(&failed, Error::OutcomeUnknown { at, source } if *at == durable.next() && matches!(**source, Error::Io { .. }));
    assert!(is_told, "{failed:?}");
    assert_eq!((store.published(), store.durable()), (durable, durable), "nobody sees it");
    assert!(matches!(store.check_writable(), Err(Error::Poisoned(_))));
    assert!(matches!(store.checkpoint(), Err(Error::Poisoned(_))));
    assert!(store.begin(Patience::Forever).is_err());
    assert_eq!(contents(&store)[0], Some(vec![1; 100]));
}
