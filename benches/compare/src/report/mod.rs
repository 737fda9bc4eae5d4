//! What the program shows.

pub mod table;
