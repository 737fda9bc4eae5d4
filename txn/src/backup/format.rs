//! Headers of streams and chunks: bytes to fields and back. `mod.rs` draws them.

use super::{StoreId, StreamError};
use crate::Timestamp;

/// The version of the format that this program writes and reads.
pub(crate) const VERSION: u32 = 1;
pub(crate) const HEADER_BYTES: usize = 80;
/// The part of the header that says what the stream is, wherever it begins.
pub(crate) const IDENTITY_BYTES: usize = 64;
pub(crate) const CHUNK_HEADER_BYTES: usize = 24;
pub(crate) const TOTALS_BYTES: usize = 40;
const MAGIC: &[u8; 8] = b"PENTSHIP";

/// What a chunk's body aims at, in bytes, and the least and the most that can be asked for.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;
pub(crate) const MIN_CHUNK_BYTES: usize = 1 << 10;
pub(crate) const MAX_CHUNK_BYTES: usize = 8 << 20;
/// How much longer than that a body can be: an operation with the longest key that is not worth dividing.
pub(crate) const CHUNK_SLACK: usize = 64 << 10;

/// What a stream is: from where, from which moment to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub chunk_bytes: u32,
    pub source: StoreId,
    pub timestamp: Timestamp,
    /// `None`: whole.
    pub base: Option<Timestamp>,
    pub page_size: u32,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

impl Identity {
    pub fn encode(&self) -> [u8; IDENTITY_BYTES] {
        let mut bytes = [0; IDENTITY_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.chunk_bytes.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.source.0);
        bytes[32..40].copy_from_slice(&self.timestamp.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.base.unwrap_or(Timestamp::ZERO).0.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.page_size.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; IDENTITY_BYTES]) -> Result<Identity, StreamError> {
        if bytes[..8] != *MAGIC {
            return Err(StreamError::NotAStream { why: "it does not begin with PENTSHIP" });
        }
        // The version comes first: what follows it may be laid out in another way.
        let found = u32_at(bytes, 8);
        if found != VERSION {
            return Err(StreamError::UnsupportedVersion { found, supported: VERSION });
        }
        if crc32fast::hash(&bytes[..60]) != u32_at(bytes, 60) {
            return Err(StreamError::damaged(0, "the header's checksum is wrong"));
        }
        let chunk_bytes = u32_at(bytes, 12);
        let base = Some(Timestamp(u64_at(bytes, 40))).filter(|base| *base > Timestamp::ZERO);
        let timestamp = Timestamp(u64_at(bytes, 32));
        if !(MIN_CHUNK_BYTES..=MAX_CHUNK_BYTES).contains(&(chunk_bytes as usize))
            || base.is_some_and(|base| base > timestamp)
        {
            return Err(StreamError::damaged(0, "the header contradicts itself"));
        }
        let source = StoreId(bytes[16..32].try_into().expect("sixteen bytes"));
        Ok(Identity { chunk_bytes, source, timestamp, base, page_size: u32_at(bytes, 48) })
    }

    /// What stands for the checksum of a chunk before the first.
    pub fn crc(&self) -> u32 {
        u32_at(&self.encode(), 60)
    }

    /// The longest body that a chunk of this stream can have.
    pub fn max_body(&self) -> usize {
        self.chunk_bytes as usize + CHUNK_SLACK
    }
}

/// How a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub identity: Identity,
    /// The first chunk that follows, and the checksum of the one before it.
    pub first: u64,
    pub previous_crc: u32,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..IDENTITY_BYTES].copy_from_slice(&self.identity.encode());
        bytes[64..72].copy_from_slice(&self.first.to_le_bytes());
        bytes[72..76].copy_from_slice(&self.previous_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[64..76]);
        bytes[76..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header, StreamError> {
        let identity = Identity::decode(bytes.first_chunk().expect("the header is longer"))?;
        if crc32fast::hash(&bytes[64..76]) != u32_at(bytes, 76) {
            return Err(StreamError::damaged(0, "the checksum of the header's second part is wrong"));
        }
        let (first, previous_crc) = (u64_at(bytes, 64), u32_at(bytes, 72));
        if first == 0 && previous_crc != identity.crc() {
            return Err(StreamError::damaged(0, "the first chunk does not follow the header"));
        }
        Ok(Header { identity, first, previous_crc })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkKind {
    Operations,
    End,
}

/// What stands before the body of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkHeader {
    pub kind: ChunkKind,
    pub len: u32,
    pub number: u64,
    pub previous_crc: u32,
}

impl ChunkHeader {
    /// The header's bytes, and the checksum in them.
    pub fn encode(&self, body: &[u8]) -> ([u8; CHUNK_HEADER_BYTES], u32) {
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        let kind: u32 = if self.kind == ChunkKind::Operations { 1 } else { 2 };
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.previous_crc.to_le_bytes());
        let crc = crc_of(&bytes, body);
        bytes[20..].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    /// The header that must come next in this stream; or what is wrong with it.
    pub fn decode(
        bytes: &[u8; CHUNK_HEADER_BYTES],
        identity: &Identity,
        number: u64,
        previous_crc: u32,
    ) -> Result<ChunkHeader, &'static str> {
        let kind = match u32_at(bytes, 0) {
            1 => ChunkKind::Operations,
            2 => ChunkKind::End,
            _ => return Err("its kind is unknown"),
        };
        let header =
            ChunkHeader { kind, len: u32_at(bytes, 4), number: u64_at(bytes, 8), previous_crc: u32_at(bytes, 16) };
        if header.number != number {
            return Err("it has another number");
        }
        if header.previous_crc != previous_crc {
            return Err("it follows another chunk than the one before it");
        }
        let max = if kind == ChunkKind::End { TOTALS_BYTES } else { identity.max_body() };
        if header.len as usize > max {
            return Err("its length is impossible");
        }
        Ok(header)
    }
}

/// The checksum of a chunk: of its header up to the checksum, and its body.
pub(crate) fn crc_of(header: &[u8; CHUNK_HEADER_BYTES], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..20]);
    hasher.update(body);
    hasher.finalize()
}

/// The checksum that a chunk's header carries.
pub(crate) fn crc_in(header: &[u8; CHUNK_HEADER_BYTES]) -> u32 {
    u32_at(header, 20)
}

/// What a stream has had so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub trees: u64,
    pub drops: u64,
    pub puts: u64,
    pub removes: u64,
    /// The bytes of operations.
    pub bytes: u64,
}

impl Totals {
    pub fn encode(&self) -> [u8; TOTALS_BYTES] {
        let mut bytes = [0; TOTALS_BYTES];
        for (at, count) in [self.trees, self.drops, self.puts, self.removes, self.bytes].into_iter().enumerate() {
            bytes[8 * at..8 * at + 8].copy_from_slice(&count.to_le_bytes());
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Option<Totals> {
        let bytes: &[u8; TOTALS_BYTES] = bytes.try_into().ok()?;
        let [trees, drops, puts, removes, bytes] = [0, 8, 16, 24, 32].map(|at| u64_at(bytes, at));
        Some(Totals { trees, drops, puts, removes, bytes })
    }
}
