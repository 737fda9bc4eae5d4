//! A leaf that overflows, written anew as two.
//!
//! Promises: the usual case alone, and without a detour: cells are copied from the leaf and its delta to where they will stand. What is unusual is left to others, and nothing has changed then: a leaf that is
//! the root, entries that arrive in order, halves that share more than the leaf's prefix, and damage.

use std::cmp::Ordering;

use crate::delta;
use crate::edit::Fill;
use crate::fold::{Done, Setting};
use crate::layout::{head_of, stride};
use crate::node::Node;
use crate::pages::{Fault, WritePages};
use crate::parts::{Parts, separator};
use crate::path::Path;
use crate::tree_mut::TreeMut;
use pentimento_storage::PageId;

/// A leaf is not divided if it has fewer entries.
const LEAST: usize = 4;

/// Where a leaf is divided.
struct Cut {
    /// How many entries stay, and how long their cells are together.
    left: usize,
    left_len: usize,
    /// What stands between the halves in the branch above.
    separator: Vec<u8>,
}

impl Cut {
    /// Halves, by bytes; `None`: see the promises.
    fn of(leaf: &Node<'_>, setting: &Setting<'_>) -> Result<Option<Cut>, Fault> {
        let count = setting.count(leaf);
        if count < LEAST || setting.is_at_an_end(leaf) {
            return Ok(None);
        }
        let half = (setting.cells_len(leaf) + count * stride(0)) / 2;
        let (mut left, mut left_len) = (0, 0);
        while left < count - 1 && (left == 0 || left_len + left * stride(0) < half) {
            left_len += setting.len_of(leaf, left)?;
            left += 1;
        }
        // Keys of one half that share a byte more had better have it in their prefix.
        let first_byte = |index| head_at(leaf, setting, index).map(|head| head >> 24);
        if first_byte(0)? == first_byte(left - 1)? && left > 1
            || first_byte(left)? == first_byte(count - 1)? && count - left > 1
        {
            return Ok(None);
        }
        let (before, behind) = (key_at(leaf, setting, left - 1)?, key_at(leaf, setting, left)?);
        let ascends = before.cmp(&behind) == Ordering::Less;
        Ok(ascends.then(|| Cut { left, left_len, separator: separator(&before, &behind) }))
    }
}

fn head_at(leaf: &Node<'_>, setting: &Setting<'_>, index: usize) -> Result<u32, Fault> {
    match setting.source(index) {
        Some(source) => leaf.head(source).ok_or_else(|| leaf.fault("there is no such entry")),
        None => Ok(head_of(setting.suffix)),
    }
}

fn key_at<'p>(leaf: &Node<'p>, setting: &Setting<'p>, index: usize) -> Result<Parts<'p>, Fault> {
    match setting.source(index) {
        Some(source) => leaf.key(source),
        None => Ok(Parts { prefix: leaf.prefix, suffix: setting.suffix }),
    }
}

