//! The engines: one file each, with its settings and the place in its documentation that recommends them.

pub mod canopydb;
pub mod fjall;
pub mod lmdb;
pub mod pentimento;
pub mod redb;
pub mod sqlite;
