//! Metas whose checksums are right, and whose numbers are not.
//!
//! Strategy: each number of both metas is replaced by extreme ones, and their checksums are made right again. Invariant: opening refuses them with an error that
//! says what is wrong; nothing is added to them, and no memory is reserved for them, before they are checked.

mod shared;

use pentimento_storage::{Error, MemoryMedium, Options, PageId, Result, Store};
use shared::{commit, create};

/// Where the format has them: see `src/meta.rs`.
const METAS: [usize; 2] = [0, 4096];
const SEQUENCE_AT: usize = 40;
const TIMESTAMP_AT: usize = 48;
const PAGES_AT: usize = 56;
const LEVELS_AT: usize = 60;
const CRC_AT: usize = 508;

/// Opens a store with one page after `forge` has changed each of its metas.
fn open_forged(forge: impl Fn(&mut [u8], usize)) -> Result<()> {
    let (medium, store) = create(1 << 20, Options::default());
    commit(&store, |set| {
        set.allocate(PageId::NONE, 100).unwrap();
    });
    store.checkpoint().unwrap();
    let mut bytes = medium.to_bytes();
    for (slot, at) in METAS.into_iter().enumerate() {
        let meta = &mut bytes[at..at + CRC_AT + 4];
        forge(meta, slot);
        let crc = crc32fast::hash(&meta[..CRC_AT]);
        meta[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    }
    Store::open(Box::new(MemoryMedium::from_bytes(&bytes, 1 << 20)), Options::default()).map(drop)
}

#[track_caller]
fn assert_refused(result: Result<()>, why: &str) {
    match result {
        Err(Error::Damaged { what, .. }) => assert!(what.contains(why), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_honest_meta_is_accepted() {
    open_forged(|_, _| ()).unwrap();
}

#[test]
fn a_timestamp_or_sequence_that_cannot_be_counted_on_is_refused() {
    for extreme in [u64::MAX, u64::MAX - 1, u64::MAX / 2 + 1] {
        let forged = open_forged(|meta, _| meta[TIMESTAMP_AT..][..8].copy_from_slice(&extreme.to_le_bytes()));
        assert_refused(forged, "timestamp or sequence is out of range");
        // Each stays in the slot that its sequence says.
        let forged = open_forged(|meta, slot| {
            let sequence = (extreme & !1) - 2 + slot as u64;
            meta[SEQUENCE_AT..][..8].copy_from_slice(&(sequence | 1 << 63).to_le_bytes());
        });
        assert_refused(forged, "timestamp or sequence is out of range");
    }
}

#[test]
fn more_pages_than_the_file_has_room_for_are_refused() {
    // As many levels as so many pages would have, so that these give nothing away.
    for (pages, levels) in [(u32::MAX, 5), (u32::MAX - 1, 5), (1 << 24, 4), (100_000, 3)] {
        for levels in [1, levels] {
            let forged = open_forged(|meta, _| {
                meta[PAGES_AT..][..4].copy_from_slice(&u32::to_le_bytes(pages));
                meta[LEVELS_AT..][..4].copy_from_slice(&u32::to_le_bytes(levels));
            });
            assert_refused(forged, "more than the file has room for");
        }
    }
}

#[test]
fn levels_that_do_not_fit_the_pages_are_refused() {
    for levels in [0, 2, 100, u32::MAX] {
        let forged = open_forged(|meta, _| meta[LEVELS_AT..][..4].copy_from_slice(&u32::to_le_bytes(levels)));
        assert_refused(forged, "number of levels");
    }
}
