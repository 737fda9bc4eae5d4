//! Reading everything back.

use crate::{Archive, Error, Point, Result, chain};
use pentimento_txn::verify_stream;
use std::io::{self, Read};

/// A point that was read back.
#[derive(Debug)]
#[non_exhaustive]
pub struct Checked {
    /// The point.
    pub point: Point,
    /// What is wrong with it; `None` if all is well.
    pub wrong: Option<Error>,
}

/// What an archive holds, read back.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verified {
    /// Every point, in the order of stores, then of time.
    pub points: Vec<Checked>,
    /// Manifests that are damaged.
    pub damaged_manifests: Vec<Error>,
    /// Streams without a manifest: uploads that were cut, or that are going on. [`Archive::prune`] takes old ones away.
    pub unfinished: Vec<String>,
    /// How many bytes were read.
    pub bytes: u64,
}

impl Verified {
    /// Whether every point can be restored. What is unfinished does no harm.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damaged_manifests.is_empty() && self.points.iter().all(|checked| checked.wrong.is_none())
    }
}

impl Archive {
    /// Reads every stream to its end and compares it with its manifest; and looks whether each increment has its base. `see` is told of each point before it is read.
    ///
    /// # Errors
    /// When the place cannot be read. What is wrong with a point is told of the point.
    pub fn verify(&self, mut see: impl FnMut(&Point)) -> Result<Verified> {
        let scan = self.scan()?;
        let (mut points, mut bytes) = (Vec::new(), 0);
        for point in &scan.points {
            see(point);
            let of_its_store: Vec<Point> =
                scan.points.iter().filter(|other| other.source == point.source).cloned().collect();
            let read = self.verify_point(point);
            bytes += read.as_ref().map_or(0, |_| point.bytes);
            let wrong = match (read, point.base) {
                (Err(error), _) => Some(error),
                (Ok(()), Some(base)) if !chain::has(&of_its_store, base) => {
                    Some(Error::NoBase { source_id: point.source, base })
                }
                _ => None,
            };
            points.push(Checked { point: point.clone(), wrong });
        }
        let has_point = |name: &str| scan.points.iter().any(|point| point.stream_name() == name);
        let unfinished = scan.streams.into_iter().map(|item| item.name).filter(|name| !has_point(name)).collect();
        Ok(Verified { points, damaged_manifests: scan.damaged, unfinished, bytes })
    }

    fn verify_point(&self, point: &Point) -> Result<()> {
        let name = point.stream_name();
        let failed = Error::place("read", &name);
        let mut input = self.place.read(&name).map_err(&failed)?;
        let contents = verify_stream(&mut input)?;
        // A stream is read to its end and not further.
        let more = io::copy(&mut input.take(1), &mut io::sink()).map_err(failed)?;
        let differs = |what: &str| Err(Error::WrongStream { name: name.clone(), what: what.to_owned() });
        if (contents.source, contents.timestamp, contents.base) != (point.source, point.timestamp, point.base) {
            differs("it is of another store or other moments")
        } else if contents.bytes != point.bytes || more > 0 {
            differs("it has another length")
        } else if contents.checksum != point.checksum {
            differs("it has another checksum")
        } else {
            Ok(())
        }
    }
}
