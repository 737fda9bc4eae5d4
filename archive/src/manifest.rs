//! What the archive knows of each point: a small JSON text beside its stream.

use crate::{Error, Result};
use pentimento_txn::{Shipped, StoreId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// The version of the manifests that this program writes and reads.
const FORMAT: u32 = 1;

/// A point of a chain: one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Point {
    /// The store that it is of.
    pub source: StoreId,
    /// The moment that it leads to.
    pub timestamp: Timestamp,
    /// The moment that it is based on; `None` if it is whole.
    pub base: Option<Timestamp>,
    /// When it was made, by the clock of who made it, in whole seconds.
    pub made: SystemTime,
    /// The length of its stream.
    pub bytes: u64,
    /// The checksum of its stream's end, which covers everything in it.
    pub checksum: u32,
    /// Entries that it sets.
    pub puts: u64,
    /// Entries that it removes.
    pub removes: u64,
}

/// The same, as it is written down.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    source: String,
    timestamp: u64,
    base: Option<u64>,
    made_unix_s: u64,
    bytes: u64,
    checksum: u32,
    puts: u64,
    removes: u64,
}

impl Point {
    pub(crate) fn of(source: StoreId, shipped: &Shipped) -> Point {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let made = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
        let Shipped { timestamp, base, bytes, checksum, puts, removes, .. } = *shipped;
        Point { source, timestamp, base, made, bytes, checksum, puts, removes }
    }

    fn stem(source: StoreId, timestamp: Timestamp, base: Option<Timestamp>) -> String {
        match base {
            Some(base) => format!("{source}/{timestamp:020}-from-{base:020}", timestamp = timestamp.0, base = base.0),
            None => format!("{source}/{timestamp:020}-whole", timestamp = timestamp.0),
        }
    }

    /// The name of its stream in the archive.
    #[must_use]
    pub fn stream_name(&self) -> String {
        Point::stream_name_of(self.source, self.timestamp, self.base)
    }

    pub(crate) fn stream_name_of(source: StoreId, timestamp: Timestamp, base: Option<Timestamp>) -> String {
        Point::stem(source, timestamp, base) + ".stream"
    }

    pub(crate) fn manifest_name(&self) -> String {
        Point::stem(self.source, self.timestamp, self.base) + ".json"
    }

    pub(crate) fn to_json(&self) -> String {
        let made = self.made.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let manifest = Manifest {
            format: FORMAT,
            source: self.source.to_string(),
            timestamp: self.timestamp.0,
            base: self.base.map(|base| base.0),
            made_unix_s: made.as_secs(),
            bytes: self.bytes,
            checksum: self.checksum,
            puts: self.puts,
            removes: self.removes,
        };
        let text = serde_json::to_string_pretty(&manifest);
        text.expect("numbers and strings can be written") + "\n"
    }

    /// A point from the manifest of this name.
    pub(crate) fn from_json(name: &str, text: &[u8]) -> Result<Point> {
        let damaged = |why: String| Error::DamagedManifest { name: name.to_owned(), why };
        let manifest: Manifest = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(damaged(format!("it has version {}, this program reads {FORMAT}", manifest.format)));
        }
        let point = Point {
            source: manifest.source.parse().map_err(|why: &str| damaged(why.to_owned()))?,
            timestamp: Timestamp(manifest.timestamp),
            base: manifest.base.map(Timestamp),
            made: SystemTime::UNIX_EPOCH
                .checked_add(Duration::from_secs(manifest.made_unix_s))
                .ok_or_else(|| damaged("its time is impossible".to_owned()))?,
            bytes: manifest.bytes,
            checksum: manifest.checksum,
            puts: manifest.puts,
            removes: manifest.removes,
        };
        if point.manifest_name() != name || point.base.is_some_and(|base| base >= point.timestamp) {
            return Err(damaged("it does not belong to its name".to_owned()));
        }
        Ok(point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_back_or_refused() {
        let point = Point {
            source: StoreId([0xAB; 16]),
            timestamp: Timestamp(77),
            base: Some(Timestamp(5)),
            made: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000),
            bytes: 1,
            checksum: 2,
            puts: 3,
            removes: 4,
        };
        let (name, text) = (point.manifest_name(), point.to_json());
        assert_eq!(name, format!("{}/00000000000000000077-from-00000000000000000005.json", "ab".repeat(16)));
        assert_eq!(Point::from_json(&name, text.as_bytes()).unwrap(), point);
        for wrong in [
            text.replace("\"format\": 1", "\"format\": 2"),
            text.replace("77", "78"),
            text.replace("\"made_unix_s\": 1000000", "\"made_unix_s\": 18446744073709551615"),
            text.replace("abab", "zzzz"),
            text[..text.len() / 2].to_owned(),
        ] {
            assert!(Point::from_json(&name, wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
