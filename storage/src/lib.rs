//! Pages with history.
mod ids;
pub use ids::{PageId, Timestamp};
