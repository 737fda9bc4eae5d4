//! Pages beside others.
//!
//! Strategy: random transactions that make, change and free pages and those beside them, some given up or rolled back half-way, with snapshots held, checkpoints and openings in between,
//! against a map from page numbers to contents for each snapshot.
//!
//! Invariants: a page beside another is found through that page at every moment at which it was there, and at no other; there is one at most; its number is given to no other page; nothing leaks.

mod shared;

use pentimento_storage::{Options, PageId, Pin, WriteSet};
use shared::{Random, assert_clean, begin, create};
use std::collections::BTreeMap;

const CAPACITY: usize = 64 << 20;

/// What each page holds, and what the one beside it does, if there is one.
type Model = BTreeMap<PageId, (u8, Option<u8>)>;

fn write(set: &mut WriteSet, id: PageId, byte: u8, len: usize) {
    let page = set.page_mut(id, len).unwrap();
    page.body[..len].fill(byte);
    *page.len = len;
}

fn change(set: &mut WriteSet, model: &mut Model, random: &mut Random) {
    let byte = random.below(250) as u8;
    let len = 1 + random.below(3000);
    let some = model.keys().nth(random.below(model.len().max(1))).copied();
    match (random.below(10), some) {
        (0..3, _) | (_, None) => {
            let id = set.allocate(PageId::NONE, len).unwrap();
            assert!(id.beside().is_some() && model.insert(id, (byte, None)).is_none(), "{id} is given out");
            assert_eq!(set.beside(id).unwrap(), None, "a new page has nothing beside it");
            write(set, id, byte, len);
        }
        (3..7, Some(id)) => {
            let there = model.get_mut(&id).unwrap();
            let room = set.room_beside(id);
            assert_eq!(room.is_some(), there.1.is_some(), "{id}");
            assert!(set.beside(id).unwrap().is_none_or(|body| body.len() <= room.unwrap()), "{id}");
            if random.below(2) == 0 {
                let made = set.allocate_beside(id, id, len).unwrap();
                assert_eq!(made.is_some(), there.1.is_none(), "there is one at most");
                write(set, id.beside().unwrap(), byte, len);
            } else {
                let mut blank = set.blank(len).unwrap();
                blank.body_mut()[..len].fill(byte);
                if random.below(4) == 0 {
                    // Nothing came of it.
                    return set.give_back(blank);
                }
                assert!(set.put_beside(id, id, blank, len));
            }
            there.1 = Some(byte);
        }
        (7, Some(id)) => {
            write(set, id, byte, len);
            model.get_mut(&id).unwrap().0 = byte;
        }
        (8, Some(id)) => {
            if model.get_mut(&id).unwrap().1.take().is_some() {
                set.free(id.beside().unwrap()).unwrap();
            }
        }
        (_, Some(id)) => {
            if model.remove(&id).unwrap().1.is_some() {
                set.free(id.beside().unwrap()).unwrap();
            }
            set.free(id).unwrap();
        }
    }
}

fn holds(body: &[u8], byte: u8) -> bool {
    !body.is_empty() && body.iter().all(|other| *other == byte)
}

fn assert_shows(pin: &Pin, model: &Model) {
    for id in (0..200).step_by(2).map(PageId) {
        let beside = pin.beside(id).unwrap();
        match model.get(&id) {
            None => assert!(pin.page(id).is_err() && beside.is_none(), "{id}"),
            Some((byte, expected)) => {
                assert!(holds(pin.page(id).unwrap(), *byte), "{id}");
                assert!(holds(pin.page_part(id, 1).unwrap(), *byte), "{id}");
                assert_eq!(beside.is_some(), expected.is_some(), "{id}");
                assert!(beside.zip(*expected).is_none_or(|(body, byte)| holds(body, byte)), "beside {id}");
            }
        }
    }
}

#[test]
fn what_is_beside_a_page_is_found_through_it() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let (medium, mut store) = create(CAPACITY, Options::default());
        let mut medium = Some(medium);
        let mut model = Model::new();
        let mut held = Vec::new();
        for _ in 0..120 {
            let mut set = begin(&store);
            let mut next = model.clone();
            for _ in 0..random.below(6) {
                change(&mut set, &mut next, &mut random);
            }
            if random.below(3) == 0 {
                let (savepoint, kept) = (set.savepoint(), next.clone());
                for _ in 0..1 + random.below(4) {
                    change(&mut set, &mut next, &mut random);
                }
                if random.below(2) == 0 {
                    assert!(set.rollback_to(savepoint));
                    next = kept;
                    for _ in 0..random.below(3) {
                        change(&mut set, &mut next, &mut random);
                    }
                }
            }
            match random.below(5) {
                0 => drop(set),
                1 => {
                    set.install_durably().unwrap();
                    model = next;
                }
                _ => {
                    let _ = set.install(false);
                    model = next;
                }
            }
            match random.below(12) {
                0 => held.push((store.pin(), model.clone())),
                1 => drop((!held.is_empty()).then(|| held.remove(random.below(held.len())))),
                2 => drop(store.checkpoint().unwrap()),
                // Once: what a store on a copy does nobody else sees.
                3 => {
                    if let Some(medium) = medium.take() {
                        held.clear();
                        store.checkpoint().unwrap();
                        store = medium.open_copy(Options::default()).unwrap();
                    }
                }
                _ => {}
            }
            assert_shows(&store.pin(), &model);
            held.iter().for_each(|(pin, model)| assert_shows(pin, model));
        }
        held.clear();
        assert_clean(&store);
    }
}
