//! An ordered map over pages.
pub mod pages;
