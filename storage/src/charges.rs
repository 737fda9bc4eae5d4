//! What is kept for whom: each superseded version is charged to the newest pin that needs it.
//!
//! Promises:
//! 1. An item charged to pin *p* has `birth <= p < end`, and no newer pin that was known then lies in between.
//! 2. When a pin goes, what it was charged moves to the next older pin if that is not older than the item's birth, else it is free.
//!    Items lie in sublists by the newest pin older than their birth, so whole sublists move at once and a release costs
//!    the number of sublists, not of items.
//!
//! The scheme is that of dead lists in ZFS (`dsl_deadlist.c`): "the newest snapshot that references a block" owns it once it is freed.

use crate::Timestamp;
use std::collections::BTreeMap;

/// Something that is kept for pins from its birth on.
pub(crate) trait Charged {
    fn birth(&self) -> Timestamp;
    fn bytes(&self) -> u64;
}

/// Items that were born after the same pins.
struct Sublist<T> {
    newest_birth: Timestamp,
    items: u64,
    bytes: u64,
    chunks: Vec<Vec<T>>,
}

impl<T: Charged> Sublist<T> {
    fn new() -> Self {
        Sublist { newest_birth: Timestamp::ZERO, items: 0, bytes: 0, chunks: Vec::new() }
    }

    fn push(&mut self, item: T) {
        self.newest_birth = self.newest_birth.max(item.birth());
        self.items += 1;
        self.bytes += item.bytes();
        match self.chunks.last_mut() {
            Some(chunk) => chunk.push(item),
            None => self.chunks.push(vec![item]),
        }
    }

    fn append(&mut self, mut other: Sublist<T>) {
        self.newest_birth = self.newest_birth.max(other.newest_birth);
        self.items += other.items;
        self.bytes += other.bytes;
        if self.chunks.len() < other.chunks.len() {
            std::mem::swap(&mut self.chunks, &mut other.chunks);
        }
        self.chunks.append(&mut other.chunks);
    }
}

/// What one pin is charged.
struct Account<T> {
    sublists: BTreeMap<Timestamp, Sublist<T>>,
    items: u64,
    bytes: u64,
}

/// What one pin is charged, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Balance {
    pub pin: Timestamp,
    pub items: u64,
    pub bytes: u64,
}

/// What one pin needs, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// What would be free without it.
    pub alone: u64,
    /// What other pins need, too.
    pub shared: u64,
}

/// Accounts by pin.
pub(crate) struct Charges<T> {
    accounts: BTreeMap<Timestamp, Account<T>>,
}

impl<T: Charged> Charges<T> {
    pub fn new() -> Self {
        Charges { accounts: BTreeMap::new() }
    }

    /// The newest of `pins` (ascending) in `[birth, end)`: whom an item is charged to.
    pub fn newest_needing(pins: &[Timestamp], birth: Timestamp, end: Timestamp) -> Option<Timestamp> {
        let pin = *pins[..pins.partition_point(|pin| *pin < end)].last()?;
        (pin >= birth).then_some(pin)
    }

    /// Charges an item to `pin`. `pins` (ascending) tells which pins are older than its birth.
    pub fn charge(&mut self, pin: Timestamp, item: T, pins: &[Timestamp]) {
        let birth = item.birth();
        let older =
            pins.partition_point(|pin| *pin < birth).checked_sub(1).map_or(Timestamp::ZERO, |index| pins[index]);
        let account = self.account(pin);
        account.items += 1;
        account.bytes += item.bytes();
        account.sublists.entry(older).or_insert_with(Sublist::new).push(item);
    }

    fn account(&mut self, pin: Timestamp) -> &mut Account<T> {
        self.accounts.entry(pin).or_insert_with(|| Account { sublists: BTreeMap::new(), items: 0, bytes: 0 })
    }

    /// The charged pins that are not among `pins` (ascending).
    pub fn gone(&self, pins: &[Timestamp]) -> Vec<Timestamp> {
        let mut living = pins.iter().peekable();
        let is_gone = |pin: &&Timestamp| {
            while living.next_if(|living| living < pin).is_some() {}
            living.peek() != Some(pin)
        };
        self.accounts.keys().filter(is_gone).copied().collect()
    }

    /// A pin has gone: moves what it was charged to the next older of `pins`, and appends the rest, which is free, to `freed`.
    pub fn release(&mut self, pin: Timestamp, pins: &[Timestamp], freed: &mut Vec<Vec<T>>) {
        let Some(account) = self.accounts.remove(&pin) else { return };
        let heir = pins.partition_point(|older| *older < pin).checked_sub(1).map(|index| pins[index]);
        for (older, sublist) in account.sublists {
            match heir {
                // The common case: every item was born before the heir.
                Some(heir) if sublist.newest_birth <= heir => {
                    let account = self.account(heir);
                    account.items += sublist.items;
                    account.bytes += sublist.bytes;
                    account.sublists.entry(older).or_insert_with(Sublist::new).append(sublist);
                }
                Some(heir) if older < heir => {
                    for item in sublist.chunks.into_iter().flatten() {
                        if item.birth() <= heir {
                            self.charge(heir, item, pins);
                        } else {
                            freed.push(vec![item]);
                        }
                    }
                }
                _ => freed.extend(sublist.chunks),
            }
        }
    }

