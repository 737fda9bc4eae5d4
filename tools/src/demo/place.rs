//! Where the demo's store is: in a folder of its own that goes with the demo, or where the user wants to keep it.

use crate::{Error, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The file of the store; if temporary, removed with this.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl Place {
    pub fn new(kept: Option<&Path>) -> Result<Place> {
        let Some(path) = kept else {
            let dir = tempfile::Builder::new().prefix("pent-demo-").tempdir();
            let dir = dir.map_err(Error::io("make a folder in", std::env::temp_dir()))?;
            return Ok(Place { path: dir.path().join("demo.pent"), temporary: Some(dir) });
        };
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_file() && found.len() == 0 => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) => {
                let why = "exists already, and the demo does not touch what it did not make; choose another path";
                return Err(Error::Usage(format!("{} {why}", path.display())));
            }
            Err(error) => return Err(Error::Usage(format!("cannot use {} for the store: {error}", path.display()))),
        }
        Ok(Place { path: path.to_owned(), temporary: None })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path, if the store stays there.
    pub fn kept(&self) -> Option<&Path> {
        self.temporary.is_none().then_some(&self.path)
    }

    /// The length of the file now.
    pub fn file_bytes(&self) -> Result<u64> {
        Ok(fs::metadata(&self.path).map_err(Error::io("look at", &self.path))?.len())
    }

    /// Removes what is temporary.
    pub fn clean(self) -> Result<()> {
        match self.temporary {
            Some(dir) => dir.close().map_err(Error::io("remove", self.path.parent().unwrap_or(&self.path))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_contents_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("letters.txt");
        fs::write(&path, "dear").unwrap();
        assert!(matches!(Place::new(Some(&path)), Err(Error::Usage(_))));
        assert_eq!(fs::read(&path).unwrap(), b"dear");
        assert!(matches!(Place::new(Some(dir.path())), Err(Error::Usage(_))));
        assert!(Place::new(Some(&dir.path().join("new.pent"))).is_ok());
    }

    #[test]
    fn a_temporary_place_goes_and_a_chosen_one_stays() {
        let place = Place::new(None).unwrap();
        let path = place.path().to_owned();
        fs::write(&path, "store").unwrap();
        assert_eq!((place.kept(), place.file_bytes().unwrap()), (None, 5));
        place.clean().unwrap();
        assert!(!path.parent().unwrap().exists());

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept.pent");
        let place = Place::new(Some(&path)).unwrap();
        fs::write(&path, "store").unwrap();
        assert_eq!(place.kept(), Some(path.as_path()));
        place.clean().unwrap();
        assert!(path.exists());
    }
}
