//! Backup and shipping: a snapshot, or what changed between two, as a stream of bytes that another store receives.
//!
//! ```text
//! stream    header, chunks, end
//! header    0 magic "PENTSHIP"   8 format version u32   12 size that chunks aim at u32   16 id of the source, 16 bytes
//!          32 timestamp u64   40 timestamp of the base u64, 0: whole   48 page size of the source u32   52 zero   60 CRC-32 of 0..60
//!          64 number of the first chunk that follows u64   72 CRC-32 of the chunk before it u32   76 CRC-32 of 64..76
//! chunk     0 kind u32, 1 operations, 2 end   4 length of the body u32   8 number u64   16 CRC-32 of the chunk before u32
//!          20 CRC-32 of 0..20 and the body u32   24 body
//! end       a chunk whose body counts: 0 trees entered u64   8 trees dropped u64   16 entries put u64   24 entries removed u64
//!          32 bytes of operations u64
//! ```
//!
//! Integers are little-endian; chunks are numbered from 0. The chunk before the first is the header: its checksum is the one at 60. So the checksum
//! of the end covers everything before it. The operations are in `ops.rs`.
//!
//! Promises:
//! 1. The stream is *logical*: what it holds does not depend on pages. It is the same, byte for byte, each time that it is made for the same pair of
//!    snapshots; so a sender can go on where a receiver stopped ([`ResumePosition`]), at the cost of a look-up, and not of what was sent.
//! 2. Writers go on while it is made, as they do beside any snapshot. What a stream holds was durable at its source: no later crash there takes it back.
//! 3. Receiving is atomic: chunks are checked and *staged* beside the store, and applied in one transaction when the last has come. A damaged or cut stream, and a crash at any
//!    moment, leave the state before or the state after. Readers go on, and see either.
//! 4. A store remembers what it is a copy of, in the same transaction ([`Origin`]). An increment is refused where its base is not what the store holds: another
//!    source, another moment, the same increment twice, a store that was changed by others meanwhile.
//! 5. Bytes of any content give an error that says what to do, never a panic, and take no more memory than they have.

mod apply;
mod error;
mod format;
mod increment;
mod ops;
mod origin;
mod packer;
mod position;
mod read;
mod receive;
mod send;
mod staging;
mod verify;
mod walk;

pub use error::StreamError;
pub use origin::{Origin, StoreId, origin_of_note};
pub use position::ResumePosition;
pub use receive::{Received, Receiver};
pub use send::{Backup, Shipped, StreamProgress};
pub use verify::{STREAM_HEAD_BYTES, StreamContents, StreamHead, TreeContents, stream_head, verify_stream};