    /// For each of `pins` (ascending, all that are charged among them) how many bytes it needs: alone, and together with others.
    /// Costs the number of sublists, not of items.
    pub fn shares(&self, pins: &[Timestamp]) -> Vec<Share> {
        let mut shares = vec![Share::default(); pins.len()];
        // Bytes that are shared from a pin on, and no more from another on: summed up at the end.
        let mut changes = vec![0_i64; pins.len() + 1];
        let mut need = |bytes: u64, first: usize, last: usize| {
            if first == last {
                shares[first].alone += bytes;
            } else if first < last {
                changes[first] += bytes as i64;
                changes[last + 1] -= bytes as i64;
            }
        };
        for (pin, account) in &self.accounts {
            let Ok(last) = pins.binary_search(pin) else { continue };
            for (older, sublist) in &account.sublists {
                let first = pins.partition_point(|pin| pin <= older);
                if pins.get(first).is_some_and(|first| sublist.newest_birth <= *first) {
                    need(sublist.bytes, first, last);
                } else {
                    // A pin has come between their births since they were charged.
                    for item in sublist.chunks.iter().flatten() {
                        need(item.bytes(), pins.partition_point(|pin| *pin < item.birth()), last);
                    }
                }
            }
        }
        let mut shared = 0;
        for (share, change) in shares.iter_mut().zip(changes) {
            shared += change;
            share.shared = shared as u64;
        }
        shares
    }

    /// What each pin is charged.
    pub fn balances(&self) -> impl Iterator<Item = Balance> {
        self.accounts.iter().map(|(&pin, account)| Balance { pin, items: account.items, bytes: account.bytes })
    }

    /// Every charged item with its pin.
    pub fn iter(&self) -> impl Iterator<Item = (Timestamp, &T)> {
        self.accounts.iter().flat_map(|(&pin, account)| {
            account.sublists.values().flat_map(|sublist| sublist.chunks.iter().flatten()).map(move |item| (pin, item))
        })
    }

    /// Takes every item out. For closing.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.accounts)
            .into_values()
            .flat_map(|account| account.sublists.into_values())
            .flat_map(|sublist| sublist.chunks.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
    struct Item {
        birth: u64,
        end: u64,
    }

    impl Charged for Item {
        fn birth(&self) -> Timestamp {
            Timestamp(self.birth)
        }
        fn bytes(&self) -> u64 {
            self.end
        }
    }

    /// Charging must keep exactly what the definition keeps: an item is there while some pin lies in `[birth, end)`.
    #[test]
    fn keeps_exactly_what_some_pin_needs() {
        fn property(steps: Vec<(u8, u8)>) -> bool {
            let mut charges = Charges::new();
            let (mut now, mut births) = (1, [1; 4]);
            let mut pins: Vec<Timestamp> = Vec::new();
            let mut all: Vec<Item> = Vec::new();
            for (what, which) in steps {
                match what % 4 {
                    0 if pins.last() != Some(&Timestamp(now)) => pins.push(Timestamp(now)),
                    1 if !pins.is_empty() => {
                        let pin = pins.remove(which as usize % pins.len());
                        let mut freed = Vec::new();
                        assert_eq!(charges.gone(&pins).len(), charges.balances().filter(|b| b.pin == pin).count());
                        charges.release(pin, &pins, &mut freed);
                        for item in freed.into_iter().flatten() {
                            all.remove(all.iter().position(|other| *other == item).unwrap());
                        }
                    }
                    _ => {
                        now += 1;
                        let birth = std::mem::replace(&mut births[which as usize % 4], now);
                        let item = Item { birth, end: now };
                        if let Some(pin) = Charges::<Item>::newest_needing(&pins, Timestamp(birth), Timestamp(now)) {
                            charges.charge(pin, item, &pins);
                            all.push(item);
                        }
                    }
                }
                assert!(all.iter().all(|item| pins.iter().any(|pin| item.birth <= pin.0 && pin.0 < item.end)));
                let mut charged: Vec<Item> = charges.iter().map(|(_, item)| *item).collect();
                let total: (u64, u64) = charges.balances().fold((0, 0), |sum, b| (sum.0 + b.items, sum.1 + b.bytes));
                assert_eq!(total, (charged.len() as u64, charged.iter().map(|item| item.end).sum()));
                for (share, pin) in charges.shares(&pins).iter().zip(&pins) {
                    let (mut alone, mut shared) = (0, 0);
                    for item in all.iter().filter(|item| item.birth <= pin.0 && pin.0 < item.end) {
                        let needing = pins.iter().filter(|pin| item.birth <= pin.0 && pin.0 < item.end).count();
                        *(if needing == 1 { &mut alone } else { &mut shared }) += item.bytes();
                    }
                    assert_eq!(*share, Share { alone, shared });
                }
                charged.sort();
                all.sort();
                assert_eq!(charged, all);
            }
            true
        }
        quickcheck::QuickCheck::new()
            .tests(if cfg!(miri) { 5 } else { 500 })
            .quickcheck(property as fn(Vec<(u8, u8)>) -> bool);
    }
}
