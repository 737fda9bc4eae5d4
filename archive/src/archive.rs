//! An archive: its points, and how one is added.

use crate::chain;
use crate::folder::Folder;
use crate::manifest::Point;
use crate::place::{Item, Place};
use crate::{Error, Result};
use pentimento_txn::{Database, Snapshot, StoreId, StreamProgress, Timestamp};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

/// The longest manifest that is read, in bytes: one that is longer is none.
const MANIFEST_BYTES_MAX: u64 = 64 << 10;

/// Chains of backups in a place. Clones share it; several processes may use one place at a time.
#[derive(Clone, Debug)]
pub struct Archive {
    pub(crate) place: Arc<dyn Place>,
}

/// Everything that is in a place.
pub(crate) struct Scan {
    /// In the order of stores, then of time.
    pub points: Vec<Point>,
    pub damaged: Vec<Error>,
    pub streams: Vec<Item>,
}

impl Archive {
    /// An archive in any place.
    #[must_use]
    pub fn new(place: Arc<dyn Place>) -> Archive {
        Archive { place }
    }

    /// An archive in a folder, which is made when the first point is added.
    ///
    /// # Errors
    /// [`Error::UnknownPlace`] if there is something else than a folder.
    pub fn in_folder(path: impl AsRef<Path>) -> Result<Archive> {
        let path = path.as_ref();
        if path.exists() && !path.is_dir() {
            let why = "it is a file; name a folder".to_owned();
            return Err(Error::UnknownPlace { destination: path.display().to_string(), why });
        }
        Ok(Archive::new(Arc::new(Folder::new(path))))
    }

    /// An archive at a destination: a path, or, with the feature `object-store`, a URL.
    ///
    /// # Errors
    /// [`Error::UnknownPlace`].
    pub fn at(destination: &str) -> Result<Archive> {
        if !destination.contains("://") {
            return Archive::in_folder(destination);
        }
        #[cfg(feature = "object-store")]
        return Ok(Archive::new(Arc::new(crate::Objects::at(destination)?)));
        #[cfg(not(feature = "object-store"))]
        Err(Error::UnknownPlace {
            destination: destination.to_owned(),
            why: "this program was built without object stores; build it with the feature `cloud`, or name a folder"
                .to_owned(),
        })
    }

    pub(crate) fn scan(&self) -> Result<Scan> {
        let items = self.place.list().map_err(Error::place("list", "the archive"))?;
        let (mut points, mut damaged, mut streams) = (Vec::new(), Vec::new(), Vec::new());
        for item in items {
            if item.name.ends_with(".json") {
                match self.read_manifest(&item.name) {
                    Ok(Some(point)) => points.push(point),
                    Ok(None) => {}
                    Err(error @ Error::DamagedManifest { .. }) => damaged.push(error),
                    Err(error) => return Err(error),
                }
            } else if item.name.ends_with(".stream") {
                streams.push(item);
            }
        }
        points.sort_by_key(|point| (point.source, point.timestamp, point.base));
        Ok(Scan { points, damaged, streams })
    }

    /// `None`: it was removed meanwhile.
    fn read_manifest(&self, name: &str) -> Result<Option<Point>> {
        let failed = Error::place("read", name);
        let input = match self.place.read(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            input => input.map_err(&failed)?,
        };
        let mut text = Vec::new();
        input.take(MANIFEST_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
        Point::from_json(name, &text).map(Some)
    }

    /// The points of all stores, in the order of stores, then of time. What has no whole manifest is not among them.
    ///
    /// # Errors
    /// When the place cannot be read.
    pub fn points(&self) -> Result<Vec<Point>> {
        Ok(self.scan()?.points)
    }

    /// The points of one store.
    ///
    /// # Errors
    /// When the place cannot be read.
    pub fn points_of(&self, source: StoreId) -> Result<Vec<Point>> {
        let mut points = self.points()?;
        points.retain(|point| point.source == source);
        Ok(points)
    }

    /// The newest moment of a store that can be restored.
    ///
    /// # Errors
    /// When the place cannot be read.
    pub fn newest(&self, source: StoreId) -> Result<Option<Timestamp>> {
        Ok(chain::newest(&self.points_of(source)?))
    }

    /// The moments of a store that can be restored, oldest first.
    ///
    /// # Errors
    /// When the place cannot be read.
    pub fn restorable(&self, source: StoreId) -> Result<Vec<Timestamp>> {
        let points = self.points_of(source)?;
        let mut stamps: Vec<Timestamp> = points.iter().map(|point| point.timestamp).collect();
        stamps.dedup();
        stamps.retain(|at| chain::has(&points, *at));
        Ok(stamps)
    }

    /// Adds a point: the whole of a snapshot, or what changed since a base that the archive has. Writers go on meanwhile.
    ///
    /// # Errors
    /// [`Error::PointExists`], [`Error::NoBase`], when the store or the place fails. Then the archive is as it was.
    pub fn back_up(&self, db: &Database, snapshot: &Snapshot, base: Option<&Snapshot>) -> Result<Point> {
        self.back_up_with(db, snapshot, base, |_| {})
    }

    /// The same, telling after each chunk how far it is.
    ///
    /// # Errors
    /// As for [`back_up`](Archive::back_up).
    pub fn back_up_with(
        &self,
        db: &Database,
        snapshot: &Snapshot,
        base: Option<&Snapshot>,
        progress: impl FnMut(&StreamProgress),
    ) -> Result<Point> {
        let (source, timestamp) = (db.id(), snapshot.timestamp());
        let points = self.points_of(source)?;
        let based_on = base.map(Snapshot::timestamp);
        let is_there = points.iter().any(|point| point.timestamp == timestamp && point.base == based_on);
        if is_there || based_on == Some(timestamp) {
            return Err(Error::PointExists { source_id: source, timestamp });
        }
        if let Some(base) = based_on.filter(|base| !chain::has(&points, *base)) {
            return Err(Error::NoBase { source_id: source, base });
        }
        let name = Point::stream_name_of(source, timestamp, based_on);
        let failed = Error::place("write", &name);
        let mut upload = self.place.write(&name).map_err(&failed)?;
        let backup = db.backup_of(snapshot).on_progress(progress);
        let backup = if let Some(base) = base { backup.since(base) } else { backup };
        let shipped = backup.write_to(&mut upload)?;
        upload.finish().map_err(failed)?;

        // Only now it is a point.
        let point = Point::of(source, &shipped);
        let name = point.manifest_name();
        let failed = Error::place("write", &name);
        let mut upload = self.place.write(&name).map_err(&failed)?;
        upload.write_all(point.to_json().as_bytes()).map_err(&failed)?;
        upload.finish().map_err(failed)?;
        Ok(point)
    }
}
