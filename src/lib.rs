//! Pentimento: an embedded, ordered key-value store whose readers never block writers.
#![forbid(unsafe_code)]
#![doc(test(attr(deny(warnings))))]

pub use bytes::Bytes;
pub use pentimento_txn::*;
