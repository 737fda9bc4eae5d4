//! Damage to what only a name needs.

use crate::common::assert_clean;
use crate::gate::GateMedium;
use crate::{builder, rounds};
use pentimento::{Error, MemoryMedium};

/// Any byte of the list or of a table page that only a name needs: an error that names it, and no panic.
#[test]
fn damage_is_told() {
    let medium = GateMedium::default();
    let db = builder().open_medium(Box::new(medium.clone()), true).unwrap();
    rounds(&db, 3);
    drop(db);
    let bytes = medium.to_bytes();
    let open = |bytes: &[u8]| builder().open_medium(Box::new(MemoryMedium::from_bytes(bytes, 4 << 20)), false);
    open(&bytes).unwrap();
    let of_kind = |magic: &'static [u8]| {
        bytes.chunks(2048).enumerate().filter(move |(_, slot)| slot.starts_with(magic)).map(|(slot, _)| slot)
    };
    let slots: Vec<usize> = of_kind(b"PNAM").chain(of_kind(b"PTBL")).collect();
    let mut told = 0;
    for slot in slots {
        for at in [0, 5, 8, 16, 40, 60] {
            let mut damaged = bytes.clone();
            damaged[slot * 2048 + at] ^= 0x10;
            match open(&damaged) {
                Err(Error::Damaged { slot: Some(there), .. }) => {
                    assert_eq!(there, slot as u64);
                    told += 1;
                }
                Err(error) => panic!("{error}"),
                // A list or table page of before, which nothing refers to any more.
                Ok(db) => assert_clean(&db),
            }
        }
    }
    assert!(told >= 6 * 4, "{told} damages were told");
}
