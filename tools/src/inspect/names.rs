//! The named snapshots of a file, read without opening the store.

use super::checkpoint::Checkpoint;
use super::file::StoreFile;
use pentimento_storage::inspect::{NamedCheckpoint, named_list};

/// The list that the newest checkpoint names; empty if it names none.
///
/// # Errors
/// What is wrong with it.
pub fn read_names(file: &StoreFile, checkpoint: &Checkpoint) -> Result<Vec<NamedCheckpoint>, String> {
    let Some(meta) = checkpoint.meta() else { return Ok(Vec::new()) };
    let Some(list) = meta.names else { return Ok(Vec::new()) };
    let len = list.len as usize;
    if len as u64 > list.run.bytes() || list.run.offset() + list.run.bytes() > checkpoint.head.file_bytes {
        return Err("the list of named snapshots does not lie in the file".to_owned());
    }
    let mut bytes = vec![0; len];
    match file.read(list.run.offset(), &mut bytes) {
        Ok(read) if read == len => {}
        Ok(_) => return Err("the list of named snapshots lies past the end of the file".to_owned()),
        Err(error) => return Err(error.to_string()),
    }
    named_list(&bytes, &list, meta.timestamp).map_err(|error| error.to_string())
}
