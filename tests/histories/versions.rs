//! In which order versions followed each other, from what was read alone; and anomalies that no cycle is needed for.

use crate::check::{Anomaly, Kind};
use crate::record::{Element, History, Key, Op};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Transactions are known by their place in the history.
pub type Id = usize;

/// Of a list: its elements in order, each with who appended it. Of a register: its values, likewise.
pub type Order = Vec<(Element, Id)>;

/// What a transaction saw of a key that was not its own doing: how many versions there were.
pub struct Seen {
    pub by: Id,
    pub key: Key,
    pub versions: usize,
}

/// What a history tells of versions.
pub struct Versions {
    pub orders: BTreeMap<Key, Order>,
    pub seen: Vec<Seen>,
    pub anomalies: Vec<Anomaly>,
}

/// Who wrote each element, and whether that was its last word on the key.
struct Writers {
    writers: HashMap<(Key, Element), (Id, bool)>,
}

impl Writers {
    fn of(history: &History) -> Writers {
        let mut writers = HashMap::new();
        for (id, transaction) in history.iter().enumerate() {
            let mut last = HashMap::new();
            for op in &transaction.ops {
                let (Op::Append(key, element) | Op::Blind(key, element) | Op::Replace { key, new: element, .. }) = op
                else {
                    continue;
                };
                let before = writers.insert((*key, *element), (id, true));
                assert!(
                    before.is_none(),
                    "element {element} of {key} is written twice: the history cannot be told apart"
                );
                if let Some(before) = last.insert(*key, *element) {
                    writers.insert((*key, before), (id, false));
                }
            }
        }
        Writers { writers }
    }

    fn get(&self, key: Key, element: Element) -> Option<(Id, bool)> {
        self.writers.get(&(key, element)).copied()
    }
}

/// What one transaction saw of each key before its own writes, and whether it saw them consistently.
struct Inside {
    /// The list as it was outside; of a register at most one value.
    outside: BTreeMap<Key, Vec<Element>>,
    is_torn: bool,
}

fn look_inside(ops: &[Op]) -> Inside {
    let mut own: HashMap<Key, Vec<Element>> = HashMap::new();
    let mut inside = Inside { outside: BTreeMap::new(), is_torn: false };
    let mut see = |key: Key, list: &[Element]| {
        let before = inside.outside.entry(key).or_insert_with(|| list.to_vec());
        inside.is_torn |= before != list;
    };
    let mut torn = false;
    for op in ops {
        match op {
            Op::Append(key, element) | Op::Blind(key, element) => own.entry(*key).or_default().push(*element),
            Op::Read(key, list) => {
                let own = own.get(key).map_or(&[][..], Vec::as_slice);
                match list.strip_suffix(own) {
                    Some(outside) => see(*key, outside),
                    None => torn = true,
                }
            }
            Op::Get(key, value) | Op::Replace { key, old: value, .. } => {
                match own.get(key).and_then(|own| own.last()) {
                    Some(own) => torn |= own != value,
                    None if *value == 0 => see(*key, &[]),
                    None => see(*key, &[*value]),
                }
                if let Op::Replace { new, .. } = op {
                    own.entry(*key).or_default().push(*new);
                }
            }
        }
    }
    inside.is_torn |= torn;
    inside
}

impl Versions {
    /// Reads the orders off a history.
    pub fn of(history: &History) -> Versions {
        let writers = Writers::of(history);
        let mut anomalies = Vec::new();
        let mut report = |kind, what: String| anomalies.push(Anomaly { kind, what });
        let mut looks = Vec::new();
        for (id, transaction) in history.iter().enumerate().filter(|(_, transaction)| transaction.is_committed()) {
            let inside = look_inside(&transaction.ops);
            if inside.is_torn {
                report(Kind::Internal, transaction.to_string());
            }
            for (key, list) in inside.outside {
                for &element in &list {
                    match writers.get(key, element) {
                        Some((writer, _)) if history[writer].is_committed() => {}
                        Some((writer, _)) => report(Kind::G1a, format!("{transaction}, of {}", history[writer])),
                        None => report(Kind::Unwritten, format!("{transaction}: element {element}")),
                    }
                }
                if let Some((writer, false)) = list.last().and_then(|&last| writers.get(key, last)) {
                    report(Kind::G1b, format!("{transaction}, of {}", history[writer]));
                }
                looks.push((id, key, list));
            }
        }
        let mut orders = registers(history, &mut report);
        orders.extend(lists(history, &looks, &writers, &mut report));
        let is_register: Vec<Key> = register_keys(history);
        let mut seen = Vec::new();
        for (by, key, list) in looks {
            let versions = match (is_register.binary_search(&key), list.last()) {
                (Err(_), _) => list.len(),
                (Ok(_), None) => 0,
                (Ok(_), Some(value)) => {
                    let place =
                        orders.get(&key).and_then(|order| order.iter().position(|(element, _)| element == value));
                    let Some(place) = place else { continue };
                    place + 1
                }
            };
            seen.push(Seen { by, key, versions });
        }
        Versions { orders, seen, anomalies }
    }
}

