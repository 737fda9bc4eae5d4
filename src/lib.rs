//! Pentimento.
