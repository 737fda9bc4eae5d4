//! Named snapshots: checkpoints that are kept until somebody says otherwise, across restarts and crashes.
//!
//! Promises:
//! 1. Creating one makes a checkpoint, or takes the durable one if nothing was committed since, and writes the list with its name; one meta makes both durable. Its timestamp
//!    becomes a pin in the same step in which that of the previous checkpoint stops being the durable one's: there is no moment without.
//! 2. Dropping one writes the list without it; only when that is durable does its pin go. What it alone needed is then given back, a bounded part at once, the
//!    rest by later passes of reclamation.
//! 3. A crash leaves the list before or after; never anything that the list which it leaves needs is overwritten.
//! 4. The list changes only while its changer has the claim of the one checkpoint that may be running, and (in memory) under the reclaimer's lock. Who holds that lock
//!    knows that a name that is there keeps its timestamp readable.
//! 5. A store in memory has names, too: pins, until the process ends.

use crate::layout::Run;
use crate::named::{self, MAX_NAMED_SNAPSHOTS, Named};
use crate::pins::ReaderKind;
use crate::planted::Bug;
use crate::read::Pin;
use crate::store::Store;
use crate::sync::Arc;
use crate::{Error, Result, Timestamp};
use std::time::Instant;

/// How many versions and table pages dropping a snapshot gives back at once, at most. The rest is left to reclamation.
const DROP_BUDGET: usize = 1024;

/// A named snapshot, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedInfo {
    /// Its name.
    pub name: Arc<str>,
    /// The newest commit that it has.
    pub at: Timestamp,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Superseded versions and table pages that dropping it would free, in bytes.
    pub bytes_alone: u64,
    /// Those that it needs together with other pins, in bytes.
    pub bytes_shared: u64,
}

fn find<'l>(list: &'l [Named], name: &str) -> Result<(usize, &'l Named)> {
    let index = list.iter().position(|named| &*named.name == name);
    index.map(|index| (index, &list[index])).ok_or_else(|| Error::NoSuchSnapshot(name.to_owned()))
}

/// A list without some of its names.
fn without(list: &mut Vec<Named>, names: &[&str]) -> Result<()> {
    for name in names {
        let (index, _) = find(list, name)?;
        list.remove(index);
    }
    Ok(())
}

fn check_new(list: &[Named], name: &str) -> Result<()> {
    named::check_name(name)?;
    if find(list, name).is_ok() {
        return Err(Error::SnapshotExists(name.to_owned()));
    }
    if list.len() >= MAX_NAMED_SNAPSHOTS {
        return Err(Error::TooManySnapshots { max: MAX_NAMED_SNAPSHOTS });
    }
    Ok(())
}

impl Store {
    /// Keeps the newest commit under a name, and tells its timestamp. When this returns the snapshot would survive a crash. `created_ms` is the time now, in
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// [`Error::SnapshotExists`], [`Error::InvalidSnapshotName`], [`Error::TooManySnapshots`]; and as for [`checkpoint`](Store::checkpoint).
    pub fn snapshot_named(self: &Arc<Self>, name: &str, created_ms: u64) -> Result<Timestamp> {
        self.rename_snapshots(Some((name, created_ms)), &[])
    }

    /// Forgets a named snapshot, durably, and gives back a bounded part of what only it needed; the rest follows with reclamation. Readers that have it
    /// open go on.
    ///
    /// # Errors
    /// [`Error::NoSuchSnapshot`]; and when the medium fails: [`Error::DiskFull`] leaves the store as it was, other failures may poison it.
    pub fn drop_snapshot(self: &Arc<Self>, name: &str) -> Result<()> {
        self.rename_snapshots(None, &[name]).map(drop)
    }

    /// Whether [`rename_snapshots`](Store::rename_snapshots) would find these names as it needs them.
    ///
    /// # Errors
    /// Why not.
    pub fn check_rename(&self, create: Option<&str>, drop: &[&str]) -> Result<()> {
        let mut list = self.named.lock().clone();
        without(&mut list, drop)?;
        create.map_or(Ok(()), |name| check_new(&list, name))
    }

