//! What the tests of several files need.

pub(crate) mod memory;
pub(crate) mod vectors;
