//! Readers beside a writer, in a store in memory.
//!
//! Every commit writes its own timestamp into each page, so a reader knows what its pin must see; a frame that is given back too soon is taken by the
//! next transaction, which writes something else into it.

use crate::explore::{explore, notices};
use pentimento_schedules_storage::{Bug, Options, PageId, Patience, Pin, Store, Timestamp};
use pentimento_schedules_sync::{Arc, thread};

/// The smallest store: frames come back at once.
pub fn options(bug: Option<Bug>) -> Options {
    let mut options = Options::default();
    options.page_size = 4096;
    options.planted = bug;
    options
}

/// A first commit with so many pages.
pub fn create_pages(store: &Arc<Store>, count: usize) -> Vec<PageId> {
    let mut set = store.begin(Patience::Forever).unwrap().unwrap();
    let at = set.base().0 + 1;
    let pages: Vec<PageId> = (0..count).map(|_| set.allocate(PageId::NONE, 8).unwrap()).collect();
    for &page in &pages {
        let body = set.page_mut(page, 8).unwrap();
        body.body[..8].copy_from_slice(&at.to_le_bytes());
        *body.len = 8;
    }
    assert_eq!(set.install(false).0, at, "timestamps are consecutive");
    pages
}

/// A commit that writes its timestamp into every page.
pub fn overwrite(store: &Arc<Store>, pages: &[PageId], strict: bool) -> Timestamp {
    let mut set = store.begin(Patience::Forever).unwrap().unwrap();
    let at = set.base().0 + 1;
    for &page in pages {
        let before = number_in(set.page(page).unwrap());
        assert_eq!(before, at - 1, "the writer reads the newest commit");
        set.page_mut(page, 8).unwrap().body[..8].copy_from_slice(&at.to_le_bytes());
    }
    let installed = set.install(strict);
    assert_eq!(installed.0, at);
    installed
}

pub fn number_in(body: &[u8]) -> u64 {
    u64::from_le_bytes(body.try_into().expect("eight bytes"))
}

/// What a pin sees is what was newest at its timestamp, again and again.
pub fn assert_reads(pin: &Pin, pages: &[PageId]) {
    for _ in 0..2 {
        for &page in pages {
            assert_eq!(number_in(pin.page(page).unwrap()), pin.at().0, "page {page:?} at {:?}", pin.at());
        }
    }
}

/// No law of storage is broken.
pub fn assert_clean(store: &Arc<Store>) {
    let mut findings = Vec::new();
    store.check(&mut |finding| findings.push(finding.to_string()));
    assert!(findings.is_empty(), "{findings:#?}");
}

/// One writer, who gives back what nobody needs after each commit; two readers; somebody else who gives back, too.
fn readers_beside_a_writer(bug: Option<Bug>) {
    let store = Store::in_memory(options(bug)).unwrap();
    let pages = create_pages(&store, 2);
    let reader = |rounds: usize| {
        let (store, pages) = (store.clone(), pages.clone());
        thread::spawn(move || {
            for _ in 0..rounds {
                let pin = store.pin();
                assert_reads(&pin, &pages);
            }
        })
    };
    let (first, second) = (reader(2), reader(1));
    let other = {
        let store = store.clone();
        thread::spawn(move || store.reclaim(8))
    };
    for _ in 0..3 {
        overwrite(&store, &pages, false);
        store.reclaim(8);
    }
    first.join().unwrap();
    second.join().unwrap();
    other.join().unwrap();
    store.maintain();
    assert_eq!(store.stats().versions_retained, 0, "nobody reads any more");
    assert_clean(&store);
}

/// A page dies and its number is used for a register at once, and then for a page again; readers see what was there at their pin.
fn page_numbers_beside_readers(bug: Option<Bug>) {
    let store = Store::in_memory(options(bug)).unwrap();
    let page = create_pages(&store, 1)[0];
    let reader = |()| {
        let store = store.clone();
        thread::spawn(move || {
            for _ in 0..2 {
                let pin = store.pin();
                for _ in 0..2 {
                    match pin.at().0 {
                        at @ (1 | 2 | 6) => assert_eq!(number_in(pin.page(page).unwrap()), at),
                        3 | 5 => assert!(pin.page(page).is_err() && pin.register(page).is_err(), "dead then"),
                        4 => assert_eq!(pin.register(page).unwrap(), 4),
                        at => panic!("nobody committed {at}"),
                    }
                }
            }
        })
    };
    let readers = [reader(()), reader(())];
    overwrite(&store, &[page], false);
    for at in 3..=5 {
        let mut set = store.begin(Patience::Forever).unwrap().unwrap();
        match at {
            3 => set.free(page).unwrap(),
            4 => assert_eq!(set.allocate_register(4).unwrap(), page, "the number is used again"),
            _ => set.free(page).unwrap(),
        }
        let _ = set.install(false);
        store.reclaim(8);
    }
    assert_eq!(create_pages(&store, 1), [page]);
    for reader in readers {
        reader.join().unwrap();
    }
    store.maintain();
    assert_clean(&store);
}

#[test]
fn a_pin_sees_its_commit_whatever_the_writer_and_reclamation_do() {
    explore("readers beside a writer", readers_beside_a_writer);
}

#[test]
fn a_pin_sees_the_page_that_a_number_meant() {
    explore("page numbers beside readers", page_numbers_beside_readers);
}

#[test]
fn readers_notice_what_is_broken_on_purpose() {
    notices("readers beside a writer", readers_beside_a_writer, &[Bug::ForgetReaders, Bug::PublishBeforeInstall]);
    notices(
        "page numbers beside readers",
        page_numbers_beside_readers,
        &[Bug::ForgetReaders, Bug::PublishBeforeInstall],
    );
}
