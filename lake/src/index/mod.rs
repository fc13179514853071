//! The index section of a file.

use bytes::Bytes;

/// A parsed index section.
#[derive(Debug)]
pub struct IndexReader {
    bytes: Bytes,
}

impl IndexReader {
    /// No index at all.
    pub fn empty() -> Self {
        Self { bytes: Bytes::new() }
    }
    /// Parses a section.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn parse(bytes: Bytes) -> Result<Self, String> {
        Ok(Self { bytes })
    }
    /// Memory it takes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len()
    }
}
