//! The catalog: which trees there are. It is a tree itself, from names to records.
//!
//! ```text
//! page 0: root of the catalog:      name (UTF-8) -> 0 root page, u32   4 counter register, u32
//!                                   (empty)      -> what the store is a copy of, if it is one: see `backup/origin.rs`
//! page 1: root of the doomed trees: root page, u32 big-endian -> nothing
//! ```
//!
//! A tree's root keeps its page for ever, and its number of entries is a register, so no change of entries changes the catalog.
//! A large tree that is dropped becomes *doomed*: its pages are given back by later commits, a few at a time.

use crate::pages::TxnPages;
use crate::{Error, Result};
use pentimento_btree::{self as btree, ReadPages, WritePages};
use pentimento_storage::PageId;

/// The longest name of a tree, in bytes.
pub const MAX_NAME_LEN: usize = 1024;

/// The root of the catalog: the first page of every store.
pub(crate) const CATALOG: PageId = PageId(0);
/// The root of the doomed trees: the second page of every store.
pub(crate) const DOOMED: PageId = PageId(1);

/// What stands in the catalog and is no tree: no tree has an empty name.
pub(crate) const ORIGIN_KEY: &[u8] = b"";

/// Where a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TreeRecord {
    pub root: PageId,
    pub counter: PageId,
}

impl TreeRecord {
    fn encode(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.root.0.to_le_bytes());
        bytes[4..].copy_from_slice(&self.counter.0.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<TreeRecord> {
        let bytes: &[u8; 8] = bytes.try_into().map_err(|_| Error::damaged("catalog", "a record has a wrong length"))?;
        let number = |at: usize| PageId(u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
        Ok(TreeRecord { root: number(0), counter: number(4) })
    }
}

pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME_LEN {
        return Err(Error::InvalidTreeName { len: name.len(), max: MAX_NAME_LEN });
    }
    Ok(())
}

/// Makes the catalog of a new store.
pub(crate) fn create(pages: &mut impl WritePages<Error = Error>) -> Result<()> {
    let catalog = btree::create(pages)?;
    let doomed = btree::create_beside(pages, catalog)?;
    assert_eq!((catalog, doomed), (CATALOG, Some(DOOMED)), "the catalog's pages are the first of a store");
    Ok(())
}

#[inline]
pub(crate) fn find(pages: &impl ReadPages<Error = Error>, name: &str) -> Result<Option<TreeRecord>> {
    if name.is_empty() {
        return Ok(None);
    }
    let record = btree::Tree::new(pages, CATALOG).get(name.as_bytes())?;
    record.map(TreeRecord::decode).transpose()
}

pub(crate) fn list(pages: &impl ReadPages<Error = Error>) -> Result<Vec<(String, TreeRecord)>> {
    let entries = btree::Tree::new(pages, CATALOG).iter()?;
    entries
        .filter(|entry| !entry.as_ref().is_ok_and(|(name, _)| **name == *ORIGIN_KEY))
        .map(|entry| {
            let (name, record) = entry?;
            let name = String::from_utf8(name.into_vec())
                .map_err(|_| Error::damaged("catalog", "a tree's name is not UTF-8"))?;
            Ok((name, TreeRecord::decode(record)?))
        })
        .collect()
}

/// Makes an empty tree that no name leads to yet.
pub(crate) fn make(pages: &mut TxnPages) -> Result<TreeRecord> {
    let root = btree::create(pages)?;
    Ok(TreeRecord { root, counter: pages.0.allocate_register(0)? })
}

pub(crate) fn put(pages: &mut impl WritePages<Error = Error>, name: &str, record: TreeRecord) -> Result<()> {
    btree::TreeMut::new(pages, CATALOG).insert(name.as_bytes(), &record.encode())?;
    Ok(())
}

pub(crate) fn remove(pages: &mut impl WritePages<Error = Error>, name: &str) -> Result<()> {
    btree::TreeMut::new(pages, CATALOG).remove(name.as_bytes())?;
    Ok(())
}

/// The note of what the store is a copy of.
pub(crate) fn origin(pages: &impl ReadPages<Error = Error>) -> Result<Option<&[u8]>> {
    btree::Tree::new(pages, CATALOG).get(ORIGIN_KEY)
}

pub(crate) fn put_origin(pages: &mut impl WritePages<Error = Error>, note: &[u8]) -> Result<()> {
    btree::TreeMut::new(pages, CATALOG).insert(ORIGIN_KEY, note)?;
    Ok(())
}

/// Notes that the tree at `root` is nobody's any more.
pub(crate) fn doom(pages: &mut impl WritePages<Error = Error>, root: PageId) -> Result<()> {
    btree::TreeMut::new(pages, DOOMED).insert(&root.0.to_be_bytes(), &[])?;
    Ok(())
}

/// The roots of the doomed trees.
pub(crate) fn doomed(pages: &impl ReadPages<Error = Error>) -> Result<Vec<PageId>> {
    let entries = btree::Tree::new(pages, DOOMED).iter()?;
    entries
        .map(|entry| {
            let (root, _) = entry?;
            let root = root.as_slice().try_into();
            root.map(|root| PageId(u32::from_be_bytes(root)))
                .map_err(|_| Error::damaged("catalog", "a doomed tree's key has a wrong length"))
        })
        .collect()
}

/// Gives back about `budget` pages of doomed trees; `true` when none is left.
pub(crate) fn dismantle_doomed(pages: &mut impl WritePages<Error = Error>, budget: usize) -> Result<bool> {
    let Some((key, _)) = btree::Tree::new(pages, DOOMED).first()? else { return Ok(true) };
    let key = key.into_vec();
    let root: [u8; 4] =
        key.as_slice().try_into().map_err(|_| Error::damaged("catalog", "a doomed tree's key has a wrong length"))?;
    if btree::dismantle(pages, PageId(u32::from_be_bytes(root)), budget)? {
        btree::TreeMut::new(pages, DOOMED).remove(&key)?;
        return btree::Tree::new(pages, DOOMED).is_empty();
    }
    Ok(false)
}
