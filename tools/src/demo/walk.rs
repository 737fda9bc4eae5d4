//! The files of a folder, each with its record.

use super::record::Record;
use crate::{Error, Result};
use pentimento::MAX_KEY_LEN;
use std::env;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// How much of each file the checksum covers.
const CHECKED_BYTES: usize = 64 << 10;

/// A file with its path below the folder.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub path: Box<[u8]>,
    pub record: Record,
}

/// Walks a folder, in the order of names. What cannot be read is counted and left out. Symbolic links are not followed, and other file systems
/// are not entered: among the files of /proc are some that never end, and some that wait for events.
pub(crate) struct Walk {
    root: PathBuf,
    entries: walkdir::IntoIter,
    buffer: Vec<u8>,
    skipped: u64,
}

impl Walk {
    pub fn new(root: &Path) -> Walk {
        let entries = WalkDir::new(root).follow_links(false).same_file_system(true).sort_by_file_name().into_iter();
        Walk { root: root.to_owned(), entries, buffer: vec![0; CHECKED_BYTES], skipped: 0 }
    }

    /// How many files or folders could not be read so far.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn found(&mut self, entry: &walkdir::DirEntry) -> io::Result<Found> {
        let path = entry.path().strip_prefix(&self.root).map_err(io::Error::other)?.as_os_str().as_bytes();
        if path.len() > MAX_KEY_LEN {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        let metadata = entry.metadata()?;
        let crc = self.checksum(entry.path(), &metadata)?;
        Ok(Found { path: path.into(), record: Record::new(&metadata, crc) })
    }

    fn checksum(&mut self, path: &Path, metadata: &Metadata) -> io::Result<u32> {
        if metadata.is_symlink() {
            return Ok(crc32fast::hash(fs::read_link(path)?.as_os_str().as_bytes()));
        }
        if !metadata.is_file() {
            return Ok(0);
        }
        let mut file = File::open(path)?;
        let mut len = 0;
        while len < self.buffer.len() {
            match file.read(&mut self.buffer[len..]) {
                Ok(0) => break,
                Ok(more) => len += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(crc32fast::hash(&self.buffer[..len]))
    }
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            match self.entries.next()? {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => match self.found(&entry) {
                    Ok(found) => return Some(found),
                    Err(_) => self.skipped += 1,
                },
                Err(_) => self.skipped += 1,
            }
        }
    }
}

/// The folder to show when none is named: sources that cargo has fetched, or documentation that most systems have.
pub(crate) fn default_folder() -> Result<PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let candidates = cargo_home.map(|home| home.join("registry")).into_iter().chain([PathBuf::from("/usr/share")]);
    let has_entries = |folder: &PathBuf| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    candidates
        .into_iter()
        .find(has_entries)
        .ok_or_else(|| Error::Usage("found neither cargo's registry nor /usr/share; name a folder".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::record::Kind;
    use std::os::unix::fs::symlink;

    #[test]
    fn files_and_links_are_found_in_order_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/b.txt"), "hello").unwrap();
        fs::write(dir.path().join("a.bin"), vec![7; CHECKED_BYTES + 1]).unwrap();
        symlink("sub", dir.path().join("link")).unwrap();

        let mut walk = Walk::new(dir.path());
        let found: Vec<Found> = walk.by_ref().collect();
        let paths: Vec<&[u8]> = found.iter().map(|found| &*found.path).collect();
        assert_eq!(paths, [b"a.bin".as_slice(), b"link", b"sub/b.txt"]);
        assert_eq!(walk.skipped(), 0);
        assert_eq!(found[0].record.size, CHECKED_BYTES as u64 + 1);
        assert_eq!(found[0].record.crc, crc32fast::hash(&vec![7; CHECKED_BYTES]));
        assert_eq!((found[1].record.kind, found[1].record.crc), (Kind::Symlink, crc32fast::hash(b"sub")));
        assert_eq!(found[2].record.crc, crc32fast::hash(b"hello"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut walk = Walk::new(&dir.path().join("nothing"));
        assert!(walk.next().is_none());
        assert_eq!(walk.skipped(), 1);
    }
}
