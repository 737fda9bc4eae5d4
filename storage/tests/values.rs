//! The values of registers that change with every commit.
//!
//! Strategy: thousands of commits, each of which changes some of a few registers, with readers that come and go, names that are given and dropped, commits that are published late, and passes of
//! reclamation of all sizes in between. Now and then a register goes and its number becomes a page's, or the other way round.
//!
//! Invariants: each reader sees the values of its moment for as long as it stays; nothing that waits is forgotten; when all readers have gone nothing of the past is left.

mod shared;

use pentimento_storage::{Options, PageId, Pin, WriteSet};
use shared::{Random, assert_clean, begin, commit, create};

const CAPACITY: usize = 64 << 20;
const REGISTERS: usize = 3;

/// What stands under a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    Value(u64),
    Page(u8),
}

type Model = [(PageId, Content); REGISTERS];

fn assert_shows(pin: &Pin, model: &Model) {
    for (id, content) in model {
        match content {
            Content::Value(value) => assert_eq!(pin.register(*id).unwrap(), *value, "{id} at {}", pin.at()),
            Content::Page(byte) => assert_eq!(pin.page(*id).unwrap(), [*byte; 100], "{id} at {}", pin.at()),
        }
    }
}

fn make(set: &mut WriteSet, content: Content) -> PageId {
    match content {
        Content::Value(value) => set.allocate_register(value).unwrap(),
        Content::Page(byte) => {
            let id = set.allocate(PageId::NONE, 100).unwrap();
            let page = set.page_mut(id, 100).unwrap();
            page.body[..100].fill(byte);
            *page.len = 100;
            id
        }
    }
}

#[test]
fn readers_see_the_values_of_their_moments() {
    for seed in 0..8 {
        let mut random = Random(seed);
        let (_, store) = create(CAPACITY, Options::default());
        let mut set = begin(&store);
        let mut model: Model = std::array::from_fn(|_| (make(&mut set, Content::Value(0)), Content::Value(0)));
        let _ = set.install(false);
        let mut held: Vec<(Pin, Model)> = Vec::new();
        for round in 1..2000 {
            let mut set = begin(&store);
            for (id, content) in &mut model {
                match (random.below(100), &*content) {
                    // Its number will be given out again.
                    (0, Content::Value(_)) => {
                        set.free(*id).unwrap();
                        *content = Content::Page(round as u8);
                        *id = make(&mut set, *content);
                    }
                    (0, Content::Page(_)) => {
                        set.free(*id).unwrap();
                        *content = Content::Value(round);
                        *id = make(&mut set, *content);
                    }
                    (1..70, Content::Value(_)) => {
                        set.set_register(*id, round).unwrap();
                        *content = Content::Value(round);
                    }
                    _ => {}
                }
            }
            // A strict one is published by the next checkpoint.
            let is_strict = random.below(200) == 0;
            let _ = set.install(is_strict);
            match random.below(40) {
                0 => drop(store.reclaim(1 + random.below(40))),
                1 if store.published() == store.installed() => held.push((store.pin(), model)),
                2 if !held.is_empty() => drop(held.swap_remove(random.below(held.len()))),
                3 => drop(store.checkpoint().unwrap()),
                4 => drop(store.maintain()),
                5 => assert_clean(&store),
                _ => {}
            }
            if round.is_multiple_of(97) {
                held.iter().for_each(|(pin, model)| assert_shows(pin, model));
            }
        }
        store.checkpoint().unwrap();
        assert_shows(&store.pin(), &model);
        held.iter().for_each(|(pin, model)| assert_shows(pin, model));
        held.clear();
        // What a checkpoint needed goes with the next.
        commit(&store, |set| _ = set.allocate_register(0).unwrap());
        store.checkpoint().unwrap();
        store.maintain();
        assert_clean(&store);
        assert_eq!(store.stats().versions_retained, 0, "nobody needs anything of the past");
    }
}
