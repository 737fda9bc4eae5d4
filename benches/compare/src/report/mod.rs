//! What the program shows: a table on the terminal, JSON, a page of Markdown, plots.

pub mod json;
pub mod machine;
pub mod markdown;
pub mod svg;
pub mod table;
