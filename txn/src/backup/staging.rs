//! Where chunks wait until the last has come: a file beside the store, or memory for a store that has no file.
//!
//! Nothing here is synced, and nothing that is read here is believed: chunks prove themselves by their checksums, so what a crash left of the file
//! is used as far as it is whole.

use super::StreamError;
use crate::Database;
use crate::database::Shared;
use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) enum Staging {
    File { path: PathBuf, file: Option<File> },
    Memory(Vec<u8>),
}

impl Shared {
    /// What is received is staged beside the store's file.
    pub fn stage_beside(&self, path: &Path) {
        let mut staged = path.as_os_str().to_owned();
        staged.push("-receiving");
        let _ = self.staging.set(PathBuf::from(staged));
    }
}

fn failed(error: io::Error) -> StreamError {
    StreamError::io("stage what is received")(error)
}

impl Staging {
    /// What was left by an earlier receiver, or nothing.
    pub fn open(db: &Database) -> Result<Staging, StreamError> {
        let Some(path) = db.shared().staging.get() else { return Ok(Staging::Memory(Vec::new())) };
        let file = match File::options().read(true).write(true).open(path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        Ok(Staging::File { path: path.clone(), file })
    }

    /// Reads it from its beginning.
    pub fn reader(&mut self) -> Result<Box<dyn Read + '_>, StreamError> {
        match self {
            Staging::File { file: Some(file), .. } => {
                file.seek(SeekFrom::Start(0)).map_err(failed)?;
                Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
            }
            Staging::File { file: None, .. } => Ok(Box::new(io::empty())),
            Staging::Memory(bytes) => Ok(Box::new(Cursor::new(bytes))),
        }
    }

    /// Puts `parts` at byte `at`, one behind the other, and forgets whatever was there and behind.
    pub fn write(&mut self, at: u64, parts: [&[u8]; 2]) -> Result<(), StreamError> {
        match self {
            Staging::File { path, file } => {
                let file = match file {
                    Some(file) => file,
                    None => {
                        let options = File::options().read(true).write(true).create(true).truncate(true).open(path);
                        file.insert(options.map_err(failed)?)
                    }
                };
                if file.metadata().map_err(failed)?.len() != at {
                    file.set_len(at).map_err(failed)?;
                }
                file.seek(SeekFrom::Start(at)).map_err(failed)?;
                parts.iter().try_for_each(|part| file.write_all(part)).map_err(failed)
            }
            Staging::Memory(bytes) => {
                bytes.truncate(at as usize);
                parts.iter().for_each(|part| bytes.extend_from_slice(part));
                Ok(())
            }
        }
    }

    /// Removes it.
    pub fn remove(&mut self) -> Result<(), StreamError> {
        match self {
            Staging::File { path, file } => match file.take() {
                Some(_) => fs::remove_file(path).map_err(failed),
                None => Ok(()),
            },
            Staging::Memory(bytes) => {
                *bytes = Vec::new();
                Ok(())
            }
        }
    }
}
