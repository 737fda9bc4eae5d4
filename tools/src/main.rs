//! pent
fn main() {}
