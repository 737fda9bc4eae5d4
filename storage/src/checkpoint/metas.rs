//! The two meta slots, written in turns.
//!
//! Promises:
//! 1. A meta is written over the older of the two, with the next sequence number: the newer one stays whole until this one is synced.
//! 2. What is in memory of a meta changes only once it is written.
//! 3. A failure to write or to sync poisons the store: nobody knows what is on the disk then.

use crate::layout::Run;
use crate::meta::{META_OFFSETS, Meta};
use crate::named::ListRef;
use crate::store::Store;
use crate::table_page::TableRef;
use crate::{Error, Result, Timestamp};

/// What a meta says that is not the store's for all its life.
#[derive(Clone, Copy)]
pub(super) struct MetaNews {
    pub at: Timestamp,
    pub pages: u32,
    pub levels: usize,
    pub root: Option<TableRef>,
    pub list: Option<ListRef>,
    pub twin: bool,
}

impl Store {
    pub(crate) fn sync(&self) -> Result<()> {
        let medium = self.medium()?;
        medium.sync().map_err(|source| {
            let error = Error::io("sync", medium.path(), source);
            self.poison(&error);
            error
        })
    }

    /// Writes the next meta, and syncs.
    pub(super) fn write_meta(&self, news: MetaNews) -> Result<()> {
        let MetaNews { at, pages, levels, root, list, twin } = news;
        let medium = self.medium()?;
        let mut state = self.meta.lock();
        let meta = Meta {
            page_size: self.options.page_size as u32,
            twin,
            store_id: state.store_id,
            sequence: state.sequence + 1,
            timestamp: at,
            pages,
            levels: levels as u32,
            root: root.map_or(Run { start: 0, slots: 0 }, |root| root.run),
            root_crc: root.map_or(0, |root| root.crc),
            list,
            user: state.user,
        };
        let written = medium.write(META_OFFSETS[meta.slot()], &meta.encode());
        written.map_err(|source| {
            let error = Error::io("write the meta slot", medium.path(), source);
            self.poison(&error);
            error
        })?;
        state.sequence = meta.sequence;
        (state.pages, state.list) = (pages, list);
        drop(state);
        self.sync()
    }

    /// Writes both meta slots for the durable checkpoint. With `twin` each says that the other tells the same.
    pub(crate) fn write_both_metas(&self, twin: bool) -> Result<()> {
        let at = self.pins.durable.get().unwrap_or_default();
        let (levels, root) = {
            let table = self.durable.read();
            (table.levels.len(), table.root())
        };
        let (pages, list) = {
            let state = self.meta.lock();
            (state.pages, state.list)
        };
        let news = MetaNews { at, pages, levels, root, list, twin };
        self.write_meta(news)?;
        self.write_meta(news)
    }
}
