//! Reading a stream back without a store.

use super::format::{HEADER_BYTES, Header, Identity, crc_in};
use super::ops::Op;
use super::read::{Chunk, Chunks, read_header};
use super::{StoreId, StreamError};
use crate::{Result, Timestamp};
use std::io::Read;

/// How many bytes [`stream_head`] wants.
pub const STREAM_HEAD_BYTES: usize = HEADER_BYTES;

/// What a stream says of itself at its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamHead {
    /// The store that it comes from.
    pub source: StoreId,
    /// The moment that it leads to.
    pub timestamp: Timestamp,
    /// The moment that it is based on; `None` if it is whole.
    pub base: Option<Timestamp>,
    /// The first chunk that follows: 0, unless it goes on where a receiver stopped.
    pub first_chunk: u64,
}

/// What a stream is, from its first bytes alone.
///
/// # Errors
/// [`StreamError::NotAStream`], [`StreamError::UnsupportedVersion`], [`StreamError::Damaged`], as [`Error::Stream`](crate::Error::Stream).
pub fn stream_head(bytes: &[u8; STREAM_HEAD_BYTES]) -> Result<StreamHead> {
    let Header { identity: Identity { source, timestamp, base, .. }, first, .. } = Header::decode(bytes)?;
    Ok(StreamHead { source, timestamp, base, first_chunk: first })
}

/// What a stream has of one tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeContents {
    /// The tree's name.
    pub name: String,
    /// Whether it is dropped (and made anew, if anything follows).
    pub is_dropped: bool,
    /// Entries that are set.
    pub puts: u64,
    /// Entries that are removed.
    pub removes: u64,
    /// The bytes of the keys and values of those entries.
    pub bytes: u64,
}

/// What a stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamContents {
    /// The store that it comes from.
    pub source: StoreId,
    /// The moment that it leads to.
    pub timestamp: Timestamp,
    /// The moment that it is based on; `None` if it is whole.
    pub base: Option<Timestamp>,
    /// Its chunks, without the end.
    pub chunks: u64,
    /// Its length, in bytes.
    pub bytes: u64,
    /// The checksum of the end, which covers everything before it.
    pub checksum: u32,
    /// The trees that it is about, by name.
    pub trees: Vec<TreeContents>,
}

impl StreamContents {
    /// The entries that it sets and removes.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.trees.iter().map(|tree| tree.puts + tree.removes).sum()
    }
}

/// Reads a backup stream to its end, checks everything in it that a receiver would check, and tells what it holds. No store is needed.
///
/// ```
/// # use pentimento_txn as pentimento;
/// # let db = pentimento::Database::in_memory()?;
/// # let mut txn = db.begin_write()?;
/// # txn.tree("orders")?.insert(b"1001", b"two chairs")?;
/// # txn.commit()?;
/// let mut stream = Vec::new();
/// db.backup(&mut stream)?;
/// let contents = pentimento::verify_stream(stream.as_slice())?;
/// assert_eq!((contents.trees[0].name.as_str(), contents.entries()), ("orders", 1));
/// stream[100] ^= 1;
/// assert!(pentimento::verify_stream(stream.as_slice()).is_err());
/// # Ok::<(), pentimento::Error>(())
/// ```
///
/// # Errors
/// What is wrong with it, as a [`StreamError`]; [`StreamError::WrongResume`] for a stream that begins in its middle.
pub fn verify_stream(mut stream: impl Read) -> Result<StreamContents> {
    let header = read_header(&mut stream)?;
    if header.first > 0 {
        return Err(StreamError::WrongResume { found: header.first, expected: 0 }.into());
    }
    let mut chunks = Chunks::new(header.identity);
    let mut chunk = Chunk::default();
    let mut trees: Vec<TreeContents> = Vec::new();
    let mut bytes = HEADER_BYTES as u64;
    loop {
        let more = chunks.read::<StreamError>(&mut stream, &mut chunk, |op| {
            count(&mut trees, op);
            Ok(())
        })?;
        bytes += (chunk.header.len() + chunk.body.len()) as u64;
        if more.is_none() {
            break;
        }
    }
    let Chunks { identity, next, .. } = chunks;
    Ok(StreamContents {
        source: identity.source,
        timestamp: identity.timestamp,
        base: identity.base,
        chunks: next,
        bytes,
        checksum: crc_in(&chunk.header),
        trees,
    })
}

fn count(trees: &mut Vec<TreeContents>, op: &Op<'_>) {
    let (Op::Tree(name) | Op::DropTree(name)) = *op else {
        let Some(tree) = trees.last_mut() else { return };
        let (puts, removes, bytes) = match *op {
            Op::Put(key, value) => (1, 0, key.len() + value.len()),
            Op::Part { key, offset: 0, bytes, .. } => (1, 0, key.len() + bytes.len()),
            Op::Part { bytes, .. } => (0, 0, bytes.len()),
            Op::Remove(key) => (0, 1, key.len()),
            Op::Tree(_) | Op::DropTree(_) => (0, 0, 0),
        };
        tree.puts += puts;
        tree.removes += removes;
        tree.bytes += bytes as u64;
        return;
    };
    if trees.last().is_none_or(|tree| tree.name != name) {
        let is_dropped = matches!(op, Op::DropTree(_));
        trees.push(TreeContents { name: name.to_owned(), is_dropped, ..TreeContents::default() });
    }
}
