//! The writer's turn, and an array of registrations that grows.

use crate::explore::{explore, notices};
use crate::pages::{assert_clean, assert_reads, create_pages, number_in, options, overwrite};
use pentimento_schedules_storage::{Bug, Patience, Store};
use pentimento_schedules_sync::{Arc, thread};
use std::time::Duration;

/// Four writers, patient or not, count in one page: no turn is lost, and nobody has it together with another.
fn turns(bug: Option<Bug>) {
    let store = Store::in_memory(options(bug)).unwrap();
    let page = create_pages(&store, 1)[0];
    let count = move |store: &Arc<Store>, patience| {
        let Some(mut set) = store.begin(patience).unwrap() else { return 0 };
        let next = number_in(set.page(page).unwrap()) + 1;
        set.page_mut(page, 8).unwrap().body[..8].copy_from_slice(&next.to_le_bytes());
        assert_eq!(set.install(false).0, next, "one at a time counts");
        1
    };
    let writers: Vec<_> =
        [Patience::Forever, Patience::For(Duration::from_micros(50)), Patience::Forever, Patience::None]
            .into_iter()
            .map(|patience| {
                let store = store.clone();
                thread::spawn(move || count(&store, patience) + count(&store, patience))
            })
            .collect();
    let counted: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    assert!(counted >= 4, "the patient ones all had their turns");
    assert_eq!(number_in(store.pin().page(page).unwrap()), 1 + counted);
    assert!(store.begin(Patience::None).unwrap().is_some(), "nobody has the turn in the end");
}

/// More readers than there are registrations, all at once, beside a writer: the array grows, and reclamation sees all of them.
fn many_readers(bug: Option<Bug>) {
    let store = Store::in_memory(options(bug)).unwrap();
    let pages = create_pages(&store, 1);
    let readers: Vec<_> = (0..4)
        .map(|number| {
            let (store, pages) = (store.clone(), pages.clone());
            thread::spawn(move || {
                let pin = store.pin();
                if number == 0 {
                    pin.set_label("zero");
                }
                let again = store.pin();
                assert_reads(&pin, &pages);
                assert_reads(&again, &pages);
                assert!(again.at() >= pin.at(), "what is published does not go back");
            })
        })
        .collect();
    for _ in 0..2 {
        overwrite(&store, &pages, false);
        store.reclaim(8);
        let labelled = store.readers().iter().filter(|reader| reader.label.is_some()).count();
        assert!(labelled <= 1, "one reader has a label");
    }
    for reader in readers {
        reader.join().unwrap();
    }
    assert!(store.readers().is_empty(), "everybody has gone");
    store.maintain();
    assert_eq!(store.stats().versions_retained, 0);
    assert_clean(&store);
}

#[test]
fn turns_are_taken_one_at_a_time_and_none_is_lost() {
    explore("turns", turns);
}

#[test]
fn many_readers_are_all_seen() {
    explore("many readers", many_readers);
}

#[test]
fn many_readers_notice_what_is_broken_on_purpose() {
    notices("many readers", many_readers, &[Bug::ForgetReaders, Bug::PublishBeforeInstall]);
}
