//! A folder as a place.
//!
//! Promises: an item gets its name when it is whole and synced; what a crash left of others has names that are not listed, and [`Place::list`] after a day removes them.

use crate::place::{Item, Place, Upload};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What the name of an item ends with while it is being written.
const UNFINISHED: &str = ".part";
/// An item that nobody has written to for so long will not be finished.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// A folder of a file system. It is made when the first item is written.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

struct FolderUpload {
    file: BufWriter<File>,
    unfinished: PathBuf,
    path: PathBuf,
    is_finished: bool,
}

impl Folder {
    /// The folder at this path.
    #[must_use]
    pub fn new(root: impl AsRef<Path>) -> Folder {
        Folder { root: root.as_ref().to_owned() }
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let is_plain = name.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        if is_plain { Ok(self.root.join(name)) } else { Err(ErrorKind::InvalidInput.into()) }
    }
}

impl Place for Folder {
    fn write(&self, name: &str) -> io::Result<Box<dyn Upload + '_>> {
        let path = self.path(name)?;
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        // The folder's own name must outlast a crash, too.
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(format!(".{}{UNFINISHED}", std::process::id()));
        let unfinished = PathBuf::from(unfinished);
        let file = BufWriter::with_capacity(1 << 20, File::create(&unfinished)?);
        Ok(Box::new(FolderUpload { file, unfinished, path, is_finished: false }))
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(BufReader::with_capacity(1 << 20, File::open(self.path(name)?)?)))
    }

    fn list(&self) -> io::Result<Vec<Item>> {
        let mut items = Vec::new();
        let folders = match fs::read_dir(&self.root) {
            Ok(folders) => folders,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(items),
            Err(error) => return Err(error),
        };
        for folder in folders {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                let file = file?;
                let Ok(metadata) = file.metadata() else { continue };
                let (Some(parent), Some(name)) =
                    (folder.file_name().to_str().map(str::to_owned), file.file_name().to_str().map(str::to_owned))
                else {
                    continue;
                };
                let written = metadata.modified()?;
                if name.ends_with(UNFINISHED) {
                    if SystemTime::now().duration_since(written).is_ok_and(|age| age > ABANDONED) {
                        let _ = fs::remove_file(file.path());
                    }
                } else if metadata.is_file() {
                    items.push(Item { name: format!("{parent}/{name}"), bytes: metadata.len(), written });
                }
            }
        }
        Ok(items)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // What goes first must be gone first after a crash, too.
        sync_folder_of(&path)
    }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent().map(File::open) {
        Some(Ok(folder)) => folder.sync_all(),
        _ => Ok(()),
    }
}

impl Write for FolderUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Upload for FolderUpload {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(&self.unfinished, &self.path)?;
        self.is_finished = true;
        sync_folder_of(&self.path)
    }
}

impl Drop for FolderUpload {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}