impl<P: WritePages> TreeMut<'_, P> {
    /// Writes leaf `page`, to which `path` leads, anew as two, with the value of `key` set. Gives whether that is new, and the page of the large value that was replaced. `None`: it must be done in another way.
    pub(crate) fn divide_with(
        &mut self,
        path: &Path,
        page: PageId,
        key: &[u8],
        fill: Fill<'_>,
    ) -> Result<Option<Done>, P::Error> {
        let Some(above) = path.len().checked_sub(1) else { return Ok(None) };
        let leaf = Node::read(self.pages, page)?;
        let Some(setting) = Setting::of(&leaf, key, fill)? else { return Ok(None) };
        let Some(Cut { left, left_len, separator }) = Cut::of(&leaf, &setting)? else { return Ok(None) };
        let (count, right_len) = (setting.count(&leaf), setting.cells_len(&leaf).saturating_sub(left_len));
        let (capacity, root) = (self.capacity(), self.root);
        // The leaf is read until both are written.
        let right = self.pages.allocate(root, 0)?;
        for (half, range, cells_len) in [(right, left..count, right_len), (page, 0..left, left_len)] {
            let written = self.pages.write_anew(half, root, capacity, |pages, bytes| {
                let leaf = Node::read(pages, page)?;
                let len = setting.write(&leaf, range, cells_len, &mut bytes[..capacity])?;
                Ok(len.map(|len| (len, ())))
            })?;
            if written.is_none() {
                self.pages.free(right)?;
                return Ok(None);
            }
        }
        delta::free(self.pages, page)?;
        let number = path.step(above).1;
        self.splice(path, above, number..number, vec![(separator, right)])?;
        Ok(Some(setting.done()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;
    use crate::layout::{Header, OFFSET};
    use crate::memory::MemoryPages;
    use crate::pages::ReadPages;
    use crate::tree_mut::create;
    use quickcheck::{QuickCheck, TestResult};
    use std::collections::BTreeMap;

    const CAPACITY: usize = 4096;

    fn key(number: u32) -> Vec<u8> {
        number.wrapping_mul(0x9E37_79B9).to_be_bytes().repeat(1 + number as usize % 4)
    }

    /// Divides the leaf of a key in a tree of many, whatever is in it, and sets the key's value.
    fn halves_are_even_and_complete(entries: Vec<(u16, u8)>, number: u16, len: u8) -> TestResult {
        let mut pages = MemoryPages::new(CAPACITY);
        let root = create(&mut pages).unwrap();
        let mut model = BTreeMap::new();
        for (number, len) in (0..200).map(|number| (number * 3, 60)).chain(entries) {
            let (key, value) = (key(u32::from(number)), vec![len; usize::from(len)]);
            // A transaction of its own, so that leaves get deltas.
            pages.begin();
            TreeMut::new(&mut pages, root).insert(&key, &value).unwrap();
            model.insert(key, value);
        }
        pages.begin();
        let mut tree = TreeMut::new(&mut pages, root);
        let (key, value) = (key(u32::from(number)), vec![len; usize::from(len)]);
        let (path, page) = Path::seek_unread(tree.pages, root, &key).unwrap();
        if Node::read(tree.pages, page).unwrap().delta().is_none() {
            return TestResult::discard();
        }
        let Some((is_new, None)) = tree.divide_with(&path, page, &key, Fill::Bytes(&value)).unwrap() else {
            return TestResult::discard();
        };
        assert_eq!(is_new, model.insert(key.clone(), value).is_none());
        let entries = tree.as_tree().iter().unwrap().map(Result::unwrap);
        assert!(entries.map(|(key, value)| (key.to_vec(), value.to_vec())).eq(model));
        check(tree.pages, root, &mut |finding| panic!("{finding:?}"));
        assert_eq!(path.len(), 1, "the root is the branch above");
        let number = path.step(0).1;
        let branch = Node::read(tree.pages, root).unwrap();
        let [left, right] = [number, number + 1].map(|at| Node::read(tree.pages, branch.child(at).unwrap()).unwrap());
        assert_eq!(left.page, page);
        assert!(left.delta().is_none() && right.delta().is_none(), "both are written whole");
        assert!(left.offsets.is_sorted_by_key(|offset| u16::from_le_bytes(*offset)), "in the order of their keys");
        let longest = 300 + stride(0);
        assert!(left.len().abs_diff(right.len()) <= 2 * longest, "{} and {}", left.len(), right.len());
        TestResult::passed()
    }

    /// The right half of a leaf whose delta leads all of its entries to one long cell is found out to be too long only while it is written.
    #[test]
    fn a_damaged_leaf_is_left_as_it_is() {
        let mut pages = MemoryPages::new(CAPACITY);
        let root = create(&mut pages).unwrap();
        for number in 0..2000 {
            pages.begin();
            TreeMut::new(&mut pages, root)
                .insert(&key(number), &vec![1; if number % 6 == 0 { 900 } else { 60 }])
                .unwrap();
        }
        let mut tried = 0;
        for number in 2000..4000 {
            let (path, page) = Path::seek_unread(&pages, root, &key(number)).unwrap();
            let leaf = Node::read(&pages, page).unwrap();
            let (Some((delta, _)), count) = (leaf.delta(), leaf.count()) else { continue };
            let place = leaf.find(&key(number)).unwrap().0;
            let last = leaf.extent(count - 1).unwrap();
            if place == 0 || place > count / 2 || (last.end - last.start) * count / 2 < CAPACITY * 5 / 4 {
                continue;
            }
            let whole = [page, delta].map(|page| pages.page(page).unwrap().to_vec());
            let offsets = Header { level: 0, ..leaf.header }.places().offsets;
            let mut forged = whole[1].clone();
            for index in count / 2 + 1..count {
                forged[offsets + index * OFFSET..][..OFFSET].copy_from_slice(&(last.start as u16).to_le_bytes());
            }
            pages.overwrite(delta, &forged).unwrap();
            let live = pages.live();
            let mut tree = TreeMut::new(&mut pages, root);
            let divided = tree.divide_with(&path, page, &key(number), Fill::Bytes(&[2; 90])).unwrap();
            assert!(divided.is_none());
            assert_eq!(pages.live(), live, "no page is left behind");
            assert!(pages.page(page).unwrap() == whole[0] && pages.page(delta).unwrap() == forged);
            pages.overwrite(delta, &whole[1]).unwrap();
            tried += 1;
        }
        assert!(tried > 5, "{tried} leaves were tried");
    }

    #[test]
    fn a_leaf_is_divided_evenly_and_keeps_its_entries() {
        let property = halves_are_even_and_complete as fn(Vec<(u16, u8)>, u16, u8) -> TestResult;
        let tests = if cfg!(miri) { 3 } else { 300 };
        QuickCheck::new().tests(tests).min_tests_passed(tests).quickcheck(property);
    }
}
