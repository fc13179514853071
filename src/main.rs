//! Telelake.
fn main() {}
