//! A stream, chunk by chunk, from a reader.
//!
//! Promises: a chunk that is handed out has the right checksum, follows the one before it, and its operations are in order; the end is right about all of it.

use super::StreamError;
use super::format::{
    CHUNK_HEADER_BYTES, ChunkHeader, ChunkKind, HEADER_BYTES, Header, Identity, Totals, crc_in, crc_of,
};
use super::ops::{Op, Ops};
use super::walk::{Place, Walk};
use std::io::{ErrorKind, Read};

/// Reads until `bytes` is full or the input ends, and tells how much there was.
fn read_full(input: &mut impl Read, mut bytes: &mut [u8]) -> Result<usize, StreamError> {
    let mut done = 0;
    while !bytes.is_empty() {
        match input.read(bytes) {
            Ok(0) => break,
            Ok(len) => {
                done += len;
                bytes = &mut bytes[len..];
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(StreamError::io("read the backup stream")(error)),
        }
    }
    Ok(done)
}

/// Reads the head of a stream.
pub(crate) fn read_header(input: &mut impl Read) -> Result<Header, StreamError> {
    let mut bytes = [0; HEADER_BYTES];
    let len = read_full(input, &mut bytes)?;
    if len == 0 {
        return Err(StreamError::NotAStream { why: "it is empty" });
    }
    if len < HEADER_BYTES {
        // Of something else this is a better word.
        let is_ours = b"PENTSHIP".starts_with(&bytes[..len.min(8)]);
        let other = StreamError::NotAStream { why: "it does not begin with PENTSHIP" };
        return Err(if is_ours { StreamError::Cut { chunks: 0 } } else { other });
    }
    Header::decode(&bytes)
}

/// Where a stream is, by its chunks.
#[derive(Clone, Debug)]
pub(crate) struct Chunks {
    pub identity: Identity,
    /// The number of the next chunk, and the checksum of the one before it.
    pub next: u64,
    pub crc: u32,
    pub walk: Walk,
}

/// A chunk as it came.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub header: [u8; CHUNK_HEADER_BYTES],
    pub body: Vec<u8>,
}

impl Chunks {
    /// Before the first chunk.
    pub fn new(identity: Identity) -> Chunks {
        Chunks { identity, next: 0, crc: identity.crc(), walk: Walk::default() }
    }

    /// Reads the next chunk into `chunk`, shows each of its operations to `see`, and goes on behind it; `None`: that was the end. If it fails it
    /// stays before that chunk.
    pub fn read<E: From<StreamError>>(
        &mut self,
        input: &mut impl Read,
        chunk: &mut Chunk,
        mut see: impl FnMut(&Op<'_>) -> Result<(), E>,
    ) -> Result<Option<()>, E> {
        let cut = StreamError::Cut { chunks: self.next };
        let damaged = |what: &str| StreamError::damaged(self.next, what);
        if read_full(input, &mut chunk.header)? < CHUNK_HEADER_BYTES {
            return Err(cut.into());
        }
        let header = ChunkHeader::decode(&chunk.header, &self.identity, self.next, self.crc).map_err(&damaged)?;
        chunk.body.resize(header.len as usize, 0);
        if read_full(input, &mut chunk.body)? < chunk.body.len() {
            return Err(cut.into());
        }
        let crc = crc_in(&chunk.header);
        if crc_of(&chunk.header, &chunk.body) != crc {
            return Err(damaged("its checksum is wrong").into());
        }
        if header.kind == ChunkKind::End {
            let totals = Totals::decode(&chunk.body).ok_or_else(|| damaged("the end has an impossible length"))?;
            if totals != self.walk.totals || matches!(self.walk.place, Place::Within { .. }) {
                return Err(damaged("the end counts something else than there was").into());
            }
            return Ok(None);
        }
        let mut walk = self.walk.clone();
        for op in Ops::new(&chunk.body) {
            let op = op.map_err(damaged)?;
            walk.pass(&op, self.identity.base.is_none()).map_err(damaged)?;
            see(&op)?;
        }
        walk.totals.bytes += chunk.body.len() as u64;
        self.walk = walk;
        self.next += 1;
        self.crc = crc;
        Ok(Some(()))
    }
}
