//! Versions that went to slots before they were committed, while checkpoints look for what changed.
//!
//! Strategy: every change spills, and a few pages change without end; many registers make each checkpoint take its time over the rest of the page table.
//! Invariant: a checkpoint knows the checksum of every version in slots that it meets, so it neither fails nor panics, and what it wrote can be opened.

mod shared;

use pentimento_storage::{Options, PageId, Timestamp};
use shared::{assert_clean, begin, create};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const CAPACITY: usize = 256 << 20;
const CHECKPOINTS: usize = 150;

#[test]
fn versions_that_supersede_each_other_while_a_checkpoint_looks() {
    let mut options = Options::default();
    options.spill = 0;
    let (medium, store) = create(CAPACITY, options);
    let mut set = begin(&store);
    let registers: Vec<PageId> = (0..50_000).map(|_| set.allocate_register(0).unwrap()).collect();
    let pages: Vec<PageId> = (0..3).map(|_| set.allocate(PageId::NONE, 100).unwrap()).collect();
    let _ = set.install(false);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0u64;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                let mut set = begin(&store);
                if round.is_multiple_of(50) {
                    // One in each stretch of the page table, so that all of it has to be looked at.
                    registers.iter().step_by(80).for_each(|id| set.set_register(*id, round).unwrap());
                }
                for id in &pages {
                    let page = set.page_mut(*id, 100).unwrap();
                    page.body[..8].copy_from_slice(&round.to_le_bytes());
                    *page.len = 8;
                }
                let _ = set.install(false);
            }
        });
        let checkpoints =
            scope.spawn(|| (0..CHECKPOINTS).for_each(|_| assert!(store.checkpoint().unwrap() > Timestamp::ZERO)));
        let result = checkpoints.join();
        stop.store(true, Ordering::Relaxed);
        result.expect("no checkpoint panics");
    });
    assert_clean(&store);
    store.checkpoint().unwrap();
    let opened = medium.open_copy(options).unwrap();
    let (now, then) = (store.pin(), opened.pin());
    for id in pages {
        assert_eq!(then.page(id).unwrap(), now.page(id).unwrap());
    }
    assert_clean(&opened);
}