fn register_keys(history: &History) -> Vec<Key> {
    let ops = history.iter().flat_map(|transaction| &transaction.ops);
    let keys = ops.filter_map(|op| match op {
        Op::Replace { key, .. } | Op::Get(key, _) => Some(*key),
        _ => None,
    });
    let mut keys: Vec<Key> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Each value names the one that it replaced: a chain. Where it forks an update was lost.
fn registers(history: &History, report: &mut impl FnMut(Kind, String)) -> BTreeMap<Key, Order> {
    let mut next: HashMap<(Key, Element), (Element, Id)> = HashMap::new();
    let mut keys: BTreeMap<Key, usize> = BTreeMap::new();
    for (id, transaction) in history.iter().enumerate().filter(|(_, transaction)| transaction.is_committed()) {
        for op in &transaction.ops {
            let Op::Replace { key, old, new } = op else { continue };
            *keys.entry(*key).or_default() += 1;
            if let Some((_, other)) = next.insert((*key, *old), (*new, id)) {
                report(Kind::LostUpdate, format!("{transaction} and {}", history[other]));
            }
        }
    }
    let chain = |(key, written): (Key, usize)| {
        let mut order = Order::new();
        let mut value = 0;
        while let Some(&(new, by)) = next.get(&(key, value))
            && order.len() < written
        {
            order.push((new, by));
            value = new;
        }
        if order.len() < written {
            report(
                Kind::LostUpdate,
                format!("register {key} has {written} committed values, of which {} follow each other", order.len()),
            );
        }
        (key, order)
    };
    keys.into_iter().map(chain).collect()
}

/// What was appended before the longest read of a list began is in it.
fn report_lost(
    history: &History,
    looks: &[(Id, Key, Vec<Element>)],
    longest: &BTreeMap<Key, &[Element]>,
    report: &mut impl FnMut(Kind, String),
) {
    let mut readers: BTreeMap<Key, (u64, HashSet<Element>)> = BTreeMap::new();
    for (id, key, list) in looks {
        let reader = &history[*id];
        if reader.kind != crate::record::Kind::Snapshot
            && longest.get(key).is_some_and(|longest| longest.len() == list.len())
        {
            let known = readers.entry(*key).or_insert_with(|| (0, list.iter().copied().collect()));
            known.0 = known.0.max(reader.begun);
        }
    }
    for transaction in history.iter().filter(|transaction| transaction.is_committed()) {
        for op in &transaction.ops {
            if let Op::Append(key, element) | Op::Blind(key, element) = op
                && let Some((begun, elements)) = readers.get(key)
                && transaction.ended < *begun
                && !elements.contains(element)
            {
                report(Kind::LostUpdate, format!("{transaction}: element {element} is not in {key} later"));
            }
        }
    }
}

/// Every read of a list is a beginning of the longest one.
fn lists(
    history: &History,
    looks: &[(Id, Key, Vec<Element>)],
    writers: &Writers,
    report: &mut impl FnMut(Kind, String),
) -> BTreeMap<Key, Order> {
    let mut longest: BTreeMap<Key, &[Element]> = BTreeMap::new();
    for (_, key, list) in looks {
        let known = longest.entry(*key).or_default();
        if list.len() > known.len() {
            *known = list;
        }
    }
    let registers = register_keys(history);
    longest.retain(|key, _| registers.binary_search(key).is_err());
    report_lost(history, looks, &longest, report);
    for (id, key, list) in looks {
        if let Some(longest) = longest.get(key)
            && !longest.starts_with(list)
        {
            report(Kind::Incompatible, format!("{}: the longest read of {key} is {longest:?}", history[*id]));
        }
    }
    let order = |(key, list): (Key, &[Element])| {
        let committed = list.iter().filter_map(|&element| Some((element, writers.get(key, element)?.0)));
        (key, committed.filter(|(_, writer)| history[*writer].is_committed()).collect())
    };
    longest.into_iter().map(order).collect()
}
