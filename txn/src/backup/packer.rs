//! Operations into chunks, chunks into a writer.
//!
//! Promises: where a chunk ends depends on the operations alone; a body is never longer than the format allows, and one value of any length takes the memory of one chunk.

use super::StreamError;
use super::format::{ChunkHeader, ChunkKind, Header, Identity, Totals};
use super::ops::Op;
use super::position::ResumePosition;
use super::send::{Shipped, StreamProgress};
use super::walk::{Place, Walk};
use std::io::Write;

pub(crate) struct Packer<'p, W> {
    writer: W,
    identity: Identity,
    body: Vec<u8>,
    /// Whether the chunk has named the tree that it is on.
    names_tree: bool,
    walk: Walk,
    chunks: u64,
    crc: u32,
    bytes_written: u64,
    progress: Option<&'p mut dyn FnMut(&StreamProgress)>,
}

impl<'p, W: Write> Packer<'p, W> {
    /// Begins a stream, or goes on with one.
    pub fn new(
        writer: W,
        identity: Identity,
        from: Option<&ResumePosition>,
        progress: Option<&'p mut dyn FnMut(&StreamProgress)>,
    ) -> Result<Packer<'p, W>, StreamError> {
        let (chunks, crc) = from.map_or((0, identity.crc()), |from| (from.chunks, from.crc));
        let walk = from.map_or_else(Walk::default, |from| from.walk.clone());
        let body = Vec::with_capacity(identity.chunk_bytes as usize);
        let (names_tree, bytes_written) = (false, 0);
        let mut packer = Packer { writer, identity, body, names_tree, walk, chunks, crc, bytes_written, progress };
        packer.write(&Header { identity, first: chunks, previous_crc: crc }.encode())?;
        Ok(packer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.writer.write_all(bytes).map_err(StreamError::io("write the backup stream"))?;
        self.bytes_written += bytes.len() as u64;
        Ok(())
    }

    pub fn walk(&self) -> &Walk {
        &self.walk
    }

    /// The entries that follow are of this tree.
    pub fn tree(&mut self, name: &str) -> Result<(), StreamError> {
        let is_entered = !matches!(self.walk.place, Place::Start | Place::Dropped) && self.walk.tree == name;
        if is_entered {
            return Ok(());
        }
        self.push(&Op::Tree(name))?;
        self.names_tree = true;
        Ok(())
    }

    pub fn drop_tree(&mut self, name: &str) -> Result<(), StreamError> {
        self.push(&Op::DropTree(name))
    }

    pub fn remove(&mut self, key: &[u8]) -> Result<(), StreamError> {
        self.push_in_tree(&Op::Remove(key))
    }

    /// An entry, from `offset` of its value on.
    pub fn put(&mut self, key: &[u8], value: &[u8], offset: u64) -> Result<(), StreamError> {
        let target = self.identity.chunk_bytes as usize;
        if offset == 0 && value.len() <= target {
            return self.push_in_tree(&Op::Put(key, value));
        }
        let (total, from) = (value.len() as u64, offset as usize);
        for (number, bytes) in value[from..].chunks(target).enumerate() {
            let offset = offset + (number * target) as u64;
            self.push_in_tree(&Op::Part { key, total, offset, bytes })?;
        }
        Ok(())
    }

    fn push_in_tree(&mut self, op: &Op<'_>) -> Result<(), StreamError> {
        self.make_room(op)?;
        if !self.names_tree {
            Op::Tree(&self.walk.tree).encode(&mut self.body);
            self.names_tree = true;
        }
        self.append(op)
    }

    fn push(&mut self, op: &Op<'_>) -> Result<(), StreamError> {
        self.make_room(op)?;
        self.names_tree = false;
        self.append(op)
    }

    fn make_room(&mut self, op: &Op<'_>) -> Result<(), StreamError> {
        let is_full = self.body.len() + op.most_bytes() > self.identity.chunk_bytes as usize;
        if is_full && !self.body.is_empty() { self.flush() } else { Ok(()) }
    }

    fn append(&mut self, op: &Op<'_>) -> Result<(), StreamError> {
        let passed = self.walk.pass(op, self.identity.base.is_none());
        debug_assert_eq!(passed, Ok(()), "a sender sends in order");
        passed.map_err(|what| StreamError::damaged(self.chunks, format!("the source is not in order: {what}")))?;
        op.encode(&mut self.body);
        Ok(())
    }

    /// Ends the chunk.
    fn flush(&mut self) -> Result<(), StreamError> {
        let body = std::mem::take(&mut self.body);
        self.walk.totals.bytes += body.len() as u64;
        self.chunk(ChunkKind::Operations, &body)?;
        self.body = body;
        self.body.clear();
        self.names_tree = false;
        if let Some(progress) = &mut self.progress {
            let walk = &self.walk;
            progress(&StreamProgress {
                chunks: self.chunks,
                bytes: self.bytes_written,
                entries: walk.totals.puts + walk.totals.removes,
                tree: walk.tree.clone(),
            });
        }
        Ok(())
    }

    fn chunk(&mut self, kind: ChunkKind, body: &[u8]) -> Result<(), StreamError> {
        let header = ChunkHeader { kind, len: body.len() as u32, number: self.chunks, previous_crc: self.crc };
        let (bytes, crc) = header.encode(body);
        self.write(&bytes)?;
        self.write(body)?;
        self.chunks += 1;
        self.crc = crc;
        Ok(())
    }

    /// Ends the stream, and tells what it came to.
    pub fn finish(mut self) -> Result<Shipped, StreamError> {
        if !self.body.is_empty() {
            self.flush()?;
        }
        let chunks = self.chunks;
        self.chunk(ChunkKind::End, &self.walk.totals.encode())?;
        self.writer.flush().map_err(StreamError::io("write the backup stream"))?;
        let (Identity { timestamp, base, .. }, Totals { puts, removes, .. }) = (self.identity, self.walk.totals);
        Ok(Shipped { timestamp, base, chunks, bytes: self.bytes_written, checksum: self.crc, puts, removes })
    }
}