    /// Drops some names and keeps the newest commit under another, all in one step: a crash leaves the names of before or those of after. A name that is
    /// dropped can be given again in the same step. Tells the timestamp of the durable checkpoint, which is that of the new name.
    ///
    /// # Errors
    /// As for [`snapshot_named`](Store::snapshot_named) and [`drop_snapshot`](Store::drop_snapshot): nothing has happened then.
    pub fn rename_snapshots(self: &Arc<Self>, create: Option<(&str, u64)>, drop: &[&str]) -> Result<Timestamp> {
        if self.is_in_memory() {
            return self.rename_in_memory(create, drop);
        }
        let started = Instant::now();
        let mut checkpoint = match create {
            Some(_) => self.begin_checkpoint()?,
            None => self.begin_naming()?,
        };
        let mut list = self.named.lock().clone();
        without(&mut list, drop)?;
        if let Some((name, _)) = create {
            check_new(&list, name)?;
        }
        let update = if checkpoint.has_news() { Some(checkpoint.write_all()?) } else { None };
        if let Some((name, created_ms)) = create {
            let root = checkpoint.root(update.as_ref());
            list.push(Named {
                name: name.into(),
                at: checkpoint.target(),
                created_ms,
                pages: checkpoint.pages(),
                levels: checkpoint.levels(update.as_ref()) as u32,
                root: root.map_or(Run { start: 0, slots: 0 }, |root| root.run),
                root_crc: root.map_or(0, |root| root.crc),
            });
        }
        if self.options.has(Bug::DropNamedPinEarly) && !drop.is_empty() {
            self.forget_names_early(&list);
        }
        let list = checkpoint.write_list(list)?;
        if !self.options.has(Bug::SkipDataSync) {
            self.sync()?;
        }
        checkpoint.make_durable(update, Some(list))?;
        let at = checkpoint.finish(started);
        if !drop.is_empty() {
            self.reclaim(DROP_BUDGET);
        }
        self.cut_tail(crate::slots::CUT_SLOTS);
        Ok(at)
    }

    /// A planted bug: see [`Bug::DropNamedPinEarly`].
    fn forget_names_early(&self, list: &[Named]) {
        self.reclaimer.lock().set_named(list);
        self.maintain();
    }

    fn rename_in_memory(&self, create: Option<(&str, u64)>, drop: &[&str]) -> Result<Timestamp> {
        let mut reclaimer = self.reclaimer.lock();
        let mut new = self.named.lock().clone();
        without(&mut new, drop)?;
        if let Some((name, _)) = create {
            check_new(&new, name)?;
        }
        // Inside the section that keeps commits from being published, and under the reclaimer's lock: nothing that the pin needs is judged before it is known.
        let at = self.clock.pin_installed(|at| {
            let root = Run { start: 0, slots: 0 };
            let create = create.map(|(name, created_ms)| (name.into(), created_ms));
            new.extend(create.map(|(name, created_ms)| Named {
                name,
                at,
                created_ms,
                pages: 0,
                levels: 0,
                root,
                root_crc: 0,
            }));
            reclaimer.set_named(&new);
        });
        *self.named.lock() = new;
        if !drop.is_empty() {
            reclaimer.pass(self, DROP_BUDGET);
        }
        Ok(at)
    }

    /// The names, with their timestamps, and nothing of what they cost.
    #[must_use]
    pub fn names(&self) -> Vec<(Arc<str>, Timestamp)> {
        self.named.lock().iter().map(|named| (named.name.clone(), named.at)).collect()
    }

    /// The timestamp of the newest named snapshot.
    #[must_use]
    pub fn newest_named(&self) -> Option<Timestamp> {
        self.named.lock().last().map(|named| named.at)
    }

    /// A pin at the timestamp of a named snapshot. The name may be dropped meanwhile.
    ///
    /// # Errors
    /// [`Error::NoSuchSnapshot`].
    pub fn open_snapshot(self: &Arc<Self>, name: &str) -> Result<Pin> {
        let _reclaimer = self.reclaimer.lock();
        let at = find(&self.named.lock(), name)?.1.at;
        // While we have the reclaimer the name stays, and with it what it needs.
        let pin = self.pin_at(at, ReaderKind::Snapshot);
        pin.set_label(name);
        Ok(pin)
    }

    /// The named snapshots by timestamp, then by their creation, and what each costs. The cost follows the number of pins, not that of versions. What has been
    /// superseded since the last pass of reclamation does not count yet; [`maintain`](Store::maintain) makes it count.
    #[must_use]
    pub fn named_snapshots(&self) -> Vec<NamedInfo> {
        let mut reclaimer = self.reclaimer.lock();
        let shares = reclaimer.shares(self);
        let list = self.named.lock().clone();
        drop(reclaimer);
        let others_at = |index: usize| {
            let at = list[index].at;
            list.get(index + 1).is_some_and(|next| next.at == at)
                || index.checked_sub(1).is_some_and(|index| list[index].at == at)
                || self.pins.durable.get() == Some(at)
                || self.readers().iter().any(|reader| reader.at == at)
        };
        let infos = list.iter().enumerate().map(|(index, named)| {
            let share = shares.binary_search_by_key(&named.at, |(at, _)| *at).map(|index| shares[index].1);
            let share = share.unwrap_or_default();
            // Who else is at this very timestamp needs all that it needs.
            let (alone, shared) =
                if others_at(index) { (0, share.alone + share.shared) } else { (share.alone, share.shared) };
            NamedInfo {
                name: named.name.clone(),
                at: named.at,
                created_ms: named.created_ms,
                bytes_alone: alone,
                bytes_shared: shared,
            }
        });
        infos.collect()
    }
}
